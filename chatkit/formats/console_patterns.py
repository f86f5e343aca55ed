"""What lines of a browser's console mean, as data: a TOML file of patterns, tried in its order.

    [[pattern]]
    event = "closed"
    match = 'Support socket lost \\((?P<code>\\d{1,5})\\)(?: (?P<reason>.*))?'

``event`` is one of ``EVENTS``; ``match`` is a regular expression for the beginning of a message, without emoji and
blanks before it. A dot is any character, a line's end too. Its named groups say the rest: those that ``EVENTS`` names.
``builtin = false`` at the top of the file leaves out the built-in patterns, which are otherwise tried after its own.

A pattern reads the first ``HEAD`` characters of a message, and is refused if a hostile line could keep it busy: a
repetition within a repetition, a back-reference, or too many open repetitions.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from importlib import resources
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from msgspec import Struct

from chatkit.errors import InvalidInput

EVENTS: dict[str, frozenset[str]] = {
    "attempt": frozenset({"url"}),
    "opened": frozenset({"url", "bot"}),
    "closed": frozenset({"code", "reason", "bot"}),
    "retry": frozenset({"attempt", "delay_ms", "delay_s"}),
    "gave-up": frozenset(),
    "sending": frozenset({"payload"}),
    "sent": frozenset({"payload"}),
    "received": frozenset({"payload"}),
    "failed": frozenset({"url", "status", "error"}),
    "health": frozenset({"method", "status", "error"}),
    "http": frozenset({"method", "url", "status", "error"}),
    "error": frozenset(),
    "ignored": frozenset(),
}
"""What a line may mean, and the named groups that it understands. ``sent`` after ``sending`` of the same text is one
message."""
NEEDED = {"sending": "payload", "sent": "payload", "received": "payload", "retry": "attempt"}
HEAD = 1000
"""Characters of a message that a pattern reads; what ends there in a group goes on to the message's end."""
MOST_PATTERNS = 200
MOST_STEPS = 100_000_000
"""Ways to divide a line among a pattern's repetitions, at the worst."""
_KEYS = {"event", "match"}
_REPEATS = {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}


class Pattern(Struct, frozen=True):
    """One kind of line."""

    event: str
    match: re.Pattern[str]


def load(content: bytes | None) -> tuple[Pattern, ...]:
    """The patterns of a user's file before the built-in ones.

    Raises:
        InvalidInput: the file is no TOML, or a pattern cannot be used; it names line and key.
    """
    builtin = resources.files("chatkit.formats").joinpath("console_patterns.toml").read_bytes()
    own, others = _parse(content, "the file of patterns") if content is not None else ((), True)
    return own + (_parse(builtin, "console_patterns.toml")[0] if others else ())


def _parse(content: bytes, name: str) -> tuple[tuple[Pattern, ...], bool]:
    try:
        text = content.decode("utf-8")
        values = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the patterns are not UTF-8: {error.reason}", where=name) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidInput(f"the patterns are not TOML: {error}", where=name) from None
    for key in values:
        if key not in ("pattern", "builtin"):
            raise InvalidInput(
                "the patterns have a key that nobody reads",
                expected="pattern, builtin",
                got=key,
                where=_where(name, text, key),
            )
    tables, builtin = values.get("pattern", []), values.get("builtin", True)
    if not isinstance(builtin, bool):
        raise InvalidInput(
            "a value does not fit", expected="true or false", got=builtin, where=_where(name, text, "builtin")
        )
    if not isinstance(tables, list) or len(tables) > MOST_PATTERNS:
        raise InvalidInput(
            "the patterns are no list", expected=f"at most {MOST_PATTERNS} tables [[pattern]]", where=name
        )
    return tuple(_one(table, number, text, name) for number, table in enumerate(tables, 1)), builtin


def _one(table: Any, number: int, text: str, name: str) -> Pattern:
    def refuse(what: str, key: str, expected: str | None = None, got: object = None) -> InvalidInput:
        return InvalidInput(what, expected=expected, got=got, where=_where(name, text, key, number))

    if not isinstance(table, dict):
        raise refuse("a pattern is no table", "pattern", "[[pattern]] with event and match")
    for key in table:
        if key not in _KEYS:
            raise refuse("a pattern has a key that nobody reads", key, "event, match", key)
    event, source = table.get("event"), table.get("match")
    if not isinstance(event, str) or event not in EVENTS:
        raise refuse("a pattern has no such event", "event", "one of " + ", ".join(EVENTS), event)
    if not isinstance(source, str) or not source or len(source) > 2000:
        raise refuse("a pattern matches nothing", "match", "a regular expression of at most 2,000 characters", source)
    try:
        compiled = re.compile(source, re.DOTALL)
        tree = _parser.parse(source)
        problem = _problem(tree)
    except (re.error, RecursionError, OverflowError) as error:
        raise refuse(f"a pattern is no regular expression: {error}", "match", got=source) from None
    if problem:
        raise refuse(
            f"a hostile line could keep a pattern busy: {problem}",
            "match",
            "bounded repetitions such as \\d{1,9}",
            source,
        )
    groups, known = set(compiled.groupindex), EVENTS[event]
    if not groups <= known:
        raise refuse(
            f"{event} has no such group", "match", ", ".join(sorted(known)) or "no named group", sorted(groups - known)
        )
    if event in NEEDED and NEEDED[event] not in groups:
        raise refuse("a pattern lacks its group", "match", f"(?P<{NEEDED[event]}>…)", source)
    return Pattern(event, compiled)


def _problem(tree: Any) -> str | None:
    """Why a pattern could take too long; ``None`` where it cannot."""
    steps = 1
    for name, most, nested in _walk(tree, False):
        if name.startswith("GROUPREF"):
            return "a back-reference"
        if nested:
            return "a repetition within a repetition"
        steps *= min(most, HEAD)
    return "too many repetitions in a row" if steps > MOST_STEPS else None


def _walk(tree: Any, inside: bool) -> Iterable[tuple[str, int, bool]]:
    """Every repetition and back-reference: name, most times, whether it stands within a repetition."""
    for operator, value in tree:
        name = str(operator)
        if name in _REPEATS:
            repeats = int(value[1]) > 1
            if repeats:
                yield name, int(value[1]), inside
            yield from _walk(value[2], inside or repeats)
        elif name.startswith("GROUPREF"):
            yield name, 1, inside
        else:
            for part in _parts(value):
                yield from _walk(part, inside)


def _parts(value: Any) -> Iterable[Any]:
    """Patterns within an operator's value."""
    if isinstance(value, _parser.SubPattern):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _parts(one)


def _where(name: str, text: str, key: str, number: int = 0) -> str:
    """File, line and key; the line is that of the key in the table of this number."""
    table, found = 0, None
    for line_number, line in enumerate(text.splitlines(), 1):
        if re.match(r"\s*\[\[\s*pattern\s*\]\]", line):
            table += 1
            if table == number and key == "pattern":
                found = line_number
        if table == number and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            found = line_number
    shown = f"pattern {number}, key {key}" if number else f"key {key}"
    return f"{name}, line {found}, {shown}" if found else f"{name}, {shown}"
