"""Every fault of the path, between a real client and a real lab."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import ssl
from contextlib import suppress

import httpx
import pytest
import websockets

from chatkit.tap.hole import supported

from .test_faults import ending

needs_filters = pytest.mark.skipif(not supported(), reason="the kernel has no socket filters")
SILENCE = 0.3
"""Seconds in which something that was stopped would have come."""


async def refused(house) -> httpx.Response | websockets.http11.Response:
    """The answer to an upgrade that is not let in."""
    with pytest.raises(websockets.InvalidStatus) as error:
        await house.enter()
    return error.value.response


async def opened(house, **options) -> websockets.ConnectionClosed:
    """The ending of somebody who listens and does nothing."""
    return await (await house.enter(greeted=False, **options)).end()


# At the door


async def test_upgrade_stripped(house) -> None:
    """The backend sees a plain GET; everything else passes."""
    there = await house("upgrade-stripped")
    answer = await refused(there)
    assert answer.status_code == 404
    assert answer.headers["server"] == "uvicorn"
    assert (await there.client(there.lab.token).get("/api/bots/echo")).status_code == 200
    assert there.lab.stats.attempts == 0


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_upstream_unavailable(house, status) -> None:
    """Upgrade, API and health alike, in the proxy's name; past it all is well."""
    there = await house(f"upstream-unavailable:status={status}")
    answer = await refused(there)
    assert (answer.status_code, answer.headers["server"]) == (status, "nginx")
    for path in ("/health", "/api/bots/echo"):
        plain = await there.client(there.lab.token).get(path)
        assert (plain.status_code, plain.headers["server"]) == (status, "nginx")
        assert f"{status} " in plain.text
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"{there.lab.direct_url}/health")).json() == {"status": "healthy"}


async def test_upstream_unavailable_for_upgrades_only(house) -> None:
    """Health and API pass on the same kind of connection."""
    there = await house("upstream-unavailable:what=upgrade")
    assert (await refused(there)).status_code == 502
    assert (await there.client().get("/health")).status_code == 200


async def test_proxy_connection_limit(house) -> None:
    """The next is let in when one has left."""
    there = await house("proxy-connection-limit:limit=2")
    first, _ = await there.enter(), await there.enter()
    answer = await refused(there)
    assert (answer.status_code, answer.headers["server"]) == (503, "nginx")
    assert (await there.client().get("/health")).status_code == 200
    await first.ws.close()
    await first.ws.wait_closed()
    async with asyncio.timeout(5):
        while there.lab._hop.open > 1:
            await asyncio.sleep(0.01)
    await (await there.enter()).pong()


@pytest.mark.parametrize(("header", "words"), [("accept", "Sec-WebSocket-Accept"), ("extension", "extension")])
async def test_proxy_handshake_invalid(house, header, words) -> None:
    """The client fails the handshake by itself."""
    there = await house(f"proxy-handshake-invalid:header={header}")
    with pytest.raises(websockets.InvalidHandshake, match=words):
        await there.enter()


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("expired", "expired"),
        ("wrong-name", "IP address mismatch"),
        ("self-signed", "self-signed certificate"),
        ("unknown-ca", "unable to get local issuer"),
    ],
)
async def test_tls_failure(house, reason, words) -> None:
    """Where the flaw is not the issuer, the CA can be trusted, so that it is the only one."""
    there = await house(f"tls-failure:reason={reason}")
    assert there.lab.ws_url.startswith("wss://")
    assert bool(there.lab.ca_pem) is (reason in ("expired", "wrong-name"))
    trust = ssl.create_default_context(cadata=there.lab.ca_pem or None)
    with pytest.raises(ssl.SSLCertVerificationError, match=words):
        await there.enter(ssl=trust)


async def test_scheme_mismatch_against_tls(house) -> None:
    """As nginx: 400 in HTTP. With the right scheme it works."""
    there = await house("scheme-mismatch")
    assert there.lab.url.startswith("http://")
    answer = await refused(there)
    assert (answer.status_code, answer.headers["server"]) == (400, "nginx")
    assert "plain HTTP request was sent to HTTPS port" in answer.body.decode()
    trust = ssl.create_default_context(cadata=there.lab.ca_pem)
    url = there.lab.ws_url.replace("ws://", "wss://") + f"/api/ws/chat/echo?token={there.lab.token}"
    async with websockets.connect(url, ssl=trust, proxy=None) as ws:
        assert json.loads(await ws.recv())["type"] == "connection_established"


async def test_scheme_mismatch_against_plain(house) -> None:
    """The client's ClientHello is answered in HTTP."""
    there = await house("scheme-mismatch:expects=http")
    assert there.lab.ws_url.startswith("wss://")
    with pytest.raises(ssl.SSLError):
        await there.enter(ssl=ssl.create_default_context())


# How it ends


async def test_network_reset(house) -> None:
    """RST on both sides; the times follow from the seed, connection by connection."""
    there = await house("network-reset:hazard=20")
    assert [ending(await opened(there)) for _ in range(3)] == ["rst"] * 3
    assert there.lab.stats.aborted == 0


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("fault", ["proxy-max-lifetime:age=0.15", "proxy-idle-timeout:timeout=0.15"])
async def test_timers_of_a_proxy(house, fault, how) -> None:
    """Without a close frame, and without the backend's doing."""
    there = await house(f"{fault},how={how}")
    assert ending(await opened(there)) == how
    assert (await there.client().get("/health")).status_code == 200


@pytest.mark.parametrize(
    ("counts", "keeper", "lives"),
    [
        ("any", "ping", True),
        ("outbound", "ping", True),
        ("inbound", "ping", True),
        ("outbound", "silent", False),
        ("inbound", "unanswered", False),
        ("outbound", "unanswered", True),
    ],
)
async def test_what_keeps_a_proxy_waiting(house, counts, keeper, lives) -> None:
    """Bytes of the direction that counts, of whatever kind."""
    ada = await (await house(f"proxy-idle-timeout:timeout=1,counts={counts}")).enter()
    try:
        for _ in range(8):
            await asyncio.sleep(0.25)
            if keeper == "ping":
                await asyncio.wait_for(await ada.ws.ping(), 2)
            elif keeper == "unanswered":
                await ada.tell("nobody-answers-this")
    except websockets.ConnectionClosed:
        assert not lives
    else:
        assert (ada.ws.state is websockets.State.OPEN) is lives


@needs_filters
async def test_nat_timeout(house) -> None:
    """After the silence nothing arrives either way and nothing is refused; a new connection works."""
    there = await house("nat-timeout:timeout=0.2")
    ada = await there.enter()
    await asyncio.sleep(0.5)
    await ada.tell("ping", timestamp="t")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ada.ws.recv(), SILENCE)
    assert ada.ws.state is websockets.State.OPEN
    info = ada.ws.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    assert int.from_bytes(info[24:28], "little") > 0  # tcpi_unacked (linux/tcp.h)
    assert await (await there.enter()).pong() == []


@needs_filters
@pytest.mark.parametrize("scope", ["all", "one"])
async def test_peer_unreachable(house, scope) -> None:
    """With all, nobody can even connect; when it heals, what was sent arrives."""
    there = await house(f"peer-unreachable:after=0.3,scope={scope},duration=1.5")
    ada = await there.enter()
    await asyncio.sleep(0.6)
    await ada.tell("ping", timestamp="t")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ada.ws.recv(), SILENCE)
    host, port = there.lab.url.removeprefix("http://").split(":")
    if scope == "all":
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.open_connection(host, int(port)), SILENCE)
    else:
        assert (await there.client().get("/health")).status_code == 200
    assert (await ada.hear())["type"] == "pong"


async def test_close_eaten(house) -> None:
    """What the backend ended in order looks like an abort."""
    there = await house("close-eaten", "max-lifetime:age=0.15,how=close")
    assert ending(await opened(there)) == "fin"


@pytest.mark.parametrize("fault", ["close-injected:after=0.6", "close-injected:on=pong,code=4013,reason=enough"])
async def test_close_injected(house, fault) -> None:
    """At an age, or behind a message; the backend sees no close frame of the client."""
    there = await house(fault)
    ada = await there.enter()
    await ada.tell("ping", timestamp="t")
    assert (await ada.hear())["type"] == "pong"
    ended = await ada.end()
    assert ending(ended) == ("close 1008" if "after" in fault else "close 4013")
    assert ended.rcvd.reason == ("closed-by-proxy" if "after" in fault else "enough")


@pytest.mark.parametrize(("how", "seen"), [("rst", "rst"), ("close", "close 1009")])
async def test_proxy_message_too_big(house, how, seen) -> None:
    """Either way; a message of the limit's size passes."""
    there = await house(f"proxy-message-too-big:limit=2000,how={how}")
    ada = await there.enter(compression=None)
    await ada.ws.send(json.dumps("x" * 1998))  # 2000 bytes with its quotes
    assert (await ada.hear())["type"] == "error"
    assert await ada.pong() == []
    await ada.ws.send("x" * 2001)
    assert ending(await ada.end()) == seen
    small = await there.enter(compression=None)
    await there.lab.push("echo", {"type": "notification", "data": "x" * 3000})
    assert ending(await small.end()) == seen


# What happens to messages


@pytest.mark.parametrize(
    ("fault", "answered"),
    [
        ("pongs-muted", True),
        ("pongs-muted:direction=inbound", False),
        ("pongs-muted:kind=ping", False),
        ("pongs-muted:kind=both,direction=both", False),
    ],
)
async def test_pongs_muted_for_the_client(house, fault, answered) -> None:
    """Its own pings; application pings are answered in any case."""
    ada = await (await house(fault)).enter()
    pong = await ada.ws.ping()
    assert await ada.pong() == []
    await asyncio.sleep(0 if answered else SILENCE)
    assert pong.done() is answered


async def test_pongs_muted_for_the_server(house) -> None:
    """Its keepalive gives up although the client answered."""
    there = await house("pongs-muted", ws_ping_interval=0.1, ws_ping_timeout=0.2)
    ended = await opened(there)
    assert ending(ended) == "close 1011"
    assert ended.rcvd.reason == "keepalive ping timeout"


async def test_app_pongs_muted(house) -> None:
    """RFC 6455 pings are answered in any case; other messages arrive although the client decompresses."""
    ada = await (await house("app-pongs-muted")).enter()
    await ada.tell("ping", timestamp="t")
    await asyncio.wait_for(await ada.ws.ping(), 2)
    await ada.tell("session_sync", data={"session_id": "s"})
    assert (await ada.hear())["type"] == "session_synced"


@pytest.mark.parametrize(
    ("fault", "by", "code"),
    [
        ("compression-broken", "client", 1002),
        ("compression-broken:how=rsv1", "client", 1007),
        ("compression-broken:how=header", "client", 1002),
        ("compression-broken:direction=outbound", "server", 1002),
        ("compression-broken:direction=outbound,how=rsv1", "server", 1007),
        ("compression-broken:direction=outbound,how=header", "server", 1002),
    ],
)
async def test_compression_broken(house, fault, by, code) -> None:
    """The reader of the first compressed message gives up; without compression it lives."""
    there = await house(fault)
    ada = await there.enter(greeted=False)
    if by == "server":
        await ada.tell("ping", timestamp="t")
    ended = await ada.end()
    assert (ended.rcvd if by == "server" else ended.sent).code == code
    assert await (await there.enter(compression=None)).pong() == []


async def test_frame_drop(house) -> None:
    """A share of the messages, the same ones with the same seed, and the rest can be inflated."""
    heard = []
    for _ in range(2):
        there = await house("frame-drop:share=0.5,direction=outbound", seed=7)
        ada = await there.enter()
        for n in range(20):
            await ada.tell("ping", timestamp=str(n))
        heard.append([])
        with suppress(TimeoutError):
            while True:
                heard[-1].append(json.loads(await asyncio.wait_for(ada.ws.recv(), SILENCE))["timestamp"])
    assert heard[0] == heard[1]
    assert 4 < len(heard[0]) < 16


async def test_frame_delay(house) -> None:
    """Order stays."""
    ada = await (await house("frame-delay:delay=0.2,share=0.5")).enter()
    for n in range(10):
        await ada.tell("ping", timestamp=str(n))
    assert [(await ada.hear())["timestamp"] for _ in range(10)] == [str(n) for n in range(10)]


async def test_frame_duplicate(house) -> None:
    """Twice each, compressed or not."""
    ada = await (await house("frame-duplicate")).enter()
    assert (await ada.hear())["type"] == "connection_established"
    await ada.tell("ping", timestamp="t")
    assert [(await ada.hear())["type"] for _ in range(2)] == ["pong", "pong"]


async def test_frame_reorder(house) -> None:
    """Pairs change places; one that nothing follows comes late."""
    ada = await (await house("frame-reorder:direction=outbound,wait=0.2")).enter()
    for n in range(4):
        await ada.tell("ping", timestamp=str(n))
    assert [(await ada.hear())["timestamp"] for _ in range(4)] == ["1", "0", "3", "2"]
    assert await ada.pong() == []


@pytest.mark.parametrize(
    ("fault", "by", "code"),
    [
        ("frame-corrupt", "client", 1007),
        ("frame-corrupt:direction=outbound", "server", 1007),
        ("frame-malformed", "client", 1002),
        ("frame-malformed:direction=outbound", "server", 1002),
    ],
)
async def test_broken_frames(house, fault, by, code) -> None:
    """Who reads it closes."""
    ada = await (await house(fault)).enter(greeted=False)
    if by == "server":
        await ada.tell("ping", timestamp="t")
    ended = await ada.end()
    assert (ended.rcvd if by == "server" else ended.sent).code == code


# Noise


@needs_filters
async def test_packet_loss(house) -> None:
    """TCP repairs it. The kernel draws which segments are lost, so one asks until it has lost one."""
    there = await house("packet-loss:share=0.1")
    ada = await there.enter(ping_timeout=None)
    again = 0
    for _ in range(300):
        assert await ada.pong() == []
        info = ada.ws.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        again = int.from_bytes(info[100:104], "little")  # tcpi_total_retrans
        if again:
            break
    assert again > 0


async def test_throttle_and_latency(house) -> None:
    """Everything arrives, in order."""
    there = await house("throttle:rate=200000", "latency:delay=0.01,jitter=0.02")
    ada = await there.enter()
    texts = [random.Random(n).randbytes(3000).hex() for n in range(5)]
    for text in texts:
        await ada.tell("ping", timestamp=text)
    assert [(await ada.hear())["timestamp"] for _ in texts] == texts
    assert (await there.client().get("/health")).status_code == 200
