"""Opening a connection: every step is an event, every failure names its stage."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chatkit.client import open_connection
from chatkit.client.opening import check_url, find_proxy, is_loopback, resolve, retry_after
from chatkit.deflate import Compression
from chatkit.errors import ConnectFailed, InvalidInput
from chatkit.events import (
    AttemptFailed,
    AttemptStarted,
    NameResolved,
    Opened,
    TcpConnected,
    TlsEstablished,
    TransportEnded,
    UpgradeAnswered,
    UpgradeRequested,
)
from chatkit.recorder import Recorder
from conftest import TICK
from stories import make_jwt

from .conftest import Guest, peer


def kinds(recorder: Recorder) -> list[type]:
    return [type(event) for event in recorder.snapshot()]


def one(recorder: Recorder, kind: type) -> Any:
    (event,) = [event for event in recorder.snapshot() if isinstance(event, kind)]
    return event


async def failing(recorder: Recorder, url: str, **options: Any) -> ConnectFailed:
    """The error of an attempt that must fail, after checking that the record tells the same."""
    with pytest.raises(ConnectFailed) as failed:
        await open_connection(url, recorder, **options)
    error = failed.value
    recorded = one(recorder, AttemptFailed)
    assert (recorded.stage, recorded.status) == (error.stage, error.status)
    assert error.what in recorded.error or recorded.error in error.what
    return error


async def test_every_step_is_an_event(lab, recorder, dial) -> None:
    """TCP, request, answer, open: in this order, each with what it found; an address asks no DNS."""
    house = await lab()
    port = int(house.url.rpartition(":")[2])
    connection = await dial(port, f"/api/ws/chat/echo?token={house.token}", attempt=2)
    trace = recorder.snapshot()
    assert [type(event) for event in trace][:5] == [
        AttemptStarted,
        TcpConnected,
        UpgradeRequested,
        UpgradeAnswered,
        Opened,
    ]
    started, tcp, requested, answered, opened = list(trace)[:5]
    assert (started.attempt, started.proxy) == (2, None)
    assert tcp.peer == f"127.0.0.1:{port}"
    assert requested.key
    assert (answered.status, dict(answered.headers)["Sec-WebSocket-Accept"] != "") == (101, True)
    assert opened.extensions.startswith("permessage-deflate")
    assert {event.connection for event in trace} == {connection.tap.id}
    assert all("[jwt exp=" in text for text in (started.url, requested.target))


async def test_what_is_asked_for_is_sent(recorder, dial) -> None:
    """Extra headers, Origin, subprotocols; no compression when none is wanted; secrets stay out of the record."""

    async def talk(guest: Guest) -> None:
        await guest.accept()
        await guest.silence()

    async with peer(talk) as port:
        headers = [("Authorization", "Bearer opaque-token"), ("X-Test", "1")]
        await dial(port, headers=headers, origin="http://site", compression=None, subprotocols=["chat"])
    fields = dict(one(recorder, UpgradeRequested).headers)
    assert fields["Authorization"] == "[redacted]"
    assert (fields["X-Test"], fields["Origin"], fields["Sec-WebSocket-Protocol"]) == ("1", "http://site", "chat")
    assert "Sec-WebSocket-Extensions" not in fields


async def test_each_message_may_be_compressed_by_itself(lab, recorder, dial) -> None:
    """Both sides forget; the server says so."""
    house = await lab()
    port = int(house.url.rpartition(":")[2])
    await dial(port, f"/api/ws/chat/echo?token={house.token}", compression="deflate-no-context-takeover")
    agreed = Compression.parse(one(recorder, Opened).extensions)
    assert (agreed.client_no_context_takeover, agreed.server_no_context_takeover) == (True, True)


async def test_another_compression_is_refused(recorder) -> None:
    """Before anything is recorded."""
    with pytest.raises(InvalidInput, match="no such compression"):
        await open_connection("ws://127.0.0.1:1/", recorder, compression="brotli")
    assert len(recorder.snapshot()) == 0


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (200, "the upgrade was refused"),
        (401, "the token was refused"),
        (403, "the token is missing, wrong or expired"),
        (404, "the path is wrong"),
        (426, "stripped the Upgrade header"),
        (429, "too many attempts"),
        (500, "the upgrade was refused"),
        (502, "a proxy cannot reach the backend"),
        (503, "no backend ready"),
    ],
)
async def test_a_refused_upgrade(recorder, status: int, meaning: str) -> None:
    """The status, what it may mean, and what the body said."""

    async def talk(guest: Guest) -> None:
        await guest.head()
        guest.writer.write(b'HTTP/1.1 %d No\r\nContent-Length: 16\r\n\r\n{"detail": "no"}' % status)

    async with peer(talk) as port:
        error = await failing(recorder, f"ws://127.0.0.1:{port}/p")
    assert (error.stage, error.status) == ("upgrade", status)
    assert meaning in error.what
    assert error.got == '{"detail": "no"}'
    assert recorder.snapshot().connections[0].state == "refused"
    assert one(recorder, UpgradeAnswered).body == '{"detail": "no"}'
    assert recorder.snapshot().connections[0].ending.words == f"refused: HTTP {status}"


@pytest.mark.parametrize(
    ("user", "ttl", "bot"), [("ada", -5, "echo"), ("mallory", None, "echo"), ("ada", None, "nobody")]
)
async def test_the_lab_refuses_with_403(lab, recorder, user: str, ttl: float | None, bot: str) -> None:
    """Expired token, no permission, no such bot: all look the same on an upgrade."""
    house = await lab()
    error = await failing(recorder, f"{house.ws_url}/api/ws/chat/{bot}?token={house.token_for(user, ttl)}")
    assert (error.stage, error.status) == ("upgrade", 403)


@pytest.mark.parametrize(
    "location",
    ["/other", "ws://127.0.0.1:1/p", "wss://example.org/p", "https://login.example.org/?next=x", "http://[x", ""],
)
async def test_a_redirect_is_told_and_not_followed(recorder, location: str) -> None:
    """A hidden hop to somewhere else is a finding; a login page is the common case."""

    async def talk(guest: Guest) -> None:
        await guest.head()
        guest.writer.write(f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())

    async with peer(talk) as port:
        error = await failing(recorder, f"ws://127.0.0.1:{port}/p")
    assert (error.stage, error.status) == ("upgrade", 302)
    assert f"redirected to {location}" in error.what


async def test_a_redirect_with_a_secret(recorder) -> None:
    """The Location is looked at too."""

    async def talk(guest: Guest) -> None:
        await guest.head()
        guest.writer.write(b"HTTP/1.1 307 X\r\nLocation: /p?token=opaque-opaque\r\nContent-Length: 0\r\n\r\n")

    async with peer(talk) as port:
        error = await failing(recorder, f"ws://127.0.0.1:{port}/p")
    assert "opaque" not in str(error)


async def test_nobody_listens(recorder, unused_tcp_port) -> None:
    """Refused at tcp."""
    error = await failing(recorder, f"ws://127.0.0.1:{unused_tcp_port}/p")
    assert error.stage == "tcp"
    assert "nobody listens" in error.what
    assert kinds(recorder) == [AttemptStarted, AttemptFailed]


async def test_a_name_that_does_not_resolve(recorder) -> None:
    """Refused at dns, and nothing was connected."""

    async def unknown(host: str, port: int) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def nothing(host: str, port: int) -> list[Any]:
        return []

    for resolver in (unknown, nothing):
        with Recorder() as fresh:
            error = await failing(fresh, "ws://no.example/p", resolver=resolver)
            assert (error.stage, kinds(fresh)) == ("dns", [AttemptStarted, AttemptFailed])


async def test_a_resolver_that_hangs(recorder) -> None:
    """The time-out says that DNS took it."""

    async def slow(host: str, port: int) -> list[Any]:
        await asyncio.sleep(3600)
        return []

    error = await failing(recorder, "ws://slow.example/p", resolver=slow, timeout=2 * TICK)
    assert error.stage == "dns"
    assert f"no answer within {2 * TICK:g} s" in error.what


async def test_the_second_address_is_tried(recorder, unused_tcp_port) -> None:
    """All are recorded; the one that answered is the peer."""

    async def talk(guest: Guest) -> None:
        await guest.accept()
        await guest.silence()

    async with peer(talk) as port:

        async def two(host: str, _: int) -> list[Any]:
            return [(socket.AF_INET, ("127.0.0.1", unused_tcp_port)), (socket.AF_INET, ("127.0.0.1", port))]

        connection = await open_connection("ws://two.example/p", recorder, resolver=two)
        connection.abort()
    assert one(recorder, NameResolved).host == "two.example"
    assert one(recorder, TcpConnected).peer == f"127.0.0.1:{port}"


async def test_the_systems_resolver() -> None:
    """Names of this machine have addresses."""
    assert (socket.AF_INET, ("127.0.0.1", 80)) in await resolve("127.0.0.1", 80)


async def test_a_server_that_never_answers(recorder) -> None:
    """The time-out says that the upgrade took it, and the socket is closed."""

    async def talk(guest: Guest) -> None:
        await guest.silence()

    async with peer(talk) as port:
        error = await failing(recorder, f"ws://127.0.0.1:{port}/p", timeout=4 * TICK)
    assert error.stage == "upgrade"


@pytest.mark.parametrize(
    "answer",
    [b"", b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b"HTTP/1.1 101", b"\x00" * 100, b"HTTP/1.1 101 x\r\nno colon\r\n\r\n"],
    ids=["silence", "ssh", "no accept key", "cut off", "zeros", "bad field"],
)  # fmt: skip
async def test_an_answer_that_is_none(recorder, answer: bytes) -> None:
    """Refused at upgrade, without a status."""

    async def talk(guest: Guest) -> None:
        await guest.head()
        guest.writer.write(answer)

    async with peer(talk) as port:
        error = await failing(recorder, f"ws://127.0.0.1:{port}/p")
    assert (error.stage, error.status) == ("upgrade", None)
    assert "not answered properly" in error.what


async def test_cut_during_the_upgrade(recorder) -> None:
    """RST after the request."""

    async def talk(guest: Guest) -> None:
        await guest.head()
        guest.reset()

    async with peer(talk) as port:
        error = await failing(recorder, f"ws://127.0.0.1:{port}/p")
    assert error.stage == "upgrade"
    assert (one(recorder, TransportEnded).how, one(recorder, TransportEnded).by) == ("rst", "server")


async def test_cancelling_an_attempt_leaves_nothing_open(recorder) -> None:
    """The server sees the end; the record says whose wish it was."""
    gone = asyncio.Event()

    async def talk(guest: Guest) -> None:
        await guest.silence()
        gone.set()

    async with peer(talk) as port:
        attempt = asyncio.get_running_loop().create_task(open_connection(f"ws://127.0.0.1:{port}/p", recorder))
        await asyncio.sleep(2 * TICK)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        await asyncio.wait_for(gone.wait(), 5)
    assert one(recorder, AttemptFailed).error == "cancelled by us"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("17", 17),
        (" 17 ", 17),
        ("0", 0),
        ("soon", None),
        ("-5", None),
        ("\xb2", None),
        ("9" * 5000, None),
        ("Mon, 20 Nov 1995 19:12:08 GMT", 0),
        ("Mon, 20 Nov 1995 19:12:08 -0000", 0),
        ("Mon, 99 Nov 1995 19:12:08 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    """Seconds or a date (RFC 9110, section 10.2.3); a date in the past is now, nonsense is nothing."""
    assert retry_after(value) == seconds


def test_retry_after_a_date_to_come() -> None:
    """By our own clock."""
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=100)
    assert 90 < retry_after(format_datetime(soon, usegmt=True)) <= 100


async def test_a_refusal_that_asks_to_wait(recorder) -> None:
    """The wait is a fact of the error."""

    async def talk(guest: Guest) -> None:
        await guest.head()
        guest.writer.write(b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")

    async with peer(talk) as port:
        error = await failing(recorder, f"ws://127.0.0.1:{port}/p")
    assert error.retry_after == 7


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost that nobody signed but itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "localhost.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def greet(guest: Guest) -> None:
    await guest.accept("hello")
    await guest.silence()


async def loopback(host: str, port: int) -> list[Any]:
    return [(socket.AF_INET, ("127.0.0.1", port))]


async def test_tls_with_a_certificate_that_is_trusted(recorder, certificate, server_tls) -> None:
    """Version, cipher, names and the day on which it ends."""
    trusting = ssl.create_default_context(cafile=certificate)
    async with peer(greet, server_tls) as port:
        url = f"wss://localhost:{port}/p"
        connection = await open_connection(url, recorder, ssl_context=trusting, resolver=loopback)
        assert await connection.recv() == "hello"
        connection.abort()
    assert kinds(recorder)[:5] == [AttemptStarted, NameResolved, TcpConnected, TlsEstablished, UpgradeRequested]
    tls = one(recorder, TlsEstablished)
    assert tls.version.startswith("TLSv1.")
    assert (tls.subject, tls.issuer) == ("localhost", "localhost")
    assert 29 < (tls.not_after - recorder.snapshot().epoch) / 86_400 < 31


async def test_tls_with_a_certificate_that_nobody_knows(recorder, server_tls) -> None:
    """Refused by default, at tls."""
    async with peer(greet, server_tls) as port:
        error = await failing(recorder, f"wss://localhost:{port}/p", resolver=loopback)
    assert error.stage == "tls"
    assert "check the certificate" in error.remedy


async def test_tls_with_a_certificate_for_another_name(recorder, certificate, server_tls) -> None:
    """Refused as well."""
    trusting = ssl.create_default_context(cafile=certificate)
    async with peer(greet, server_tls) as port:
        error = await failing(recorder, f"wss://other.example:{port}/p", ssl_context=trusting, resolver=loopback)
    assert error.stage == "tls"


async def test_wss_to_a_plain_port(recorder) -> None:
    """Refused at tls; the remedy says why."""
    async with peer(greet) as port:
        error = await failing(recorder, f"wss://localhost:{port}/p", resolver=loopback, timeout=10 * TICK)
    assert error.stage == "tls"


async def test_wss_to_a_port_that_answers_in_http(lab, recorder) -> None:
    """The usual mistake: https where the backend speaks plain HTTP."""
    house = await lab()
    error = await failing(recorder, house.ws_url.replace("ws:", "wss:") + "/p")
    assert (error.stage, error.remedy) == ("tls", "the port speaks plain HTTP: try ws://")


async def test_ws_to_a_tls_port(recorder, server_tls) -> None:
    """Refused at upgrade; the remedy names both schemes."""
    async with peer(greet, server_tls) as port:
        error = await failing(recorder, f"ws://127.0.0.1:{port}/p")
    assert error.stage == "upgrade"
    assert "ws or wss" in error.remedy


# URLs


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://h/p", "the scheme 'http'"),
        ("h/p", "no scheme"),
        ("", "no scheme"),
        ("ws://", "this is no usable URL|names no host"),
        ("ws:///p", "this is no usable URL|names no host"),
        ("ws://h:port/p", "this is no usable URL"),
        ("ws://h:99999/p", "this is no usable URL"),
        ("ws://h/p#fragment", "this is no usable URL"),
        ("ws://[::1/p", "this is no usable URL"),
    ],
)
def test_a_url_that_cannot_work(url: str, words: str) -> None:
    """Says what was expected."""
    with pytest.raises(InvalidInput, match=words) as refused:
        check_url(url)
    assert "Expected: ws" in str(refused.value)


async def test_a_wrong_url_records_nothing(recorder) -> None:
    """No attempt was made."""
    with pytest.raises(InvalidInput):
        await open_connection("http://h/", recorder)
    assert len(recorder.snapshot()) == 0


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("0.0.0.0", True),
        ("example.org", False), ("10.0.0.1", False), ("127.0.0.1.example.com", False), (None, False), ("", False),
    ],
)  # fmt: skip
def test_is_loopback(host: str | None, local: bool) -> None:
    """A name that only begins like an address is somebody else's."""
    assert is_loopback(host) == local


def test_a_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hidden hop, but never for this machine."""
    for name in ("http_proxy", "https_proxy", "ws_proxy", "wss_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    assert find_proxy("wss://example.org/p") is None
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    assert find_proxy("wss://example.org/p") == "http://proxy.example:3128"
    assert find_proxy("wss://localhost/p") is None


async def test_a_proxy_is_recorded_without_its_password(recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands in the attempt; what it refuses is a refusal of the proxy."""

    async def talk(guest: Guest) -> None:
        assert (await guest.head()).startswith(b"CONNECT backend.example:80")
        guest.writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    async with peer(talk) as port:
        monkeypatch.setenv("http_proxy", f"http://ada:lovelace@127.0.0.1:{port}")
        monkeypatch.setenv("https_proxy", f"http://ada:lovelace@127.0.0.1:{port}")
        error = await failing(recorder, f"ws://backend.example/p?token={make_jwt()}")
    started = one(recorder, AttemptStarted)
    assert started.proxy == f"http://[redacted]@127.0.0.1:{port}"
    assert "lovelace" not in str(error)
    assert error.stage == "upgrade"
