"""The project's own labelled set: live recordings of the lab, the tests' stories, and evidence files with a label.

``tests/data/labels.toml`` names files and their labels, one line each: ``"har/incident.har" = "early-ping-abort"``.
A label is a cause of the taxonomy, ``none`` for no fault, ``unknown`` for evidence that cannot carry a cause.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import tomllib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from chatkit.client import ChatClient
from chatkit.diagnosis import Diagnosis, diagnose
from chatkit.errors import ChatkitError
from chatkit.formats import load
from chatkit.lab import LabServer
from chatkit.recorder import Recorder
from chatkit.trace import Trace
from tests.diagnosis.stories import NO_FAULT, OPEN, stories

DATA = Path(__file__).parents[1] / "data"
AT_ONCE = 30
"""Scenes that are played at the same time: more would make our own loop late, which is evidence of its own."""

Make = Callable[[], Awaitable[Trace]]


class Labelled(Struct, frozen=True, kw_only=True):
    """A trace with what is wrong in it."""

    name: str
    source: str
    """``lab``, ``story`` or the file's format."""
    label: str
    trace: Trace
    health_method: str | None = None

    def diagnose(self) -> Diagnosis:
        """What the engine says of it."""
        return diagnose(self.trace, health_method=self.health_method)


def first(diagnosis: Diagnosis) -> str:
    """Its answer in the words of a label."""
    if diagnosis.causes:
        return diagnosis.causes[0].id
    return NO_FAULT if diagnosis.verdict == "no-fault" else OPEN


class Scene(Struct, frozen=True, kw_only=True):
    """A client's life with a lab that has faults."""

    label: str
    faults: tuple[str, ...] = ()
    policy: str = "default"
    seconds: float = 8.0
    messages: int = 0
    typing: bool = False
    looks: bool = False
    """Whether health is looked at all the time."""
    bot: str = "echo"
    clients: int = 1
    login: bool = True
    token: str | None = None
    """Another token than the right one."""
    missing_bot: bool = False
    cuts: tuple[float, ...] = ()
    """Seconds after which the lab ends every connection."""
    how: str = "close"
    """``close`` says 1012; ``rst`` and ``fin`` say nothing."""
    seed: int = 1

    @property
    def name(self) -> str:
        """Faults, policy and what the client does."""
        parts = [*self.faults, self.policy]
        parts += [f"{self.messages} messages"] if self.messages else []
        parts += [f"{len(self.cuts)} cuts ({self.how})"] if self.cuts else []
        parts += [f"{self.clients} clients"] if self.clients > 1 else []
        parts += ["another token"] if self.token else []
        parts += ["typing"] if self.typing else []
        return ", ".join(parts) + f", seed {self.seed}"


def scenes() -> tuple[Scene, ...]:
    """Every fault of the catalogue with several parameters, policies and seeds, and lives without a fault."""
    return tuple(_scenes())


def _scenes() -> Iterator[Scene]:
    for n, policy in enumerate(("default", "incident", "textbook")):
        yield Scene(label=NO_FAULT, policy=policy, seconds=8, messages=n, seed=n)
    yield Scene(label=NO_FAULT, policy="incident-before", seconds=8)
    yield Scene(label=NO_FAULT, seconds=14, messages=4, typing=True, looks=True)
    yield Scene(label=NO_FAULT, seconds=30, messages=5, bot="storyteller", seed=4)
    for how in ("rst", "fin"):
        for policy in ("incident-before", "textbook"):
            for window, delay in ((3, 0.2), (1, 0.5)):
                fault = f"early-ping-abort:window={window},delay={delay},how={how}"
                if policy == "incident-before" or window > 1:
                    label = "early-ping-abort" if policy == "incident-before" else NO_FAULT
                    yield Scene(label=label, faults=(fault,), policy=policy, seconds=9)
    for how in ("fin", "rst", "close"):
        yield Scene(label="idle-timeout", faults=(f"idle-timeout:timeout=2,how={how}",), seconds=12, messages=3)
        yield Scene(label="idle-timeout", faults=(f"idle-timeout:timeout=3,how={how}",), seconds=13)
        yield Scene(label="max-lifetime", faults=(f"max-lifetime:age=3,how={how}",), seconds=14, messages=8)
        yield Scene(label="max-lifetime", faults=(f"max-lifetime:age=6,how={how}",), seconds=24, messages=14)
    yield Scene(label="idle-timeout", faults=("idle-timeout:timeout=3,counts=outbound",), seconds=24, messages=3)
    yield Scene(label="idle-timeout", faults=("idle-timeout:timeout=4,counts=inbound",), seconds=26, messages=3)
    for seed in (1, 2):
        yield Scene(label="server-crash", faults=("server-crash:after=3,gap=2",), seconds=10, messages=1, seed=seed)
    yield Scene(label="server-crash", faults=("server-crash:after=4,gap=4",), seconds=12, clients=3)
    for clients in (1, 3):
        yield Scene(label="server-restart", cuts=(4.0,), seconds=9, clients=clients, messages=1)
    for seed in (1, 2, 3):
        rng = random.Random(seed)
        cuts = tuple(itertools.accumulate(0.5 + rng.expovariate(1 / 3.5) for _ in range(6)))
        yield Scene(
            label="network-reset", cuts=cuts, how="rst", seconds=cuts[-1] + 3, messages=3, looks=True, seed=seed
        )
    for when in ("before", "after"):
        for login in (True, False):
            fault = f"auth-rejected:when={when}"
            yield Scene(label="auth-rejected", faults=(fault,), seconds=5, login=login, looks=True)
    yield Scene(label="auth-rejected", token="not.a.token", seconds=5)
    yield Scene(label="bot-access-denied", missing_bot=True, seconds=5)
    for after in (3, 5):
        yield Scene(label="token-expired", faults=(f"token-expired:after={after}",), seconds=3 * after, login=False)
    yield Scene(label="no-established-message", faults=("no-established-message",), seconds=14)
    yield Scene(label="no-established-message", faults=("no-established-message",), seconds=25, policy="textbook")
    yield Scene(label="slow-reply", faults=("slow-reply:delay=6",), seconds=26, messages=3)
    yield Scene(label="slow-reply", faults=("slow-reply:delay=11",), seconds=26, messages=1)
    for bot in ("echo", "storyteller"):
        yield Scene(label="duplicate-delivery", faults=("duplicate-delivery",), seconds=9, messages=3, bot=bot)
        yield Scene(label="stuck-typing", faults=("stuck-typing",), seconds=16, messages=2, bot=bot)
    yield Scene(label="duplicate-delivery", policy="incident-before", seconds=9, messages=3)
    yield Scene(label="lost-reply", faults=("lost-reply",), seconds=20, messages=3)
    yield Scene(label="lost-reply", faults=("lost-reply:share=0.7",), seconds=24, messages=8, seed=5)
    yield Scene(label="wrong-contract", faults=("invalid-json",), seconds=6, messages=1)
    yield Scene(label="wrong-contract", faults=("invalid-json:after=3",), seconds=8, policy="textbook")
    yield Scene(label="client-message-limit", faults=("big-frame:size=2000000",), seconds=6, messages=1)
    yield Scene(label="client-message-limit", faults=("big-frame:size=5000000,after=2",), seconds=9)
    yield Scene(label="health-lies", faults=("health-down",), seconds=12, messages=3, looks=True)
    yield Scene(label="server-error", faults=("server-error:on=typing",), seconds=12, typing=True)
    yield Scene(label="server-error", faults=("server-error:on=ping",), seconds=22)
    yield Scene(label="server-error", faults=("accept-then-close:code=1011",), seconds=8)
    yield Scene(label="server-error", faults=("error-on-text:text=hello",), seconds=10, messages=3)
    yield Scene(label="keepalive-timeout", faults=("no-pong",), seconds=30)
    yield Scene(label="keepalive-timeout", faults=("no-pong:kind=both",), seconds=30, policy="textbook")
    yield Scene(label="out-of-order", faults=("chunk-gap",), seconds=8, messages=2, bot="storyteller")
    yield Scene(label="nat-timeout", faults=("black-hole:after=3",), seconds=32)
    yield Scene(label="server-blocked-loop", faults=("stall:after=4,duration=6",), seconds=18, messages=4, looks=True)
    for seed, policy in enumerate(("default", "textbook", "incident"), 20):
        yield Scene(
            label="idle-timeout", faults=("idle-timeout:timeout=6",), seconds=30, messages=3, policy=policy, seed=seed
        )
        yield Scene(
            label="max-lifetime", faults=("max-lifetime:age=7",), seconds=30, messages=7, policy=policy, seed=seed
        )
        yield Scene(
            label="nat-timeout", faults=("black-hole:after=2",), seconds=30 + seed / 4, policy=policy, seed=seed
        )
        yield Scene(label=NO_FAULT, seconds=20, messages=6, typing=True, policy=policy, bot="storyteller", seed=seed)
        yield Scene(label="server-crash", faults=("server-crash:after=5,gap=3",), seconds=13, policy=policy, seed=seed)
    for status in (429, 503):
        fault = f"overload:status={status},retry_after=2"
        yield Scene(label="rate-limited", faults=(fault,), seconds=8, looks=True)
    yield Scene(label="health-method-mismatch", policy="incident-before", seconds=9, looks=True, seed=9)
    yield from _at_the_door()
    yield from _later()


def _at_the_door() -> Iterator[Scene]:
    for how in ("close", "rst"):
        fault = f"replaced-by-new-session:how={how}"
        yield Scene(label="replaced-by-new-session", faults=(fault,), clients=2, seconds=8)
    yield Scene(label="connection-limit", faults=("connection-limit:limit=2",), clients=3, seconds=8)
    yield Scene(label="connection-limit", faults=("connection-limit:limit=2,when=after",), clients=3, seconds=8)
    yield Scene(label="rate-limited", faults=("upgrade-rate:limit=2,window=6",), clients=4, seconds=8)
    for when in ("before", "after"):
        fault = f"bot-access-denied:bot=echo,when={when}"
        yield Scene(label="bot-access-denied", faults=(fault,), seconds=5, looks=True)
    yield Scene(label="origin-rejected", faults=("origin-rejected:refuse=missing",), seconds=5)
    for status in (404, 403):
        yield Scene(label="not-found", faults=(f"not-found:status={status}",), seconds=5)
    yield Scene(label="subprotocol-mismatch", faults=("subprotocol-mismatch",), seconds=5)
    yield Scene(label="redirected", faults=("redirected:to=login,status=302",), seconds=5)
    yield Scene(label="clock-skew", faults=("clock-skew:skew=7200",), seconds=5)
    yield Scene(label="handshake-timeout", faults=("handshake-timeout",), seconds=14, looks=True)
    yield Scene(label="handshake-invalid", faults=("handshake-invalid",), seconds=5)
    yield Scene(label="health-lies", faults=("service-down",), seconds=9, looks=True)


def _later() -> Iterator[Scene]:
    yield Scene(label="rate-limited", faults=("message-rate:limit=2,window=6",), seconds=12, typing=True)
    yield Scene(label="policy-violation", faults=("policy-violation:after=2",), seconds=8)
    yield Scene(label="protocol-error", faults=("protocol-error",), seconds=6)
    yield Scene(label="invalid-utf8", faults=("invalid-utf8",), seconds=6)
    yield Scene(label="message-too-big", faults=("message-too-big:limit=30",), seconds=8, typing=True)
    # The client always reads: nothing piles up.
    yield Scene(label=NO_FAULT, faults=("slow-consumer",), seconds=8, messages=2)
    yield Scene(label="server-restart", faults=("server-restart:after=3,gap=2",), seconds=10, clients=2)
    yield Scene(label="worker-timeout", faults=("worker-timeout:after=5",), seconds=9, clients=4)
    yield Scene(label="server-crash", faults=("crash-on-text:text=hello",), seconds=10, messages=1)
    # A kept-alive connection stays with one worker: a single client cannot see more than that its replies are lost.
    yield Scene(label="lost-reply", faults=("multi-worker-split",), seconds=20, messages=4, seed=4)
    for what in ("type", "field"):
        yield Scene(label="wrong-contract", faults=(f"wrong-contract:what={what}",), seconds=6, messages=1)
    yield Scene(label="out-of-order", faults=("out-of-order",), seconds=8, messages=2, bot="storyteller")


# Playing them


async def record(scene: Scene) -> Trace:
    """Plays a scene and hands out what the client recorded."""
    lab = LabServer(faults=scene.faults, seed=scene.seed)
    stalls = any(fault.startswith("stall") for fault in scene.faults)
    recorder = Recorder()
    async with _thread(lab) if stalls else lab:
        clients = [_client(scene, lab, recorder) for _ in range(scene.clients)]
        rng = random.Random(scene.seed)
        with contextlib.suppress(TimeoutError, ChatkitError):
            async with asyncio.timeout(scene.seconds):
                await asyncio.gather(*(_live(scene, lab, client, rng, n) for n, client in enumerate(clients)))
        for client in clients:
            with contextlib.suppress(ChatkitError):
                await client.close()
    recorder.close()
    return recorder.snapshot()


@contextlib.asynccontextmanager
async def _thread(lab: LabServer) -> Any:
    """On a thread of its own: a stall would block our own loop."""
    await asyncio.to_thread(lab.__enter__)
    try:
        yield lab
    finally:
        await asyncio.to_thread(lab.__exit__, None, None, None)


def _client(scene: Scene, lab: LabServer, recorder: Recorder) -> ChatClient:
    options: dict[str, Any] = {"recorder": recorder, "policy": scene.policy}
    if scene.login and scene.token is None:
        options |= {"user": lab.user, "password": lab.password}
    else:
        options["token"] = scene.token or lab.token
    return ChatClient(lab.url, bot="nobody" if scene.missing_bot else scene.bot, **options)


async def _live(scene: Scene, lab: LabServer, client: ChatClient, rng: random.Random, number: int) -> None:
    await asyncio.sleep(0.7 * number)
    async with asyncio.TaskGroup() as group:
        await client.start()
        if scene.looks:
            group.create_task(_look(client))
        if number == 0 and scene.cuts:
            group.create_task(_cut(lab, scene))
        for n in range(scene.messages):
            # Not in step with anything: a timer must not be mistaken for our own pace.
            await asyncio.sleep(scene.seconds / (scene.messages + 1) * rng.uniform(0.5, 1.0))
            with contextlib.suppress(ChatkitError):
                client.send(f"hello {n}")
        while scene.typing:
            await asyncio.sleep(rng.uniform(1.5, 2.5))
            client.typing()
        await asyncio.sleep(1000)


async def _look(client: ChatClient) -> None:
    while True:
        await client.health.check()
        await asyncio.sleep(1.5)


async def _cut(lab: LabServer, scene: Scene) -> None:
    began = asyncio.get_running_loop().time()
    for at in scene.cuts:
        await asyncio.sleep(began + at - asyncio.get_running_loop().time())
        lab.cut(scene.how, code=1012, reason="service restart" if scene.how == "close" else "")  # type: ignore[arg-type]


async def live() -> list[Labelled]:
    """All scenes, many at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def play(scene: Scene) -> Labelled:
        async with gate:
            trace = await record(scene)
        return Labelled(name=scene.name, source="lab", label=scene.label, trace=trace)

    # The long ones first.
    ordered = sorted(scenes(), key=lambda scene: -scene.seconds)
    return await asyncio.gather(*(play(scene) for scene in ordered))


# What lies there already


def told() -> list[Labelled]:
    """The stories of the tests."""
    return [
        Labelled(name=one.name, source="story", label=one.label, trace=one.trace(), health_method=one.health_method)
        for one in stories()
    ]


def files(folder: Path = DATA) -> list[Labelled]:
    """Evidence files whose label stands in ``labels.toml``; none without that file."""
    table = folder / "labels.toml"
    if not table.exists():
        return []
    labels: dict[str, str] = tomllib.loads(table.read_text("utf-8"))
    found = []
    for name, label in labels.items():
        trace = load(folder / name)
        found.append(Labelled(name=name, source=trace.origin.format or "file", label=label, trace=trace))
    return found
