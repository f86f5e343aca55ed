"""Incidents of the lab: each a fault's text (``chatkit lab --list-faults``), or benign noise."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import httpx
import websockets

from chatkit.lab.users import PASSWORD
from tests.incidents import stacks
from tests.incidents.incident import NONE, Expected, Incident, Near, Site, among, drawn
from tests.incidents.processes import meanwhile

SERVER, CLIENT, RULE = ("server",), ("client",), ("server", "proxy")
COLLEAGUE = "grace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A lab with one fault."""

    name: str
    fault: str
    label: str
    who: tuple[str, ...] = SERVER
    expected: dict[str, Expected] = field(default_factory=dict)
    minimum_s: float = 0.0
    options: tuple[str, ...] = ()


def lab_incidents(seed: int) -> Iterator[Incident]:
    """All of one seed."""
    chance = drawn("lab", seed)
    for case in cases(chance):
        yield Incident(
            id=f"lab/{case.name}",
            stack="lab",
            seed=seed,
            label=case.label,
            who=case.who,
            start=partial(stacks.lab, case.fault, seed=seed),
            expected=case.expected,
            minimum_s=case.minimum_s,
            options=case.options,
        )
    yield _quiet(seed, "head-health", stacks.lab, "health-method-mismatch", ("client",), ("--health-method", "HEAD"))
    yield _quiet(seed, "healthy", stacks.lab)
    yield _quiet(seed, "healthy-slow-replies", partial(stacks.lab, f"slow-reply:delay={chance.uniform(0.5, 1.5):.1f}"))
    yield _quiet(seed, "healthy-colleague-chats", partial(_beside, _chats))
    yield _quiet(seed, "healthy-other-bot-comes-and-goes", partial(_beside, _comes_and_goes))


def cases(chance: random.Random) -> Iterator[Case]:
    """Every fault that is a cause, with parameters of its own for each seed."""
    yield from at_the_door(chance)
    yield from early(chance)
    yield from timers(chance)
    yield from frames(chance)
    yield from ends_of_servers(chance)
    yield from chats(chance)


def at_the_door(chance: random.Random) -> Iterator[Case]:
    """Refused, or turned away at once."""
    yield Case(
        name="auth-before", fault=f"auth-rejected:status={chance.choice([401, 403])}", label="auth-rejected", who=CLIENT
    )
    code = chance.choice([4001, 4401, 1008])
    yield Case(name="auth-after", fault=f"auth-rejected:when=after,code={code}", label="auth-rejected", who=CLIENT)
    status = chance.choice([403, 404])
    for when in ("before", "after"):
        fault = f"bot-access-denied:bot={stacks.BOT},when={when},api={status}"
        bot: dict[str, Expected] = {"bot_status": among(status)}
        yield Case(name=f"bot-denied-{when}", fault=fault, label="bot-access-denied", who=CLIENT, expected=bot)
    # A server that refuses only a foreign origin is right to do so: that is no fault.
    for refuse in ("missing", "both"):
        fault = f"origin-rejected:refuse={refuse},status={chance.choice([400, 403])}"
        yield Case(name=f"origin-{refuse}", fault=fault, label="origin-rejected", who=("client", "server"))
    status = chance.choice([403, 404])
    found: dict[str, Expected] = {"status": among(status)}
    yield Case(
        name="not-found", fault=f"not-found:status={status}", label="not-found", who=("client", "proxy"), expected=found
    )
    for how in ("refuse", "other"):
        fault = f"subprotocol-mismatch:how={how}"
        yield Case(name=f"subprotocol-{how}", fault=fault, label="subprotocol-mismatch", who=CLIENT)
    for to in ("slash", "https", "login"):
        fault = f"redirected:to={to},status={chance.choice([301, 302, 307, 308])}"
        yield Case(name=f"redirected-{to}", fault=fault, label="redirected", who=("proxy",))
    skew = chance.choice([-1, 1]) * chance.randint(2400, 7200)
    off: dict[str, Expected] = {"skew_s": Near(skew)}
    yield Case(name="clock-skew", fault=f"clock-skew:skew={skew}", label="clock-skew", expected=off)
    yield Case(name="never-upgraded", fault="handshake-timeout", label="handshake-timeout", minimum_s=10.0)
    for header in ("accept", "upgrade", "extension"):
        fault = f"handshake-invalid:header={header}"
        yield Case(name=f"bad-{header}", fault=fault, label="handshake-invalid", who=("server", "proxy"))
    status = chance.choice([429, 503])
    refused: dict[str, Expected] = {"status": among(status)}
    yield Case(name="overload", fault=f"overload:status={status}", label="rate-limited", expected=refused)
    fault = f"upgrade-rate:limit={chance.randint(2, 4)},window={chance.randint(8, 15)},status={status}"
    yield Case(name="upgrade-rate", fault=fault, label="rate-limited", expected=refused)
    limit = chance.randint(2, 5)
    most: dict[str, Expected] = {"limit_connections": among(limit)}
    for when in ("before", "after"):
        for scope in ("all", "user"):
            fault = f"connection-limit:limit={limit},when={when},scope={scope}"
            yield Case(name=f"limit-{scope}-{when}", fault=fault, label="connection-limit", expected=most)
    yield Case(name="upgrades-down", fault="service-down:what=upgrade", label="health-lies")
    yield Case(name="chat-down", fault="service-down:what=chat", label="health-lies")


def early(chance: random.Random) -> Iterator[Case]:
    """Trouble within the first seconds."""
    for ping, told in (("both", "both"), ("app", "application"), ("protocol", "protocol")):
        window = round(chance.uniform(1, 4), 1)
        fault = f"early-ping-abort:window={window},how={chance.choice(['rst', 'fin'])},ping={ping}"
        expected: dict[str, Expected] = {"window_s": Near(window), "ping": among(told)}
        yield Case(
            name=f"early-ping-{ping}", fault=fault, label="early-ping-abort", expected=expected, minimum_s=window
        )
    yield Case(name="no-greeting", fault="no-established-message", label="no-established-message")
    yield Case(name="closed-at-once", fault="accept-then-close", label="server-error", expected={"code": among(1011)})
    for how in ("close", "rst"):
        scope = chance.choice(["user", "bot", "token"])
        fault = f"replaced-by-new-session:scope={scope},how={how}"
        yield Case(name=f"replaced-{how}", fault=fault, label="replaced-by-new-session")


def timers(chance: random.Random) -> Iterator[Case]:
    """Ended by a rule, after a time."""
    for counts in ("any", "inbound", "outbound", "data-frames", "app-ping", "protocol-ping"):
        idle = round(chance.uniform(3, 6), 1)
        fault = f"idle-timeout:timeout={idle},counts={counts},how={chance.choice(['fin', 'rst', 'close'])}"
        expected: dict[str, Expected] = {"timeout_s": Near(idle), "counts": among(counts)}
        yield Case(
            name=f"idle-{counts}", fault=fault, label="idle-timeout", who=RULE, expected=expected, minimum_s=idle
        )
    for how in ("fin", "rst", "close"):
        age = round(chance.uniform(4, 9), 1)
        fault = f"max-lifetime:age={age},how={how}"
        yield Case(
            name=f"age-{how}", fault=fault, label="max-lifetime", who=RULE, expected={"age_s": Near(age)}, minimum_s=age
        )
    for how in ("close", "rst"):
        ttl = round(chance.uniform(9, 12), 1)
        yield Case(
            name=f"token-expired-{how}",
            fault=f"token-expired:after={ttl},how={how}",
            label="token-expired",
            minimum_s=ttl,
        )
    after = round(chance.uniform(3, 5), 1)
    yield Case(name="hole", fault=f"black-hole:after={after}", label="nat-timeout", who=("network",), minimum_s=after)
    yield Case(
        name="no-pong", fault="no-pong:kind=both", label="keepalive-timeout", who=("client", "server"), minimum_s=5.0
    )


def frames(chance: random.Random) -> Iterator[Case]:
    """Ended by, or at, one frame."""
    after = round(chance.uniform(1, 3), 1)
    for what in ("opcode", "rsv", "fragment"):
        fault = f"protocol-error:what={what},after={after}"
        yield Case(name=f"bad-frame-{what}", fault=fault, label="protocol-error", minimum_s=after)
    yield Case(name="bad-utf8", fault=f"invalid-utf8:after={after}", label="invalid-utf8", minimum_s=after)
    code = chance.choice([1008, 4100])
    fault = f"policy-violation:after={after},code={code}"
    yield Case(name="policy", fault=fault, label="policy-violation", expected={"code": among(code)}, minimum_s=after)
    for how in ("close", "rst"):
        most = chance.choice([1024, 8192, 65_536])
        size: dict[str, Expected] = {"limit_bytes": Near(most)}
        fault = f"message-too-big:limit={most},how={how}"
        yield Case(name=f"too-big-{how}", fault=fault, label="message-too-big", expected=size, options=("--intrusive",))
    yield Case(name="too-big-for-us", fault="big-frame", label="client-message-limit", who=CLIENT)
    yield Case(name="not-json", fault=f"invalid-json:after={after}", label="wrong-contract", minimum_s=after)
    for on in ("typing", "session_sync"):
        fault = f"server-error:on={on},how={chance.choice(['close', 'rst', 'fin'])}"
        yield Case(name=f"error-on-{on}", fault=fault, label="server-error")


def ends_of_servers(chance: random.Random) -> Iterator[Case]:
    """All connections, or those of a worker, at once."""
    after, gap = round(chance.uniform(6, 10), 1), round(chance.uniform(1, 3), 1)
    yield Case(name="crash", fault=f"server-crash:after={after},gap={gap}", label="server-crash", minimum_s=after + gap)
    code = chance.choice([1001, 1012])
    once = f"server-restart:after={after},gap={gap},code={code}"
    yield Case(
        name="restart", fault=once, label="server-restart", expected={"code": among(code)}, minimum_s=after + gap
    )
    period = round(chance.uniform(8, 11), 1)
    again = f"server-restart:after={after},gap={gap},code={code},period={period}"
    expected: dict[str, Expected] = {"period_s": Near(period)}
    yield Case(name="restarts", fault=again, label="server-restart", expected=expected, minimum_s=after + period)
    killed = f"worker-timeout:after={after},workers={chance.randint(2, 3)},period={period},how={chance.choice(['fin', 'rst'])}"
    yield Case(name="worker-killed", fault=killed, label="worker-timeout", minimum_s=after)
    lasts = round(chance.uniform(3, 5), 1)
    stall = f"stall:after={after},duration={lasts}"
    yield Case(name="stall", fault=stall, label="server-blocked-loop", minimum_s=after + lasts)
    mute: dict[str, Expected] = {"mute_s": Near(lasts), "period_s": Near(period)}
    stalls = f"{stall},period={period}"
    yield Case(
        name="stalls", fault=stalls, label="server-blocked-loop", expected=mute, minimum_s=after + period + lasts
    )


def chats(chance: random.Random) -> Iterator[Case]:
    """The connection lives, the chat does not."""
    delay = round(chance.uniform(6, 10), 1)
    slow: dict[str, Expected] = {"latency_s": Near(delay)}
    yield Case(name="slow-reply", fault=f"slow-reply:delay={delay}", label="slow-reply", expected=slow, minimum_s=delay)
    yield Case(name="twice", fault="duplicate-delivery", label="duplicate-delivery", expected={"copies": among(2)})
    yield Case(name="typing-stuck", fault="stuck-typing", label="stuck-typing")
    yield Case(name="reply-lost", fault="lost-reply", label="lost-reply", expected={"share_lost": Near(1.0)})
    workers = chance.randint(2, 4)
    split = f"multi-worker-split:workers={workers}"
    yield Case(name="split", fault=split, label="multi-worker-split", expected={"workers": among(workers)})
    yield Case(name="health-down", fault="health-down", label="health-lies")


Starting = Callable[[], AbstractAsyncContextManager[Site]]


def _quiet(
    seed: int,
    name: str,
    start: Starting,
    label: str = NONE,
    who: tuple[str, ...] = (),
    options: tuple[str, ...] = (),
) -> Incident:
    return Incident(id=f"lab/{name}", stack="lab", seed=seed, label=label, who=who, start=start, options=options)


@asynccontextmanager
async def _beside(deed: Callable[[Site, str], AbstractAsyncContextManager[None]]) -> AsyncIterator[Site]:
    """A healthy lab, and somebody else on it."""
    async with stacks.lab() as site, httpx.AsyncClient(base_url=site.url, trust_env=False) as http:
        login = await http.post("/api/auth/login", json={"username": COLLEAGUE, "password": PASSWORD})
        async with deed(site, login.json()["access_token"]):
            yield site


@asynccontextmanager
async def _chats(site: Site, token: str) -> AsyncIterator[None]:
    """A colleague asks the same bot something every 1.5 s; everybody on the bot hears the replies."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=site.url, headers=headers, trust_env=False) as http:

        async def ask() -> None:
            await http.post(f"/api/conversations/bots/{site.bot}/chat", json={"message": "And how about this?"})

        async with meanwhile(ask, first=0.5, period=1.5):
            yield


@asynccontextmanager
async def _comes_and_goes(site: Site, token: str) -> AsyncIterator[None]:
    """A colleague's connection to another bot ends and is opened again, every 2 s."""

    async def come() -> None:
        url = f"{site.ws_url}/api/ws/chat/storyteller?token={token}"
        async with websockets.connect(url, proxy=None) as ws:
            await ws.send(json.dumps({"type": "ping", "timestamp": "1"}))
            await asyncio.sleep(1)

    async with meanwhile(come, first=0.5, period=1.0):
        yield
