"""What a trace looks like: values in, values out. Loading this room registers the faces; plotly waits for its use."""

from __future__ import annotations

from typing import Any

from chatkit import display
from chatkit.trace import Trace


def _timeline(trace: Trace, **options: Any) -> Any:
    from chatkit.views.plot import timeline

    return timeline(trace, **options)


def _html(trace: Trace) -> str:
    from chatkit.views.summary import summary

    return summary(trace)


display.register("trace", "timeline", _timeline)
display.register("trace", "html", _html)
