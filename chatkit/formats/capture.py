"""Packets of a capture, whatever the container, on their way to a trace: flows, connections, what matters of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from msgspec import structs

from chatkit.events import AttemptFailed, AttemptStarted, Event, FrameReceived
from chatkit.formats.collector import Collector
from chatkit.formats.purposes import purpose
from chatkit.redact import Looking, Redactor
from chatkit.wire.conversation import Conversation
from chatkit.wire.ip import ACK, RST, SYN, Network, endpoint, named, turned
from chatkit.wire.tls import KeyLog

if TYPE_CHECKING:
    from chatkit.formats.source import Options, Source
    from chatkit.trace import Trace

MOST_FLOWS = 100_000
"""Connections that are held at a time; beyond it the oldest that carry no WebSocket go."""
_MOST_FAILED = 10_000
"""Failed attempts that wait until it is known whether their port matters."""
_BATCH = 256
"""Events that are handed on together."""
_Flow = tuple[Conversation, int, Callable[[int, float, int, int, int, bytes, int, int, int], None]]
"""A connection, which side sends here, and what takes its segments."""
_Failed = tuple[Conversation, float, str]


def _cleaned(events: list[Event], redactor: Redactor) -> list[Event]:
    """The same events, messages of the server without secrets: one look at all of them is nearly always enough."""
    texts = [event.text for event in events if type(event) is FrameReceived and event.text]
    if not texts or not redactor.suspicious("\n".join(texts).encode()):
        return events
    return [
        structs.replace(event, text=redactor.text(event.text)) if type(event) is FrameReceived and event.text else event
        for event in events
    ]


class Capture:
    """Reads packets; is the sink of all conversations in them.

    Args:
        source: the file.
        format: name of its container.
        not_visible: what a capture cannot show.
        options: how to read it.
    """

    def __init__(self, source: Source, format: str, not_visible: Collection[str], options: Options) -> None:
        self._collector = Collector(source, format, not_visible, options)
        self.ids: Iterator[int] = itertools.repeat(0)
        # Whole messages in clear are looked at later, many in one go: see ``_cleaned``.
        self.redactor: Redactor = Looking(options.redactor, calm=True)
        self.keys: KeyLog | None = None
        if options.keylog is not None:
            self.add_keys(options.keylog)
        self._network = Network()
        self._flows: dict[bytes, _Flow] = {}
        self._sweep_at = 2 * MOST_FLOWS
        self._events: list[Event] = []
        self._base = 0
        self._numbers = itertools.count(1)
        self._exchanges = itertools.count(1)
        self._ports: set[int] = set()
        self._failed: list[_Failed] = []
        self._said: set[str] = set()

    def add_keys(self, log: bytes) -> None:
        """Takes TLS keys.

        Raises:
            MissingDependency: ``cryptography`` is not installed.
        """
        self.keys = self.keys or KeyLog()
        self.keys.add(log)

    def read(self, packets: Iterable[tuple[int, float, bytes, int, int, int]]) -> None:
        """Takes all packets: seconds, the rest of the time, a block of bytes, place in it (start, end), link type."""
        segment, flows = self._network.segment, self._flows
        base, last = None, 0.0
        for seconds, rest, block, start, end, link in packets:
            if base is None:
                base = self._base = seconds
            last = seconds - base + rest
            found = segment(block, start, end, link)
            if found is None:
                continue
            key, seq, ack, flags, data, first, stop, missing = found
            flow = flows.get(key)
            if flow is None:
                if not flags & SYN and (first >= stop or flags & RST):
                    continue  # nothing can be told of it
                flow = self._begin(key, flags)
            elif flags & (SYN | ACK) == SYN and flow[0].tcp.renewed(flow[1], seq):
                flow[0].tcp.finish(last)
                flow = self._begin(key, flags)
            flow[2](flow[1], last, seq, ack, flags, data, first, stop, missing)
        for conversation, side, _ in list(flows.values()):
            if side == 0:
                conversation.tcp.finish(last)
        self._last_failures()

    def build(self) -> Trace:
        """What the capture tells."""
        self._hand_on()
        for link, count in sorted(self._network.unknown.items()):
            self._collector.warn(f"{count:,} packets of link type {link}, which is not read, were left out")
        if not len(self._collector):
            self._collector.warn("no WebSocket, no TLS and no HTTP/1.1 was found in the capture")
        return self._collector.build()

    def _begin(self, key: bytes, flags: int) -> _Flow:
        """A connection whose first packet this is; without a SYN the higher port is taken for the client's."""
        if len(self._flows) >= self._sweep_at:
            self._sweep()
        source, port, destination, other = named(key)
        side = 0
        if flags & SYN:
            side = 1 if flags & ACK else 0
        elif port < other:
            side = 1
        ends, ports = [endpoint(source, port), endpoint(destination, other)], [port, other]
        if side:
            ends.reverse()
            ports.reverse()
        conversation = Conversation(self, (ends[0], ends[1]), (ports[0], ports[1]))
        take = conversation.tcp.segment
        self._flows[key] = (conversation, side, take)
        self._flows[turned(key)] = (conversation, 1 - side, take)
        return self._flows[key]

    def _sweep(self) -> None:
        """Forgets connections that are done; of too many living ones the oldest that do not matter."""
        done = [key for key, (conversation, _, _) in self._flows.items() if conversation.tcp.done]
        for key in done:
            del self._flows[key]
        if len(self._flows) > MOST_FLOWS:
            self.warn("more connections at a time than can be held: some that carried no WebSocket were left out")
            idle = [key for key, (conversation, _, _) in self._flows.items() if conversation.id is None]
            for key in idle[: len(self._flows) - MOST_FLOWS]:
                self._flows.pop(key)[0].ignore()
        self._sweep_at = max(2 * MOST_FLOWS, len(self._flows) * 5 // 4)

    # What conversations tell

    def put(self, events: list[Event]) -> None:
        """Takes events, cleaned."""
        self._events += events
        if len(self._events) >= _BATCH:
            self._hand_on()

    def _hand_on(self) -> None:
        events, self._events = self._events, []
        self._collector.extend(self._base, _cleaned(events, self._collector.redactor))

    def number(self, port: int) -> str:
        """The next id; attempts that failed at that port before get theirs first."""
        if port not in self._ports:
            self._ports.add(port)
            waiting = [one for one in self._failed if one[0].port == port]
            self._failed = [one for one in self._failed if one[0].port != port]
            for failed in waiting:
                self._tell_failed(failed)
        return str(next(self._numbers))

    def exchange(self) -> str:
        """An id for an HTTP exchange."""
        return str(next(self._exchanges))

    def purpose(self, method: str, target: str) -> str:
        """What an HTTP exchange is for."""
        return purpose(method, target)

    def warn(self, text: str) -> None:
        """Notes what a reader should know, once."""
        if text not in self._said and len(self._said) < 1000:
            self._said.add(text)
            self._collector.warn(text)

    def hide(self, word: str) -> None:
        """Notes what this capture cannot show."""
        self._collector.not_visible.add(word)

    def failed(self, conversation: Conversation, at: float, error: str) -> None:
        """An attempt that brought no TCP connection; it matters where a WebSocket was seen at that port."""
        failed = (conversation, at, error)
        if conversation.port in self._ports:
            self._tell_failed(failed)
        elif len(self._failed) < _MOST_FAILED:
            self._failed.append(failed)

    def _tell_failed(self, failed: _Failed) -> None:
        conversation, at, error = failed
        id = str(next(self._numbers))
        started, url = conversation.tcp.syn_at, f"tcp://{conversation.peer}"
        self.put(
            [
                AttemptStarted(id="", at=started, connection=id, url=url),
                AttemptFailed(id="", at=at, connection=id, stage="tcp", error=error),
            ]
        )

    def _last_failures(self) -> None:
        """Without any WebSocket in the capture, all that failed may be what one looks for."""
        if self._ports or not self._failed:
            return
        self.warn("no WebSocket was seen in the capture: attempts that failed are shown for every port")
        for failed in self._failed:
            self._tell_failed(failed)
        self._failed = []
