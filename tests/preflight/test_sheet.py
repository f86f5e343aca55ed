"""Lines are entered once, each step is bounded, and every text is made fit to show."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from chatkit.errors import ChatkitError, InvalidInput
from chatkit.preflight.judge import Line
from chatkit.preflight.report import Check
from chatkit.preflight.sheet import LEAST, STEP_LIMIT, TEXT_LIMIT, Sheet, clean, sentence
from chatkit.recorder import Recorder
from chatkit.redact import Redactor
from stories import make_jwt

PLAN = ("url", "dns", "tcp", "bot")


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """Closed with the test."""
    with Recorder() as made:
        yield made


async def good() -> Line:
    """Works."""
    return Line(status="pass", summary="fine")


async def hang() -> Line:
    """Never ends."""
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize(
    ("error", "summary", "remedy"),
    [
        (InvalidInput("it is wrong", got="a fish", remedy="use a bird"), "it is wrong: a fish", "use a bird"),
        (ChatkitError("it is wrong"), "it is wrong", "look at the backend's log"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "does not resolve", ""),
        (UnicodeError("label too long"), "label too long", ""),
    ],
)
async def test_a_foreseeable_failure_is_a_line(recorder: Recorder, error: Exception, summary: str, remedy: str) -> None:
    """With a remedy, always."""

    async def fail() -> Line:
        raise error

    check = await Sheet(PLAN, recorder, lambda line: None).step("dns", fail)
    assert (check.status, summary in check.summary, bool(check.remedy)) == ("fail", True, True), check
    assert remedy in (check.remedy or "")


async def test_a_surprise_is_no_line(recorder: Recorder) -> None:
    """A fault of our own is raised, not shown as the backend's."""

    async def fail() -> Line:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Sheet(PLAN, recorder, lambda line: None).step("dns", fail)


@pytest.mark.parametrize(("id", "remedy"), [("tcp", "what swallows packets"), ("bot", "look at the backend's log")])
async def test_a_step_that_hangs_is_cut(recorder: Recorder, id: str, remedy: str) -> None:
    """After its limit, with what silence means there."""
    check = await Sheet(PLAN, recorder, lambda line: None).step(id, hang, limit=0.0)
    assert (check.status, check.summary) == ("fail", "no answer within 0.0 s")
    assert remedy in (check.remedy or "")


async def test_lines_come_in_the_order_of_the_plan(recorder: Recorder) -> None:
    """Whenever each was entered; the listener hears them as they are."""
    seen: list[Check] = []
    sheet = Sheet(PLAN, recorder, seen.append)
    await sheet.step("bot", good)
    sheet.skip(("url", "bot", "login"), "because I say so")
    sheet.skip(PLAN, "later")
    assert [line.id for line in seen] == ["bot", "url", "dns", "tcp"]
    assert [(line.id, line.status, line.summary) for line in sheet.checks] == [
        ("url", "not-tried", "because I say so"),
        ("dns", "not-tried", "later"),
        ("tcp", "not-tried", "later"),
        ("bot", "pass", "fine"),
    ]
    assert await sheet.line("bot") is seen[0]


async def test_a_line_is_entered_once(recorder: Recorder) -> None:
    """Twice is a mistake of ours."""
    sheet = Sheet(PLAN, recorder, lambda line: None)
    sheet.enter("dns", Line(status="pass", summary="s"))
    with pytest.raises(asyncio.InvalidStateError):
        sheet.enter("dns", Line(status="pass", summary="s"))


async def test_who_waits_for_a_line_gets_it(recorder: Recorder) -> None:
    """Before it is entered too."""
    sheet = Sheet(PLAN, recorder, lambda line: None)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(sheet.line("dns"))
        group.create_task(sheet.step("dns", good))
    assert waiting.result().summary == "fine"


async def test_the_budget(recorder: Recorder) -> None:
    """A step has its limit, little when the budget is used up, and all of it when it is renewed."""
    sheet = Sheet(PLAN, recorder, lambda line: None)
    assert sheet.limit() == STEP_LIMIT
    sheet._deadline = 0.0
    assert sheet.limit() == LEAST
    sheet.renew()
    assert STEP_LIMIT - 0.5 < sheet.limit() <= STEP_LIMIT


async def test_every_text_of_a_line_is_clean(recorder: Recorder) -> None:
    """Summary, remedy and details: no secret, no control character, one bounded line."""
    token = make_jwt()
    dirty = f"ws://h/?token={token}\x1b[2J\nx" + "y" * 1000
    line = Line(status="fail", summary=dirty, remedy=dirty, details={"a": [dirty, {"b": dirty}], "n": 3})
    check = Sheet(PLAN, recorder, lambda line: None).enter("dns", line, 0.12345678)
    texts = [check.summary, check.remedy or "", check.details["a"][0], check.details["a"][1]["b"]]
    assert [text for text in texts if token in text or "\x1b" in text or "\n" in text or len(text) > TEXT_LIMIT] == []
    assert ["[jwt]" in text for text in texts] == [True] * 4
    assert (check.details["n"], check.seconds) == (3, 0.123457)


@pytest.mark.parametrize("value", [None, 3, 2.5, True, "a text", ["x", 1], {"k": ("v",)}])
def test_what_is_clean_stays(value: object) -> None:
    """Only a tuple becomes a list, as in JSON."""
    expected = {"k": ["v"]} if isinstance(value, dict) else value
    assert clean(value, Redactor()) == expected


def test_a_sentence_has_what_came() -> None:
    """Where it is known, and never place or remedy."""
    assert sentence(ChatkitError("no", got="a fish", where="here", remedy="bird")) == "no: a fish"
    assert sentence(ChatkitError("no", where="here")) == "no"
