"""Opening a recorded connection: DNS, TCP, TLS and the upgrade, one by one, each an event or a sentence of its own."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.proxy import get_proxy
from websockets.uri import parse_uri

from chatkit.client.connection import RecordedConnection
from chatkit.errors import ConnectFailed, InvalidInput
from chatkit.events import AttemptFailed, AttemptStarted, NameResolved, TcpConnected, TlsEstablished
from chatkit.policy.reconnect import Loss, explain
from chatkit.recorder import Recorder, WireTap

Address = tuple[int, Any]
"""Address family and socket address, as ``getaddrinfo`` gives them."""
Resolver = Callable[[str, int], Awaitable[Sequence[Address]]]


async def resolve(host: str, port: int) -> list[Address]:
    """The system's resolver; raises ``socket.gaierror``. Cancelling returns at once.

    The look-up runs on a daemon thread of its own: a resolver that hangs would keep the loop's executor, and with it
    the end of the process, waiting for as long as it hangs.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[Address]] = loop.create_future()

    def settle(addresses: list[Address], error: OSError | UnicodeError | None) -> None:
        if found.done():
            return
        if error is None:
            found.set_result(addresses)
        else:
            found.set_exception(error)

    def look_up() -> None:
        addresses: list[Address] = []
        failure: OSError | UnicodeError | None = None
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = [(family, address) for family, _, _, _, address in infos]
        except (OSError, UnicodeError) as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, addresses, failure)

    threading.Thread(target=look_up, name="chatkit dns", daemon=True).start()
    return await found


class Attempt:
    """What an attempt has reached so far; readable while it runs, so that a time-out can say where it struck."""

    def __init__(self, tap: WireTap) -> None:
        self.tap = tap
        self.stage = "dns"


async def open_connection(
    url: str,
    recorder: Recorder,
    *,
    attempt: int = 0,
    headers: Sequence[tuple[str, str]] = (),
    origin: str | None = None,
    compression: str | None = "deflate",
    subprotocols: Sequence[str] | None = None,
    max_size: int | None = 1 << 20,
    proxy: bool = True,
    timeout: float | None = 10.0,
    ping_interval: float | None = None,
    ssl_context: ssl.SSLContext | None = None,
    resolver: Resolver = resolve,
    started: Callable[[str], None] | None = None,
) -> RecordedConnection:
    """Opens a recorded WebSocket connection.

    Args:
        url: ``ws://`` or ``wss://``.
        recorder: where its events go; URL and headers are redacted there.
        attempt: retries before this one, for the record.
        headers: extra request fields.
        origin: value of the ``Origin`` header, ``None`` for no such header.
        compression: ``deflate`` offers permessage-deflate (RFC 7692), ``deflate-no-context-takeover`` asks that each
            message be compressed by itself, ``None`` offers nothing.
        subprotocols: values of ``Sec-WebSocket-Protocol``, preferred first.
        max_size: largest message accepted, bytes; a larger one makes us close with 1009.
        proxy: whether proxies of the environment are used; never for loopback addresses.
        timeout: seconds for all steps together; ``None`` waits for ever.
        ping_interval: seconds between RFC 6455 pings of the library; ``None`` sends none.
        ssl_context: for ``wss``; the default verifies the chain and the name.
        resolver: looks names up.
        started: told the connection's id before anything is sent.

    Raises:
        InvalidInput: not a WebSocket URL, or no such compression.
        ConnectFailed: a step failed; its ``stage`` says which.

    Cancelling closes the socket and loses nothing but the connection. The reader is always drained: the library's
    queue is unbounded, because a debugger that stops reading would be the cause.
    """
    check_url(url)
    compressing = _compressing(compression)
    tap = recorder.wire()
    shown = recorder.redactor.text(url)
    used_proxy = find_proxy(url) if proxy else None
    tap.record(
        AttemptStarted,
        url=shown,
        attempt=attempt,
        proxy=recorder.redactor.text(used_proxy) if used_proxy else None,
    )
    if started is not None:
        started(tap.id)
    progress = Attempt(tap)
    options: dict[str, Any] = {
        "origin": origin,
        "subprotocols": subprotocols,
        "additional_headers": list(headers),
        "max_size": max_size,
        "max_queue": None,
        "ping_interval": ping_interval,
        "close_timeout": 2.0,
        "open_timeout": None,
        "proxy": used_proxy,
        **compressing,
    }
    if ssl_context is not None:
        options["ssl"] = ssl_context
    try:
        async with asyncio.timeout(timeout):
            return await _walk(url, progress, options, resolver)
    except TimeoutError:
        detail = f"no answer within {timeout:g} s"
        tap.record(AttemptFailed, stage=progress.stage, error=detail)
        raise ConnectFailed(
            f"the connection did not come about: {detail}",
            target=shown,
            stage=progress.stage,
            remedy="check that the backend answers: chatkit check URL --bot B",
        ) from None
    except asyncio.CancelledError:
        tap.record(AttemptFailed, stage=progress.stage, error="cancelled by us")
        raise
    except Exception as error:
        failure = explain_failure(error, progress.stage, shown, recorder)
        # The library's own words tell a certificate from plain text, and which header was wrong.
        words = f"{failure.what}: {failure.got}" if failure.status is None and failure.got else failure.what
        tap.record(AttemptFailed, stage=failure.stage, error=recorder.redactor.text(words)[:300], status=failure.status)
        raise failure from None


def _compressing(compression: str | None) -> dict[str, Any]:
    """What the library is told."""
    if compression in (None, "deflate"):
        return {"compression": compression}
    if compression != "deflate-no-context-takeover":
        raise InvalidInput(
            "no such compression", expected="deflate, deflate-no-context-takeover or None", got=compression
        )
    # The same memory as the library takes for "deflate".
    by_itself = ClientPerMessageDeflateFactory(
        client_no_context_takeover=True, server_no_context_takeover=True, compress_settings={"memLevel": 5}
    )
    return {"compression": None, "extensions": [by_itself]}


def check_url(url: str) -> None:
    """Refuses what is no WebSocket URL."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InvalidInput("this is no usable URL", expected="ws://host:port/path", got=str(error)) from None
    if parts.scheme not in ("ws", "wss"):
        raise InvalidInput(
            "this is no WebSocket URL",
            expected="ws://host:port/path or wss://host/path",
            got=f"the scheme {parts.scheme!r}" if parts.scheme else "no scheme",
            remedy="ws for plain, wss for TLS",
        )
    try:
        parse_uri(url)
        host, _ = parts.hostname, parts.port
    except (InvalidURI, ValueError) as error:
        raise InvalidInput(
            "this is no usable URL", expected="ws://host:port/path", got=str(error).partition(" isn't")[2] or str(error)
        ) from None
    if not host:
        raise InvalidInput("the URL names no host", expected="ws://host:port/path", got=parts.netloc)


def is_loopback(host: str | None) -> bool:
    """Whether a host name or address means this machine."""
    if host is None or host == "localhost":
        return host is not None
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False  # a name: 127.0.0.1.example.com is somebody else's machine
    return address.is_loopback or host == "0.0.0.0"


def find_proxy(url: str) -> str | None:
    """The forward proxy that the environment names for a WebSocket URL; ``None`` for none, and for loopback."""
    uri = parse_uri(url)
    return None if is_loopback(uri.host) else get_proxy(uri)


async def _walk(url: str, progress: Attempt, options: dict[str, Any], resolver: Resolver) -> RecordedConnection:
    """DNS, TCP, TLS, upgrade, one after the other."""
    tap = progress.tap
    sock: socket.socket | None = None
    if options["proxy"] is None:
        sock = await _open_socket(url, progress, resolver)
        options["sock"] = sock
    began = time.monotonic()
    progress.stage = "tls" if url.startswith("wss:") else "upgrade"

    def made(transport: asyncio.Transport) -> None:
        if (tls := transport.get_extra_info("ssl_object")) is not None:
            tap.record(TlsEstablished, seconds=round(time.monotonic() - began, 6), **describe_tls(tls))
        progress.stage = "upgrade"

    factory = functools.partial(RecordedConnection, tap=tap, made=made)
    try:
        connection = await connect(url, create_connection=factory, **options)  # type: ignore[arg-type]
    except BaseException:
        if sock is not None:
            sock.close()
        raise
    assert isinstance(connection, RecordedConnection)
    progress.stage = "established"
    return connection


async def _open_socket(url: str, progress: Attempt, resolver: Resolver) -> socket.socket:
    uri = parse_uri(url)
    began = time.monotonic()
    addresses = await resolver(uri.host, uri.port)
    shown = list(dict.fromkeys(str(address[0]) for _, address in addresses))
    if not addresses:
        raise socket.gaierror(socket.EAI_NONAME, "no address")
    if shown != [uri.host]:
        # An address in the URL asked nobody.
        progress.tap.record(NameResolved, host=uri.host, addresses=shown, seconds=round(time.monotonic() - began, 6))
    progress.stage = "tcp"
    sock, address, seconds = await dial(addresses)
    progress.tap.record(TcpConnected, local=_show(sock.getsockname()), peer=_show(address), seconds=round(seconds, 6))
    return sock


async def dial(addresses: Sequence[Address]) -> tuple[socket.socket, Any, float]:
    """A connected socket, whose the caller is from now on, its peer address and the seconds it took.

    Addresses are tried in their order; raises the ``OSError`` of the last. Cancelling closes the socket.
    """
    errors: list[OSError] = []
    for family, address in addresses:
        began = time.monotonic()
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:  # an address family that this machine does not have
            errors.append(error)
            continue
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, address)
        except OSError as error:
            sock.close()
            errors.append(error)
        except BaseException:
            sock.close()
            raise
        else:
            return sock, address, time.monotonic() - began
    raise errors[-1]


def _show(address: Any) -> str:
    return f"[{address[0]}]:{address[1]}" if ":" in str(address[0]) else f"{address[0]}:{address[1]}"


def describe_tls(tls: ssl.SSLObject) -> dict[str, Any]:
    """Version, cipher and the certificate's names and end (Unix time), as ``TlsEstablished`` wants them."""
    certificate = tls.getpeercert() or {}
    cipher = tls.cipher()
    not_after = certificate.get("notAfter")
    return {
        "version": tls.version() or "TLS",
        "cipher": cipher[0] if cipher else "",
        "subject": _name(certificate.get("subject")),
        "issuer": _name(certificate.get("issuer")),
        "not_after": ssl.cert_time_to_seconds(not_after) if isinstance(not_after, str) else None,
    }


def _name(parts: Any) -> str | None:
    names = {key: value for group in parts or () for key, value in group}
    return names.get("commonName") or names.get("organizationName")


def explain_failure(error: Exception, stage: str, target: str, recorder: Recorder) -> ConnectFailed:
    """An exception of the libraries as a sentence with its stage and what to try."""
    fail = functools.partial(ConnectFailed, target=target)
    # A redirect that the library does not follow (to a login page, with a socket of ours) fails with something else,
    # caused by the refusal or raised while it was handled.
    for refused in (error, error.__cause__, error.__context__):
        if isinstance(refused, InvalidStatus):
            return _explain_refusal(refused, fail, recorder)
    text = recorder.redactor.text(str(error)) or type(error).__name__
    if isinstance(error, socket.gaierror | UnicodeError):
        return fail("the host name does not resolve", stage="dns", got=text, remedy="check the name, VPN and DNS")
    if isinstance(error, ssl.SSLError):
        hint = "the port speaks plain HTTP: try ws://" if "WRONG_VERSION" in text.upper() else "check the certificate"
        return fail("the TLS handshake failed", stage="tls", got=text, remedy=hint)
    if isinstance(error, ConnectionRefusedError):
        remedy = "start the server, or correct host and port"
        return fail("nobody listens there: the connection was refused", stage="tcp", remedy=remedy)
    if isinstance(error, InvalidHandshake | EOFError | ConnectionError):
        remedy = "check that the port speaks WebSocket (ws or wss), and any proxy in between"
        return fail("the upgrade was not answered properly", stage=stage, got=_with_cause(error, text), remedy=remedy)
    if isinstance(error, OSError):
        return fail(f"the connection failed: {error.strerror or text}", stage=stage, remedy="check address and network")
    return fail(f"the connection failed: {text}", stage=stage)


def _with_cause(error: Exception, text: str) -> str:
    return f"{text} ({error.__cause__})" if error.__cause__ is not None else text


def _explain_refusal(error: InvalidStatus, fail: Callable[..., ConnectFailed], recorder: Recorder) -> ConnectFailed:
    response = error.response
    status = response.status_code
    meaning = explain(Loss(stage="upgrade", status=status)).partition(": ")[2]
    remedy = "run chatkit check, which asks the HTTP API with the same token"
    # A field that comes twice is answered by its first value.
    location = next(iter(response.headers.get_all("Location")), None)
    if location is not None and 300 <= status < 400:
        meaning, remedy = f"redirected to {recorder.redactor.text(location)}", "use the final URL"
    what = f"the upgrade was refused with HTTP {status}: {meaning}"
    body = recorder.redactor.prefix(bytes(response.body or b"")[:300]).decode("utf-8", "replace").strip()
    wait = retry_after(next(iter(response.headers.get_all("Retry-After")), None))
    return fail(what, stage="upgrade", status=status, retry_after=wait, got=body or None, remedy=remedy)


def retry_after(value: str | None) -> float | None:
    """``Retry-After`` in seconds (RFC 9110, section 10.2.3: seconds or a date); ``None`` without one."""
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,30}", value.strip()):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    # "-0000" gives a date without a zone; HTTP dates are UTC.
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
