"""Incidents of servers: the contract on uvicorn, aiohttp and Node's ws."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial

from tests.incidents import stacks
from tests.incidents.incident import NONE, Between, Expected, Incident, Near, Site, Stack, among, drawn
from tests.incidents.processes import free_port, meanwhile

Starting = Callable[[], AbstractAsyncContextManager[Site]]
SERVER = ("server",)
MESSAGES = among("data-frames", "app-ping", "outbound")
"""An application that waits for a message counts the client's messages and sees no RFC 6455 ping."""
INTRUSIVE = ("--intrusive",)
HEALTHY_FLAGS = {
    "healthy": (),
    "healthy-server-pings": ("--ws-ping-interval", "2", "--ws-ping-timeout", "2"),
    "healthy-wsproto": ("--ws", "wsproto"),
    "healthy-sansio": ("--ws", "websockets-sansio"),
    "healthy-no-deflate": ("--ws-per-message-deflate", "false"),
}


def _one(stack: Stack, seed: int, name: str, label: str, start: Starting, **more: object) -> Incident:
    more = {"who": () if label == NONE else SERVER} | more
    return Incident(id=f"{stack}/{name}", stack=stack, seed=seed, label=label, start=start, **more)  # type: ignore[arg-type]


def uvicorn_incidents(seed: int) -> Iterator[Incident]:
    """All of one seed."""

    def one(
        name: str, label: str, *flags: str, ttl: float = 1800.0, told: dict[str, float] | None = None, **more: object
    ) -> Incident:
        return _one("uvicorn", seed, name, label, partial(stacks.uvicorn, *flags, ttl=ttl, **(told or {})), **more)

    chance = drawn("uvicorn", seed)
    for name, flags in HEALTHY_FLAGS.items():
        yield one(name, NONE, *flags)
    yield one("healthy-jitter", NONE, told={"jitter": 1.5})
    yield one("healthy-slow-first-reply", NONE, told={"slow": 3})
    yield one("ws-none", "upgrade-stripped", "--ws", "none", who=("server", "proxy"))
    limit = chance.randint(3, 5)
    yield one("app-limit", "connection-limit", told={"limit": limit}, expected={"limit_connections": among(limit)})
    most = chance.choice([1024, 8192, 65_536])
    yield one(
        "ws-max-size", "message-too-big", "--ws-max-size", str(most),
        expected={"limit_bytes": Near(most)}, options=INTRUSIVE,
    )  # fmt: skip
    window = round(chance.uniform(1.2, 3.5), 1)
    expected = {"window_s": Near(window), "ping": among("application")}
    yield one("early-ping", "early-ping-abort", told={"early_ping": window}, expected=expected, minimum_s=window)
    idle = round(chance.uniform(3, 6), 1)
    yield one(
        "receive-timeout", "idle-timeout", told={"idle": idle},
        expected={"timeout_s": Near(idle), "counts": MESSAGES}, minimum_s=idle,
    )  # fmt: skip
    age = round(chance.uniform(4, 8), 1)
    yield one("age", "max-lifetime", told={"age": age}, expected={"age_s": Near(age)}, minimum_s=age)
    ttl = round(chance.uniform(8, 11), 1)
    yield one("token-expires", "token-expired", ttl=ttl, told={"expire": 1}, minimum_s=ttl)
    yield one("expired-at-the-door", "auth-rejected", ttl=-60, who=("client",), expected={"status": among(403)})
    denied = partial(_at_bot, "nobody-knows", stacks.uvicorn)
    yield _one(
        "uvicorn",
        seed,
        "unknown-bot",
        "bot-access-denied",
        denied,
        who=("client",),
        expected={"bot_status": among(404)},
    )
    yield one("replaced", "replaced-by-new-session", told={"replace": 1}, expected={"code": among(4009)})
    yield one("twice", "duplicate-delivery", told={"copies": 2}, expected={"copies": among(2)})
    yield one("no-broadcast", "lost-reply", told={"copies": 0}, expected={"share_lost": Near(1.0)})
    yield one("workers", "multi-worker-split", "--workers", "2", expected={"workers": among(2)})
    yield one(
        "blocked", "server-blocked-loop", told={"block": 3, "every": 4}, minimum_s=7, expected={"mute_s": Near(3)}
    )
    patience, lost = chance.randint(2, 3), round(chance.uniform(8, 10), 1)
    yield one(
        "worker-lost", "worker-timeout", "--workers", "3", "--timeout-worker-healthcheck", str(patience),
        told={"backtrack": lost}, minimum_s=lost + patience,
    )  # fmt: skip
    yield one("typing-raises", "server-error", told={"typing": 1})
    yield one("no-greeting", "no-established-message", told={"stuck": 1})
    first, period, gap = (round(chance.uniform(*pair), 1) for pair in ((5, 7), (6, 8), (1, 2)))
    for name, label, number in (
        ("killed", "server-crash", signal.SIGKILL),
        ("restarted", "server-restart", signal.SIGTERM),
    ):
        restarting = partial(stacks.uvicorn_restarting, number, first=first, period=period, gap=gap)
        yield _one("uvicorn", seed, name, label, restarting, minimum_s=first + gap)
    yield _one(
        "uvicorn", seed, "paused", "server-blocked-loop", partial(_paused, first, 3.0, period), minimum_s=first + 3.0
    )
    yield _one("uvicorn", seed, "not-running", "connection-refused", _nobody)


def gunicorn_incidents(seed: int) -> Iterator[Incident]:
    """All of one seed."""

    def one(name: str, label: str, *flags: str, told: dict[str, float] | None = None, **more: object) -> Incident:
        return _one("gunicorn", seed, name, label, partial(stacks.gunicorn, *flags, **(told or {})), **more)

    chance = drawn("gunicorn", seed)
    yield one("healthy", NONE, "--timeout", "5")
    patience, lost = chance.randint(2, 3), round(chance.uniform(8, 10), 1)
    yield one(
        "worker-timeout", "worker-timeout", "--workers", "3", "--timeout", str(patience),
        told={"backtrack": lost}, minimum_s=lost + patience,
    )  # fmt: skip


def aiohttp_incidents(seed: int) -> Iterator[Incident]:
    """All of one seed."""

    def one(name: str, label: str, **told: float) -> Incident:
        return _one("aiohttp", seed, name, label, partial(stacks.aiohttp, **told))

    chance = drawn("aiohttp", seed)
    yield one("healthy", NONE)
    yield one("healthy-heartbeat", NONE, heartbeat=2)
    yield one("healthy-no-deflate", NONE, deflate=0)
    idle = round(chance.uniform(3, 6), 1)
    expected: dict[str, Expected] = {"timeout_s": Near(idle), "counts": MESSAGES}
    yield replace(one("receive-timeout", "idle-timeout", idle=idle), expected=expected, minimum_s=idle)
    most = chance.choice([1024, 8192, 65_536])
    size = {"limit_bytes": Near(most)}
    yield replace(one("max-msg-size", "message-too-big", most=most), expected=size, options=INTRUSIVE)
    window = round(chance.uniform(1.2, 3.5), 1)
    early: dict[str, Expected] = {"window_s": Near(window), "ping": among("application")}
    yield replace(one("early-ping", "early-ping-abort", early_ping=window), expected=early, minimum_s=window)
    gap = round(chance.uniform(1, 2), 1)
    dies = partial(stacks.aiohttp_supervised, gap=gap, typing=1)
    yield _one("aiohttp", seed, "typing-aborts-process", "server-crash", dies, minimum_s=gap)


def node_incidents(seed: int) -> Iterator[Incident]:
    """All of one seed."""

    def one(name: str, label: str, ttl: float = 1800.0, **told: float) -> Incident:
        return _one("node-ws", seed, name, label, partial(stacks.node, ttl=ttl, **told))

    chance = drawn("node-ws", seed)
    yield one("healthy", NONE)
    yield one("healthy-heartbeat", NONE, sweep=2)
    yield one("healthy-deflate", NONE, deflate=1, sweep=5)
    sweep = round(chance.uniform(2, 4), 1)
    swept: dict[str, Expected] = {"timeout_s": Between(sweep, 2 * sweep), "counts": MESSAGES}
    yield replace(one("sweep-deaf-to-pongs", "idle-timeout", sweep=sweep, deaf=1), expected=swept, minimum_s=2 * sweep)
    most = chance.choice([1024, 8192, 65_536])
    size = {"limit_bytes": Near(most)}
    yield replace(one("max-payload", "message-too-big", most=most), expected=size, options=INTRUSIVE)
    window = round(chance.uniform(1.2, 3.5), 1)
    early: dict[str, Expected] = {"window_s": Near(window), "ping": among("application")}
    yield replace(one("early-ping", "early-ping-abort", early_ping=window), expected=early, minimum_s=window)
    replaced = {"code": among(4009)}
    yield replace(one("replaced", "replaced-by-new-session", replace=1), expected=replaced)
    ttl = round(chance.uniform(8, 11), 1)
    yield replace(one("token-expires", "token-expired", ttl, expire=1), minimum_s=ttl)
    age = round(chance.uniform(4, 8), 1)
    yield replace(one("age", "max-lifetime", age=age), expected={"age_s": Near(age)}, minimum_s=age)
    first, gap = round(chance.uniform(5, 7), 1), round(chance.uniform(1, 2), 1)
    restarting = partial(stacks.node_restarting, first=first, period=first + 1, gap=gap)
    yield _one(
        "node-ws", seed, "restarted", "server-restart", restarting,
        minimum_s=first + gap, expected={"code": among(1012)},
    )  # fmt: skip


@asynccontextmanager
async def _at_bot(bot: str, start: Starting) -> AsyncIterator[Site]:
    """The same stack, asked for another bot."""
    async with start() as site:
        yield replace(site, bot=bot)


@asynccontextmanager
async def _paused(first: float, length: float, period: float) -> AsyncIterator[Site]:
    """The process does not get the processor for a while, again and again; its kernel goes on acknowledging."""
    async with stacks.uvicorn_server() as server:

        async def pause() -> None:
            await server.program.pause(length)

        async with meanwhile(pause, first=first, period=period):
            yield server.site()


@asynccontextmanager
async def _nobody() -> AsyncIterator[Site]:
    """The address of a server that was not started, with a token that would be good."""
    async with stacks.uvicorn_server() as server:
        site = server.site()
    yield replace(site, url=f"http://127.0.0.1:{free_port()}", pids=())
