"""HAR files of every dialect: what they show is read, what they cannot show is said, damage is survived."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatkit.errors import ImportFailed
from chatkit.events import (
    AttemptFailed,
    CloseReceived,
    EndReported,
    Event,
    FrameReceived,
    FrameSent,
    HealthChecked,
    HttpAnswered,
    HttpFailed,
    HttpRequested,
    Logged,
    Opened,
    PingReceived,
    UpgradeAnswered,
    UpgradeRequested,
)
from chatkit.formats import Options, Source, har, load
from chatkit.trace import Trace
from stories import make_jwt

DATA = Path(__file__).parents[1] / "data" / "har"
T = 1_780_000_000.0
START = "2026-05-28T20:26:40.000Z"
TOKEN = make_jwt(exp=1795453325)


def message(type_: str = "receive", at: float = 0.5, data: str = "hello", opcode: int = 1) -> dict[str, Any]:
    return {"type": type_, "time": T + at, "opcode": opcode, "data": data}


def entry(*messages: Any, status: int = 101, url: str = "ws://h/p?token=" + TOKEN, **more: Any) -> dict[str, Any]:
    return {
        "_resourceType": "websocket",
        "_webSocketMessages": list(messages),
        "startedDateTime": START,
        "time": 1000,
        "timings": {"send": 0, "wait": 500, "receive": 500},
        "request": {"method": "GET", "url": url, "headers": [{"name": "Sec-WebSocket-Key", "value": "abc"}]},
        "response": {"status": status, "statusText": "", "headers": []},
    } | more


def http(url: str, method: str = "GET", status: int = 200, **response: Any) -> dict[str, Any]:
    return {
        "startedDateTime": START,
        "time": 250,
        "request": {"method": method, "url": url, "headers": [], "headersSize": 100, "bodySize": 20},
        "response": {"status": status, "headers": [], "headersSize": 50, "bodySize": 5} | response,
    }


def document(*entries: Any, creator: str = "WebInspector") -> bytes:
    return json.dumps({"log": {"version": "1.2", "creator": {"name": creator}, "entries": list(entries)}}).encode()


def read(*entries: Any, creator: str = "WebInspector") -> Trace:
    return har.read(Source.of(document(*entries, creator=creator)), Options())


def of(trace: Trace, kind: type[Event]) -> list[Any]:
    return [event for event in trace if isinstance(event, kind)]


@pytest.mark.parametrize("unit", [1, 1000, 1_000_000])
def test_the_unit_of_time_is_detected(unit: int) -> None:
    """Seconds, milliseconds and microseconds of the epoch."""
    trace = read(entry(message() | {"time": (T + 0.25) * unit}))
    assert of(trace, FrameReceived)[0].at == 0.25


def test_messages_without_a_time_stand_where_the_entry_begins() -> None:
    """In their order; Playwright writes -1 when it leaves times out."""
    trace = read(entry(*(message(data=str(n)) | {"time": -1} for n in range(3))), creator="Playwright")
    assert [(event.at, event.text) for event in of(trace, FrameReceived)] == [(0.0, "0"), (0.0, "1"), (0.0, "2")]


def test_chrome_tells_an_end_and_no_code() -> None:
    """The entry runs to the close; while the connection lives nothing is received after the last message."""
    ended = read(entry(message("send")))
    assert [(event.at, event.code, event.source) for event in of(ended, EndReported)] == [(1.0, None, "browser")]
    assert (ended.connections[0].state, ended.connections[0].ending.close_code) == ("ended", None)
    alive = read(entry(message("send"), time=500, timings={"wait": 500, "receive": 0}))
    assert (of(alive, EndReported), alive.connections[0].state) == ([], "open")


@pytest.mark.parametrize("creator", ["Playwright", "mitmproxy", "Firefox", "Somebody"])
def test_the_others_tell_no_end(creator: str) -> None:
    """Whatever the time of the entry is."""
    trace = read(entry(message("send")), creator=creator)
    assert of(trace, EndReported) == []
    assert any("whether and when" in warning for warning in trace.warnings) == (creator in ("Playwright", "mitmproxy"))


@pytest.mark.parametrize(
    ("close", "code", "timed", "at"),
    [
        ({"code": 1011, "reason": "x", "timestamp": T + 3}, 1011, True, 3.0),
        ({"code": 1011, "reason": "x", "timestamp": (T + 3) * 1000}, 1011, True, 3.0),
        ({"code": 1005}, 1005, True, 1.0),
        ({"code": 99_999}, None, True, 1.0),
        ({}, None, True, 1.0),
        ("aborted", 1006, True, 1.0),
    ],
)
def test_a_close_that_is_told(close: Any, code: int | None, timed: bool, at: float) -> None:
    """As HTTP Toolkit tells it; who closed is not known."""
    trace = read(entry(message("send"), _webSocketClose=close), creator="HTTP Toolkit")
    told = of(trace, EndReported)[0]
    assert (told.code, told.timed, told.at, told.by) == (code, timed, at, None)
    assert "close-code" not in trace.not_visible


def test_an_end_without_a_time_follows_no_action() -> None:
    """It stands at the last message, and nothing is said to have come right before it."""
    trace = read(entry(message("send"), time=-1, _webSocketClose="aborted"), creator="HTTP Toolkit")
    assert (of(trace, EndReported)[0].at, of(trace, EndReported)[0].timed) == (0.5, False)
    assert trace.connections[0].ending.after is None
    assert trace.connections[0].ending.close_code == 1006


REFUSED = "Error during WebSocket handshake: Unexpected response code: 403"


@pytest.mark.parametrize(
    ("creator", "one"),
    [
        ("WebInspector", entry({"type": "error", "time": T, "opcode": -1, "data": REFUSED}, status=0)),
        ("Playwright", entry(status=-1, response={"status": -1, "_failureText": REFUSED})),
        ("mitmproxy", {"request": {"url": "http://h/p", "headers": [{"name": "Upgrade", "value": "websocket"}]},
                       "response": {"status": 403}, "startedDateTime": START}),
    ],
)  # fmt: skip
def test_a_refusal_in_each_dialect(creator: str, one: dict[str, Any]) -> None:
    """The status is known, nothing opened."""
    trace = read(one, creator=creator)
    (failed,) = of(trace, AttemptFailed)
    assert (failed.stage, failed.status, of(trace, UpgradeAnswered)[0].status) == ("upgrade", 403, 403)
    (connection,) = trace.connections
    assert (connection.state, connection.status, connection.ending.close_code) == ("refused", 403, None)
    assert connection.url.startswith("ws://h/p")
    assert "frames" not in trace.not_visible


@pytest.mark.parametrize(
    ("error", "stage"),
    [("net::ERR_NAME_NOT_RESOLVED", "dns"), ("net::ERR_CONNECTION_REFUSED", "tcp"), ("net::ERR_CERT_DATE_INVALID", "tls"),
     ("net::ERR_CONNECTION_RESET", "upgrade"), ("something else", "upgrade")],
)  # fmt: skip
def test_where_an_attempt_failed(error: str, stage: str) -> None:
    """By the browser's own word."""
    one = entry({"type": "error", "time": T, "data": f"Error in connection establishment: {error}"}, status=0)
    one["request"]["headers"] = []
    trace = read(one)
    assert [(event.stage, event.status) for event in of(trace, AttemptFailed)] == [(stage, None)]
    assert of(trace, UpgradeRequested) == []


def test_an_error_of_a_connection_that_was_open() -> None:
    """Is what the client logged; the end is told all the same."""
    trace = read(entry(message(), {"type": "error", "time": T + 0.9, "data": "Invalid frame header"}))
    assert [(event.what, event.text, event.at) for event in of(trace, Logged)] == [
        ("error", "Invalid frame header", 0.9)
    ]
    assert len(of(trace, EndReported)) == 1


def test_opening_with_what_was_negotiated() -> None:
    """Extensions and subprotocol from the answer; the handshake's time where it is told."""
    answer = {"status": 101, "headers": [{"name": "sec-websocket-extensions", "value": "permessage-deflate"},
                                         {"name": "Sec-WebSocket-Protocol", "value": "chat"}]}  # fmt: skip
    trace = read(entry(message(at=0.9), response=answer, timings={"wait": 20}), creator="mitmproxy")
    (opened,) = of(trace, Opened)
    assert (opened.at, opened.extensions, opened.subprotocol) == (0.02, "permessage-deflate", "chat")
    assert of(trace, UpgradeRequested)[0].key == "abc"


def test_binary_and_control_frames() -> None:
    """Some tools write control frames as messages: then they are visible."""
    trace = read(entry(message(data="AAEC", opcode=2), message(data="cGluZw==", opcode=9),
                       message(data="A/NieWU=", opcode=8), message(data="not base64!", opcode=2)))  # fmt: skip
    assert (of(trace, FrameReceived)[0].data, of(trace, FrameReceived)[0].size) == ("AAEC", 3)
    assert of(trace, FrameReceived)[1].text == "not base64!"
    assert of(trace, PingReceived)[0].payload == b"ping".hex()
    assert (of(trace, CloseReceived)[0].code, of(trace, CloseReceived)[0].reason) == (1011, "bye")
    assert not {"pings", "close-code"} & set(trace.not_visible)


def test_http_beside_the_socket() -> None:
    """Purpose, bytes, Retry-After, errors; health checks are looks at the backend's health."""
    trace = read(
        http("http://h/api/auth/login", "POST"),
        http("http://h/health", "HEAD", 405),
        http("http://h/health", status=0, _error="net::ERR_CONNECTION_REFUSED"),
        http("http://h/api/conversations/bots/b/chat", "POST", 503, headers=[{"name": "retry-after", "value": "7"}],
             content={"text": "busy"}, _transferSize=99),
        http("http://h/x.css", status=0, _error="net::ERR_FAILED"),
        http("data:text/plain,x"),
    )  # fmt: skip
    assert [event.purpose for event in of(trace, HttpRequested)] == ["login", "chat", "other"]
    login, chat = of(trace, HttpAnswered)
    assert (login.sent, login.received, login.seconds, login.at) == (120, 55, 0.25, 0.25)
    assert (chat.status, chat.retry_after, chat.detail, chat.received) == (503, 7.0, "busy", 99)
    assert of(trace, HttpFailed)[0].error == "net::ERR_FAILED"
    assert [(event.method, event.healthy, event.status) for event in of(trace, HealthChecked)] == [
        ("HEAD", False, 405), ("GET", False, None)]  # fmt: skip


def test_connections_are_numbered_as_they_appear() -> None:
    """Also those without messages, and those whose messages stand before the entry's other members."""
    trace = read(entry(message(data="a")), entry(status=403), entry(message(at=0.1, data="b")))
    assert [(event.connection, event.text) for event in of(trace, FrameReceived)] == [("3", "b"), ("1", "a")]
    assert {connection.id for connection in trace.connections} == {"1", "2", "3"}


def test_an_opened_socket_without_messages_hides_them() -> None:
    """Firefox writes none."""
    one = entry()
    del one["_webSocketMessages"]
    trace = read(one, creator="Firefox")
    assert {"frames", "sent", "received", "payloads", "sizes"} <= set(trace.not_visible)


def test_an_attached_file(tmp_path: Path) -> None:
    """Beside the HAR, as Playwright writes it; one that is missing is said."""
    one = entry(response={"status": 101, "content": {"_file": "m.jsonl"}})
    del one["_webSocketMessages"]
    path = tmp_path / "x.har"
    path.write_bytes(document(one, creator="Playwright"))
    assert any("m.jsonl" in warning for warning in load(path).warnings)
    (tmp_path / "m.jsonl").write_text(
        json.dumps(message(data="a")) + "\nbroken\n" + json.dumps(message(data="b")) + "\n"
    )
    trace = load(path)
    assert [event.text for event in of(trace, FrameReceived)] == ["a", "b"]
    assert "1 lines of m.jsonl are no WebSocket messages" in trace.warnings


def test_no_token_is_left() -> None:
    """Query, headers, cookies, messages of both paths, bodies, errors, names of files."""
    fields = [{"name": name, "value": "Bearer " + TOKEN} for name in ("Cookie", "Authorization", "X-Any")]
    one = entry(message(data="plain"), message(data=json.dumps({"token": "s3cr3t-of-the-house"})), message(data=TOKEN),
                {"type": "error", "time": T, "data": "failed " + TOKEN}, message(type_="x" + TOKEN))  # fmt: skip
    one["request"]["headers"] = fields
    one["response"] |= {"headers": fields, "_failureText": TOKEN}
    trace = read(one, http("http://h/?access_token=s3cr3t-of-the-house", status=500, content={"text": f'{{"token": "{TOKEN}"}}'}),
                 http("http://h/x", status=0, _error=TOKEN), creator="Playwright")  # fmt: skip
    everything = b"".join(trace.rows) + repr((trace.warnings, trace.header)).encode()
    for secret in (TOKEN.split(".")[2], TOKEN.split(".")[0], "s3cr3t"):
        assert secret.encode() not in everything


VALUES: list[Any] = [None, True, -1, 1e308, 10**30, "", "\ud800", "x\0", [], [1], {}, {"a": 1}, "2026", [[]]]


@settings(max_examples=300)
@given(st.integers(0, 10**9))
def test_wrong_types_everywhere(seed: int) -> None:
    """Any member of any object may be anything: a trace comes, or a refusal."""
    chance = random.Random(seed)

    def spoiled(value: Any) -> Any:
        if chance.random() < 0.08:
            return chance.choice(VALUES)
        if isinstance(value, dict):
            return {key: spoiled(one) for key, one in value.items()}
        return [spoiled(one) for one in value] if isinstance(value, list) else value

    whole = json.loads(document(entry(message(), _webSocketClose={"code": 1011}, _chatkit={"events": [{"type": "Opened"}]}),
                                http("http://h/health"), http("http://h/", status=503), entry(status=0)))  # fmt: skip
    creator = chance.choice(["WebInspector", "chatkit", "mitmproxy"])
    whole["log"] |= {"creator": {"name": creator}, "_chatkit": {"epoch": T, "events": [{"type": "Noted", "text": "x"}]}}
    outcome(json.dumps(spoiled(whole)).encode())


REAL = [path for path in sorted(DATA.glob("*.har")) if path.stat().st_size < 12_000]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_cut_and_flipped_files(data: st.DataObject) -> None:
    """Real files: two outcomes."""
    whole = bytearray(data.draw(st.sampled_from(REAL)).read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    outcome(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


def outcome(data: bytes) -> Trace | None:
    try:
        trace = har.read(Source.of(data), Options())
    except ImportFailed as error:
        assert "Expected:" in str(error)
        return None
    assert len(list(trace)) == len(trace)
    assert str(trace)
    return trace


@pytest.mark.parametrize("nest", ["[", '{"a":'])
def test_endless_nesting(nest: str) -> None:
    """In an entry, in the log, in a message: what is whole is read."""
    deep = nest * 1_000_000
    good = json.dumps(entry(message(data="kept")))
    for text in (
        '{"log":{"creator":{"name":"WebInspector"},"entries":[' + good + ',{"request":' + deep,
        '{"log":{"entries":[{"_webSocketMessages":[' + json.dumps(message(data="kept")) + "," + deep,
    ):
        trace = outcome(text.encode())
        assert trace is not None
        assert [event.text for event in of(trace, FrameReceived)] == ["kept"]
    outcome(('{"log":' + deep).encode())


def test_a_cut_file_keeps_entries_and_messages() -> None:
    """Also the messages of the entry that is cut."""
    whole = document(entry(message(data="a")), entry(message(data="b"), message(data="c")))
    trace = outcome(whole[: whole.rindex(b'"response"') + 5])
    assert trace is not None
    assert [event.text for event in of(trace, FrameReceived)] == ["a", "b", "c"]
    assert trace.connections[1].url is not None
    assert any("cut or damaged" in warning for warning in trace.warnings)


def test_an_empty_har_is_refused() -> None:
    """With a way out."""
    with pytest.raises(ImportFailed, match="no entry") as refused:
        read()
    assert "network panel" in str(refused.value)


@pytest.mark.parametrize(
    "start",
    [b'{"log": {"version": "1.2", "creator": {', b'\xef\xbb\xbf\n{ "log" : { "entries": [', document()],
)
def test_sniff_knows_a_har(start: bytes) -> None:
    """With or without a byte order mark."""
    assert har.sniff(start)


@pytest.mark.parametrize(
    "start",
    [b"", b"[]", b'{"constants": {}, "log": {"entries": []}}', b'{"log": 1, "entries": []}', b'"log": {"entries": []}',
     b'{"log": {"version": "1.2"}}', b'{"schema": "chatkit.trace/1"}'],
)  # fmt: skip
def test_sniff_steals_no_other(start: bytes) -> None:
    """NetLogs, recordings, other JSON."""
    assert not har.sniff(start)


def test_many_messages_at_once_are_what_single_ones_are() -> None:
    """The quick way and the careful one give the same rows but for their times."""
    texts = ["plain", "", "é" * 50, '{"type": "x"}', "a@b ://"] * 50
    quick = read(entry(*(message("send", n / 100, text) for n, text in enumerate(texts))))
    careful = read(entry(*(message("send", n / 100, text) | {"opcode": 1.0} for n, text in enumerate(texts)),
                         message("send", 900, "x", 2)))  # fmt: skip
    ours, theirs = of(quick, FrameSent), of(careful, FrameSent)[:-1]
    assert [(one.text, one.size, one.at) for one in ours] == [(one.text, one.size, one.at) for one in theirs]
    assert [one.text for one in ours] == texts
