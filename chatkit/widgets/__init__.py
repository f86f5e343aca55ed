"""Thin windows over the rest: the only room that knows ipywidgets and anywidget."""

from __future__ import annotations

from chatkit.widgets.explorer import TimelineExplorer

__all__ = ["TimelineExplorer"]
