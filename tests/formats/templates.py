"""A small file of every format, with slots for whatever a test wants to stand in it.

A template is ``NAME(slot) -> bytes``; ``slot(place, kind)`` gives the text for a place: ``kind`` is ``text`` (free
text of one line), ``query`` (inside a URL's query, quoted), ``header`` (value of a credential's header) or ``word``
(no blanks). ``TEMPLATES`` has one for each format's name; a new format needs a function and a line there.
"""

from __future__ import annotations

import base64
import io
import json
import struct
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Slot = Callable[[str, str], str]
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
START = 1_795_449_725.0


def _url(slot: Slot, scheme: str = "ws", path: str = "/api/ws/chat/storyteller") -> str:
    return f"{scheme}://chat.example:8000{path}?{slot('query of ' + path, 'query')}"


def _target(slot: Slot, path: str = "/api/ws/chat/storyteller") -> str:
    return f"{path}?{slot('query of target ' + path, 'query')}"


def _headers(slot: Slot) -> list[tuple[str, str]]:
    return [
        ("Host", "chat.example:8000"),
        ("Authorization", slot("authorization", "header")),
        ("Cookie", slot("cookie", "header")),
        ("X-Odd", slot("odd header", "text")),
        ("Sec-WebSocket-Key", KEY),
    ]


def chatkit(slot: Slot) -> bytes:
    """Our own recording, which somebody has edited."""
    lines: list[dict[str, Any]] = [
        {
            "schema": "chatkit.trace/1",
            "origin": {"kind": "live", "target": _url(slot)},
            "epoch": START,
        },
        {"type": "AttemptStarted", "id": "0", "at": 0.0, "connection": "1", "url": _url(slot)},
        {
            "type": "UpgradeRequested",
            "id": "1",
            "at": 0.1,
            "connection": "1",
            "target": _target(slot),
            "headers": _headers(slot),
        },
        {"type": "Opened", "id": "2", "at": 0.2, "connection": "1"},
        {"type": "FrameSent", "id": "3", "at": 0.3, "connection": "1", "size": 9, "text": slot("frame", "text")},
        {
            "type": "CloseReceived",
            "id": "4",
            "at": 0.4,
            "connection": "1",
            "code": 4001,
            "reason": slot("reason", "text"),
        },
        {"type": "Noted", "id": "5", "at": 0.5, "text": slot("note", "text")},
    ]
    return b"\n".join(json.dumps(line).encode() for line in lines) + b"\n"


def har(slot: Slot) -> bytes:
    """Chrome's: a WebSocket, a refused one, and HTTP beside."""
    pairs = [{"name": name, "value": value} for name, value in _headers(slot)]
    messages = [
        {"type": "send", "time": START + 1, "opcode": 1, "data": slot("sent text", "text")},
        {"type": "receive", "time": START + 2, "opcode": 1, "data": slot("received text", "text")},
        {
            "type": "receive",
            "time": START + 3,
            "opcode": 2,
            "data": base64.b64encode(slot("binary", "text").encode()).decode(),
        },
    ]
    refused = [{"type": "error", "time": START + 9, "opcode": -1, "data": slot("error", "text")}]

    def entry(url: str, status: int, socket: list[dict[str, Any]] | None, **more: Any) -> dict[str, Any]:
        made: dict[str, Any] = {
            "startedDateTime": "2026-11-23T16:02:05.000Z",
            "time": 4000,
            "request": {
                "method": "GET", "url": url, "headers": pairs, "httpVersion": "HTTP/1.1",
                "cookies": [{"name": "sid", "value": slot("cookie entry", "word")}],
                "queryString": [{"name": "token", "value": slot("query entry", "word")}],
                "headersSize": -1, "bodySize": 0,
                "postData": {"mimeType": "application/json", "text": slot("post", "text")},
            },
            "response": {
                "status": status, "statusText": slot("status text", "text"), "headers": pairs, "cookies": [],
                "content": {"size": 3, "mimeType": "application/json", "text": slot("body", "text")},
                "httpVersion": "HTTP/1.1", "redirectURL": "", "headersSize": -1, "bodySize": 3,
            },
            "cache": {}, "timings": {"send": 0, "wait": 1, "receive": 1},
        }  # fmt: skip
        if socket is not None:
            made |= {"_resourceType": "websocket", "_webSocketMessages": socket}
        return made | more

    close = {"_webSocketClose": {"code": 4001, "reason": slot("close reason", "text"), "timestamp": START + 4}}
    entries = [
        entry(_url(slot), 101, messages, **close),
        entry(_url(slot), 0, refused),
        entry(_url(slot, "http", "/api/auth/login"), 401, None),
    ]
    creator = {"name": "WebInspector", "version": "537.36"}
    return json.dumps(
        {"log": {"version": "1.2", "creator": creator, "entries": entries, "comment": slot("comment", "text")}}
    ).encode()


def netlog(slot: Slot) -> bytes:
    """Chrome's network log of one WebSocket that opened and one that was refused."""
    types = [
        "REQUEST_ALIVE", "URL_REQUEST_START_JOB", "HTTP_TRANSACTION_SEND_REQUEST_HEADERS",
        "HTTP_TRANSACTION_READ_RESPONSE_HEADERS", "WEBSOCKET_SENT_FRAME_HEADER", "WEBSOCKET_RECV_FRAME_HEADER",
        "WEBSOCKET_UPGRADE_FAILURE", "WEBSOCKET_ALIVE", "WEBSOCKET_INVALID_FRAME", "CANCELLED", "FAILED",
        "WEBSOCKET_UPGRADE_SUCCESS", "WEBSOCKET_STATE_CHANGED",
    ]  # fmt: skip
    number = {name: n for n, name in enumerate(types)}
    constants = {
        "logEventTypes": number,
        "logSourceType": {"NONE": 0, "URL_REQUEST": 1, "WEBSOCKET_CHANNEL": 2},
        "logEventPhase": {"PHASE_NONE": 0, "PHASE_BEGIN": 1, "PHASE_END": 2},
        "netError": {"ERR_ABORTED": -3, "ERR_CONNECTION_RESET": -101},
        "timeTickOffset": int(START * 1000),
        "activeFieldTrialGroups": [],
        "clientInfo": {"command_line": slot("command line", "text"), "name": "Chrome"},
    }

    def event(at: int, name: str, source: int, phase: int = 0, **params: Any) -> dict[str, Any]:
        kind = 2 if source % 10 == 0 else 1
        where = {"id": source, "type": kind, "start_time": "0"}
        return {"time": str(at), "type": number[name], "phase": phase, "source": where, "params": params}

    head = [f"{name}: {value}" for name, value in _headers(slot)]
    frame = {
        "final": True,
        "reserved1": False,
        "reserved2": False,
        "reserved3": False,
        "opcode": 1,
        "masked": True,
        "payload_length": 9,
    }
    events = []
    for base in (10, 20):
        events += [
            event(base, "WEBSOCKET_ALIVE", base, 1),
            event(base, "REQUEST_ALIVE", base + 1, 1, url=_url(slot)),
            event(base, "URL_REQUEST_START_JOB", base + 1, 1, url=_url(slot), method="GET"),
            event(
                base + 1,
                "HTTP_TRANSACTION_SEND_REQUEST_HEADERS",
                base + 1,
                0,
                headers=head,
                line=f"GET {_target(slot)} HTTP/1.1\r\n",
            ),
        ]
    events += [
        event(30, "HTTP_TRANSACTION_READ_RESPONSE_HEADERS", 11, 0, headers=["HTTP/1.1 101 Switching Protocols", *head]),
        event(31, "WEBSOCKET_UPGRADE_SUCCESS", 11, 0),
        event(32, "WEBSOCKET_SENT_FRAME_HEADER", 11, 0, **frame),
        event(33, "WEBSOCKET_RECV_FRAME_HEADER", 11, 0, **frame),
        event(
            34,
            "WEBSOCKET_INVALID_FRAME",
            11,
            0,
            code=1002,
            reason=slot("reason", "text"),
            internal_reason=slot("internal", "text"),
        ),
        event(
            35,
            "HTTP_TRANSACTION_READ_RESPONSE_HEADERS",
            21,
            0,
            headers=["HTTP/1.1 403 " + slot("status text", "text"), *head],
        ),
        event(36, "WEBSOCKET_UPGRADE_FAILURE", 21, 0, net_error=-3, message=slot("failure", "text")),
        event(40, "REQUEST_ALIVE", 11, 2),
        event(40, "REQUEST_ALIVE", 21, 2),
    ]
    return (
        '{"constants": ' + json.dumps(constants) + ',\n"events": [\n' + ",\n".join(map(json.dumps, events)) + "]}\n"
    ).encode()


def tnetstring(value: Any) -> bytes:
    """mitmproxy's dialect: ``;`` is text, ``,`` bytes."""
    if isinstance(value, dict):
        payload, tag = b"".join(tnetstring(k) + tnetstring(v) for k, v in value.items()), b"}"
    elif isinstance(value, list | tuple):
        payload, tag = b"".join(map(tnetstring, value)), b"]"
    elif isinstance(value, bool):
        payload, tag = str(value).lower().encode(), b"!"
    elif isinstance(value, int):
        payload, tag = str(value).encode(), b"#"
    elif isinstance(value, float):
        payload, tag = repr(value).encode(), b"^"
    elif value is None:
        payload, tag = b"", b"~"
    elif isinstance(value, str):
        payload, tag = value.encode(), b";"
    else:
        payload, tag = value, b","
    return b"%d:%s%s" % (len(payload), payload, tag)


def mitmproxy(slot: Slot) -> bytes:
    """A WebSocket, a refused one, a login that failed, and a flow with an error."""

    def flow(path: str, status: int, socket: dict[str, Any] | None, error: str | None = None) -> bytes:
        fields = [[name.encode(), value.encode()] for name, value in _headers(slot)]
        upgrade = [[b"Upgrade", b"websocket"], [b"Connection", b"Upgrade"]] if "ws" in path else []
        return tnetstring(
            {
                "backup": None,
                "client_conn": {
                    "address": ["127.0.0.1", 5000],
                    "id": "c",
                    "timestamp_start": START,
                    "timestamp_end": START + 9,
                },
                "comment": slot("comment", "text"),
                "error": {"msg": error, "timestamp": START + 5} if error else None,
                "id": "f" + path,
                "intercepted": False,
                "is_replay": None,
                "marked": "",
                "metadata": {},
                "request": {
                    "authority": b"",
                    "content": slot("post", "text").encode(),
                    "headers": fields + upgrade,
                    "host": "chat.example",
                    "http_version": b"HTTP/1.1",
                    "method": b"GET",
                    "path": _target(slot, path).encode(),
                    "port": 8000,
                    "scheme": b"http",
                    "timestamp_start": START,
                    "timestamp_end": START + 0.01,
                    "trailers": None,
                },
                "response": {
                    "content": slot("body", "text").encode(),
                    "headers": fields,
                    "http_version": b"HTTP/1.1",
                    "reason": slot("status text", "text").encode(),
                    "status_code": status,
                    "timestamp_start": START + 0.1,
                    "timestamp_end": START + 0.11,
                    "trailers": None,
                },
                "server_conn": {
                    "address": ["chat.example", 8000],
                    "id": "s",
                    "timestamp_start": START,
                    "timestamp_end": START + 9,
                },
                "timestamp_created": START,
                "type": "http",
                "version": 21,
                "websocket": socket,
            }
        )

    socket = {
        "messages": [
            [1, True, slot("sent text", "text").encode(), START + 1, False, False],
            [1, False, slot("received text", "text").encode(), START + 2, False, False],
            [2, False, slot("binary", "text").encode(), START + 3, False, False],
        ],
        "closed_by_client": False,
        "close_code": 4001,
        "close_reason": slot("close reason", "text"),
        "timestamp_end": START + 4,
    }
    return (
        flow("/api/ws/chat/storyteller", 101, socket)
        + flow("/api/ws/chat/poet", 403, None)
        + flow("/api/auth/login", 401, None, slot("error", "text"))
    )


def frame(payload: bytes, opcode: int = 1, masked: bool = False) -> bytes:
    length = bytes([len(payload) | (0x80 if masked else 0)]) if len(payload) < 126 else b""
    if not length:
        length = bytes([126 | (0x80 if masked else 0)]) + struct.pack(">H", len(payload))
    mask = b"\x01\x02\x03\x04" if masked else b""
    body = bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload)) if masked else payload
    return bytes([0x80 | opcode]) + length + mask + body


def _talk(slot: Slot) -> list[tuple[float, bool, bytes, int]]:
    """Segments of one TCP connection: time, whether the client sent it, bytes, flags."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in _headers(slot))
    request = f"GET {_target(slot)} HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{fields}\r\n"
    answer = f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSet-Cookie: a={slot('set-cookie', 'word')}\r\n\r\n"
    reason = slot("close reason", "text").encode()[:120]
    return [
        (0.0, True, b"", 0x02),
        (0.001, False, b"", 0x12),
        (0.002, True, request.encode(), 0x18),
        (0.1, False, answer.encode(), 0x18),
        (1.0, True, frame(slot("sent text", "text").encode(), masked=True), 0x18),
        (1.5, False, frame(slot("received text", "text").encode()), 0x18),
        (2.0, False, frame(slot("binary", "text").encode(), 2), 0x18),
        (2.5, False, frame(slot("ping", "word").encode()[:120], 9), 0x18),
        (3.0, False, frame(b"\x0f\xa1" + reason, 8), 0x18),
        (3.1, False, b"", 0x11),
        (3.2, True, b"", 0x11),
    ]


def _packets(slot: Slot) -> list[tuple[float, bytes]]:
    """The same as IPv4 packets."""
    numbers = {True: 1000, False: 9000}
    made = []
    for at, client, data, flags in _talk(slot):
        ports = (50000, 8000) if client else (8000, 50000)
        hosts = (b"\x7f\0\0\1", b"\x7f\0\0\2") if client else (b"\x7f\0\0\2", b"\x7f\0\0\1")
        ack = 0 if flags == 0x02 else numbers[not client]
        tcp = struct.pack(">HHIIBBHHH", *ports, numbers[client], ack, 0x50, flags, 65535, 0, 0) + data
        numbers[client] += len(data) + (1 if flags & 0x03 else 0)
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0) + hosts[0] + hosts[1]
        made.append((START + at, ip + tcp))
    return made


def pcap(slot: Slot) -> bytes:
    """Microseconds, raw IP."""
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
    for at, data in _packets(slot):
        out += struct.pack("<IIII", int(at), round(at % 1 * 1e6), len(data), len(data)) + data
    return out


def pcapng(slot: Slot) -> bytes:
    """A section with a comment, one interface, packets."""

    def block(kind: int, body: bytes) -> bytes:
        body += b"\0" * (-len(body) % 4)
        return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)

    def option(code: int, value: bytes) -> bytes:
        return struct.pack("<HH", code, len(value)) + value + b"\0" * (-len(value) % 4)

    comment = option(1, slot("comment", "text").encode()) + option(0, b"")
    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + comment)
    out += block(1, struct.pack("<HHI", 101, 0, 0) + option(2, slot("interface", "word").encode()) + option(0, b""))
    for at, data in _packets(slot):
        ticks = round(at * 1e6)
        head = struct.pack("<IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
        out += block(6, head + data + b"\0" * (-len(data) % 4))
    return out


def cloudflare(slot: Slot) -> bytes:
    """Logpush, a record per connection."""
    record = {
        "ClientIP": "192.0.2.1", "ClientRequestHost": "chat.example", "ClientRequestPath": "/api/ws/chat/storyteller",
        "ClientRequestURI": _target(slot), "ClientRequestMethod": "GET",
        "ConnectionCloseReason": slot("reason", "text"), "ConnectionCloseSource": "upstream",
        "ConnectionStartTimestamp": "2026-11-23T16:02:05Z", "ConnectionEndTimestamp": "2026-11-23T16:03:05Z",
        "EdgeStartTimestamp": "2026-11-23T16:02:05Z", "EdgeEndTimestamp": "2026-11-23T16:03:05Z",
        "Datetime": "2026-11-23T16:02:05Z", "RayID": "ray1", "UserAgent": slot("agent", "text"),
        "BytesSentClient": 10, "BytesReceivedClient": 10,
    }  # fmt: skip
    return b"".join(
        json.dumps(record | {"ConnectionCloseReason": reason}).encode() + b"\n"
        for reason in (slot("reason 2", "text"), "idle_timeout")
    )


def websockets_log(slot: Slot) -> bytes:
    """The library's debug log, with the program's own time in front."""
    fields = [f"> {name}: {value}" for name, value in _headers(slot)]
    lines = [
        "= connection is CONNECTING",
        f"> GET {_target(slot)} HTTP/1.1",
        *fields,
        "< HTTP/1.1 101 Switching Protocols",
        f"< Set-Cookie: a={slot('set-cookie', 'word')}",
        "= connection is OPEN",
        f"> TEXT '{slot('sent text', 'text')}' [{len('x')} bytes]",
        f"< TEXT '{slot('received text', 'text')}' [9 bytes]",
        f"< PING '{slot('ping', 'word')}' [text, 4 bytes]",
        f"< CLOSE 4001 (private use) {slot('close reason', 'text')} [20 bytes]",
        f"! {slot('trouble', 'text')}",
        "= connection is CLOSED",
    ]
    return b"".join(
        b"2026-11-23 16:02:0%d,%03d DEBUG %s\n" % (5 + n // 4, n, line.encode()) for n, line in enumerate(lines)
    )


def console_log(slot: Slot) -> bytes:
    """Saved from DevTools, and Chromium's stderr."""
    said = [
        "Chat WebSocket connected for bot: storyteller",
        f"WebSocket message received: {slot('message', 'text')}",
        f"WebSocket connection to '{_url(slot)}' failed: {slot('failure', 'text')}",
        f"Chat WebSocket disconnected: 1006 - {slot('reason', 'text')}",
        "Attempting to reconnect chat WebSocket (2/5) in 2000ms",
        slot("other line", "text"),
    ]
    return b"".join(f"chat.js:{n + 40} {line}\n".encode() for n, line in enumerate(said))


def uvicorn_log(slot: Slot) -> bytes:
    """Its default look."""
    lines = [
        "INFO:     Started server process [7]",
        f'INFO:     127.0.0.1:50000 - "WebSocket {_target(slot)}" [accepted]',
        "INFO:     connection open",
        f'INFO:     127.0.0.1:50001 - "GET {_target(slot, "/api/bots/storyteller")} HTTP/1.1" 401 Unauthorized',
        f'INFO:     127.0.0.1:50002 - "WebSocket {_target(slot)}" 403',
        "ERROR:    Exception in ASGI application",
        "Traceback (most recent call last):",
        '  File "app.py", line 7, in chat',
        f"ValueError: {slot('exception', 'text')}",
        "INFO:     connection closed",
    ]
    return "\n".join(lines).encode() + b"\n"


def gunicorn_log(slot: Slot) -> bytes:
    """With a worker that was killed."""
    lines = [
        "[2026-11-23 16:02:05 +0000] [1] [INFO] Starting gunicorn 23.0.0",
        "[2026-11-23 16:02:05 +0000] [7] [INFO] Booting worker with pid: 7",
        f'[2026-11-23 16:02:06 +0000] [7] [INFO] 127.0.0.1:50000 - "WebSocket {_target(slot)}" [accepted]',
        "[2026-11-23 16:02:06 +0000] [7] [INFO] connection open",
        f"[2026-11-23 16:02:07 +0000] [7] [ERROR] {slot('error', 'text')}",
        "[2026-11-23 16:02:40 +0000] [1] [CRITICAL] WORKER TIMEOUT (pid:7)",
        "[2026-11-23 16:02:40 +0000] [7] [INFO] Worker exiting (pid: 7)",
    ]
    return "\n".join(lines).encode() + b"\n"


def nginx_error(slot: Slot) -> bytes:
    """Upgraded connections that timed out, were reset, were closed."""
    facts = [
        ("info", "upstream timed out (110: Connection timed out) while proxying upgraded connection"),
        ("error", "recv() failed (104: Connection reset by peer) while proxying upgraded connection"),
        ("error", "upstream prematurely closed connection while reading response header from upstream"),
        ("error", "connect() failed (111: Connection refused) while connecting to upstream"),
        ("warn", slot("other", "text")),
    ]
    return b"".join(
        f"2026/11/23 16:02:0{n} [{level}] 7#7: *{n} {fact}, client: 192.0.2.1, server: chat.example, "
        f'request: "GET {_target(slot)} HTTP/1.1", upstream: "{_url(slot, "http")}", host: "chat.example", '
        f'referrer: "{_url(slot, "http", "/page")}"\n'.encode()
        for n, (level, fact) in enumerate(facts)
    )


def nginx_access(slot: Slot) -> bytes:
    """The combined look with the request's time behind it."""
    return b"".join(
        f'192.0.2.1 - - [23/Nov/2026:16:02:0{n} +0000] "GET {_target(slot, path)} HTTP/1.1" {status} 99 '
        f'"{_url(slot, "http", "/page")}" "{slot("agent", "text").replace(chr(34), chr(39))}" 60.001\n'.encode()
        for n, (path, status) in enumerate(
            [("/api/ws/chat/storyteller", 101), ("/api/ws/chat/storyteller", 403), ("/api/auth/login", 401)]
        )
    )


def parquet(slot: Slot) -> bytes:
    """Our own recording as a table, which somebody has edited."""
    header, *lines = chatkit(slot).splitlines()
    table = pa.table({"event": [line.decode() for line in lines if line]})
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"chatkit.trace": header}), sink)
    return sink.getvalue()


TEMPLATES: dict[str, Callable[[Slot], bytes]] = {
    "chatkit": chatkit,
    "har": har,
    "netlog": netlog,
    "mitmproxy": mitmproxy,
    "pcap": pcap,
    "pcapng": pcapng,
    "cloudflare": cloudflare,
    "websockets-log": websockets_log,
    "console-log": console_log,
    "uvicorn-log": uvicorn_log,
    "gunicorn-log": gunicorn_log,
    "nginx-error": nginx_error,
    "nginx-access": nginx_access,
    "parquet": parquet,
}


def harmless(place: str, kind: str) -> str:
    """For whoever wants the file alone."""
    return "x=1" if kind == "query" else place.replace(" ", "-") if kind == "word" else place
