"""A file of evidence as a stream of bytes, whatever it is wrapped in: plain, gzip, or a member of a zip archive.

Nothing here trusts a length that a file claims: what is unpacked is counted while it comes.
"""

from __future__ import annotations

import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from msgspec import Struct, field

from chatkit.errors import ImportFailed
from chatkit.profile import Types
from chatkit.redact import DEFAULT, Redactor

START = 1 << 16
"""Bytes from the beginning that tell the format."""
BOMB = 1 << 28
"""Unpacked bytes from which on the ratio to the packed ones is looked at."""
RATIO = 200
"""Unpacked ÷ packed beyond which an archive is a decompression bomb; logs and HAR files stay below 60."""
MOST_MEMBERS = 1000
"""Members of an archive that are looked at."""
MOST_ATTACHED = 1 << 26
"""Bytes of a file that another one points to."""
LONGEST_LINE = 1 << 24
"""Bytes of a line of text; a longer one is no line of any log."""

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_BROKEN = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


class Options(Struct, kw_only=True):
    """How evidence is read."""

    types: Types = field(default_factory=Types)
    """Names of the backend's message types."""
    redactor: Redactor = field(default_factory=Redactor)
    keylog: bytes | None = None
    """Content of an ``SSLKEYLOGFILE``, for captures."""
    patterns: bytes | None = None
    """Content of a TOML file with the patterns of an application's own console lines."""


class Source:
    """Bytes that can be read from the beginning as often as one likes.

    Args:
        name: what messages and the trace call it.
        opener: opens the bytes as they are stored.
        neighbour: finds another file that this one points to, by the name it uses.
    """

    def __init__(
        self,
        name: str,
        opener: Callable[[], BinaryIO],
        *,
        neighbour: Callable[[str], bytes | None] | None = None,
    ) -> None:
        self.name = name
        self.remarks: list[str] = []
        """What was left out beside it, for whoever reads it."""
        self._opener, self._neighbour = opener, neighbour
        with self.open() as stream:
            self.start = _read_all(stream, START)
        """The first 64 KiB, unpacked."""

    @classmethod
    def of(cls, data: bytes, name: str = "memory") -> Source:
        """Of bytes in memory."""
        return cls(name, lambda: io.BytesIO(data))

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The unpacked bytes from the beginning.

        Raises:
            ImportFailed: also inside the block, when the archive turns out to be broken or a bomb.
        """
        try:
            with self._opener() as stored:
                packed = stored.read(2) == _GZIP
            with self._opener() as stored:
                if not packed:
                    yield stored
                    return
                tally = _Tally(stored)
                with gzip.GzipFile(fileobj=tally) as unpacked:  # type: ignore[call-overload]
                    yield io.BufferedReader(_Counted(unpacked, lambda: tally.count, self.name), START)
        except ImportFailed:
            raise
        except zipfile.BadZipFile as error:
            raise ImportFailed(f"the archive is damaged: {error}", source=self.name) from None
        except (EOFError, zlib.error, lzma.LZMAError) as error:
            raise ImportFailed(
                f"the compressed file is cut or damaged: {error}", source=self.name, remedy="copy it once more"
            ) from None
        except OSError as error:
            raise ImportFailed(f"the file cannot be read: {error.strerror or error}", source=self.name) from None

    def lines(self) -> Iterator[bytes]:
        """Lines of text without their ends, ``\\r`` included.

        Raises:
            ImportFailed: a line is longer than 16 MiB.
        """
        with self.open() as stream:
            number = 0
            while line := stream.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise ImportFailed(
                        f"a line is longer than {LONGEST_LINE >> 20} MiB", source=self.name, entry=number
                    )
                yield line.rstrip(b"\r\n")

    def attached(self, name: str) -> bytes | None:
        """Another file that this one points to: in the same archive, or beside it; ``None`` where it is not there."""
        return None if self._neighbour is None else self._neighbour(name)


class _Tally:
    """Counts the packed bytes that were read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self.count = stream, 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.count += len(data)
        return data


class _Counted(io.RawIOBase):
    """Refuses to unpack without end."""

    def __init__(self, stream: BinaryIO | gzip.GzipFile, packed: Callable[[], int], name: str) -> None:
        self._stream, self._packed, self._name = stream, packed, name
        self._out = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self._stream.read(len(view))
        view[: len(data)] = data
        self._out += len(data)
        if self._out > BOMB and self._out > RATIO * max(1, self._packed()):
            raise ImportFailed(
                f"the file unpacks to more than {RATIO} times its size",
                source=self._name,
                got=f"{self._out:,} bytes and more to come",
                remedy="unpack it yourself if you trust it",
            )
        return len(data)


def open_sources(path: str | Path) -> list[Source]:
    """The file, or each member of it if it is a zip archive; members that are damaged are named in ``remarks``.

    Raises:
        ImportFailed: it cannot be opened, or is empty or damaged.
    """
    place, name = Path(path), DEFAULT.text(str(path))
    try:
        with place.open("rb") as file:
            start = file.read(4)
        size = place.stat().st_size
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else None
        raise ImportFailed(f"the file cannot be opened: {why or error}", source=name, remedy="check the path") from None
    if start == _ZIP:
        return _members(place, name, size)
    return [Source(name, lambda: place.open("rb"), neighbour=lambda other: _beside(place, other))]


def _members(path: Path, source: str, size: int) -> list[Source]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
    except _BROKEN as error:
        raise ImportFailed(f"the archive is damaged: {error}", source=source) from None
    if not members:
        raise ImportFailed("the archive is empty", source=source)
    if len(members) > MOST_MEMBERS:
        raise ImportFailed(
            "the archive has too many members", source=source, expected=f"at most {MOST_MEMBERS}", got=len(members)
        )

    def attached(name: str) -> bytes | None:
        if not any(member.filename == name and member.file_size <= MOST_ATTACHED for member in members):
            return None
        try:
            with zipfile.ZipFile(path) as archive, archive.open(name) as stream:
                return stream.read(MOST_ATTACHED)
        except _BROKEN:
            return None

    def opener(member: zipfile.ZipInfo) -> BinaryIO:
        archive = zipfile.ZipFile(path)
        try:
            stream = archive.open(member)
        except RuntimeError as error:
            raise ImportFailed(f"the archive cannot be unpacked: {error}", source=source) from None
        except ValueError as error:
            raise ImportFailed(f"the archive is damaged: {error}", source=source) from None
        finally:
            archive.close()  # the open member holds the file until it is closed itself
        # An archive may claim any size of itself; it has no more than the file has.
        return _Member(stream, min(member.compress_size, size), source)

    found, damaged = [], []
    for member in members:
        name = DEFAULT.text(f"{source}/{member.filename}")
        try:
            found.append(Source(name, lambda member=member: opener(member), neighbour=attached))  # type: ignore[misc]
        except ImportFailed as error:
            damaged.append(error)
    if not found:
        raise damaged[0]
    found[0].remarks = [f"left out: {error.what} ({error.source})" for error in damaged]
    return found


class _Member(io.BufferedReader):
    """A member of an archive, which closes the file with itself."""

    def __init__(self, stream: Any, packed: int, name: str) -> None:
        super().__init__(_Counted(stream, lambda: packed, name), START)
        self._stream = stream

    def close(self) -> None:
        super().close()
        self._stream.close()


def _beside(path: Path, name: str) -> bytes | None:
    """A file in the same folder; a name that leads out of it is hostile."""
    if Path(name).name != name or name in (".", ".."):
        return None
    place = path.parent / name
    try:
        if not place.is_file() or place.stat().st_size > MOST_ATTACHED:
            return None
        return place.read_bytes()
    except OSError:
        return None


def _read_all(stream: BinaryIO, size: int) -> bytes:
    """Up to ``size`` bytes, however few come at a time."""
    parts, left = [], size
    while left and (part := stream.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
