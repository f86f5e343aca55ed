"""What a socket in a hole hears, and what its peer sees."""

from __future__ import annotations

import asyncio
import platform
import socket
from collections.abc import Iterator

import pytest

from chatkit.errors import LabError
from chatkit.faults import make_fault
from chatkit.lab import LabServer
from chatkit.tap.hole import HeldTransport, Hole, check_holes, supported

HOLE = make_fault("black-hole", after=1)
needs_holes = pytest.mark.skipif(not supported(), reason="the kernel has no socket filters")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a TCP connection on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as one, server.accept()[0] as other:
            one.settimeout(0.2)
            other.settimeout(5)
            yield one, other


@needs_holes
def test_nothing_arrives_until_it_heals(pair) -> None:
    """TCP itself sends it again, in order."""
    client, server = pair
    hole = Hole(server)
    client.send(b"one ")
    client.send(b"two")
    server.settimeout(0.2)
    with pytest.raises(TimeoutError):
        server.recv(100)
    hole.close()
    hole.close()
    server.settimeout(5)
    heard = b""
    while len(heard) < 7:
        heard += server.recv(100)
    assert heard == b"one two"


@needs_holes
def test_an_end_in_a_hole_shows_when_it_heals(pair) -> None:
    """Neither FIN nor RST before."""
    client, server = pair
    hole = Hole(server)
    server.close()
    with pytest.raises(TimeoutError):
        client.recv(1)
    hole.close()
    client.settimeout(5)
    assert client.recv(1) == b""


@needs_holes
def test_a_closed_socket_has_no_hole(pair) -> None:
    """An error of the system, and nothing stays open."""
    pair[1].close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        Hole(pair[1])


async def test_writes_wait(pair) -> None:
    """They go out together; after the end of the transport they are dropped."""
    client, server = pair
    server.setblocking(False)
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=server)
    held = HeldTransport(transport)
    held.write(b"one ")
    held.write(b"two")
    with pytest.raises(TimeoutError):
        client.recv(1)
    assert held.release() is transport
    assert client.recv(100) == b"one two"
    held.write(b"lost")
    held.close()
    held.release()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert client.recv(100) == b""


def test_a_system_without_them_says_so_when_the_lab_is_made(monkeypatch) -> None:
    """And when faults are set later; other faults do not mind."""
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    check_holes([make_fault("stuck-typing")])
    for lab in (lambda: LabServer(faults=[HOLE]), lambda: LabServer().set_faults([HOLE])):
        with pytest.raises(LabError) as refused:
            lab()
        assert "Linux" in str(refused.value)
        assert "Darwin" in str(refused.value)


def test_a_kernel_without_filters_says_so(monkeypatch) -> None:
    """Some sandboxes are Linux by name only."""
    monkeypatch.setattr("chatkit.tap.hole._SO_ATTACH_FILTER", -1)
    with pytest.raises(LabError, match="black hole"):
        check_holes([HOLE])
