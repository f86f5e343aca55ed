"""The relay by itself: what TCP did on one side it does on the other."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from chatkit.errors import InvalidInput, LabError
from chatkit.tap import Hop
from chatkit.tap.lane import MOST_WAITING
from conftest import PATIENCE, until, until_sync

BOTH_WAYS = pytest.mark.parametrize(("one", "other"), [("client", "server"), ("server", "client")])
READING = "frame-drop:share=0"
"""A fault that reads every byte and changes nothing."""
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: k\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


async def upgrade(ends) -> None:
    """A WebSocket between the two ends."""
    await ends.send("client", UPGRADE)
    assert await ends.read("server", len(UPGRADE)) == UPGRADE
    await ends.send("server", SWITCH)
    assert await ends.read("client", len(SWITCH)) == SWITCH


@BOTH_WAYS
async def test_bytes_and_fin_arrive_and_the_other_half_lives(wired, one, other) -> None:
    """Half-close stays half-close, for as long as the other side likes."""
    ends = await wired()
    await ends.send(one, b"last words")
    ends.fin(one)
    assert await ends.read(other, 10) == b"last words"
    assert await ends.ending(other) == "fin"
    await ends.send(other, b"an answer")
    assert await ends.read(one, 9) == b"an answer"
    ends.fin(other)
    assert await ends.ending(one) == "fin"
    await until(lambda: not ends.hop._pairs)


async def test_small_writes_do_not_wait_for_each_other(wired) -> None:
    """On both sides: with Nagle's algorithm the second one waits for a delayed ACK."""
    ends = await wired()
    (pair,) = ends.hop._pairs.values()
    for side in (pair.client, pair.server):
        assert side.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@BOTH_WAYS
async def test_rst_stays_rst(wired, one, other) -> None:
    """And what was sent before it is still heard."""
    ends = await wired()
    await ends.send(one, b"words")
    assert await ends.read(other, 5) == b"words"
    ends.rst(one)
    assert await ends.ending(other) == "rst"
    await until(lambda: not ends.hop._pairs)


@BOTH_WAYS
async def test_rst_after_fin_is_noticed(wired, one, other) -> None:
    """Nobody reads a side that has said FIN."""
    ends = await wired()
    ends.fin(one)
    assert await ends.ending(other) == "fin"
    ends.rst(one)
    await until(lambda: not ends.hop._pairs)
    assert await ends.wrote(other) in ("reset", "pipe")


@BOTH_WAYS
async def test_back_pressure(wired, one, other) -> None:
    """Who is not read is not read from; in the end every byte arrives."""
    ends = await wired(buffer=65_536)
    payload = bytes(range(256)) * (32 << 12)  # 32 MiB
    sending = asyncio.ensure_future(ends.send(one, payload))  # noqa: TID251
    pair = next(iter(ends.hop._pairs.values()))
    target = pair.server if other == "server" else pair.client
    await until(lambda: target.transport.get_write_buffer_size() > 0)
    await asyncio.sleep(0.2)
    # What asyncio reads at a time, and its high-water mark.
    assert target.transport.get_write_buffer_size() <= 262_144 + 65_536
    assert not sending.done()
    assert await ends.read(other, len(payload)) == payload
    await sending


@BOTH_WAYS
async def test_rst_is_noticed_while_the_other_side_is_full(wired, one, other) -> None:
    """Nobody reads a side whose bytes cannot be passed on."""
    ends = await wired(buffer=65_536)
    sending = asyncio.ensure_future(ends.send(one, bytes(32 << 20)))  # noqa: TID251
    pair = next(iter(ends.hop._pairs.values()))
    await until(lambda: (pair.client if one == "client" else pair.server).deaf)
    sending.cancel()
    await asyncio.wait([sending])
    ends.rst(one)
    await until(lambda: not ends.hop._pairs)


async def test_a_delayed_lane_is_bounded_as_well(wired) -> None:
    """Bytes that wait for their time hold their source up."""
    ends = await wired("latency:delay=3600")
    sending = asyncio.ensure_future(ends.send("client", bytes(64 << 20)))  # noqa: TID251
    pair = next(iter(ends.hop._pairs.values()))
    await until(lambda: pair.client.deaf)
    assert pair._lanes["outbound"]._size <= MOST_WAITING + 262_144
    sending.cancel()
    await asyncio.wait([sending])


SIZES = st.lists(st.sampled_from([0, 1, 125, 126, 127, 65_535, 65_536, 70_000]) | st.integers(0, 3000), max_size=40)


@given(sizes=SIZES, cuts=st.lists(st.integers(1, 5000), min_size=1, max_size=20))
def test_frames_of_any_size_pass_untouched(sizes, cuts) -> None:
    """However they are cut into pieces, both ways, with a plan that reads them all."""

    async def relay() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        with listener:
            port = listener.getsockname()[1]
            async with Hop(to=f"http://127.0.0.1:{port}", faults=[READING]) as hop:
                host, at = hop.address.split(":")
                reader, writer = await asyncio.open_connection(host, int(at))
                listener.setblocking(False)
                sock, _ = await asyncio.get_running_loop().sock_accept(listener)
                back, forth = await asyncio.open_connection(sock=sock)
                writer.write(UPGRADE)
                assert await back.readexactly(len(UPGRADE)) == UPGRADE
                forth.write(SWITCH)
                assert await reader.readexactly(len(SWITCH)) == SWITCH
                for source, target, mask in ((writer, back, True), (forth, reader, False)):
                    frames = b"".join(Frame(Opcode.BINARY, bytes(n)).serialize(mask=mask) for n in sizes)

                    async def send(source=source, frames=frames) -> None:
                        position, turn = 0, 0
                        while position < len(frames):
                            source.write(frames[position : position + cuts[turn % len(cuts)]])
                            position += cuts[turn % len(cuts)]
                            turn += 1
                            await source.drain()

                    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
                        group.create_task(send())
                        heard = group.create_task(target.readexactly(len(frames)))
                    assert heard.result() == frames
                writer.close()
                forth.close()

    asyncio.run(relay())


async def test_a_thousand_frames_both_ways(wired) -> None:
    """At the same time."""
    ends = await wired(READING)
    await upgrade(ends)
    up = b"".join(Frame(Opcode.TEXT, b"%d" % n * (n % 50)).serialize(mask=True) for n in range(1000))
    down = b"".join(Frame(Opcode.TEXT, b"%d" % n * (n % 70)).serialize(mask=False) for n in range(1000))
    async with asyncio.TaskGroup() as group:
        group.create_task(ends.send("client", up))
        group.create_task(ends.send("server", down))
        at_server = group.create_task(ends.read("server", len(up)))
        at_client = group.create_task(ends.read("client", len(down)))
    assert at_server.result() == up
    assert at_client.result() == down


@pytest.mark.parametrize(
    "talk",
    [
        [("client", b"\x16\x03\x01\x02\x00 this is no HTTP"), ("server", b"\x00\xff nor is this")],
        [("client", b"POST /a HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody"), ("server", b"HTTP/1.1 204 No\r\n\r\n")],
        [
            ("client", b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
            ("server", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            ("client", b"HEAD /health HTTP/1.1\r\n\r\n"),
            ("server", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
            ("client", b"GET / HTTP/1.1\r\n\r\n"),
            ("server", b"HTTP/1.1 200 OK\r\n\r\nuntil the end"),
        ],
        [
            ("client", UPGRADE),
            ("server", b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
            ("client", UPGRADE),
            ("server", SWITCH),
            ("client", b"\xff\xff these are no frames"),
            ("server", b"\x81\x02ok"),
        ],
        [("client", b"CONNECT a:1 HTTP/1.1\r\n\r\n"), ("server", b"HTTP/1.1 200 OK\r\n\r\n\x00\x01\x02")],
        [("client", b"GET / HTTP/1.1\r\nbroken"), ("client", b"\r\n\r\n and more")],
    ],
    ids=["opaque", "post", "keep-alive", "no frames", "tunnel", "broken head"],
)
async def test_what_is_read_arrives_as_it_was_sent(wired, talk) -> None:
    """Byte for byte, whatever it is."""
    ends = await wired(READING)
    for side, data in talk:
        other = "server" if side == "client" else "client"
        await ends.send(side, data)
        if data.endswith(b"broken"):
            continue  # held until the head is complete
        before = b"GET / HTTP/1.1\r\nbroken" if b"and more" in data else b""
        assert await ends.read(other, len(before + data)) == before + data


async def test_a_held_beginning_arrives_with_the_fin(wired) -> None:
    """Half a head, half a frame."""
    ends = await wired(READING)
    await upgrade(ends)
    await ends.send("client", b"\x81\xfe\x10\x00half")
    ends.fin("client")
    assert await ends.read("server", 100) == b"\x81\xfe\x10\x00half"


async def test_a_server_that_refuses_is_an_rst() -> None:
    """The client was accepted already: an RST is the nearest thing to a refusal."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    async with Hop(to=f"http://127.0.0.1:{port}") as hop:
        host, at = hop.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(at))
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()
        await until(lambda: not hop._pairs)


async def test_leaving_ends_what_is_open(wired) -> None:
    """By FIN, and the port refuses."""
    ends = await wired()
    await ends.hop.shut_here()
    assert await ends.ending("client") == "fin"
    assert await ends.ending("server") == "fin"
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection(*ends.hop.address.split(":"))


def test_on_a_thread_of_its_own() -> None:
    """start() and close(), twice each."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        hop = Hop(to=f"http://127.0.0.1:{server.getsockname()[1]}")
        assert hop.start() is hop.start()
        host, port = hop.address.split(":")
        with socket.create_connection((host, int(port))) as client, server.accept()[0] as other:
            client.sendall(b"words")
            assert other.recv(5) == b"words"
            hop.close()
            hop.close()
            until_sync(lambda: client.recv(1) == b"")


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({"to": "ftp://x"}, "http://host:port"),
        ({"to": "http://x:port"}, "http://host:port"),
        ({"to": "http://x:1/path"}, "http://host:port"),
        ({"to": "http://x:1", "faults": ["slow-reply:delay=1"]}, "does not act on the path"),
        ({"to": "http://x:1", "faults": ["latenzy:delay=1"]}, "did you mean 'latency'"),
    ],
)
def test_what_cannot_work(arguments, fragment) -> None:
    """Said when the hop is made."""
    with pytest.raises(InvalidInput, match=fragment):
        Hop(**arguments)


async def test_a_taken_port(wired) -> None:
    """Said when it opens."""
    ends = await wired()
    host, port = ends.hop.address.split(":")
    with pytest.raises(InvalidInput, match="cannot listen"):
        await Hop((host, int(port)), to="http://127.0.0.1:1").open_here()


def test_a_system_without_filters(monkeypatch) -> None:
    """Is told so when the hop is made."""
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    with pytest.raises(LabError, match="Linux"):
        Hop(to="http://x:1", faults=["packet-loss"])


async def test_tls_ends_at_the_hop(wired) -> None:
    """With the CA trusted, bytes pass and FIN follows close_notify."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        async with Hop(to=f"http://127.0.0.1:{listener.getsockname()[1]}", tls=True) as hop:
            assert hop.url.startswith("https://")
            trust = ssl.create_default_context(cadata=hop.ca_pem)
            host, port = hop.address.split(":")
            loop = asyncio.get_running_loop()
            opening = asyncio.open_connection(host, int(port), ssl=trust)
            async with asyncio.TaskGroup() as group:
                opened = group.create_task(opening)
                accepted = group.create_task(loop.sock_accept(listener))
            (reader, writer), (server, _) = opened.result(), accepted.result()
            with server:
                writer.write(b"words")
                assert await loop.sock_recv(server, 100) == b"words"
                await loop.sock_sendall(server, b"an answer")
                server.shutdown(socket.SHUT_WR)
                assert await asyncio.wait_for(reader.read(), PATIENCE) == b"an answer"
                writer.close()
                assert await asyncio.wait_for(loop.sock_recv(server, 100), PATIENCE) == b""


def test_faults_change_while_it_runs_but_not_what_the_port_speaks() -> None:
    """And only faults of the path are taken."""
    hop = Hop(to="http://127.0.0.1:1", faults=["latency:delay=1"])
    for faults in (["tls-failure"], ["slow-reply:delay=1"]):
        with pytest.raises(InvalidInput):
            hop.set_faults(faults)
    assert [str(fault) for fault in hop.faults] == ["latency:delay=1"]
