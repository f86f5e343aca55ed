"""The journal: the file that survives a ``kill -9``. Reading tolerates damage, writing tolerates a full disk.

A line is written in one call and is in the kernel's hands then: whatever happens to the process, it is there. (What
the machine's own end may take is what the kernel had not yet written; the file is synchronised at each checkpoint.)
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from chatkit.canary.facts import SCHEMA, Batch, decode, encode
from chatkit.canary.state import State
from chatkit.errors import ImportFailed, InvalidInput

NAME = "journal.jsonl"
GROWS = 1 << 20
"""Bytes that may follow a checkpoint; then another one replaces the file."""
_HEADER = {"schema": SCHEMA, "tool": "chatkit"}
_BROKEN = (msgspec.DecodeError, ValueError, RecursionError)


class Found(NamedTuple):
    """What a journal holds."""

    state: State
    damaged: int
    """Lines in its middle that could not be read and were left out."""
    torn: bool
    """Whether the last line was cut off."""
    good: int
    """Bytes up to the end of the last whole line."""


def read(path: Path) -> Found:
    """The state that a journal tells.

    Raises:
        ImportFailed: it is none of ours, or was written by a newer version; it names file and line.
        InvalidInput: it cannot be opened.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"the journal cannot be read: {error.strerror}", where=str(path)) from None
    whole, _, rest = data.rpartition(b"\n")
    lines = whole.split(b"\n") if whole else []
    if lines:
        _check_header(lines[0], path)
    state, damaged = State(), 0
    for line in lines[1:]:
        try:
            told = decode(line)
            if bytes(told.state):
                state = msgspec.json.decode(told.state, type=State)
            elif told.at is not None:
                state.apply(Batch(at=told.at, facts=told.facts))
            else:
                damaged += 1
        except _BROKEN:
            damaged += 1
    return Found(state, damaged, bool(rest), len(data) - len(rest))


def _check_header(line: bytes, path: Path) -> None:
    try:
        schema = msgspec.json.decode(line, type=dict[str, Any]).get("schema")
    except _BROKEN:
        schema = None
    if schema == SCHEMA:
        return
    newer = isinstance(schema, str) and schema.startswith(SCHEMA.rpartition("/")[0] + "/")
    raise ImportFailed(
        "the journal was written by a newer chatkit" if newer else "this is no journal of chatkit watch",
        source=str(path),
        entry=1,
        field="schema",
        expected=SCHEMA,
        got=schema,
        remedy="update chatkit" if newer else "name another folder, or move the file away",
    )


class Journal:
    """The file, open for writing; one process at a time.

    Args:
        path: where it is; made when it is not there.

    Raises:
        InvalidInput: it cannot be written, or another process watches into this folder.
        ImportFailed: as :func:`read`.

    Who opens it closes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # The lock is a file of its own: a checkpoint replaces the journal.
        self._lock = _locked(path.with_name(".lock"))
        try:
            self.found = read(path) if path.exists() else Found(State(), 0, False, 0)
            self._file = _open(path)
            # What follows a torn line would be torn with it.
            os.ftruncate(self._file, self.found.good)
        except BaseException:
            os.close(self._lock)
            raise
        self._good = self._start = self.found.good

    @property
    def size(self) -> int:
        """Bytes that are whole."""
        return self._good

    @property
    def full_grown(self) -> bool:
        """Whether a checkpoint is due."""
        return self._good - self._start > max(GROWS, self._start)

    def append(self, batch: Batch) -> None:
        """Writes a batch as one line.

        Raises:
            OSError: the disk is full, or the like; nothing of the batch is left in the file.
        """
        data = encode(batch) if self._good else encode(_HEADER) + encode(batch)
        try:
            _write(self._file, data)
        except OSError:
            os.ftruncate(self._file, self._good)
            raise
        self._good += len(data)

    def checkpoint(self, state: State) -> None:
        """Replaces the file by one that begins with everything so far.

        Raises:
            OSError: it cannot be written; the old file stays.
        """
        part = self.path.with_name(self.path.name + ".part")
        data = encode(_HEADER) + encode({"state": state})
        file = _open(part)
        try:
            os.ftruncate(file, 0)
            _write(file, data)
            os.fsync(file)
            part.replace(self.path)
        except BaseException:
            os.close(file)
            part.unlink(missing_ok=True)
            raise
        os.close(self._file)
        self._file, self._good, self._start = file, len(data), len(data)

    def close(self) -> None:
        """Closes the file and lets others in; twice is fine."""
        for one in (self._file, self._lock):
            if one >= 0:
                os.close(one)
        self._file = self._lock = -1


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _open(path: Path) -> int:
    try:
        # Readable by its owner only: who talks to which backend is nobody else's business.
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise InvalidInput(f"the folder cannot be written: {error.strerror}", where=str(path)) from None


def _locked(path: Path) -> int:
    file = _open(path)
    try:
        import fcntl
    except ImportError:  # Windows
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise InvalidInput(
            "another process watches into this folder", where=str(path.parent), remedy="name another folder with --out"
        ) from None
    return file
