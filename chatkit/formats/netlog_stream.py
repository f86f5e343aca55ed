"""The entries of a Chrome NetLog, one at a time, however the JSON is laid out and wherever it was cut.

Chrome writes ``{"constants": …, "events": [`` and then one entry a line; a tool that rewrote the file may have put
everything on one line, or each key on its own. What is not asked for is skipped without being decoded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct

from chatkit.errors import ImportFailed
from chatkit.redact import Redactor

MOST_HEAD = 1 << 25
"""Bytes before the first entry; Chrome's constants are 60 KiB, field trials add some hundred."""
LONGEST_ENTRY = 1 << 24
"""Bytes of an entry; a longer one is none."""
_BLOCK = 1 << 20

_EVENTS = re.compile(rb'"events"\s*:\s*\[')
_TAIL = re.compile(rb'"time":"\d+","type":(\d+)\}$')
# A whole string, or one bracket; a quotation mark alone is a string that goes on beyond the block.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["{}\[\]]', re.DOTALL)
_QUOTE, _OPENING, _LAST = ord('"'), frozenset(b"{["), ord("]")
_ALL: Mapping[int, bytes] = {}
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)


class Constants(Struct, frozen=True):
    """What the numbers of this file mean; they differ between versions of Chrome."""

    logEventTypes: dict[str, int]
    timeTickOffset: int | float | str
    """Unix time in milliseconds at which the entries' clock was zero."""
    logEventPhase: dict[str, int] = {}
    netError: dict[str, int] = {}


class _Head(Struct):
    constants: Constants


class SourceId(Struct, frozen=True):
    """What an entry speaks of: a request, a socket, a job."""

    id: int
    type: int = -1


class Params(Struct, frozen=True):
    """Everything that any entry we look at may say; of one kind each says a few."""

    url: str = ""
    method: str = ""
    headers: Any = None
    line: str = ""
    net_error: int = 0
    os_error: int = 0
    opcode: int = -1
    payload_length: int = -1
    final: bool = True
    reserved1: bool = False
    byte_count: int = -1
    source_dependency: SourceId | None = None
    address: str = ""
    address_list: Any = None
    results: Any = None
    local_address: str = ""
    remote_address: str = ""
    source_address: str = ""
    version: str = ""
    cipher_suite: int = 0
    host: Any = None
    message: str = ""
    code: int = 0
    reason: str = ""
    internal_reason: str = ""
    proxy_info: str = ""
    new_state: str = ""
    new_connection_type: Any = None


class Entry(Struct, frozen=True):
    """One entry of ``events``."""

    time: str | int | float
    """Milliseconds of the log's own clock."""
    type: int
    source: SourceId
    phase: int = 0
    params: Params | None = None


_entry = msgspec.json.Decoder(Entry).decode
_anything = msgspec.json.Decoder().decode


class NetLogStream:
    """A NetLog that is read from its beginning.

    Args:
        stream: the file.
        name: what errors call it.
        redactor: takes secrets out of what errors quote.

    Raises:
        ImportFailed: the constants, without which no entry has a meaning, are missing or damaged.
    """

    def __init__(self, stream: BinaryIO, name: str, redactor: Redactor) -> None:
        self._stream, self._name, self._redactor = stream, name, redactor
        self.count = 0
        """Entries so far, those that were skipped included."""
        self.damaged: list[int] = []
        """Numbers (from 1) of the first entries that could not be read."""
        self.damage = 0
        """How many they are."""
        self.cut = False
        """Whether the last entry is not whole."""
        self.ended = False
        """Whether the list of entries has its end."""
        head, self._rest = self._read_head()
        self.constants = self._decode_head(head)

    def entries(self, wanted: Collection[int], only: Mapping[int, bytes] = _ALL) -> Iterator[Entry]:
        """Entries of the wanted types, in the order of the file.

        Args:
            wanted: types.
            only: of these types, entries that do not hold these bytes may be left out.
        """
        for piece in self._pieces():
            self.count += 1
            tail = _TAIL.search(piece, max(0, len(piece) - 64))
            if tail is not None:  # as Chrome writes it, compact
                type_ = int(tail.group(1))
                if type_ not in wanted or (type_ in only and only[type_] not in piece):
                    continue
            entry = _decode(piece)
            if entry is None:
                self._skip()
            elif entry.type in wanted:
                yield entry

    def _skip(self) -> None:
        self.damage += 1
        if len(self.damaged) < 3:
            self.damaged.append(self.count)

    # The head

    def _read_head(self) -> tuple[bytes, bytes]:
        data, looked = b"", 0
        while (match := _EVENTS.search(data, looked)) is None:
            looked = max(0, len(data) - 4096)  # blanks between key and bracket
            block = self._stream.read(_BLOCK)
            if not block or len(data) > MOST_HEAD:
                raise ImportFailed(
                    "the NetLog has no entries",
                    source=self._name,
                    expected='"constants" and then "events"',
                    got=f"{len(data):,} bytes without them",
                    remedy="the file was cut before its first entry: record once more and stop the log properly",
                )
            data += block
        return data[: match.start()], data[match.end() :]

    def _decode_head(self, head: bytes) -> Constants:
        text = head.rstrip().removesuffix(b",") + b"}"
        try:
            return msgspec.json.decode(text, type=_Head).constants
        except _BROKEN as error:
            raise ImportFailed(
                f"the constants of the NetLog cannot be read: {self._redactor.text(str(error))}",
                source=self._name,
                field="constants",
                expected='"logEventTypes", "timeTickOffset" … before "events"',
                remedy="use the file as Chrome wrote it",
            ) from None

    # Entries as bytes

    def _pieces(self) -> Iterator[bytes]:
        data = self._rest.lstrip()
        while data.count(b"\n") < 3 and len(data) < _BLOCK and (block := self._stream.read(_BLOCK)):
            data = (data + block).lstrip()
        self._rest = b""
        first = [line.strip().rstrip(b"],") for line in data.split(b"\n", 3)[:3]]
        # One of the first lines may be damaged.
        by_line = not first[0] or any(_decode(line) is not None for line in first)
        return self._by_line(data) if by_line else self._by_token(data)

    def _by_line(self, data: bytes) -> Iterator[bytes]:
        """One entry a line, as Chrome writes them."""
        while True:
            lines = data.split(b"\n")
            data = lines.pop()
            for line in lines:
                line = line.strip().removesuffix(b",")
                self.ended = line.endswith(b"]") or line.startswith(b"]")
                if piece := line.rstrip(b"]") if self.ended else line:
                    yield piece
                if self.ended:
                    return
            block = self._stream.read(_BLOCK)
            if not block:
                break
            if len(data) > LONGEST_ENTRY:
                data = b"?"  # what follows up to the next line belongs to it
            data += block
        yield from self._last(data)

    def _last(self, data: bytes) -> Iterator[bytes]:
        """What stands behind the last line break."""
        data = data.strip().removesuffix(b",")
        self.ended = data.endswith(b"]")
        data = data.rstrip(b"]")
        if data:
            self.cut = _decode(data) is None
            if not self.cut:
                yield data

    def _by_token(self, data: bytes) -> Iterator[bytes]:
        """Whatever the layout: an entry ends where its brackets are balanced."""
        while True:
            depth, start = 0, 0
            for token in _TOKEN.finditer(data):
                letter = data[token.start()]
                if letter == _QUOTE:
                    if len(token.group()) == 1:
                        break
                elif letter in _OPENING:
                    if depth == 0:
                        start = token.start()
                    depth += 1
                elif depth:
                    depth -= 1
                    if depth == 0:
                        yield data[start : token.end()]
                        start = token.end()
                elif letter == _LAST:
                    self.ended = True
                    return
            data = data[start:]
            block = self._stream.read(_BLOCK)
            if not block or len(data) > LONGEST_ENTRY:
                self.cut = depth > 0 or b'"' in data
                return
            data += block


def _decode(piece: bytes) -> Entry | None:
    try:
        return _entry(piece)
    except msgspec.ValidationError:
        return _salvage(piece)
    except _BROKEN:
        return None


def _salvage(piece: bytes) -> Entry | None:
    """An entry of which some parameter is of a kind that this version of chatkit does not know."""
    try:
        plain = _anything(piece)
        params = plain.pop("params", None) if isinstance(plain, dict) else None
        entry = msgspec.convert(plain, Entry)
        fields = dict(_fitting(params)) if isinstance(params, dict) else {}
        return msgspec.structs.replace(entry, params=Params(**fields))
    except (*_BROKEN, msgspec.ValidationError):
        return None


def _fitting(params: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for field in msgspec.structs.fields(Params):
        if field.name in params:
            try:
                yield field.name, msgspec.convert(params[field.name], field.type)
            except (*_BROKEN, msgspec.ValidationError):
                continue


def number_of(value: str | int | float) -> float | None:
    """A finite number that can be a time."""
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and abs(number) < 1e15 else None


def headers_of(lines: Any) -> list[tuple[str, str]]:
    """Fields of a list of lines, or of an object; names of HTTP/2 may begin with a colon."""
    if isinstance(lines, dict):
        return [(str(name)[:200], str(value)) for name, value in lines.items()]
    fields = []
    for line in lines if isinstance(lines, list) else ():
        if isinstance(line, str) and ":" in line[1:]:
            name, _, value = line[1:].partition(":")
            fields.append((line[0] + name, value.strip()))
    return fields


def first_field(headers: list[tuple[str, str]], name: str) -> str | None:
    """The value of the first field of this name, which is in small letters."""
    return next((value for key, value in headers if key.lower() == name), None)


def status_of(line: Any) -> tuple[int, str]:
    """Status and reason of a status line; 0 for what is none."""
    match = re.match(r"HTTP/[0-9.]+ ([0-9]{3})(?: (.*))?$", line) if isinstance(line, str) else None
    return (int(match.group(1)), (match.group(2) or "")[:200]) if match else (0, "")
