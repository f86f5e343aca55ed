"""Programs on loopback: started, ready, disturbed, ended by process id, their folder removed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
"""Seconds for a program to listen: far more than any takes on an idle machine."""
GRACE = 5.0
"""Seconds for a program to end after it was asked to; then it is killed."""
_TICK = 0.05


class MissingProgram(Exception):
    """A program or library that a stack needs is not on this machine."""


class DidNotStart(Exception):
    """A program ended, or did not listen in time; the text holds what it said last."""


def find_program(name: str) -> str:
    """Its path; ``MissingProgram`` when there is none."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise MissingProgram(f"{name} is not installed")
    return found


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def python_environment(**extra: str) -> dict[str, str]:
    """This process's environment with this checkout in front of what is installed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | extra


@asynccontextmanager
async def folder() -> AsyncIterator[Path]:
    """A directory that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="incident-", ignore_cleanup_errors=True) as name:
        yield Path(name)


class Program:
    """One process, in a group of its own, so that its workers end with it.

    Args:
        command: what to run.
        port: where it will listen on loopback.
        log: the file for its output; tokens never get there, a program that prints one ``announces`` it.
        environment: its environment; ``None`` for this process's.
        announces: whether its first line of output is wanted, as :attr:`announced`.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        port: int,
        log: Path,
        environment: Mapping[str, str] | None = None,
        announces: bool = False,
    ) -> None:
        self._command = list(command)
        self._environment = environment
        self._log = log
        self._announces = announces
        self._process: asyncio.subprocess.Process | None = None
        self.port = port
        self.announced = b""

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Returns when it listens (and has announced itself).

        Raises:
            DidNotStart: it ended before, or :data:`PATIENCE` is over.
        """
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if self._announces else log,
                stderr=log,
                env=self._environment,
                cwd=ROOT,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(PATIENCE):
                if self._process.stdout is not None:
                    self.announced = await self._process.stdout.readline()
                while not await listens(self.port):
                    if self._process.returncode is not None:
                        raise DidNotStart(f"{self._command[0]} ended: {self.said()}")
                    await asyncio.sleep(_TICK)
        except TimeoutError:
            raise DidNotStart(f"{self._command[0]} does not listen: {self.said()}") from None

    def send(self, number: int) -> None:
        """A signal, if it still runs."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(number)

    async def stop(self, number: int = signal.SIGTERM, grace: float = GRACE) -> None:
        """Ends it by a signal, by SIGKILL after ``grace`` seconds, and with it what is left of its group."""
        if self._process is None:
            return
        self.send(number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), grace)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    async def restart(self, number: int, gap: float) -> None:
        """Ends it by a signal; it is back after ``gap`` seconds."""
        await self.stop(number)
        await asyncio.sleep(gap)
        await self.start()

    async def pause(self, seconds: float) -> None:
        """Takes the processor away from it for so long (SIGSTOP)."""
        self.send(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.send(signal.SIGCONT)

    def said(self, most: int = 2000) -> str:
        """The end of its log."""
        return self._log.read_text("utf-8", "replace")[-most:] if self._log.exists() else ""


@asynccontextmanager
async def running(program: Program) -> AsyncIterator[Program]:
    """Starts a program, ends it by its process id."""
    try:
        await program.start()
        yield program
    finally:
        await program.stop()


async def listens(port: int) -> bool:
    """Whether a TCP connection to a port of loopback comes about."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


@asynccontextmanager
async def meanwhile(deed: Callable[[], Awaitable[None]], *, first: float, period: float) -> AsyncIterator[None]:
    """Does something after ``first`` seconds and then every ``period`` until the block ends; a failure is raised."""

    async def again() -> None:
        await asyncio.sleep(first)
        while True:
            await deed()
            await asyncio.sleep(period)

    task = asyncio.get_running_loop().create_task(again(), name="incident disturbs")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def python(*arguments: str) -> list[str]:
    """This interpreter with these arguments."""
    return [sys.executable, *arguments]
