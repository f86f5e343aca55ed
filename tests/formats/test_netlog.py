"""A NetLog tells how a connection came about, every frame's header, and how TCP ended; never a close code."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import chatkit
from chatkit.errors import ImportFailed
from chatkit.events import Logged, ProtocolFailed
from chatkit.formats import netlog, sniff
from chatkit.formats.source import Options, Source
from chatkit.trace import Trace
from tests.formats.golden import DATA
from tests.formats.netlogs import (
    BEGIN,
    CONSTANTS,
    END,
    EPOCH,
    KEY,
    URL,
    asked,
    entry,
    frame,
    handshake,
    life,
    lines,
    on,
    read,
    way,
)

REAL = sorted((DATA / "netlog").glob("*.json"))


def said(trace: Trace, connection: str | None = "1") -> list[str]:
    return [str(event) for event in trace if event.connection == connection]


def test_a_whole_opening() -> None:
    """Name, TCP, TLS, handshake with its key and without its secrets; the wall clock is Chrome's."""
    trace = read(life())
    assert [line.split(" HTTP")[0] for line in said(trace)] == [
        "attempt to wss://chat.example/api/ws/chat/echo?token=[jwt exp=1795453325]",
        "chat.example is 192.0.2.1, 2001:db8::1 (DNS, 2 ms)",
        "TCP connected to 192.0.2.1:443 in 1 ms",
        "TLS 1.3 (TLS_AES_128_GCM_SHA256) in 2 ms",
        "upgrade requested: GET /api/ws/chat/echo?token=[jwt exp=1795453325]",
        "upgrade answered 101 Switching Protocols in 5 ms",
        "open, no extension",
    ]
    assert trace.epoch == EPOCH
    assert trace[4].key == KEY  # type: ignore[attr-defined]
    assert trace[6].subprotocol == "chat"  # type: ignore[attr-defined]
    assert b"hidden-value" not in b"".join(trace.rows)
    assert trace.connections[0].state == "open"
    assert trace.warnings == ()
    assert trace.not_visible == ("payloads", "close-code", "tcp", "client-side", "server-side")


def test_frames() -> None:
    """Sizes on the wire, fragments, compression; pings with the time until their pong."""
    trace = read(
        [
            *life(),
            frame(20, False, 1, 70000, reserved1=True, final=False),
            frame(21, False, 0, 5),
            frame(22, True, 2, 9),
            frame(30, False, 9),
            frame(33, True, 10),
            frame(34, False, 10),
            frame(35, True, 9),
        ]
    )
    assert said(trace)[7:] == [
        "received text 70,000 B compressed, more to come",
        "received continuation 5 B",
        "sent binary 9 B",
        "received ping (RFC 6455)",
        "sent pong, 3 ms after the ping",
        "received pong, unsolicited",
        "sent ping (RFC 6455)",
    ]
    (connection,) = trace.connections
    assert (connection.frames_in, connection.frames_out, connection.pings_in, connection.pongs_out) == (1, 1, 1, 1)


def test_two_pings_at_once_are_not_told_apart() -> None:
    """Then no delay is claimed."""
    trace = read([*life(), frame(30, False, 9), frame(31, False, 9), frame(33, True, 10)])
    assert said(trace)[-1] == "sent pong"


@pytest.mark.parametrize(
    ("end", "words", "code", "by"),
    [
        ([entry(900, "SOCKET_READ_ERROR", 14, net_error=-101, os_error=104)], "RST by server", 1006, "server"),
        ([entry(900, "SOCKET_BYTES_RECEIVED", 14, byte_count=0)], "FIN by server, no close frame", 1006, "server"),
        ([entry(900, "SOCKET_READ_ERROR", 14, net_error=-118)], "TCP time-out, peer silent", 1006, None),
        ([entry(900, "SOCKET_READ_ERROR", 14, net_error=-21)], "cut by us", 1006, "client"),
        ([entry(900, "SOCKET_ALIVE", 14, END)], "cut by us", 1006, "client"),
        ([entry(900, "SOCKET_CLOSED", 14)], "cut by us", 1006, "client"),
        (
            [frame(900, False, 8, 2), frame(901, True, 8, 2), entry(902, "SOCKET_BYTES_RECEIVED", 14, byte_count=0)],
            "closed by server, code not visible",
            None,
            "server",
        ),
        (
            [frame(900, True, 8, 2), frame(901, False, 8, 2), entry(902, "SOCKET_BYTES_RECEIVED", 14, byte_count=0)],
            "closed by us, code not visible",
            None,
            "client",
        ),
        ([frame(900, True, 8), frame(901, False, 8)], "closed by us: without code", 1005, "client"),
        ([frame(900, False, 8), frame(901, True, 8, 2)], "closed by server: without code", 1005, "server"),
        ([frame(900, False, 8, 2), frame(901, True, 8)], "closed by server, code not visible", None, "server"),
    ],
)
def test_ends(end: list[dict[str, Any]], words: str, code: int | None, by: str | None) -> None:
    """1006 only where no close frame was seen; else who closed, without a code."""
    trace = read([*life(), frame(20, True, 1, 5), *end, entry(950, "SOCKET_ALIVE", 14, END)])
    (connection,) = trace.connections
    assert connection.ending is not None
    assert (connection.ending.words, connection.ending.close_code, connection.ending.first) == (words, code, by)


def test_a_frame_that_the_browser_refuses() -> None:
    """Its own close frame is the one whose code is known."""
    broken = entry(50, "WEBSOCKET_INVALID_FRAME", 10, code=1002, reason="protocol error", internal_reason="bad opcode")
    trace = read([*life(), broken, frame(51, True, 8, 2)])
    assert said(trace)[-2:] == ["protocol broken by server: bad opcode", "sent close 1002 “protocol error”"]
    assert isinstance(trace[-2], ProtocolFailed)


def test_closing_that_nobody_answers() -> None:
    """A fact beside the end."""
    trace = read([*life(), frame(50, True, 8, 2), entry(2050, "WEBSOCKET_CLOSE_TIMEOUT", 10)])
    assert isinstance(trace[-1], Logged)
    assert trace[-1].what == "close-timeout"


def test_the_network_changed() -> None:
    """It belongs to no connection."""
    trace = read([*life(), entry(50, "NETWORK_CHANGED", 1, new_connection_type="CONNECTION_WIFI")])
    assert said(trace, None) == ["client logged network-changed: NETWORK_CHANGED CONNECTION_WIFI"]


@pytest.mark.parametrize(
    ("entries", "stage", "error"),
    [
        ([*way()[:5], entry(3, "HOST_RESOLVER_MANAGER_JOB", 15, END, net_error=-105)], "dns", -105),
        (way()[:9], "tcp", -118),
        (way()[:11], "tls", -201),
        ([], "dns", -105),
        ([], "tcp", -102),
        ([], "tls", -201),
        ([*way(), handshake()[0]], "upgrade", -3),
    ],
)
def test_attempts_that_fail(entries: list[dict[str, Any]], stage: str, error: int) -> None:
    """The first step that failed or was under way, with the error's name."""
    trace = read([*asked(), *entries, entry(500, "REQUEST_ALIVE", 10, END, net_error=error)])
    name = {-105: "NAME_NOT_RESOLVED", -118: "CONNECTION_TIMED_OUT", -201: "CERT_DATE_INVALID"}
    name |= {-102: "CONNECTION_REFUSED", -3: "ABORTED"}
    assert said(trace)[-1] == f"failed at {stage}: net::ERR_{name[error]}"
    assert trace.connections[0].state == "refused"


def test_a_refused_upgrade() -> None:
    """The status stands in Chrome's sentence."""
    message = "Error during WebSocket handshake: Unexpected response code: 403"
    refused = entry(20, "WEBSOCKET_UPGRADE_FAILURE", 10, message=message, net_error=-2)
    trace = read([*asked(), *way(), handshake()[0], refused, entry(21, "REQUEST_ALIVE", 10, END, net_error=-320)])
    (connection,) = trace.connections
    assert connection.ending is not None
    assert (connection.ending.words, connection.ending.failed.stage) == ("refused: HTTP 403", "upgrade")  # type: ignore[union-attr]
    assert sum("failed" in line for line in said(trace)) == 1


def test_over_http2() -> None:
    """CONNECT with a protocol, 200 is yes; a session that was there before is no TCP connection of this attempt."""
    fields = [":method: CONNECT", ":protocol: websocket", ":path: /ws?token=abcdefgh", ":authority: chat.example"]
    trace = read(
        [
            entry(0, "SOCKET_ALIVE", 14, BEGIN, source_dependency=on(13)),
            entry(0, "TCP_CONNECT", 14, BEGIN),
            entry(1, "TCP_CONNECT", 14, END, remote_address="192.0.2.1:443"),
            entry(2, "HTTP2_SESSION_INITIALIZED", 20, source_dependency=on(14)),
            *asked(1000),
            entry(1001, "HTTP2_SESSION_POOL_FOUND_EXISTING_SESSION", 12, source_dependency=on(20)),
            entry(1001, "HTTP_STREAM_REQUEST_BOUND_TO_JOB", 10, source_dependency=on(12)),
            entry(1002, "HTTP_TRANSACTION_HTTP2_SEND_REQUEST_HEADERS", 10, headers=fields),
            entry(1003, "HTTP_TRANSACTION_READ_RESPONSE_HEADERS", 10, headers=["HTTP/1.1 200"]),
            entry(1003, "REQUEST_ALIVE", 10, END, net_error=-173),
            frame(1010, False, 1, 5),
            entry(1020, "SOCKET_READ_ERROR", 14, net_error=-101),
        ]
    )
    assert said(trace)[1:4] == [
        "upgrade requested: GET /ws?token=[redacted]",
        "upgrade answered 200 in 1 ms",
        "open, no extension",
    ]
    assert trace.connections[0].ending.words == "RST by server"  # type: ignore[union-attr]


def test_a_forward_proxy() -> None:
    """It is named where the attempt is."""
    through = entry(1, "PROXY_RESOLUTION_SERVICE_RESOLVED_PROXY_LIST", 11, proxy_info="PROXY 192.0.2.5:3128;DIRECT")
    trace = read([*asked(), way()[0], through, *handshake()])
    assert said(trace)[0].endswith("through proxy http://192.0.2.5:3128")


def test_a_log_that_begins_in_the_middle() -> None:
    """Frames without an opening; the end comes from the channel, whose number is one below."""
    trace = read([frame(5, True, 1, 5, id=31), entry(9, "WEBSOCKET_STATE_CHANGED", 30, new_state="CLOSED")])
    assert said(trace) == ["sent text 5 B", "ended 1006 (told by NetLog)"]
    assert trace.warnings == ("connection 1 was open before the log began: its opening is not in it",)
    assert trace.connections[0].state == "ended"


def test_requests_beside() -> None:
    """Those to the WebSocket's host and those with the contract's paths, wherever they stand; no others."""

    def request(ms: int, id: int, method: str, url: str, status: int | None, error: int = 0) -> list[dict[str, Any]]:
        answer = [f"HTTP/1.1 {status or 0} X", "Retry-After: 7"]
        return [
            entry(ms, "REQUEST_ALIVE", id, BEGIN, url=url),
            entry(ms, "URL_REQUEST_START_JOB", id, BEGIN, url=url, method=method),
            *([entry(ms + 4, "HTTP_TRANSACTION_READ_RESPONSE_HEADERS", id, headers=answer)] if status else []),
            entry(ms + 5, "REQUEST_ALIVE", id, END, **({"net_error": error} if error else {})),
        ]

    trace = read(
        [
            *request(0, 50, "GET", "https://chat.example/page", 200),
            *request(10, 51, "GET", "https://elsewhere.example/page", 200),
            *request(20, 52, "POST", "https://api.example/api/auth/login", 429),
            *request(30, 53, "HEAD", "https://api.example/health", 405),
            *request(40, 54, "GET", "https://api.example/health", None, -102),
            *request(50, 55, "GET", "https://chat.example/cached", None),
            *asked(60),
            *request(70, 56, "GET", "https://chat.example/x", None, -101),
            entry(80, "REQUEST_ALIVE", 57, BEGIN, url="https://chat.example/under-way"),
        ]
    )
    assert said(trace, None) == [
        "GET other",
        "GET other 200, 4 ms",
        "POST login",
        "POST login 429, 4 ms",
        "health: HEAD 405, 4 ms",
        "health: GET net::ERR_CONNECTION_REFUSED, 5 ms",
        "GET other",
        "GET other failed: net::ERR_CONNECTION_RESET",
        "GET other",
    ]
    assert [event.retry_after for event in trace if hasattr(event, "retry_after")] == [7.0, 7.0]


def test_numbers_are_those_of_the_file() -> None:
    """Other constants, the same meaning; a type that this Chrome did not have is simply not there."""
    other = {**CONSTANTS["logEventTypes"], "REQUEST_ALIVE": 1, "SOMETHING_ELSE": 100}  # type: ignore[dict-item]
    del other["WEBSOCKET_CLOSE_TIMEOUT"]
    moved = [{**each, "type": 1} if each["type"] == 100 else each for each in life()]
    trace = read(lines(moved, {**CONSTANTS, "logEventTypes": other, "logEventPhase": {}}))
    assert trace.rows == read(life()).rows


def test_without_an_offset_that_is_a_time() -> None:
    """Times count from the start of that computer, and that is said."""
    trace = read(lines(life(), {**CONSTANTS, "timeTickOffset": "soon"}))
    assert "does not say when its clock began" in trace.warnings[0]
    assert len(trace) == 7


@pytest.mark.parametrize("time", ["nan", "1e999", "soon", 1e300, "9" * 400])
def test_times_that_are_none(time: object) -> None:
    """The entry is left out and counted."""
    odd = {**frame(20, True, 1, 5), "time": time}
    trace = read([*life(), odd])
    assert len(trace) == 7
    assert trace.warnings == ("1 entries could not be read and were left out",)


@pytest.mark.parametrize("flags", [{"payload_length": -5}, {"payload_length": 1 << 70}, {"opcode": 5}])
def test_frames_that_cannot_be(flags: dict[str, int]) -> None:
    """Left out and counted."""
    trace = read([*life(), frame(20, True, 1, 5) | {"params": {"opcode": 1, "payload_length": 1} | flags}])
    assert len(trace) == 7
    assert trace.warnings == ("1 entries could not be read and were left out",)


def test_a_parameter_of_another_kind_costs_only_itself() -> None:
    """A later Chrome may write a number where text was."""
    odd = frame(20, True, 1, 5) | {}
    odd["params"]["url"], odd["params"]["headers"] = 7, {"a": 1}
    assert said(read([*life(), odd]))[-1] == "sent text 5 B"


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_real_logs_are_known_and_whole(path: Path) -> None:
    """By content alone, without a remark."""
    assert sniff(path.read_bytes()[:65536]) == "netlog"
    assert chatkit.load(path).warnings == ()


@pytest.mark.parametrize(
    "layout", [{}, {"indent": 2}, {"separators": (",", ":")}], ids=["usual", "indented", "compact"]
)
def test_other_layouts_say_the_same(layout: dict[str, Any]) -> None:
    """A log that another tool wrote anew."""
    path = DATA / "netlog" / "healthy.json"
    again = json.dumps(json.loads(path.read_text("utf-8")), **layout).encode()
    trace = netlog.read(Source.of(again), Options())
    assert trace.rows == chatkit.load(path).rows
    assert trace.warnings == ()


def test_what_is_no_netlog() -> None:
    """Other JSON is left to others."""
    for start in (b"", b"{}", b'{"log": {}}', b'{"constants": 1}', b'{"constants": {"a": 1}}', b"[]", b'{"schema": 1}'):
        assert not netlog.sniff(start)


@pytest.mark.parametrize("indented", [False, True], ids=["by line", "by token"])
def test_cut_anywhere(indented: bool) -> None:
    """A trace that says so, with a part of the events; before the first entry an error."""
    whole = lines(life()) if not indented else json.dumps(json.loads(lines(life())), indent=1).encode()
    start, all_rows = whole.index(b'"events": ['), read(life()).rows
    for size in range(1, len(whole) - 40, 13):
        if size < start + 11:
            with pytest.raises(ImportFailed):
                read(whole[:size])
            continue
        trace = read(whole[:size])
        kinds = [row[:20] for row in trace.rows]
        assert kinds == [row[:20] for row in all_rows[: len(kinds)]] or len(kinds) <= 7
        assert trace.warnings or size > whole.index(b"polledData") - 10


def test_the_benchmark_reads_a_true_log(tmp_path: Path) -> None:
    """What is measured is what is claimed."""
    from tests.bench.netlog import write

    write(tmp_path / "x.json", 1 << 17)
    trace = chatkit.load(tmp_path / "x.json")
    (connection,) = trace.connections
    assert connection.frames_in > 3 * connection.frames_out - 1 > 0
    assert trace.warnings == ()


def test_no_websocket() -> None:
    """A log without one says so."""
    assert read([entry(0, "SOMETHING_ELSE", 1)]).warnings == (
        "the log holds no WebSocket: it was recorded while none was opened or used",
    )


def test_no_secret_survives() -> None:
    """Not in rows, not in warnings, not in the target, not in an error about damage."""
    trace = read(life())
    assert b"ZmFrZS1z" not in b"".join(trace.rows)
    assert "ZmFrZS1z" not in repr((trace.header, trace.warnings))
    with pytest.raises(ImportFailed) as refused:
        read(b'{"constants": {"logEventTypes": 1}, "x": "' + URL.encode() + b'"')
    assert "ZmFrZS1z" not in str(refused.value)


WHOLE = lines([*life(), frame(20, True, 1, 5), entry(900, "SOCKET_READ_ERROR", 14, net_error=-101)])


@given(data=st.data())
def test_any_damage_gives_a_trace_or_an_import_error(data: st.DataObject) -> None:
    """Two outcomes for a log with something spliced into it, and every event of the trace can be read."""
    a, b = sorted((data.draw(st.integers(0, len(WHOLE))), data.draw(st.integers(0, len(WHOLE)))))
    spliced = data.draw(
        st.binary(max_size=20) | st.sampled_from([b"[" * 5000, b'{"a":' * 5000, b"9" * 5000, b'"', b"\x00"])
    )
    try:
        trace = read(WHOLE[:a] + spliced + WHOLE[b:])
    except ImportFailed as error:
        assert error.source == "x.json"
    else:
        list(trace)
        _ = trace.connections


@given(place=st.integers(0, len(WHOLE) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit(place: int, bit: int) -> None:
    """The same two outcomes."""
    flipped = bytearray(WHOLE)
    flipped[place] ^= 1 << bit
    try:
        list(read(bytes(flipped)))
    except ImportFailed as error:
        assert error.source == "x.json"


MANY = [*life(), frame(20, True, 1, 5), frame(30, False, 8), entry(900, "SOCKET_READ_ERROR", 14, net_error=-101)]
ODD = (
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(max_size=9) | st.just([7]) | st.just({"a": []})
)


@given(number=st.integers(0, len(MANY) - 1), place=st.integers(0, 100), odd=ODD)
def test_any_value_in_any_place(number: int, place: int, odd: Any) -> None:
    """An entry one of whose values is of another kind."""
    many = copy.deepcopy(MANY)
    container: dict[str, Any] = many[number]
    keys = [(container, key) for key in container] + [
        (inner, key) for inner in container.values() if isinstance(inner, dict) for key in inner
    ]
    inner, key = keys[place % len(keys)]
    inner[key] = odd
    trace = read(many)
    list(trace)
    _ = trace.connections
