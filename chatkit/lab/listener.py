"""The listening port: bound once, refused or open, and the same again after a crash."""

from __future__ import annotations

import errno
import ipaddress
import socket

from chatkit.errors import LabError


def check_loopback(host: str, i_know: bool) -> None:
    """Refuses to open the lab to other machines.

    Raises:
        LabError: the host is not loopback and nobody said ``i_know``.
    """
    if i_know or is_loopback(host):
        return
    raise LabError(
        f"the lab does not listen on {host}",
        expected="a loopback address: its password is public and its faults are real",
        where="host",
        remedy="leave the host out, or say i_know=True (--i-know) if others shall reach it",
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to that host; names other than ``localhost`` do not count."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bind(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen: connecting to it is refused, and nobody else gets the port.

    Raises:
        LabError: the port is taken, or the address is not ours.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, proto)
    except OSError as error:
        raise LabError(f"the lab cannot use the host {host!r}: {error}", where="host") from error
    try:
        # Without it the connections of a former lab would hold the port for a minute (TIME_WAIT).
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise _cannot_bind(host, port, error) from error
    return sock


def address_of(host: str, sock: socket.socket) -> str:
    """``host:port`` as it stands in a URL."""
    port = sock.getsockname()[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _cannot_bind(host: str, port: int, error: OSError) -> LabError:
    if error.errno == errno.EADDRINUSE:
        return LabError(
            f"port {port} is taken",
            where=f"{host}:{port}",
            remedy="choose another port, or 0 for any free one",
        )
    return LabError(f"the lab cannot listen on port {port}: {error.strerror}", where=f"{host}:{port}")
