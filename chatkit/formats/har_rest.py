"""The entries of a HAR whose messages were taken out: also from a file that is cut or damaged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import Struct, field

from chatkit.errors import ImportFailed

MOST_BAD = 50
"""Entries that cannot be read after which the rest is left out."""
LONGEST_REPAIR = 1 << 20
"""Bytes of a cut entry that is repaired."""

_ENTRIES = re.compile(rb'"entries"\s*:\s*\[')
_BEGIN = re.compile(
    rb'[,\[]\s*(?=\{\s*"(?:_[A-Za-z]+|startedDateTime|pageref|request|response|time|connection|cache)"\s*:)'
)
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[{}\[\],]', re.DOTALL)
_AT_BYTE = re.compile(r"\(byte (\d+)\)$")
_CLOSER = {b"{": b"}", b"[": b"]"}


class _Log(Struct):
    entries: list[msgspec.Raw]
    creator: Any = None
    ours: Any = field(default=None, name="_chatkit")


class _Har(Struct):
    log: _Log


_har = msgspec.json.Decoder(_Har).decode
_plain = msgspec.json.Decoder().decode
_probe = msgspec.json.Decoder(msgspec.Raw).decode
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def entries_of(rest: bytes, source: str, warn: Callable[[str], None]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the log says of itself, and its entries.

    Raises:
        ImportFailed: there is no list of entries.
    """
    rest = rest.removeprefix(b"\xef\xbb\xbf")
    try:
        log = _har(rest).log
    except _BROKEN as error:
        return _rescue(rest, source, warn, str(error))
    found, bad = [], 0
    for raw in log.entries:
        entry = _entry(bytes(raw))
        bad += entry is None
        found += [entry] if entry is not None else []
    if bad:
        warn(f"{bad} entries are no objects, or damaged, and were left out")
    return {"creator": log.creator, "_chatkit": log.ours}, found


def _rescue(
    rest: bytes, source: str, warn: Callable[[str], None], error: str
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    start = _ENTRIES.search(rest)
    if start is None:
        raise ImportFailed(
            f"the file is no HAR: {error}",
            source=source,
            field="log.entries",
            expected="a JSON object with log.entries",
            remedy="export it once more",
        )
    warn(f"the file is cut or damaged; what is whole in it is read ({error})")
    log: dict[str, Any] = {}
    creator = re.search(rb'"creator"\s*:\s*(\{[^{}]*\})', rest)
    if creator is not None and (found := _entry(creator.group(1))) is not None:
        log["creator"] = found
    return log, list(_one_by_one(rest, start.end(), warn))


def _one_by_one(rest: bytes, at: int, warn: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    bad = 0
    view = memoryview(rest)
    while at < len(rest) and bad < MOST_BAD:
        at += len(rest[at : at + 4096]) - len(rest[at : at + 4096].lstrip(b" \r\n\t,"))
        if rest[at : at + 1] in (b"]", b""):
            return
        end = _end(view[at:])
        if end is not None:
            entry = _entry(rest[at : at + end])
            if entry is not None:
                yield entry
                at += end
                continue
        bad += 1
        following = _BEGIN.search(rest, at + 1)
        stop = following.start() if following is not None else len(rest)
        entry = _repaired(rest[at:stop])
        warn(f"entry at byte {at:,} (without messages) is damaged and was " + ("read in part" if entry else "left out"))
        if entry is not None:
            yield entry
        at = stop + 1


def _end(view: memoryview) -> int | None:
    """Where the JSON value at the beginning ends."""
    try:
        _probe(view)
    except msgspec.DecodeError as error:
        match = _AT_BYTE.search(str(error))
        return int(match.group(1)) - 1 if match and "trailing" in str(error) else None
    except RecursionError:
        return None
    return len(view)


def _entry(raw: bytes) -> dict[str, Any] | None:
    for data in (raw, raw.decode("utf-8", "replace").encode()):
        try:
            plain = _plain(data)
        except _BROKEN:
            continue
        return plain if isinstance(plain, dict) else None
    return None


def _repaired(part: bytes) -> dict[str, Any] | None:
    """An entry that ends too early, with what is missing behind its last whole members."""
    if len(part) > LONGEST_REPAIR:
        return None
    stack: list[bytes] = []
    commas: list[tuple[int, bytes]] = []
    for match in _TOKEN.finditer(part):
        token = match.group()
        if token in _CLOSER:
            if len(stack) > 200:
                return None
            stack.append(_CLOSER[token])
        elif token in (b"}", b"]"):
            if not stack or stack.pop() != token:
                break
        elif token == b",":
            commas.append((match.start(), b"".join(reversed(stack))))
            del commas[:-40]
    for place, closers in reversed(commas):
        entry = _entry(part[:place] + closers)
        if entry is not None and "request" in entry:
            return entry
    return None
