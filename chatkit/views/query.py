"""What a reader looks for in a timeline: one small grammar, and which events of a trace fit.

==================================== =====================================================================
query                                events that fit
==================================== =====================================================================
``pong``, ``"two words"``            whose kind, words or payload hold this, whatever the case
``/time.?out/``                      whose kind, words or payload match the regular expression, ignoring case
``sent``, ``received``               that went to the server, that came from it
``control``, ``data``                control frames (RFC 6455, section 5.5), data frames; also ``only control frames``
``type:pong``, ``type:Ping*``        of this message type or kind of event; ``*`` stands for anything
``connection:3``, ``connection:1,2`` of these connections
``size>1000``, ``size<=20``          with so many payload bytes
``a b``, ``a or b``, ``-a``, ``( )`` both; either; not: also written ``and``, ``not a``
==================================== =====================================================================

The browser reads the same grammar where there is no kernel to ask (``static/explorer/query.js``); both are tested on
the same examples. Only here payloads are searched: the browser does not hold them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fnmatch import translate
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from chatkit.errors import InvalidInput
from chatkit.events import KIND_CODE, KINDS, FrameReceived, FrameSent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chatkit.trace import Trace

MOST = 500
"""Characters of a query."""
DEEPEST = 20
"""Parentheses and negations within each other."""
SEARCHED = 16_384
"""Characters of an event's text that are looked at."""
CHUNK = 500
"""Texts that are looked at together."""

Node = list[Any]
"""``["and", a, b]``, ``["or", a, b]``, ``["not", a]`` or a leaf: ``["text", "pong"]``, ``["size", ">", 1000]`` …"""

_TOKEN = re.compile(r'\s+|([()])|([-!])(?=[^\s])|/((?:\\.|[^/\\])+)/(?=[\s)]|$)|"([^"]*)"|([^\s()"]+)')
_SIZE = re.compile(r"size(>=|<=|>|<|=)(\d{1,15})")
_KEYS = {"type": "type", "kind": "type", "connection": "connection", "conn": "connection"}
_WORDS = {
    "sent": ["direction", "sent"],
    "received": ["direction", "received"],
    "control": ["control"],
    "data": ["data"],
}
_COMPARE: dict[str, Callable[..., Any]] = {
    ">": np.greater,
    ">=": np.greater_equal,
    "<": np.less,
    "<=": np.less_equal,
    "=": np.equal,
}

_NAMES = [kind.__name__ for kind in KINDS]
_FRAMES = {KIND_CODE[FrameSent]: "FrameSent sent ", KIND_CODE[FrameReceived]: "FrameReceived received "}
_CONTROL = [n for n, name in enumerate(_NAMES) if re.fullmatch(r"(Ping|Pong|Close)(Sent|Received)", name)]
_DIRECTION = {
    "sent": [n for n, name in enumerate(_NAMES) if re.fullmatch(r"\w+Sent|UpgradeRequested", name)],
    "received": [
        n for n, name in enumerate(_NAMES) if re.fullmatch(r"(?!BadMessage)\w+Received|UpgradeAnswered", name)
    ],
}
_COSTLY = ("text", "regex", "and", "or", "not")
_PAYLOAD = b'"text":"'


def parse(text: str) -> Node | None:
    """The query as a tree; ``None`` when it asks for nothing, so that everything fits.

    Raises:
        InvalidInput: it is not of the grammar; the error says where.
    """
    if len(text) > MOST:
        raise InvalidInput("the query is too long", expected=f"at most {MOST} characters", got=len(text))
    tokens = list(_tokens(text))
    return _Parser(tokens).whole() if tokens else None


def found_in(leaf: Node, chunks: Iterator[list[str]]) -> Iterator[list[bool]]:
    """Which texts of each chunk a leaf ``["text", …]`` or ``["regex", …]`` is found in."""
    if leaf[0] == "regex":
        search = compiled(leaf[1]).search
        yield from ([search(text) is not None for text in texts] for texts in chunks)
    else:
        wanted = leaf[1]
        yield from ([wanted in text.lower() for text in texts] for texts in chunks)


Finder = Callable[[Node, Iterator[list[str]]], Iterator[list[bool]]]


def matches(trace: Trace, text: str, find: Finder = found_in) -> NDArray[np.bool_]:
    """Which events of a trace fit a query, as a mask of its length; errors as for :func:`parse`.

    Args:
        trace: what is looked at.
        text: the query.
        find: looks for words and regular expressions in chunks of texts; another one may stop early or take care of
            expressions that never end.
    """
    tree, everything = parse(text), np.ones(len(trace), dtype=bool)
    return everything if tree is None else _mask(trace, tree, everything, find)


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """Kind, value and place from 1."""
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None or ((found[5] or "").startswith("/") and len(found[5]) > 1):
            what = "a regular expression is not closed" if text[place] == "/" else "a quotation mark is not closed"
            raise _wrong(what, place + 1, "/…/" if text[place] == "/" else '"…"', text[place:])
        bracket, minus, regex, quoted, word = found.groups()
        if bracket:
            yield bracket, bracket, place + 1
        elif minus:
            yield "not", minus, place + 1
        elif regex:
            yield "regex", regex, place + 1
        elif quoted is not None:
            yield "text", quoted, place + 1
        elif word:
            yield (word.lower() if word.lower() in ("and", "or", "not") else "word"), word, place + 1
        place = found.end()


class _Parser:
    """Reads tokens from left to right."""

    def __init__(self, tokens: list[tuple[str, str, int]]) -> None:
        self.tokens = tokens
        self.n = 0
        self.depth = 0

    @property
    def next(self) -> str | None:
        return self.tokens[self.n][0] if self.n < len(self.tokens) else None

    def whole(self) -> Node:
        tree = self.either()
        if self.next is not None:
            raise _wrong("nothing was opened that this closes", self.tokens[self.n][2], "(", ")")
        return tree

    def either(self) -> Node:
        parts = [self.both()]
        while self.next == "or":
            self.n += 1
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else ["or", *parts]

    def both(self) -> Node:
        parts = [self.term()]
        while self.next not in (None, "or", ")"):
            if self.next == "and":
                self.n += 1
            parts.append(self.term())
        return parts[0] if len(parts) == 1 else ["and", *parts]

    def term(self) -> Node:
        if self.next in (None, "and", "or", ")"):
            where = self.tokens[self.n][2] if self.n < len(self.tokens) else self.tokens[-1][2]
            raise _wrong("something to look for is missing", where, "a word", self.next or "the end")
        kind, value, place = self.tokens[self.n]
        self.n += 1
        if kind in ("(", "not"):
            self.depth += 1
            if self.depth > DEEPEST:
                raise _wrong("the query is nested too deeply", place, f"at most {DEEPEST} levels", "more")
            made = self.group(place) if kind == "(" else ["not", self.term()]
            self.depth -= 1
            return made
        if kind == "regex":
            compiled(value, place)
            return ["regex", value]
        return ["text", value.lower()] if kind == "text" else self.word(value, place)

    def group(self, place: int) -> Node:
        made = self.either()
        if self.next != ")":
            raise _wrong("a parenthesis is not closed", place, ")", "the end")
        self.n += 1
        return made

    def word(self, value: str, place: int) -> Node:
        low = value.lower()
        if low == "only" and self.following() in _WORDS:
            return self.term()
        if low in _WORDS:
            if low in ("control", "data") and self.following() in ("frame", "frames"):
                self.n += 1
            return list(_WORDS[low])
        if found := _SIZE.fullmatch(low):
            return ["size", found[1], int(found[2])]
        key, colon, rest = low.partition(":")
        if colon and key in _KEYS:
            wanted = [["type" if _KEYS[key] == "type" else "connection", one] for one in rest.split(",") if one]
            if not wanted:
                raise _wrong(f"{key}: of what", place + len(value), f"{key}:NAME", value)
            return wanted[0] if len(wanted) == 1 else ["or", *wanted]
        return ["text", low]

    def following(self) -> str:
        return self.tokens[self.n][1].lower() if self.next == "word" else ""


@lru_cache(256)
def compiled(pattern: str, place: int = 1) -> re.Pattern[str]:
    """A regular expression that ignores case; ``place`` is where it stands in the query."""
    try:
        return re.compile(pattern, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise _wrong(f"the regular expression does not work: {error}", place, "a regular expression", pattern) from None


def _wrong(what: str, place: int, expected: str, got: str) -> InvalidInput:
    return InvalidInput(what, expected=expected, got=got[:60], where=f"character {place} of the query")


def _mask(trace: Trace, node: Node, within: NDArray[np.bool_], find: Finder) -> NDArray[np.bool_]:
    """Of the events in ``within``, those that fit; what is cheap to ask is asked first."""
    match node[0]:
        case "and":
            for part in sorted(node[1:], key=lambda part: part[0] in _COSTLY):
                within = _mask(trace, part, within, find)
            return within
        case "or":
            found = np.zeros_like(within)
            for part in node[1:]:
                found |= _mask(trace, part, within & ~found, find)
            return found
        case "not":
            return within & ~_mask(trace, node[1], within, find)
        case "text" | "regex":
            return _searched(trace, node, within, find)
        case _:
            return within & _column(trace, node)


def _column(trace: Trace, node: Node) -> NDArray[np.bool_]:
    match node:
        case ["direction", which]:
            return np.isin(trace.kind, _DIRECTION[which])
        case ["control"]:
            return np.isin(trace.kind, _CONTROL)
        case ["data"]:
            return np.isin(trace.kind, list(_FRAMES))
        case ["connection", name]:
            return np.isin(trace.connection_code, [n for n, one in enumerate(trace.names) if one.lower() == name])
        case ["type", name]:
            return _of_type(trace, name)
        case [_, sign, size]:
            fits: NDArray[np.bool_] = (trace.size >= 0) & _COMPARE[sign](trace.size, size)
            return fits
        case _:  # pragma: no cover
            raise AssertionError(node)


def _of_type(trace: Trace, name: str) -> NDArray[np.bool_]:
    fits = re.compile(translate(name.replace("[", "[[]").replace("?", "[?]"))).match
    kinds = np.isin(trace.kind, [n for n, kind in enumerate(_NAMES) if fits(kind.lower())])
    types = trace.message_types
    good = {one for one in set(types) if one is not None and fits(one.lower())}
    if good:
        kinds |= np.fromiter((one in good for one in types), dtype=bool, count=len(types))
    return kinds


def _searched(trace: Trace, node: Node, within: NDArray[np.bool_], find: Finder) -> NDArray[np.bool_]:
    found = np.zeros(len(trace), dtype=bool)
    places = np.flatnonzero(within).tolist()
    chunks = ([_text(trace, i) for i in places[n : n + CHUNK]] for n in range(0, len(places), CHUNK))
    found[places] = list(chain.from_iterable(find(node, chunks)))
    return found


def _text(trace: Trace, i: int) -> str:
    """What an event says: of a data frame its payload, without decoding the event; of others their kind and line."""
    kind = int(trace.kind[i])
    if kind not in _FRAMES:
        return f"{_NAMES[kind]} {trace[i]}"[:SEARCHED]
    row = trace.rows[i]
    begin = row.find(_PAYLOAD)
    payload = row[begin + len(_PAYLOAD) : begin + len(_PAYLOAD) + SEARCHED] if begin >= 0 else b""
    return _FRAMES[kind] + payload.replace(b'\\"', b'"').decode("utf-8", "replace")


__all__ = ["Finder", "Node", "found_in", "matches", "parse"]
