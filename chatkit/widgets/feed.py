"""Feeds browsers with the layout of a recording that grows, from a thread of its own.

The recorder's writer thread only sets a flag; this thread pulls the new events, lays them out and sends what each
receiver lacks, so the first paint and all that follows need no free main thread. The feed holds its widget weakly:
when the widget is gone or closed, the thread ends and the subscription with it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from chatkit.errors import InvalidInput
from chatkit.events import KIND_CODE, Noted, RecordingEnded
from chatkit.notes import annotated, note
from chatkit.recorder import Recorder
from chatkit.trace import Trace
from chatkit.views import packet
from chatkit.views.sheet import Cursor, Layout
from chatkit.views.timeline import TimelineBuilder
from chatkit.widgets.flow import Flow
from chatkit.widgets.parts import Parts
from chatkit.widgets.searching import guarded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chatkit.views.query import Finder

EVERYBODY = "*"
"""Whoever has the widget's first state and has not spoken yet."""
MOST_RECEIVERS = 16
POLL = 2.0
"""Seconds between looks without a word of the recorder: its last batch, written when it closes, is not announced."""
_ENDED = KIND_CODE[RecordingEnded]
Send = Callable[[str, bytes], bool]
"""Takes a receiver and a block; ``False`` when there is no widget any more."""


class Feed:
    """The layout of a source, and who holds how much of it. All methods may be called from any thread.

    Args:
        source: a trace, or a recorder that is followed.
        send: how a block gets to a receiver.
        stabilise: as for the layout.
    """

    def __init__(self, source: Trace | Recorder, send: Send, stabilise: float | None = None) -> None:
        self._recorder = source if isinstance(source, Recorder) else None
        self._send = send
        self._builder = TimelineBuilder(stabilise=stabilise)
        self._lock = threading.RLock()
        self.events = Parts()
        """What was laid out, by row."""
        self.notes: list[Noted] = []
        """Those that no recording holds."""
        self._found: tuple[str, NDArray[np.bool_]] = ("", np.zeros(0, dtype=bool))
        self._seen = 0
        self._receivers: dict[str, Flow] = {}
        self._wake = threading.Event()
        self._closed = False
        self._ended = False
        self._running = False
        self._stop: Callable[[], None] | None = None
        if isinstance(source, Trace):
            self._take(source)
        else:
            self._pull()

    @property
    def live(self) -> bool:
        """Whether more may come."""
        return self._recorder is not None and not self._closed and not self._ended

    def first_block(self) -> bytes:
        """All there is now, for the widget's state; who gets it holds it."""
        with self._lock:
            self._receivers[EVERYBODY] = Flow(self._builder.cursor)
            return packet.encode(self._builder.layout(), live=self.live)

    def counts(self) -> tuple[int, int]:
        """Connections and events laid out so far."""
        with self._lock:
            layout = self._builder.since(self._builder.cursor)
            return layout.connections, layout.events

    def layout(self) -> Layout:
        """All that was laid out."""
        with self._lock:
            return self._builder.layout()

    def find(self, row: int) -> tuple[Trace, int]:
        """The stretch of trace that holds an event, and the event's place in it.

        Raises:
            IndexError: there is no such row.
        """
        with self._lock:
            return self.events.find(row)

    def row(self, id: str) -> int:
        """The place of the event with this id in the layout; what has come since the last look is looked at.

        Raises:
            InvalidInput: there is no such event.
        """
        with self._lock:
            self._pull()
            return self.events.row(id)

    def pick(self, rows: Iterable[int]) -> Trace:
        """The events at these places, in order, as a trace: also those that a bounded recording has dropped since."""
        with self._lock:
            return self.events.pick(rows)

    def at(self, row: int) -> float:
        """When an event happened, seconds since the epoch."""
        with self._lock:
            return self.events.at(row)

    def moments_before(self, row: int) -> dict[str, float]:
        """When the events before happened, as ``Parts`` says it."""
        with self._lock:
            return self.events.moments_before(row)

    def matches(self, query: str, since: int = 0, find: Finder | None = None) -> NDArray[np.bool_]:
        """Which events from row ``since`` on fit a query.

        Whoever draws and records goes on meanwhile: the lock is not held. The last answer about everything is kept.

        Args:
            query: see ``chatkit.views.query``.
            since: the first row.
            find: as for ``chatkit.views.query.matches``; ``None`` for the guarded one.

        Raises:
            InvalidInput: the query is not of the grammar, or a regular expression of it takes too long.
        """
        with self._lock:
            parts = self.events.copy()
            known, fits = self._found
        if known == query and len(fits) == len(parts):
            return fits[since:]
        fits = parts.matches(query, since, find or guarded())
        if not since:
            self._found = (query, fits)
        return fits

    def connection_of(self, lane: int) -> str | None:
        """Id of the connection that a lane shows; ``None`` for the lanes beside them."""
        with self._lock:
            return self._builder.connection_of(lane)

    def lanes_of(self, connections: tuple[str, ...] | None, *, beside: bool) -> list[int]:
        """Codes of the lanes of these connections; of all there are with ``None``.

        Args:
            connections: their ids.
            beside: whether all there are includes the lanes beside the connections.

        Raises:
            InvalidInput: one of them is none of the timeline.
        """
        with self._lock:
            self._pull()
            lanes = self._builder.since(self._builder.cursor).lanes
            if connections is None:
                return [lane.code for lane in lanes if beside or lane.kind == "connection"]
            known = {self._builder.connection_of(lane.code): lane.code for lane in lanes}
        missing = [name for name in connections if name not in known]
        if missing:
            some = ", ".join(list(filter(None, known))[:20]) or "those of the timeline, which has none"
            raise InvalidInput("no such connection", expected=f"one of {some}", got=str(missing[0])[:60])
        return [known[name] for name in connections]

    def rows_within(self, begin: float, end: float, lanes: Iterable[int], *, aligned: bool) -> list[int]:
        """Events that a stretch of time on some lanes shows, as for the layout."""
        with self._lock:
            rows: list[int] = self._builder.rows_within(begin, end, lanes, aligned=aligned).tolist()
            return rows

    def note(self, text: str, *, at: float, connection: str | None, about: str | None, author: str) -> None:
        """Writes a note: into the recording while it runs, else into what this feed holds.

        Raises:
            InvalidInput: as for ``chatkit.notes.note``.
        """
        with self._lock:
            self._pull()
            whole = self.events.whole()
            one = note(whole, text, at=at, connection=connection, about=about, author=author)
            if self.live:
                assert self._recorder is not None
                fields = {"text": one.text, "author": one.author, "about": one.about, "moment": one.at}
                self._recorder.record(Noted, connection=one.connection, **fields)
                self._pull()
            else:
                self.notes.append(one)
                self._builder.extend(self.events.add(Trace.of([one], whole.header)))
        self._nudge()

    def trace(self) -> Trace:
        """All that was laid out, with the notes in their places."""
        with self._lock:
            self._pull()
            return annotated(self.events.whole(without=len(self.notes)), self.notes)

    # Receivers

    def hello(self, receiver: str, held: Cursor) -> None:
        """A browser is there and holds this much of the layout."""
        with self._lock:
            self._receivers.pop(EVERYBODY, None)
            while len(self._receivers) >= MOST_RECEIVERS:
                del self._receivers[next(iter(self._receivers))]
            self._receivers[receiver] = Flow(held if self._possible(held) else Cursor())
        self._nudge()

    def painted(self, receiver: str, held: Cursor) -> None:
        """A browser painted and holds this much."""
        with self._lock:
            flow = self._receivers.get(receiver)
            if flow is None:
                self.hello(receiver, held)
                return
            flow.painted(held)
        self._nudge()

    def bye(self, receiver: str) -> None:
        """A browser has no view any more."""
        with self._lock:
            self._receivers.pop(receiver, None)

    # Following

    def start(self) -> None:
        """Begins to follow a recorder; nothing to do for a trace."""
        if not self.live or self._stop is not None:
            return
        assert self._recorder is not None
        wake = self._wake
        self._stop = self._recorder.subscribe(lambda total: wake.set())
        self._running = True
        threading.Thread(target=self._run, name="chatkit timeline", daemon=True).start()

    def close(self) -> None:
        """Stops following; twice is fine."""
        self._closed = True
        if self._stop is not None:
            self._stop()
        self._wake.set()

    def step(self, now: float) -> float | None:
        """Pulls what is new and sends what is due; seconds until the next delta is due, ``None`` for no time."""
        with self._lock:
            self._pull()
            newest = self._builder.cursor
            waits = [self._serve(name, flow, now, newest) for name, flow in list(self._receivers.items())]
        return min((wait for wait in waits if wait is not None), default=None)

    def _run(self) -> None:
        pause: float | None = None
        while self._running:
            self._wake.wait(POLL if pause is None else min(pause, POLL))
            self._wake.clear()
            with self._lock:
                pause = None if self._closed else self.step(time.monotonic())
                self._running = self.live or (pause is not None and not self._closed)
        if self._stop is not None:
            self._stop()

    def _nudge(self) -> None:
        with self._lock:
            if self._running:
                self._wake.set()
            else:
                self.step(time.monotonic())

    def _serve(self, name: str, flow: Flow, now: float, newest: Cursor) -> float | None:
        wait = flow.wait(now, newest)
        if wait != 0.0:
            return wait
        delta = self._builder.since(flow.held)
        block = packet.encode(delta, live=self.live)
        flow.sent(now, delta.until, len(block))
        if not self._send(name, block):
            self.close()
        return None

    def _possible(self, held: Cursor) -> bool:
        newest = self._builder.cursor
        return all(getattr(held, name) <= getattr(newest, name) for name in newest.__struct_fields__)

    def _pull(self) -> None:
        if self._recorder is not None and not self._closed:
            self._take(self._recorder.snapshot(self._seen))

    def _take(self, part: Trace) -> None:
        if len(part) or not self.events:
            self._builder.extend(self.events.add(part))
            self._ended = bool(len(part)) and int(part.kind[-1]) == _ENDED
        if self._recorder is not None and len(part):
            # Not the number of rows: a bounded recording may have dropped some before they were seen.
            self._seen = int(part[-1].id) + 1
