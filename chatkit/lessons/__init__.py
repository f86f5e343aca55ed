"""Learning by doing: connections that the reader ends, and hidden faults that the reader finds."""

from __future__ import annotations

from chatkit.lessons.endings import EndingsLesson, TwoSides
from chatkit.lessons.hidden import Exercise, exercise

__all__ = ["EndingsLesson", "Exercise", "TwoSides", "exercise"]
