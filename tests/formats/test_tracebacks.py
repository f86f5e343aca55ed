"""Type and message of what was raised, and nothing of the code."""

from __future__ import annotations

import pytest

from chatkit.formats.loglines import Line
from chatkit.formats.tracebacks import Traceback, last_line

PLAIN = """Traceback (most recent call last):
  File "/app/app.py", line 3, in chat
    raise ValueError("no")
ValueError: no"""
CHAINED = (
    PLAIN
    + "\n\nDuring handling of the above exception, another exception occurred:\n\n"
    + PLAIN.replace("ValueError: no", "app.errors.BotError: gone")
)
GROUP = """  + Exception Group Traceback (most recent call last):
  |   File "/app/app.py", line 3, in chat
  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "/app/app.py", line 9, in chat
    | RuntimeError: inside
    +------------------------------------"""


def feed(text: str) -> tuple[Traceback, list[bool]]:
    traceback = Traceback()
    return traceback, [traceback.feed(Line(n, 0.0, line, "")) for n, line in enumerate(text.splitlines()) if line]


@pytest.mark.parametrize(
    ("text", "raised"),
    [(PLAIN, "ValueError: no"), (CHAINED, "app.errors.BotError: gone"), (GROUP, "RuntimeError: inside"), ("", "")],
)
def test_the_last_exception_counts(text: str, raised: str) -> None:
    """Chains and groups."""
    traceback, belongs = feed(text)
    assert traceback.raised == raised
    assert all(belongs)


def test_it_ends_where_the_log_goes_on() -> None:
    """A dated line, or one after the exception."""
    traceback, belongs = feed(PLAIN + "\nINFO:     connection closed")
    assert belongs[-1] is False
    assert not traceback.feed(Line(9, 0.0, "    indented", "", dated=True))


def test_a_traceback_in_one_piece() -> None:
    """Its last line."""
    assert last_line(PLAIN) == "ValueError: no"
    assert last_line("") == ""
