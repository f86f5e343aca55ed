"""The figures of the bench, by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import structs

from tests.bench.disconnect.score import Row, brier, judge, report, verdicts
from tests.incidents.incident import Between, Incident, Near, Site, among


@asynccontextmanager
async def nothing() -> AsyncIterator[Site]:
    """A site that nobody visits."""
    yield Site(url="http://127.0.0.1:9", bot="echo", token="t")


INCIDENT = Incident(
    id="nginx/read-timeout",
    stack="nginx",
    seed=1,
    label="idle-timeout",
    who=("proxy",),
    start=nothing,
    expected={"timeout_s": Near(4.0), "counts": among("any", "inbound")},
    minimum_s=4.0,
)


def document(verdict: str, *causes: tuple[str, float], who: str = "proxy", **parameters: Any) -> dict[str, Any]:
    """What the command prints, as far as the bench reads it."""
    rivals = [{"id": "nat-timeout", "confidence": 0.02}]
    listed = [
        {"id": id, "confidence": p, "who": who, "parameters": parameters, "lookalikes": rivals} for id, p in causes
    ]
    return {"elapsed_s": 9.5, "diagnosis": {"verdict": verdict, "causes": listed}}


def row(label: str, verdict: str | None, *causes: tuple[str, float]) -> Row:
    """A row with these answers."""
    listed = [(id, confidence, "server") for id, confidence in causes]
    return Row(key="k", id="i", stack="lab", seed=1, label=label, minimum_s=0.0, verdict=verdict, causes=listed)


def test_a_right_verdict_with_its_parameters() -> None:
    """The time within 3 % or 0.3 s, the word among those that fit."""
    one = judge(INCIDENT, document("fault", ("idle-timeout", 0.97), timeout_s=4.2, counts="any"), 11.0)
    assert (one.mark, one.who_fits, one.beyond_s) == ("right", True, 5.5)
    assert [(p.name, p.fits, p.measured) for p in one.parameters] == [
        ("timeout_s", True, True),
        ("counts", True, False),
    ]


def test_a_right_verdict_with_wrong_parameters() -> None:
    """Off, not found, somebody else."""
    one = judge(INCIDENT, document("fault", ("idle-timeout", 0.97), who="server", timeout_s=4.4), 11.0)
    assert (one.mark, one.who_fits, [p.fits for p in one.parameters]) == ("right", False, [False, False])


@pytest.mark.parametrize(
    ("label", "verdict", "causes", "mark", "in_three"),
    [
        ("idle-timeout", "fault", [("max-lifetime", 0.6), ("idle-timeout", 0.3)], "wrong", True),
        ("idle-timeout", "inconclusive", [("idle-timeout", 0.4)], "abstained", True),
        ("idle-timeout", "no-fault", [], "wrong", False),
        ("none", "no-fault", [], "right", True),
        ("none", "fault", [("idle-timeout", 0.9)], "wrong", False),
        ("none", "inconclusive", [], "abstained", False),
        ("idle-timeout", None, [], "failed", False),
    ],
    ids=str,
)
def test_marks(label: str, verdict: str | None, causes: list[tuple[str, float]], mark: str, in_three: bool) -> None:
    """An abstention misleads nobody; "no fault" where there is one does."""
    one = row(label, verdict, *causes)
    assert (one.mark, one.in_three) == (mark, in_three)


def test_what_the_first_could_be_as_well_is_among_the_first_three() -> None:
    """In the order of probability, others that were named among them."""
    document_ = document("fault", ("max-lifetime", 0.9), ("rate-limited", 0.6), who="server")
    document_["diagnosis"]["causes"][0]["lookalikes"] = [
        {"id": "server-restart", "confidence": 0.06},
        {"id": "idle-timeout", "confidence": 0.03},
    ]
    far = judge(INCIDENT, document_, 11.0)
    assert (far.mark, far.in_three) == ("wrong", False)
    near = structs.replace(far, label="server-restart")
    assert (near.mark, near.in_three) == ("wrong", True)


def test_brier_counts_first_causes_only() -> None:
    """Right at 0.9 and wrong at 0.6; the abstention does not count."""
    rows = [
        row("a", "fault", ("a", 0.9)),
        row("a", "fault", ("b", 0.6), ("a", 0.4)),
        row("a", "inconclusive", ("a", 0.4)),
    ]
    assert brier(verdicts(rows)) == pytest.approx((0.1**2 + 0.6**2) / 2)


def test_the_report() -> None:
    """Shares, false alarms, and what was not right with its first causes."""
    rows = [
        row("a", "fault", ("a", 0.9)),
        row("a", "fault", ("b", 0.6), ("a", 0.4)),
        row("none", "no-fault"),
        row("none", "fault", ("a", 0.7)),
    ]
    text = report(rows)
    assert "top-1 50.0 % (1 of 2)" in text
    assert "top-3 100.0 % (2 of 2)" in text
    assert "false alarms 50.0 % (1 of 2)" in text
    assert "fault: b 0.60, a 0.40" in text


@pytest.mark.parametrize(
    ("expected", "found", "fits"),
    [
        (Near(4.0), 4.3, True),
        (Near(4.0), 4.4, False),
        (Near(60.0), 61.7, True),
        (Near(60.0), [59.0, 61.0], True),
        (Near(60.0), [30.0, 61.0], False),
        (Near(60.0), [61.0, 59.0], False),
        (Near(4.0), True, False),
        (Near(4.0), "4.0", False),
        (Near(4.0), None, False),
        (Between(2.0, 4.0), 3.0, True),
        (Between(2.0, 4.0), [1.8, 4.2], True),
        (Between(2.0, 4.0), [1.0, 4.0], False),
        (among("any", "inbound"), "any", True),
        (among("any", "inbound"), "outbound", False),
        (among("any", "inbound"), ["any", "inbound"], True),
        (among("any", "inbound"), ["any", "outbound"], False),
        (among("any"), [], False),
        (among(4009), 4009, True),
    ],
    ids=str,
)
def test_parameters(expected: Near | Between, found: object, fits: bool) -> None:
    """Tolerances, intervals, words."""
    assert expected.fits(found) is fits
