"""One soak: the lab and the clients in processes of their own, the hop and the chaos between them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.soak.hop import Hop
from tests.soak.schedule import Deed, plan, tail
from tests.soak.verdict import Slope, Tally, lives_of, number_of, peak, slope, tally, total

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds for a process to begin, to answer or to end, and for the messages to settle after the tail."""
KEEP, KEEP_SHORT, LONG = 20_000, 2_000, 300.0
"""Events in the clients' memory: of a run of so many seconds, and of a shorter one, where it must be full sooner."""


@dataclass
class Result:
    """What a soak found."""

    tally: Tally = field(default_factory=Tally)
    memory: Slope = field(default_factory=lambda: Slope(0.0, 0.0, 0))
    orphans: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    """Messages that ended EXPIRED, REJECTED or UNKNOWN."""
    failed: list[str] = field(default_factory=list)
    """Times when a client gave up."""
    problems: list[str] = field(default_factory=list)
    """What the clients' process wrote to its standard error."""
    attempts: int = 0
    connects: int = 0
    peak: int = 0
    kills: int = 0
    tasks: int = 0
    """Most tasks at once in the clients' process."""
    unsent: int = 0
    """Messages that still waited at the end."""
    unanswered: int = 0
    """Messages of the last life whose reply was not shown."""
    twice: int = 0
    """Most replies that were shown twice at once."""
    live: int = 0
    """Clients that were connected at the end of the tail."""
    deeds: int = 0


class Worker:
    """The clients' process, over all its lives."""

    def __init__(self, port: int, bots: list[str], folder: Path, keep: int) -> None:
        self._arguments = ["--port", str(port), "--bots", ",".join(bots), "--folder", str(folder), "--keep", str(keep)]
        self._errors = folder / "stderr.txt"
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self.reports: list[tuple[int, dict[str, Any]]] = []
        """With the number of the life."""
        self.life = 0

    async def start(self) -> None:
        """Another life."""
        self.life += 1
        with self._errors.open("ab") as errors:
            self._process = await _python("tests.soak.worker", *self._arguments, stderr=errors.fileno())
        self._reading = asyncio.get_running_loop().create_task(self._read(self.life), name="soak reads")

    async def _read(self, life: int) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            with contextlib.suppress(ValueError):  # killed in the middle of a line
                self.reports.append((life, json.loads(line)))

    async def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        assert self._reading is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reading

    def say(self, order: str) -> None:
        """``stop`` or ``close``."""
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(order.encode() + b"\n")

    async def ended(self) -> None:
        """Waits for its end; killed when that does not come."""
        assert self._process is not None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), PATIENCE)
        await self.kill()

    def errors(self) -> list[str]:
        """Lines on its standard error, the last forty."""
        return self._errors.read_text("utf-8", "replace").splitlines()[-40:] if self._errors.exists() else []


class Lab:
    """The lab's process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def answer(self) -> dict[str, Any]:
        """The next line of its output."""
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), PATIENCE)
        found: dict[str, Any] = json.loads(line)
        return found

    async def ask(self, **order: Any) -> dict[str, Any]:
        """Does something, and its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        return await self.answer()


async def _python(module: str, *arguments: str, stderr: int | None = None) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        limit=64 << 20,
    )


@asynccontextmanager
async def lab_process(bots: int) -> AsyncIterator[tuple[Lab, int, list[str]]]:
    """The lab, its port, the bots' ids."""
    process = await _python("tests.soak.server", "--bots", str(bots))
    try:
        lab = Lab(process)
        ready = await lab.answer()
        yield lab, ready["port"], ready["bots"]
    finally:
        assert process.stdin is not None
        process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), PATIENCE)
        if process.returncode is None:
            process.kill()
            await process.wait()


async def perform(
    deeds: Iterable[Deed],
    hop: Hop,
    *,
    close: Callable[[int, str], Awaitable[object]],
    kill: Callable[[], Awaitable[object]] | None = None,
) -> None:
    """Does all deeds when their time has come.

    Args:
        deeds: what, when.
        hop: does what TCP can do.
        close: closes all WebSockets with a code and a reason.
        kill: kills the clients and starts them again.
    """
    began = time.monotonic()
    for deed in deeds:
        await asyncio.sleep(max(0.0, deed.at - (time.monotonic() - began)))
        match deed.what:
            case "outage":
                await hop.refuse(deed.seconds)
            case "reset":
                hop.reset()
            case "fin":
                hop.fin()
            case "stall":
                await hop.stall(deed.seconds)
            case "blackout":
                await hop.stall(deed.seconds, lose=True)
            case "restart":
                await close(1012, "restart")
                await asyncio.sleep(0.1)
                await hop.refuse(deed.seconds)
            case "expiry":
                await close(4001, "token expired")
            case "kill" if kill is not None:
                await kill()


async def soak(seconds: float, seed: int, bots: int, say: Callable[[str], None] = lambda line: None) -> Result:
    """One soak of chatkit; bounded by ``seconds`` and some minutes at worst."""
    deeds = plan(seconds, seed)
    with tempfile.TemporaryDirectory(prefix="chatkit-soak-") as name:
        async with lab_process(bots) as (lab, port, ids), Hop(port) as hop:
            worker = Worker(hop.port, ids, Path(name), KEEP if seconds >= LONG else KEEP_SHORT)

            async def again() -> None:
                await worker.kill()
                await worker.start()

            await worker.start()
            try:
                say(f"{len(deeds)} deeds in {seconds:g} s, seed {seed}, {bots} bots")
                await perform(
                    deeds, hop, close=lambda code, reason: lab.ask(do="close", code=code, reason=reason), kill=again
                )
                worker.say("stop")
                await asyncio.sleep(tail(seconds))
                await _settle(worker)
                worker.say("close")
                await worker.ended()
            finally:
                await worker.kill()
            histories = (await lab.ask(do="histories"))["histories"]
        return _judge(worker, histories, Path(name), deeds)


async def _settle(worker: Worker) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if worker.reports and worker.reports[-1][0] == worker.life:
            last = worker.reports[-1][1]
            if not last["unsent"] and not last["unanswered"]:
                return
        await asyncio.sleep(0.5)


def _judge(worker: Worker, histories: dict[str, list[str]], folder: Path, deeds: tuple[Deed, ...]) -> Result:
    offered = {bot: [int(line) for line in _lines(folder / f"{bot}.log")] for bot in histories}
    reports = worker.reports
    regular = [(life, report) for life, report in reports if "final" not in report]
    final = next((report for _, report in reports if "final" in report), None)
    connects: dict[int, int] = {}
    for life, report in reports:
        connects[life] = report["connects"]
    moments = [at for _, report in reports for at in report["attempts"]]
    ours = [(life, report["at"], report["rss"]) for life, report in regular]
    return Result(
        tally=total(tally(offered[bot], [number_of(text) for text in histories[bot]]) for bot in histories),
        memory=slope(lives_of(ours)),
        orphans=final["orphans"] if final else ["the clients' process did not end by itself"],
        bad=[each for _, report in reports for each in report["bad"]],
        failed=[each for _, report in reports for each in report["failed"]],
        problems=worker.errors(),
        attempts=len(moments),
        connects=sum(connects.values()),
        peak=peak(moments),
        kills=sum(deed.what == "kill" for deed in deeds),
        tasks=max((report["tasks"] for _, report in regular), default=0),
        unsent=final["unsent"] if final else -1,
        unanswered=regular[-1][1]["unanswered"] if regular else -1,
        twice=max((report["twice"] for _, report in regular), default=0),
        live=regular[-1][1]["live"] if regular else 0,
        deeds=len(deeds),
    )


def _lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []
