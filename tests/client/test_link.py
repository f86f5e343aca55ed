"""One socket kept alive: what follows each ending, against peers that misbehave for real."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import suppress

import pytest
from websockets.frames import Opcode

from chatkit.behaviour import Row
from chatkit.errors import ConnectFailed
from chatkit.events import AttemptStarted, CloseSent, PingSent, RetryScheduled, StateChanged, TokenChanged
from chatkit.policy.status import State
from conftest import TICK, until

from .conftest import HELLO, Guest, frame, peer


def close_frame(code: int | None) -> bytes:
    return frame(Opcode.CLOSE, b"" if code is None else code.to_bytes(2, "big"))


def retries(client) -> list[RetryScheduled]:
    return [event for event in client.trace if isinstance(event, RetryScheduled)]


@pytest.mark.parametrize("code", [1000, 1001, None])
async def test_a_silent_end_is_an_end(chat, code: int | None) -> None:
    """1000, 1001 and 1005 raise nothing in a loop over messages: a client with a listener comes back."""
    met = []

    async def talk(guest: Guest) -> None:
        with suppress(KeyError):  # a look at the health endpoint is no guest
            await guest.accept(HELLO)
        if not guest.upgraded:
            return
        met.append(guest)
        if len(met) == 1:
            guest.writer.write(close_frame(code))
        await guest.silence()

    async with peer(talk) as port:
        client = await chat(f"http://127.0.0.1:{port}", token="opaque", live=False)
        await until(lambda: len(met) == 2 and client.status.live and client.ended)
        assert client.ended[0].ending.close_code == (1005 if code is None else code)


async def test_accept_then_close_follows_the_backoff(lab, chat) -> None:
    """A server that accepts and ends at once is not stormed: each delay is the next step, then it is suspended."""
    house = await lab("accept-then-close:code=1011")
    client = await chat(house, live=False)
    await client.wait(lambda status: status.state is State.SUSPENDED)
    assert house.stats.attempts == 6
    for n, event in enumerate(retries(client), 1):
        assert event.delay >= TICK * min(8, 2**n) / 2 - 1e-3


async def test_accept_then_4401_refreshes_once(lab, chat) -> None:
    """At most two attempts, one refresh; then somebody must act."""
    house = await lab()
    keeper = await chat(house, user="ada", password=house.password)
    house.set_faults(["accept-then-close:code=4401"])
    client = await chat(house, refresh_token=keeper.api.credentials.refresh_token, live=False)
    await client.wait(lambda status: status.state is State.AUTH_REQUIRED)
    assert len(client.trace.connections) == 2
    assert [event.how for event in client.trace if isinstance(event, TokenChanged)] == ["set", "refresh"]


async def test_an_outage_longer_than_the_retries(chat, unused_tcp_port) -> None:
    """Suspended, not dead: it looks at the health endpoint and comes back by itself."""
    from chatkit.lab import LabServer

    client = await chat(f"http://127.0.0.1:{unused_tcp_port}", user=None, token="opaque", live=False)
    await client.wait(lambda status: status.state is State.SUSPENDED)
    assert client.status.retry_at is not None
    async with LabServer(port=unused_tcp_port) as house:
        client.api.set_token(house.token)
        async with asyncio.timeout(20):
            await client.wait(lambda status: status.live)
        await client.wait(lambda status: status.state is State.STABLE)
        assert client.status.attempt == 0
        await client.close()


async def test_a_403_with_an_expired_token_is_refreshed(lab, chat) -> None:
    """The token says so itself: nobody has to be asked."""
    house = await lab()
    keeper = await chat(house, user="ada", password=house.password)
    client = await chat(
        house, token=house.token_for("ada", -5), refresh_token=keeper.api.credentials.refresh_token, live=False
    )
    await client.wait(lambda status: status.live)
    assert [connection.state for connection in client.trace.connections] == ["refused", "open"]
    assert retries(client) == []


async def test_a_403_without_permission(lab, chat) -> None:
    """The API accepts the token and refuses the bot."""
    house = await lab()
    client = await chat(house, token=house.token_for("mallory"), live=False)
    await client.wait(lambda status: status.state is State.FAILED)
    assert client.status.kind == "forbidden"
    assert "may not use this bot" in client.explain()


async def test_a_restart_is_met_by_a_spread(lab, chat) -> None:
    """1012: the first retry is drawn between one and ten units."""
    house = await lab()
    client = await chat(house)
    house.cut("close", code=1012)
    await until(lambda: retries(client))
    assert TICK <= retries(client)[0].delay <= 10 * TICK + 0.1


@pytest.mark.parametrize("asked", ["1000000000000", "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_a_server_that_asks_to_wait_for_ever(chat, asked: str) -> None:
    """Obeyed up to five minutes."""

    async def talk(guest: Guest) -> None:
        await guest.head()
        guest.writer.write(f"HTTP/1.1 503 No\r\nContent-Length: 0\r\nRetry-After: {asked}\r\n\r\n".encode())

    async with peer(talk) as port:
        client = await chat(f"http://127.0.0.1:{port}", token="opaque", live=False)
        await client.wait(lambda status: status.state is State.BACKOFF)
        assert retries(client)[0].delay == 300


async def test_a_half_open_peer_is_noticed(lab, chat) -> None:
    """A black hole on the path: the ping is not answered, the connection is given up and replaced."""
    house = await lab(f"black-hole:after={8 * TICK}")
    client = await chat(house)
    async with asyncio.timeout(30):
        await client.wait(lambda status: status.kind == "half-open")
    closed = [event for event in client.trace if isinstance(event, CloseSent)]
    assert (closed[0].code, closed[0].reason) == (1011, "keepalive ping timeout")


async def test_our_own_blocked_loop_is_forgiven(lab, chat) -> None:
    """The pong lies in the socket while we sleep: it is read before the peer is judged."""
    client = await chat(await lab(), rules={"lag_forgiven": 2 * TICK})
    for _ in range(3):
        await until(lambda: client.rtt is not None)
        time.sleep(16 * TICK)
        await asyncio.sleep(4 * TICK)
    assert (client.ended, client.status.live) == ((), True)
    assert client.counters.lag >= 10 * TICK
    assert not any(isinstance(event, PingSent) for event in client.trace)


async def test_the_token_provider_fails_and_recovers(lab, chat) -> None:
    """A network error when the laptop wakes is no reason to stop; another failure of its own is retried too."""
    house = await lab()
    answers = iter([house.token_for("ada", -5), OSError("no network"), house.token])

    def provider() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = await chat(house, token=provider, live=False)
    await client.wait(lambda status: status.live)
    assert [event.how for event in client.trace if isinstance(event, TokenChanged)] == ["provider", "provider"]
    assert len(retries(client)) == 1


async def test_a_provider_that_is_refused(lab, chat) -> None:
    """Nobody can help but the user."""
    house = await lab()
    answers = iter([house.token_for("ada", -5)])

    class Unauthorized(Exception):
        """As many libraries call it."""

    def provider() -> str:
        for answer in answers:
            return answer
        raise Unauthorized("log in again")

    client = await chat(house, token=provider, live=False)
    await client.wait(lambda status: status.state is State.AUTH_REQUIRED)
    assert "log in again" in client.explain().lower()


async def test_what_belongs_to_an_older_connection_is_dropped(lab, chat) -> None:
    """A write meant for generation 1 does not reach generation 2."""
    house = await lab()
    client = await chat(house)
    house.cut("rst")
    await until(lambda: client.ended and client.status.live)
    assert client.status.generation == 2
    before = house.stats.messages
    client._line.send('{"type": "typing", "data": {"is_typing": true}}', 1)
    client._line.send('{"type": "typing", "data": {"is_typing": false}}', 2)
    await until(lambda: house.stats.messages == before + 1)


async def test_many_unreadable_messages_are_another_contract(chat) -> None:
    """Twenty within a minute: closed by us, one retry without compression, then it fails."""
    offers = []

    async def talk(guest: Guest) -> None:
        await guest.accept(HELLO, *(['{"nonsense": 1}'] * 25))
        offers.append(b"permessage-deflate" in guest.request)
        await guest.silence()

    async with peer(talk) as port:
        client = await chat(f"http://127.0.0.1:{port}", token="opaque", live=False)
        await client.wait(lambda status: status.state is State.FAILED)
    assert offers == [True, False]
    assert client.status.kind == "protocol"


async def test_two_clients_of_one_host_keep_their_distance(chat, unused_tcp_port) -> None:
    """Their retries together start at least the floor apart."""
    url, floor = f"http://127.0.0.1:{unused_tcp_port}", 3 * TICK
    clients = [await chat(url, token="x", live=False, rules={"retry_floor": floor}) for _ in range(3)]
    await asyncio.gather(*(c.wait(lambda status: status.attempt >= 3) for c in clients))
    starts = sorted(
        client.recorder.epoch + event.at
        for client in clients
        for event in client.trace
        if isinstance(event, AttemptStarted) and event.attempt > 0
    )
    assert len(starts) >= 6
    assert all(later - earlier >= floor * 0.9 for earlier, later in itertools.pairwise(starts))


async def test_parking_and_coming_back(lab, chat) -> None:
    """The socket is given up with a goodbye; the chat goes on over HTTP; it comes back when it is wanted."""
    house = await lab()
    client = await chat(house)
    client.park()
    await client.wait(lambda status: status.state is State.IDLE)
    assert client.ended[0].ending.close_code == 1000
    assert (await client.send("hello")).via == "http"
    await client.connect()
    assert client.status.live


async def test_concurrent_connects_share_one_attempt(lab, chat) -> None:
    """And connecting again while live does nothing."""
    house = await lab()
    client = await chat(house, live=False)
    await asyncio.gather(*(client.connect() for _ in range(5)))
    await client.connect()
    assert house.stats.attempts == 1


async def test_connect_starts_over_after_a_failure(lab, chat) -> None:
    """A row of the user's own makes the first refusal final; ``connect`` tries again."""
    house = await lab("accept-then-close:code=4100")
    client = await chat(
        house, live=False, rules={"rows": (Row(close=4100, action="fail", hint="the tenant is locked"),)}
    )
    await client.wait(lambda status: status.state is State.FAILED)
    assert "The tenant is locked" in client.explain()
    house.set_faults([])
    await client.connect()
    assert client.status.live


async def test_every_change_says_why(chat, unused_tcp_port) -> None:
    """Previous state, class, attempt and delay stand in the record."""
    client = await chat(f"http://127.0.0.1:{unused_tcp_port}", token="x", live=False)
    with pytest.raises(ConnectFailed):
        await client.ready()
    change = next(e for e in client.trace if isinstance(e, StateChanged) and e.state == "backoff")
    assert (change.previous, change.reason, change.attempt, change.bot) == ("connecting", "transient", 1, "echo")
    assert change.retry_in > 0
    assert change.hint
