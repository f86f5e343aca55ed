"""Opens and holds many recorded connections from this process, at a bounded rate; nobody reads, all are drained."""

from __future__ import annotations

import asyncio
import random
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from chatkit.client import open_connection
from chatkit.client.connection import RecordedConnection
from chatkit.client.opening import Address, is_loopback, resolve
from chatkit.client.timers import Due, timers
from chatkit.errors import ConnectFailed, InvalidInput
from chatkit.fleet.load_result import REFUSALS, Life, Machine, Share
from chatkit.profile import Profile
from chatkit.recorder import MIN_KEEP, Recorder

POLITE = 50
"""Connections that anybody may open to a system of others."""
GOODBYE = 0.6
"""Seconds that all connections together get for their goodbye; then they are cut."""
GIVE_UP = 5 * REFUSALS
"""So many failures one after the other, and no more is tried."""
_AT_A_TIME = 100
"""Attempts that may be under way at once."""


class Plan(Struct, frozen=True, kw_only=True):
    """What one process is to do; goes to other machines as it is, token and all, and never to a file."""

    url: str
    headers: list[tuple[str, str]]
    connections: int
    seconds: float
    """How long to go on, from the first attempt."""
    rate: float
    """Attempts a second."""
    profile: Profile
    """Names the application ping and its timing."""
    secrets: list[str]
    out: str | None
    """File for the recording; ``None`` keeps counters only."""
    proxy: bool = True

    def __repr__(self) -> str:
        return f"<Plan of {self.connections} connections>"  # the URL carries the token


def check(url: str, connections: int, seconds: float, rate: float, *, own: bool) -> None:
    """Refuses what makes no sense, and load on a system that may be somebody else's.

    Raises:
        InvalidInput: with what to say instead.
    """
    for value, where, what in ((connections, "--connections", "1 or more"), (seconds, "--for", "seconds, more than 0")):
        if not 0 < value < float("inf"):
            raise InvalidInput("that is no load", expected=what, got=value, where=where)
    if not 0 < rate <= 1000:
        expected = "attempts a second, more than 0, at most 1000"
        raise InvalidInput("that is no rate", expected=expected, got=rate, where="--rate")
    host = urlsplit(url).hostname
    if connections > POLITE and not own and not is_loopback(host):
        raise InvalidInput(
            f"more than {POLITE} connections are load, and {host} is another machine",
            expected=f"at most {POLITE}",
            got=connections,
            where="--connections",
            remedy="for a system of your own, or one whose owner agreed: --i-own-this",
        )


def machine() -> Machine:
    """What this machine allows a process."""
    descriptors = ports = None
    with suppress(ImportError, OSError, ValueError):
        import resource

        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        descriptors = soft if soft != resource.RLIM_INFINITY else None
    with suppress(OSError, ValueError):
        first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
        ports = int(last) - int(first) + 1
    return Machine(name=socket.gethostname(), descriptors=descriptors, ports=ports)


def begin(plan: Plan) -> Share:
    """An empty share for :func:`hold` to fill."""
    return Share(machine=machine(), asked=plan.connections, lives=[])


async def hold(plan: Plan, share: Share) -> None:
    """Opens the plan's connections and holds them until its time is over.

    Everything that is known stands in ``share`` at any moment. Cancelling says goodbye to all and returns within a
    second; nothing of the share is lost.
    """
    recorder = Recorder(plan.out, keep=MIN_KEEP, target=plan.url.partition("?")[0])
    for secret in plan.secrets:
        recorder.redactor.add(secret)
    with recorder:
        await Crowd(plan, share, recorder).run()


class Crowd:
    """The connections of one process.

    Args:
        plan: what to open.
        share: what is known; filled as it becomes known.
        recorder: gets every connection.
    """

    def __init__(self, plan: Plan, share: Share, recorder: Recorder) -> None:
        self._plan, self._share, self._recorder = plan, share, recorder
        self._began = time.monotonic()
        self._before = _memory()
        self._open: dict[RecordedConnection, tuple[int, float]] = {}
        self._beats: dict[RecordedConnection, Due] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._addresses: Sequence[Address] | None = None
        self._failed = 0
        self._leaving = False
        self._empty = asyncio.Event()

    async def run(self) -> None:
        """The whole run, from the first attempt to the last goodbye."""
        until = self._began + self._plan.seconds
        try:
            await self._open_all(until)
            await asyncio.sleep(until - time.monotonic())
        finally:
            self._measure()
            await self._leave()
            self._share.elapsed = self._now()

    def _now(self) -> float:
        return round(time.monotonic() - self._began, 6)

    async def _open_all(self, until: float) -> None:
        """One attempt after the other in the plan's rate, as long as they make sense."""
        for n in range(self._plan.connections):
            due = self._began + n / self._plan.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            while len(self._opening) >= _AT_A_TIME:
                await asyncio.wait(self._opening, return_when=asyncio.FIRST_COMPLETED)
            if self._share.stopped or time.monotonic() >= until:
                break
            task = asyncio.get_running_loop().create_task(self._one(), name="chatkit load opens")
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        if self._opening:
            await asyncio.wait(self._opening)

    async def _resolve(self, host: str, port: int) -> Sequence[Address]:
        """Asks once for all: a thread and a query for each connection would be load on the resolver."""
        if self._addresses is None:
            self._addresses = await resolve(host, port)
        return self._addresses

    async def _one(self) -> None:
        at, others = self._now(), len(self._open)
        try:
            connection = await open_connection(
                self._plan.url,
                self._recorder,
                headers=self._plan.headers,
                compression=None,
                timeout=self._plan.profile.client.connect_timeout,
                proxy=self._plan.proxy,
                resolver=self._resolve,
            )
        except ConnectFailed as error:
            reason = error.__context__
            number = reason.errno if isinstance(reason, OSError) else None
            ending = f"{error.stage}: {error.what}"
            took = self._now() - at
            life = Life(at=at, took=took, others=others, ending=ending, status=error.status, errno=number)
            self._note(life)
            self._failed += 1
            if life.ours:
                self._share.stopped = "this machine's own limit was met"
            elif self._failed >= GIVE_UP:
                self._share.stopped = f"{GIVE_UP} attempts failed one after the other"
            return
        self._failed = 0
        self._keep(connection, Life(at=at, took=self._now() - at, others=others, lived=0.0))

    def _note(self, life: Life) -> int:
        self._share.lives.append(life)
        return len(self._share.lives) - 1

    def _keep(self, connection: RecordedConnection, life: Life) -> None:
        place = self._note(life)
        if not connection.open:  # it ended as soon as it was open
            return self._bury(place, self._now(), connection, "fin", None)
        self._open[connection] = (place, self._now())
        self._share.peak = max(self._share.peak, len(self._open))
        connection.hold(lambda how, by: self._ended(connection, how, by))
        self._beats[connection] = timers().after(self._plan.profile.client.stabilise, lambda: self._beat(connection))

    def _beat(self, connection: RecordedConnection) -> None:
        """The application ping; the loop's one timer serves all connections."""
        rules = self._plan.profile.client
        connection.write_now(self._plan.profile.ping(datetime.now(UTC).isoformat()))
        wait = max(0.1, rules.ping_interval - rules.ping_jitter * random.random())
        self._beats[connection] = timers().after(wait, lambda: self._beat(connection))

    def _ended(self, connection: RecordedConnection, how: str, by: str | None) -> None:
        place, opened = self._open.pop(connection)
        self._beats.pop(connection).cancel()
        self._bury(place, opened, connection, how, by)
        if not self._open:
            self._empty.set()

    def _bury(self, place: int, opened: float, connection: RecordedConnection, how: str, by: str | None) -> None:
        code = connection.protocol.close_rcvd
        said = f"close {code.code}" if code is not None and not self._leaving else how
        whom = f" by {by}" if by else ""
        self._settle(place, opened, died=not self._leaving, ending="" if self._leaving else f"{said}{whom}")

    def _settle(self, place: int, opened: float, *, died: bool, ending: str) -> None:
        life = self._share.lives[place]
        lived = round(self._now() - opened, 6)
        self._share.lives[place] = Life(
            at=life.at, took=life.took, others=life.others, lived=lived, died=died, ending=ending
        )

    def _measure(self) -> None:
        now = _memory()
        if now is not None and self._before is not None:
            self._share.memory = max(0, now - self._before)

    async def _leave(self) -> None:
        """Says goodbye to all at once, waits a moment for their answers, cuts the rest."""
        self._leaving = True
        for task in self._opening:
            task.cancel()
        for connection, (place, opened) in list(self._open.items()):
            self._settle(place, opened, died=False, ending="")
            with suppress(Exception):  # a defect of one connection must not keep the others
                connection.say_goodbye()
        if self._open:
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE):
                    await self._empty.wait()
        for connection in list(self._open):
            connection.abort()
        if self._opening:
            await asyncio.wait(self._opening, timeout=GOODBYE / 4)
        await asyncio.sleep(0)


def _memory() -> int | None:
    """Bytes of this process in memory."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    import resource

    return pages * resource.getpagesize() if sys.platform.startswith("linux") else None
