"""The kernel's view of a connection."""

from __future__ import annotations

import socket
import sys

import pytest

from chatkit.client.tcpinfo import sample
from chatkit.events import TcpInfoSampled


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="TCP_INFO is Linux's")
def test_a_connection_on_loopback() -> None:
    """Plausible numbers in seconds, and all that the event wants."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as client, server.accept()[0] as other:
            other.sendall(b"x")
            client.recv(1)
            info = sample(client)
            assert info is not None
            event = TcpInfoSampled(id="0", at=0, **info)
            assert 0 < event.rtt < 5
            assert 0 <= event.last_data_received < 60
            assert (event.retransmits, event.unacked) == (0, 0)


def test_where_there_is_no_such_thing() -> None:
    """No socket, a closed one, or one of another kind: nothing, not an error."""
    closed = socket.socket()
    closed.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        assert [sample(None), sample(closed), sample(datagrams)] == [None, None, None]
