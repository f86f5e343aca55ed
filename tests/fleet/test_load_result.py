"""Whose limit it was, from what attempts went through."""

from __future__ import annotations

import errno
import json

import pytest

from chatkit.fleet.load_result import Life, Load, Machine, Share, document, told

MACHINE = Machine(name="here", descriptors=64, ports=28_000)


def opened(at: float, lived: float, *, died: bool = False, ending: str = "") -> Life:
    return Life(at=at, took=0.01, others=0, lived=lived, died=died, ending=ending)


def refused(at: float, status: int = 503) -> Life:
    return Life(at=at, took=0.01, others=0, ending=f"upgrade: HTTP {status}", status=status)


def failed(at: float, number: int, others: int = 0) -> Life:
    return Life(at=at, took=0.0, others=others, ending="tcp: failed", errno=number)


def load(*shares: list[Life]) -> Load:
    made = [Share(machine=MACHINE, asked=len(lives), lives=lives, peak=10, memory=102_400) for lives in shares]
    return Load(target="ws://h/p", rate=10, shares=made, interrupted=False, elapsed=20.0)


FULL = [opened(n / 10, 19.0) for n in range(30)]


@pytest.mark.parametrize(
    ("lives", "whose", "connections"),
    [
        # the backend turns away, before or after the upgrade
        (FULL + [refused(5 + n) for n in range(5)], "backend", 30),
        (FULL + [refused(5 + n, 429) for n in range(5)], "backend", 30),
        (FULL + [opened(5 + n, 0.1, died=True, ending="close 1013 by server") for n in range(5)], "backend", 30),
        (FULL + [failed(5 + n, errno.ECONNREFUSED) for n in range(5)], "backend", 30),
        # our own machine
        ([*FULL, failed(5, errno.EMFILE, 30)], "machine", 30),
        ([*FULL, failed(5, errno.ENFILE, 30)], "machine", 30),
        ([*FULL, failed(5, errno.EADDRNOTAVAIL, 30)], "machine", 30),
        # no limit: all well, accidents, refused from the start, deaths after a while
        (FULL, None, None),
        ([*FULL, refused(5), refused(6)], None, None),
        ([refused(n) for n in range(9)], None, None),
        ([opened(n / 10, 5.0, died=True, ending="rst by server") for n in range(30)], None, None),
    ],
)
def test_whose_limit(lives: list[Life], whose: str | None, connections: int | None) -> None:
    """And how many were open when it struck."""
    found = load(lives).limits
    assert [(one.whose, one.connections) for one in found] == ([] if whose is None else [(whose, connections)])


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EMFILE, "RLIMIT_NOFILE"), (errno.EADDRNOTAVAIL, "ephemeral port")]
)
def test_which_of_the_machine(number: int, words: str) -> None:
    """Descriptors or ports, each with its number and remedy."""
    (limit,) = load([*FULL, failed(5, number, 30)]).limits
    assert words in limit.because
    assert limit.remedy


def test_a_rate_is_no_number() -> None:
    """Refused with few open, passed later with more: it is how fast, not how many."""
    lives = [opened(n / 10, 19.0) for n in range(5)] + [refused(1 + n / 10) for n in range(4)]
    (limit,) = load(lives + [opened(3 + n, 10.0) for n in range(9)]).limits
    assert "at this rate" in limit.because
    assert "--rate" in limit.remedy


def test_both_limits_are_told() -> None:
    """Two processes: one met its machine's, all met the backend's; the number is of both together."""
    one = [opened(n / 10, 19.0) for n in range(10)] + [failed(3, errno.EMFILE, 10)]
    other = [opened(n / 10, 19.0) for n in range(10)] + [refused(5 + n) for n in range(4)]
    assert [(limit.whose, limit.connections) for limit in load(one, other).limits] == [("machine", 10), ("backend", 20)]


def test_survival_counts_those_that_we_ended_as_censored() -> None:
    """Half of four died at ten seconds; the others were let go at twenty."""
    lives = [opened(0, 10.0, died=True, ending="rst by server")] * 2 + [opened(0, 20.0)] * 2
    curve = load(lives).survival
    assert (curve.n, curve.events, curve.at(9.9), curve.at(20)) == (4, 2, 1.0, 0.5)
    assert load([refused(1)]).survival is None


def test_the_document_and_the_text_agree() -> None:
    """Plain JSON; the text names the same figures."""
    lives = [*FULL[:9], opened(1.0, 4.0, died=True, ending="rst by server"), *(refused(5 + n) for n in range(4))]
    one = load(lives)
    facts = json.loads(json.dumps(document(one)))
    assert facts["schema"] == "chatkit.load/1"
    assert facts["connections"] == {
        "asked": 14, "attempted": 14, "opened": 10, "failed": 4, "most_open": 10, "died": 1, "alive_at_end": 9,
    }  # fmt: skip
    assert facts["memory_per_connection"] == 10_240
    assert facts["endings"] == [{"what": "rst by server", "count": 1}]
    assert facts["limits"][0]["whose"] == "backend"
    text = told(one)
    for words in ("10 of 14 attempts", "1 died", "10.0 KiB", "4 × upgrade: HTTP 503", "limit of the backend"):
        assert words in text


def test_nothing_at_all() -> None:
    """Interrupted before the first attempt."""
    facts = document(load([]))
    assert (facts["connect"]["per_s"], facts["survival"], facts["limits"]) == (None, None, [])
    assert "0 of 0" in told(load([]))
