"""The rows of one bot in the file of outgoing queues: what is written down, and what must not be.

The rows follow the memory of ``chatkit.client.outbox``. A row may be missing, then its message is lost with the
process; it must never be wrong, because what it says is unsent would be sent again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from chatkit.policy.outgoing import Item
from chatkit.redact import Redactor

if TYPE_CHECKING:
    from chatkit.client.queue_file import QueueFile

VERSION = 1
"""Of the tables; a file of a later one is refused."""

_FIELDS = Item.__struct_fields__
_NAMES = ", ".join(_FIELDS)
_CHANGING = ("session_id", "ttl", "state", "attempts", "failed_at", "because")
_TABLE = """CREATE TABLE {} (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, bot TEXT NOT NULL, text TEXT NOT NULL, session_id TEXT,
    created REAL NOT NULL, ttl REAL NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL,
    failed_at TEXT NOT NULL, because TEXT NOT NULL, UNIQUE (bot, id))"""
SCHEMA = (
    _TABLE.format("queue"),
    _TABLE.format("dead"),
    "CREATE TABLE session (bot TEXT PRIMARY KEY, id TEXT NOT NULL)",
    f"PRAGMA user_version = {VERSION}",
)

Step = tuple[str, Sequence[object]]
"""A statement and its values."""


class Found(Struct, frozen=True):
    """What a file holds for one bot, oldest first."""

    items: tuple[Item, ...] = ()
    dead: tuple[Item, ...] = ()
    session: str | None = None


class BotRows:
    """Writes down what may be written; nothing here raises for what a disk does, the file's ``problem`` says it."""

    def __init__(self, file: QueueFile, bot: str, redactor: Redactor) -> None:
        self.file = file
        self._bot = bot
        self._redactor = redactor
        self._stored: set[str] = set()

    def load(self) -> Found:
        """What is there."""
        found = self.file.read(lambda connection: find(connection, self._bot)) or Found()
        self._stored = {item.id for item in found.items}
        return found

    def add(self, item: Item) -> None:
        """A new item comes last, unless it holds a secret."""
        if self._harmless(item) and self.file.write(_insert("queue", item)):
            self._stored.add(item.id)

    def change(self, item: Item) -> None:
        """Everything but its text; a row that came to hold a secret goes."""
        if item.id not in self._stored:
            return
        if self._harmless(item):
            self._insist(_change(item))
        else:
            self.delete([item])

    def delete(self, items: Iterable[Item]) -> None:
        """They are settled."""
        stored = [item for item in items if item.id in self._stored]
        if stored:
            self._insist(*(_delete("queue", item) for item in stored))
        self._stored.difference_update(item.id for item in stored)

    def bury(self, item: Item) -> None:
        """From ``queue`` to ``dead``."""
        if item.id in self._stored and self._harmless(item):
            self._insist(_delete("queue", item), _insert("dead", item))
            self._stored.discard(item.id)
        else:
            self.delete([item])

    def forget_dead(self, items: Iterable[Item]) -> None:
        """Nobody wants to look at them any more."""
        self.file.write(*(_delete("dead", item) for item in items))

    def keep_session(self, id: str | None) -> None:
        """The session, unless it is a secret; ``None`` forgets it."""
        if id is None or not self._clean(id):
            self.file.write(("DELETE FROM session WHERE bot = ?", (self._bot,)))
        else:
            self.file.write(("INSERT OR REPLACE INTO session (bot, id) VALUES (?, ?)", (self._bot, id)))

    def _insist(self, *steps: Step) -> None:
        """A file that still has a message as unsent would send it again: better no file."""
        if not self.file.write(*steps):
            self.file.abandon()
            self._stored.clear()

    def _harmless(self, item: Item) -> bool:
        return self._clean("\n".join((item.text, item.id, item.bot, item.session_id or "", item.because)))

    def _clean(self, text: str) -> bool:
        # Half a surrogate pair is no UTF-8, and SQLite stores nothing else.
        return (text.isascii() or _encodes(text)) and self._redactor.text(text) == text


def rows(connection: sqlite3.Connection, table: str, where: str = "", values: Sequence[object] = ()) -> Iterator[Item]:
    """Items of ``queue`` or ``dead``, oldest first; raises :class:`sqlite3.DatabaseError` for one that is none."""
    for row in connection.execute(f"SELECT {_NAMES} FROM {table} {where} ORDER BY seq", values):
        yield _item(row)


def find(connection: sqlite3.Connection, bot: str) -> Found:
    """What is there for one bot."""
    items, dead = (tuple(rows(connection, table, "WHERE bot = ?", (bot,))) for table in ("queue", "dead"))
    session = connection.execute("SELECT id FROM session WHERE bot = ?", (bot,)).fetchone()
    return Found(items, dead, session[0] if session else None)


def check(connection: sqlite3.Connection) -> None:
    """Reads everything once; raises :class:`sqlite3.Error` where it is not what we wrote."""
    for table in ("queue", "dead"):
        for _ in rows(connection, table):
            pass
    if connection.execute("SELECT 1 FROM session WHERE typeof(bot) <> 'text' OR typeof(id) <> 'text'").fetchone():
        raise sqlite3.DatabaseError("a session cannot be read")


def _insert(table: str, item: Item) -> Step:
    return f"INSERT OR REPLACE INTO {table} ({_NAMES}) VALUES ({', '.join('?' * len(_FIELDS))})", _row(item)


def _change(item: Item) -> Step:
    values = dict(zip(_FIELDS, _row(item), strict=True))
    sql = f"UPDATE queue SET {', '.join(f'{name} = ?' for name in _CHANGING)} WHERE bot = ? AND id = ?"
    return sql, [*(values[name] for name in _CHANGING), item.bot, item.id]


def _delete(table: str, item: Item) -> Step:
    return f"DELETE FROM {table} WHERE bot = ? AND id = ?", (item.bot, item.id)


def _row(item: Item) -> list[object]:
    failed_at = msgspec.json.encode(item.failed_at).decode()
    values = msgspec.structs.asdict(item) | {"state": str(item.state), "failed_at": failed_at}
    return list(values.values())


def _item(row: Sequence[object]) -> Item:
    try:
        values = dict(zip(_FIELDS, row, strict=True))
        values["failed_at"] = msgspec.json.decode(str(values["failed_at"]))
        return msgspec.convert(values, Item)
    except msgspec.DecodeError as error:
        raise sqlite3.DatabaseError(f"a row cannot be read: {error}") from None


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
