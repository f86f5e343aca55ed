"""Progress on stderr: drawn in place on a terminal, once each in a log."""

from __future__ import annotations

import io
import os
import re

import pytest
from msgspec.structs import replace

from chatkit.cli import progress
from chatkit.cli.progress import ProgressDisplay, added
from chatkit.experiments.progress import ProbeLine, Progress
from tests.views.standings import HOSTILE, RUNNING


class Terminal(io.StringIO):
    """A terminal that understands what is sent to it: ``rows`` is what stands on it."""

    def isatty(self) -> bool:
        return True

    @property
    def rows(self) -> list[str]:
        rows, at = [""], 0
        for part in re.findall(r"\x1b\[\d*[A-Z]|\x1b\[\d+m|\n|[^\x1b\n]+", self.getvalue()):
            if part == "\n":
                at += 1
                rows += [""] * (at + 1 - len(rows))
            elif part == "\x1b[J":
                del rows[at + 1 :]
                rows[at] = ""
            elif part.startswith("\x1b") and part.endswith("F"):
                at -= int(part[2:-1])
                assert at >= 0
            elif not part.startswith("\x1b"):
                rows[at] = part if not rows[at] else rows[at] + part
        return rows


class Clock:
    """Time that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 80 columns and 30 lines."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "30")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_a_terminal_is_drawn_in_place() -> None:
    """However many lines it had before; what is printed next stands below."""
    terminal, clock = Terminal("above\n"), Clock()
    terminal.seek(0, io.SEEK_END)
    display = ProgressDisplay(terminal, clock)
    for n, look in enumerate((replace(RUNNING, arms=(), stage="probes"), RUNNING, replace(RUNNING, notes=(), bars=()))):
        clock.now = n * 1.0
        display.show(look)
    display.finish()
    terminal.write("the verdict\n")
    rows = terminal.rows
    assert rows[0] == "above"
    assert rows[1].startswith("first round: 8 arms")
    assert [row for row in rows if row.startswith("probes")] == []
    assert rows[-2:] == ["the verdict", ""]
    assert len(rows) == 13


def test_it_is_not_drawn_more_often_than_it_can_be_read() -> None:
    """The last look is drawn all the same, once."""
    terminal, clock = Terminal(), Clock()
    display = ProgressDisplay(terminal, clock)
    for n in range(100):
        clock.now = n * progress.INTERVAL / 10
        display.show(replace(RUNNING, stage=f"look {n}"))
    drawn = terminal.getvalue().count("look")
    assert 9 <= drawn <= 11
    display.finish()
    display.finish()
    assert "look 99" in terminal.rows[0]
    assert terminal.getvalue().count("look") == drawn + 1


def test_what_did_not_change_is_not_drawn_again() -> None:
    """Nothing flickers."""
    terminal, clock = Terminal(), Clock()
    display = ProgressDisplay(terminal, clock)
    display.show(RUNNING)
    before = terminal.getvalue()
    clock.now = 9.0
    display.show(RUNNING)
    display.finish()
    assert terminal.getvalue() == before


def test_the_end_is_drawn_at_once() -> None:
    """Whatever the time since the last drawing."""
    terminal = Terminal()
    display = ProgressDisplay(terminal, Clock())
    display.show(RUNNING)
    display.show(replace(RUNNING, stage="settled", done=True))
    assert terminal.rows[0].startswith("settled")


def test_a_low_and_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cursor never goes above its first line."""
    monkeypatch.setenv("LINES", "6")
    monkeypatch.setenv("COLUMNS", "50")
    terminal, clock = Terminal(), Clock()
    display = ProgressDisplay(terminal, clock)
    for look in (RUNNING, HOSTILE, RUNNING):
        clock.now += 1
        display.show(look)
    assert len(terminal.rows) == 6
    assert max(map(len, terminal.rows)) <= 49


def test_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """https://no-color.org."""
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    ProgressDisplay(terminal, Clock()).show(RUNNING)
    assert not re.search(r"\x1b\[\d+m", terminal.getvalue())


@pytest.mark.parametrize("dumb", [False, True])
def test_a_log_gets_each_thing_once(dumb: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes when they are finished, notes when they come; nothing that moves a cursor."""
    if dumb:
        monkeypatch.setenv("TERM", "dumb")
    log = Terminal() if dumb else io.StringIO()
    display = ProgressDisplay(log)
    probe = ProbeLine(id="tcp", status="running", summary="…")
    look = Progress(stage="probes", elapsed=0.1, budget=90.0, probes=(probe,))
    display.show(look)
    done = replace(probe, status="pass", summary="1 ms \x1b[2J")
    for notes in (("one",), ("one",), ("one", "two"), ("two", "two"), ("two", "two", "three")):
        display.show(replace(look, probes=(done,), notes=notes))
    display.finish()
    assert log.getvalue().splitlines() == ["✓ tcp: 1 ms ␛[2J", "one", "two", "two", "three"]


@pytest.mark.parametrize(
    ("before", "after", "new"),
    [
        ((), ("a",), ["a"]),
        (("a", "b"), ("a", "b"), []),
        (("a", "b"), ("b", "c"), ["c"]),
        (("a",), ("x", "y"), ["x", "y"]),
        (("a", "b"), (), []),
    ],
)
def test_what_is_new_in_a_list_that_moves(before: tuple[str, ...], after: tuple[str, ...], new: list[str]) -> None:
    """Its beginning may be gone."""
    assert added(before, after) == new


def test_standard_error_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output belongs to the result."""
    ProgressDisplay().show(replace(RUNNING, probes=()))
    assert capsys.readouterr() == ("", "".join(f"{note}{os.linesep}" for note in RUNNING.notes))
