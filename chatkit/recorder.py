"""The recorder: stamps and appends at the socket, everything else later on one writer thread.

The hot path is one ``deque.append`` of (time, reader, direction, bytes). Every tenth of a second the writer thread
turns what has come into events (through ``wire``), takes secrets out, appends the rows to the trace and writes them
to the file in one call. So a process that is killed at any moment loses at most what is younger than two tenths of a
second, and the loop that is being watched is asked for nothing.

Without a file, a bound and subscribers there is no thread: ``snapshot()`` does the work when it is asked.
"""

from __future__ import annotations

import itertools
import math
import os
import threading
import weakref
from array import array
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import msgspec

from chatkit.clock import Clock
from chatkit.ending import Connection
from chatkit.errors import InvalidInput
from chatkit.events import KIND_CODE, Event, FrameReceived, Noted, RecordingEnded
from chatkit.profile import Types
from chatkit.redact import Looking, Redactor
from chatkit.trace import Header, Origin, Trace, TraceBuilder
from chatkit.wire import WireReader
from chatkit.wire.relayed import Relayed
from chatkit.wire.rows import text_lines

T = TypeVar("T")

FLUSH_INTERVAL = 0.1
"""Seconds between two batches of the writer thread."""

MIN_KEEP = 1000
"""Events that a bounded recording holds at least."""

_PIECE = 1 << 18
"""Bytes that the writer thread takes from the log at a time."""
_ONE_WRITE = 1 << 16
"""Bytes of a piece from which on it is written by itself."""

_RECEIVED = array("B", [KIND_CODE[FrameReceived]])
_encode = msgspec.json.Encoder().encode
_encode_lines = msgspec.json.Encoder().encode_lines


class Recorder:
    """Records events of any number of connections into one trace.

    Args:
        path: file to persist to (JSON Lines); ``None`` keeps the trace in memory only.
        overwrite: whether an existing file may be replaced; refused otherwise, it may be evidence.
        target: the URL that is talked to, for the header.
        types: names of the backend's message types, for the header.
        kind: what records, for the header: ``live``, or ``tap`` for what stands between client and server.
        not_visible: words of ``chatkit.visibility`` for what cannot be seen from there.
        redactor: announces secrets and takes them out; a fresh one when not given.
        clock: where time comes from.
        keep: events that memory holds, at least 1,000; a quarter more at most, and for connections that live or ended
            just now what their summary needs. Older events are in the file only. ``None`` holds everything.
        store: what holds the events in memory; by default all of them, in order.
        before: what was recorded before this process was started again, as ``chatkit.merging.continued`` makes it: this
            recording goes on from it, with its epoch and numbers, joined by the wall clock. The file holds only what
            is new.

    Use it as a context manager, or call :meth:`close`; closing twice is fine. All methods may be called from any
    thread.

    >>> import asyncio, chatkit
    >>> async def talk(recorder):
    ...     async with chatkit.LabServer() as lab:
    ...         async with chatkit.ChatClient(lab.url, bot="echo", token=lab.token, recorder=recorder) as chat:
    ...             await chat.send("hello")
    >>> with chatkit.Recorder("talk.jsonl") as recorder:
    ...     asyncio.run(talk(recorder))
    >>> [connection.state for connection in chatkit.load("talk.jsonl").connections]
    ['ended']
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        overwrite: bool = False,
        target: str | None = None,
        types: Types | None = None,
        kind: str = "live",
        not_visible: tuple[str, ...] = (),
        redactor: Redactor | None = None,
        clock: Clock | None = None,
        keep: int | None = None,
        store: Callable[[Header], TraceBuilder] = TraceBuilder,
        before: Trace | None = None,
    ) -> None:
        if keep is not None and keep < MIN_KEEP:
            raise InvalidInput("too few events to keep", expected=f"{MIN_KEEP:,} or more", got=keep, where="keep")
        self._keep = keep
        self.clock = clock or Clock()
        self.redactor = redactor or Redactor()
        self.path = Path(path) if path is not None else None
        self._looking = Looking(self.redactor)
        self._start = self.clock.monotonic()
        origin = Origin(kind=kind, target=self.redactor.text(target) if target else None)
        epoch = round(self.clock.wall(), 6)
        self.began = 0.0
        """Seconds since the epoch: when this recording began, which is later where it goes on from an earlier one."""
        if before is not None:
            self.began = max(epoch - before.epoch, float(before.at.max()) if len(before) else 0.0)
            epoch, self._start = before.epoch, self._start - self.began
        header = Header(origin=origin, epoch=epoch, not_visible=not_visible, types=types or Types())
        self._builder = store(header)
        if before is not None:
            _go_on(self._builder, before)
        self.former = len(self._builder)
        """Events of earlier recordings that it goes on from."""
        self._ids = itertools.count(self.former)
        self._connections = itertools.count(1 + (len(before.names) if before is not None else 0))
        self._exchanges = itertools.count(1 + self.former)
        self._log: deque[tuple[Any, ...]] = deque()
        # The log becomes rows under the first lock, rows go to the disk under the second: who asks for a snapshot
        # never waits for the disk.
        self._lock = threading.Lock()
        self._disk = threading.Lock()
        self._unwritten: list[bytes] = []
        self._told = self.former
        self._subscribers: list[Callable[[int], None]] = []
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._file = self._open(overwrite) if self.path is not None else None
        self.put = self.taken = 0
        """Bytes that relays handed over, and how many of them became events; what lies between is held in memory."""
        self.failure: str | None = None
        """Why persisting stopped (a full disk); recording goes on in memory."""
        if self._file is not None:
            _WRITTEN.add(self)
            self._write(_encode(header) + b"\n")
        if self._file is not None or keep is not None:
            self._run_writer()

    def _open(self, overwrite: bool) -> int:
        assert self.path is not None
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_TRUNC if overwrite else os.O_EXCL)
        try:
            return os.open(self.path, flags, 0o600)
        except FileExistsError:
            raise InvalidInput(
                "the recording exists already", where=str(self.path), remedy="name another file, or overwrite=True"
            ) from None
        except OSError as error:
            raise InvalidInput(
                f"the recording cannot be written: {error.strerror}", where=str(self.path), remedy="name another place"
            ) from None

    @property
    def epoch(self) -> float:
        """Unix time of the trace's start."""
        return self._builder.header.epoch

    # Recording

    def now(self) -> float:
        """Seconds since the trace's epoch."""
        return round(self.clock.monotonic() - self._start, 6)

    def wire(self) -> WireTap:
        """A new connection whose bytes will come."""
        return WireTap(self, str(next(self._connections)))

    def relayed(self, purpose: Callable[[str, str], str], *, target: str, secure: bool) -> RelayTap:
        """A TCP connection that somebody passes on: HTTP, WebSockets or neither; arguments as for ``Relayed``."""
        return RelayTap(
            self,
            Relayed(
                self._ids,
                self._looking,
                number=lambda: str(next(self._connections)),
                exchange=self.exchange,
                purpose=purpose,
                target=target,
                secure=secure,
            ),
        )

    def exchange(self) -> str:
        """The name of a new HTTP exchange."""
        return str(next(self._exchanges))

    def record(self, kind: type[Event], /, *, connection: str | None = None, **fields: Any) -> None:
        """Records a fact that the bytes do not show; it gets the present time and the next id."""
        self._log.append((self.now(), kind, connection, fields))

    # Reading

    def __len__(self) -> int:
        """Events decoded so far, also those that memory does not hold any more."""
        return len(self._builder)

    def snapshot(self, start: int = 0) -> Trace:
        """Everything recorded until now, or what came after the first ``start`` events. It does not change later.

        A bounded recording lacks what it dropped, and the trace's ``warnings`` say how many events those are. The
        events after it are ``snapshot(int(trace[-1].id) + 1)``: ids are positions in the recording.
        """
        with self._lock:
            self._drain()
            return self._builder.build(start)

    def connection(self, id: str) -> Connection:
        """One connection as ``snapshot().connection(id)`` tells it, without a look at the others' events.

        In a bounded recording its counts are those of the events that are still held.

        Raises:
            InvalidInput: there is no such connection.
        """
        with self._lock:
            self._drain()
            trace = self._builder.build_one(id)
        return trace.connection(id)

    def collect(self, look: Callable[[], T]) -> T:
        """Decodes what has come and returns ``look()``, during which nothing is added to the store; it must be quick.

        For the owner of a ``store``, where no writer thread does the decoding.
        """
        with self._lock:
            self._drain()
            return look()

    def subscribe(self, notify: Callable[[int], None]) -> Callable[[], None]:
        """Calls ``notify(total events)`` whenever events were added; returns the way to stop it.

        It is called on the writer thread, the last time on the thread that closes the recorder. It must be quick; it
        takes what it needs with ``snapshot(start)`` when it likes. One that raises is dropped, with a note.
        """
        self._subscribers.append(notify)
        self._run_writer()

        def stop() -> None:
            if notify in self._subscribers:
                self._subscribers.remove(notify)

        return stop

    # Ending

    def close(self) -> None:
        """Writes what is left and ends the recording; what is recorded afterwards stays in memory only."""
        if self._closed:
            return
        self._closed = True
        self.record(RecordingEnded)
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)
        self._flush()
        with self._disk:
            if self._file is not None:
                os.close(self._file)
                self._file = None
        _WRITTEN.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # The writer thread

    def _run_writer(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._write_loop, name="chatkit recorder", daemon=True)
            self._thread.start()

    def _write_loop(self) -> None:
        while not self._wake.wait(FLUSH_INTERVAL):
            self._flush()

    def _flush(self) -> None:
        """One batch: the log becomes rows, rows go to the file, subscribers hear of them."""
        more = True
        with self._disk:
            while more:
                # In pieces that a processor's cache holds from chunk to file, and nobody waits for the lock for long.
                with self._lock:
                    more = self._drain(_PIECE)
                    lines, self._unwritten = self._unwritten, []
                    total = len(self._builder)
                self._write_lines(lines)
            news, self._told = total > self._told, total
        for notify in list(self._subscribers) if news else ():
            try:
                notify(self._told)
            except Exception as error:
                # A broken view must not end the file.
                self._subscribers.remove(notify)
                self.record(Noted, text=f"a subscriber failed and hears no more: {type(error).__name__}: {error}")

    def _drain(self, limit: float = math.inf) -> bool:
        """Turns about ``limit`` bytes of the log into rows; whether there is more. The lock is held."""
        while self._log and limit > 0:
            limit -= self._drain_piece()
        if self._keep is not None:
            self._builder.trim(self._keep)
        return bool(self._log)

    def _drain_piece(self) -> int:
        """As much of the log as is looked at and encoded together; its size, about bytes."""
        log, items, size = self._log, [], 0
        while log and size < _PIECE:
            item = log.popleft()
            items.append(item)
            size += len(item[3]) if isinstance(item[1], WireTap) else 1
        heard = [item[3] for item in items if isinstance(item[1], WireTap) and item[2] == RECEIVED]
        self._looking.calm = not self.redactor.suspicious(b"".join(heard))
        events: list[Event] = []
        for item in items:
            if isinstance(item[1], WireTap):
                self._decode(item, events)
            else:
                self._hold(events)
                events = []
                self._append(*item)
        self._hold(events)
        self._looking.calm = False
        return size

    def _append(self, at: float, kind: type[Event], connection: str | None, fields: dict[str, Any]) -> None:
        id = str(next(self._ids))
        try:
            row = _encode(kind(id=id, at=at, connection=connection, **fields))
        except (TypeError, ValueError) as error:
            # A defect of ours: one fact is lost and says so, the rest goes on.
            text = f"{kind.__name__} could not be recorded: {str(error)!a}"
            kind, row = Noted, _encode(Noted(id=id, at=at, connection=connection, text=text))
        # Whatever a field holds, no secret passes: the encoded row is looked at as a whole.
        row = self.redactor.clean(row)
        self._builder.append_row(row, at, KIND_CODE[kind], connection, -1)
        if self._file is not None:
            self._unwritten.append(row + b"\n")

    def _decode(self, item: tuple[Any, ...], events: list[Event]) -> None:
        """Adds the events of a chunk, or of the end, to those that are not held yet; or holds them and its rows."""
        moment, tap, what, data = item
        at = round(moment - self._start, 6)
        if isinstance(tap, RelayTap):
            if what in (SENT, RECEIVED):
                self.taken += len(data)
            tap.reader = tap.relayed.wire
            if tap.reader is None or what not in (SENT, RECEIVED):
                events += self._relay(tap.relayed, at, what, data)
                return
        elif tap.reader is None:
            tap.reader = WireReader(tap.id, self._ids, self._looking)
        if what == RECEIVED and tap.reader.open:
            self._decode_texts(at, tap.reader, data, events)
        elif what == RECEIVED:
            events += tap.reader.received(at, data)
        elif what == SENT:
            events += tap.reader.sent(at, data)
        else:
            events += tap.reader.ended(at, *data)

    def _decode_texts(self, at: float, reader: WireReader, data: bytes, events: list[Event]) -> None:
        """Text messages become rows without an event between."""
        before, payloads, rest = reader.texts_received(at, data)
        events += before
        if payloads:
            lines = text_lines(self._ids, at, reader.connection, payloads)
            if lines is None:
                events += reader.texts(at, payloads)
            else:
                self._hold(events)
                events.clear()
                kinds, sizes = _RECEIVED * len(payloads), array("q", map(len, payloads))
                self._builder.extend_lines(lines, at, reader.connection, kinds, sizes)
                if self._file is not None:
                    self._unwritten.append(lines)
        events += reader.rest_received(at, rest)

    def _relay(self, relayed: Relayed, at: float, what: int, data: Any) -> list[Event]:
        if what == TOLD:
            return cast("list[Event]", data[0](relayed, at, *data[1]))
        if what == ENDED:
            return relayed.ended(at, *data)
        return relayed.received(at, data) if what == RECEIVED else relayed.sent(at, data)

    def _hold(self, events: list[Event]) -> None:
        if events:
            # Payloads were cleaned by the reader, before they were encoded. A row holds no raw line end.
            lines = _encode_lines(events)
            self._builder.extend(events, lines[:-1].split(b"\n"))
            if self._file is not None:
                self._unwritten.append(lines)

    def _write_lines(self, lines: list[bytes]) -> None:
        """Small pieces together, large ones each by itself: joining those would cost more than writing them."""
        small: list[bytes] = []
        for piece in lines:
            if len(piece) < _ONE_WRITE:
                small.append(piece)
                continue
            self._write(b"".join(small))
            small = []
            self._write(piece)
        self._write(b"".join(small))

    def _write(self, data: bytes) -> None:
        try:
            while data and self._file is not None:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            self.failure = f"{self.path}: {error.strerror}"
            assert self._file is not None
            os.close(self._file)
            self._file = None


_WRITTEN: weakref.WeakSet[Recorder] = weakref.WeakSet()


def being_written() -> set[Path]:
    """The files of this process's recordings that have not ended."""
    return {recorder.path.absolute() for recorder in list(_WRITTEN) if recorder.path is not None}


def _go_on(builder: TraceBuilder, before: Trace) -> None:
    builder.warnings += before.warnings
    columns = (before.at.tolist(), before.kind.tolist(), before.connection_code.tolist(), before.size.tolist())
    for row, at, kind, code, size in zip(before.rows, *columns, strict=True):
        builder.append_row(row, at, kind, before.names[code] if code >= 0 else None, size)


SENT, RECEIVED, ENDED, TOLD = 0, 1, 2, 3


class WireTap:
    """Where one connection hands its bytes over; each call costs one append."""

    __slots__ = ("_append", "_clock", "id", "reader", "recorder")

    def __init__(self, recorder: Recorder, id: str) -> None:
        self.recorder = recorder
        self.id = id
        self.reader: WireReader | None = None
        self._append = recorder._log.append
        self._clock = recorder.clock.monotonic

    def sent(self, data: bytes) -> None:
        """Bytes went from client to server."""
        self._append((self._clock(), self, SENT, data))

    def received(self, data: bytes) -> None:
        """Bytes came from server to client."""
        self._append((self._clock(), self, RECEIVED, data))

    def ended(self, how: str, by: str | None, error: str | None = None) -> None:
        """The transport ended."""
        self._append((self._clock(), self, ENDED, (how, by, error)))

    def record(self, kind: type[Event], **fields: Any) -> None:
        """A fact about this connection that its bytes do not show."""
        self.recorder.record(kind, connection=self.id, **fields)


class RelayTap(WireTap):
    """Where a relay hands over what went through one connection of a client."""

    __slots__ = ("relayed",)

    def __init__(self, recorder: Recorder, reader: Relayed) -> None:
        super().__init__(recorder, "")
        self.relayed = reader

    def sent(self, data: bytes) -> None:
        """Bytes came from the client."""
        self.recorder.put += len(data)
        self._append((self._clock(), self, SENT, data))

    def received(self, data: bytes) -> None:
        """Bytes went to the client."""
        self.recorder.put += len(data)
        self._append((self._clock(), self, RECEIVED, data))

    def tell(self, what: Callable[..., list[Event]], *args: Any) -> None:
        """A fact that the bytes do not show: a method of :class:`Relayed` with what follows the moment."""
        self._append((self._clock(), self, TOLD, (what, args)))
