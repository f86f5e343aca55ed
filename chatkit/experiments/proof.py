"""Whether a cure holds: lives with it beside lives without it; pure.

Control and cured arms are opened in alternation, and what became of them comes here as :class:`Lifetime` values. The
cure holds when the two groups live differently, *and* every cured arm outlived the former life several times, *and*
what killed has had its chance with it: for an early ping the first ping, the window and a second ping; for an idle
time-out one full time-out of quiet beyond the heartbeat.

Deaths in the same instant are one event, not many; a cured arm that had outlived all of this by then did so by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

from msgspec import Struct

from chatkit import display
from chatkit.diagnosis.survival import Curve, kaplan_meier
from chatkit.errors import InvalidInput, MissingDependency
from chatkit.experiments.exact import Comparison, Test, compare

LIMIT = 0.01
"""Two-sided; five that die against five that live give 0.008, the first round that can reach it."""
TIMES = 3
"""Former lives that a cured arm must outlive."""
TOGETHER = 0.5
"""Seconds within which deaths are one event: a restart, a cut wire."""
LEAST_DEATHS = 3
"""Of cured arms, that speak against the cure: one or two may have a cause of their own."""
ALIKE = 0.2
"""One-sided: cured lives no longer than one deal in five gives by chance are the control's lives.

A cure that works leaves 0.004 after five pairs; one that does nothing leaves more than 0.2 in four trials of five."""
PAIRS = 5
"""Of a first round."""
MOST_PAIRS = 10
"""Beyond those already run: more would be a load, and a cure that needs them is a weak one."""

Outcome = Literal["holds", "fails", "undecided"]


class Lifetime(Struct, frozen=True, kw_only=True):
    """One arm's life."""

    seconds: float
    """From open to the end, or to when it was no longer watched."""
    died: bool
    """Whether the connection ended against the client's will. An end known to have another cause is none."""
    at: float
    """When that was: seconds since the epoch of the trace."""
    chance: float | None = None
    """Seconds of this life after which what killed had had its chance, as the arm's own trace tells; infinite: never;
    ``None``: as the cure says."""


class Cure(Struct, frozen=True, kw_only=True):
    """What is tried, and what a cured arm must live through besides three former lives."""

    change: str
    """What differs from the control, in words."""
    exposure_s: float | None = None
    """Seconds of life after which what killed has had its chance; ``None``: three former lives are enough."""
    exposed_to: str = ""
    """What that was, as in "two pings"."""

    @classmethod
    def of_pings(cls, change: str, *, first_s: float, every_s: float, window_s: float, settle_s: float) -> Cure:
        """Against a ping that came too early.

        Args:
            change: what differs from the control.
            first_s, every_s: the cured arm's first ping after the opening, and the time between two.
            window_s: how long after the opening a ping was deadly.
            settle_s: how long after a deadly ping the connection ended, at most.
        """
        return cls(change=change, exposure_s=max(window_s, first_s + every_s) + settle_s, exposed_to="two pings")

    @classmethod
    def of_quiet(cls, change: str, *, heartbeat_s: float, timeout_s: float) -> Cure:
        """Against an idle time-out of ``timeout_s``: a heartbeat every ``heartbeat_s`` and nothing else."""
        return cls(change=change, exposure_s=heartbeat_s + timeout_s, exposed_to="a full time-out of quiet")


class Group(Struct, frozen=True, kw_only=True):
    """The control, or the cured arms."""

    arms: int
    """As run."""
    died: int
    lives: tuple[Lifetime, ...]
    """Deaths that coincide count once, so these may be fewer."""

    @property
    def curve(self) -> Curve:
        """Survival of the lives."""
        return kaplan_meier([one.seconds for one in self.lives], [one.died for one in self.lives])

    @property
    def median_s(self) -> float | None:
        """Seconds after which half were gone; ``None`` where that did not come to pass."""
        return self.curve.median

    def to_dict(self) -> dict[str, Any]:
        """As ``verification`` holds it."""
        return {"arms": self.arms, "died": self.died, "counted": len(self.lives), "median_s": self.median_s}


class Proof(Struct, frozen=True, kw_only=True):
    """What the arms say about a cure."""

    outcome: Outcome
    p: float
    """Two-sided: how probable groups that differ this much are if the cure does nothing."""
    test: Test
    cure: Cure
    control: Group
    cured: Group
    must_live_s: float | None
    """Seconds that a cured arm had to live; ``None`` where the former life is not known."""
    outlived: str
    """Of the cured arms that count, as in "5 of 5"."""
    sentence: str
    needed: str
    """What would settle it; empty when it is settled."""

    def to_dict(self) -> dict[str, Any]:
        """The object that ``--json`` prints under ``verification``."""
        return {
            "holds": {"holds": True, "fails": False, "undecided": None}[self.outcome],
            "p": float(f"{self.p:.4g}"),
            "test": self.test,
            "control": self.control.to_dict(),
            "cured": self.cured.to_dict(),
            "must_live_s": self.must_live_s,
            "change": self.cure.change,
            "sentence": self.sentence,
            "needed": self.needed,
        }

    def plot(self, **options: Any) -> Any:
        """Both survival curves as a plotly figure; the options are those of :func:`chatkit.views.proof.plot`."""
        render = display.find("proof", "plot")
        if render is None:
            raise InvalidInput("no view is loaded that draws a proof", remedy="import chatkit")
        return render(self, **options)

    def __str__(self) -> str:
        return self.sentence

    _repr_pretty_ = display.in_words

    def _repr_html_(self) -> str | None:
        render = display.find("proof", "html")
        return None if render is None else render(self)


def judge(control: Sequence[Lifetime], cured: Sequence[Lifetime], cure: Cure) -> Proof:
    """Whether the cure holds.

    It *holds* when p < ``LIMIT`` and every cured arm that counts outlived what it had to. Of cured arms count those
    that did, and those that died before; one that was not watched for so long says nothing.

    It *fails* when ``LEAST_DEATHS`` or more cured arms died before, and either more than half of them did (a change
    after which most connections still die is no cure, however much later they do) or their lives are no longer than
    chance makes them (one-sided, above ``ALIKE``). Here the arms that were watched for less count as far as they were
    watched, which favours the cure. Anything between is *undecided*: a single cured arm that died too early forbids
    to call it cured, and does not show that the cure does nothing.

    Raises:
        InvalidInput: a time is negative or no number.
        MissingDependency: more lives than the exact test takes, and scipy is not installed.
    """
    _check(control, cured, cure)
    case = _Case(control, cured, cure)
    return Proof(
        outcome=case.outcome,
        p=case.found.p,
        test=case.found.test,
        cure=cure,
        control=_group(control, case.control),
        cured=_group(cured, case.cured),
        must_live_s=case.must_live,
        outlived=f"{len(case.lasted)} of {len(case.counted)}",
        sentence=_sentence(case),
        needed=_needed(case, control, cured),
    )


def must_live(control: Sequence[Lifetime], cure: Cure) -> float | None:
    """How many seconds a cured arm must be watched, by what the controls have shown; ``None``: half still live."""
    former = _median(_once(control, max))
    return None if former is None else max(TIMES * former, cure.exposure_s or 0.0)


def more_needed(control: Sequence[Lifetime], cured: Sequence[Lifetime], cure: Cure) -> int:
    """How many more pairs could prove the cure if all went well: the controls die as before, the cured arms live.

    ``PAIRS`` before the first one; 0 when it is decided, when a cured arm died too early, when no control dies, or
    when ``MOST_PAIRS`` would not do. Without scipy only as many as the exact test takes.

    Raises:
        InvalidInput: a time is negative or no number.
        MissingDependency: the lives so far are more than the exact test takes, and scipy is not installed.
    """
    _check(control, cured, cure)
    case = _Case(control, cured, cure)
    if case.outcome != "undecided" or case.early or (control and not any(one.died for one in control)):
        return 0
    return _pairs(control, cured, cure)


class _Case:
    """The lives sorted by what they say."""

    def __init__(self, control: Sequence[Lifetime], cured: Sequence[Lifetime], cure: Cure) -> None:
        self.cure = cure
        # Of deaths that coincide the one that favours the cure least stands for all.
        self.control = _once(control, max)
        self.former = _median(self.control)
        self.must_live = must_live(control, cure)
        self.lasted = [one for one in cured if self._outlived(one)]
        before = _once([one for one in cured if not self._outlived(one)], min)
        self.early = [one for one in before if one.died]
        self.unfinished = [one for one in before if not one.died]
        self.cured = [*self.lasted, *before]
        self.counted = self.cured if self.former is None else [*self.lasted, *self.early]
        self.outcome, self.found = self._weigh()

    def _outlived(self, one: Lifetime) -> bool:
        if self.former is None:
            return False
        exposure = self.cure.exposure_s if one.chance is None else one.chance
        return one.seconds >= max(TIMES * self.former, exposure or 0.0)

    def _weigh(self) -> tuple[Outcome, Comparison]:
        proven = _compare(self.control, self.counted)
        if self.lasted and not self.early and proven.p < LIMIT and proven.longer < LIMIT:
            return "holds", proven
        if len(self.early) >= LEAST_DEATHS:
            against = _compare(self.control, self.cured)
            most = self.former is not None and 2 * len(self.early) > len(self.cured)
            if most or against.longer > ALIKE:
                return "fails", against
        return "undecided", proven


def _compare(control: Sequence[Lifetime], cured: Sequence[Lifetime]) -> Comparison:
    return compare([(one.seconds, one.died) for one in control], [(one.seconds, one.died) for one in cured])


def _once(lives: Sequence[Lifetime], keep: Callable[..., Lifetime]) -> list[Lifetime]:
    """Deaths within ``TOGETHER`` of the first of them as one: the longest life, or the shortest. Others as they are."""
    deaths = sorted((one for one in lives if one.died), key=lambda one: one.at)
    events: list[list[Lifetime]] = []
    for death in deaths:
        if events and death.at - events[-1][0].at <= TOGETHER:
            events[-1].append(death)
        else:
            events.append([death])
    return [*(keep(event, key=_seconds) for event in events), *(one for one in lives if not one.died)]


def _seconds(one: Lifetime) -> float:
    return one.seconds


def _median(lives: Sequence[Lifetime]) -> float | None:
    return kaplan_meier([one.seconds for one in lives], [one.died for one in lives]).median


def _group(arms: Sequence[Lifetime], lives: Sequence[Lifetime]) -> Group:
    return Group(arms=len(arms), died=sum(one.died for one in arms), lives=tuple(lives))


def _pairs(control: Sequence[Lifetime], cured: Sequence[Lifetime], cure: Cure) -> int:
    deaths = [one for one in control if one.died]
    age = _median(deaths) or 1.0
    longest = max((one.seconds for one in control), default=age)
    enough = TIMES * max(age, longest) + (cure.exposure_s or 0.0)
    # Deaths to come coincide neither with each other nor with those that were.
    late = max((one.at for one in deaths), default=0.0)
    for more in range(1, MOST_PAIRS + 1):
        dying = [Lifetime(seconds=age, died=True, at=late + 2 * TOGETHER * n) for n in range(1, more + 1)]
        living = [Lifetime(seconds=enough, died=False, at=0.0)] * more
        try:
            if _Case([*control, *dying], [*cured, *living], cure).outcome == "holds":
                return more
        except MissingDependency:
            break
    return 0


def _sentence(case: _Case) -> str:
    p = probability(case.found.p)
    lasted = f"{len(case.lasted)} of {len(case.counted)} outlived {_ordeal(case.cure)}"
    if case.outcome == "holds":
        return f"the cure holds: {lasted}, {p}"
    if case.outcome == "fails":
        who = f"{len(case.early)} of {len(case.cured)} did not outlive {_ordeal(case.cure)}"
        medians = f"median life {_life(_median(case.cured))} with it, {_life(case.former)} without"
        return f"the cure does not hold: {who}; {medians}, {p}"
    return f"undecided: {_doubt(case, lasted)}"


def _doubt(case: _Case, lasted: str) -> str:
    died = sum(one.died for one in case.control)
    if not case.control or not case.cured:
        return f"no {'cured' if case.control else 'control'} connection was watched"
    if case.former is None:
        return f"{died or 'none'} of {len(case.control)} died without the cure, so the former life is not known"
    if not case.counted:
        return f"no cured connection was watched until it outlived {_ordeal(case.cure)}"
    if case.early:
        ages = ", ".join(_life(age) for age in sorted(one.seconds for one in case.early))
        lasted += f", but {len(case.early)} died first, after {ages}"
    return f"{lasted}, {probability(case.found.p)}"


def _needed(case: _Case, control: Sequence[Lifetime], cured: Sequence[Lifetime]) -> str:
    if case.outcome != "undecided":
        return ""
    if case.early:
        return "a look at what ended the cured connections that died: more of them cannot prove the cure"
    if case.control and not any(one.died for one in case.control):
        return "a control that dies: the fault did not show this time"
    parts = []
    if case.unfinished and case.must_live is not None:
        parts.append(f"longer: every cured connection watched for {_life(case.must_live)}")
    more = _pairs(control, cured, case.cure)
    parts.append(f"{more} more {'pair' if more == 1 else 'pairs'}" if more else f"more than {MOST_PAIRS} further pairs")
    return "; ".join(parts)


def _ordeal(cure: Cure) -> str:
    return f"the former life {TIMES} times" + (f" and {cure.exposed_to}" if cure.exposed_to else "")


def _life(seconds: float | None) -> str:
    if seconds is None:
        return "not reached"
    return f"{seconds:.4g} s" if seconds < 10_000 else f"{seconds:,.0f} s"


def probability(p: float) -> str:
    """As many digits as show on which side of the limit it lies."""
    if p < 1e-4:
        return "p < 0.0001"
    texts = (f"{p:.{digits}g}" for digits in range(1, 18))
    return "p = " + next(text for text in texts if (float(text) < LIMIT) == (p < LIMIT))


def _check(control: Sequence[Lifetime], cured: Sequence[Lifetime], cure: Cure) -> None:
    lives = [*control, *cured]
    lengths = [one.seconds for one in lives] + ([] if cure.exposure_s is None else [cure.exposure_s])
    wrong = [one for one in lengths if not 0 <= one < math.inf]
    wrong += [one.at for one in lives if not math.isfinite(one.at)]
    wrong += [one.chance for one in lives if one.chance is not None and not one.chance >= 0]
    if wrong:
        raise InvalidInput("no such time", expected="seconds >= 0", got=wrong)
