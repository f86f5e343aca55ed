"""Typed netstrings, in which mitmproxy keeps its flows: ``<length>:<payload><tag>``, one value after the other.

Tags: ``,`` bytes, ``;`` text, ``#`` whole number, ``^`` number, ``!`` truth, ``~`` nothing, ``}`` object, ``]`` list.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

MOST_DIGITS = 10
"""Digits of a length that are believed."""
DEEPEST = 64
"""Lists and objects within each other; a flow has six."""
LONGEST_NUMBER = 40
"""Characters of a number."""


def loads(data: bytes | bytearray) -> Any:
    """The one value that ``data`` holds; keys of objects become text.

    Raises:
        ValueError: it is none, or is followed by something.
    """
    value: Any = None
    place, whole = 0, len(data)
    open_: list[tuple[int, list[Any], int]] = []
    while True:
        limit = open_[-1][2] if open_ else whole
        begin, stop = _bounds(data, place, limit)
        tag = data[stop]
        if tag in b"]}" and stop > begin:
            if len(open_) >= DEEPEST:
                raise ValueError(f"more than {DEEPEST} levels at byte {place}")
            open_.append((tag, [], stop))
            place = begin
            continue
        value, place = _scalar(tag, bytes(data[begin:stop]), place), stop + 1
        while open_:
            tag, items, limit = open_[-1]
            items.append(value)
            if place < limit:
                break
            open_.pop()
            value, place = (items if tag == ord("]") else _object(items, place)), limit + 1
        if not open_:
            break
    if place != whole:
        raise ValueError(f"more after the value at byte {place}")
    return value


def _bounds(data: bytes | bytearray, place: int, limit: int) -> tuple[int, int]:
    """Where the payload at ``place`` begins, and where its tag stands."""
    colon = data.find(b":", place, place + MOST_DIGITS + 1)
    digits = data[place:colon] if colon >= 0 else b""
    if not digits.isdigit():
        raise ValueError(f"no length at byte {place}")
    stop = colon + 1 + int(digits)
    if stop >= limit:
        raise ValueError(f"a length leads out at byte {place}")
    return colon + 1, stop


def _scalar(tag: int, raw: bytes, place: int) -> Any:
    match chr(tag):
        case ",":
            return raw
        case ";":
            return raw.decode("utf-8", "replace")
        case "#" | "^" if len(raw) <= LONGEST_NUMBER:
            return int(raw) if tag == ord("#") else float(raw)
        case "!" if raw in (b"true", b"false"):
            return raw == b"true"
        case "~" if not raw:
            return None
        case "]":
            return []
        case "}":
            return {}
    raise ValueError(f"no value at byte {place}")


def _object(items: list[Any], place: int) -> dict[str, Any]:
    if len(items) % 2:
        raise ValueError(f"a key without a value before byte {place}")
    keys = [key.decode("utf-8", "replace") if isinstance(key, bytes) else key for key in items[::2]]
    if not all(isinstance(key, str) for key in keys):
        raise ValueError(f"a key that is no text before byte {place}")
    return dict(zip(keys, items[1::2], strict=True))


class Dump:
    """The values of a file, one at a time.

    Args:
        stream: the file.
        longest: bytes of a value; a longer one is passed over.
    """

    def __init__(self, stream: BinaryIO, longest: int) -> None:
        self._stream, self._longest = stream, longest
        self.place = 0
        """Where the next value begins."""
        self.cut = False
        """Whether the file ends within a value."""
        self.broken = False
        """Whether something stands where a value should begin; what follows cannot be read."""
        self.too_long = 0
        """Values that were passed over."""

    def __iter__(self) -> Iterator[bytearray]:
        while (size := self._length()) is not None:
            if size > self._longest:
                self.too_long += 1
                self._pass(size)
                if self.cut:
                    return
                continue
            # In parts: a length that lies must not be believed with memory.
            whole, left = bytearray(b"%d:" % size), size + 1
            while left and (part := self._stream.read(min(left, 1 << 20))):
                whole += part
                left -= len(part)
            self.cut = left > 0
            if self.cut:
                return
            self.place += len(whole)
            yield whole

    def _length(self) -> int | None:
        digits = b""
        while len(digits) <= MOST_DIGITS:
            letter = self._stream.read(1)
            if letter == b":" and digits:
                return int(digits)
            if not letter.isdigit():
                self.cut = not letter and bool(digits)
                self.broken = bool(letter)
                return None
            digits += letter
        self.broken = True
        return None

    def _pass(self, size: int) -> None:
        left = size + 1
        while left and (part := self._stream.read(min(left, 1 << 20))):
            left -= len(part)
        self.place += len(b"%d:" % size) + size + 1
        self.cut = left > 0
