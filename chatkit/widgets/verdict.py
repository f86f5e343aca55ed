"""The verdict beside its timeline: a click on a claim selects the events behind it."""

from __future__ import annotations

from functools import partial
from typing import Any

import ipywidgets

from chatkit.diagnosis import Diagnosis, diagnose
from chatkit.diagnosis.result import Evidence
from chatkit.errors import InvalidInput
from chatkit.trace import Trace
from chatkit.views.sheet import clip
from chatkit.views.verdict import card
from chatkit.widgets.explorer import TimelineExplorer

MOST_CLAIMS = 12
"""Claims with a button; the card holds all of them."""


class Verdict(ipywidgets.VBox):  # type: ignore[misc]
    """The card of a diagnosis, a button for each piece of its evidence, and the timeline that they select in.

    Args:
        trace: the evidence.
        diagnosis: what was found in it; found now where it is not given.

    ``explorer.selection`` is a trace of what is selected, for the next cell.
    """

    def __init__(self, trace: Trace, diagnosis: Diagnosis | None = None) -> None:
        if not isinstance(trace, Trace):
            raise InvalidInput("nothing to show a verdict of", expected="a Trace", got=type(trace).__name__)
        self.diagnosis = diagnose(trace) if diagnosis is None else diagnosis
        self.explorer = TimelineExplorer(trace)
        self.claims = tuple(self._button(one) for one in self._evidence())
        shown = [ipywidgets.HTML(card(self.diagnosis))]
        if self.claims:
            wide = ipywidgets.Layout(flex_flow="row wrap")
            shown += [ipywidgets.HTML("Show on the timeline:"), ipywidgets.Box(self.claims, layout=wide)]
        super().__init__([*shown, self.explorer])

    def close(self) -> None:
        """Takes the window away."""
        explorer = getattr(self, "explorer", None)  # one whose arguments were refused is closed, too
        if explorer is not None:
            explorer.close()
        super().close()

    def __repr__(self) -> str:
        return str(self.diagnosis)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(**options)
        data, *rest = bundle if isinstance(bundle, tuple) else (bundle or {"text/plain": repr(self)},)
        data = data | self.diagnosis._repr_mimebundle_()
        return (data, *rest) if rest else data

    def _evidence(self) -> list[Evidence]:
        found = [one for cause in self.diagnosis.causes for one in cause.evidence if one.events]
        return found[:MOST_CLAIMS]

    def _button(self, one: Evidence) -> Any:
        wide = ipywidgets.Layout(width="auto")
        button = ipywidgets.Button(description=clip(one.finding, 80), tooltip=clip(one.finding, 300), layout=wide)
        button.on_click(partial(self._show, one.events))
        return button

    def _show(self, events: tuple[str, ...], button: Any) -> None:
        self.explorer.selected = list(events)
