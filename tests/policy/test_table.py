"""The policy table as data: complete, without dead rows, and the page beside it says the same."""

from __future__ import annotations

import runpy
from pathlib import Path

import msgspec
import pytest

import chatkit.policy.table as table
from chatkit.behaviour import Kind, Row, Signal, Span
from chatkit.policy.reconnect import REMEDIES, Loss, row_of
from chatkit.policy.table import CLOSES, INCIDENT, OTHERS, STATUSES, TABLE, TEXTBOOK, covers, document, markdown

EVERY = [*TABLE, *INCIDENT, *TEXTBOOK]


def test_the_page_is_made_from_the_table() -> None:
    """``python -m chatkit.policy.table > chatkit/policy/README.md`` after a change."""
    assert Path(table.__file__).with_name("README.md").read_text("utf-8") == document()


def test_the_command_prints_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing else."""
    runpy.run_path(table.__file__, run_name="__main__")
    assert capsys.readouterr().out == document()


def test_one_line_per_row() -> None:
    """No cell is empty, and no two rows read alike."""
    lines = markdown().splitlines()[2:]
    assert len(lines) == len(TABLE) == len(CLOSES) + len(STATUSES) + len(OTHERS)
    assert all(cell.strip() for line in lines for cell in line.strip("|").split("|"))
    assert len({line.split("|")[1] for line in lines}) == len(TABLE)


def asks(row: Row) -> list[object]:
    """What a row makes conditions of."""
    conditions = [row.close, row.by, row.reason, row.status, row.error, row.signal, row.retry_after or None]
    return [one for one in conditions if one is not None]


def test_the_last_row_fits_everything() -> None:
    """It asks for nothing, and it is the only one; whatever falls through is a defect of ours, never a silent retry."""
    assert [row for row in TABLE if not asks(row)] == [TABLE[-1]]
    assert (TABLE[-1].kind, TABLE[-1].action) == (Kind.BUG, "fail")


def test_every_kind_has_a_remedy() -> None:
    """And a row or a decision that leads to it."""
    assert set(REMEDIES) == set(Kind)
    # FORBIDDEN comes out of AUTH_MAYBE, once the API was asked.
    assert {row.kind for row in TABLE} == set(Kind) - {Kind.FORBIDDEN}


def numbers(span: Span | None) -> list[int | None]:
    """Every number that a row's code or range covers; only ``None`` where it asks for none."""
    if span is None:
        return [None]
    return [span] if isinstance(span, int) else list(range(span[0], span[1] + 1))


def examples(row: Row) -> list[Loss]:
    """Losses of every number that fit a row; the names are those of an exception without subclasses."""
    names = () if row.error is None else (row.error,)
    wait = 1.0 if row.retry_after else None
    plain = Loss(error=row.reason or "", names=names, signal=row.signal, retry_after=wait)
    return [
        msgspec.structs.replace(plain, code=code, status=status, by_us=us)
        for us in ([False, True] if row.by is None else [row.by == "client"])
        for code in numbers(row.close)
        for status in numbers(row.status)
    ]


@pytest.mark.parametrize("rows", [TABLE, INCIDENT, TEXTBOOK], ids=["built-in", "incident", "textbook"])
def test_no_row_is_dead(rows: tuple[Row, ...]) -> None:
    """Each decides about something that no earlier one takes."""
    ends = (*rows, TABLE[-1])
    assert [row for row in rows if not any(row_of(loss, ends) is row for loss in examples(row))] == []


def test_every_code_status_and_signal_is_foreseen() -> None:
    """Codes that two octets can hold, statuses of three digits, all signals: none is taken for a bug."""
    losses = [Loss(code=code) for code in range(65_536)] + [Loss(status=status) for status in range(100, 1000)]
    assert [loss for loss in losses + [Loss(signal=one) for one in Signal] if row_of(loss).kind is Kind.BUG] == []


@pytest.mark.parametrize("row", EVERY, ids=str)
def test_a_row_is_well_formed(row: Row) -> None:
    """Ranges and draws run upwards; only a reconnecting row says when."""
    for span in (row.close, row.status):
        assert span is None or isinstance(span, int) or span[0] < span[1]
    assert row.wait is None or 0 <= row.wait[0] <= row.wait[1]
    timing = (row.wait, row.every, row.step, row.least, row.once, row.compression)
    assert row.action == "reconnect" or timing == (None, False, None, 0.0, False, True)
    assert row.wait is not None or not row.every


@pytest.mark.parametrize(
    ("span", "number", "fits"),
    [
        (None, None, True),
        (None, 1006, True),
        (1006, None, False),
        (1006, 1006, True),
        (1006, 1005, False),
        ((4000, 4499), 3999, False),
        ((4000, 4499), 4000, True),
        ((4000, 4499), 4499, True),
        ((4000, 4499), 4500, False),
        ((4000, 4499), None, False),
    ],
)
def test_covers(span: Span | None, number: int | None, fits: bool) -> None:
    """Both ends of a range belong to it; a row that asks for no number takes any."""
    assert covers(span, number) is fits
