"""A HAR of any size in two parts: the arrays of WebSocket messages, handed out block by block, and all the rest.

An array of messages is found by its key, taken out and replaced by its number, so that what remains is small whatever
the number of messages. Damage costs the messages it stands in; what is whole before and behind it is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct, field

BLOCK = 1 << 22
"""Bytes of messages that are decoded at a time."""
LONGEST = 1 << 26
"""Bytes of one message beyond which it is left out."""
MOST_REST = 1 << 28
"""Bytes of everything but messages that are read."""
MOST_DAMAGE = 200
"""Damaged places after which the rest of the file is left out."""

_FIRST = 1 << 16
_KEY = re.compile(rb'"_webSocketMessages"\s*:\s*\[')
_LONGEST_KEY = 80
_BOUNDARY = re.compile(rb'\}\s*,\s*(?=\{\s*"(?:type|time|opcode|data|_chatkit)"\s*:)')
_END = re.compile(rb'\}\s*\]\s*(?:,\s*"|\})')
_AT_BYTE = re.compile(r"\(byte (\d+)\)$")
_NAN = float("nan")


class Message(Struct):
    """One element of ``_webSocketMessages``."""

    type: str = ""
    time: float = _NAN
    opcode: int = 1
    data: str = ""
    extra: Any = field(default=None, name="_chatkit")


Take = Callable[[int, list[Message]], None]
"""Gets the number of an array, and some of its messages."""

_probe = msgspec.json.Decoder(msgspec.Raw).decode
_messages = msgspec.json.Decoder(list[Message]).decode


def split(stream: BinaryIO, take: Take, warn: Callable[[str], None]) -> bytes:
    """Everything but the messages, each array of them replaced by ``[its number]``; they themselves go to ``take``."""
    return _Splitter(stream, take, warn).run()


class _Splitter:
    def __init__(self, stream: BinaryIO, take: Take, warn: Callable[[str], None]) -> None:
        self.stream, self.take, self.warn = stream, take, warn
        self.buffer, self.at = b"", 0
        self.before = 0
        """Bytes of the file that went before the buffer."""
        self.ended = False
        self.rest = bytearray()
        self.damage = 0

    def run(self) -> bytes:
        count = 0
        while True:
            match = _KEY.search(self.buffer, self.at)
            if match is not None:
                self.rest += self.buffer[self.at : match.end()] + b"%d]" % count
                self.at = match.end()
                self._array(count)
                count += 1
            elif self.ended:
                break
            else:
                kept = max(self.at, len(self.buffer) - _LONGEST_KEY)
                self.rest += self.buffer[self.at : kept]
                self.at = kept
                self._read()
            if len(self.rest) > MOST_REST or self.damage > MOST_DAMAGE:
                self.warn(f"what follows byte {self.before + self.at:,} was left out: too much of it or too damaged")
                return bytes(self.rest)
        return bytes(self.rest) + self.buffer[self.at :]

    def _read(self) -> bool:
        """More of the file behind what is not used up yet; whether there was any."""
        data = self.stream.read(BLOCK)
        self.before += self.at
        self.buffer, self.at = self.buffer[self.at :] + data, 0
        self.ended = not data
        return not self.ended

    def _array(self, number: int) -> None:
        """Hands out the array that begins at ``at``, and goes behind it."""
        window = _FIRST
        while self.damage <= MOST_DAMAGE:
            while len(self.buffer) - self.at < window and not self.ended:
                self._read()
            if window >= BLOCK and self._fast(number, window):
                continue
            view = b"[" + self.buffer[self.at : self.at + window]
            state, place = _look(view)
            more = len(view) <= len(self.buffer) - self.at or not self.ended
            if state == "end":
                self._give(number, view[:place])
                self.at += place - 1
                return
            if more and (state == "more" or place > len(view) - 16):
                cut = _last_boundary(view)
                if cut is not None:
                    self._give(number, view[: cut[0] + 1] + b"]")
                    self.at += cut[1] - 1
                    window = BLOCK
                    continue
                if window < LONGEST:
                    window = min(8 * window, LONGEST)
                    continue
                place = len(view)
            if not self._over_damage(number, view, place, deep=state == "deep"):
                return
            window = _FIRST

    def _fast(self, number: int, window: int) -> bool:
        """Hands out a block of an array that is taken to go on and to be sound; whether it was."""
        stop = min(self.at + window, len(self.buffer))
        last = None
        for last in _BOUNDARY.finditer(self.buffer, max(self.at, stop - (1 << 14)), stop):  # noqa: B007
            pass
        if last is None or last.end() - self.at < _FIRST:
            return False
        try:
            messages = _messages(b"".join((b"[", memoryview(self.buffer)[self.at : last.start() + 1], b"]")))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        self.take(number, messages)
        self.at = last.end()
        return True

    def _over_damage(self, number: int, view: bytes, place: int, *, deep: bool) -> bool:
        """Gives what is whole before a damaged place and goes behind it; whether the array may go on there."""
        self.damage += 1
        cut = _last_boundary(view[:place]) if place > 1 else None
        whole = view[: cut[0] + 1] if cut is not None else b"["
        one = _whole(view[cut[1] if cut is not None else 1 : place])
        if one:
            whole += (b"," if cut is not None else b"") + one
        if len(whole) > 1:
            self._give(number, whole + b"]")
        if deep:
            place = (cut[1] if cut is not None else 1) + len(one) + 1
        where = self.before + self.at + place - 1
        if place >= len(view) and self.ended and not deep:
            self.warn(f"the file is cut at byte {where:,}, within WebSocket messages")
            self.at = len(self.buffer)
            return False
        self.warn(f"WebSocket messages are damaged at byte {where:,}; at least one was left out")
        return self._resume(self.at + place - 1)

    def _resume(self, place: int) -> bool:
        """Goes to the next message behind ``place``, the end of the array or the next array, whichever comes first."""
        while True:
            found = [m for m in (p.search(self.buffer, place) for p in (_BOUNDARY, _END, _KEY)) if m is not None]
            if found or self.ended:
                break
            self.at = place = max(place, len(self.buffer) - 2 * _LONGEST_KEY)
            place -= self.at
            self._read()
        if not found:
            self.at = len(self.buffer)
            return False
        first = min(found, key=lambda match: match.start())
        if first.re is _END:
            self.at = self.buffer.index(b"]", first.start()) + 1
        else:
            self.at = first.end() if first.re is _BOUNDARY else first.start()
        return first.re is _BOUNDARY

    def _give(self, number: int, block: bytes) -> None:
        messages, bad = decode(block)
        if bad:
            self.warn(f"{bad} of the WebSocket messages before byte {self.before + self.at + len(block):,} are none")
        if messages:
            self.take(number, messages)


def decode(block: bytes) -> tuple[list[Message], int]:
    """The messages in a JSON array, and how many of its elements are none."""
    try:
        return _messages(block), 0
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        items = msgspec.json.decode(block.decode("utf-8", "replace"), type=list[Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return [], 1
    messages = [message for item in items if (message := _lenient(item)) is not None]
    return messages, len(items) - len(messages)


def decode_lines(data: bytes) -> tuple[list[Message], int]:
    """The messages in JSON Lines, and how many lines are none."""
    messages, bad = [], 0
    for line in data.splitlines():
        if line.strip():
            one, none = decode(b"[" + line + b"]")
            messages += one
            bad += none
    return messages, bad


def _lenient(item: object) -> Message | None:
    if not isinstance(item, dict) or not isinstance(item.get("data", ""), str) or "type" not in item:
        return None
    time, opcode = item.get("time"), item.get("opcode")
    return Message(
        type=item["type"] if isinstance(item["type"], str) else "",
        time=float(time) if isinstance(time, int | float) and abs(time) < 1e300 else _NAN,
        opcode=int(opcode) if isinstance(opcode, int | float) and abs(opcode) < 100 else 1,
        data=item.get("data", ""),
        extra=item.get("_chatkit"),
    )


def _look(view: bytes) -> tuple[str, int]:
    """Whether an array ends within ``view``, goes on, or is ``bad`` (and where), or nested without end."""
    try:
        _probe(view)
    except msgspec.DecodeError as error:
        text = str(error)
        match = _AT_BYTE.search(text)
        if match is None:
            return "more", len(view)
        place = int(match.group(1))  # behind the byte that does not fit
        return ("end", view.rfind(b"]", 0, place - 1) + 1) if "trailing" in text else ("bad", place)
    except RecursionError:
        return "deep", len(view)
    return "end", len(view)


def _whole(item: bytes) -> bytes:
    """The JSON object at the beginning of ``item`` if it is whole; nothing otherwise."""
    item = item.strip(b" \r\n\t,")
    try:
        _probe(item)
    except msgspec.DecodeError as error:
        match = _AT_BYTE.search(str(error))
        if match is None or "trailing" not in str(error):
            return b""
        item = item[: int(match.group(1)) - 1]
    except RecursionError:
        return b""
    return item if item.startswith(b"{") else b""


def _last_boundary(view: bytes) -> tuple[int, int] | None:
    """Where the last whole message of ``view`` ends (its brace) and where the next begins."""
    for size in (1 << 14, 1 << 18, len(view)):
        last = None
        for last in _BOUNDARY.finditer(view, max(0, len(view) - size)):  # noqa: B007
            pass
        if last is not None and _look(view[: last.start() + 1] + b"]")[0] == "end":
            return last.start(), last.end()
        if size >= len(view):
            break
    return None
