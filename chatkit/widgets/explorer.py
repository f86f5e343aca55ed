"""The timeline as a window: a canvas that draws the one layout, of a trace or of a recorder that runs.

The widget holds traits and forwards messages; layout and text come from ``chatkit.views``. What travels:

========== ============================== =====================================================================
direction  message                        meaning
========== ============================== =====================================================================
to browser ``delta`` + one block          what this receiver (``to``) lacks, see ``chatkit.views.packet``
to browser ``refused``                    why a message (``asked``) was not served
to browser the answers                    of the same kind as what was asked
to kernel  ``hello``, ``painted``         a receiver (``client``) holds ``held``: ticks, marks, words, patches
to kernel  ``bye``                        its last view went away
to kernel  ``detail``, ``hover``          asks for the event at ``row`` in full, or in one line
to kernel  ``search``                     asks which events from row ``since`` on fit ``text``: one bit for each
to kernel  ``table``                      asks for lines of the selection from number ``start`` on
to kernel  ``survival``                   asks how long connections live, to be drawn beside the aligned lanes
to kernel  ``note``                       writes ``text`` at ``at``, on ``lane``, about the event at ``row``
to kernel  ``svg``                        asks for a picture of the time from ``since`` to ``until``
========== ============================== =====================================================================
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anywidget
import msgspec
import numpy as np
import traitlets

from chatkit.diagnosis.lives import lives
from chatkit.diagnosis.survival import curves
from chatkit.errors import InvalidInput
from chatkit.recorder import Recorder
from chatkit.trace import Trace
from chatkit.views.detail import MAX_LINE, describe, listing
from chatkit.views.script import explorer_script
from chatkit.views.sheet import Cursor, clip
from chatkit.views.survival import steps
from chatkit.views.svg import svg
from chatkit.views.when import count
from chatkit.widgets.feed import Feed
from chatkit.widgets.searching import Searches

TABLE = 200
"""Lines of the table that travel at once."""
ANSWERS = ("detail", "hover", "table", "survival", "note", "svg")
Answer = tuple[dict[str, Any], list[bytes]]


class Area(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of time on some lanes."""

    since: float
    """Seconds since the epoch, or of an aligned view since each connection opened."""
    until: float
    lanes: list[int]
    """Codes of the lanes."""
    aligned: bool = False


class SelectedArea(msgspec.Struct, frozen=True, kw_only=True):
    """What :attr:`TimelineExplorer.selected_area` says."""

    since: float
    """Seconds since the epoch, or of an aligned view since each connection opened."""
    until: float
    connections: tuple[str, ...]
    """Ids of the connections in it; the lanes beside them have none."""
    aligned: bool


class TimelineExplorer(anywidget.AnyWidget):
    """A timeline to look around in: zoom, pan, search, click, select, note; live when the source is a recorder.

    What is looked at can be read, and set, from Python: ``query`` and ``matching``, ``rows``,
    ``select_area``, ``selected_area`` and ``selection``, ``reference``, ``pinned``; notes are events of ``trace``.

    Args:
        source: a ``Trace``, or a ``Recorder`` that is followed until :meth:`close`.
        align: ``"open"`` lays the connections above each other from their opening, ``None`` along the time.
        clock: whether the axis shows clock times instead of seconds.
        zone: name of the zone of clock times, for example ``Europe/Berlin``; ``None`` for the browser's own.
        stabilise: the client's known quiet time before its first ping, seconds.
    """

    _esm = explorer_script()
    _css = Path(__file__).parent / "static" / "explorer.css"

    block = traitlets.Bytes(b"", help="The layout when the widget was made, see chatkit.views.packet.").tag(sync=True)
    query = traitlets.Unicode("", help="What is searched for, see chatkit.views.query.").tag(sync=True)
    area = traitlets.Dict(help="A selected stretch: since, until (seconds), lanes (codes), aligned.").tag(sync=True)
    reference = traitlets.Int(-1, help="Row of the event others are measured from, -1 for none.").tag(sync=True)
    pinned = traitlets.List(traitlets.Int(), help="Codes of the lanes that stay on top.").tag(sync=True)
    author = traitlets.Unicode("reader", help="Who writes the notes.").tag(sync=True)
    rows = traitlets.List(traitlets.Int(), help="Positions of the selected events in the trace.").tag(sync=True)
    align = traitlets.Unicode("", help='"open", or "" along the time.').tag(sync=True)
    clock = traitlets.Bool(False, help="Whether the axis shows clock times.").tag(sync=True)
    zone = traitlets.Unicode("", help="IANA name of the zone of clock times; empty for the browser's.").tag(sync=True)
    selected = traitlets.List(traitlets.Unicode(), help="Ids of the selected events.")

    def __init__(
        self,
        source: Trace | Recorder,
        *,
        align: str | None = None,
        clock: bool = False,
        zone: str | None = None,
        stabilise: float | None = None,
    ) -> None:
        if not isinstance(source, Trace | Recorder):
            raise InvalidInput("nothing to explore", expected="a Trace or a Recorder", got=type(source).__name__)
        if align not in (None, "open"):
            raise InvalidInput("no such alignment", expected='None or "open"', got=align)
        self._feed = Feed(source, _sender(weakref.ref(self)), stabilise)
        self._searches = Searches(self._feed.matches, _answering(weakref.ref(self)))
        block = self._feed.first_block()
        super().__init__(block=block, align=align or "", clock=clock, zone=zone or "")
        self.on_msg(self._receive)
        # Started here and not on display: inside another widget nobody tells that it is shown.
        self._feed.start()

    @property
    def selection(self) -> Trace:
        """The selected events: those of the area, of which the query holds, or else the single ones."""
        return self._feed.pick(self._chosen_rows())

    @property
    def matching(self) -> Trace:
        """The events that fit the query; all of them without one.

        Raises:
            InvalidInput: the query is not of the grammar.
        """
        return self._feed.pick(np.flatnonzero(self._feed.matches(self.query)).tolist())

    @property
    def trace(self) -> Trace:
        """All that is shown, with the notes that were written here in their places."""
        return self._feed.trace()

    def select_area(
        self, since: float, until: float, connections: Iterable[str] | None = None, *, aligned: bool | None = None
    ) -> Trace:
        """Selects a stretch of time as the mouse does; the events in it, of which the query holds.

        Args:
            since: seconds since the trace's epoch; of an aligned view, since each connection opened.
            until: the same, included.
            connections: ids of connections; ``None`` for every lane, along the time also those beside the connections.
            aligned: which of the two times is meant; ``None`` for the one that the view shows.

        Raises:
            InvalidInput: the stretch ends before it begins, or there is no such connection.
        """
        if not since <= until:
            raise InvalidInput("no such stretch of time", expected="since <= until", got=f"{since} to {until} s")
        if aligned is None:
            aligned = self.align == "open"
        lanes = self._feed.lanes_of(None if connections is None else tuple(connections), beside=not aligned)
        self.area = {"since": float(since), "until": float(until), "lanes": lanes, "aligned": aligned}
        return self.selection

    def clear_selection(self) -> None:
        """Selects nothing: neither an area nor single events."""
        self.area, self.rows = {}, []

    @property
    def selected_area(self) -> SelectedArea | None:
        """The selected stretch of time with the connections it is on, ``None`` without one."""
        if not self.area:
            return None
        area = msgspec.convert(self.area, Area)
        named = (self._feed.connection_of(lane) for lane in area.lanes)
        connections = tuple(name for name in named if name is not None)
        return SelectedArea(since=area.since, until=area.until, connections=connections, aligned=area.aligned)

    def annotate(
        self, text: str, *, at: float | None = None, connection: str | None = None, about: str | None = None
    ) -> None:
        """Writes a note: into the recording while it runs, else into :attr:`trace`.

        Args:
            text: one line, at most 2,000 characters; more is cut, and secrets are taken out.
            at: when what it speaks of happened, seconds since the trace's epoch; ``None`` with ``about``.
            connection: id of the connection it speaks of.
            about: id of the event it speaks of, whose time and connection it takes where they are not given.

        Raises:
            InvalidInput: there is no text, no time, or no such connection or event.
        """
        if about is not None:
            trace, place = self._feed.find(self._feed.row(about))
            at = trace[place].at if at is None else at
            connection = connection or trace[place].connection
        if at is None:
            raise InvalidInput("a note needs a time", expected="at in seconds, or about an event", got=None)
        self._feed.note(text, at=at, connection=connection, about=about, author=self.author)

    def to_svg(self, *, since: float | None = None, until: float | None = None, width: int = 1_200) -> str:
        """The timeline as an SVG document that stands alone, see ``chatkit.views.svg``.

        Args:
            since: first moment shown, seconds since the epoch; ``None`` from the first event.
            until: last moment shown; ``None`` to the last event.
            width: pixels.
        """
        options: dict[str, Any] = {"since": since, "until": until, "width": width, "zone": self.zone or None}
        return svg(self._feed.layout(), align=self.align or None, clock=self.clock, pinned=self.pinned, **options)

    def close(self) -> None:
        """Stops following the recorder and takes the window away."""
        feed = getattr(self, "_feed", None)  # a widget whose arguments were refused is closed, too
        if feed is not None:
            feed.close()
            self._searches.close()
        super().close()

    def __repr__(self) -> str:
        connections, events = self._feed.counts()
        return f"Timeline of {count(connections, 'connection')}, {count(events, 'event')}"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(**options)
        if bundle is None:
            return {"text/plain": repr(self)}
        data, *rest = bundle if isinstance(bundle, tuple) else (bundle,)
        data = data | {"text/plain": repr(self)}
        return (data, *rest) if rest else data

    @traitlets.observe("rows")
    def _rows_changed(self, change: Any) -> None:
        self.selected = [self._event_id(row) for row in change["new"]]

    @traitlets.observe("selected")
    def _selected_changed(self, change: Any) -> None:
        rows = [self._feed.row(id) for id in change["new"]]
        if rows != self.rows:
            self.rows = rows

    def _event_id(self, row: int) -> str:
        trace, place = self._feed.find(row)
        return str(trace[place].id)

    def _chosen_rows(self) -> list[int]:
        if not self.area:
            return sorted(set(self.rows))
        area = msgspec.convert(self.area, Area)
        rows = self._feed.rows_within(area.since, area.until, area.lanes, aligned=area.aligned)
        if not self.query:
            return rows
        fits = self._feed.matches(self.query)
        return [row for row in rows if fits[row]]

    def _receive(self, widget: Any, message: Any, buffers: Any) -> None:
        try:
            self._serve(message)
        except (IndexError, KeyError, TypeError, ValueError, AttributeError, msgspec.ValidationError) as error:
            told = message if isinstance(message, dict) else {}
            because = str(error) if isinstance(error, InvalidInput) else f"{type(error).__name__}: {error}"
            self._refuse(str(told.get("client"))[:64], str(told.get("kind"))[:40], because)

    def _refuse(self, client: str, asked: str, because: str) -> None:
        self.send({"kind": "refused", "to": client, "asked": asked, "because": because[:500]})

    def _serve(self, message: Any) -> None:
        client, kind = str(message.get("client"))[:64], message["kind"]
        if kind == "hello":
            self._feed.hello(client, msgspec.convert(message["held"], Cursor))
        elif kind == "painted":
            self._feed.painted(client, msgspec.convert(message["held"], Cursor))
        elif kind == "bye":
            self._feed.bye(client)
            self._searches.forget(client)
        elif kind == "search":
            self._searches.ask(client, str(message["text"]), max(0, int(message["since"])) // 8 * 8)
        elif kind in ANSWERS:
            answer, buffers = getattr(self, f"_{kind}")(message)
            self.send({"kind": kind, "to": client} | answer, buffers=buffers)
        else:
            raise ValueError(f"no such message: {str(kind)[:40]!r}")

    def _detail(self, message: Any) -> Answer:
        row = int(message["row"])
        moments = self._feed.moments_before(row)
        if self.reference >= 0 and self.reference != row:
            moments["the reference"] = self._feed.at(self.reference)
        return {"row": row} | describe(*self._feed.find(row), moments), []

    def _hover(self, message: Any) -> Answer:
        row = int(message["row"])
        trace, place = self._feed.find(row)
        return {"row": row, "line": clip(str(trace[place]), MAX_LINE)}, []

    def _table(self, message: Any) -> Answer:
        rows, start = self._chosen_rows(), max(0, int(message["start"]))
        shown = rows[start : start + TABLE]
        before = self._feed.at(rows[start - 1]) if start and shown else None
        lines = listing(self._feed.pick(shown), shown, before)
        return {"start": start, "count": len(rows), "lines": lines}, []

    def _survival(self, message: Any) -> Answer:
        return {"curves": steps(curves(lives(self._feed.trace())))}, []

    def _note(self, message: Any) -> Answer:
        about, lane = message.get("row"), message.get("lane")
        id = self._event_id(int(about)) if about is not None else None
        connection = self._feed.connection_of(int(lane)) if lane is not None else None
        self.annotate(str(message["text"]), at=float(message["at"]), connection=connection, about=id)
        return {}, []

    def _svg(self, message: Any) -> Answer:
        return {"svg": self.to_svg(since=float(message["since"]), until=float(message["until"]))}, []


def _sender(widget: weakref.ref[TimelineExplorer]) -> Any:
    def send(receiver: str, block: bytes) -> bool:
        explorer = widget()
        if explorer is None or explorer.comm is None:
            return False
        explorer.send({"kind": "delta", "to": receiver}, buffers=[block])
        return True

    return send


def _answering(widget: weakref.ref[TimelineExplorer]) -> Any:
    def answer(client: str, text: str, since: int, fits: Any) -> None:
        explorer = widget()
        if explorer is None or explorer.comm is None:
            return
        if isinstance(fits, str):
            explorer._refuse(client, "search", fits)
            return
        told = {"kind": "search", "to": client, "text": text, "since": since}
        counted = {"count": int(fits.sum()), "length": len(fits)}
        explorer.send(told | counted, buffers=[np.packbits(fits, bitorder="little").tobytes()])

    return answer
