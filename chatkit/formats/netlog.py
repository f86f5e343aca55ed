"""Chrome's NetLog (``--log-net-log``, ``chrome://net-export``): what the browser's network stack did, entry by entry.

It shows the header of every frame and none of their payloads: that a close frame came, who sent the first one, whether
it is without code, but not its code; that none came, and then the end is what a browser reports as 1006.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from chatkit.events import (
    AttemptFailed,
    AttemptStarted,
    CloseReceived,
    CloseSent,
    EndReported,
    Event,
    FrameReceived,
    FrameSent,
    Logged,
    NameResolved,
    Opened,
    PingReceived,
    PingSent,
    PongReceived,
    PongSent,
    ProtocolFailed,
    TcpConnected,
    TlsEstablished,
    TransportEnded,
    UpgradeAnswered,
    UpgradeRequested,
)
from chatkit.formats.collector import Collector
from chatkit.formats.exchanges import Beside, Exchange
from chatkit.formats.netlog_paths import Controller, Handler, Paths, StreamJob
from chatkit.formats.netlog_stream import (
    Constants,
    Entry,
    NetLogStream,
    Params,
    first_field,
    headers_of,
    number_of,
    status_of,
)
from chatkit.formats.source import Options, Source
from chatkit.trace import Trace

FORMAT = "netlog"
TITLE = "Chrome NetLog"
NOT_VISIBLE = ("payloads", "close-code", "tcp", "client-side", "server-side")

_HANDSHAKE_BROKE = re.compile(r"response code: (\d{3})\b")
_UPGRADED = "ERR_WS_UPGRADE"
_OPCODES = {0: "continuation", 1: "text", 2: "binary"}
_CLOSE, _PING, _PONG = 8, 9, 10


def sniff(start: bytes) -> bool:
    """Whether a file that begins so is a NetLog: its constants come first."""
    head = start.lstrip()
    if not head.startswith(b"{") or not re.match(rb'\{\s*"constants"\s*:\s*\{', head):
        return False
    return any(word in head for word in (b'"activeFieldTrialGroups"', b'"logEventTypes"', b'"addressFamily"'))


def read(source: Source, options: Options) -> Trace:
    """The WebSockets of a NetLog, and the HTTP requests to the same hosts or with the contract's paths.

    Raises:
        ImportFailed: the constants are missing or damaged.
    """
    collector = Collector(source, FORMAT, NOT_VISIBLE, options)
    with source.open() as stream:
        log = NetLogStream(stream, source.name, options.redactor)
        reader = _Reader(collector, log.constants)
        for entry in log.entries(reader.handlers, reader.only):
            reader.take(entry)
    reader.finish()
    for warning in _warnings(log, reader):
        collector.warn(warning)
    return collector.build()


def _warnings(log: NetLogStream, reader: _Reader) -> Iterator[str]:
    damage = log.damage + reader.odd
    if damage:
        where = f", the first is number {log.damaged[0]}" if log.damaged else ""
        yield f"{damage:,} entries could not be read and were left out{where}"
    if log.cut:
        yield f"the file is cut after entry {log.count:,}: the entry behind it was left out"
    elif not log.ended:
        yield f"the file has no end: the browser still wrote or was killed after entry {log.count:,}"
    if not reader.connections:
        yield "the log holds no WebSocket: it was recorded while none was opened or used"


class _WebSocket(Struct, eq=False):
    """One WebSocket as far as the log has gone."""

    id: str
    url: str | None
    began: float
    controller: Controller | None = None
    job: StreamJob | None = None
    started: bool = False
    """Whether its beginning stands in the trace."""
    requested: float | None = None
    answered: tuple[float, int, list[tuple[str, str]]] | None = None
    open: bool = False
    over: bool = False
    closed_by: str | None = None
    """Who sent the first close frame."""
    bare: bool = False
    """Whether all close frames so far were without payload."""
    failure: tuple[int, str] | None = None
    """Code and reason of the close frame that the browser is about to send."""
    pinged: float | None = None
    """When the one ping came that waits for its pong."""


class _Reader:
    """Follows the entries and adds events."""

    def __init__(self, collector: Collector, constants: Constants) -> None:
        self._add = collector.add
        self._collector = collector
        self._offset = number_of(constants.timeTickOffset)
        if self._offset is None:
            collector.warn("the log does not say when its clock began: its times count from the start of that computer")
        phases = constants.logEventPhase
        self._begin, self._end = phases.get("PHASE_BEGIN", 1), phases.get("PHASE_END", 2)
        self._paths = Paths(self._begin, self._end)
        self._errors = {number: name for name, number in constants.netError.items()}
        self.handlers: dict[int, Handler] = {
            constants.logEventTypes[name]: handler
            for name, handler in self._by_name().items()
            if name in constants.logEventTypes
        }
        read = constants.logEventTypes.get("SOCKET_BYTES_RECEIVED")
        self.only = {} if read is None else {read: b'"byte_count":0'}
        """Of what was read from sockets only the end matters."""
        self._names = {number: name for name, number in constants.logEventTypes.items()}
        self.connections = 0
        self.odd = 0
        """Entries with values that nothing can have."""
        self._websockets: dict[int, _WebSocket] = {}
        self._requests: dict[int, Exchange] = {}
        self._beside = Beside(collector)

    def _by_name(self) -> dict[str, Handler]:
        return {
            **self._paths.handlers(),
            "REQUEST_ALIVE": self._request,
            "URL_REQUEST_START_JOB": self._start,
            "CANCELLED": self._cancelled,
            "HTTP_STREAM_JOB_CONTROLLER_BOUND": self._controller,
            "HTTP_STREAM_REQUEST_BOUND_TO_JOB": self._bound,
            "SOCKET_ALIVE": self._socket,
            "HTTP_TRANSACTION_SEND_REQUEST_HEADERS": self._sent_headers,
            "HTTP_TRANSACTION_HTTP2_SEND_REQUEST_HEADERS": self._sent_headers,
            "HTTP_TRANSACTION_READ_RESPONSE_HEADERS": self._read_headers,
            "WEBSOCKET_UPGRADE_FAILURE": self._upgrade_failed,
            "WEBSOCKET_SENT_FRAME_HEADER": self._frame_sent,
            "WEBSOCKET_RECV_FRAME_HEADER": self._frame_received,
            "WEBSOCKET_INVALID_FRAME": self._invalid,
            "WEBSOCKET_CLOSE_TIMEOUT": self._close_timeout,
            "WEBSOCKET_STATE_CHANGED": self._channel,
            "SOCKET_BYTES_RECEIVED": self._bytes_received,
            "SOCKET_READ_ERROR": self._socket_error,
            "SOCKET_WRITE_ERROR": self._socket_error,
            "SOCKET_CLOSED": self._socket_closed,
            "NETWORK_CHANGED": self._network,
            "NETWORK_IP_ADDRESSES_CHANGED": self._network,
            "NETWORK_CONNECTIVITY_CHANGED": self._network,
        }

    def take(self, entry: Entry) -> None:
        """One entry of a type in ``handlers``."""
        ticks = number_of(entry.time)
        if ticks is None:
            self.odd += 1
            return
        self.handlers[entry.type](((self._offset or 0.0) + ticks) / 1000, entry, entry.params or _NOTHING)

    def finish(self) -> None:
        """After the last entry: what was still under way."""
        for live in self._websockets.values():
            self._start_of(live)
            self._open(live)
        for exchange in self._requests.values():
            self._beside.take(exchange)
        self._beside.finish()

    # Requests

    def _request(self, wall: float, entry: Entry, params: Params) -> None:
        id = entry.source.id
        if entry.phase == self._begin and params.url:
            if params.url[:6].lower().startswith(("ws://", "wss://")):
                self._websockets[id] = self._new(params.url, wall)
            elif params.url[:5].lower() == "http:" or params.url[:6].lower() == "https:":
                self._requests[id] = Exchange(str(id), params.url, wall)
        elif entry.phase == self._end:
            if id in self._websockets:
                self._attempt_ended(wall, self._websockets[id], params.net_error)
            elif (exchange := self._requests.pop(id, None)) is not None:
                self._exchange_ended(wall, exchange, params.net_error)

    def _new(self, url: str | None, wall: float) -> _WebSocket:
        self.connections += 1
        if url is not None:
            self._beside.socket(url)
            self._collector.target = self._collector.target or url
        return _WebSocket(str(self.connections), url, wall)

    def _start(self, wall: float, entry: Entry, params: Params) -> None:
        request = self._requests.get(entry.source.id)
        if request is not None and entry.phase == self._begin and params.method:
            request.method = params.method

    def _exchange_ended(self, wall: float, exchange: Exchange, error: int) -> None:
        if exchange.answered is None and error:
            exchange.failed, exchange.error = wall, self._error(error)
        if exchange.answered is not None or error:  # else the cache answered, and nobody was asked
            self._beside.take(exchange)

    # The way to a socket

    def _controller(self, wall: float, entry: Entry, params: Params) -> None:
        live = self._websockets.get(entry.source.id)
        if live is not None and params.source_dependency is not None:
            live.controller = self._paths.controllers[params.source_dependency.id]

    def _bound(self, wall: float, entry: Entry, params: Params) -> None:
        live = self._websockets.get(entry.source.id)
        if live is not None and params.source_dependency is not None:
            live.job = self._paths.jobs[params.source_dependency.id]
            self._start_of(live)
            if live.job.socket is not None:
                live.job.socket.users.append(live)

    def _socket(self, wall: float, entry: Entry, params: Params) -> None:
        if entry.phase == self._begin:
            self._paths.socket_made(entry, params)
        elif entry.phase == self._end:
            self._socket_closed(wall, entry, params)
            self._paths.sockets.pop(entry.source.id, None)

    # The attempt

    def _start_of(self, live: _WebSocket) -> None:
        """Its attempt with what led to the socket, once."""
        if live.started or live.url is None:
            return
        live.started = True
        proxy = live.controller.proxy if live.controller is not None else None
        self._add(live.began, AttemptStarted, live.id, url=live.url, proxy=proxy)
        job = _job(live)
        if job is None:
            return
        lookup, socket = job.lookup, job.last_socket
        if lookup is not None and lookup.ended and not lookup.error and lookup.addresses:
            self._fact(live, NameResolved, lookup.began, lookup.ended, host=lookup.host, addresses=lookup.addresses)
        if socket is not None and socket.ended and not socket.error:
            self._fact(live, TcpConnected, socket.began, socket.ended, local=socket.local, peer=socket.peer)
        if socket is not None and socket.tls_ended and not socket.tls_error:
            tls = {"version": socket.version or "TLS", "cipher": socket.cipher}
            self._fact(live, TlsEstablished, socket.tls_began, socket.tls_ended, **tls)

    def _fact(self, live: _WebSocket, kind: type[Event], began: float | None, ended: float, **fields: Any) -> None:
        """A step of this attempt; a connection that was there before is none."""
        if began is not None and ended >= live.began:
            self._add(ended, kind, live.id, seconds=max(0.0, ended - began), **fields)

    def _sent_headers(self, wall: float, entry: Entry, params: Params) -> None:
        live = self._websockets.get(entry.source.id)
        if live is None or live.requested is not None:
            return
        self._start_of(live)
        live.requested = wall
        headers = headers_of(params.headers)
        target = params.line.split(" ")[1] if params.line.count(" ") else first_field(headers, ":path") or ""
        fields = [(name, value) for name, value in headers if name != ":path"]
        redactor = self._collector.redactor
        key = first_field(headers, "sec-websocket-key")
        self._add(wall, UpgradeRequested, live.id, target=target, headers=redactor.headers(fields), key=key)

    def _read_headers(self, wall: float, entry: Entry, params: Params) -> None:
        lines = params.headers if isinstance(params.headers, list) else []
        status, reason = status_of(lines[0] if lines else "")
        headers = headers_of(lines[1:])
        request = self._requests.get(entry.source.id)
        if request is not None:
            request.answered, request.status = wall, status
            request.retry_after = number_of(first_field(headers, "retry-after") or "")
        live = self._websockets.get(entry.source.id)
        if live is None or live.answered is not None:
            return
        self._start_of(live)
        live.answered = wall, status, headers
        seconds = max(0.0, wall - live.requested) if live.requested is not None else None
        fields = self._collector.redactor.headers(headers)
        self._add(wall, UpgradeAnswered, live.id, status=status, reason=reason, headers=fields, seconds=seconds)

    def _open(self, live: _WebSocket) -> None:
        """It is open if the answer was yes and nothing was wrong with it."""
        if live.open or live.over or live.answered is None:
            return
        wall, status, headers = live.answered
        if status == 101 or 200 <= status < 300:  # over HTTP/2 and HTTP/3 200 is yes (RFC 8441, section 5)
            live.open = True
            extensions = first_field(headers, "sec-websocket-extensions")
            protocol = first_field(headers, "sec-websocket-protocol")
            self._add(wall, Opened, live.id, extensions=extensions or None, subprotocol=protocol)

    def _cancelled(self, wall: float, entry: Entry, params: Params) -> None:
        live = self._websockets.get(entry.source.id)
        if live is not None and self._errors.get(params.net_error) == _UPGRADED:
            self._open(live)

    def _attempt_ended(self, wall: float, live: _WebSocket, error: int) -> None:
        """The request is over: handed over to the WebSocket, or failed."""
        if self._errors.get(error) == _UPGRADED or live.open:
            self._open(live)
        elif not live.over:
            self._failed(wall, live, self._stage(live, error), self._error(error))

    def _upgrade_failed(self, wall: float, entry: Entry, params: Params) -> None:
        live = self._websockets.get(entry.source.id)
        if live is not None and not live.over:
            match = _HANDSHAKE_BROKE.search(params.message)
            stage = "upgrade" if live.requested is not None else self._stage(live, params.net_error)
            text = params.message[:500] or self._error(params.net_error)
            self._failed(wall, live, stage, text, int(match.group(1)) if match else None)

    def _failed(self, wall: float, live: _WebSocket, stage: str, error: str, status: int | None = None) -> None:
        self._start_of(live)
        live.over = True
        self._add(wall, AttemptFailed, live.id, stage=stage, error=error, status=status)

    def _stage(self, live: _WebSocket, error: int) -> str:
        """The first step that failed, or was under way."""
        if live.requested is not None:
            return "upgrade"
        job = _job(live)
        socket = job.last_socket if job is not None else None
        if socket is not None and socket.tls_began is not None:
            return "tls"
        if socket is not None and socket.began is not None:
            return "tcp"
        looking = job is not None and job.lookup is not None and (job.lookup.ended is None or job.lookup.error != 0)
        name = self._errors.get(error, "")
        if looking or name.startswith(("ERR_NAME_", "ERR_DNS_", "ERR_ICANN_")):
            return "dns"
        return "tls" if name.startswith(("ERR_CERT_", "ERR_SSL_")) else "tcp"

    def _error(self, number: int) -> str:
        name = self._errors.get(number)
        return f"net::{name}" if name else f"net error {number}" if number else "ended without an answer"

    # Frames

    def _frame_sent(self, wall: float, entry: Entry, params: Params) -> None:
        live = self._living(wall, entry)
        if params.opcode == _CLOSE and live.failure is not None and live.closed_by is None:
            live.closed_by = "client"
            self._add(wall, CloseSent, live.id, code=live.failure[0], reason=live.failure[1])
        elif params.opcode == _PONG:
            delay = max(0.0, wall - live.pinged) if live.pinged is not None else None
            live.pinged = None
            self._add(wall, PongSent, live.id, delay=delay)
        else:
            self._frame(wall, live, params, FrameSent, PingSent, "client")

    def _frame_received(self, wall: float, entry: Entry, params: Params) -> None:
        live = self._living(wall, entry)
        if params.opcode == _PING:
            # Of several pings at once nobody can say which one a pong answers.
            live.pinged = wall if live.pinged is None else None
        if params.opcode == _PONG:
            self._add(wall, PongReceived, live.id)
        else:
            self._frame(wall, live, params, FrameReceived, PingReceived, "server")

    def _frame(
        self, wall: float, live: _WebSocket, params: Params, data: type[Event], ping: type[Event], by: str
    ) -> None:
        opcode = _OPCODES.get(params.opcode)
        if opcode is not None and 0 <= params.payload_length < 1 << 62:
            size, final, compressed = params.payload_length, params.final, params.reserved1
            self._add(wall, data, live.id, opcode=opcode, size=size, fin=final, compressed=compressed)
        elif params.opcode == _PING:
            self._add(wall, ping, live.id)
        elif params.opcode == _CLOSE:
            self._close(wall, live, by, bare=params.payload_length == 0)
        else:
            self.odd += 1

    def _close(self, wall: float, live: _WebSocket, by: str, *, bare: bool) -> None:
        """A close frame: without payload it has no code, and that is all there is to know; else the code is hidden."""
        first = live.closed_by is None
        live.closed_by = live.closed_by or by
        live.bare = bare and (first or live.bare)
        if live.bare:
            self._add(wall, CloseSent if by == "client" else CloseReceived, live.id)
        elif first:
            self._add(wall, EndReported, live.id, by=by, source="NetLog")

    def _living(self, wall: float, entry: Entry) -> _WebSocket:
        live = self._websockets.get(entry.source.id)
        if live is None:
            live = self._websockets[entry.source.id] = self._new(None, wall)
            live.open = True
            self._collector.warn(f"connection {live.id} was open before the log began: its opening is not in it")
        self._start_of(live)
        self._open(live)
        return live

    def _invalid(self, wall: float, entry: Entry, params: Params) -> None:
        live = self._websockets.get(entry.source.id)
        if live is not None:
            detail = params.internal_reason or params.reason or "the browser refused a frame"
            self._add(wall, ProtocolFailed, live.id, by="server", detail=detail[:500])
            if 1000 <= params.code < 5000:
                live.failure = params.code, params.reason[:200]

    def _close_timeout(self, wall: float, entry: Entry, params: Params) -> None:
        live = self._websockets.get(entry.source.id)
        if live is not None:
            text = "the browser stopped waiting for the other side to finish closing"
            self._add(wall, Logged, live.id, by="client", what="close-timeout", text=text)

    # Ends

    def _bytes_received(self, wall: float, entry: Entry, params: Params) -> None:
        if params.byte_count == 0:
            self._socket_ended(wall, entry, "fin", "server", None)

    def _socket_error(self, wall: float, entry: Entry, params: Params) -> None:
        error = self._error(params.net_error)
        name = self._errors.get(params.net_error, "")
        if name == "ERR_CONNECTION_RESET":
            self._socket_ended(wall, entry, "rst", "server", error)
        elif name in ("ERR_CONNECTION_TIMED_OUT", "ERR_TIMED_OUT"):
            self._socket_ended(wall, entry, "timeout", None, error)
        elif name == "ERR_CONNECTION_CLOSED":
            self._socket_ended(wall, entry, "fin", "server", error)
        else:
            self._socket_ended(wall, entry, "local", "client", error)

    def _socket_closed(self, wall: float, entry: Entry, params: Params) -> None:
        self._socket_ended(wall, entry, "local", "client", None)

    def _socket_ended(self, wall: float, entry: Entry, how: str, by: str | None, error: str | None) -> None:
        socket = self._paths.sockets.get(entry.source.id)
        for live in socket.users if socket is not None else ():
            self._open(live)
            if live.open and not live.over:
                live.over = True
                self._add(wall, TransportEnded, live.id, how=how, by=by, error=error)
                self._report_end(wall, live, by)

    def _report_end(self, wall: float, live: _WebSocket, by: str | None) -> None:
        if live.closed_by is None:
            self._add(wall, EndReported, live.id, code=1006, by=by, source="NetLog")

    def _channel(self, wall: float, entry: Entry, params: Params) -> None:
        """The end of a WebSocket whose socket is not known: the channel's number is one below its request's."""
        live = self._websockets.get(entry.source.id + 1)
        if live is None or params.new_state != "CLOSED" or live.over or not live.open:
            return
        if live.job is None or live.job.socket is None:
            live.over = True
            self._report_end(wall, live, None)

    def _network(self, wall: float, entry: Entry, params: Params) -> None:
        text = self._names[entry.type]
        if isinstance(params.new_connection_type, str):
            text += f" {params.new_connection_type[:60]}"
        self._add(wall, Logged, by="client", what="network-changed", text=text)


_NOTHING = Params()


def _job(live: _WebSocket) -> StreamJob | None:
    if live.job is not None or live.controller is None:
        return live.job
    return live.controller.jobs[0] if live.controller.jobs else None
