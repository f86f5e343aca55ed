"""Pure decisions: when to ping, whether to reconnect, which reply is which. Values in, values out; time is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatkit.policy.storm import simulate

__all__ = ["simulate"]


def __getattr__(name: str) -> Any:
    # Loaded on first use: whoever needs one decision does not pay for the simulator.
    if name == "simulate":
        from chatkit.policy.storm import simulate

        return simulate
    raise AttributeError(f"module 'chatkit.policy' has no attribute {name!r}")
