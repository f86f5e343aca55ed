"""A later investigation beside a former one: has the change that was made between them stopped it?"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from chatkit import display
from chatkit.diagnosis.engine import stand
from chatkit.diagnosis.result import Diagnosis
from chatkit.experiments.judge import arms
from chatkit.experiments.result import ArmResult
from chatkit.trace import Trace


class Changed(Struct, frozen=True, kw_only=True):
    """An arm of both investigations that ended differently."""

    id: str
    former: str
    """What became of it then, in words."""
    now: str


class Since(Struct, frozen=True, kw_only=True):
    """What is different since the former investigation."""

    former_verdict: str
    former_cause: str | None
    now_verdict: str
    now_cause: str | None
    changed: tuple[Changed, ...]
    same: int
    """Arms that both had, and that fared alike."""
    sentence: str

    def __str__(self) -> str:
        lines = [f"Since the former investigation: {self.sentence} ({self.same} arms fared alike)."]
        lines += [f"  {one.id}: then {one.former}; now {one.now}" for one in self.changed]
        return "\n".join(lines)

    _repr_pretty_ = display.in_words

    def _repr_html_(self) -> str | None:
        facts = [(one.id, f"then {one.former}; now {one.now}") for one in self.changed]
        return display.glance("since the former investigation", self.sentence, facts)

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` has it under ``since``."""
        return {
            "former": {"verdict": self.former_verdict, "cause": self.former_cause},
            "now": {"verdict": self.now_verdict, "cause": self.now_cause},
            "changed": [{"id": one.id, "former": one.former, "now": one.now} for one in self.changed],
            "same": self.same,
            "sentence": self.sentence,
        }


def since(former: Trace, now: Trace, diagnosis: Diagnosis | None = None) -> Since:
    """Compares two recorded investigations of one backend.

    Args:
        former: the recording before the change.
        now: the recording after it.
        diagnosis: of ``now``, where it is known already.
    """
    then, today = stand(former).diagnosis, diagnosis or stand(now).diagnosis
    before, after = _by_name(arms(former)), _by_name(arms(now))
    changed, same = [], 0
    for id in [id for id in before if id in after]:
        old, new = _fate(before[id]), _fate(after[id])
        if old[0] == new[0]:
            same += 1
        else:
            changed.append(Changed(id=id, former=old[1], now=new[1]))
    cause_then, cause_now = _cause(then), _cause(today)
    return Since(
        former_verdict=then.verdict,
        former_cause=cause_then,
        now_verdict=today.verdict,
        now_cause=cause_now,
        changed=tuple(changed),
        same=same,
        sentence=_sentence(then.verdict, cause_then, today.verdict, cause_now),
    )


def _by_name(found: tuple[ArmResult, ...]) -> dict[str, list[ArmResult]]:
    named: dict[str, list[ArmResult]] = {}
    for one in found:
        if one.role == "arm":
            named.setdefault(one.id, []).append(one)
    return named


def _fate(found: list[ArmResult]) -> tuple[str, str]:
    """Of all arms of one name: the kind of outcome, and the longest life in words."""
    ended = [one for one in found if one.outcome != "survived"]
    longest = max((one.lifetime_s or 0.0 for one in found), default=0.0)
    if not ended:
        return "survived", f"lived for {longest:.1f} s"
    return ended[0].outcome.partition("(")[0], f"{ended[0].outcome}: {ended[0].ending or 'no answer'}"


def _cause(diagnosis: Diagnosis) -> str | None:
    return diagnosis.causes[0].id if diagnosis.causes else None


def _sentence(verdict_then: str, then: str | None, verdict_now: str, now: str | None) -> str:
    if verdict_then == "fault" and verdict_now == "no-fault":
        return f"{then} was found before; now no fault shows"
    if verdict_then == "fault" and now == then:
        return f"{then} is still there"
    if verdict_then == "fault" and verdict_now == "fault":
        return f"{then} was found before; now it is {now}"
    if verdict_now == "fault":
        return f"{now} is new: the verdict before was {verdict_then}"
    return f"the verdict was {verdict_then} before and is {verdict_now} now"
