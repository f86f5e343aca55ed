"""The lesson on endings as a window: a button for each way to end a connection, and what both ends saw of it."""

from __future__ import annotations

import html
from functools import partial
from itertools import groupby
from typing import Any

import ipywidgets

from chatkit.client.engine import engine
from chatkit.errors import ChatkitError
from chatkit.lessons.endings import EndingsLesson, TwoSides
from chatkit.lessons.ways import BY_ID, Way
from chatkit.trace import Trace
from chatkit.views.two_sides import card, table

MOST = 30
"""Endings in the table, the last ones."""


class Endings(ipywidgets.VBox):  # type: ignore[misc]
    """Buttons that end a connection, and what each side saw.

    Args:
        lesson: whose connections; a lesson of its own where it is not given.

    ``endings`` holds what was pressed, ``trace`` all connections, for the next cell.
    It runs on the engine: no cell blocks.
    """

    def __init__(self, lesson: EndingsLesson | None = None) -> None:
        self.lesson = lesson or EndingsLesson()
        self.endings: tuple[TwoSides, ...] = ()
        self.buttons: dict[str, Any] = {way.id: self._button(way) for way in self.lesson.ways}
        wide = ipywidgets.Layout(flex_flow="row wrap", width="100%")
        rows = [
            ipywidgets.VBox(
                [
                    ipywidgets.HTML(f"<b>{group}</b>"),
                    ipywidgets.Box([self.buttons[way.id] for way in ways], layout=wide),
                ]
            )
            for group, ways in groupby(self.lesson.ways, key=lambda way: way.group)
        ]
        self.said = ipywidgets.HTML(_status("Choose how the next connection ends."))
        self.shown = ipywidgets.HTML()
        self.listed = ipywidgets.HTML()
        super().__init__([*rows, self.said, self.shown, self.listed])
        self.add_class("ck-endings")

    @property
    def trace(self) -> Trace:
        """All connections so far, as our side saw them."""
        return self.lesson.trace

    def end(self, way: str) -> TwoSides:
        """Ends a connection in the way of that id, as a value for a cell; the window keeps what was pressed in it.

        Raises:
            InvalidInput, LabError: as :meth:`chatkit.lessons.EndingsLesson.end`.
        """
        return self.lesson.end(way)

    def close(self) -> None:
        """Stops the lesson's lab and takes the window away."""
        lesson = getattr(self, "lesson", None)  # one whose arguments were refused is closed, too
        if lesson is not None:
            lesson.close()
        super().close()

    def __repr__(self) -> str:
        return f"{len(self.buttons)} ways to end a WebSocket, each a button; {len(self.endings)} tried"

    def _button(self, way: Way) -> Any:
        button = ipywidgets.Button(description=way.label, tooltip=way.point, layout=ipywidgets.Layout(width="auto"))
        button.on_click(partial(self._pressed, way.id))
        return button

    def _pressed(self, way: str, button: Any) -> None:
        self._enable(False)
        self.said.value = _status(f"{BY_ID[way].label}: a connection opens, lives for a moment, and ends …")
        engine().start(self._do(way))

    async def _do(self, way: str) -> None:
        try:
            self._add(await self.lesson.ending(way))
        except ChatkitError as error:
            self.said.value = _status(str(error))
        finally:
            self._enable(True)

    def _add(self, two: TwoSides) -> None:
        self.endings = (*self.endings, two)[-MOST:]
        self.said.value = _status(f"Done: “{two.way.label}”. Choose the next.")
        self.shown.value, self.listed.value = card(two), table(self.endings)

    def _enable(self, on: bool) -> None:
        for button in self.buttons.values():
            button.disabled = not on


def _status(text: str) -> str:
    return f'<span role="status">{html.escape(text)}</span>'
