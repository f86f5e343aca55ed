"""For each label, what shows that a stack really misbehaves as the label says: seen by a client, without a diagnosis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import httpx

from chatkit.errors import ConnectFailed
from tests.incidents.incident import Among, Between, Incident, Near, Site
from tests.incidents.visitor import PATIENCE, Visitor, api, ask, direct, visit

Check = Callable[[Site, Incident], Awaitable[None]]
SOON = 0.5
"""Seconds after which a message that was not sent on purpose counts as missing."""


async def refusal(site: Site, **options: object) -> ConnectFailed | None:
    """What stops a connection; ``None`` when it opens."""
    try:
        async with visit(site, **options):
            return None
    except ConnectFailed as failed:
        return failed


async def refused(site: Site, **options: object) -> ConnectFailed:
    """The same, which must not be ``None``."""
    failed = await refusal(site, **options)
    assert failed is not None, "it opened"
    return failed


def number(incident: Incident, name: str) -> float:
    """An expected parameter; the lower end of an interval."""
    match incident.expected[name]:
        case Near(value):
            return value
        case Between(low, _):
            return low
        case Among(values):
            (only,) = values
            assert isinstance(only, int | float)
            return only


async def lives(visitor: Visitor) -> None:
    """It answers a ping."""
    before = visitor.count("pong")
    await visitor.says("ping", timestamp="1")
    async with asyncio.timeout(PATIENCE):
        while visitor.count("pong") == before and not visitor.gone:
            await asyncio.sleep(0.02)
    assert not visitor.gone, "it has ended"


async def healthy(site: Site, incident: Incident) -> None:
    """All of the contract that a diagnosis uses, and a connection that lives on, also while it is silent."""
    async with visit(site) as visitor, api(site) as http:
        assert await visitor.hears("connection_established")
        await lives(visitor)
        assert (await http.get("/health")).status_code == 200
        assert (await http.head("/health")).status_code == 405
        assert (await http.get(f"/api/bots/{site.bot}")).status_code == 200
        assert (await http.get("/api/bots/nobody-knows")).status_code == 404
        assert (await http.post(f"/api/conversations/bots/{site.bot}/chat", json={})).status_code == 422
        assert (await ask(site)).status_code == 200
        assert await visitor.hears("chat_response")
        stranger = replace(site, token="garbage")
        assert (await refused(stranger)).status in (401, 403)
        async with api(stranger) as other:
            assert (await other.get(f"/api/bots/{site.bot}")).status_code == 401
        await lives(visitor)


async def idle(site: Site, incident: Incident) -> None:
    """The silent one ends, not before the time-out; the one that pings, or is fed as the rule wants, outlives it."""
    seconds = number(incident, "timeout_s")
    async with visit(site) as silent, visit(site) as talking:
        task = asyncio.get_running_loop().create_task(talking.pings(seconds / 3))
        try:
            ending = await silent.ending()
            await lives(talking)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert ending.first == "server"
    assert ending.age is not None
    assert ending.age > seconds - 0.5


async def lifetime(site: Site, incident: Incident) -> None:
    """It ends although it talks, and a fresh one lives at that moment."""
    async with visit(site) as visitor:
        task = asyncio.get_running_loop().create_task(visitor.pings(0.3))
        ending = await visitor.ending()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert ending.first == "server"
    async with visit(site) as fresh:
        await lives(fresh)


async def token_ends(site: Site, incident: Incident) -> None:
    """A close of its own, then the door is shut for that token."""
    async with visit(site) as visitor:
        ending = await visitor.ending()
    assert ending.close_code in (4001, 4401)
    assert (await refused(site)).status in (401, 403)


async def upgrade_refused(site: Site, incident: Incident) -> None:
    """An HTTP status instead of 101; past the proxy, if there is one, it opens."""
    failed = await refused(site)
    assert failed.stage == "upgrade"
    assert failed.status is not None
    if "status" in incident.expected:
        assert incident.expected["status"].fits(failed.status)
    if incident.label == "redirected":
        assert 300 <= failed.status < 400
    if site.direct_url is not None:
        async with visit(direct(site)) as visitor:
            assert await visitor.hears("connection_established")


async def wrong_accept(site: Site, incident: Incident) -> None:
    """101, and the client does not take it."""
    failed = await refused(site)
    assert (failed.stage, failed.status) == ("upgrade", None)


async def tls(site: Site, incident: Incident) -> None:
    """No TLS, no upgrade."""
    assert (await refused(site)).stage == "tls"


async def scheme(site: Site, incident: Incident) -> None:
    """The other scheme works."""
    assert await refused(site)
    http = "https" if site.url.startswith("http:") else "http"
    async with visit(replace(site, url=http + site.url[site.url.index(":") :])) as visitor:
        assert await visitor.hears("connection_established")


async def nobody_listens(site: Site, incident: Incident) -> None:
    """RST to the SYN."""
    assert (await refused(site)).stage == "tcp"


async def origin(site: Site, incident: Incident) -> None:
    """The own origin is let in, none and another one are not."""
    assert (await refused(site)).status == 403
    assert (await refused(site, origin="https://elsewhere.example.org")).status == 403
    assert await refusal(site, origin=site.url) is None


async def limit(site: Site, incident: Incident) -> None:
    """One more than the limit is turned away at once; those inside stay."""
    inside: list[Visitor] = []
    async with AsyncExitStack() as stack:
        while len(inside) < 10:
            try:
                visitor = await stack.enter_async_context(visit(site))
            except ConnectFailed:
                break
            if not await visitor.hears("connection_established") or visitor.gone:
                break
            inside.append(visitor)
        for visitor in inside:
            await lives(visitor)
    if "limit_connections" in incident.expected:
        assert len(inside) == number(incident, "limit_connections")
    assert 0 < len(inside) < 10


async def rate(site: Site, incident: Incident) -> None:
    """Attempts in a row are refused by a status sooner or later."""
    for _ in range(10):
        failed = await refusal(site)
        if failed is not None:
            assert incident.expected["status"].fits(failed.status)
            return
    raise AssertionError("ten attempts in a row were let in")


async def restarts(site: Site, incident: Incident) -> None:
    """All end, and a new one lives. A server that restarts says so, a proxy cuts."""
    async with visit(site) as one, visit(site) as two:
        endings = [await one.ending(), await two.ending()]
    assert [ending.first for ending in endings] == ["server", "server"]
    code = 1012 if incident.who == ("server",) else 1006
    assert [ending.close_code for ending in endings] == [code, code]
    await comes_back(site)


async def crashes(site: Site, incident: Incident) -> None:
    """All end without a close frame, and the server comes back."""
    async with visit(site) as one, visit(site) as two:
        if "typing" in incident.id:
            await one.says("typing", data={"is_typing": True})
        endings = [await one.ending(), await two.ending()]
    assert [ending.close_code for ending in endings] == [1006, 1006]
    await comes_back(site)


async def comes_back(site: Site) -> None:
    """A new connection is greeted before long."""
    async with asyncio.timeout(PATIENCE):
        while await refusal(site) is not None:
            await asyncio.sleep(0.1)


async def early_ping(site: Site, incident: Incident) -> None:
    """A ping at once is fatal, one after the window is answered."""
    async with visit(site) as hasty, visit(site) as patient:
        assert await patient.hears("connection_established")
        await hasty.says("ping", timestamp="1")
        ending = await hasty.ending()
        await asyncio.sleep(number(incident, "window_s") + 0.3)
        await lives(patient)
    assert ending.close_code == 1006
    assert ending.first == "server"


async def size(site: Site, incident: Incident) -> None:
    """Below the limit it is taken, above it is answered by 1009."""
    most = int(number(incident, "limit_bytes"))
    async with visit(site, compression=None) as visitor:
        await visitor.says("typing", data={"is_typing": False, "pad": "x" * (most - 150)})
        await lives(visitor)
        await visitor.says("typing", data={"is_typing": False, "pad": "x" * (most + 150)})
        assert (await visitor.ending()).close_code == 1009


async def bad_token(site: Site, incident: Incident) -> None:
    """The API refuses the same token."""
    assert (await refused(site)).status in (401, 403)
    async with api(site) as http:
        assert (await http.get(f"/api/bots/{site.bot}")).status_code == 401


async def no_such_bot(site: Site, incident: Incident) -> None:
    """The API takes the token, but not for this bot."""
    assert (await refused(site)).status == 403
    async with api(site) as http:
        assert (await http.get(f"/api/bots/{site.bot}")).status_code == 404


async def replaced(site: Site, incident: Incident) -> None:
    """The second ends the first."""
    async with visit(site) as first:
        await lives(first)
        async with visit(site) as second:
            assert (await first.ending()).close_code == 4009
            await lives(second)


async def copies(site: Site, incident: Incident) -> None:
    """One answer by HTTP, another number of them on the socket."""
    async with visit(site) as visitor:
        await lives(visitor)
        assert (await ask(site)).status_code == 200
        await lives(visitor)
        await asyncio.sleep(SOON)
        assert visitor.count("chat_response") == {"lost-reply": 0, "duplicate-delivery": 2}[incident.label]


async def split(site: Site, incident: Incident) -> None:
    """Some replies reach the socket, some do not: each request has a connection of its own."""
    async with visit(site) as visitor:
        await lives(visitor)
        came: list[bool] = []
        while len(set(came)) < 2 and len(came) < 60:
            before = visitor.count("chat_response")
            assert (await ask(site)).status_code == 200
            await lives(visitor)
            came.append(visitor.count("chat_response") > before)
        assert set(came) == {True, False}


async def mute(site: Site, incident: Incident) -> None:
    """Health and socket are mute together although TCP connects, then both answer again."""
    async with visit(site) as visitor:
        async with asyncio.timeout(PATIENCE):
            while not await _mute_now(site):
                await asyncio.sleep(0.1)
        await lives(visitor)
        async with api(site) as http:
            assert (await http.get("/health")).status_code == 200


async def _mute_now(site: Site) -> bool:
    async with api(site) as http:
        try:
            await http.get("/health", timeout=httpx.Timeout(PATIENCE, read=1.0))
        except httpx.ReadTimeout:
            return True
    return False


async def raises(site: Site, incident: Incident) -> None:
    """One message ends this connection and no other."""
    async with visit(site) as visitor, visit(site) as other:
        await lives(visitor)
        await visitor.says("typing", data={"is_typing": True})
        assert (await visitor.ending()).close_code in (1006, 1011)
        await lives(other)


async def one_worker_dies(site: Site, incident: Incident) -> None:
    """Connections of one worker end without a close frame, others live, and a new one is let in."""
    async with AsyncExitStack() as stack:
        visitors = [await stack.enter_async_context(visit(site)) for _ in range(12)]
        async with asyncio.timeout(PATIENCE):
            while not any(visitor.gone for visitor in visitors):
                await asyncio.sleep(0.1)
        await asyncio.sleep(SOON)
        gone = [visitor for visitor in visitors if visitor.gone]
        assert 0 < len(gone) < len(visitors)
        assert {(await visitor.ending()).close_code for visitor in gone} == {1006}
        for visitor in visitors:
            if not visitor.gone:
                await lives(visitor)


async def no_greeting(site: Site, incident: Incident) -> None:
    """The upgrade works, then nothing."""
    async with visit(site) as visitor:
        assert not await visitor.hears("connection_established", within=3 * SOON)
        assert not visitor.gone


async def health_lies(site: Site, incident: Incident) -> None:
    """Health is bad, the chat is fine."""
    async with api(site) as http, visit(site) as visitor:
        assert (await http.get("/health")).status_code == 503
        await lives(visitor)


CHECKS: dict[str, Check] = {
    "none": healthy,
    "idle-timeout": idle,
    "max-lifetime": lifetime,
    "token-expired": token_ends,
    "upgrade-stripped": upgrade_refused,
    "not-found": upgrade_refused,
    "redirected": upgrade_refused,
    "upstream-unavailable": upgrade_refused,
    "handshake-invalid": wrong_accept,
    "tls-failure": tls,
    "scheme-mismatch": scheme,
    "connection-refused": nobody_listens,
    "origin-rejected": origin,
    "connection-limit": limit,
    "rate-limited": rate,
    "server-restart": restarts,
    "server-crash": crashes,
    "early-ping-abort": early_ping,
    "message-too-big": size,
    "auth-rejected": bad_token,
    "bot-access-denied": no_such_bot,
    "replaced-by-new-session": replaced,
    "duplicate-delivery": copies,
    "lost-reply": copies,
    "multi-worker-split": split,
    "server-blocked-loop": mute,
    "worker-timeout": one_worker_dies,
    "server-error": raises,
    "no-established-message": no_greeting,
    "health-lies": health_lies,
}
"""By label."""
