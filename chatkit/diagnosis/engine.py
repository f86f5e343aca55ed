"""The engine: cases and their observations in, ranked causes out.

Naive Bayes over the taxonomy. P(cause | observations) ∝ prior × Π P(value | cause); a cause that says nothing about
an observation gets the observation's general rate, so only what tells causes apart moves anything. Two hypotheses
stand beside the taxonomy: ``none`` (a clean life) and ``unknown`` (whatever it is, the evidence is as in general):
where ``unknown`` wins there is no verdict. Observations of one case hang together, so their product is tempered by
an exponent; how often a confidence is right is measured by ``make bench-diagnosis``.
"""

from __future__ import annotations

import math

from msgspec import Struct
from msgspec.structs import replace

from chatkit.diagnosis import attempts, chat, endings, vanished
from chatkit.diagnosis.case import Case
from chatkit.diagnosis.facts import Facts, Life
from chatkit.diagnosis.observation import Observation
from chatkit.diagnosis.replies import unheard
from chatkit.diagnosis.report import evidence_of, headline, lives_line, next_steps, ranked_cause, remarks, unknowns
from chatkit.diagnosis.result import Diagnosis, Evidence, RankedCause, Remark, RuledOut
from chatkit.diagnosis.taxonomy import NONE, UNKNOWN, Cause, causes, observables
from chatkit.diagnosis.trials import Trials, lacking, observation, sentence, survivors, untried
from chatkit.events import InvestigationEnded
from chatkit.trace import Trace

TEMPER = 0.85
"""Exponent on each likelihood ratio: observations of one case are not independent."""
ENOUGH = 0.5
"""Probability from which on a cause is named."""
PROVEN = 0.75
"""The same of an investigation: where an experiment can tell causes apart, half is not enough."""
PRIOR_UNKNOWN, PRIOR_NONE = 0.01, 0.25
MOST_SURE = 0.99
"""No recording proves more than that."""

NORMAL: dict[str, dict[str, float]] = {
    "ending": {"close-1000": 0.46, "close-1001": 0.22, "close-1005": 0.1,
               "hidden": 0.14, "close-hidden": 0.05, "*": 0.001},
    "by": {"client": 0.9, "server": 0.09, "nobody": 0.01},
    "age": {"instant": 0.04, "early": 0.3, "minutes": 0.5, "hours": 0.16},
    "timer": {"single": 0.6, "irregular": 0.35, "either": 0.02, "*": 0.005},
    "together": {"single": 0.6, "alone": 0.3, "all": 0.09, "some": 0.01},
    "gap": {"open": 0.99, "*": 0.003},
    "next": {"opens": 0.97, "*": 0.01},
    "reason": {"none": 0.6, "goodbye": 0.35, "other": 0.045, "*": 0.0005},
    "pong": {"answered": 0.98, "*": 0.01},
    "after": {"nothing": 0.8, "message": 0.08, "ping": 0.05, "typing": 0.03, "protocol-ping": 0.02, "*": 0.005},
    "hello": {"yes": 0.996, "never": 0.004},
    "often": {"again": 0.02, "no": 0.98},
    "path": {"clean": 0.9, "repeated": 0.09, "unacknowledged": 0.01},
    "lag": {"fine": 0.99, "blocked": 0.01},
    "log": {"nothing": 0.9, "client-closed": 0.07, "stop": 0.02, "*": 0.002},
    "rival": {"no": 0.9, "yes": 0.1},
}  # fmt: skip
"""A clean life: what it makes visible."""
SERVER_LEAVES = 0.1
"""How much less normal 1001 is when the server says it: it goes away, and the client stays."""


class Hypothesis(Struct, frozen=True):
    """A possible explanation with its probability."""

    id: str
    probability: float


def diagnose(trace: Trace, *, baseline: Trace | None = None, health_method: str | None = None) -> Diagnosis:
    """Names the cause that a trace shows, with its evidence; or says that nothing is wrong, or that it cannot tell.

    Args:
        trace: a recording, an import, or several merged.
        baseline: a healthy recording to compare with; what differs becomes findings.
        health_method: ``HEAD`` where the monitor is known to ask with it: then an endpoint that refuses HEAD is a
            fault and no remark.

    Returns:
        A diagnosis: verdict ``fault``, ``no-fault`` or ``inconclusive``; causes with probabilities, most probable
        first; remarks; what is ruled out; what remains unknown.

    >>> import chatkit
    >>> found = chatkit.diagnose(chatkit.load("incident.pcap"))
    >>> found.verdict, found.causes[0].id
    ('fault', 'early-ping-abort')
    """
    return stand(trace, baseline=baseline, health_method=health_method).diagnosis


class Standing(Struct, frozen=True, kw_only=True):
    """How an investigation stands: the diagnosis so far, and what it is weighed from."""

    diagnosis: Diagnosis
    hypotheses: tuple[Hypothesis, ...]
    """About the case that explains most, or about whatever may still come; most probable first."""
    trials: Trials | None
    """The arms of that case; of all arms where none ended; ``None`` where nothing opened."""
    unexplained: bool = False
    """Whether connections ended, and no cause is named for that."""


def stand(trace: Trace, *, baseline: Trace | None = None, health_method: str | None = None) -> Standing:
    """As :func:`diagnose`, with what the next experiment is chosen by."""
    facts = Facts(trace)
    health_method = health_method or next((one.health_method for one in facts.events(InvestigationEnded)), None)
    found = [*endings.cases(facts), *vanished.cases(facts), *attempts.cases(facts), *chat.cases(facts, health_method)]
    compared = _beside(trace, baseline, found) if baseline is not None else ()
    ranked = [(case, rank(case)) for case in found]
    ranked = _without_consequences(ranked)
    faults, doubts = [], []
    for case, hypotheses in ranked:
        best = hypotheses[0]
        if (best.id == NONE and (case.carries or not _back(case))) or _left(case, best):
            continue
        enough = ENOUGH if case.trials is None else PROVEN
        if case.trials is not None and best.id in causes():
            case.why_not = lacking(case.trials, causes()[best.id]) or ""
            case.carries = not case.why_not
        if case.carries and best.id != UNKNOWN and best.probability >= enough:
            faults.append((case, hypotheses))
        else:
            doubts.append((case, hypotheses))
    # Of an investigation, one connection that shows it is as good as many that were opened for the purpose.
    named = _merged([ranked_cause(facts, case, _top(case, hs)) for case, hs in faults], by_number=not facts.arms)
    left_out = (*untried(facts), *unheard(facts)) if facts.arms and not named else ()
    verdict = "fault" if named else "inconclusive" if doubts or left_out or not _anything(facts) else "no-fault"
    diagnosis = Diagnosis(
        verdict=verdict,  # type: ignore[arg-type]
        causes=named,
        remarks=(*remarks(facts, [case for case, _ in ranked]), *compared),
        ruled_out=_ruled_out(faults),
        unknown=(*left_out, *unknowns(facts, named, doubts)),
        headline=headline(facts, verdict, named, doubts, left_out),
        next_steps=next_steps(facts, named, doubts),
        lives=lives_line(facts),
    )
    standing = _standing(facts, diagnosis, [*faults, *doubts])
    return replace(standing, unexplained=any(case.kind == "life" for case, _ in doubts))


def _standing(facts: Facts, diagnosis: Diagnosis, open_: list[tuple[Case, list[Hypothesis]]]) -> Standing:
    if open_:
        first = max(open_, key=lambda pair: (pair[0].trials is not None, len(pair[0].lives)))
        case, hypotheses = first
        return Standing(diagnosis=diagnosis, hypotheses=tuple(hypotheses), trials=case.trials)
    if not facts.arms:
        return Standing(diagnosis=diagnosis, hypotheses=(), trials=None)
    watched = survivors(facts)
    if watched is None:
        return Standing(diagnosis=diagnosis, hypotheses=(), trials=None)
    scores = {
        cause.id: math.log(cause.prior) + watched.survival(cause)
        for cause in causes().values()
        if "life" in cause.cases and set(cause.courses) != {"free"}
    } | {NONE: math.log(PRIOR_NONE), UNKNOWN: math.log(PRIOR_UNKNOWN)}
    return Standing(diagnosis=diagnosis, hypotheses=tuple(_normalised(scores)), trials=watched)


def _back(case: Case) -> bool:
    """Whether the client came back after an end that the evidence does not show: nobody does that after a goodbye."""
    return case.value("next") is not None or bool(case.facts.get("again"))


def _left(case: Case, best: Hypothesis) -> bool:
    """Whether the client went for good: a page that is closed. One that comes back has navigated, or dropped."""
    return best.id == "client-going-away" and case.value("next") is None and case.value("ending") == "close-1001"


def _beside(trace: Trace, baseline: Trace, found: list[Case]) -> tuple[Remark, ...]:
    """Adds what is unlike the baseline to the cases of the connection that was compared; all of it as remarks."""
    from chatkit.diagnosis.comparison import differences

    unlike = differences(trace, baseline)
    for case in found:
        if case.kind in ("attempt", "life") and unlike.connection in case.connections:
            case.observations += unlike.observations
    return unlike.remarks


def rank(case: Case) -> list[Hypothesis]:
    """Hypotheses about a case, most probable first; the probabilities add up to one."""
    candidates = [one for one in causes().values() if case.kind in one.cases and one.id not in case.excluded]
    scores = {cause.id: math.log(cause.prior) + _score(cause, case) for cause in candidates}
    scores[UNKNOWN] = math.log(PRIOR_UNKNOWN)
    if case.trials is not None:
        scores[NONE] = math.log(PRIOR_NONE) + sum(_normal(one) for one in case.observations) + case.trials.unharmed()
    elif case.kind == "life" and NONE not in case.excluded:
        scores[NONE] = math.log(PRIOR_NONE) + sum(_normal(one) for one in case.observations)
        if case.value("by") == "server" and case.value("ending") == "close-1001":
            scores[NONE] += math.log(SERVER_LEAVES)
    return _normalised(scores)


def _normalised(scores: dict[str, float]) -> list[Hypothesis]:
    peak = max(scores.values())
    total = sum(math.exp(score - peak) for score in scores.values())
    found = [Hypothesis(id, min(MOST_SURE, math.exp(score - peak) / total)) for id, score in scores.items()]
    return sorted(found, key=lambda one: -one.probability)


def _score(cause: Cause, case: Case) -> float:
    tried = case.trials.lift(cause) if case.trials is not None else 0.0
    return tried + sum(lift(cause, one) for one in case.observations)


def lift(cause: Cause, one: Observation) -> float:
    """Logarithm of how much likelier an observation is with a cause than in general, tempered."""
    observable = observables()[one.of]
    return TEMPER * math.log(max(cause.likelihood(observable, one.value), 1e-4) / observable.rate(one.value))


def _normal(one: Observation) -> float:
    table = NORMAL.get(one.of)
    if table is None:
        return 0.0
    return TEMPER * math.log(table.get(one.value, table.get("*", 0.01)) / observables()[one.of].rate(one.value))


def _top(case: Case, hypotheses: list[Hypothesis]) -> tuple[Hypothesis, list[Hypothesis], tuple[Evidence, ...]]:
    best = hypotheses[0]
    cause = causes()[best.id]
    rival = _other_way(case, cause, hypotheses[1:])
    return best, hypotheses[1:], evidence_of(case, lambda one: lift(cause, one), _of_arms(case, cause, rival))


def _other_way(case: Case, cause: Cause, others: list[Hypothesis]) -> Cause | None:
    """The likeliest other cause that ends lives by another mechanism."""
    if case.trials is None:
        return None
    mine = case.trials.fit(cause).mechanism
    found = (causes()[one.id] for one in others if one.id in causes())
    return next((one for one in found if case.trials.fit(one).mechanism != mine), None)


def _of_arms(case: Case, cause: Cause, rival: Cause | None) -> list[tuple[float, Observation]]:
    """How much each arm speaks for the cause against the next best."""
    if case.trials is None:
        return []
    return [(weight, observation(course)) for weight, course in case.trials.between(cause, rival)]


def _merged(found: list[RankedCause], by_number: bool) -> tuple[RankedCause, ...]:
    """One entry per cause, the one that explains most first; or, where numbers mean nothing, the surest."""
    by_id: dict[str, RankedCause] = {}
    weight = {id(one): (1 + math.log2(max(1, len(one.connections)))) if by_number else 1.0 for one in found}
    # Of an investigation, all are sure: what ends connections comes before what only spoils the chat.
    spoils = {one.id: not by_number and not {"life", "attempt"} & set(causes()[one.id].cases) for one in found}
    for cause in sorted(found, key=lambda one: (spoils[one.id], -one.confidence * weight[id(one)])):
        if cause.id not in by_id:
            by_id[cause.id] = cause
            continue
        kept = by_id[cause.id]
        ids = tuple(dict.fromkeys((*kept.connections, *cause.connections)))
        evidence = (*kept.evidence, *(one for one in cause.evidence if one not in kept.evidence))
        by_id[cause.id] = replace(kept, connections=ids, evidence=evidence[:12])
    chat_last = sorted(by_id.values(), key=lambda one: causes()[one.id].group == 6 and one.id == "reconnect-storm")
    return tuple(chat_last)


def _without_consequences(ranked: list[tuple[Case, list[Hypothesis]]]) -> list[tuple[Case, list[Hypothesis]]]:
    """Attempts that failed because of an end that is explained already are not cases of their own (rule of thumb 1)."""
    lives = [(case, hs) for case, hs in ranked if case.kind == "life" and hs[0].id not in (NONE, UNKNOWN)]
    away = [case for case, _ in lives if case.value("gap") in ("refused", "gateway", "failing")]
    dark = [case for case, hs in ranked if hs[0].id == "peer-unreachable" and case.kind == "life"]
    turned = [
        case for case, hs in lives if case.value("next") == "auth" and hs[0].id in ("token-expired", "auth-rejected")
    ]
    mute = [case for case, hs in ranked if case.kind == "mute" and hs[0].id not in (NONE, UNKNOWN)]
    kept = []
    for case, hypotheses in ranked:
        gone = (
            case.kind == "attempt" and case.value("stage") in ("refused", "tcp", "silent") and _follow(case.lives, away)
        )
        # A dead path is given up late: attempts fail before the lives that it killed are known to be dead.
        gone |= case.kind == "attempt" and case.value("stage") in ("tcp", "silent") and _follow(case.lives, dark, 30.0)
        gone |= case.kind == "attempt" and case.value("status") in ("502", "503", "504") and _follow(case.lives, away)
        gone |= case.kind == "attempt" and case.value("status") in ("401", "403") and _follow(case.lives, turned)
        gone |= (
            case.kind == "attempt" and case.value("stage") in ("tcp", "silent", "established") and _during(case, mute)
        )
        if not gone:
            kept.append((case, hypotheses))
    return kept


def _follow(lives: tuple[Life, ...], cases: list[Case], early: float = 0.0) -> bool:
    return bool(cases) and all(
        any(-early <= life.connection.started_at - dead.end <= 180 for case in cases for dead in case.lives)
        for life in lives
    )


def _during(attempts: Case, mute: list[Case]) -> bool:
    """Whether all of them were waiting while the whole server was mute."""
    spans = [span for case in mute for span in case.facts["spans"]]
    return all(
        any(life.connection.started_at < end and life.end > begin for begin, end in spans) for life in attempts.lives
    )


def _ruled_out(faults: list[tuple[Case, list[Hypothesis]]]) -> tuple[RuledOut, ...]:
    """Look-alikes of the named causes that the evidence speaks against, with the observation that does most."""
    found: dict[str, RuledOut] = {}
    named = {hypotheses[0].id for _, hypotheses in faults}
    for case, hypotheses in faults:
        best = causes()[hypotheses[0].id]
        chances = {one.id: one.probability for one in hypotheses}
        for id in best.lookalikes:
            if id in named or id in found or chances.get(id, 0.0) > 0.03 or case.kind not in causes()[id].cases:
                continue
            if case.trials is not None:
                weight, course = max(case.trials.between(best, causes()[id]), key=lambda pair: pair[0])
                if weight > 1.0:
                    found[id] = RuledOut(id=id, because=sentence(course))
                    continue
            against = min(case.observations, key=lambda one: lift(causes()[id], one) - lift(best, one), default=None)
            if against is not None and lift(causes()[id], against) < lift(best, against):
                found[id] = RuledOut(id=id, because=against.finding)
    return tuple(found.values())


def _anything(facts: Facts) -> bool:
    """Whether the evidence shows a connection, or at least something of the chat."""
    return any(life.opened for life in facts.lives) or bool(facts.answers or facts.health)
