"""The front door of an investigation: what it refuses, how it is stopped, and what it can be asked beside the URL."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import chatkit
from chatkit.errors import AuthError, InvalidInput
from chatkit.events import ArmStarted, FrameSent, InvestigationEnded
from chatkit.experiments.progress import Progress
from chatkit.experiments.result import Investigation
from chatkit.investigation import investigate
from chatkit.investigation.crew import AGENT
from chatkit.lab import LabServer
from chatkit.lab.stats import LabStats
from chatkit.recorder import Recorder
from chatkit.trace import Trace
from client.conftest import Guest, peer
from conftest import until

from .conftest import TOKEN, connections_of, most_at_once, of, profile

NOBODY = "http://127.0.0.1:1"

# What cannot work


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budget": 4.9}, "too short a budget"),
        ({"budget": math.nan}, "no budget"),
        ({"budget": math.inf}, "no budget"),
        ({"bot": ""}, "no bot is named"),
        ({"other_bot": "echo"}, "the other bot is the same"),
        ({"user": "ada"}, "both user and password"),
        ({"password": "a-password"}, "both user and password"),
        ({"url": "ftp://127.0.0.1"}, "URL"),
        ({"url": "nonsense"}, "URL"),
        ({"also": "nonsense"}, "URL"),
        ({"evidence": Trace.of([])}, "shows nothing that a client sent"),
    ],
    ids=["budget", "nan", "inf", "bot", "other-bot", "no-password", "no-user", "scheme", "url", "also", "evidence"],
)
async def test_what_cannot_work(changes: dict[str, Any], words: str) -> None:
    """Is refused before anything is tried."""
    options: dict[str, Any] = {"url": NOBODY, "bot": "echo", "budget": 5.0} | changes
    with pytest.raises(InvalidInput, match=words):
        await investigate(options.pop("url"), **options)


async def test_a_refused_login(lab) -> None:
    """Nothing else is tried either."""
    house = await lab()
    with pytest.raises(AuthError):
        await investigate(house.url, bot="echo", user="ada", password="a-wrong-one", budget=5)
    assert house.stats.attempts == 0


# Runs that take their time: beside each other, before the first test looks at them


class Found(NamedTuple):
    """What came of a run."""

    result: Investigation
    stats: LabStats
    file: Path


async def _theirs(house: LabServer) -> Trace:
    """What the broken client of the incident did: a ping at once, and again after each end."""
    client = chatkit.ChatClient(house.url, bot="echo", token=house.token, policy="incident-before")
    async with client:
        await until(lambda: sum(one.ending is not None for one in client.recorder.snapshot().connections) >= 1)
    return client.recorder.snapshot()


async def _recorded(tmp: Path) -> Found:
    """Idle time-out, recorded to a file, with a login."""
    file = tmp / "idle.jsonl"
    async with LabServer(faults=["idle-timeout:timeout=2"]) as house:
        with Recorder(file, target=house.url) as recorder:
            found = await investigate(
                house.url,
                bot="echo",
                user=house.user,
                password=house.password,
                budget=18,
                chat=False,
                recorder=recorder,
            )
        return Found(found, house.stats, file)


async def _replayed(tmp: Path) -> Found:
    """A backend whose early pings are fatal, and the recording of the client that sends them."""
    async with LabServer(faults=["early-ping-abort:window=1"]) as house:
        evidence = await _theirs(house)
        found = await investigate(
            house.url,
            bot="echo",
            token=house.token,
            budget=18,
            chat=False,
            profile=profile(stabilise=1.5),
            evidence=evidence,
        )
        return Found(found, house.stats, tmp)


async def _nobody(tmp: Path) -> Found:
    """No server at all."""
    async with LabServer() as house:
        stats = house.stats
        found = await investigate(NOBODY, bot="echo", token=house.token, budget=9)
    return Found(found, stats, tmp)


async def _two_ways(tmp: Path) -> Found:
    """A way in whose connections live two seconds, and one past it."""
    secret = "s" * 40
    async with LabServer(faults=["max-lifetime:age=2"], secret=secret) as first, LabServer(secret=secret) as second:
        found = await investigate(
            first.url, bot="echo", token=first.token, budget=18, chat=False, also=second.url
        )  # fmt: skip
        return Found(found, second.stats, tmp)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Found]:
    """By name."""
    tmp = tmp_path_factory.mktemp("investigations")

    async def all_of_them() -> list[Found]:
        return await asyncio.gather(_recorded(tmp), _replayed(tmp), _nobody(tmp), _two_ways(tmp))

    return dict(zip(("recorded", "replayed", "nobody", "two-ways"), asyncio.run(all_of_them()), strict=True))


def test_a_file_replays(found) -> None:
    """The recording on disk gives the same verdict, cause and parameters; no token is in it."""
    one = found["recorded"]
    mine = one.result.diagnosis
    assert (mine.verdict, mine.causes[0].id) == ("fault", "idle-timeout")
    again = chatkit.diagnose(chatkit.load(one.file))
    assert again.verdict == mine.verdict
    assert [(cause.id, cause.parameters) for cause in again.causes] == [
        (cause.id, cause.parameters) for cause in mine.causes
    ]
    assert not TOKEN.search(one.file.read_bytes())


def test_the_document(found) -> None:
    """As the interface promises; its evidence points into the recording."""
    one = found["recorded"]
    document = json.loads(json.dumps(one.result.to_dict()))
    assert document["schema"] == "chatkit.investigation/1"
    assert {"target", "elapsed_s", "probes", "arms", "diagnosis", "verification"} <= set(document)
    assert all({"id", "treatment", "outcome", "lifetime_s", "ending"} <= set(arm) for arm in document["arms"])
    named = {id for finding in document["diagnosis"]["causes"][0]["evidence"] for id in finding["events"]}
    trace = chatkit.load(one.file)
    assert named
    assert all(trace.event(id) for id in named)


def test_their_client(found) -> None:
    """The arm that does as the recorded client did dies as that did: the fault follows the behaviour."""
    result = found["replayed"].result
    assert result.diagnosis.causes[0].id == "early-ping-abort"
    (theirs,) = [arm for arm in result.arms if arm.id == "their-client"]
    assert theirs.outcome == "ended"
    assert theirs.lifetime_s is not None
    (id,) = connections_of(result.trace, "their-client")
    mine = result.trace.select(connection=id)
    assert json.loads(of(mine, FrameSent)[0].text)["type"] == "ping"
    assert [arm.outcome for arm in result.arms if arm.id in ("alone", "control")] == ["survived"] * 2


def test_nobody_listens(found) -> None:
    """Every attempt is refused by the host."""
    result = found["nobody"].result
    assert (result.diagnosis.verdict, result.diagnosis.causes[0].id) == ("fault", "connection-refused")
    assert {arm.outcome for arm in result.arms} == {"no-answer(tcp)"}


def test_the_second_way_in(found) -> None:
    """Is gone beside the first, and lives."""
    one = found["two-ways"]
    assert one.result.diagnosis.causes[0].id == "max-lifetime"
    outcomes = {arm.id: arm.outcome for arm in one.result.arms if arm.id.endswith("-also")}
    assert outcomes
    assert set(outcomes.values()) == {"survived"}
    assert one.stats.opened >= len(outcomes)
    assert most_at_once(one.result.trace) <= 12


# Stopped early


def stage_is(looks: list[Progress], stage: str) -> bool:
    """Whether an investigation has come that far."""
    return bool(looks) and any(look.stage == stage for look in looks)


@pytest.mark.parametrize("stage", ["one connection alone", "first round of arms"])
async def test_stop(lab, stage) -> None:
    """What is known is the result; every connection is closed in order, and the arms that lived count."""
    house, stop, looks = await lab(), asyncio.Event(), []

    def look(progress: Progress) -> None:
        looks.append(progress)
        if progress.stage == stage and any(arm.state == "alive" for arm in progress.arms):
            stop.set()

    result = await investigate(
        house.url, bot="echo", token=house.token, budget=600, chat=False, stop=stop, on_progress=look
    )
    assert result.why == "interrupted"
    assert of(result.trace, InvestigationEnded)[0].why == "interrupted"
    assert result.diagnosis.verdict in ("inconclusive", "no-fault")
    assert result.diagnosis.causes == ()
    assert {arm.outcome for arm in result.arms if arm.role == "arm"} == {"survived"}
    assert looks[-1].done
    await until(lambda: not house.stats.peers)
    assert house.stats.opened == house.stats.ended


async def test_stop_while_nobody_answers() -> None:
    """It does not wait for a server that accepts and is silent."""
    stop = asyncio.Event()

    async def hold(guest: Guest) -> None:
        await guest.head()
        stop.set()
        await guest.silence()

    async with peer(hold) as port:
        result = await investigate(f"http://127.0.0.1:{port}", bot="echo", token="t", budget=600, stop=stop)
    assert (result.why, result.arms) == ("interrupted", ())


async def test_cancelling(lab) -> None:
    """Cuts every connection; what was recorded stays, and says that it was stopped."""
    house, looks = await lab(), []
    recorder = Recorder(target=house.url)
    options: dict[str, Any] = {"budget": 600, "chat": False, "recorder": recorder, "on_progress": looks.append}
    loop = asyncio.get_running_loop()
    work = loop.create_task(investigate(house.url, bot="echo", token=house.token, **options))
    await until(lambda: stage_is(looks, "first round of arms") and len(house.stats.peers) >= 2)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await until(lambda: not house.stats.peers)
    assert house.stats.opened == house.stats.ended
    assert len(of(recorder.snapshot(), ArmStarted)) >= house.stats.opened
    assert isinstance(recorder.snapshot()[len(recorder.snapshot()) - 1], InvestigationEnded)
    recorder.close()


async def test_a_listener_that_fails_is_not_hidden(lab) -> None:
    """Its exception is the caller's, and nobody stays behind."""
    house = await lab()

    def look(progress: Progress) -> None:
        if any(arm.state == "alive" for arm in progress.arms):
            raise RuntimeError("a defect of the caller's")

    with pytest.raises(RuntimeError, match="a defect of the caller's"):
        await investigate(house.url, bot="echo", token=house.token, budget=30, on_progress=look)
    await until(lambda: not house.stats.peers)


async def test_every_request_says_who_we_are() -> None:
    """Probes, calls and upgrades, read by a server of ours that knows nothing."""
    requests: list[str] = []

    async def refuse(guest: Guest) -> None:
        requests.append((await guest.head()).decode())
        guest.writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await guest.writer.drain()

    async with peer(refuse) as port:
        result = await investigate(f"http://127.0.0.1:{port}", bot="echo", token="some-token", budget=5)
    assert result.diagnosis.verdict == "fault"
    assert {request.split(" ", 1)[0] for request in requests} == {"GET", "HEAD", "POST"}
    assert len(requests) >= 6
    assert [request for request in requests if f"\r\nUser-Agent: {AGENT}\r\n" not in request] == []
