"""Patterns as data: what a team may write, and what is refused with its place."""

from __future__ import annotations

import pytest

from chatkit.errors import InvalidInput
from chatkit.formats.console_patterns import EVENTS, load


def table(event: str, match: str, more: str = "") -> bytes:
    return f"# a comment\n\n[[pattern]]\nevent = '{event}'\nmatch = '''{match}'''\n{more}".encode()


def test_the_built_in_ones_load() -> None:
    """And keep their own rules."""
    patterns = load(None)
    assert {pattern.event for pattern in patterns} <= set(EVENTS)
    assert len(patterns) > 10


def test_own_patterns_come_first() -> None:
    """Or alone, where the file says so."""
    own = table("opened", r"socket up")
    assert load(own)[0].match.pattern == "socket up"
    assert len(load(own)) == len(load(None)) + 1
    assert len(load(b"builtin = false\n" + own)) == 1


@pytest.mark.parametrize(
    ("content", "words", "where"),
    [
        (b"\xff", "not UTF-8", "the file of patterns"),
        (b"[[pattern", "not TOML", "the file of patterns"),
        (b"patterns = 1", "a key that nobody reads", "line 1, key patterns"),
        (b"builtin = 3", "a value does not fit", "line 1, key builtin"),
        (b"pattern = 3", "no list", "the file of patterns"),
        (b"pattern = [3]", "no table", "pattern 1, key pattern"),
        (b"[[pattern]]\nevent = 'opened'\n", "matches nothing", "pattern 1, key match"),
        (table("opened", "x", "colour = 1"), "a key that nobody reads", "line 6, pattern 1, key colour"),
        (table("open", "x"), "no such event", "line 4, pattern 1, key event"),
        (table("opened", "("), "no regular expression", "line 5, pattern 1, key match"),
        (table("opened", "(?P<code>1)"), "no such group", "line 5, pattern 1, key match"),
        (table("received", "x.*"), "lacks its group", "line 5, pattern 1, key match"),
        (table("opened", "(a+)+b"), "a repetition within a repetition", "line 5, pattern 1, key match"),
        (table("opened", "(?:a|b*){3}"), "a repetition within a repetition", "line 5, pattern 1, key match"),
        (table("opened", "(?=(a*)*)b"), "a repetition within a repetition", "line 5, pattern 1, key match"),
        (table("opened", r"(?P<bot>a)\1"), "a back-reference", "line 5, pattern 1, key match"),
        (table("opened", ".*a.*b.*c"), "too many repetitions", "line 5, pattern 1, key match"),
        (table("opened", r"\w{1,40}" * 6), "too many repetitions", "line 5, pattern 1, key match"),
        (table("opened", "(" * 500 + ")" * 500), "regular expression", "line 5, pattern 1, key match"),
        (table("opened", "x" * 3000), "matches nothing", "line 5, pattern 1, key match"),
    ],
)
def test_what_is_refused(content: bytes, words: str, where: str) -> None:
    """With line and key, and what would be right."""
    with pytest.raises(InvalidInput, match=words) as refused:
        load(content)
    assert where in str(refused.value)


@pytest.mark.parametrize("match", [r"lost \((?P<code>\d{1,5})\)(?: (?P<reason>.*))?", "(?i)a|b", "[a-z]+ (?:x|y)?z"])
def test_what_is_fine(match: str) -> None:
    """The usual things."""
    event = "closed" if "code" in match else "ignored"
    assert load(table(event, match))[0].event == event
