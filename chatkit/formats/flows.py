"""Flow dumps of mitmproxy (``mitmdump -w``), from the versions before 7, which kept the messages of a WebSocket in a
flow of their own, to today's.

mitmproxy shows messages and close codes with their direction. It shows no pings, and of TCP's end no more than 1006.
"""

from __future__ import annotations

import math
import re
from typing import Any

from chatkit.events import (
    AttemptFailed,
    AttemptStarted,
    CloseReceived,
    CloseSent,
    EndReported,
    FrameReceived,
    FrameSent,
    Logged,
    Noted,
    Opened,
    TcpConnected,
    TlsEstablished,
    UpgradeAnswered,
    UpgradeRequested,
)
from chatkit.formats.collector import Collector
from chatkit.formats.exchanges import Beside, Exchange
from chatkit.formats.source import Options, Source
from chatkit.formats.tnetstring import Dump, loads
from chatkit.trace import Trace
from chatkit.wire.reader import KEEP_BODY

FORMAT = "mitmproxy"
TITLE = "flow dump of mitmproxy"
NOT_VISIBLE = ("pings", "transport-end", "tcp", "compression", "client-side", "server-side")
LONGEST_FLOW = 1 << 27
"""Bytes of one flow."""
SOON = 10.0
"""Seconds from a client's connection to its request, within which the connection was made for it."""

_FIRST_KEYS = (
    b"websocket|response|request|backup|timestamp_created|comment|metadata|marked|is_replay|intercepted|server_conn|"
    b"client_conn|error|id|type|version|mode|messages|close_sender|close_code|close_reason|close_message"
)
_START = re.compile(rb"\d{1,10}:\d{1,2}:(?:" + _FIRST_KEYS + rb")[;,]")

Flow = dict[str, Any]


def sniff(start: bytes) -> bool:
    """Whether a file that begins so is a dump: an object whose first key is one of a flow's."""
    return _START.match(start) is not None


def read(source: Source, options: Options) -> Trace:
    """WebSockets, and the HTTP flows to the same hosts or with the contract's paths."""
    collector = Collector(source, FORMAT, NOT_VISIBLE, options)
    reader, number, damaged = _Reader(collector), 0, []
    with source.open() as stream:
        dump = Dump(stream, LONGEST_FLOW)
        for number, piece in enumerate(dump, 1):
            try:
                reader.take(loads(piece))
            except (ValueError, OverflowError, TypeError, KeyError, IndexError):
                damaged.append(number)
    reader.finish()
    if damaged:
        collector.warn(
            f"{len(damaged):,} flows could not be read, or not to their end; the first is number {damaged[0]}"
        )
    if dump.cut:
        collector.warn(f"the file is cut within flow {number + 1}, which was left out")
    if dump.broken:
        collector.warn(f"after flow {number}, at byte {dump.place:,}, no flow follows: the rest was left out")
    if dump.too_long:
        collector.warn(f"{dump.too_long:,} flows are longer than {LONGEST_FLOW >> 20} MiB and were left out")
    if not reader.connections:
        collector.warn("the dump holds no WebSocket")
    return collector.build()


class _Reader:
    """Turns flow after flow into events."""

    def __init__(self, collector: Collector) -> None:
        self._collector, self._add = collector, collector.add
        self._beside = Beside(collector)
        self._handshakes: dict[str, str] = {}
        """Connections of an old dump whose messages come in a flow of their own, by the id of the handshake."""
        self._count = 0
        self.connections = 0

    def take(self, flow: Any) -> None:
        """One flow.

        Raises:
            ValueError: it is no flow.
        """
        if not isinstance(flow, dict):
            raise ValueError("no object")
        self._count += 1
        kind = _text(flow.get("type")) or "http"
        if kind == "websocket":
            self._old_messages(flow)
        elif kind == "http" and isinstance(flow.get("request"), dict):
            if _is_websocket(flow):
                self._websocket(flow)
            else:
                self._beside.take(_exchange(flow, self._count))

    def finish(self) -> None:
        """After the last flow."""
        self._beside.finish()

    # A WebSocket

    def _websocket(self, flow: Flow) -> None:
        request = flow["request"]
        began = _time(request.get("timestamp_start"))
        if began is None:
            raise ValueError("no time")
        url = _url(request, socket=True)
        id = self._new(url)
        started = _started(flow, began)
        self._add(started, AttemptStarted, id, url=url)
        self._way(id, flow, started)
        headers = _headers(request)
        path, key = _text(request.get("path")), _first(headers, "sec-websocket-key")
        shown = self._collector.redactor.headers(headers)
        self._add(began, UpgradeRequested, id, target=path, headers=shown, key=key)
        opened = self._answer(id, flow, began)
        websocket, error = flow.get("websocket"), flow.get("error")
        if isinstance(error, dict):
            self._error(id, flow, error, opened)
        if isinstance(websocket, dict):
            self._messages(id, websocket, opened or began)
            self._end(id, websocket, opened or began)
        elif (flow_id := _text(flow.get("id"))) and opened is not None:
            self._handshakes[flow_id] = id

    def _new(self, url: str | None) -> str:
        self.connections += 1
        if url is not None:
            self._beside.socket(url)
            self._collector.target = self._collector.target or url
        return str(self.connections)

    def _way(self, id: str, flow: Flow, began: float) -> None:
        """How the proxy came to the server, where it did so for this flow; and who the client is."""
        client, server = _dict(flow.get("client_conn")), _dict(flow.get("server_conn"))
        who = _place(client, "peername", "address")
        if who:
            self._add(began, Noted, id, text=f"the client is {who}, mitmproxy stands in between")
        tried, tcp = _time(server.get("timestamp_start")), _time(server.get("timestamp_tcp_setup"))
        tls = _time(server.get("timestamp_tls_setup", server.get("timestamp_ssl_setup")))
        if tried is not None and tcp is not None and tcp >= began:
            local, peer = _place(server, "sockname", "source_address"), _place(server, "peername", "ip_address")
            peer = peer or _place(server, "address")
            self._add(tcp, TcpConnected, id, local=local, peer=peer, seconds=max(0.0, tcp - tried))
        if tcp is not None and tls is not None and tls >= began:
            version = _text(server.get("tls_version")) or "TLS"
            cipher = _text(server.get("cipher", server.get("cipher_name")))
            self._add(tls, TlsEstablished, id, version=version, cipher=cipher, seconds=max(0.0, tls - tcp))

    def _answer(self, id: str, flow: Flow, began: float) -> float | None:
        """The answer to the upgrade; when it opened, ``None`` when it did not."""
        response = flow.get("response")
        at = _time(response.get("timestamp_start")) if isinstance(response, dict) else None
        if not isinstance(response, dict) or at is None:
            return None
        headers = _headers(response)
        status = _status(response)
        fields: dict[str, Any] = {"status": status, "reason": _text(response.get("reason"))[:200]}
        body = response.get("content") if status != 101 else None
        if isinstance(body, bytes) and body:
            fields["body"] = body[:KEEP_BODY].decode("utf-8", "replace")
        shown = self._collector.redactor.headers(headers)
        self._add(at, UpgradeAnswered, id, headers=shown, seconds=max(0.0, at - began), **fields)
        if status != 101 and not isinstance(flow.get("websocket"), dict):
            self._add(at, AttemptFailed, id, stage="upgrade", error=f"HTTP {status}", status=status)
            return None
        extensions = _first(headers, "sec-websocket-extensions")
        self._add(at, Opened, id, extensions=extensions, subprotocol=_first(headers, "sec-websocket-protocol"))
        return at

    def _error(self, id: str, flow: Flow, error: Flow, opened: float | None) -> None:
        at = _time(error.get("timestamp")) or _time(_dict(flow.get("request")).get("timestamp_start")) or 0.0
        text = _text(error.get("msg"))[:500]
        if opened is not None:
            self._add(at, Logged, id, by="proxy", what="error", text=text)
        elif not isinstance(flow.get("response"), dict):
            self._add(at, AttemptFailed, id, stage=_stage(flow, text), error=text or "error")

    def _messages(self, id: str, websocket: Flow, opened: float) -> None:
        changed = 0
        at = opened
        for message in _list(websocket.get("messages")):
            if not isinstance(message, list) or len(message) < 4:
                raise ValueError("no message")
            kind, from_client, content, when = message[:4]
            at = _time(when) or at
            changed += any(flag is True for flag in message[4:6])
            direction = FrameSent if from_client is True else FrameReceived
            self._collector.message(at, direction, id, _payload(kind, content))
        if changed:
            self._collector.warn(f"connection {id}: mitmproxy dropped or injected {changed:,} of its messages")

    def _end(self, id: str, websocket: Flow, opened: float, by_default: float | None = None) -> None:
        """The end, where the dump was not written before it."""
        code = websocket.get("close_code")
        code = code if isinstance(code, int) and not isinstance(code, bool) and 0 <= code < 65536 else None
        at = _time(websocket.get("timestamp_end")) or by_default
        if code is None and at is None:
            return
        last = [_time(message[3]) for message in _list(websocket.get("messages")) if isinstance(message, list)]
        at = at or max([opened, *(when for when in last if when is not None)])
        client = websocket.get("closed_by_client")
        by = {True: "client", False: "server"}.get(client) if isinstance(client, bool) else None
        reason = _text(websocket.get("close_reason"))[:200]
        if code in (None, 1006) or by is None:
            self._add(at, EndReported, id, code=code, reason=reason, by=by, source="mitmproxy")
        else:
            frame = CloseSent if by == "client" else CloseReceived
            self._add(at, frame, id, code=None if code == 1005 else code, reason=reason)

    def _old_messages(self, flow: Flow) -> None:
        """The second flow of a WebSocket, as dumps of mitmproxy before 7 have it."""
        handshake = _text(_dict(flow.get("metadata")).get("websocket_handshake"))
        id = self._handshakes.pop(handshake, None)
        if id is None:
            id = self._new(None)
            self._collector.warn(f"connection {id}: its opening is not in the dump")
        server = _dict(flow.get("server_conn"))
        sender = _text(flow.get("close_sender"))
        began = _time(server.get("timestamp_start")) or 0.0
        told = {**flow, "closed_by_client": sender == "client" if sender in ("client", "server") else None}
        self._messages(id, told, began)
        ended = _time(server.get("timestamp_end")) or _time(_dict(flow.get("client_conn")).get("timestamp_end"))
        self._end(id, told, began, ended)


def _started(flow: Flow, began: float) -> float:
    """When the client set out: it opens a connection for each WebSocket, and asks for the upgrade at once."""
    came = _time(_dict(flow.get("client_conn")).get("timestamp_start"))
    return came if came is not None and began - SOON <= came <= began else began


def _is_websocket(flow: Flow) -> bool:
    if isinstance(flow.get("websocket"), dict) or _dict(flow.get("metadata")).get("websocket") is True:
        return True
    headers = _headers(flow["request"])
    return (_first(headers, "upgrade") or "").lower() == "websocket" or any(
        name == ":protocol" and value == "websocket" for name, value in headers
    )


def _exchange(flow: Flow, number: int) -> Exchange:
    request, response, error = flow["request"], flow.get("response"), flow.get("error")
    began = _time(request.get("timestamp_start"))
    if began is None:
        raise ValueError("no time")
    exchange = Exchange(f"flow {number}", _url(request, socket=False), began, _text(request.get("method")) or "GET")
    if isinstance(response, dict):
        exchange.answered = _time(response.get("timestamp_start")) or began
        exchange.status = _status(response)
        retry = _first(_headers(response), "retry-after")
        exchange.retry_after = _time(retry) if retry else None
        body = response.get("content")
        if exchange.status >= 400 and isinstance(body, bytes) and body:
            exchange.detail = body[:KEEP_BODY].decode("utf-8", "replace")
    elif isinstance(error, dict):
        exchange.failed = _time(error.get("timestamp")) or began
        exchange.error = _text(error.get("msg"))[:500] or "error"
    return exchange


def _url(request: Flow, *, socket: bool) -> str:
    scheme = _text(request.get("scheme")) or "http"
    if socket:
        scheme = {"http": "ws", "https": "wss"}.get(scheme, scheme)
    host, port = _text(request.get("host")) or "unknown", request.get("port")
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    usual = {"ws": 80, "http": 80, "wss": 443, "https": 443}.get(scheme)
    place = f":{port}" if isinstance(port, int) and 0 < port < 65536 and port != usual else ""
    return f"{scheme}://{host}{place}{_text(request.get('path'))}"


def _stage(flow: Flow, error: str) -> str:
    """The first step that failed, as far as the proxy got."""
    server, lower = _dict(flow.get("server_conn")), error.lower()
    if re.search(r"name or service not known|getaddrinfo|nodename|name resolution|no address associated", lower):
        return "dns"
    if re.search(r"certificate|\btls\b|\bssl\b", lower):
        return "tls"
    return "upgrade" if _time(server.get("timestamp_tcp_setup")) is not None else "tcp"


def _headers(message: Flow) -> list[tuple[str, str]]:
    pairs = [pair for pair in _list(message.get("headers")) if isinstance(pair, list) and len(pair) == 2]
    return [(_text(name), _text(value)) for name, value in pairs]


def _first(headers: list[tuple[str, str]], name: str) -> str | None:
    return next((value for key, value in headers if key.lower() == name), None)


def _status(response: Flow) -> int:
    status = response.get("status_code", response.get("code"))
    return status if isinstance(status, int) and not isinstance(status, bool) and 0 <= status < 1000 else 0


def _payload(kind: Any, content: Any) -> str | bytes:
    """Text of a message of type 1, bytes of others; old dumps hold text as text."""
    if isinstance(content, str):
        return content
    raw = content if isinstance(content, bytes) else b""
    if kind != 1:
        return raw
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw


def _place(connection: Flow, *names: str) -> str:
    """``host:port`` of the first of these addresses that is there; very old dumps wrap them once more."""
    for name in names:
        address = connection.get(name)
        address = address.get("address") if isinstance(address, dict) else address
        if isinstance(address, list) and len(address) >= 2:
            host = _text(address[0])
            return f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"
    return ""


def _time(value: Any) -> float | None:
    """A finite number that can be a time."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and 0 <= number < 1e11 else None


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def _dict(value: Any) -> Flow:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
