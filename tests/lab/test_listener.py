"""A bound port refuses until it listens."""

from __future__ import annotations

import socket

import pytest

from chatkit.errors import LabError
from chatkit.lab.listener import address_of, bind, is_loopback


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
    ],
)
def test_loopback(host, loopback) -> None:
    """Addresses by their kind, names only when it is localhost itself."""
    assert is_loopback(host) is loopback


def test_bound_is_not_listening() -> None:
    """Connecting is refused, and nobody else gets the port."""
    with bind("127.0.0.1", 0) as held:
        address = held.getsockname()
        assert address_of("127.0.0.1", held) == f"127.0.0.1:{address[1]}"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        held.listen()
        socket.create_connection(address).close()
        with pytest.raises(LabError, match=f"port {address[1]} is taken"):
            bind(*address)


def test_an_address_that_is_not_ours() -> None:
    """Said with its port."""
    with pytest.raises(LabError, match="cannot listen on port 1234"):
        bind("192.0.2.1", 1234)
