"""Looks at a running investigation, as values."""

from __future__ import annotations

from chatkit.experiments.progress import ArmLine, Bar, ProbeLine, Progress
from tests.views.verdicts import NASTY

BARS = (
    Bar(id="early-ping-abort", title="A ping soon after opening kills the connection", probability=0.83),
    Bar(id="idle-timeout", title="A hop closes connections that are quiet", probability=0.09),
    Bar(id="max-lifetime", title="Connections may live only so long", probability=0.04),
    Bar(id="unknown", title="Something that is not modelled", probability=0.02),
    Bar(id="none", title="No fault", probability=0.01),
)
PROBES = (
    ProbeLine(id="dns", status="pass", summary="chat.example is 192.0.2.7, 2 ms"),
    ProbeLine(id="tcp", status="pass", summary="connected in 1 ms"),
    ProbeLine(id="health-get", status="pass", summary="GET /health: 200 in 3 ms"),
    ProbeLine(id="health-head", status="warning", summary="HEAD /health: 405, GET works"),
    ProbeLine(id="upgrade-without-token", status="pass", summary="refused with 403, as it should be"),
    ProbeLine(id="other-bot", status="not-tried", summary="no other bot is known"),
    ProbeLine(id="chat-http", status="fail", summary="POST: 500 to an empty message"),
)
ARMS = (
    ArmLine(id="alone", connection="1", what="one connection alone, silent", state="closed", opened=1.2, age=2.0),
    ArmLine(id="silent", connection="2", what="says nothing", state="alive", opened=3.4, age=8.6),
    ArmLine(
        id="ping-at-0s",
        connection="3",
        what="one application ping right after opening, then silence",
        state="ended",
        opened=3.5,
        age=0.2,
        acts=(0.0,),
        ending="aborted: RST by server",
    ),
    ArmLine(
        id="ping-every-2s",
        connection="4",
        what="an application ping every 2 s",
        state="alive",
        opened=3.6,
        age=8.4,
        acts=(5.0, 7.0),
    ),
    ArmLine(id="garbage", connection="5", what="a garbage token", state="refused", ending="HTTP 403"),
    ArmLine(id="chat", connection=None, what="a chat message over HTTP every 3 s", state="waiting"),
)
RUNNING = Progress(
    stage="first round: 8 arms",
    elapsed=12.0,
    budget=90.0,
    bars=BARS,
    probes=PROBES,
    arms=ARMS,
    notes=("one connection alone lived for 2 s", "added ping-at-1s: it would tell the window"),
)
HOSTILE = Progress(
    stage=NASTY,
    elapsed=float("nan"),
    budget=float("inf"),
    bars=(Bar(id=NASTY, title=NASTY, probability=float("nan")),) * 40,
    probes=(ProbeLine(id=NASTY, status=NASTY, summary=NASTY),) * 90,
    arms=(
        ArmLine(
            id=NASTY,
            connection=NASTY,
            what=NASTY,
            state="ended",
            opened=-1.0,
            age=1e300,
            acts=(float("nan"),) * 500,
            ending=NASTY,
        ),
        ArmLine(id="'\">", connection=None, what=NASTY, state=NASTY, opened=float("inf"), ending=NASTY),
    )
    * 30,
    notes=(NASTY,) * 100,
)
