"""Flow dumps of mitmproxy: messages and close codes with their direction, of every version."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import chatkit
from chatkit.errors import ImportFailed
from chatkit.events import FrameSent
from chatkit.formats import flows, sniff
from chatkit.formats.source import Options, Source
from chatkit.trace import Trace
from tests.formats.golden import DATA
from tests.formats.test_tnetstring import dumps

REAL = sorted((DATA / "mitmproxy").glob("*.flow"))
JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJleHAiOjE3OTU0NTMzMjV9.ZmFrZS1zaWduYXR1cmU"
BEGAN = 1_795_000_000.0
UPGRADE = [
    [b"Host", b"chat.example"],
    [b"Upgrade", b"websocket"],
    [b"Sec-WebSocket-Key", b"AAAA=="],
    [b"Cookie", b"sid=hidden-value"],
]


def request(path: str = f"/api/ws/chat/echo?token={JWT}", headers: Any = UPGRADE, **more: Any) -> dict[str, Any]:
    plain = {"method": b"GET", "scheme": b"https", "host": "chat.example", "port": 443, "path": path.encode()}
    return {**plain, "headers": headers, "timestamp_start": BEGAN, "timestamp_end": BEGAN, **more}


def response(status: int = 101, **more: Any) -> dict[str, Any]:
    plain = {"status_code": status, "reason": b"Because", "headers": [[b"Sec-WebSocket-Protocol", b"chat"]]}
    return {**plain, "timestamp_start": BEGAN + 0.1, "timestamp_end": BEGAN + 0.1, **more}


def websocket(**more: Any) -> dict[str, Any]:
    messages = [
        [1, False, b'{"type": "pong"}', BEGAN + 1, False, False],
        [2, True, b"\x00\x01", BEGAN + 2, False, False],
    ]
    plain = {"messages": messages, "closed_by_client": None, "close_code": None, "close_reason": None}
    return {**plain, "timestamp_end": None, **more}


def flow(**more: Any) -> dict[str, Any]:
    """A WebSocket flow of today's version."""
    plain = {"version": 21, "type": "http", "id": "1", "request": request(), "response": response(), "error": None}
    return {**plain, "websocket": websocket(), "client_conn": {}, "server_conn": {}, **more}


def read(*given: dict[str, Any] | bytes) -> Trace:
    data = b"".join(each if isinstance(each, bytes) else dumps(each) for each in given)
    return flows.read(Source.of(data, "x.flow"), Options())


def said(trace: Trace) -> list[str]:
    return [str(event) for event in trace]


def test_a_websocket() -> None:
    """Opening, messages; while it lives it has no end."""
    trace = read(flow())
    assert said(trace) == [
        "attempt to wss://chat.example/api/ws/chat/echo?token=[jwt exp=1795453325]",
        "upgrade requested: GET /api/ws/chat/echo?token=[jwt exp=1795453325]",
        "upgrade answered 101 Because in 100 ms",
        "open, no extension",
        'received text 16 B: {"type": "pong"}',
        "sent binary 2 B",
    ]
    assert b"hidden-value" not in b"".join(trace.rows)
    assert trace[1].key == "AAAA=="  # type: ignore[attr-defined]
    assert isinstance(trace[5], FrameSent)
    assert trace.connections[0].state == "open"
    assert trace.warnings == ()


@pytest.mark.parametrize(
    ("code", "client", "words", "told"),
    [
        (1000, True, "closed by us: 1000", 1000),
        (1011, False, "closed by server: 1011 “why”", 1011),
        (1005, False, "closed by server: without code", 1005),
        (1006, False, "ended by server without a close frame: 1006 (mitmproxy)", 1006),
        (1006, True, "ended by us without a close frame: 1006 (mitmproxy)", 1006),
        (4001, None, "closed by nobody seen: 4001 “why”", 4001),
        (None, None, "ended; how is not visible (mitmproxy)", 1006),
    ],
)
def test_ends(code: int | None, client: bool | None, words: str, told: int | None) -> None:
    """A close frame where its sender is known; else what mitmproxy tells."""
    reason = "why" if code in (1011, 4001) else None
    end = websocket(close_code=code, closed_by_client=client, close_reason=reason, timestamp_end=BEGAN + 9)
    ending = read(flow(websocket=end)).connections[0].ending
    assert ending is not None
    assert ending.words == words
    assert ending.close_code == told or code is None
    assert ending.at == pytest.approx(9)


def test_the_way_to_the_server() -> None:
    """TCP and TLS of the proxy's own connection, if it was made for this flow; who the client is."""
    server = {
        "timestamp_start": BEGAN + 0.01,
        "timestamp_tcp_setup": BEGAN + 0.02,
        "timestamp_tls_setup": BEGAN + 0.05,
        "tls_version": "TLSv1.3",
        "cipher": "TLS_AES_128_GCM_SHA256",
        "sockname": ["192.0.2.2", 50001],
        "peername": ["2001:db8::1", 443, 0, 0],
    }
    client = {"peername": ["192.0.2.1", 50000], "timestamp_start": BEGAN - 0.5}
    trace = read(flow(server_conn=server, client_conn=client))
    assert said(trace)[1:2] + said(trace)[3:5] == [
        "note: the client is 192.0.2.1:50000, mitmproxy stands in between",
        "TCP connected to [2001:db8::1]:443 in 10 ms",
        "TLSv1.3 (TLS_AES_128_GCM_SHA256) in 30 ms",
    ]
    early = {**server, "timestamp_start": BEGAN - 9, "timestamp_tcp_setup": BEGAN - 8, "timestamp_tls_setup": BEGAN - 7}
    assert not any("TCP" in line or "TLS" in line for line in said(read(flow(server_conn=early))))


@pytest.mark.parametrize(
    ("message", "server", "stage"),
    [
        ("[Errno 111] Connect call failed ('192.0.2.1', 443)", {}, "tcp"),
        ("[Errno -2] Name or service not known", {}, "dns"),
        ("Certificate verify failed: certificate has expired", {"timestamp_tcp_setup": BEGAN}, "tls"),
        ("server closed connection", {"timestamp_tcp_setup": BEGAN}, "upgrade"),
    ],
)
def test_errors(message: str, server: dict[str, Any], stage: str) -> None:
    """The step at which the proxy failed."""
    error = {"msg": message, "timestamp": BEGAN + 3}
    trace = read(flow(response=None, websocket=None, error=error, server_conn=server))
    assert said(trace)[-1] == f"failed at {stage}: {message}"
    assert trace.connections[0].state == "refused"


def test_an_error_after_the_opening() -> None:
    """A line of the proxy's log."""
    trace = read(flow(error={"msg": "gone", "timestamp": BEGAN + 3}))
    assert said(trace)[-1] == "proxy logged error: gone"


def test_a_refused_upgrade() -> None:
    """With the status and the body's start, redacted."""
    body = b'{"token": "hidden-value", "detail": "no"}'
    trace = read(flow(response=response(403, content=body), websocket=None))
    assert said(trace)[-2:] == ["upgrade answered 403 Because in 100 ms", "failed at upgrade: HTTP 403"]
    assert b"hidden-value" not in b"".join(trace.rows)
    assert "detail" in trace[2].body  # type: ignore[attr-defined]


def test_requests_beside() -> None:
    """To the same host, or with the contract's paths."""
    plain: dict[str, Any] = {"websocket": None}
    page = flow(request=request("/page", []), response=response(200), **plain)
    health = flow(request=request("/health", [], method=b"HEAD", host="x"), response=response(405), **plain)
    late = response(429, headers=[[b"Retry-After", b"7"]], content=b"slow down")
    chat = flow(request=request("/api/conversations/bots/b/chat", [], method=b"POST"), response=late, **plain)
    other = flow(request=request("/page", [], host="x"), response=response(200), **plain)
    error = {"msg": "gone", "timestamp": BEGAN + 2}
    lost = flow(request=request("/lost", []), response=None, error=error, **plain)
    lines = [line for line in said(read(page, health, chat, other, lost, flow())) if " 101 " not in line]
    for expected in (
        "GET other 200, 100 ms",
        "health: HEAD 405, 100 ms",
        "POST chat 429, 100 ms",
        "GET other failed: gone",
    ):
        assert lines.count(expected) == 1
    answered = [event for event in read(chat) if getattr(event, "retry_after", None)]
    assert [(event.retry_after, event.detail) for event in answered] == [(7.0, "slow down")]  # type: ignore[attr-defined]


def test_messages_that_the_proxy_changed() -> None:
    """What it dropped or injected is said."""
    messages = [
        [1, True, b"a", BEGAN + 1, True, False],
        [1, False, b"b", BEGAN + 2, False, True],
        [1, True, b"c", BEGAN],
    ]
    with_four = [*messages[:2], [1, True, b"c", BEGAN + 3]]
    trace = read(flow(websocket=websocket(messages=with_four)))
    assert trace.warnings == ("connection 1: mitmproxy dropped or injected 2 of its messages",)
    assert read(flow(websocket=websocket(messages=messages))).warnings == trace.warnings


def test_text_that_is_none() -> None:
    """A text message that is not UTF-8 stays bytes; an old dump's text is text."""
    messages = [[1, True, b"\xff\xfe", BEGAN + 1, False], [1, True, "text", BEGAN + 2, False]]
    assert said(read(flow(websocket=websocket(messages=messages))))[-2:] == ["sent binary 2 B", "sent text 4 B: text"]


def test_old_messages_without_their_handshake() -> None:
    """The connection is there all the same."""
    old = {
        "version": 7,
        "type": "websocket",
        "metadata": {"websocket_handshake": "9"},
        "messages": [[1, True, "a", BEGAN, False]],
    }
    trace = read({**old, "close_sender": "client", "close_code": 1001, "close_reason": "bye"})
    assert said(trace) == ["sent text 1 B: a", "sent close 1001 “bye”"]
    assert trace.warnings == ("connection 1: its opening is not in the dump",)
    assert trace.connections[0].ending.words == "closed by us: 1001 “bye”"  # type: ignore[union-attr]


def test_keys_and_addresses_of_very_old_dumps() -> None:
    """Keys of bytes, addresses within an object, a version of two numbers."""
    data = dumps(flow(version=[0, 18], client_conn={"address": {"address": ["192.0.2.1", 5], "use_ipv6": False}}))
    trace = read(data.replace(b"7:version;", b"7:version,").replace(b"7:request;", b"7:request,"))
    assert "the client is 192.0.2.1:5" in said(trace)[1]


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_real_dumps_are_known_and_whole(path: Path) -> None:
    """By content alone, without a remark."""
    assert sniff(path.read_bytes()[:65536]) == "mitmproxy"
    assert chatkit.load(path).warnings == ()


def test_what_is_no_dump() -> None:
    """Numbers and colons alone are none."""
    for start in (b"", b"12:34:56 log line", b"5:hello,", b"10:3:abc;5:1}", b"{}", b"2024:11:request;"):
        assert not flows.sniff(start) or start == b"2024:11:request;"


def test_a_cut_dump() -> None:
    """The whole flows are there; the cut is said, wherever it is."""
    one, two = dumps(flow()), dumps(flow(request=request(timestamp_start=BEGAN + 5)))
    for size in range(len(one) + 1, len(one) + len(two), 11):
        trace = read((one + two)[:size])
        assert len(trace.connections) == 1
        assert trace.warnings == ("the file is cut within flow 2, which was left out",)


def test_a_damaged_flow_costs_itself() -> None:
    """The next one is read; what is no flow at all ends the reading."""
    odd: list[Any] = [
        [1],
        {"request": {}},
        flow(request=request(timestamp_start="nan")),
        flow(websocket={"messages": [5]}),
    ]
    trace = read(flow(), *(dumps(each) for each in odd[:1]), odd[2], odd[3], flow(), b"garbage")
    assert len([event for event in trace if type(event).__name__ == "Opened"]) == 3
    assert trace.warnings == (
        "3 flows could not be read, or not to their end; the first is number 2",
        f"after flow 5, at byte {sum(map(len, map(dumps, [flow(), odd[0], odd[2], odd[3], flow()]))):,}, no flow follows: the rest was left out",
    )


def test_no_websocket() -> None:
    """A dump without one says so; other kinds of flows are no damage."""
    assert read({"type": "tcp", "version": 21}).warnings == ("the dump holds no WebSocket",)


def test_a_flow_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not held."""
    monkeypatch.setattr(flows, "LONGEST_FLOW", 3000)
    long = flow(response=response(content=b"x" * 5000))
    assert read(long, flow()).warnings == ("1 flows are longer than 0 MiB and were left out",)


WHOLE = dumps(flow(websocket=websocket(close_code=1011, closed_by_client=False, timestamp_end=BEGAN + 9))) + dumps(
    flow()
)


@given(data=st.data())
def test_any_damage_gives_a_trace_or_an_import_error(data: st.DataObject) -> None:
    """Two outcomes for a dump with something spliced into it, and every event of the trace can be read."""
    a, b = sorted((data.draw(st.integers(0, len(WHOLE))), data.draw(st.integers(0, len(WHOLE)))))
    try:
        trace = read(WHOLE[:a] + data.draw(st.binary(max_size=20)) + WHOLE[b:])
    except ImportFailed as error:
        assert error.source == "x.flow"
    else:
        list(trace)
        _ = trace.connections


@given(place=st.integers(0, len(WHOLE) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit(place: int, bit: int) -> None:
    """The same, and within a value nothing else changes."""
    flipped = bytearray(WHOLE)
    flipped[place] ^= 1 << bit
    list(read(bytes(flipped)))


ODD = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.binary(max_size=9) | st.text(max_size=9) | st.just([]) | st.just({})  # fmt: skip


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container with each of its keys."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


@given(place=st.integers(0, 10_000), odd=ODD)
def test_any_value_in_any_place(place: int, odd: Any) -> None:
    """A flow one of whose values is of another kind."""
    end = websocket(close_code=1000, closed_by_client=True)
    whole = copy.deepcopy(flow(websocket=end, error={"msg": "x", "timestamp": BEGAN}))
    every = list(places(whole))
    container, key = every[place % len(every)]
    container[key] = odd
    trace = read(whole)
    list(trace)
    _ = trace.connections
