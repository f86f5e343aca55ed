"""On the way to the server: targets, silence, clients that leave."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest

from chatkit.errors import InvalidInput
from chatkit.tap import reaching
from chatkit.tap.reaching import ClientLeft, address, first_bytes, target_of, unless_left, unreached


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://h:81", ("h", 81, False)),
        ("ws://h/", ("h", 80, False)),
        ("https://[::1]:8443", ("::1", 8443, True)),
        ("wss://h", ("h", 443, True)),
    ],
)
def test_targets(url, target) -> None:
    """The scheme says port and TLS."""
    assert target_of(url) == target


@pytest.mark.parametrize(
    "url",
    ["", "h:80", "ftp://h", "http://", "http://h:0", "http://h:70000", "http://h/path", "ws://u:p@h", "ws://h?x=1"],
)
def test_what_is_no_target(url) -> None:
    """Names what is expected."""
    with pytest.raises(InvalidInput, match="http://host:port"):
        target_of(url)


def test_addresses_as_in_urls() -> None:
    """IPv6 in brackets."""
    assert (address("h", 1), address("::1", 2)) == ("h:1", "[::1]:2")


@pytest.mark.parametrize(
    ("error", "tls", "stage", "fragment"),
    [
        (ConnectionRefusedError(111, "x"), False, "tcp", "refused"),
        (socket.gaierror(-2, "Name or service not known"), False, "dns", "no address"),
        (ssl.SSLCertVerificationError(1, "x"), True, "tls", "certificate is not accepted"),
        (ConnectionResetError(104, "reset"), True, "tls", "no TLS with the server"),
        (ConnectionResetError(104, "reset"), False, "tcp", "not reached"),
        (TimeoutError(110, "x"), False, "tcp", "did not answer for 3.0 s"),
        (ClientLeft("FIN"), False, "tcp", "had not accepted after 3.0 s, when the client gave up by FIN"),
    ],
)
def test_why_it_was_not_reached(error, tls, stage, fragment) -> None:
    """The first step that failed, and a sentence."""
    if isinstance(error, ssl.SSLCertVerificationError):
        error.verify_message = "self-signed certificate"
    found, words = unreached(error, 3.0, tls=tls)
    assert found == stage
    assert fragment in words


def pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection, client first."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        return client, listener.accept()[0]


async def test_the_first_bytes_stay_to_be_read(monkeypatch) -> None:
    """Nothing when nothing comes."""
    monkeypatch.setattr(reaching, "FIRST_BYTES", 0.05)
    client, sock = pair()
    with client, sock:
        assert await first_bytes(sock) == b""
        client.sendall(b"GET /")
        assert await first_bytes(sock) == b"GET /"
        assert sock.recv(10) == b"GET /"


@pytest.mark.parametrize("how", ["FIN", "RST"])
async def test_a_client_that_leaves_ends_the_waiting(monkeypatch, how) -> None:
    """After a FIN the server still has a moment."""
    monkeypatch.setattr(reaching, "LOOK", 0.02)
    monkeypatch.setattr(reaching, "AFTER_FIN", 0.1)
    client, sock = pair()
    cancelled = asyncio.Event()

    async def connect() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with sock:
        if how == "RST":
            reaching_end(client)
        client.close()
        with pytest.raises(ClientLeft, match=how):
            await unless_left(sock, connect())
    assert cancelled.is_set()


def reaching_end(sock: socket.socket) -> None:
    """Lets the end be an RST."""
    from chatkit.tap.side import reset_at_close

    reset_at_close(sock)


async def test_a_client_that_is_half_closed_gets_its_answer(monkeypatch) -> None:
    """The work goes on, and what it raises is raised."""
    monkeypatch.setattr(reaching, "LOOK", 0.02)
    client, sock = pair()

    async def connect() -> None:
        await asyncio.sleep(0.1)

    async def refused() -> None:
        raise ConnectionRefusedError

    with client, sock:
        client.shutdown(socket.SHUT_WR)
        await unless_left(sock, connect())
        with pytest.raises(ConnectionRefusedError):
            await unless_left(sock, refused())
