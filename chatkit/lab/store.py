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
    user_id TEXT NOT NULL, content TEXT NOT NULL, created_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS messages_by_session ON messages (session_id);
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
        if row is None:
            return None
        return Session(id=row[0], bot_id=row[1], user_id=row[2], title=row[3], created_at=row[4])

    def add_message(self, *, id: str, session_id: str, role: str, user_id: str, content: str, at: float) -> None:
        """Appends to a history."""
        self._db.execute("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)", (id, session_id, role, user_id, content, at))

    def history(self, session_id: str) -> list[dict[str, Any]]:
        """The messages of a conversation, oldest first, in the shape of the HTTP API."""
        rows = self._db.execute(
            "SELECT id, role, content, created_at FROM messages WHERE session_id = ? ORDER BY rowid",
            (session_id,),
        )
        return [{"id": r[0], "role": r[1], "content": r[2], "created_at": iso(r[3])} for r in rows]
