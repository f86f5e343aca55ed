"""NetLogs made by hand: names for the numbers, a millisecond clock, one entry a line as Chrome writes them."""

from __future__ import annotations

import json
from typing import Any

from chatkit.formats import netlog
from chatkit.formats.source import Options, Source
from chatkit.trace import Trace

NAMES = (
    "REQUEST_ALIVE",
    "URL_REQUEST_START_JOB",
    "CANCELLED",
    "HTTP_STREAM_JOB_CONTROLLER_BOUND",
    "HTTP_STREAM_REQUEST_STARTED_JOB",
    "PROXY_RESOLUTION_SERVICE_RESOLVED_PROXY_LIST",
    "HTTP_STREAM_REQUEST_BOUND_TO_JOB",
    "SOCKET_POOL_BOUND_TO_CONNECT_JOB",
    "SOCKET_POOL_BOUND_TO_SOCKET",
    "HTTP2_SESSION_INITIALIZED",
    "HTTP2_SESSION_POOL_FOUND_EXISTING_SESSION",
    "HOST_RESOLVER_MANAGER_JOB",
    "HOST_RESOLVER_MANAGER_JOB_ATTACH",
    "HOST_RESOLVER_DNS_TASK_EXTRACTION_RESULTS",
    "HOST_RESOLVER_SYSTEM_TASK",
    "SOCKET_ALIVE",
    "TCP_CONNECT",
    "SSL_CONNECT",
    "HTTP_TRANSACTION_SEND_REQUEST_HEADERS",
    "HTTP_TRANSACTION_HTTP2_SEND_REQUEST_HEADERS",
    "HTTP_TRANSACTION_READ_RESPONSE_HEADERS",
    "WEBSOCKET_UPGRADE_FAILURE",
    "WEBSOCKET_SENT_FRAME_HEADER",
    "WEBSOCKET_RECV_FRAME_HEADER",
    "WEBSOCKET_INVALID_FRAME",
    "WEBSOCKET_CLOSE_TIMEOUT",
    "WEBSOCKET_STATE_CHANGED",
    "SOCKET_BYTES_RECEIVED",
    "SOCKET_READ_ERROR",
    "SOCKET_CLOSED",
    "NETWORK_CHANGED",
    "SOMETHING_ELSE",
)
NUMBERS = {name: 100 + number for number, name in enumerate(NAMES)}
ERRORS = {
    "ERR_ABORTED": -3,
    "ERR_NETWORK_CHANGED": -21,
    "ERR_CONNECTION_RESET": -101,
    "ERR_CONNECTION_REFUSED": -102,
    "ERR_NAME_NOT_RESOLVED": -105,
    "ERR_CONNECTION_TIMED_OUT": -118,
    "ERR_CERT_DATE_INVALID": -201,
    "ERR_WS_UPGRADE": -173,
}
BEGIN, END, NONE = 1, 2, 0
EPOCH = 1_795_000_000.0
CONSTANTS = {
    "logEventTypes": NUMBERS,
    "logEventPhase": {"PHASE_BEGIN": BEGIN, "PHASE_END": END, "PHASE_NONE": NONE},
    "netError": ERRORS,
    "timeTickOffset": int(EPOCH * 1000) - 5000,
}
JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJleHAiOjE3OTU0NTMzMjV9.ZmFrZS1zaWduYXR1cmU"
URL = f"wss://chat.example/api/ws/chat/echo?token={JWT}"
KEY = "AAAAAAAAAAAAAAAAAAAAAA=="


def entry(ms: int, name: str, source: int, phase: int = NONE, **params: Any) -> dict[str, Any]:
    """One entry, ``ms`` after the beginning."""
    whole: dict[str, Any] = {"params": params} if params else {}
    place = {"id": source, "start_time": "5000", "type": 1}
    return {**whole, "phase": phase, "source": place, "time": str(5000 + ms), "type": NUMBERS[name]}


def on(source: int) -> dict[str, int]:
    """A dependency on another source."""
    return {"id": source, "type": 1}


def lines(entries: list[dict[str, Any]], constants: dict[str, Any] | None = None) -> bytes:
    """As Chrome writes it: keys sorted, nothing between them, one entry a line."""
    pieces = ",\n".join(json.dumps(each, separators=(",", ":"), sort_keys=True) for each in entries)
    head = json.dumps(CONSTANTS if constants is None else constants, separators=(",", ":"))
    return f'{{"constants":{head},\n"events": [\n{pieces}],\n"polledData": [{{}}]\n}}\n'.encode()


def read(data: bytes | list[dict[str, Any]]) -> Trace:
    """The trace of a file, or of entries."""
    return netlog.read(Source.of(data if isinstance(data, bytes) else lines(data), "x.json"), Options())


def asked(ms: int = 0, id: int = 10, url: str = URL) -> list[dict[str, Any]]:
    """A WebSocket is asked for."""
    return [entry(ms, "REQUEST_ALIVE", id, BEGIN, url=url)]


def handshake(ms: int = 10, id: int = 10) -> list[dict[str, Any]]:
    """Request and a good answer."""
    fields = ["Host: chat.example", "Upgrade: websocket", f"Sec-WebSocket-Key: {KEY}", "Cookie: sid=hidden-value"]
    line = f"GET /api/ws/chat/echo?token={JWT} HTTP/1.1\r\n"
    answer = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Sec-WebSocket-Protocol: chat"]
    return [
        entry(ms, "HTTP_TRANSACTION_SEND_REQUEST_HEADERS", id, headers=fields, line=line),
        entry(ms + 5, "HTTP_TRANSACTION_READ_RESPONSE_HEADERS", id, headers=answer),
        entry(ms + 5, "CANCELLED", id, net_error=-173),
        entry(ms + 5, "REQUEST_ALIVE", id, END, net_error=-173),
    ]


def way(ms: int = 1, id: int = 10) -> list[dict[str, Any]]:
    """Job 12, connect job 13, socket 14, all that leads to the request."""
    return [
        entry(ms, "HTTP_STREAM_JOB_CONTROLLER_BOUND", id, source_dependency=on(11)),
        entry(ms, "PROXY_RESOLUTION_SERVICE_RESOLVED_PROXY_LIST", 11, proxy_info="DIRECT"),
        entry(ms, "HTTP_STREAM_REQUEST_STARTED_JOB", 11, source_dependency=on(12)),
        entry(ms, "HOST_RESOLVER_MANAGER_JOB", 15, BEGIN, host="https://chat.example", source_dependency=on(13)),
        entry(ms, "SOCKET_POOL_BOUND_TO_CONNECT_JOB", 12, source_dependency=on(13)),
        entry(ms + 1, "HOST_RESOLVER_SYSTEM_TASK", 15, END, address_list=["192.0.2.1:0", "[2001:db8::1]:0"]),
        entry(ms + 2, "HOST_RESOLVER_MANAGER_JOB", 15, END),
        entry(ms + 2, "SOCKET_ALIVE", 14, BEGIN, source_dependency=on(13)),
        entry(ms + 2, "TCP_CONNECT", 14, BEGIN, address_list=["192.0.2.1:443"]),
        entry(ms + 3, "TCP_CONNECT", 14, END, local_address="192.0.2.9:50000", remote_address="192.0.2.1:443"),
        entry(ms + 3, "SSL_CONNECT", 14, BEGIN),
        entry(ms + 5, "SSL_CONNECT", 14, END, version="TLS 1.3", cipher_suite=4865),
        entry(ms + 5, "SOCKET_POOL_BOUND_TO_SOCKET", 12, source_dependency=on(14)),
        entry(ms + 5, "HTTP_STREAM_REQUEST_BOUND_TO_JOB", id, source_dependency=on(12)),
    ]


def frame(ms: int, sent: bool, opcode: int, length: int = 0, id: int = 10, **flags: Any) -> dict[str, Any]:
    """A frame's header."""
    name = "WEBSOCKET_SENT_FRAME_HEADER" if sent else "WEBSOCKET_RECV_FRAME_HEADER"
    plain = {"final": True, "reserved1": False, "masked": sent, "opcode": opcode, "payload_length": length}
    return entry(ms, name, id, **(plain | flags))


def life() -> list[dict[str, Any]]:
    """A WebSocket that is open, with its socket."""
    return [*asked(), *way(), *handshake()]
