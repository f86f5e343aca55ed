"""``ChatClient`` against a real lab: states, retries, tokens, the incident and its cure."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from websockets.frames import Opcode

import chatkit
from chatkit.client import ChatClient
from chatkit.errors import AuthError, ConnectFailed, ConnectionEnded, InvalidInput
from chatkit.events import (
    BadMessageReceived,
    CloseSent,
    Established,
    FrameSent,
    HealthChecked,
    Noted,
    RetryScheduled,
    StateChanged,
    TcpInfoSampled,
    TokenChanged,
    TransportEnded,
)
from chatkit.policy.status import State
from chatkit.recorder import Recorder
from conftest import TICK, until
from stories import make_jwt

from .conftest import HELLO, Guest, frame, peer, profile


def states(client: ChatClient) -> list[str]:
    """The states so far, from the recording."""
    return [event.state for event in client.trace if isinstance(event, StateChanged)]


def pings(client: ChatClient) -> list[float]:
    """When application pings went out, seconds after their connection was established."""
    trace = client.trace
    began = {event.connection: event.at for event in trace if isinstance(event, Established)}
    types = trace.message_types
    return [
        event.at - began[event.connection]
        for event, type_ in zip(trace, types, strict=True)
        if isinstance(event, FrameSent) and type_ == "ping"
    ]


async def test_a_quiet_life(lab, chat) -> None:
    """Connects, becomes stable, pings after its quiet time, says goodbye; everything is on record."""
    client = await chat(await lab())
    assert client.status.bot == "Echo"
    await client.wait(lambda status: status.state is State.STABLE)
    await until(lambda: len(pings(client)) >= 2)
    await client.close()
    assert states(client) == ["connecting", "connected", "stable", "closing", "closed"]
    assert min(pings(client)) >= 2 * TICK * 0.9
    seen = {type(event) for event in client.trace}
    assert {TcpInfoSampled, HealthChecked, TokenChanged, Established} <= seen
    ending = client.trace.connections[0].ending
    assert (ending.words, ending.first) == ("closed by us: 1000", "client")
    assert client.rtt is not None


# The incident in numbers


@pytest.mark.parametrize("how", ["rst", "fin"])
async def test_the_incident(lab, chat, how: str) -> None:
    """A ping at 0 s against a server that aborts on early pings: 5 of 5 connections end within a second of it."""
    house = await lab(f"early-ping-abort:window=3,delay=0.2,how={how}")
    client = await chat(house, policy="incident-before", rules={"retry_attempts": 50})
    await until(lambda: len(client.ended) >= 5)
    ended = client.ended[:5]
    assert [connection.ending.abort for connection in ended] == [True] * 5
    assert [connection.ending.after for connection in ended] == ["our ping"] * 5
    assert all(connection.ending.after_seconds < 1 for connection in ended)
    assert {connection.ending.close_code for connection in ended} == {1006}
    assert {connection.ending.transport.how for connection in ended} == {how}
    assert [connection.ending for connection in client.trace.connections[:5]] == [c.ending for c in ended]


async def test_the_cure(lab, chat) -> None:
    """The same server, quiet until its window has passed: no connection ends."""
    house = await lab(f"early-ping-abort:window={3 * TICK},delay=0")
    client = await chat(house, rules={"stabilise": 6 * TICK})
    await until(lambda: len(pings(client)) >= 2)
    assert (client.ended, client.status.live) == ((), True)
    assert house.stats.aborted == 0


@pytest.mark.slow
async def test_the_broken_front_end_asks_for_health_by_head(lab, chat) -> None:
    """405 is read as unhealthy; asking both ways shows why."""
    client = await chat(await lab(), policy="incident-before")
    await until(lambda: client.health.status.failures >= 3)
    assert client.health.status.state == "unhealthy"
    compared = await client.health.compare()
    assert (compared.head_status, compared.get_status, compared.differs) == (405, 200, True)


# Refusals


async def test_nobody_listens(chat, unused_tcp_port) -> None:
    """``async with`` says so at once; a started client keeps trying."""
    url = f"http://127.0.0.1:{unused_tcp_port}"
    with pytest.raises(ConnectFailed) as failed:
        async with ChatClient(url, bot="echo", token="opaque", profile=profile()):
            pass
    assert failed.value.stage == "tcp"
    client = await chat(url, token="opaque", live=False)
    status = await client.wait(lambda status: status.attempt >= 2)
    assert status.state is State.BACKOFF
    assert "nobody listens" in client.explain().lower()


async def test_the_schedule_of_the_incidents_client(chat, unused_tcp_port) -> None:
    """1, 2, 4, 8, 8 ticks; then it gives up and says so; Reconnect starts over."""
    client = await chat(f"http://127.0.0.1:{unused_tcp_port}", token="opaque", live=False, policy="incident")
    await client.wait(lambda status: status.state is State.FAILED)
    retries = [event for event in client.trace if isinstance(event, RetryScheduled)]
    assert [event.attempt for event in retries] == [1, 2, 3, 4, 5]
    assert [event.delay for event in retries] == pytest.approx([TICK * n for n in (1, 2, 4, 8, 8)], abs=1e-3)
    starts = [connection.started_at for connection in client.trace.connections]
    assert len(starts) == 6
    assert all(later - earlier >= event.delay * 0.95 for earlier, later, event in zip(starts, starts[1:], retries))  # noqa: B905
    assert "gave up after 5 retries" in client.status.because
    client.reconnect()
    await client.wait(lambda status: status.state is State.BACKOFF and status.attempt == 1)


async def test_the_schedule_of_retries(chat, unused_tcp_port) -> None:
    """U(1, 2), U(2, 4), … ticks, five times; then it is suspended and never gives up."""
    client = await chat(f"http://127.0.0.1:{unused_tcp_port}", token="opaque", live=False)
    await client.wait(lambda status: status.state is State.SUSPENDED)
    retries = [event for event in client.trace if isinstance(event, RetryScheduled)]
    assert [event.attempt for event in retries] == [1, 2, 3, 4, 5]
    for n, event in enumerate(retries, 1):
        full = TICK * min(8, 2**n)
        assert full / 2 - 1e-3 <= event.delay <= full + 1e-3
    assert "watched instead" in client.explain()


async def test_reconnect_now(chat, unused_tcp_port) -> None:
    """Ends a waiting time that would last for a minute."""
    client = await chat(f"http://127.0.0.1:{unused_tcp_port}", token="x", live=False, rules={"retry_base": 60.0, "retry_cap": 60.0})  # fmt: skip
    await client.wait(lambda status: status.state is State.BACKOFF)
    client.reconnect()
    async with asyncio.timeout(10):
        await client.wait(lambda status: status.attempt == 2 and status.state is State.BACKOFF)


async def test_close_during_backoff(chat, unused_tcp_port) -> None:
    """Ends promptly, and no later attempt is made."""
    client = await chat(f"http://127.0.0.1:{unused_tcp_port}", token="x", live=False, rules={"retry_base": 60.0, "retry_cap": 60.0})  # fmt: skip
    await client.wait(lambda status: status.state is State.BACKOFF)
    async with asyncio.timeout(5):
        await client.close()
    attempts = len(client.trace.connections)
    await asyncio.sleep(4 * TICK)
    assert (len(client.trace.connections), client.status.state) == (attempts, State.CLOSED)


@pytest.mark.parametrize(
    ("status", "state"), [(404, State.FAILED), (426, State.FAILED), (302, State.FAILED), (401, State.AUTH_REQUIRED), (403, State.FAILED)]
)  # fmt: skip
async def test_refusals_that_stop(chat, status: int, state: State) -> None:
    """No second attempt without another token or a word of ours."""

    async def talk(guest: Guest) -> None:
        await guest.head()
        guest.writer.write(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\nLocation: https://login/\r\n\r\n" % status)

    async with peer(talk) as port:
        client = await chat(f"http://127.0.0.1:{port}", token="opaque", live=False)
        await client.wait(lambda status: status.state is state)
        assert len(client.trace.connections) == 1
        with pytest.raises((ConnectFailed, AuthError)):
            await client.ready()


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_a_lower_bound(chat, status: int) -> None:
    """The server names seconds, we wait them."""

    async def talk(guest: Guest) -> None:
        await guest.head()
        guest.writer.write(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\nRetry-After: 30\r\n\r\n" % status)

    async with peer(talk) as port:
        client = await chat(f"http://127.0.0.1:{port}", token="opaque", live=False)
        await client.wait(lambda status: status.state is State.BACKOFF)
        (retry,) = [event for event in client.trace if isinstance(event, RetryScheduled)]
        assert retry.delay == 30


async def test_a_bot_that_does_not_exist(lab) -> None:
    """403 on the upgrade, and the HTTP API knows what it means."""
    house = await lab()
    with pytest.raises(ConnectFailed, match="does not know this bot"):
        async with ChatClient(house.url, bot="nobody", token=house.token, profile=profile()):
            pass


# Tokens


async def test_login(lab, chat) -> None:
    """With user and password; a wrong one is refused before anything connects."""
    house = await lab()
    client = await chat(house, user="ada", password=house.password)
    assert client.status.live
    with pytest.raises(AuthError, match="login was refused"):
        async with ChatClient(house.url, bot="echo", user="ada", password="wrong-wrong", profile=profile()):
            pass


async def test_an_expired_token_is_refreshed_once(lab, chat) -> None:
    """With a refresh token it goes on by itself."""
    house = await lab()
    keeper = await chat(house, user="ada", password=house.password)
    refresh = keeper.api.credentials.refresh_token
    client = await chat(house, token=house.token_for("ada", -5), refresh_token=refresh, live=False)
    await client.wait(lambda status: status.live)
    assert [event.how for event in client.trace if isinstance(event, TokenChanged)] == ["set", "refresh"]
    assert [connection.state for connection in client.trace.connections] == ["refused", "open"]
    assert not any(isinstance(event, RetryScheduled) for event in client.trace)


async def test_a_token_that_stays_bad_after_a_refresh(lab, chat) -> None:
    """One refresh, two attempts, then somebody must act; another token resumes."""
    house = await lab()
    keeper = await chat(house, user="ada", password=house.password)
    refresh = keeper.api.credentials.refresh_token
    house.set_faults(["auth-rejected"])
    client = await chat(house, token=house.token_for("ada", -5), refresh_token=refresh, live=False)
    await client.wait(lambda status: status.state is State.AUTH_REQUIRED)
    assert len(client.trace.connections) <= 2
    assert [event.how for event in client.trace if isinstance(event, TokenChanged)].count("refresh") <= 1
    assert isinstance(client.error, AuthError)
    house.set_faults([])
    client.set_token(house.token)
    await client.wait(lambda status: status.live)


@pytest.mark.parametrize("reject", ["before", "after"])
async def test_an_expired_token_without_refresh(lab, chat, reject: str) -> None:
    """403 or 4001: the client needs a token, and the error says how long it has been expired."""
    house = await lab(reject=reject)
    client = await chat(house, token=house.token_for("ada", -300), live=False)
    await client.wait(lambda status: status.state is State.AUTH_REQUIRED)
    with pytest.raises(AuthError, match="expired 5 min ago") as refused:
        await client.ready()
    assert refused.value.expired_at is not None
    assert "log in again" in client.explain().lower()


async def test_a_token_that_expires_while_connected(lab, chat) -> None:
    """4001 after a while: refreshed, reconnected at once."""
    house = await lab("token-expired:after=1")
    client = await chat(house, user="ada", password=house.password)
    await until(lambda: len(client.ended) >= 1 and client.status.live)
    assert client.ended[0].ending.close_code == 4001
    assert "refresh" in [event.how for event in client.trace if isinstance(event, TokenChanged)]


@pytest.mark.parametrize("cap", [8 * TICK, 1000 * TICK])
async def test_a_token_that_expires_again_before_a_connection_was_stable(lab, chat, cap: float) -> None:
    """A renewed token that has lived its life is renewed again, however unsteady the connections were."""
    house = await lab("token-expired:after=1")
    rules = {"stable_after": 1000 * TICK, "retry_cap": cap}
    client = await chat(house, rules=rules, user="ada", password=house.password)

    def refreshes() -> int:
        return sum(event.how == "refresh" for event in client.trace if isinstance(event, TokenChanged))

    await until(lambda: refreshes() >= 3 or client.status.state is State.AUTH_REQUIRED)
    assert client.status.state is not State.AUTH_REQUIRED


async def test_no_network_during_a_refresh_is_no_reason_to_give_up(chat) -> None:
    """The token was not refused, nobody answered: it is tried again later."""
    answers = iter([b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"])

    async def talk(guest: Guest) -> None:
        head = await guest.head()
        if b"/ws/" in head:
            answer = next(answers, None)
            if answer is None:
                await guest.writer.drain()
                raise ConnectionResetError
            guest.writer.write(answer)
        elif b"refresh" in head:
            guest.reset()

    async with peer(talk) as port:
        client = await chat(f"http://127.0.0.1:{port}", token="opaque", refresh_token="opaque-refresh", live=False)
        await client.wait(lambda status: status.attempt >= 1 or status.state is State.AUTH_REQUIRED)
        assert client.status.state is State.BACKOFF


# What goes wrong on an open connection


@pytest.mark.parametrize(
    ("fault", "words", "code"),
    [
        ("max-lifetime:age=0.2,how=fin", "FIN by server, no close frame", 1006),
        ("max-lifetime:age=0.2,how=rst", "RST by server", 1006),
        ("max-lifetime:age=0.2,how=close", "closed by server: 1001", 1001),
    ],
)
async def test_a_connection_that_ends_is_replaced(lab, chat, fault: str, words: str, code: int) -> None:
    """Another one, and the ending of the first in words."""
    client = await chat(await lab(fault))
    await until(lambda: len(client.ended) >= 2)
    first = client.ended[0]
    assert first.ending.words.startswith(words)
    assert first.ending.close_code == code
    assert client.trace.connection(first.id).retry.delay >= 0
    assert words in client.explain()


async def test_a_goodbye_is_answered_once(lab, chat) -> None:
    """1000: one reconnect, because somebody listens here; a second one within a minute is taken at its word."""
    house = await lab()
    client = await chat(house)
    house.cut("close", code=1000)
    await until(lambda: client.ended and client.status.live)
    house.cut("close", code=1000)
    await client.wait(lambda status: status.state is State.FAILED)
    assert len(client.trace.connections) == 2


async def test_a_code_about_permission_is_looked_into(lab, chat) -> None:
    """4003 while the API accepts token and bot: nothing that waiting would change."""
    house = await lab()
    client = await chat(house)
    house.cut("close", code=4003)
    await client.wait(lambda status: status.state is State.FAILED)
    assert (len(client.trace.connections), client.status.kind) == (1, "forbidden")


@pytest.mark.parametrize("code", [1000, 4003])
async def test_codes_that_stop_the_incidents_client(lab, chat, code: int) -> None:
    """A goodbye is a goodbye."""
    house = await lab()
    client = await chat(house, policy="incident")
    house.cut("close", code=code)
    await client.wait(lambda status: status.state is State.FAILED)
    assert len(client.trace.connections) == 1


async def test_a_server_that_crashes_and_comes_back(lab, chat) -> None:
    """Refused for a while, then live again."""
    client = await chat(await lab(f"server-crash:after=0.3,gap={6 * TICK}"))
    await until(lambda: client.ended and client.status.live)
    assert client.ended[0].ending.abort
    assert client.trace.connections[-1].state == "open"


async def test_a_backend_that_never_says_it_is_ready(lab, chat) -> None:
    """The socket opens, the application does not: an attempt that failed, closed by us with 4408."""
    client = await chat(await lab("no-established-message"), live=False, rules={"connect_timeout": 4 * TICK})
    await client.wait(lambda status: status.state is State.BACKOFF)
    ending = client.ended[0].ending
    assert (ending.first, ending.close_code) == ("client", 4408)
    assert "connection_established" in ending.close.reason
    with pytest.raises(ConnectFailed, match="not ready") as failed:
        await client.ready()
    assert failed.value.stage == "established"


async def test_invalid_json_keeps_the_connection(lab, chat) -> None:
    """Noted, and nothing else."""
    client = await chat(await lab("invalid-json:after=0.1"))
    await until(lambda: any(isinstance(event, BadMessageReceived) for event in client.trace))
    reply = await client.send("still there?")
    assert reply.text == "still there?"
    assert client.ended == ()


async def test_a_message_larger_than_the_limit(lab, chat) -> None:
    """We close with 1009, and the client says whose limit it was."""
    client = await chat(await lab("big-frame:size=16777216,after=0.1"))
    await client.wait(lambda status: status.state is State.BACKOFF)
    assert client.ended[0].ending.words.startswith("closed by us: 1009")
    assert "larger than this client accepts" in client.status.because


async def test_no_pong_is_a_dead_peer(chat) -> None:
    """Nothing at all comes after our ping: closed by us with the words of a keepalive."""

    async def talk(guest: Guest) -> None:
        await guest.accept(HELLO)
        await guest.reader.read(1)
        await asyncio.sleep(20 * TICK)

    async with peer(talk) as port:
        client = await chat(f"http://127.0.0.1:{port}", token="opaque")
        await until(lambda: any(isinstance(event, CloseSent) for event in client.trace))
        (close,) = [event for event in client.trace if isinstance(event, CloseSent)]
        assert (close.code, close.reason) == (1011, "keepalive ping timeout")
        await until(lambda: client.ended)


async def test_the_lab_that_answers_no_pings(lab, chat) -> None:
    """Other messages show life as well: a reply in time keeps the connection."""
    client = await chat(await lab("no-pong"), rules={"pong_timeout": 40 * TICK})
    await until(lambda: len(pings(client)) >= 1)
    await client.send("hello")
    await until(lambda: len(pings(client)) >= 2)
    assert client.ended == ()


async def test_a_listener_that_fails_does_not_end_the_client(lab, chat) -> None:
    """A broken callback is a defect of the caller's, not of the connection."""
    client = await chat(await lab())

    def broken(what: str) -> None:
        raise RuntimeError("a view broke")

    heard: list[str] = []
    client.subscribe(broken)
    stop = client.subscribe(heard.append)
    assert (await client.send("hello")).text == "hello"
    await until(lambda: "message" in heard)
    stop()
    assert client.status.live
    assert client.ended == ()
    notes = [event.text for event in client.trace if isinstance(event, Noted)]
    assert notes == ["a listener failed: RuntimeError: a view broke"]


# Life and end


async def test_closing_twice_and_after(lab) -> None:
    """Closing is idempotent, also from two tasks; a closed client refuses to send."""
    house = await lab()
    client = ChatClient(house.url, bot="echo", token=house.token, profile=profile())
    async with client:
        pass
    await client.close()
    await asyncio.gather(client.close(), client.close())
    with pytest.raises(ConnectionEnded, match="not open"):
        client.send("hello")
    with pytest.raises(ConnectionEnded):
        await client.ready()
    other = ChatClient(house.url, bot="echo", token=house.token, profile=profile())
    await other.start()
    await asyncio.gather(other.close(), other.close())
    assert other.status.state is State.CLOSED
    await until(lambda: house.stats.peers == ())


async def test_closing_what_was_never_opened() -> None:
    """Nothing starts in a constructor, so nothing is left."""
    client = ChatClient("http://127.0.0.1:1", bot="echo", token="x")
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await client.close()


async def test_a_given_recorder_stays_open(lab, recorder: Recorder) -> None:
    """Who opened it closes it; two clients may share it."""
    house = await lab()
    for _ in range(2):
        async with ChatClient(house.url, bot="echo", token=house.token, profile=profile(), recorder=recorder):
            pass
    assert [connection.id for connection in recorder.snapshot().connections] == ["1", "2"]
    assert not recorder._closed


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bot": ""}, "no bot is named"),
        ({"user": "ada"}, "both user and password"),
        ({"password": "x"}, "both user and password"),
        ({"policy": "best"}, "no such policy"),
        ({"url": "ftp://h"}, "no URL of a backend"),
        ({"url": "http://h/?token=x"}, "more than a base"),
    ],
)
def test_arguments_that_cannot_work(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    """Refused at once, and no empty recording stays behind."""
    path = tmp_path / "r.jsonl"
    with pytest.raises(InvalidInput, match=words):
        ChatClient(**{"url": "http://h", "bot": "echo", "record_to": path} | options)
    assert not path.exists()


# Secrets


async def test_the_token_is_nowhere(lab, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every logger at DEBUG, the file, every row, every repr: no token, no password, through refusals and refreshes."""
    path = tmp_path / "r.jsonl"
    house = await lab("max-lifetime:age=0.4,how=rst")
    with caplog.at_level(logging.DEBUG):
        client = ChatClient(house.url, bot="echo", user="ada", password=house.password + "-not", profile=profile(), record_to=path)  # fmt: skip
        with pytest.raises(AuthError):
            await client.start()
        await client.close()
        path.unlink()
        secrets = [house.password + "-not"]
        house_token = house.token_for("ada", -5)
        keeper = ChatClient(house.url, bot="echo", user="ada", password=house.password, profile=profile(), record_to=path)  # fmt: skip
        async with keeper as chat:
            await chat.send(f"my password is {house.password}, my token {chat.api.credentials.token}")
            await until(lambda: chat.ended and chat.status.live)
            chat.set_token(house_token)
            await until(lambda: chat.status.state is not State.STABLE)
            await until(lambda: chat.status.live and len(chat.ended) >= 2)
            secrets += [chat.api.credentials.token, chat.api.credentials.refresh_token, house_token]
            shown = [repr(chat), str(chat.trace), chat.explain(), repr(chat.status), str(chat.trace.to_pandas())]
    everything = "\n".join(
        [path.read_text(), *(row.decode() for row in chat.trace.rows), *shown]
        + [record.getMessage() + str(record.exc_text or "") + str(record.args) for record in caplog.records]
        + [caplog.text]
    )
    assert "127.0.0.1" in caplog.text
    for secret in secrets:
        assert secret not in everything
        if secret.count(".") == 2:
            assert secret.split(".")[1] not in everything
            assert secret.split(".")[2] not in everything
    assert "eyJ" not in everything


# Processes

_AT_EXIT = """
import asyncio, sys
import chatkit
chat = chatkit.connect(sys.argv[1], "echo", token=sys.argv[2], record_to=sys.argv[3])
print(chat.status.word, flush=True)
"""


def test_the_end_of_the_interpreter_says_goodbye(tmp_path: Path) -> None:
    """Close 1000 on the wire, and a recording with its end."""
    path = tmp_path / "r.jsonl"
    with chatkit.LabServer() as house:
        done = subprocess.run(
            [sys.executable, "-c", _AT_EXIT, house.url, house.token, str(path)],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "Live\n", "")
    trace = chatkit.load(path)
    assert trace.connections[0].ending.words == "closed by us: 1000"
    assert trace.warnings == ()
    assert any(isinstance(event, TransportEnded) for event in trace)


def test_a_frame_and_a_token_for_the_tests_themselves() -> None:
    """The helpers make what they say."""
    assert frame(Opcode.TEXT, "x") == b"\x81\x01x"
    assert make_jwt(exp=1).count(".") == 2
