"""The folder of a canary: recordings of deaths and files of rows, within a bound; the oldest go first."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from chatkit.canary import rows
from chatkit.canary.budget import File, evict
from chatkit.canary.rows import Row
from chatkit.errors import InvalidInput
from chatkit.formats.jsonl import dump
from chatkit.trace import Trace

DEATHS, ROWS = "deaths", "rows"


class Folder:
    """Where the evidence goes.

    Args:
        path: the folder; made, with its parts, when it is not there.
        limit: bytes that it may hold, the journal included.

    Raises:
        InvalidInput: it cannot be made.
    """

    def __init__(self, path: Path, limit: float) -> None:
        self.path, self.limit = path, limit
        try:
            for part in (path, path / DEATHS, path / ROWS):
                part.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(f"the folder cannot be made: {error.strerror}", where=str(path)) from None
        for part in (path / DEATHS, path / ROWS):
            for left in part.glob("*.part"):
                left.unlink(missing_ok=True)  # of a process that was killed while it wrote

    def death_name(self, at: float, key: str) -> str:
        """What a recording of a death is called, relative to the folder; names sort by time."""
        stamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3]
        return f"{DEATHS}/{stamp}Z-{key.replace('/', '-')}.jsonl"

    def write_death(self, name: str, trace: Trace, others: int) -> dict[str, int]:
        """Writes a recording, whole or not at all; what had to go for it, by notice. Raises ``OSError``."""
        gone = self.make_room(sized(trace) + others, keep=name)
        try:
            dump(trace, self.path / name)
        except OSError:
            (self.path / f"{name}.part").unlink(missing_ok=True)
            raise
        return gone

    def write_rows(self, number: int, found: Sequence[Row], others: int) -> tuple[str, dict[str, int]]:
        """Writes a file of rows; its name, and what had to go for it. Raises ``OSError``."""
        name = f"{ROWS}/rows-{number:06d}.parquet"
        rows.write(found, self.path / name)
        (self.path / name).chmod(0o600)
        return name, self.make_room(others, keep=name)

    def make_room(self, others: float, keep: str = "") -> dict[str, int]:
        """Deletes the oldest files until the rest and ``others`` bytes are within the bound; how many, by notice.

        Raises ``OSError`` where a file cannot be deleted.
        """
        gone: dict[str, int] = {}
        for file in evict((file for file in self.files() if file.path != keep), self.limit - others):
            (self.path / file.path).unlink(missing_ok=True)
            notice = f"{file.path.partition('/')[0]}-deleted"
            gone[notice] = gone.get(notice, 0) + 1
        return gone

    def files(self) -> list[File]:
        """Everything that may go."""
        found = []
        for part in (DEATHS, ROWS):
            with os.scandir(self.path / part) as entries:
                for entry in entries:
                    stat = entry.stat()
                    found.append(File(f"{part}/{entry.name}", stat.st_size, stat.st_mtime))
        return found

    def size(self) -> int:
        """Bytes of everything that may go."""
        return sum(file.size for file in self.files())


def sized(trace: Trace) -> int:
    """Bytes of a recording as it will be written."""
    return len(msgspec.json.encode(trace.header)) + 1 + sum(len(row) + 1 for row in trace.rows)
