"""Errors say what was expected, what came, where, and what to try; facts are attributes."""

from __future__ import annotations

import inspect

import pytest

from chatkit import errors
from chatkit.errors import (
    AuthError,
    ChatkitError,
    ConnectFailed,
    ConnectionEnded,
    ConnectionLost,
    ImportFailed,
    InvalidInput,
    LabError,
    MissingDependency,
    ProfileError,
    QueueFull,
)

TABLE = [
    (ChatkitError("it broke"), "it broke."),
    (ChatkitError("it broke."), "it broke."),
    (
        InvalidInput("no such bot", expected="echo or slow", got="eccho", where="bot", remedy="correct it."),
        "no such bot (bot).\nExpected: echo or slow.\nGot: eccho.\nTry: correct it.",
    ),
    (InvalidInput("wrong", got=3), "wrong.\nGot: 3."),
    (
        ProfileError("a value does not fit", file="p.toml", line=3, key="client.x", got="a"),
        "a value does not fit (p.toml, line 3, key client.x).\nGot: a.",
    ),
    (ProfileError("bad"), "bad (profile)."),
    (ImportFailed("no event", source="a.jsonl", entry=7, field="at"), "no event (a.jsonl, line 7, field at)."),
    (ImportFailed("empty", source="a.jsonl"), "empty (a.jsonl)."),
    (
        ConnectFailed("refused", target="ws://h/p", stage="upgrade", status=403, remedy="look"),
        "refused (ws://h/p).\nTry: look.",
    ),
    (ConnectionEnded("it ended", ending="RST by server"), "it ended.\nGot: RST by server."),
    (ConnectionLost("no reply", delivery="m1", outcome="unknown"), "no reply (delivery m1).\nGot: unknown."),
    (
        QueueFull("no room", count=2, bytes=9, limit="2 messages with 10 bytes", remedy="wait"),
        "no room.\nExpected: at most 2 messages with 10 bytes.\nGot: 2 messages with 9 bytes.\nTry: wait.",
    ),
    (
        QueueFull("no room", count=1, bytes=9, limit="1 message"),
        "no room.\nExpected: at most 1 message.\nGot: 1 message with 9 bytes.",
    ),
    (AuthError("refused", refused_by="POST /login", expired_at=5.0), "refused (POST /login)."),
    (LabError("not now", got="closed"), "not now.\nGot: closed."),
    (
        MissingDependency("a table", package="pandas", extra="tables"),
        "a table needs the package 'pandas', which is not installed.\nTry: pip install pandas (the extra 'tables' of this project).",
    ),
]


@pytest.mark.parametrize(
    ("error", "sentence"), TABLE, ids=[f"{type(e).__name__}-{i}" for i, (e, _) in enumerate(TABLE)]
)
def test_the_sentence(error: ChatkitError, sentence: str) -> None:
    """What, expected, got, remedy: one line each, and the same in a notebook."""
    assert str(error) == sentence
    assert error._render_traceback_() == [f"{type(error).__name__}: {sentence}"]


def test_every_error_is_in_the_table_and_in_the_map() -> None:
    """The module's docstring draws the whole tree."""
    leaves = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, ChatkitError)]
    assert {type(error) for error, _ in TABLE} == set(leaves)
    assert [cls.__name__ for cls in leaves if cls.__name__ not in errors.__doc__] == []


@pytest.mark.parametrize(
    ("error", "facts"),
    [
        (ProfileError("x", file="p.toml", line=3, key="k"), {"file": "p.toml", "line": 3, "key": "k"}),
        (ImportFailed("x", source="f", entry=2, field="at"), {"source": "f", "entry": 2, "field": "at"}),
        (ConnectFailed("x", target="t", stage="tls", status=None), {"target": "t", "stage": "tls", "status": None}),
        (ConnectionEnded("x", ending="e"), {"ending": "e"}),
        (ConnectionLost("x", delivery="m1", outcome="unknown"), {"delivery": "m1", "outcome": "unknown"}),
        (QueueFull("x", count=2, bytes=9, limit="2 messages"), {"count": 2, "bytes": 9, "limit": "2 messages"}),
        (AuthError("x", refused_by="r", expired_at=1.0), {"refused_by": "r", "expired_at": 1.0}),
        (MissingDependency("f", package="p", extra="e"), {"feature": "f", "package": "p", "extra": "e"}),
    ],
)
def test_facts_are_attributes(error: ChatkitError, facts: dict[str, object]) -> None:
    """Code reads attributes; people read sentences."""
    assert {name: getattr(error, name) for name in facts} == facts


@pytest.mark.parametrize(
    ("cls", "builtin"), [(InvalidInput, ValueError), (ProfileError, ValueError), (MissingDependency, ImportError)]
)
def test_plain_misuse_is_a_built_in_too(cls: type, builtin: type) -> None:
    """Who catches ValueError or ImportError catches these."""
    assert issubclass(cls, builtin)


def test_what_came_is_shortened() -> None:
    """A megabyte of nonsense does not become a megabyte of message."""
    assert len(str(InvalidInput("wrong", got="x" * 1_000_000))) < 300
    assert str(InvalidInput("wrong", got=[1] * 1000)).endswith("….")
