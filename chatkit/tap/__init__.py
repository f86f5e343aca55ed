"""The path between client and server: a relay that forwards faithfully, records it, and does faults on demand."""

from __future__ import annotations

from chatkit.tap.hop import Hop
from chatkit.tap.recording import Tap

__all__ = ["Hop", "Tap"]
