"""Diagnoses as values: a fault, no fault, not enough."""

from __future__ import annotations

from typing import Any

from chatkit.diagnosis.result import Diagnosis, Evidence, Fix, RankedCause, Remark, RuledOut
from chatkit.trace import Trace


def ranked(**fields: Any) -> RankedCause:
    """A cause of which the test says only what it is about."""
    return RankedCause(**({"title": "", "summary": "", "connections": (), "fix": Fix(summary="")} | fields))


def ids(trace: Trace, *, connection: str, kind: str, type_: str | None = None) -> tuple[str, ...]:
    """Ids of events of a connection."""
    places = [
        i
        for i, event in enumerate(trace)
        if event.connection == connection
        and type(event).__name__ == kind
        and (type_ is None or trace.message_types[i] == type_)
    ]
    return tuple(trace[i].id for i in places)


def early_ping(trace: Trace) -> Diagnosis:
    """The verdict on ``tests.builders.incident_trace``."""
    dead = ("1", "2", "3")
    pings = tuple(id for name in dead for id in ids(trace, connection=name, kind="FrameSent", type_="ping"))
    resets = tuple(id for name in dead for id in ids(trace, connection=name, kind="TransportEnded"))
    late = ids(trace, connection="4", kind="FrameSent", type_="ping")
    heads = tuple(event.id for event in trace if "HEAD" in str(event))
    return Diagnosis(
        verdict="fault",
        causes=(
            ranked(
                id="early-ping-abort",
                confidence=0.97,
                who="server",
                connections=dead,
                summary="The server aborts any connection that pings within 3.0 s of opening.",
                parameters={"window_s": 3.0, "ping": "application"},
                likely=("the server reads frames before its set-up is done",),
                evidence=(
                    Evidence(finding="3 of 3 that pinged at once died 0.2 s after the ping", events=pings + resets),
                    Evidence(finding="the one that waited 5 s before its first ping lives", events=late),
                    Evidence(finding="no connection was seen that sent no ping at all", events=(), supports=False),
                ),
                fix=Fix(
                    summary="First ping not before 5 s after connection_established.",
                    where="client; better in the server, too",
                    settings={
                        "chatkit": "keepalive.stabilise = 5.0",
                        "server": "accept messages only after set-up is done",
                    },
                ),
                lookalikes=(("max-lifetime", 0.01), ("server-error", 0.02)),
            ),
        ),
        remarks=(Remark(finding="HEAD /health is answered 405; GET works", events=heads),),
        ruled_out=(
            RuledOut(id="idle-timeout", because="they died 0.2 s after traffic, not after silence"),
            RuledOut(id="token-expired", because="the fourth connection lives with the same token"),
        ),
        unknown=("whether a proxy between others and the server changes this",),
        next_steps=("chatkit diagnose URL --bot B --also DIRECT-URL",),
    )


HEALTHY = Diagnosis(
    verdict="no-fault",
    remarks=(Remark(finding="the server pings, too: every 20 s"),),
    ruled_out=(RuledOut(id="idle-timeout", because="silent for 70 s and alive"),),
)
THIN = Diagnosis(
    verdict="inconclusive",
    causes=(
        ranked(
            id="server-error",
            confidence=0.4,
            who="server",
            summary="A handler fails.",
            evidence=(Evidence(finding="it ended 0.2 s after a message of ours", events=("3",)),),
        ),
        ranked(id="network-reset", confidence=0.3, who="network", summary="A hop resets at random."),
    ),
    unknown=("which close code ended it",),
    next_steps=("record a NetLog in the browser", "chatkit diagnose URL --bot B"),
)
NASTY = "<script>alert(1)</script> \x1b[2J\u202e | `x` @everyone [l](http://x)" + "A" * 5000
HOSTILE = Diagnosis(
    verdict="fault",
    causes=tuple(
        ranked(
            id=NASTY,
            confidence=confidence,
            who=NASTY,
            connections=(NASTY,),
            summary=NASTY,
            parameters={NASTY: NASTY, "timeout_s": float("nan")},
            likely=(NASTY,) * 50,
            evidence=(Evidence(finding=NASTY, events=('"><img src=x onerror=alert(1)>',) * 9),) * 40,
            fix=Fix(summary=NASTY, where=NASTY, settings={NASTY: NASTY + "```\n# x"}),
        )
        for confidence in (7.0, -1.0)
    ),
    remarks=(Remark(finding=NASTY, events=(NASTY,)),),
    ruled_out=(RuledOut(id=NASTY, because=NASTY),),
    unknown=(NASTY,),
    headline=NASTY,
    next_steps=(NASTY,),
    lives=NASTY,
)
