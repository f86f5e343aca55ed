"""Whole investigations against labs with faults: the verdict, its parameters, and the manners on the way there.

All of them run beside each other, each against a lab of its own, before the first test looks at what they found.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from contextlib import AsyncExitStack
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from chatkit.diagnosis import diagnose
from chatkit.events import ArmStarted, FrameSent, HttpAnswered, HttpRequested, InvestigationEnded, UpgradeRequested
from chatkit.experiments.progress import Progress
from chatkit.experiments.result import Investigation
from chatkit.investigation import investigate
from chatkit.investigation.crew import AGENT, MOST_AT_ONCE
from chatkit.lab import LabServer
from chatkit.lab.stats import LabStats
from conftest import PATIENCE

from .conftest import TOKEN, most_at_once, of, profile

MOST_TOGETHER = 6
"""Investigations beside each other."""
MOST_BYTES = 4096
"""Of a message: politeness."""


class Run(NamedTuple):
    """What is tried: faults of the lab, budget, and how it is asked."""

    faults: tuple[str, ...] = ()
    budget: float = 22.0
    options: Mapping[str, Any] = MappingProxyType({})


RUNS = {
    "healthy": Run(options={"chat": False}),
    "healthy-with-chat": Run(),
    "idle": Run(("idle-timeout:timeout=2",), options={"chat": False}),
    "idle-app-ping": Run(("idle-timeout:timeout=2,counts=app-ping",), options={"chat": False}),
    "early-ping": Run(("early-ping-abort:window=1",), options={"chat": False, "profile": profile(stabilise=1.5)}),
    "rejected": Run(("auth-rejected",)),
    "replaced": Run(("replaced-by-new-session",)),
    "replaced-by-bot": Run(("replaced-by-new-session:scope=bot",), options={"other_bot": "storyteller"}),
    "replaced-by-user": Run(("replaced-by-new-session:scope=user",), options={"other_bot": "storyteller"}),
    "bot-denied": Run(("bot-access-denied:bot=echo,when=before",), options={"other_bot": "storyteller"}),
    "server-error": Run(("server-error",), options={"chat": False}),
    "monitored-by-head": Run(budget=10.0, options={"chat": False, "health_method": "HEAD"}),
}


class Found(NamedTuple):
    """What came of it."""

    result: Investigation
    looks: list[Progress]
    stats: LabStats
    """Of the lab, when the investigation had just returned and its goodbyes were read."""
    token: str


async def _one(run: Run, house: LabServer) -> Found:
    looks: list[Progress] = []
    token = house.token
    options = dict(run.options)
    result = await investigate(
        house.url, bot="echo", token=token, budget=run.budget, on_progress=looks.append, **options
    )
    async with asyncio.timeout(PATIENCE):
        while house.stats.peers:
            await asyncio.sleep(0.01)
    return Found(result, looks, house.stats, token)


@pytest.fixture(scope="module")
def found() -> dict[str, Found]:
    """By the name of the run."""

    async def together(runs: tuple[Run, ...]) -> list[Found]:
        async with AsyncExitStack() as stack:
            houses = [await stack.enter_async_context(LabServer(faults=run.faults)) for run in runs]
            return await asyncio.gather(*map(_one, runs, houses))

    # All at once would be too busy for a heartbeat of two seconds.
    runs = [
        tuple(itertools.islice(RUNS.values(), start, start + MOST_TOGETHER))
        for start in range(0, len(RUNS), MOST_TOGETHER)
    ]
    return dict(zip(RUNS, [one for some in runs for one in asyncio.run(together(some))], strict=True))


def first(one: Found) -> tuple[str, str | None]:
    """The verdict, and the cause that stands first."""
    diagnosis = one.result.diagnosis
    return diagnosis.verdict, diagnosis.causes[0].id if diagnosis.causes else None


def untried(one: Found) -> str:
    """What it says that it left out."""
    return " ".join(one.result.untried)


# Verdicts


def test_healthy(found) -> None:
    """No fault, within the budget; what could have been seen is named by its arms, what was left out by itself."""
    one = found["healthy"]
    assert first(one) == ("no-fault", None)
    assert one.result.why == "budget"
    assert one.result.elapsed_s <= RUNS["healthy"].budget + 1
    assert "no chat message was sent" in untried(one)
    assert one.stats.chats == 0
    lived = {arm.id for arm in one.result.arms if arm.outcome == "survived"}
    assert {"alone", "silent", "control", "ping-every-1s", "ping-rfc6455-every-1s", "typing-every-1s"} <= lived
    assert any("HEAD" in remark.finding and "GET" in remark.finding for remark in one.result.diagnosis.remarks)


def test_healthy_with_chat(found) -> None:
    """Then messages were tried, and nothing is said to be left out for want of them."""
    one = found["healthy-with-chat"]
    assert first(one) == ("no-fault", None)
    assert one.stats.chats >= 2
    assert "no chat message" not in untried(one)


@pytest.mark.parametrize(("name", "counts"), [("idle", "any"), ("idle-app-ping", "app-ping")])
def test_idle_timeout(found, name, counts) -> None:
    """How long, to 0.3 s, and which activity counts."""
    one = found[name]
    assert first(one) == ("fault", "idle-timeout")
    parameters = one.result.diagnosis.causes[0].parameters
    assert parameters["timeout_s"] == pytest.approx(2.0, abs=0.3)
    assert parameters["counts"] == counts


def test_early_ping(found) -> None:
    """The window is bracketed by arms on both sides of it."""
    one = found["early-ping"]
    assert first(one) == ("fault", "early-ping-abort")
    parameters = one.result.diagnosis.causes[0].parameters
    assert 0 < parameters["window_min_s"] <= 1.1
    assert 0.9 <= parameters["window_max_s"] <= 1.6
    assert parameters["window_min_s"] <= parameters["window_s"] <= parameters["window_max_s"]
    ended = {arm.id for arm in one.result.arms if arm.outcome == "ended"}
    assert "ping-at-0s" in ended
    assert not ended & {"control", "alone"}


def test_rejected(found) -> None:
    """No connection opened: the openings alone tell."""
    one = found["rejected"]
    assert first(one) == ("fault", "auth-rejected")
    assert one.result.why == "blocked"
    assert {arm.outcome for arm in one.result.arms} <= {"refused(403)", "refused(401)", "refused(404)"}
    assert one.stats.opened == 0


def test_replaced(found) -> None:
    """Two connections are enough, so no round of arms is opened."""
    one = found["replaced"]
    assert first(one) == ("fault", "replaced-by-new-session")
    assert one.result.why == "settled"
    assert one.result.diagnosis.causes[0].parameters["code"] == 4009


@pytest.mark.parametrize("scope", ["bot", "user"])
def test_how_far_a_session_reaches(found, scope) -> None:
    """A connection to another bot beside the last one tells."""
    one = found[f"replaced-by-{scope}"]
    assert first(one) == ("fault", "replaced-by-new-session")
    assert one.result.diagnosis.causes[0].parameters["scope"] == scope
    words = {"bot": "left it alone", "user": "ended it as well"}[scope]
    assert any(words in each.finding for each in one.result.diagnosis.causes[0].evidence)


def test_another_bot_is_let_in(found) -> None:
    """So it is the bot that is refused, and not the user."""
    one = found["bot-denied"]
    assert first(one) == ("fault", "bot-access-denied")
    assert any("another bot is let in" in each.finding for each in one.result.diagnosis.causes[0].evidence)
    assert {probe.summary for probe in one.result.probes if probe.id == "other-bot"} == {"upgrade on another bot opens"}


def test_server_error(found) -> None:
    """With the type of message that brings it about; nothing else ended."""
    one = found["server-error"]
    assert first(one) == ("fault", "server-error")
    assert one.result.diagnosis.causes[0].parameters["trigger"] == "typing"
    typed = {"typing-every-1s", "typing-once", "no-compression"}
    ended = {arm.id for arm in one.result.arms if arm.outcome == "ended"}
    assert ended
    assert all(id in typed or id.startswith("typing") for id in ended), ended


def test_a_monitor_that_asks_with_head(found) -> None:
    """Is a fault where somebody says so, and a remark elsewhere."""
    one = found["monitored-by-head"]
    assert first(one) == ("fault", "health-method-mismatch")
    parameters = one.result.diagnosis.causes[0].parameters
    assert (parameters["head_status"], parameters["get_status"]) == (405, 200)
    assert first(found["healthy"])[1] is None


# Order and manners


@pytest.mark.parametrize("name", RUNS)
def test_polite(found, name) -> None:
    """Never more than twelve connections, no large message, less than two chat messages a second."""
    one = found[name]
    trace = one.result.trace
    assert 0 < most_at_once(trace) <= MOST_AT_ONCE
    assert max((event.length or event.size for event in of(trace, FrameSent)), default=0) <= MOST_BYTES
    said = [event.at for event in of(trace, HttpRequested) if event.purpose == "chat"]
    assert len(said) == one.stats.chats
    assert all(after - before >= 0.5 for before, after in pairwise(said))


@pytest.mark.parametrize("name", RUNS)
def test_no_connection_is_left(found, name) -> None:
    """And none was opened that the recording does not know."""
    one = found[name]
    assert one.stats.opened == one.stats.ended
    assert one.stats.attempts == len(of(one.result.trace, UpgradeRequested)) == len(of(one.result.trace, ArmStarted))


@pytest.mark.parametrize("name", RUNS)
def test_who_we_are(found, name) -> None:
    """Stands in every upgrade; the token stands nowhere."""
    one = found[name]
    for event in of(one.result.trace, UpgradeRequested):
        assert {key.lower(): value for key, value in event.headers}["user-agent"] == AGENT
    rows = b"".join(one.result.trace.rows)
    assert one.token.encode() not in rows
    assert not TOKEN.search(rows)


@pytest.mark.parametrize("name", RUNS)
def test_one_connection_alone_comes_first(found, name) -> None:
    """Before any two, and before any opening that is unlike the client's; the probes come before it."""
    trace = found[name].result.trace
    started = of(trace, ArmStarted)
    assert (started[0].arm, started[0].alters) == ("alone", "")
    probed = [event.at for event in of(trace, HttpAnswered) if event.purpose in ("bot", "chat-probe")]
    assert probed
    assert max(probed) < started[0].at
    assert isinstance(trace[len(trace) - 1], InvestigationEnded)


@pytest.mark.parametrize("name", RUNS)
def test_the_recording_gives_the_same_verdict(found, name) -> None:
    """A diagnosis of the trace alone, told what the monitor uses: verdict, causes, parameters."""
    one = found[name]
    again = diagnose(one.result.trace, health_method=RUNS[name].options.get("health_method"))
    assert again.to_dict() == one.result.diagnosis.to_dict()


@pytest.mark.parametrize("name", RUNS)
def test_progress(found, name) -> None:
    """Time goes on, arms stay, the last look says that it is over."""
    looks = found[name].looks
    assert [look.done for look in looks].index(True) == len(looks) - 1
    assert all(before.elapsed <= after.elapsed for before, after in pairwise(looks))
    assert all(len(before.arms) <= len(after.arms) for before, after in pairwise(looks))
    assert all(0 <= bar.probability <= 1 for look in looks for bar in look.bars)
    assert (looks[0].stage, looks[-1].stage) == ("probing", "done")
    assert not any(arm.state in ("alive", "opening", "waiting") for arm in looks[-1].arms)
