"""The embedded backend: the contract on a real ASGI server, with faults on demand."""

from __future__ import annotations

from chatkit.lab.bots import Ask, Bot, BotInfo, Echo, Slow, Storyteller
from chatkit.lab.named import start_lab
from chatkit.lab.server import LabServer
from chatkit.lab.stats import LabStats

__all__ = ["Ask", "Bot", "BotInfo", "Echo", "LabServer", "LabStats", "Slow", "Storyteller", "start_lab"]
