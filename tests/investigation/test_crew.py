"""A crew of arms against a lab: counted, polite, and gone at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from chatkit.client.http import HttpApi
from chatkit.events import HttpRequested
from chatkit.experiments import treatments
from chatkit.experiments.treatments import SILENT
from chatkit.investigation.crew import AGENT, MOST_AT_ONCE, Crew, origin_of
from chatkit.lab import LabServer
from chatkit.profile import DEFAULT
from chatkit.recorder import Recorder
from client.conftest import Guest, peer
from conftest import until

from .conftest import most_at_once, of


class Place(NamedTuple):
    """What of a lab a crew needs."""

    url: str
    token: str


@pytest.fixture
async def crew(recorder: Recorder) -> AsyncIterator[Callable[..., Any]]:
    """``await crew(lab, also=…)`` gives a crew without arms; closed with the test."""
    async with AsyncExitStack() as stack:

        async def gather(house: LabServer | Place, also: LabServer | None = None) -> Crew:
            apis = [
                await stack.enter_async_context(HttpApi(one.url, recorder=recorder, token=house.token, agent=AGENT))
                for one in (house, also)
                if one is not None
            ]
            found = Crew(
                apis[0],
                apis[1] if also is not None else None,
                bot="echo",
                recorder=recorder,
                profile=DEFAULT,
                proxy=True,
                woken=asyncio.Event(),
            )
            stack.push_async_callback(found.close)
            return found

        yield gather


async def test_who_was_lost(lab, crew) -> None:
    """One that the server drops, and not one that is told to leave."""
    hands = await crew(await lab("max-lifetime:age=1"))
    arm = await hands.open(SILENT)
    await hands.dismiss(arm)
    assert not hands.lost.is_set()
    await hands.open(SILENT)
    await hands.lost.wait()


async def test_twelve_and_no_more(lab, crew, recorder) -> None:
    """The room shrinks with every arm that is tried, and grows when one is over; at the end nobody is left."""
    house = await lab()
    hands = await crew(house)
    assert hands.room == MOST_AT_ONCE == 12
    for n in range(MOST_AT_ONCE):
        hands.start(SILENT)
        assert hands.room == MOST_AT_ONCE - n - 1
    await until(lambda: len(hands.alive) == len(house.stats.peers) == MOST_AT_ONCE)
    assert len(hands.running) == MOST_AT_ONCE
    hands.alive[0].leave()
    assert len(hands.alive) == MOST_AT_ONCE - 1
    await until(lambda: hands.room == 1)
    await hands.open(SILENT)
    await hands.close()
    await until(lambda: not house.stats.peers)
    assert most_at_once(recorder.snapshot()) == MOST_AT_ONCE
    assert house.stats.opened == house.stats.ended == MOST_AT_ONCE + 1
    assert (hands.alive, hands.running, hands.room) == ([], [], MOST_AT_ONCE)
    assert {line.state for line in hands.lines()} == {"closed"}


async def test_what_was_refused_leaves_its_place(lab, crew) -> None:
    """An arm that never opened does not count."""
    hands = await crew(await lab("overload"))
    arm = await hands.open(SILENT)
    await arm.over.wait()
    assert (arm.failure.status, hands.room, hands.alive) == (503, MOST_AT_ONCE, [])


async def test_close_cuts_what_does_not_answer(lab, crew) -> None:
    """Arms in the middle of their opening, arms whose server is silent, and a message without an answer."""
    deaf = await crew(await lab("handshake-timeout"))
    slow = await lab("slow-reply:delay=60")
    hands = await crew(slow)
    waiting = deaf.start(SILENT)
    await until(lambda: waiting.id is not None)
    living = await hands.open(treatments.every(0.1, "app-ping"))
    answered = hands.speak(0)
    await until(lambda: slow.stats.chats == 1)
    assert not answered.is_set()
    for one in (deaf, hands):
        await one.close()
    assert all(arm.over.is_set() for arm in (waiting, living))
    assert answered.is_set()
    assert (deaf.defect, hands.defect) == (None, None)
    await until(lambda: not slow.stats.peers)


async def test_messages_keep_their_distance(lab, crew, recorder) -> None:
    """However many want to speak at once: less than two a second, one conversation, each over a connection of its own."""
    house = await lab()
    hands = await crew(house)
    answered = [hands.speak(n) for n in range(4)]
    for one in answered:
        await one.wait()
    assert house.stats.chats == 4
    asked = [event.at for event in of(recorder.snapshot(), HttpRequested) if event.purpose == "chat"]
    assert len(asked) == 4
    assert all(after - before >= 0.5 for before, after in pairwise(asked))
    (session,) = house.sessions()
    said = [message["content"] for message in house.history(session["id"]) if message["role"] == "user"]
    assert len(said) == len(set(said)) == 4


async def test_a_message_that_fails_is_answered_too(lab, crew) -> None:
    """Whoever waits for it does not wait for ever, and nothing breaks."""
    hands = await crew(await lab("service-down:what=chat"))
    await hands.speak(0).wait()
    assert hands.defect is None


async def test_an_end_wakes_whoever_waits(lab, crew) -> None:
    """By whichever side."""
    hands = await crew(await lab("max-lifetime:age=0.1"))
    await hands.open(SILENT)
    await hands._woken.wait()
    await until(lambda: not hands.alive)


async def test_a_defect_in_an_arm(lab, crew, monkeypatch) -> None:
    """Is kept for whoever looks, and wakes them; the other arms live on."""
    hands = await crew(await lab())

    async def say(count: int) -> None:
        raise RuntimeError("a defect of ours")

    monkeypatch.setattr(hands, "say", say)
    other = await hands.open(SILENT)
    await hands.open(treatments.fed(60))
    await until(lambda: hands.defect is not None)
    assert str(hands.defect) == "a defect of ours"
    assert hands._woken.is_set()
    assert hands.alive == [other]


async def test_the_second_way_in(lab, crew) -> None:
    """Is gone by arms that are meant for it, with the same token; without one they go the first."""
    first = await lab(secret="x" * 40)
    second = await lab(secret="x" * 40)
    hands = await crew(first, second)
    beside = replace(SILENT, id="silent-also", also=True)
    await hands.open(SILENT)
    await hands.open(beside)
    assert (first.stats.opened, second.stats.opened) == (1, 1)
    assert [treatment.id for treatment, _ in hands.running] == ["silent"]
    alone = await crew(first)
    await alone.open(beside)
    assert first.stats.opened == 2


async def test_probes_are_not_shown_as_arms(lab, crew) -> None:
    """What alters the opening says nothing about the life of the others."""
    hands = await crew(await lab())
    await hands.open(SILENT)
    await hands.open(treatments.NO_TOKEN, "probe", timeout=4.0)
    assert [arm.treatment.id for arm in hands] == ["silent", "token-none"]
    assert [line.id for line in hands.lines()] == ["silent"]


async def test_who_we_say_that_we_are(crew, recorder) -> None:
    """In the upgrade and in every call: a server of ours that refuses everything reads it."""
    requests: list[bytes] = []

    async def refuse(guest: Guest) -> None:
        requests.append(await guest.head())
        guest.writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await guest.writer.drain()

    async with peer(refuse) as port:
        hands = await crew(Place(f"http://127.0.0.1:{port}", "a-token"))
        await hands.open(SILENT)
        await hands.speak(0).wait()
    assert [request.split(b" ", 1)[0] for request in requests] == [b"GET", b"POST", b"POST"]
    assert all(f"\r\nUser-Agent: {AGENT}\r\n".encode() in request for request in requests)
    assert b"a-token" not in b"".join(recorder.snapshot().rows)


@pytest.mark.parametrize(
    ("base", "origin"),
    [("https://example.org/chat", "https://example.org"), ("http://[::1]:8000", "http://[::1]:8000")],
)
def test_origin(base, origin) -> None:
    """Scheme, host and port, without the path."""
    assert origin_of(base) == origin
