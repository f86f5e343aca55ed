"""One arm against a lab: what it does and when, what it records, and when it gives up."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from msgspec.structs import replace

from chatkit.errors import ChatkitError
from chatkit.events import (
    ArmStarted,
    AttemptFailed,
    AttemptStarted,
    BadMessageReceived,
    CloseReceived,
    CloseSent,
    Established,
    FrameReceived,
    FrameSent,
    PingSent,
    PongReceived,
    TcpConnected,
    UpgradeAnswered,
    UpgradeRequested,
)
from chatkit.experiments import treatments
from chatkit.experiments.treatments import SILENT, Doing, Treatment
from chatkit.investigation import arm as module
from chatkit.investigation.arm import GARBAGE, GREETINGS
from chatkit.investigation.crew import AGENT
from chatkit.profile import DEFAULT, Auth, Profile, Send
from client.conftest import Guest, peer
from conftest import until

from .conftest import of, profile


def doing(*doings: Doing, **changes: Any) -> Treatment:
    """A treatment of these."""
    return Treatment(id="busy", what="what a test wants", doings=doings, **changes)


def types(recorder: Any) -> list[str]:
    """What was sent, in order: types of data messages, and ``*`` for an RFC 6455 ping."""
    return [
        "*" if isinstance(event, PingSent) else json.loads(event.text)["type"]
        for event in of(recorder.snapshot(), FrameSent, PingSent)
    ]


# What it does


async def test_its_doings_in_the_order_of_their_times(lab, hire, recorder) -> None:
    """However they are listed; those that come again fall between the others, and not before their time."""
    treatment = doing(
        Doing(what="protocol-ping", at=0.45),
        Doing(what="typing", at=0.15, every=0.2, times=3),
        Doing(what="app-ping", at=0.0),
    )
    arm, _ = await hire(await lab(), treatment)
    await until(lambda: len(types(recorder)) == 5)
    assert types(recorder) == ["ping", "typing", "typing", "*", "typing"]
    typing = [json.loads(event.text)["data"]["is_typing"] for event in of(recorder.snapshot(), FrameSent)[1:]]
    assert typing == [True, False, True]
    greeted = of(recorder.snapshot(), Established)[0].at
    ages = [event.at - greeted for event in of(recorder.snapshot(), FrameSent, PingSent)]
    assert all(age >= at - 0.01 for age, at in zip(ages, (0, 0.15, 0.35, 0.45, 0.55), strict=True))
    assert len(arm.line().acts) == 5
    assert arm.line().acts == tuple(sorted(arm.line().acts))


async def test_what_comes_again_for_ever(lab, hire, recorder) -> None:
    """Until the arm leaves; nothing is sent after its close frame."""
    arm, task = await hire(await lab(), treatments.every(0.05, "app-ping"))
    await until(lambda: types(recorder).count("ping") >= 6)
    arm.leave()
    await task
    assert isinstance(of(recorder.snapshot(), FrameSent, PingSent, CloseSent)[-1], CloseSent)


async def test_sizes(lab, hire, recorder) -> None:
    """Messages weigh what the treatment says, and are JSON all the same."""
    treatment = doing(Doing(what="typing", size=700), Doing(what="replay", at=0.05, size=1234))
    await hire(await lab(), treatment)
    await until(lambda: len(types(recorder)) == 2)
    sent = of(recorder.snapshot(), FrameSent)
    assert [event.length or event.size for event in sent] == [700, 1234]
    assert types(recorder) == ["typing", "chatkit-filler"]


async def test_a_message_over_the_socket(lab, hire, recorder) -> None:
    """Where the profile says so."""
    house = await lab(send_via="websocket")
    await hire(house, doing(Doing(what="message")), contract=Profile(send=Send(via="websocket")))
    await until(lambda: house.stats.chats == 1)
    assert json.loads(of(recorder.snapshot(), FrameSent)[0].text)["data"]["content"] == GREETINGS[0]


async def test_a_message_over_http(lab, hire) -> None:
    """Is said by whoever is told to, with its number; that it fails ends nothing."""
    said: list[int] = []

    async def say(count: int) -> None:
        said.append(count)
        raise ChatkitError("the backend does not want to talk")

    arm, _ = await hire(await lab(), doing(Doing(what="message", every=0.05, times=3)), say=say)
    await until(lambda: said == [0, 1, 2])
    assert arm.alive


# What it records


async def test_the_arm_is_named_before_anything_is_opened(lab, hire, recorder) -> None:
    """After the attempt itself, and with the treatment as data."""
    treatment = treatments.first_ping(0.0)
    arm, _ = await hire(await lab(), treatment)
    mine = list(recorder.snapshot().select(connection=arm.id))
    assert [type(event) for event in mine[:3]] == [AttemptStarted, ArmStarted, TcpConnected]
    started = mine[1]
    assert (started.arm, started.role, started.what) == (treatment.id, "arm", treatment.what)
    assert started.settings["doings"][0]["what"] == "app-ping"


async def test_unreadable_messages(lab, hire, recorder) -> None:
    """What is no JSON, and a type that nobody knows, are recorded; the arm reads on."""
    house = await lab("invalid-json:after=0.1")
    arm, _ = await hire(house, SILENT)
    await until(lambda: len(of(recorder.snapshot(), BadMessageReceived)) == 1)
    await house.push("echo", {"type": "weather", "data": {}})
    await until(lambda: len(of(recorder.snapshot(), BadMessageReceived)) == 2)
    first, second = of(recorder.snapshot(), BadMessageReceived)
    assert first.detail.startswith("not JSON")
    assert second.detail == "unknown type 'weather'"
    assert {first.connection, second.connection} == {arm.id}
    assert arm.alive


async def test_it_reads_whatever_else_it_does(lab, hire, recorder) -> None:
    """A message over HTTP that is never answered holds no reading up: every message is there, with its number."""
    waiting, house = asyncio.Event(), await lab()

    async def say(count: int) -> None:
        waiting.set()
        await asyncio.Event().wait()

    arm, _ = await hire(house, doing(Doing(what="message")), say=say)
    await waiting.wait()
    for n in range(40):
        await house.push("echo", {"type": "notification", "data": {"number": n}})
    await until(lambda: len(of(recorder.snapshot(), FrameReceived)) == 41)
    bodies = [json.loads(event.text) for event in of(recorder.snapshot(), FrameReceived)[1:]]
    assert [body["data"]["number"] for body in bodies] == list(range(40))
    assert arm.alive


# How it ends


async def test_it_leaves(lab, hire, recorder) -> None:
    """With a close frame; it counts as closed by us, and the lab has nobody left."""
    house = await lab()
    arm, task = await hire(house, SILENT)
    assert (arm.alive, arm.line().state, arm.line().ending) == (True, "alive", "")
    arm.leave()
    await task
    assert (arm.alive, arm.left, arm.gave_up) == (False, True, False)
    assert (arm.line().state, arm.line().ending) == ("closed", "")
    assert of(recorder.snapshot(), CloseSent)[0].code == 1000
    age = arm.age
    await until(lambda: not house.stats.peers)
    assert arm.age == age


async def test_the_other_side_ends_it(lab, hire, recorder) -> None:
    """Then the arm is over by itself, and says how it ended."""
    arm, task = await hire(await lab("max-lifetime:age=0.2,how=rst"), SILENT)
    await task
    assert (arm.left, arm.line().state) == (False, "ended")
    assert "RST" in arm.line().ending
    assert recorder.connection(arm.id).ending.first == "server"


async def test_a_goodbye_that_comes_too_late(lab, hire) -> None:
    """Does not make an end of theirs into one of ours: whoever tidies up says it to all."""
    arm, task = await hire(await lab("early-ping-abort:window=3"), treatments.first_ping(0.0))
    await task
    arm.leave()
    assert (arm.left, arm.line().state) == (False, "ended")
    assert "RST by server" in arm.line().ending


async def test_a_close_frame_of_the_server(lab, hire, recorder) -> None:
    """And the end of the transport after it, belong to the recording."""
    arm, task = await hire(await lab("max-lifetime:age=0.1,how=close,code=1013"), SILENT)
    await task
    assert of(recorder.snapshot(), CloseReceived)[0].code == 1013
    assert recorder.connection(arm.id).ending.transport is not None


@pytest.mark.parametrize(
    ("fault", "act"), [("no-pong", "app-ping"), ("no-pong:kind=both", "protocol-ping")], ids=["application", "rfc6455"]
)
async def test_it_gives_up_as_a_client_does(lab, hire, recorder, fault, act) -> None:
    """A ping without a pong for as long as the profile says; the close frame says so."""
    contract = profile(pong_timeout=0.3)
    arm, task = await hire(await lab(fault), doing(Doing(what=act)), contract=contract)
    await task
    assert (arm.gave_up, arm.left, arm.line().state) == (True, False, "ended")
    said = of(recorder.snapshot(), CloseSent)[0]
    assert (said.code, said.reason) == (1011, "keepalive ping timeout")


async def test_an_answered_ping_is_no_reason_to_give_up(lab, hire, recorder) -> None:
    """Both kinds are answered; several looks later it still lives."""
    both = (Doing(what="app-ping"), Doing(what="protocol-ping"))
    arm, _ = await hire(await lab(), doing(*both), contract=profile(pong_timeout=0.3))
    await until(lambda: len(of(recorder.snapshot(), PongReceived)) == 1)
    await until(lambda: arm.age > 2.2)
    assert (arm.gave_up, arm.alive) == (False, True)


async def test_nobody_greets(lab, hire, recorder) -> None:
    """A backend that opens and says nothing is left after the profile's time; nothing counts as established."""
    arm, task = await hire(await lab("no-established-message"), SILENT, contract=profile(connect_timeout=0.5))
    await task
    assert (arm.left, arm.line().state) == (True, "closed")
    assert of(recorder.snapshot(), Established) == []


async def test_the_doings_begin_without_a_greeting(lab, hire, recorder, monkeypatch) -> None:
    """Once it has waited long enough."""
    monkeypatch.setattr(module, "GREETING", 0.1)
    await hire(await lab("no-established-message"), treatments.first_ping(0.0))
    await until(lambda: types(recorder) == ["ping"])


async def test_a_defect_of_ours_is_no_ending_of_theirs(lab, hire) -> None:
    """It comes out of the run, and the connection is gone."""
    house = await lab()

    async def say(count: int) -> None:
        raise RuntimeError("a defect of ours")

    arm, task = await hire(house, doing(Doing(what="message")), say=say)
    with pytest.raises(RuntimeError, match="a defect of ours"):
        await task
    assert (arm.left, arm.over.is_set()) == (True, True)
    await until(lambda: not house.stats.peers)


async def test_cancelling_cuts_it(lab, hire) -> None:
    """At once, without goodbye."""
    house = await lab()
    arm, task = await hire(house, treatments.every(0.1, "typing"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert arm.over.is_set()
    await until(lambda: not house.stats.peers)


# Openings that fail, and openings unlike the client's


async def test_a_refused_opening(lab, hire, recorder) -> None:
    """A failure with its status and its Retry-After; nothing opened, so it has no age."""
    arm, task = await hire(await lab("overload:status=429,retry_after=3"), SILENT)
    await task
    assert (arm.failure.status, arm.failure.retry_after, arm.failure.stage) == (429, 3.0, "upgrade")
    assert (arm.alive, arm.age, arm.ended_at) == (False, 0.0, None)
    assert arm.line().state == "refused"
    assert "429" in arm.line().ending
    assert [event.status for event in of(recorder.snapshot(), AttemptFailed)] == [429]


async def test_nobody_listens(hire, recorder) -> None:
    """A failure at its stage."""
    arm, _ = await hire("http://127.0.0.1:1", SILENT)
    assert (arm.failure.stage, arm.failure.status) == ("tcp", None)


async def test_no_answer_in_time(hire, recorder) -> None:
    """A server that accepts and is silent."""
    async with peer(Guest.silence) as port:
        arm, _ = await hire(f"http://127.0.0.1:{port}", SILENT, timeout=0.3)
    assert arm.failure.stage == "upgrade"


SECRET = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJlLW9mLWFkYQ"
BY_HEADER = Profile(auth=Auth(socket="header"))


@pytest.mark.parametrize(
    ("treatment", "contract", "line", "bearer"),
    [
        (SILENT, DEFAULT, f"/api/ws/chat/echo?token={SECRET}", None),
        (treatments.NO_TOKEN, DEFAULT, "/api/ws/chat/echo", None),
        (treatments.GARBAGE_TOKEN, DEFAULT, f"/api/ws/chat/echo?token={GARBAGE}", None),
        (treatments.NO_SUCH_PATH, DEFAULT, f"/api/ws/chatkit-no-such-path?token={SECRET}", None),
        (replace(SILENT, bot="other"), DEFAULT, f"/api/ws/chat/other?token={SECRET}", None),
        (SILENT, BY_HEADER, "/api/ws/chat/echo", f"Bearer {SECRET}"),
        (treatments.NO_TOKEN, BY_HEADER, "/api/ws/chat/echo", None),
        (treatments.GARBAGE_TOKEN, BY_HEADER, "/api/ws/chat/echo", f"Bearer {GARBAGE}"),
    ],
    ids=["good", "none", "garbage", "path", "bot", "good-header", "none-header", "garbage-header"],
)
async def test_what_goes_out(hire, recorder, treatment, contract, line, bearer) -> None:
    """The request as the server reads it is as the treatment says; the recording says the same without the secret."""
    requests: list[bytes] = []

    async def refuse(guest: Guest) -> None:
        requests.append(await guest.head())
        guest.writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        await guest.writer.drain()

    async with peer(refuse) as port:
        arm, task = await hire(f"http://127.0.0.1:{port}", treatment, contract=contract, token=SECRET)
        await task
    first, *fields = requests[0].decode().split("\r\n")
    assert first == f"GET {line} HTTP/1.1"
    named = dict(field.split(": ", 1) for field in fields if field)
    assert (named["User-Agent"], named.get("Authorization")) == (AGENT, bearer)
    asked = of(recorder.snapshot(), UpgradeRequested)[0]
    assert asked.target.partition("?")[0] == line.partition("?")[0]
    assert ("token=" in asked.target) == ("token=" in line)
    assert arm.failure.status == 403
    assert of(recorder.snapshot(), UpgradeAnswered)[0].status == 403
    assert SECRET.encode() not in b"".join(recorder.snapshot().rows)
    assert SECRET.split(".")[1].encode() not in b"".join(recorder.snapshot().rows)


async def test_origin_and_compression(lab, hire, recorder) -> None:
    """Are offered as the treatment says, and are in the recording."""
    house = await lab()
    foreign = treatments.origin("https://chatkit.invalid", "foreign")
    for treatment in (foreign, treatments.plain()):
        await hire(house, treatment)
    first, second = (dict(event.headers) for event in of(recorder.snapshot(), UpgradeRequested))
    assert first["Origin"] == "https://chatkit.invalid"
    assert "permessage-deflate" in first["Sec-WebSocket-Extensions"]
    assert {"Origin", "Sec-WebSocket-Extensions"}.isdisjoint(second)
