"""How a request of Chrome came to its socket: jobs, name resolution, TCP and TLS, gathered from a NetLog's sources.

A request is bound to a job, a job to a connect job and a socket, a connect job to a look-up of the name. Chrome logs
each as a source of its own that names the other one once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from msgspec import Struct, field

from chatkit.formats.netlog_stream import Entry, Params

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


Handler = Callable[[float, Entry, Params], None]
"""What is done with an entry: its time (Unix time, seconds), itself and its parameters."""


class Paths:
    """Follows jobs, look-ups and sockets.

    Args:
        begin: number of the phase in which something begins.
        end: number of the phase in which it ends.
    """

    def __init__(self, begin: int, end: int) -> None:
        self._begin, self._end = begin, end
        self.controllers: Remembered[Controller] = Remembered(Controller)
        self.jobs: Remembered[StreamJob] = Remembered(StreamJob)
        self.sockets: Remembered[Socket] = Remembered(Socket)
        self._connects: Remembered[ConnectJob] = Remembered(ConnectJob)
        self._lookups: Remembered[Lookup] = Remembered(Lookup)
        self._sessions: Remembered[StreamJob] = Remembered(StreamJob)

    def handlers(self) -> dict[str, Handler]:
        """What takes entries of which type."""
        return {
            "HTTP_STREAM_REQUEST_STARTED_JOB": self._job_started,
            "PROXY_RESOLUTION_SERVICE_RESOLVED_PROXY_LIST": self._proxy,
            "SOCKET_POOL_BOUND_TO_CONNECT_JOB": self._job_connect,
            "SOCKET_POOL_BOUND_TO_SOCKET": self._job_socket,
            "HTTP2_SESSION_INITIALIZED": self._session,
            "HTTP2_SESSION_POOL_FOUND_EXISTING_SESSION": self._job_session,
            "HTTP2_SESSION_POOL_IMPORTED_SESSION_FROM_SOCKET": self._job_session,
            "HTTP_STREAM_JOB_HTTP2_SESSION_AVAILABLE": self._job_session,
            "HOST_RESOLVER_MANAGER_JOB": self._lookup,
            "HOST_RESOLVER_MANAGER_JOB_ATTACH": self._lookup_attached,
            "HOST_RESOLVER_DNS_TASK_EXTRACTION_RESULTS": self._lookup_results,
            "HOST_RESOLVER_SYSTEM_TASK": self._lookup_results,
            "TCP_CONNECT": self._tcp,
            "SSL_CONNECT": self._tls,
        }

    def socket_made(self, entry: Entry, params: Params) -> None:
        """A connect job tries an address."""
        if params.source_dependency is not None:
            self._connects[params.source_dependency.id].sockets.append(self.sockets[entry.source.id])

    def _job_started(self, wall: float, entry: Entry, params: Params) -> None:
        if params.source_dependency is not None:
            self.controllers[entry.source.id].jobs.append(self.jobs[params.source_dependency.id])

    def _proxy(self, wall: float, entry: Entry, params: Params) -> None:
        self.controllers[entry.source.id].proxy = proxy_url(params.proxy_info)

    def _job_connect(self, wall: float, entry: Entry, params: Params) -> None:
        if params.source_dependency is not None:
            self.jobs[entry.source.id].connect = self._connects[params.source_dependency.id]

    def _job_socket(self, wall: float, entry: Entry, params: Params) -> None:
        if params.source_dependency is not None:
            self.jobs[entry.source.id].socket = self.sockets[params.source_dependency.id]

    def _session(self, wall: float, entry: Entry, params: Params) -> None:
        if params.source_dependency is not None:
            self._sessions[entry.source.id].socket = self.sockets[params.source_dependency.id]

    def _job_session(self, wall: float, entry: Entry, params: Params) -> None:
        if params.source_dependency is not None and params.source_dependency.id in self._sessions:
            self.jobs[entry.source.id].socket = self._sessions[params.source_dependency.id].socket

    def _lookup(self, wall: float, entry: Entry, params: Params) -> None:
        lookup = self._lookups[entry.source.id]
        if entry.phase == self._begin:
            lookup.began, lookup.host = wall, _bare_host(params.host)
            if params.source_dependency is not None:
                self._connects[params.source_dependency.id].lookup = lookup
        elif entry.phase == self._end:
            lookup.ended, lookup.error = wall, params.net_error
            self._lookups.pop(entry.source.id, None)

    def _lookup_attached(self, wall: float, entry: Entry, params: Params) -> None:
        if params.source_dependency is not None:
            self._connects[entry.source.id].lookup = self._lookups[params.source_dependency.id]

    def _lookup_results(self, wall: float, entry: Entry, params: Params) -> None:
        lookup = self._lookups.get(entry.source.id)
        if lookup is not None and len(lookup.addresses) < MOST_ADDRESSES:
            found = [params.address_list, params.results]
            lookup.addresses += [each for each in addresses(found) if each not in lookup.addresses]

    def _tcp(self, wall: float, entry: Entry, params: Params) -> None:
        socket = self.sockets[entry.source.id]
        if entry.phase == self._begin:
            socket.began = wall
            listed = params.address_list
            socket.peer = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], str) else ""
        else:
            socket.ended, socket.error = wall, params.net_error
            socket.local = params.local_address or params.source_address
            socket.peer = params.remote_address or socket.peer

    def _tls(self, wall: float, entry: Entry, params: Params) -> None:
        socket = self.sockets[entry.source.id]
        if entry.phase == self._begin:
            socket.tls_began = wall
        else:
            socket.tls_ended, socket.tls_error = wall, params.net_error
            socket.version, socket.cipher = params.version, cipher_name(params.cipher_suite)


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


def _bare_host(host: Any) -> str:
    """``chat.example`` of ``https://chat.example`` or ``chat.example:443``."""
    text = host if isinstance(host, str) else ""
    text = text.partition("://")[2] or text
    return text.split("/")[0].rsplit(":", 1)[0] if text.count(":") == 1 else text.split("/")[0]
