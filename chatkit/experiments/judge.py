"""What became of each arm, read from the recording."""

from __future__ import annotations

from chatkit.diagnosis.facts import Facts, Life
from chatkit.events import ArmStarted, PingSent, PongReceived
from chatkit.experiments.result import ArmResult
from chatkit.trace import Trace

MUTE = 5.0
"""Seconds without an answer to a ping, up to the end, from which on an arm is mute."""


def arms(trace: Trace) -> tuple[ArmResult, ...]:
    """Every arm of an investigation with its outcome, in the order in which they began."""
    facts = Facts(trace)
    lives = {life.id: life for life in (*facts.lives, *facts.variants)}
    return tuple(judge(arm, lives[id]) for id, arm in facts.arms.items() if id in lives)


def judge(arm: ArmStarted, life: Life) -> ArmResult:
    """One arm's outcome."""
    outcome, ending = _outcome(life)
    return ArmResult(
        id=arm.arm,
        connection=life.id,
        treatment=arm.what,
        role=arm.role,
        outcome=outcome,
        lifetime_s=round(life.end - life.start, 3) if life.opened else None,
        ending=ending,
    )


def _outcome(life: Life) -> tuple[str, str | None]:
    ending = life.connection.ending
    if not life.opened:
        status = life.connection.status
        if status not in (None, 101):
            return f"refused({status})", str(ending) if ending is not None else None
        failed = ending.failed if ending is not None else None
        return f"no-answer({failed.stage if failed is not None else 'upgrade'})", str(ending) if ending else None
    if ending is None:
        return ("mute", None) if _mute(life) else ("survived", None)
    if ending.first == "client" and ending.close_code in (1000, 1001, 1005, 1006):
        return ("mute", None) if _mute(life) else ("survived", None)
    return "ended", str(ending)


def _mute(life: Life) -> bool:
    """Whether pings were left unanswered to the end."""
    for asked, given in ((life.app_pings, life.app_pongs), (life.of(PingSent), life.of(PongReceived))):
        if len(asked):
            last = float(life.trace.at[given[-1]]) if len(given) else life.start
            waiting = [float(life.trace.at[i]) for i in asked.tolist() if life.trace.at[i] > last]
            if waiting and life.end - waiting[0] >= MUTE:
                return True
    return False
