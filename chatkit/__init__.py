"""chatkit: why does this chat WebSocket drop, and what makes it stop?

The front door. Nothing heavy is imported here: each name loads its room when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from chatkit import display

if TYPE_CHECKING:
    from chatkit.client import BackgroundChat, BotPool, ChatClient, connect
    from chatkit.diagnosis import diagnose
    from chatkit.errors import ChatkitError
    from chatkit.formats import load
    from chatkit.investigation import investigate
    from chatkit.lab import Bot, LabServer, start_lab
    from chatkit.lessons import exercise
    from chatkit.merging import merge
    from chatkit.policy.storm import simulate
    from chatkit.preflight import check
    from chatkit.recorder import Recorder
    from chatkit.runbooks import Guide
    from chatkit.tap import Tap
    from chatkit.trace import Trace
    from chatkit.widgets import Console, Endings, Investigate, TimelineExplorer, Verdict

__version__ = "0.1.0"

_ROOMS = {
    # evidence
    "Trace": "chatkit.trace",
    "load": "chatkit.formats",
    "merge": "chatkit.merging",
    "diagnose": "chatkit.diagnosis",
    # talking to a backend
    "BackgroundChat": "chatkit.client",
    "BotPool": "chatkit.client",
    "ChatClient": "chatkit.client",
    "Recorder": "chatkit.recorder",
    "check": "chatkit.preflight",
    "connect": "chatkit.client",
    "investigate": "chatkit.investigation",
    # in front of a backend
    "Tap": "chatkit.tap",
    # the embedded backend
    "Bot": "chatkit.lab",
    "LabServer": "chatkit.lab",
    "start_lab": "chatkit.lab",
    # learning by doing
    "exercise": "chatkit.lessons",
    # what a policy does
    "simulate": "chatkit.policy.storm",
    # which runbook
    "Guide": "chatkit.runbooks",
    # windows
    "Console": "chatkit.widgets",
    "Endings": "chatkit.widgets",
    "Investigate": "chatkit.widgets",
    "TimelineExplorer": "chatkit.widgets",
    "Verdict": "chatkit.widgets",
    # errors
    "ChatkitError": "chatkit.errors",
}

__all__ = [
    "BackgroundChat",
    "Bot",
    "BotPool",
    "ChatClient",
    "ChatkitError",
    "Console",
    "Endings",
    "Guide",
    "Investigate",
    "LabServer",
    "Recorder",
    "Tap",
    "TimelineExplorer",
    "Trace",
    "Verdict",
    "check",
    "connect",
    "diagnose",
    "exercise",
    "investigate",
    "load",
    "merge",
    "simulate",
    "start_lab",
]

display.provide(
    lambda: importlib.import_module("chatkit.views"),
    lambda: importlib.import_module("chatkit.widgets.progress").of_cell(),
)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        value = getattr(importlib.import_module(_ROOMS[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'chatkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext chatkit``: the magics ``%chat`` and ``%%investigate``."""
    importlib.import_module("chatkit.widgets.magics").load(shell)
