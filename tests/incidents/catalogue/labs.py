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

SERVER = ("server",)
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
        )
    yield _quiet(seed, "head-health", stacks.lab, "health-method-mismatch", ("client",), ("--health-method", "HEAD"))
    yield _quiet(seed, "healthy", stacks.lab)
    yield _quiet(seed, "healthy-slow-replies", partial(stacks.lab, f"slow-reply:delay={chance.uniform(0.5, 1.5):.1f}"))
    yield _quiet(seed, "healthy-colleague-chats", partial(_beside, _chats))
    yield _quiet(seed, "healthy-other-bot-comes-and-goes", partial(_beside, _comes_and_goes))


def cases(chance: random.Random) -> Iterator[Case]:
    """Every fault that is a cause, with parameters of its own for each seed."""
    window = round(chance.uniform(1, 4), 1)
    how = chance.choice(["rst", "fin"])
    yield Case(
        name="early-ping", fault=f"early-ping-abort:window={window},how={how}", label="early-ping-abort",
        expected={"window_s": Near(window), "ping": among("both")}, minimum_s=window,
    )  # fmt: skip
    for counts in ("any", "inbound", "outbound", "data-frames", "app-ping", "protocol-ping"):
        idle = round(chance.uniform(3, 6), 1)
        end = chance.choice(["fin", "rst", "close"])
        yield Case(
            name=f"idle-{counts}", fault=f"idle-timeout:timeout={idle},counts={counts},how={end}", label="idle-timeout",
            who=("server", "proxy"), expected={"timeout_s": Near(idle), "counts": among(counts)}, minimum_s=idle,
        )  # fmt: skip
    for end in ("fin", "rst", "close"):
        age = round(chance.uniform(4, 9), 1)
        yield Case(
            name=f"age-{end}", fault=f"max-lifetime:age={age},how={end}", label="max-lifetime",
            who=("server", "proxy"), expected={"age_s": Near(age)}, minimum_s=age,
        )  # fmt: skip
    after, gap = round(chance.uniform(6, 10), 1), round(chance.uniform(1, 3), 1)
    yield Case(name="crash", fault=f"server-crash:after={after},gap={gap}", label="server-crash", minimum_s=after + gap)
    for when in ("before", "after"):
        yield Case(name=f"auth-{when}", fault=f"auth-rejected:when={when}", label="auth-rejected", who=("client",))
    ttl = round(chance.uniform(9, 12), 1)
    yield Case(name="token-expired", fault=f"token-expired:after={ttl}", label="token-expired", minimum_s=ttl)
    yield Case(name="no-greeting", fault="no-established-message", label="no-established-message")
    delay = round(chance.uniform(6, 10), 1)
    yield Case(
        name="slow-reply", fault=f"slow-reply:delay={delay}", label="slow-reply",
        expected={"latency_s": Near(delay)}, minimum_s=delay,
    )  # fmt: skip
    yield Case(name="twice", fault="duplicate-delivery", label="duplicate-delivery", expected={"copies": among(2)})
    yield Case(name="typing-stuck", fault="stuck-typing", label="stuck-typing")
    yield Case(name="reply-lost", fault="lost-reply", label="lost-reply", expected={"share_lost": Near(1.0)})
    yield Case(name="not-json", fault=f"invalid-json:after={chance.uniform(1, 3):.1f}", label="wrong-contract")
    yield Case(name="too-big-for-us", fault="big-frame", label="client-message-limit", who=("client",))
    yield Case(name="health-down", fault="health-down", label="health-lies")
    for on in ("typing", "session_sync"):
        yield Case(name=f"error-on-{on}", fault=f"server-error:on={on}", label="server-error")
    after = round(chance.uniform(3, 5), 1)
    yield Case(
        name="hole", fault=f"black-hole:after={after}", label="nat-timeout", who=("network",), minimum_s=after,
    )  # fmt: skip
    after, lasts = round(chance.uniform(6, 9), 1), round(chance.uniform(3, 5), 1)
    yield Case(
        name="stall", fault=f"stall:after={after},duration={lasts}", label="server-blocked-loop",
        minimum_s=after + lasts,
    )  # fmt: skip
    yield Case(name="closed-at-once", fault="accept-then-close", label="server-error", expected={"code": among(1011)})
    status = chance.choice([429, 503])
    yield Case(
        name="overload", fault=f"overload:status={status}", label="rate-limited", expected={"status": among(status)}
    )


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
