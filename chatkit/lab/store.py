"""Sessions and their history in SQLite.

The calls run on the event loop: each touches a few rows of an indexed table and takes some 10 µs in memory,
0.1 ms in a file, where ``synchronous=OFF`` avoids disk waits: a power cut may cost the last messages.
"""

from __future__ import annotations

import sqlite3
import uuid
from dataclasses import asdict, dataclass
from typing import Any

from chatkit.errors import LabError
from chatkit.lab.messages import iso

_SCHEMA = """
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY, bot_id TEXT NOT NULL, user_id TEXT NOT NULL, title TEXT NOT NULL,
    created_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS messages (
    id TEXT PRIMARY KEY, session_id TEXT NOT NULL REFERENCES sessions(id), role TEXT NOT NULL,
    user_id TEXT NOT NULL, content TEXT NOT NULL, created_at REAL NOT NULL,
    client_message_id TEXT, in_reply_to TEXT
);
CREATE INDEX IF NOT EXISTS messages_by_session ON messages (session_id);
"""
_LATER = ("client_message_id", "in_reply_to")
"""Columns of ``messages`` that files of older labs lack."""
_BY_CLIENT_ID = """
CREATE INDEX IF NOT EXISTS messages_by_client_id ON messages (client_message_id) WHERE client_message_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS messages_by_reply ON messages (in_reply_to) WHERE in_reply_to IS NOT NULL;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One conversation of one user with one bot."""

    id: str
    bot_id: str
    user_id: str
    title: str
    created_at: float
    """Unix time in seconds."""

    def as_json(self) -> dict[str, Any]:
        """The shape of the HTTP API."""
        return asdict(self) | {"created_at": iso(self.created_at)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One message of a history."""

    id: str
    session_id: str
    content: str
    created_at: float
    """Unix time in seconds."""


class Store:
    """One database; open and use it on one thread.

    Args:
        path: a file, or ``":memory:"``.

    Raises:
        LabError: the file cannot be a database.
    """

    def __init__(self, path: str = ":memory:") -> None:
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.executescript(_SCHEMA)
            self._add_columns()
            self._db.executescript(_BY_CLIENT_ID)
        except sqlite3.Error as error:
            raise LabError(
                f"the lab cannot use its database: {error}",
                where=path,
                remedy="name a writable file, or leave it out to keep everything in memory",
            ) from error

    def close(self) -> None:
        """Closes the database; twice is fine."""
        self._db.close()

    def add_session(self, *, bot_id: str, user_id: str, title: str, at: float) -> Session:
        """Begins a conversation."""
        session = Session(id=uuid.uuid4().hex, bot_id=bot_id, user_id=user_id, title=title, created_at=at)
        self._db.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?)", (session.id, bot_id, user_id, title, at))
        return session

    def session(self, id: str) -> Session | None:
        """The conversation of that id."""
        row = self._db.execute(
            "SELECT id, bot_id, user_id, title, created_at FROM sessions WHERE id = ?", (id,)
        ).fetchone()
        return None if row is None else _session(row)

    def sessions(self) -> list[Session]:
        """All conversations, oldest first."""
        rows = self._db.execute("SELECT id, bot_id, user_id, title, created_at FROM sessions ORDER BY rowid")
        return [_session(row) for row in rows]

    def add_message(
        self,
        message: Stored,
        *,
        role: str,
        user_id: str,
        client_message_id: str | None = None,
        in_reply_to: str | None = None,
    ) -> None:
        """Appends to a history; a reply belongs to the user who asked."""
        self._db.execute(
            "INSERT INTO messages (id, session_id, role, user_id, content, created_at, client_message_id, in_reply_to)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                message.id,
                message.session_id,
                role,
                user_id,
                message.content,
                message.created_at,
                client_message_id,
                in_reply_to,
            ),
        )

    def question(self, user_id: str, bot_id: str, client_message_id: str) -> Stored | None:
        """A user's message to a bot by the client's own id of it."""
        row = self._db.execute(
            "SELECT m.id, m.session_id, m.content, m.created_at FROM messages m JOIN sessions s ON s.id = m.session_id"
            " WHERE m.client_message_id = ? AND m.user_id = ? AND s.bot_id = ?",
            (client_message_id, user_id, bot_id),
        ).fetchone()
        return None if row is None else Stored(id=row[0], session_id=row[1], content=row[2], created_at=row[3])

    def reply(self, session_id: str, user_id: str, in_reply_to: str) -> Stored | None:
        """What the assistant said to that."""
        row = self._db.execute(
            "SELECT id, session_id, content, created_at FROM messages"
            " WHERE in_reply_to = ? AND session_id = ? AND user_id = ?",
            (in_reply_to, session_id, user_id),
        ).fetchone()
        return None if row is None else Stored(id=row[0], session_id=row[1], content=row[2], created_at=row[3])

    def history(self, session_id: str) -> list[dict[str, Any]]:
        """The messages of a conversation, oldest first, in the shape of the HTTP API."""
        rows = self._db.execute(
            "SELECT id, role, content, created_at, client_message_id, in_reply_to FROM messages"
            " WHERE session_id = ? ORDER BY rowid",
            (session_id,),
        )
        return [_history_row(*row) for row in rows]

    def _add_columns(self) -> None:
        there = {row[1] for row in self._db.execute("PRAGMA table_info(messages)")}
        for column in _LATER:
            if column not in there:
                self._db.execute(f"ALTER TABLE messages ADD COLUMN {column} TEXT")


def _session(row: tuple[Any, ...]) -> Session:
    return Session(id=row[0], bot_id=row[1], user_id=row[2], title=row[3], created_at=row[4])


def _history_row(
    id: str, role: str, content: str, at: float, client_message_id: str | None, in_reply_to: str | None
) -> dict[str, Any]:
    row = {"id": id, "role": role, "content": content, "created_at": iso(at)}
    row |= {} if client_message_id is None else {"client_message_id": client_message_id}
    return row | ({} if in_reply_to is None else {"in_reply_to": in_reply_to})
