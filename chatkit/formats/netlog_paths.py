"""How a request of Chrome came to its socket: jobs, name resolution, TCP and TLS, gathered from a NetLog's sources.

A request is bound to a job, a job to a connect job and a socket, a connect job to a look-up of the name. Chrome logs
each as a source of its own that names the other one once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, TypeVar

from msgspec import Struct, field

MOST_SOURCES = 50_000
"""Sources of one kind that are remembered; the oldest are forgotten first."""
MOST_ADDRESSES = 20
"""Addresses of a name that are kept."""

_CIPHERS = {
    0x1301: "TLS_AES_128_GCM_SHA256",
    0x1302: "TLS_AES_256_GCM_SHA384",
    0x1303: "TLS_CHACHA20_POLY1305_SHA256",
    0xC02B: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    0xC02C: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    0xC02F: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    0xC030: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    0xCCA8: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    0xCCA9: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
}
"""Names of the cipher suites that browsers still offer (IANA's TLS registry)."""

T = TypeVar("T")


class Lookup(Struct, eq=False):
    """One name that was looked up."""

    host: str = ""
    began: float | None = None
    ended: float | None = None
    addresses: list[str] = field(default_factory=list)
    error: int = 0


class Socket(Struct, eq=False):
    """One TCP connection, with TLS on it."""

    began: float | None = None
    ended: float | None = None
    local: str = ""
    peer: str = ""
    error: int = 0
    tls_began: float | None = None
    tls_ended: float | None = None
    version: str = ""
    cipher: str = ""
    tls_error: int = 0
    users: list[Any] = field(default_factory=list)
    """WebSockets that live on it; over HTTP/2 there can be several."""


class ConnectJob(Struct, eq=False):
    """What resolves a name and tries its addresses."""

    lookup: Lookup | None = None
    sockets: list[Socket] = field(default_factory=list)


class StreamJob(Struct, eq=False):
    """What gets a request its connection."""

    connect: ConnectJob | None = None
    socket: Socket | None = None

    @property
    def lookup(self) -> Lookup | None:
        return self.connect.lookup if self.connect is not None else None

    @property
    def last_socket(self) -> Socket | None:
        """The socket it got, else the last that was tried."""
        if self.socket is not None or self.connect is None:
            return self.socket
        return self.connect.sockets[-1] if self.connect.sockets else None


class Controller(Struct, eq=False):
    """The jobs of one request."""

    jobs: list[StreamJob] = field(default_factory=list)
    proxy: str | None = None


class Remembered(dict[int, T]):
    """Sources by id, a bounded number of them."""

    def __init__(self, kind: type[T]) -> None:
        super().__init__()
        self._kind = kind

    def __missing__(self, id: int) -> T:
        """The source, new where it was not known."""
        if len(self) >= MOST_SOURCES:
            # Half of them at once: one by one, each would be looked for behind all the gaps before it.
            for old in list(itertools.islice(self, (MOST_SOURCES + 1) // 2)):
                del self[old]
        made = self[id] = self._kind()
        return made


def addresses(results: Any) -> Iterator[str]:
    """Addresses in what a resolver reports, a list of them or nested results, without their ports; a bounded number."""
    waiting, count = [results], 0
    while waiting and count < MOST_ADDRESSES:
        item = waiting.pop(0)
        if isinstance(item, str) and item:
            count += 1
            yield without_port(item)
        elif isinstance(item, list):
            waiting += item[:100]
        elif isinstance(item, dict):
            waiting += [
                item[key] for key in ("address", "endpoints", "ip_endpoints", "endpoint_address") if key in item
            ]


def without_port(address: str) -> str:
    """``127.0.0.1`` of ``127.0.0.1:80``, ``::1`` of ``[::1]:80``."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    host, colon, port = address.rpartition(":")
    return host if colon and ":" not in host and port.isdigit() else address


def cipher_name(number: int) -> str:
    """The suite's name, or its number in hexadecimal."""
    return _CIPHERS.get(number, f"0x{number & 0xFFFF:04x}")


def proxy_url(info: str) -> str | None:
    """``http://proxy:3128`` of ``PROXY proxy:3128;DIRECT``; ``None`` for a direct way."""
    kind, _, place = info.split(";")[0].strip().partition(" ")
    if not place or kind == "DIRECT":
        return None
    scheme = {"PROXY": "http", "SOCKS": "socks4"}.get(kind, kind.lower())
    return f"{scheme}://{place.strip()}"
