"""The contract as data: what the server says is read, what the client says is built, what is wrong is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.errors import ProfileError
from chatkit.profile import DEFAULT, Fields, Incoming, Paths, Profile, Types, dig, load

# Server → client, as the contract shows them.
REPLY = {
    "message_id": "m1",
    "session_id": "s1",
    "user_id": "ada",
    "username": "Assistant",
    "content": "hello",
    "role": "assistant",
    "timestamp": "2026-01-01T00:00:00Z",
    "metadata": {},
}
REPLY_READ = {
    "bot_id": "b",
    "message_id": "m1",
    "session_id": "s1",
    "user_id": "ada",
    "username": "Assistant",
    "content": "hello",
    "role": "assistant",
    "timestamp": "2026-01-01T00:00:00Z",
}


@pytest.mark.parametrize(
    ("message", "read"),
    [
        (
            {
                "type": "connection_established",
                "data": {"bot_id": "b", "bot_name": "Bot", "user_id": "ada", "connection_id": "c1"},
            },
            {"kind": "established", "user_id": "ada", "bot_name": "Bot"},
        ),
        (
            {"type": "connection_established", "data": {"connection_type": "notifications", "user_id": "ada"}},
            {"kind": "established", "user_id": "ada"},
        ),
        ({"type": "chat_response", "bot_id": "b", "data": REPLY}, {"kind": "reply"} | REPLY_READ),
        (
            {
                "type": "chat_response_chunk",
                "bot_id": "b",
                "data": {"message_id": "m1", "session_id": "s1", "seq": 0, "delta": "he"},
            },
            {"kind": "chunk", "bot_id": "b", "message_id": "m1", "session_id": "s1", "seq": 0, "delta": "he"},
        ),
        (
            {"type": "chat_message", "bot_id": "b", "data": REPLY | {"role": "user", "username": "grace"}},
            {"kind": "message"} | REPLY_READ | {"username": "grace", "role": "user"},
        ),
        (
            {
                "type": "typing_indicator",
                "bot_id": "b",
                "data": {"user_id": "g", "username": "grace", "is_typing": True},
                "timestamp": "t",
            },
            {
                "kind": "typing",
                "bot_id": "b",
                "user_id": "g",
                "username": "grace",
                "is_typing": True,
                "timestamp": "t",
            },
        ),
        ({"type": "pong", "timestamp": "t"}, {"kind": "pong", "timestamp": "t"}),
        (
            {"type": "session_synced", "data": {"session_id": "s1", "bot_id": "b", "timestamp": "t"}},
            {"kind": "synced", "session_id": "s1", "timestamp": "t"},
        ),
        ({"type": "permission_change", "bot_id": "b", "data": {}, "timestamp": "t"}, {"kind": "other", "bot_id": "b", "timestamp": "t"}),
        ({"type": "bot_update", "data": {}}, {"kind": "other"}),
        ({"type": "document_update", "data": {}}, {"kind": "other"}),
        ({"type": "notification", "data": {}}, {"kind": "other"}),
        ({"type": "error", "message": "no"}, {"kind": "error", "detail": "no"}),
        # and beside the contract
        ({"type": "dance"}, {"kind": "unknown", "detail": "unknown type 'dance'"}),
        ({"type": "chat_response", "data": {}}, {"kind": "invalid", "detail": "chat_response without data.content"}),
        (
            {"type": "chat_response_chunk", "data": {"delta": "x"}},
            {"kind": "invalid", "detail": "chat_response_chunk without data.message_id, data.seq", "delta": None},
        ),
        ({"type": "typing_indicator", "data": {"is_typing": "yes"}}, {"kind": "invalid", "detail": "typing_indicator without data.is_typing"}),
        ({"type": "chat_response", "data": REPLY | {"message_id": 7}}, {"kind": "reply"} | REPLY_READ | {"bot_id": None, "message_id": "7"}),
        ({"type": "chat_response", "data": REPLY | {"message_id": True}}, {"kind": "reply"} | REPLY_READ | {"bot_id": None, "message_id": None}),
    ],
    ids=lambda value: value.get("type", "") if isinstance(value, dict) else None,
)  # fmt: skip
def test_reading_what_the_server_says(message: dict[str, object], read: dict[str, object]) -> None:
    """Every row of the contract, and what is near it."""
    expected = Incoming(**({"type": message["type"]} | read))
    assert DEFAULT.read(json.dumps(message)) == expected
    assert DEFAULT.read(json.dumps(message).encode()) == expected


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        (b"\xff", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "expected a JSON object"),
        ('"type"', "expected a JSON object"),
        ("{}", "expected a JSON object"),
        ('{"type": 3}', "expected a JSON object"),
    ],
)
def test_what_cannot_be_read_is_invalid(text: str | bytes, detail: str) -> None:
    """With a reason, never with an exception."""
    read = DEFAULT.read(text)
    assert read.kind == "invalid"
    assert detail in read.detail


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
_TYPES = st.sampled_from(
    [t for t in [getattr(DEFAULT.types, name) for name in Types.__struct_fields__] if isinstance(t, str)]
)
_KEYS = st.sampled_from(["type", "data", "message", "bot_id", "timestamp"])
_DATA = st.dictionaries(
    st.sampled_from(
        sorted({path.rpartition(".")[2] for path in [getattr(DEFAULT.fields, n) for n in Fields.__struct_fields__]})
    ),
    _JSON,
)
_MESSAGES = st.builds(
    lambda rest, data, kind: rest | {"data": data, "type": kind},
    st.dictionaries(_KEYS, _JSON),
    _DATA | _JSON,
    _TYPES | _JSON,
)


@given(st.binary() | st.text() | _JSON.map(json.dumps) | _MESSAGES.map(json.dumps))
def test_read_is_total(text: str | bytes) -> None:
    """Any input gives a message; kinds that carry content carry it."""
    read = DEFAULT.read(text)
    if read.kind in ("reply", "message"):
        assert isinstance(read.content, str)
    if read.kind == "chunk":
        assert (type(read.message_id), type(read.seq), type(read.delta)) == (str, int, str)
    if read.kind in ("invalid", "unknown", "error"):
        assert read.detail


def test_building_what_the_client_says() -> None:
    """The contract's rows, key by key."""
    assert json.loads(DEFAULT.ping("2026-01-01T00:00:00+00:00")) == {
        "type": "ping",
        "timestamp": "2026-01-01T00:00:00+00:00",
    }
    assert json.loads(DEFAULT.typing(True)) == {"type": "typing", "data": {"is_typing": True}}
    assert json.loads(DEFAULT.sync("s1")) == {"type": "session_sync", "data": {"session_id": "s1"}}
    assert json.loads(DEFAULT.message("hi 🤖", None)) == {"type": "message", "data": {"content": "hi 🤖"}}
    assert json.loads(DEFAULT.message("hi", "s1"))["data"] == {"content": "hi", "session_id": "s1"}


def test_the_built_in_paths_and_timings_are_the_contracts() -> None:
    """The values of the repaired front end."""
    paths = {name: getattr(DEFAULT.paths, name) for name in Paths.__struct_fields__}
    assert paths == {
        "chat_socket": "/api/ws/chat/{bot_id}",
        "notifications_socket": "/api/ws/notifications",
        "mux_socket": None,
        "health": "/health",
        "login": "/api/auth/login",
        "refresh": "/api/auth/refresh",
        "bot": "/api/bots/{bot_id}",
        "bots": None,
        "sessions": "/api/conversations/bots/{bot_id}/sessions",
        "chat": "/api/conversations/bots/{bot_id}/chat",
        "history": "/api/conversations/sessions/{session_id}/messages",
        "stats": "/api/ws/stats",
        "connections": "/api/ws/connections",
    }
    rules = DEFAULT.client
    assert (rules.connect_timeout, rules.stabilise, rules.ping_interval) == (10, 5, 30)
    assert (rules.health_method, rules.health_interval, rules.health_timeout, rules.health_failures) == (
        "GET",
        30,
        5,
        3,
    )
    assert (rules.retry_base, rules.retry_factor, rules.retry_cap, rules.retry_attempts) == (1, 2, 30, 5)
    assert (rules.retry_jitter, rules.retry_floor, rules.suspend, rules.typing_stop) == (0.5, 1, True, 3)
    assert (DEFAULT.send.via, DEFAULT.send.max_chars) == ("http", 10_000)


@pytest.mark.parametrize(
    ("text", "type_"),
    [('{"type": "ping"}', "ping"), ('{"a": 1, "type" :"x"}', "x"), ('{"type": 3}', None), ("", None)],
)
def test_type_of_looks_without_parsing(text: str, type_: str | None) -> None:
    """The first ``type`` near the beginning."""
    assert DEFAULT.type_of(text) == type_


@pytest.mark.parametrize(
    ("body", "path", "value"),
    [({"a": {"b": 1}}, "a.b", 1), ({"a": {"b": 1}}, "a.c", None), ({"a": [1]}, "a.0", None), (None, "a", None), ({"a": 2}, "a", 2)],
)  # fmt: skip
def test_dig(body: object, path: str, value: object) -> None:
    """A dotted path, ``None`` where it leads nowhere."""
    assert dig(body, path) == value


GOOD = """\
name = "support bots"
[paths]
chat_socket = "/ws/{bot_id}"
[types]
reply = "assistant_message"
others = ["news"]
[fields]
content = "payload.text"
[client]
ping_interval = 20
"""


def test_a_profile_names_what_differs(tmp_path: Path) -> None:
    """The rest is the built-in contract."""
    file = tmp_path / "support.toml"
    file.write_text(GOOD)
    profile = load(file)
    assert profile == load(str(file))
    assert (profile.name, profile.paths.chat_socket, profile.paths.health) == (
        "support bots",
        "/ws/{bot_id}",
        "/health",
    )
    assert (profile.client.ping_interval, profile.client.stabilise) == (20, 5)
    assert profile.read('{"type": "assistant_message", "payload": {"text": "hi"}}').content == "hi"
    assert profile.read('{"type": "chat_response", "data": {"content": "hi"}}').kind == "unknown"
    assert profile.read('{"type": "news"}').kind == "other"


def test_no_file_is_the_built_in_one() -> None:
    """And a profile passes through."""
    mine = Profile(name="mine")
    assert load(None) is DEFAULT
    assert load(mine) is mine


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ("[client]\nping_intervall = 3\n", 2, "client.ping_intervall", ["nobody reads", "'ping_interval'?", "Try:"]),
        ("nmae = 'x'\n", 1, "nmae", ["'name'?"]),
        ("[clients]\nx = 1\n", 1, "clients", ["'client'?"]),
        ("\n[zebra]\n", 2, "zebra", ["one of name, paths"]),
        (
            "[client]\nstabilise = 5\nping_interval = 'soon'\n",
            3,
            "client.ping_interval",
            ["Expected `float`, got `str`"],
        ),
        ("client.ping_interval = 'soon'\n", 1, "client.ping_interval", ["Expected `float`"]),
        ("[send]\nvia = 'pigeon'\n", 2, "send.via", ["'pigeon'"]),
        ("[[client.rows]]\nclose = 4100\naction = 'explode'\n", 3, "client.rows[0].action", ["'explode'"]),
        ("[[client.rows]]\nclose = 4100\naction = 'fail'\nsignl = 'x'\n", 4, "client.rows[0].signl", ["'signal'?"]),
        ("client = 3\n", 1, "client", ["Expected `object`"]),
        ("[client]\n\nretry_cap = -1\n", 3, "client.retry_cap", ["negative", "Expected: 0 or more", "Got: -1"]),
        ("[client]\nretry_attempts = -1\n", 2, "client.retry_attempts", ["negative"]),
        ("[client]\nx = = 3\n", 2, None, ["not TOML"]),
        ("[client\n", 1, None, ["not TOML"]),
    ],
)
def test_a_wrong_profile_names_file_line_and_key(
    tmp_path: Path, text: str, line: int, key: str | None, words: list[str]
) -> None:
    """And what would have been right."""
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(ProfileError) as refused:
        load(file)
    error = refused.value
    assert (error.file, error.line, error.key) == (str(file), line, key)
    assert all(word in str(error) for word in [*words, str(file), f"line {line}"]), str(error)


def test_a_profile_that_cannot_be_opened(tmp_path: Path) -> None:
    """Absent, a folder, or not text."""
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    for path in (tmp_path / "absent.toml", tmp_path, binary):
        with pytest.raises(ProfileError, match="cannot be read") as refused:
            load(path)
        assert refused.value.file == str(path)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_duration_is_a_number(tmp_path: Path, value: str) -> None:
    """A client cannot wait for nan seconds, nor for ever without saying so."""
    file = tmp_path / "odd.toml"
    file.write_text(f"[client]\nping_interval = {value}\n")
    with pytest.raises(ProfileError) as refused:
        load(file)
    assert (refused.value.line, refused.value.key) == (2, "client.ping_interval")


@given(st.text() | st.text(alphabet='[]="{}.client_png3\n', max_size=60))
def test_any_text_gives_a_profile_or_a_profile_error(text: str) -> None:
    """Two outcomes, whatever the file holds."""
    import tempfile

    with tempfile.NamedTemporaryFile("wb", suffix=".toml") as file:
        file.write(text.encode("utf-8", "replace"))
        file.flush()
        try:
            assert isinstance(load(file.name), Profile)
        except ProfileError as error:
            assert error.file == file.name
