"""The path between client and server: a relay that forwards faithfully, and faults on it on demand."""

from __future__ import annotations

from chatkit.tap.hop import Hop

__all__ = ["Hop"]
