"""The pre-flight check against a real lab, and against servers that are worse."""

from __future__ import annotations

import asyncio
import html
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import jwt
import pytest

from chatkit.behaviour import Client
from chatkit.errors import InvalidInput, ProfileError
from chatkit.lab import Bot, LabServer
from chatkit.preflight import Check, CheckReport, check, plan
from chatkit.preflight.report import TITLES
from chatkit.profile import Paths, Profile
from chatkit.recorder import Recorder

SECRET = "a-secret-of-at-least-32-bytes-for-tests"
QUICK = Client(stabilise=0.05, pong_timeout=0.3)
ALL = tuple(id for id in TITLES if id not in ("tls", "login"))


@pytest.fixture
async def lab() -> AsyncIterator[Callable[..., Any]]:
    """``await lab("fault", …)`` opens one."""
    async with AsyncExitStack() as stack:

        async def open_lab(*faults: str, **options: Any) -> LabServer:
            return await stack.enter_async_context(LabServer(faults=faults, **options))

        yield open_lab


@asynccontextmanager
async def server(talk: Callable[..., Any], tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that does whatever ``talk(reader, writer)`` does; its port."""
    guests: set[asyncio.Task[None]] = set()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        guest = asyncio.current_task()
        assert guest is not None
        guests.add(guest)
        try:
            with suppress(OSError, EOFError, asyncio.CancelledError):
                await talk(reader, writer)
        finally:
            writer.transport.abort()

    listening = await asyncio.start_server(meet, "127.0.0.1", 0, ssl=tls)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for guest in guests:
            guest.cancel()
        await asyncio.gather(*guests)
        await asyncio.sleep(0.01)  # a transport that was aborted says goodbye on the loop's next turns


def states(report: CheckReport) -> dict[str, str]:
    """Status by id."""
    return {line.id: line.status for line in report.checks}


def well_formed(report: CheckReport, *secrets: str) -> None:
    """What holds for every report."""
    assert [line.id for line in report.checks] == [id for id in TITLES if id in states(report)]
    for line in report.checks:
        assert line.summary
        assert line.status == "pass" or line.remedy, line
    shown = json.dumps(report.to_dict()) + str(report) + repr(report) + report._repr_html_()
    assert not [secret for secret in secrets if secret in shown]
    assert "eyJ" not in shown
    assert "\x1b" not in shown


# The lab


async def test_a_healthy_lab(lab) -> None:
    """All pass; HEAD is a warning, because only GET is routed; pings wait to be asked for."""
    house, seen = await lab(), []
    token = house.token
    report = await check(house.url, bot="echo", token=token, on_check=seen.append)
    well_formed(report, token)
    assert report.ok
    odd = {id: status for id, status in states(report).items() if status != "pass"}
    assert odd == {"health-head": "warning", "ping-application": "not-tried", "ping-protocol": "not-tried"}
    assert report["health-head"].summary.startswith("HEAD 405")
    assert report["health-head"].remedy == "monitor with GET"
    assert "min left" in report["token"].summary
    assert "“Echo”" in report["bot"].summary
    assert tuple(line.id for line in report.checks) == plan(house.url, login=False) == ALL
    assert sorted(seen, key=str) == sorted(report.checks, key=str)
    assert house.stats.chats == 0


async def test_the_documents_shape(lab) -> None:
    """As the interface promises."""
    house = await lab()
    document = json.loads(json.dumps((await check(house.url, bot="echo", token=house.token)).to_dict()))
    assert list(document) == ["schema", "target", "elapsed_s", "checks"]
    assert (document["schema"], document["target"]) == ("chatkit.check/1", house.url)
    assert all(list(line) == ["id", "status", "summary", "remedy", "details"] for line in document["checks"])


async def test_with_a_login(lab) -> None:
    """The login's token is used; the password is nowhere."""
    house = await lab()
    report = await check(house.ws_url, bot="echo", user="ada", password="lab ")
    assert states(report)["login"] == "fail"
    assert "the login failed" in report["upgrade"].summary
    report = await check(house.ws_url, bot="echo", user="ada", password=house.password)
    well_formed(report)
    assert report.ok
    assert report["login"].status == report["token"].status == "pass"


async def test_pings(lab) -> None:
    """Both kinds, after the profile's delay."""
    house = await lab()
    report = await check(house.url, bot="echo", token=house.token, pings=True, profile=Profile(client=QUICK))
    assert states(report)["ping-application"] == states(report)["ping-protocol"] == "pass"
    assert house.stats.app_pings == house.stats.protocol_pings == 1


@pytest.mark.parametrize(
    ("fault", "application", "protocol", "words"),
    [
        ("no-pong", "fail", "pass", "no pong within 0.3 s"),
        ("no-pong:kind=both", "fail", "fail", "no pong within 0.3 s"),
        ("early-ping-abort:window=3,delay=0", "fail", "not-tried", "RST by server"),
        ("max-lifetime:age=0.01,how=fin", "fail", "not-tried", "FIN by server"),
    ],
)
async def test_pings_that_hurt(lab, fault, application, protocol, words) -> None:
    """Unanswered, fatal, or never sent because the connection was gone before."""
    house = await lab(fault)
    report = await check(house.url, bot="echo", token=house.token, pings=True, profile=Profile(client=QUICK))
    well_formed(report)
    assert (states(report)["ping-application"], states(report)["ping-protocol"]) == (application, protocol)
    assert words in report["ping-application"].summary


@pytest.mark.parametrize(
    ("user", "bot", "ttl", "bot_status", "words", "cause"),
    [
        ("ada", "nope", None, 404, "there is no such bot", "bot-access-denied"),
        ("mallory", "echo", None, 403, "it is the permission", "bot-access-denied"),
        ("ada", "echo", -240, 401, "it is the token (expired 4 min ago", "auth-rejected"),
        ("nobody", "echo", None, 401, "the HTTP API refuses it too", "auth-rejected"),
    ],
)
async def test_what_403_means(lab, user, bot, ttl, bot_status, words, cause) -> None:
    """Token and bot tell the meanings apart; what follows the upgrade is not tried."""
    house = await lab()
    token = house.token_for(user, ttl)
    report = await check(house.url, bot=bot, token=token)
    well_formed(report, token)
    assert not report.ok
    assert report["bot"].details["http_status"] == bot_status
    assert (report["upgrade"].status, report["upgrade"].details["http_status"]) == ("fail", 403)
    assert words in report["upgrade"].summary
    assert cause in report["upgrade"].details["may_mean"]
    assert {line.status for line in report.checks[-4:]} == {"not-tried"}
    assert report["token"].status == ("fail" if ttl else "pass")


async def test_no_token(lab) -> None:
    """The three ways stand where it matters."""
    house = await lab()
    report = await check(house.url, bot="echo")
    well_formed(report)
    assert report["token"].status == "fail"
    assert "--token-env" in (report["token"].remedy or "")


async def test_every_token_is_refused_before(lab) -> None:
    """The token looks good, and the API says what it thinks of it."""
    house = await lab("auth-rejected:when=before")
    report = await check(house.url, bot="echo", token=house.token)
    assert (report["token"].status, report["bot"].status, report["upgrade"].status) == ("pass", "fail", "fail")
    assert report["upgrade"].details["may_mean"] == ["auth-rejected"]


async def test_every_token_is_refused_after(lab) -> None:
    """The upgrade works and 4001 comes."""
    house = await lab("auth-rejected:when=after")
    report = await check(house.url, bot="echo", token=house.token)
    well_formed(report)
    assert (report["upgrade"].status, report["established"].status) == ("pass", "fail")
    assert "closed by server: 4001" in report["established"].summary
    assert report["close"].status == "not-tried"


async def test_no_established_message(lab) -> None:
    """Bounded, and the close handshake is tried all the same."""
    house = await lab("no-established-message")
    report = await check(house.url, bot="echo", token=house.token, pings=True)
    assert report["established"].status == "fail"
    assert "no connection_established within" in report["established"].summary
    assert (report["ping-application"].status, report["close"].status) == ("not-tried", "pass")


async def test_health_down(lab) -> None:
    """A failure of its own; the chat works."""
    house = await lab("health-down")
    report = await check(house.url, bot="echo", token=house.token)
    assert report["health-get"].status == report["health-head"].status == "fail"
    assert "GET 503" in report["health-get"].summary
    assert report["close"].status == "pass"
    assert not report.ok


async def test_a_monitor_that_uses_head(lab) -> None:
    """Then 405 is a failure."""
    house = await lab()
    profile = Profile(client=Client(health_method="HEAD"))
    report = await check(house.url, bot="echo", token=house.token, profile=profile)
    assert report["health-head"].status == "fail"


async def test_wrong_paths(lab) -> None:
    """A good token and a good bot leave the path: ASGI answers 403 for an unknown one."""
    house = await lab()
    profile = Profile(paths=Paths(chat_socket="/ws/{bot_id}", health="/healthz"))
    report = await check(house.url, bot="echo", token=house.token, profile=profile)
    assert report["health-get"].status == "fail"
    assert "paths.health" in (report["health-get"].remedy or "")
    assert "paths.chat_socket" in (report["upgrade"].remedy or "")
    assert report["upgrade"].details["may_mean"][0] == "not-found"


async def test_a_token_from_the_future(lab) -> None:
    """Its ``iat`` lies ahead of the server's clock."""
    house = await lab(secret=SECRET)
    now = int(time.time())
    claims = {"sub": "ada", "type": "access", "iat": now + 300, "exp": now + 2000}
    report = await check(house.url, bot="echo", token=jwt.encode(claims, SECRET, algorithm="HS256"))
    assert report["token"].status == "warning"
    assert "clock skew" in report["token"].summary
    assert "NTP" in (report["token"].remedy or "")


async def test_a_hostile_bot(lab) -> None:
    """Names are escaped in HTML, bounded, and without control characters."""

    class Evil(Bot):
        async def reply(self, ask: Any) -> str:
            return ""

    house = await lab(bots=[Evil("<script>alert(1)</script>\x1b]0;x\x07" + "x" * 5000, id="evil")])
    report = await check(house.url, bot="evil", token=house.token)
    well_formed(report)
    assert report.ok
    assert "<script>" not in report._repr_html_()
    assert html.escape("<script>") in report._repr_html_()
    assert all(len(line.summary) <= 300 for line in report.checks)


async def test_the_callers_recorder(lab) -> None:
    """Gets the events and stays open."""
    house, recorder = await lab(), Recorder()
    await check(house.url, bot="echo", token=house.token, recorder=recorder)
    before = len(recorder.snapshot())
    assert before > 5
    assert str(recorder.snapshot().connections[0].ending).startswith("closed by us: 1000")
    recorder.close()
    assert len(recorder.snapshot()) == before + 1


async def test_what_a_listener_raises(lab) -> None:
    """Reaches the caller as it was raised."""
    house = await lab()

    def shut(line: Check) -> None:
        if line.id == "bot":
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        await check(house.url, bot="echo", token=house.token, on_check=shut)


async def test_cancelling_leaves_nothing(lab) -> None:
    """No socket, no task."""
    house = await lab("no-established-message")
    async with asyncio.TaskGroup() as group:
        reached = asyncio.Event()
        task = group.create_task(
            check(
                house.url,
                bot="echo",
                token=house.token,
                on_check=lambda line: reached.set() if line.id == "upgrade" else None,
            )
        )
        await reached.wait()
        task.cancel()
    while house.stats.peers:
        await asyncio.sleep(0.01)
    assert [t for t in asyncio.all_tasks() if "Preflight" in repr(t)] == []


# What is no backend


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1",
        "localhost:8000",
        "",
        "http://",
        "http://[::1",
        "http://a\x00b",
        "http://x/?token=abcdefgh",
        "\ud800",
    ],
)
async def test_urls_that_cannot_work(url) -> None:
    """The first line, no exception."""
    report = await check(url, bot="echo", token="t0ken-abcdef")
    well_formed(report, "t0ken-abcdef", "abcdefgh")
    assert report["url"].status == "fail"
    assert {line.status for line in report.checks[1:]} == {"not-tried"}


async def test_a_proxy_that_cannot_work(monkeypatch) -> None:
    """Named, before anything is sent; --no-proxy is the way out."""
    monkeypatch.setenv("HTTP_PROXY", "gopher://user:hidden-word@127.0.0.1:1")
    report = await check("http://backend.invalid", bot="echo")
    well_formed(report, "hidden-word")
    assert "--no-proxy" in (report["url"].remedy or "")


async def test_a_proxy_does_the_way(monkeypatch) -> None:
    """DNS and TCP are its own; a proxy that is down fails the rest."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://user:hidden-word@127.0.0.1:{port}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        report = await check("http://backend.invalid", bot="echo", token="t0ken-abcdef")
    well_formed(report, "hidden-word", "t0ken-abcdef")
    assert (report["dns"].status, report["tcp"].status) == ("not-tried", "not-tried")
    assert "proxy http://" in report["tcp"].summary
    assert {report[id].status for id in ("health-get", "bot", "upgrade")} == {"fail"}


async def test_nobody_listens() -> None:
    """TCP says so."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        report = await check(f"http://127.0.0.1:{free.getsockname()[1]}", bot="echo")
    well_formed(report)
    assert (report["dns"].status, report["tcp"].status) == ("pass", "fail")
    assert "nobody listens" in report["tcp"].summary
    assert report["upgrade"].summary == "because TCP failed"


async def test_the_name_does_not_resolve() -> None:
    """Nor does anybody look further."""

    async def nowhere(host: str, port: int) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    report = await check("http://nowhere.invalid", bot="echo", resolver=nowhere)
    assert (report["dns"].status, report["tcp"].status) == ("fail", "not-tried")
    assert "does not resolve" in report["dns"].summary


async def test_a_resolver_that_hangs() -> None:
    """Is bounded."""

    async def never(host: str, port: int) -> Any:
        await asyncio.Event().wait()

    report = await check("http://slow.invalid", bot="echo", resolver=never)
    assert report["dns"].status == "fail"
    assert "no answer within 2.0 s" in report["dns"].summary


async def test_a_server_that_says_nothing() -> None:
    """Every line is there, bounded."""

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with server(silence) as port, asyncio.timeout(20):
        report = await check(f"http://127.0.0.1:{port}", bot="echo", token="opaque-token")
    well_formed(report, "opaque-token")
    assert report["tcp"].status == "pass"
    assert {report[id].status for id in ("health-get", "bot", "upgrade")} == {"fail"}
    assert "within" in report["health-get"].summary
    assert report["token"].status == "warning"


async def test_a_server_that_never_stops_talking() -> None:
    """An endless body is cut; nothing grows without bound."""

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while True:
            writer.write(b"[" * 65_536)
            await writer.drain()

    async with server(babble) as port, asyncio.timeout(20):
        report = await check(f"http://127.0.0.1:{port}", bot="echo")
    well_formed(report)
    assert report["bot"].status == "fail"


async def test_a_server_of_another_protocol() -> None:
    """Greets like SSH; the text is shown harmless or not at all."""

    async def ssh(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-Open\x1b[2J\r\n")
        await reader.read()

    async with server(ssh) as port:
        report = await check(f"http://127.0.0.1:{port}", bot="echo")
    well_formed(report)
    assert {report[id].status for id in ("health-get", "bot", "upgrade")} == {"fail"}


async def test_tls_on_a_plain_port(lab) -> None:
    """The TLS line says that the port speaks plain HTTP."""
    house = await lab()
    report = await check(house.url.replace("http", "https"), bot="echo")
    well_formed(report)
    assert report["tls"].status == "fail"
    assert "plain HTTP" in (report["tls"].remedy or "")
    assert report["health-get"].summary == "because TLS failed"


@pytest.mark.parametrize(("trusted", "days", "status"), [(False, 90, "fail"), (True, 90, "pass"), (True, 3, "warning")])
async def test_certificates(lab, tmp_path, monkeypatch, trusted, days, status) -> None:
    """Unknown issuer, good, about to expire; behind a good one the lab is healthy."""
    house = await lab()
    chain = certificate(tmp_path, days)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(chain)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(chain))
    host, port = house.url.removeprefix("http://").split(":")

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection(host, int(port))

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65_536):
                sink.write(data)
            sink.close()

        try:
            await asyncio.gather(pump(reader, outer), pump(inner, writer))
        finally:
            outer.transport.abort()

    async with server(relay, tls) as outside:
        report = await check(f"https://127.0.0.1:{outside}", bot="echo", token=house.token)
    well_formed(report)
    assert report["tls"].status == status
    assert report["tls"].summary.startswith("TLSv1" if trusted else "the TLS handshake failed")


def certificate(folder: Path, days: int) -> Path:
    """A self-signed certificate of 127.0.0.1 with its key."""
    import ipaddress
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lab")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "chain.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


# Misuse


@pytest.mark.parametrize("wrong", [{"bot": ""}, {"bot": "b", "user": "ada"}, {"bot": "b", "password": "x"}])
async def test_misuse(wrong) -> None:
    """Raises, because no line could say it."""
    with pytest.raises(InvalidInput):
        await check("http://127.0.0.1:1", **wrong)


async def test_a_bad_profile(tmp_path) -> None:
    """Raises with key and line."""
    path = tmp_path / "p.toml"
    path.write_text("[client]\nstabilize = 3\n")
    with pytest.raises(ProfileError, match=r"line 2, key client\.stabilize"):
        await check("http://127.0.0.1:1", bot="b", profile=path)
