"""What is to be analysed: files, folders and patterns, here or at any URL that fsspec knows, as single files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from chatkit.errors import ImportFailed, InvalidInput, MissingDependency
from chatkit.formats.parquet import MAGIC
from chatkit.redact import DEFAULT

SHARE = 128 << 20
"""Bytes of files that are read as one piece of work; a larger file is one by itself."""
MOST_IN_SHARE = 64
"""Files of one piece of work."""
_PATTERN = frozenset("*?[")


class Input(Struct, frozen=True, kw_only=True):
    """One file."""

    name: str
    """Path or URL, as given or found."""
    size: int
    """Bytes; 0 where that cannot be told."""
    table: bool
    """Whether it begins as a Parquet table."""

    @property
    def shown(self) -> str:
        """For messages and rows: without secrets."""
        return DEFAULT.text(self.name)


class Failure(Struct, frozen=True, kw_only=True):
    """A file that could not be read."""

    name: str
    why: str


def expand(names: Iterable[str]) -> tuple[list[Input], list[Failure]]:
    """Single files, each once, in the order given and by name within a folder; and what is not there.

    Raises:
        MissingDependency: a URL is given and fsspec is not installed.
    """
    found: dict[str, Input] = {}
    failed: list[Failure] = []
    for name in names:
        try:
            mine = list(_files(str(name)))
            if not mine:
                raise ImportFailed("there is no file", source=DEFAULT.text(str(name)), remedy="check the path")
        except ImportFailed as error:
            failed.append(Failure(name=DEFAULT.text(str(name)), why=str(error)))
            continue
        for one in mine:
            found.setdefault(one.name, one)
    return list(found.values()), failed


def _files(name: str) -> Iterator[Input]:
    local = local_path(name)
    if local is None:
        yield from _remote(name)
    elif local.is_dir():
        for path in sorted(local.rglob("*")):
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(local).parts):
                yield _input(str(path), path)
    elif local.exists() or not _PATTERN & set(local.name):
        yield _input(name, local)
    else:
        yield from (_input(str(path), path) for path in sorted(local.parent.glob(local.name)) if path.is_file())


def _input(name: str, path: Path) -> Input:
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
        return Input(name=name, size=path.stat().st_size, table=start == MAGIC)
    except OSError as error:
        raise ImportFailed(
            f"the file cannot be opened: {error.strerror or error}", source=DEFAULT.text(name), remedy="check the path"
        ) from None


def _remote(name: str) -> Iterator[Input]:
    system, path = file_system(name)
    try:
        paths = system.glob(path) if _PATTERN & set(path) else system.find(path) if system.isdir(path) else [path]
        for one in sorted(paths):
            with system.open(one, "rb") as file:
                start = file.read(len(MAGIC))
            yield Input(name=system.unstrip_protocol(one), size=int(system.size(one) or 0), table=start == MAGIC)
    except Exception as error:  # every file system has errors of its own
        raise ImportFailed(f"it cannot be read: {_first_line(error)}", source=DEFAULT.text(name)) from None


def local_path(name: str) -> Path | None:
    """Where a file is on this machine; ``None`` for one elsewhere."""
    if "://" not in name:
        return Path(name)
    parts = urlsplit(name)
    return Path(unquote(parts.path)) if parts.scheme in ("file", "local") else None


def file_system(name: str) -> tuple[Any, str]:
    """The file system of a URL, by fsspec, and the path in it.

    Raises:
        InvalidInput: no file system is known by that scheme.
        MissingDependency: fsspec, or what it needs for this scheme, is not installed.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise MissingDependency("reading from a URL", package="fsspec", extra="fleet") from None
    scheme = urlsplit(name).scheme
    try:
        system, path = url_to_fs(name)
    except ImportError as error:
        raise MissingDependency(f"reading {scheme}://", package=str(error.name or scheme), extra="fleet") from None
    except ValueError:
        raise InvalidInput("no file system is known by this scheme", got=scheme, where=DEFAULT.text(name)) from None
    return system, path


@contextmanager
def at_hand(one: Input) -> Iterator[Path]:
    """The file on this machine; a copy of it, for as long as the block lasts, where it is elsewhere."""
    local = local_path(one.name)
    if local is not None:
        yield local
        return
    system, path = file_system(one.name)
    with tempfile.TemporaryDirectory(prefix="chatkit-") as folder:
        copy = Path(folder) / Path(path).name
        try:
            with system.open(path, "rb") as source, copy.open("wb") as target:
                shutil.copyfileobj(source, target)
        except Exception as error:  # every file system has errors of its own
            raise ImportFailed(f"it cannot be read: {_first_line(error)}", source=one.shown) from None
        yield copy


def shares(inputs: Sequence[Input], workers: int) -> list[list[Input]]:
    """Pieces of work: tables and recordings apart, small files together, enough pieces for all workers."""
    found: list[list[Input]] = []
    for table in (True, False):
        mine = [one for one in inputs if one.table == table]
        most = max(1, min(MOST_IN_SHARE, -(-len(mine) // (4 * workers))))
        share, size = list[Input](), 0
        for one in mine:
            if share and (len(share) >= most or size + one.size > SHARE):
                found.append(share)
                share, size = [], 0
            share.append(one)
            size += one.size
        found += [share] if share else []
    return found


def _first_line(error: Exception) -> str:
    return DEFAULT.text(str(error).splitlines()[0][:200] if str(error) else type(error).__name__)
