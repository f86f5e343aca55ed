"""One recorded connection: its bytes and its end, as the wire shows them."""

from __future__ import annotations

import asyncio
import errno

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode

from chatkit.client.connection import close_quietly, how_ended
from chatkit.events import (
    CloseReceived,
    CloseSent,
    FrameReceived,
    PingReceived,
    PongReceived,
    PongSent,
    TcpInfoSampled,
    TransportEnded,
)
from conftest import TICK, until

from .conftest import Guest, frame, peer


@pytest.mark.parametrize(
    ("error", "peer_fin", "by_us", "ended"),
    [
        (None, True, False, ("fin", "server")),
        (None, True, True, ("fin", "server")),
        (None, False, True, ("local", "client")),
        (None, False, False, ("fin", "server")),
        (ConnectionResetError(), False, False, ("rst", "server")),
        (ConnectionResetError(), True, True, ("rst", "server")),
        (BrokenPipeError(), False, False, ("rst", "server")),
        (ConnectionAbortedError(), False, False, ("rst", "server")),
        (TimeoutError(), False, False, ("timeout", None)),
        (OSError(errno.ETIMEDOUT, "x"), False, False, ("timeout", None)),
        (OSError(errno.EHOSTUNREACH, "x"), False, False, ("timeout", None)),
        (OSError(errno.ENETUNREACH, "x"), True, False, ("timeout", None)),
        (RuntimeError("a defect of ours"), False, False, ("local", "client")),
    ],
    ids=str,
)
def test_the_table(error: Exception | None, peer_fin: bool, by_us: bool, ended: tuple[str, str | None]) -> None:
    """Who ended a transport, and how, from what asyncio tells."""
    assert how_ended(error, peer_fin, by_us) == ended


async def end_of(recorder) -> TransportEnded:
    """The end of the connection, once it is recorded."""
    await until(lambda: any(isinstance(event, TransportEnded) for event in recorder.snapshot()))
    return next(event for event in recorder.snapshot() if isinstance(event, TransportEnded))


async def test_fin_of_the_server(recorder, dial) -> None:
    """No close frame: what a browser calls 1006."""

    async def talk(guest: Guest) -> None:
        await guest.accept("hello")

    async with peer(talk) as port:
        connection = await dial(port)
        assert await connection.recv() == "hello"
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        ended = await end_of(recorder)
    assert (ended.how, ended.by) == ("fin", "server")
    ending = recorder.snapshot().connections[0].ending
    assert (ending.abort, ending.close_code, ending.words) == (True, 1006, "FIN by server, no close frame")


async def test_rst_of_the_server(recorder, dial) -> None:
    """Also an abort, and told apart from FIN."""

    async def talk(guest: Guest) -> None:
        await guest.accept("hello")
        guest.reset()

    async with peer(talk) as port:
        await dial(port)
        ended = await end_of(recorder)
    assert (ended.how, ended.by) == ("rst", "server")
    assert "reset" in ended.error.lower()
    assert recorder.snapshot().connections[0].ending.words == "RST by server"


async def test_a_close_frame_of_the_server(lab, recorder, dial) -> None:
    """Received, answered, then its FIN."""
    house = await lab()
    connection = await dial(int(house.url.rpartition(":")[2]), f"/api/ws/chat/echo?token={house.token}")
    await connection.recv()
    house.cut("close", code=1012, reason="restart")
    with pytest.raises(ConnectionClosed):
        await connection.recv()
    await end_of(recorder)
    trace = recorder.snapshot()
    closes = [(type(e), e.code, e.reason) for e in trace if isinstance(e, CloseSent | CloseReceived)]
    assert closes == [(CloseReceived, 1012, "restart"), (CloseSent, 1012, "restart")]
    ending = trace.connections[0].ending
    assert (ending.first, ending.words, ending.transport.by) == ("server", "closed by server: 1012 “restart”", "server")


async def test_our_own_close(lab, recorder, dial) -> None:
    """Sent, answered; the server ends the transport, as RFC 6455 wants it."""
    house = await lab()
    connection = await dial(int(house.url.rpartition(":")[2]), f"/api/ws/chat/echo?token={house.token}")
    await connection.close(1000, "bye")
    ended = await end_of(recorder)
    ending = recorder.snapshot().connections[0].ending
    assert (ending.first, ending.words, ending.clean) == ("client", "closed by us: 1000 “bye”", True)
    assert (ended.how, ended.by) == ("fin", "server")


async def test_our_own_abort(recorder, dial) -> None:
    """Cut by us, without a close frame."""

    async def talk(guest: Guest) -> None:
        await guest.accept()
        await guest.silence()

    async with peer(talk) as port:
        connection = await dial(port)
        connection.abort()
        ended = await end_of(recorder)
    assert (ended.how, ended.by) == ("local", "client")
    assert recorder.snapshot().connections[0].ending.words == "cut by us"


@pytest.mark.slow
async def test_a_peer_that_does_not_answer_our_close(recorder, dial) -> None:
    """After two seconds we end the transport ourselves."""

    async def talk(guest: Guest) -> None:
        await guest.accept()
        await asyncio.sleep(3600)

    async with peer(talk) as port:
        await close_quietly(await dial(port), 1000, "bye")
        ended = await end_of(recorder)
    assert (ended.how, ended.by) == ("local", "client")
    assert recorder.snapshot().connections[0].ending.words == "closed by us: 1000 “bye”"


@pytest.mark.slow
@pytest.mark.parametrize("last", [frame(Opcode.CLOSE, b"\x03\xe8"), b"\xff\xff"], ids=["close frame", "violation"])
async def test_a_peer_that_says_goodbye_and_stays(recorder, dial, last: bytes) -> None:
    """A reader is not held for ever: two seconds after the last word we end the transport."""

    async def talk(guest: Guest) -> None:
        await guest.accept(last)
        await asyncio.sleep(3600)

    async with peer(talk) as port, asyncio.timeout(10):
        connection = await dial(port)
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        ended = await end_of(recorder)
    assert (ended.how, ended.by) == ("local", "client")


async def test_closing_quietly_what_is_gone(recorder, dial) -> None:
    """No exception, also twice."""

    async def talk(guest: Guest) -> None:
        await guest.accept()
        guest.reset()

    async with peer(talk) as port:
        connection = await dial(port)
        await end_of(recorder)
        await close_quietly(connection)
        await close_quietly(connection)


async def test_bytes_that_break_the_protocol(recorder, dial) -> None:
    """Read as such, and answered with 1002 by the library."""

    async def talk(guest: Guest) -> None:
        await guest.accept(b"\xff\xff\xff\xff")
        await guest.reader.read(1)

    async with peer(talk) as port:
        connection = await dial(port)
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        await end_of(recorder)
    trace = recorder.snapshot().select(kinds={"ProtocolFailed", "CloseSent"})
    assert [str(event).partition(":")[0] for event in trace] == [
        "protocol broken by server",
        "sent close 1002 “invalid opcode”",
    ]


async def test_a_message_larger_than_we_accept(recorder, dial) -> None:
    """16 MiB: its beginning is recorded, and that it was us who closed, with 1009."""
    body = "x" * (16 << 20)

    async def talk(guest: Guest) -> None:
        await guest.accept(frame(Opcode.TEXT, body))
        await guest.reader.read(1)

    async with peer(talk) as port:
        connection = await dial(port)
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        await end_of(recorder)
    ending = recorder.snapshot().connections[0].ending
    assert (ending.first, ending.close_code) == ("client", 1009)
    assert ending.words.startswith("closed by us: 1009 “")
    (big,) = [event for event in recorder.snapshot() if isinstance(event, FrameReceived)]
    assert (big.size, len(big.text), big.digest is not None) == (len(body), 4096, True)


async def test_who_answers_pings_when_nobody_reads(recorder, dial) -> None:
    """The socket is drained whoever reads: a thousand unread messages stop no pong."""
    ponged = asyncio.Event()

    async def talk(guest: Guest) -> None:
        await guest.accept(*(f'{{"n": {n}}}' for n in range(1000)), frame(Opcode.PING, b"there?"))
        await guest.reader.readexactly(2 + 4 + 6)
        ponged.set()
        await guest.silence()

    async with peer(talk) as port:
        connection = await dial(port)
        await asyncio.wait_for(ponged.wait(), 5)
        trace = recorder.snapshot()
        assert sum(isinstance(event, FrameReceived) for event in trace) == 1000
        ping, pong = [event for event in trace if isinstance(event, PingReceived | PongSent)]
        assert ping.payload == pong.payload == b"there?".hex()
        assert pong.delay is not None
        assert connection.last_received <= asyncio.get_running_loop().time()


async def test_a_ping_of_ours_has_its_round_trip(lab, recorder, dial) -> None:
    """Measured on the wire."""
    house = await lab()
    connection = await dial(int(house.url.rpartition(":")[2]), f"/api/ws/chat/echo?token={house.token}")
    await asyncio.wait_for(await connection.ping(b"now"), 5)
    (pong,) = [event for event in recorder.snapshot() if isinstance(event, PongReceived)]
    assert 0 < pong.rtt < 5
    connection.sample_tcp()
    assert any(isinstance(event, TcpInfoSampled) for event in recorder.snapshot())


async def test_the_library_pings_only_when_it_is_told_to(recorder, dial) -> None:
    """An investigation must know who pings."""

    async def talk(guest: Guest) -> None:
        await guest.accept()
        await guest.silence()

    async with peer(talk) as port:
        await dial(port)
        await dial(port, ping_interval=TICK)
        await until(lambda: recorder.snapshot().connection("2").pings_out)
    assert recorder.snapshot().connection("1").pings_out == 0
