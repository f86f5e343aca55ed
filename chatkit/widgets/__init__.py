"""Thin windows over everything else: they hold traits and pass messages on. The only room that imports widgets."""

from chatkit.widgets.console import Console
from chatkit.widgets.endings import Endings
from chatkit.widgets.explorer import TimelineExplorer
from chatkit.widgets.investigate import Investigate
from chatkit.widgets.verdict import Verdict

__all__ = ["Console", "Endings", "Investigate", "TimelineExplorer", "Verdict"]
