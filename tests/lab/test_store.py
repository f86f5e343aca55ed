"""What stands in the database, also in one that an older lab made."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from chatkit.errors import LabError
from chatkit.lab.store import Store, Stored

OLD_SCHEMA = """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY, bot_id TEXT NOT NULL, user_id TEXT NOT NULL, title TEXT NOT NULL, created_at REAL NOT NULL
);
CREATE TABLE messages (
    id TEXT PRIMARY KEY, session_id TEXT NOT NULL REFERENCES sessions(id), role TEXT NOT NULL,
    user_id TEXT NOT NULL, content TEXT NOT NULL, created_at REAL NOT NULL
);
INSERT INTO sessions VALUES ('s', 'echo', 'ada', 'Old', 1.0);
INSERT INTO messages VALUES ('m', 's', 'user', 'ada', 'hello', 2.0);
"""


def said(id: str, session: str, content: str = "x") -> Stored:
    """Some message."""
    return Stored(id=id, session_id=session, content=content, created_at=3.0)


def test_an_older_file_gets_what_it_lacks(tmp_path) -> None:
    """Once; what was in it stays, and rows look as they did."""
    path = str(tmp_path / "lab.sqlite")
    with closing(sqlite3.connect(path)) as old:
        old.executescript(OLD_SCHEMA)
    for n in range(2):
        with closing(Store(path)) as store:
            store.add_message(said(f"n{n}", "s"), role="user", user_id="ada", client_message_id=f"c{n}")
            history = store.history("s")
    assert [set(row) for row in history] == [
        {"id", "role", "content", "created_at"},
        {"id", "role", "content", "created_at", "client_message_id"},
        {"id", "role", "content", "created_at", "client_message_id"},
    ]
    assert [row["id"] for row in history] == ["m", "n0", "n1"]


def test_a_question_and_its_reply_by_the_clients_id() -> None:
    """Of that user and that bot only."""
    with closing(Store()) as store:
        echo, slow = (store.add_session(bot_id=bot, user_id="ada", title="t", at=1.0) for bot in ("echo", "slow"))
        store.add_message(said("q", echo.id), role="user", user_id="ada", client_message_id="c")
        store.add_message(said("a", echo.id, "yes"), role="assistant", user_id="ada", in_reply_to="c")
        assert store.question("ada", "echo", "c") == said("q", echo.id)
        assert store.reply(echo.id, "ada", "c") == said("a", echo.id, "yes")
        for user, bot, client_id in (("grace", "echo", "c"), ("ada", "slow", "c"), ("ada", "echo", "d")):
            assert store.question(user, bot, client_id) is None
        for session, user, client_id in ((slow.id, "ada", "c"), (echo.id, "grace", "c"), (echo.id, "ada", "d")):
            assert store.reply(session, user, client_id) is None
        assert store.sessions() == [echo, slow]


def test_what_is_no_database_is_named(tmp_path) -> None:
    """With the remedy."""
    path = tmp_path / "notes.txt"
    path.write_text("dear diary, " * 100)
    with pytest.raises(LabError, match=r"notes\.txt"):
        Store(str(path))
