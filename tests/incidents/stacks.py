"""Starting what an incident needs: the lab, and the contract on uvicorn, aiohttp and Node's ws."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import secrets
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from chatkit.lab.tokens import Mint
from tests.incidents.incident import Site
from tests.incidents.processes import (
    PATIENCE,
    MissingProgram,
    Program,
    find_program,
    folder,
    free_port,
    meanwhile,
    python,
    python_environment,
    running,
)
from tests.incidents.servers import settings

BOT, USER = "echo", "ada"
NODE_PATH = "/usr/share/nodejs"
"""Where Debian's ``node-ws`` puts the module."""


@asynccontextmanager
async def lab_process(*faults: str, seed: int = 0) -> AsyncIterator[tuple[Program, str]]:
    """The lab as a process, and a token of its default user."""
    async with _ready_lab(*faults, seed=seed) as (program, ready):
        yield program, ready["token"]


@asynccontextmanager
async def _ready_lab(*faults: str, seed: int) -> AsyncIterator[tuple[Program, dict[str, Any]]]:
    """The lab as a process, and the line by which it says where it is."""
    port = free_port()
    command = python("-m", "chatkit", "lab", "--port", str(port), "--seed", str(seed))
    for fault in faults:
        command += ["--fault", fault]
    async with folder() as place:
        program = Program(command, port=port, log=place / "log", environment=python_environment(), announces=True)
        async with running(program):
            yield program, json.loads(program.announced)


@asynccontextmanager
async def lab(*faults: str, seed: int = 0) -> AsyncIterator[Site]:
    """The lab with faults; with one of the path there is a hop, and a way past it."""
    async with _ready_lab(*faults, seed=seed) as (program, ready):
        yield Site(
            url=ready["url"],
            bot=BOT,
            token=ready["token"],
            direct_url=ready.get("direct_url"),
            pids=(program.pid,),
        )


class Server:
    """A server of ours that can be started, with a secret of its own."""

    def __init__(self, command: Sequence[str], port: int, place: Path, told: str, **more: str) -> None:
        # In the environment of one process, never on disk.
        secret = secrets.token_urlsafe(32)
        environment = python_environment(**{settings.OPTIONS: told, settings.SECRET: secret}, **more)
        self.program = Program(command, port=port, log=place / "log", environment=environment)
        self._mint = Mint(secret)

    def token(self, ttl: float = 1800.0) -> str:
        """A token that lives so long from now."""
        return self._mint.issue(USER, time.time(), ttl=ttl)

    def site(self, ttl: float = 1800.0) -> Site:
        """Where it is."""
        url = f"http://127.0.0.1:{self.program.port}"
        return Site(url=url, bot=BOT, token=self.token(ttl), pids=(self.program.pid,))


def told(options: dict[str, float]) -> str:
    """Options as the servers read them."""
    return ",".join(f"{key}={value:g}" for key, value in options.items())


@asynccontextmanager
async def uvicorn_server(*flags: str, **options: float) -> AsyncIterator[Server]:
    """FastAPI on uvicorn; ``flags`` are uvicorn's own."""
    port = free_port()
    app = "tests.incidents.servers.fastapi_app:app"
    workers = int(flags[flags.index("--workers") + 1]) if "--workers" in flags else 1
    command = python("-m", "uvicorn", app, "--port", str(port), "--log-level", "warning", "--no-access-log", *flags)
    async with folder() as place:
        server = Server(command, port, place, told(options), INCIDENT_FOLDER=str(place))
        async with running(server.program):
            await _workers_are_up(place, workers)
            yield server


async def _workers_are_up(place: Path, count: int) -> None:
    """The port is bound before any worker serves it: the first would get all connections."""
    async with asyncio.timeout(PATIENCE):
        while len(list(place.glob("up-*"))) < count:
            await asyncio.sleep(0.05)


@asynccontextmanager
async def uvicorn(*flags: str, ttl: float = 1800.0, **options: float) -> AsyncIterator[Site]:
    """The same, as a site whose token lives for ``ttl`` seconds."""
    async with uvicorn_server(*flags, **options) as server:
        yield server.site(ttl)


@asynccontextmanager
async def uvicorn_restarting(
    number: int, *, first: float, period: float, gap: float, flags: Sequence[str] = ()
) -> AsyncIterator[Site]:
    """FastAPI on uvicorn, ended by a signal again and again and started anew after ``gap`` seconds."""
    async with uvicorn_server(*flags) as server:

        async def again() -> None:
            await server.program.restart(number, gap)

        async with meanwhile(again, first=first, period=period):
            yield server.site()


@asynccontextmanager
async def gunicorn(*flags: str, **options: float) -> AsyncIterator[Site]:
    """FastAPI on uvicorn's workers under gunicorn's master; ``flags`` are gunicorn's own."""
    if importlib.util.find_spec("gunicorn") is None or importlib.util.find_spec("uvicorn_worker") is None:
        raise MissingProgram("gunicorn with uvicorn-worker is not installed")
    port = free_port()
    app = "tests.incidents.servers.fastapi_app:app"
    workers = int(flags[flags.index("--workers") + 1]) if "--workers" in flags else 1
    kind = "uvicorn_worker.UvicornWorker"
    command = python("-m", "gunicorn", app, "-k", kind, "-b", f"127.0.0.1:{port}", "--log-level", "warning", *flags)
    async with folder() as place:
        server = Server(command, port, place, told(options), INCIDENT_FOLDER=str(place))
        async with running(server.program):
            await _workers_are_up(place, workers)
            yield server.site()


@asynccontextmanager
async def aiohttp(**options: float) -> AsyncIterator[Site]:
    """The contract on aiohttp."""
    if importlib.util.find_spec("aiohttp") is None:
        raise MissingProgram("aiohttp is not installed")
    port = free_port()
    async with folder() as place:
        command = python("-m", "tests.incidents.servers.aiohttp_app", str(port))
        server = Server(command, port, place, told(options))
        async with running(server.program):
            yield server.site()


@asynccontextmanager
async def aiohttp_supervised(*, gap: float, **options: float) -> AsyncIterator[Site]:
    """The same under a supervisor that starts it again ``gap`` seconds after it died."""
    port = free_port()
    async with folder() as place:
        command = python("-m", "tests.incidents.servers.aiohttp_app", str(port))
        server = Server(command, port, place, told(options))
        async with running(server.program), meanwhile(lambda: revive(server.program, gap), first=0.1, period=0.1):
            yield server.site()


async def revive(program: Program, gap: float) -> None:
    """Starts it again if it has ended."""
    if not program.alive:
        await program.restart(signal.SIGTERM, gap)


@asynccontextmanager
async def node_server(**options: float) -> AsyncIterator[Server]:
    """The contract on Node's ws."""
    node = find_program("node")
    if not Path(NODE_PATH, "ws").is_dir():
        raise MissingProgram("node-ws is not installed")
    port = free_port()
    script = Path(__file__).parent / "servers" / "node_server.js"
    async with folder() as place:
        server = Server([node, str(script), str(port)], port, place, told(options), NODE_PATH=NODE_PATH)
        async with running(server.program):
            yield server


@asynccontextmanager
async def node(*, ttl: float = 1800.0, **options: float) -> AsyncIterator[Site]:
    """The same, as a site whose token lives for ``ttl`` seconds."""
    async with node_server(**options) as server:
        yield server.site(ttl)


@asynccontextmanager
async def node_restarting(*, first: float, period: float, gap: float, **options: float) -> AsyncIterator[Site]:
    """Node's ws, ended orderly (1012) again and again."""
    async with node_server(**options) as server:

        async def again() -> None:
            await server.program.restart(signal.SIGTERM, gap)

        async with meanwhile(again, first=first, period=period):
            yield server.site()
