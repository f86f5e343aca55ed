"""The file of outgoing queues: one SQLite connection per file in a process, one process per file.

Any number of bots share a file, each with its rows (``chatkit.client.queue_rows``). Whatever a disk does after the file
was opened, nothing here raises: ``problem`` says it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from chatkit.client.queue_rows import SCHEMA, VERSION, Step, check
from chatkit.clock import Clock
from chatkit.errors import InvalidInput

_TAKEN = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
_FAILING = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}

T = TypeVar("T")

_FILES: dict[Path, QueueFile] = {}
_GUARD = threading.Lock()


class QueueFile:
    """Get one with :meth:`share`, give it back with :meth:`release`; all methods may be called from any thread.

    What is written survives the end of the process, not the end of the machine (``synchronous=NORMAL``). A write takes
    some tens of microseconds, at times an fsync.

    SQLite's lock goes with any descriptor of the file that its process closes (POSIX): nothing in this process may open
    the file otherwise while it is shared.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.problem: str | None = None
        """What went wrong with the file and where it is now, in sentences for people."""
        self.connection: sqlite3.Connection | None = None
        """``None`` once nothing is written any more."""
        self._clock = clock
        self._lock = threading.RLock()
        self._users = 0
        self._inode = 0

    @classmethod
    def share(cls, path: Path, clock: Clock) -> QueueFile:
        """The file at ``path``, created if it is not there, with the mode 0600.

        A file that is damaged is moved aside, and an empty one is used; on a full disk everything stays in memory. Both
        are a ``problem``. Raises :class:`chatkit.errors.InvalidInput` at once if another process has it, if a later
        chatkit wrote it, or if there can be no file.
        """
        path = _resolve(path)
        with _GUARD:
            file = _FILES.get(path) or cls(path, clock)
            if path not in _FILES:
                file._open()
                _FILES[path] = file
            file._users += 1
            return file

    def release(self) -> None:
        """One user less; the last one closes."""
        with _GUARD, self._lock:
            self._users -= 1
            if not self._users:
                self._leave()

    def read(self, look: Callable[[sqlite3.Connection], T]) -> T | None:
        """What ``look`` finds, or ``None`` if the file cannot be read."""
        with self._lock:
            if self.connection is None:
                return None
            try:
                return look(self.connection)
            except sqlite3.Error as error:
                self._say(f"cannot be read ({error}): what waited in it is not known")
                return None

    def write(self, *steps: Step) -> bool:
        """All steps or none; whether they are in the file now."""
        with self._lock:
            if self.connection is None:
                return False
            try:
                if not self._is_there():
                    raise sqlite3.OperationalError("it was moved or deleted")
                self.connection.execute("BEGIN IMMEDIATE")
                for sql, values in steps:
                    self.connection.execute(sql, values)
                self.connection.execute("COMMIT")
            except sqlite3.Error as error:
                self._undo()
                self._say(f"cannot be written ({error}): what is new waits in memory only, until this process ends")
                return False
            return True

    def abandon(self) -> None:
        """The file says what is not true and cannot be told: nobody may send what it holds again."""
        with self._lock:
            if self.connection is None:
                return
            there = self._is_there()
            self._leave()
            where = self._aside("unsure") if there else "not there any more"
            self._say(
                f"is {where}, because it cannot be written: what it held may have been sent, the rest is in memory"
            )

    # Inside

    def _open(self) -> None:
        for _ in range(2):
            try:
                self._connect()
                return
            except sqlite3.Error as error:
                self._leave()
                code = _code(error)
                if code not in _DAMAGED:
                    return self._refuse(error)
                where = self._aside("corrupt")
                self._say(f"is no readable queue of messages ({error}): it is {where}, what waited in it is lost")
            except BaseException:
                self._leave()
                raise

    def _connect(self) -> None:
        self._inode = _prepare(self.path)
        self.connection = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        # Before the first access: then the lock is the kernel's and ends with the process, and no -shm file is needed.
        self._ask("PRAGMA locking_mode = EXCLUSIVE")
        if self._ask("PRAGMA user_version") > VERSION:
            raise InvalidInput(
                "a later chatkit wrote this queue of messages",
                where=str(self.path),
                expected=f"version {VERSION} or earlier",
                remedy="update chatkit, or name another file",
            )
        if (trouble := self._ask("PRAGMA quick_check(1)")) != "ok":
            raise sqlite3.DatabaseError(trouble)
        # Another program's database is left as it is: nothing is written before everything was read.
        fresh = self._ask("SELECT count(*) FROM sqlite_master") == 0
        if not fresh:
            check(self.connection)
        self._ask("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = NORMAL")
        self.connection.execute("BEGIN EXCLUSIVE")
        for statement in SCHEMA if fresh else ():
            self.connection.execute(statement)
        self.connection.execute("COMMIT")

    def _ask(self, sql: str) -> Any:
        assert self.connection is not None
        return self.connection.execute(sql).fetchone()[0]

    def _is_there(self) -> bool:
        """Whether the path still names our file."""
        try:
            return os.stat(self.path).st_ino == self._inode
        except OSError:
            return False

    def _undo(self) -> None:
        # After some failures SQLite has rolled back already.
        if self.connection is not None and self.connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")

    def _refuse(self, error: sqlite3.Error) -> None:
        code = _code(error)
        if code in _TAKEN:
            raise InvalidInput(
                "another process has this queue of messages",
                where=str(self.path),
                remedy="close the other notebook or kernel, or name another file",
            ) from None
        if code not in _FAILING:
            raise _impossible(self.path, str(error)) from None
        self._say(f"cannot be used ({error}): messages wait in memory only, until this process ends")

    def _aside(self, why: str) -> str:
        """Moves the file away under a name of its own; where it is then, in words."""
        stamp = datetime.fromtimestamp(self._clock.wall(), UTC).strftime("%Y%m%dT%H%M%S")
        names = (f"{self.path}.{why}-{stamp}{f'-{n}' if n else ''}" for n in count())
        target = next(name for name in names if not os.path.lexists(name))
        try:
            # The log first: alone it is harmless, beside a new file of the old name it would be played into that.
            for side in ("-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    os.rename(f"{self.path}{side}", f"{target}{side}")
            os.rename(self.path, target)
        except OSError as error:
            return f"still there, to be moved away by hand ({error.strerror})"
        return f"{target} now"

    def _leave(self) -> None:
        connection, self.connection = self.connection, None
        if _FILES.get(self.path) is self:
            del _FILES[self.path]
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _say(self, what: str) -> None:
        sentence = f"The file {self.path} {what}."
        if sentence not in (self.problem or ""):
            self.problem = f"{self.problem} {sentence}" if self.problem else sentence


def _disown() -> None:
    """In a forked child: the files are the parent's. Locks do not survive a fork, and even closing would write."""
    import ctypes

    for file in list(_FILES.values()):
        connection, file.connection = file.connection, None
        # Kept alive for ever: collecting it closes it.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
        file._say("belongs to the process that this one was forked from: messages wait in memory only")
    _FILES.clear()


os.register_at_fork(after_in_child=_disown)


def _resolve(path: Path) -> Path:
    """One name for one file, however it was spelled."""
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise _impossible(path, str(error)) from None


def _prepare(path: Path) -> int:
    """The file is there, ours, and private; its inode. It must not be open in this process."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o600))
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise _impossible(path, "it is not a file")
        for side in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.chmod(f"{path}{side}", 0o600)
    except OSError as error:
        raise _impossible(path, error.strerror or str(error)) from None
    return status.st_ino


def _impossible(path: Path, why: str) -> InvalidInput:
    what = f"the queue of messages cannot be kept there: {why}"
    return InvalidInput(what, where=str(path), remedy="name another place")


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; what is not SQLite's own is about the content."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & 0xFF
