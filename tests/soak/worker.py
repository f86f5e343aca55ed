"""The clients in a process that may be killed: ``python -m tests.soak.worker --port … --bots … --folder …``.

Every bot has its numbered messages, a row in the shared queue file, and a log of the numbers that :meth:`send` took.
A line is written to the log right after ``send`` returned; who is killed in between left the message in the queue, and
the next life finds it there. So what was offered is what the logs say.

One line of JSON per second tells how it is. ``stop`` on the input ends the sending, ``close`` the clients.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import msgspec

from chatkit.behaviour import Client
from chatkit.client import ChatClient
from chatkit.client.delivery import Delivery
from chatkit.errors import ChatkitError
from chatkit.lab import LabServer
from chatkit.policy.delivery import DeliveryState
from chatkit.policy.status import State
from chatkit.profile import Profile, Send
from chatkit.recorder import Recorder
from tests.soak.verdict import number_of

RATE = 2.0
"""Messages per second and bot."""
MOST_QUEUED = 50
"""Messages that may wait before a bot pauses."""
KEPT = 60
"""Messages that a conversation remembers: less than the rows of a session, and few enough that what it notes about four
times as many forgotten ones is full within the warm-up too."""
ENDED = 10
"""Ended connections that a client remembers here, for the same reason (chatkit's own: 1,000)."""
BAD = (DeliveryState.EXPIRED, DeliveryState.REJECTED, DeliveryState.UNKNOWN)
RULES = msgspec.structs.replace(
    Client(),
    keep_messages=KEPT,
    connect_timeout=3.0,
    stabilise=0.5,
    stable_after=1.0,
    ping_interval=2.0,
    ping_jitter=0.3,
    pong_timeout=2.0,
    health_interval=2.0,
    health_timeout=3.0,
    http_timeout=10.0,
    retry_base=0.1,
    retry_cap=2.0,
    retry_floor=0.02,
    suspend_probe=1.0,
    suspend_attempt=10.0,
    queue_ttl=3600.0,
    reply_grace=1.0,
)
PROFILE = Profile(name="soak", send=Send(idempotent=True), client=RULES)


class Soaked:
    """One bot: its client, its numbers, its log."""

    def __init__(self, number: int, bot: str, url: str, folder: Path, recorder: Recorder) -> None:
        self.number, self.bot, self._url, self._folder, self._recorder = number, bot, url, folder, recorder
        self.client = self._make()
        self.attempts: list[float] = []
        self.bad: list[str] = []
        self.failed: list[str] = []
        self._generation = 0
        self._watched: dict[int, Delivery] = {}
        path = folder / f"{bot}.log"
        self._logged = {int(line) for line in path.read_text().split()} if path.exists() else set()
        self._log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def _make(self) -> ChatClient:
        return ChatClient(
            self._url,
            bot=self.bot,
            user=LabServer.user,
            password=LabServer.password,
            profile=PROFILE,
            queue=self._folder / "queue.sqlite",
            recorder=self._recorder,
        )

    async def start(self) -> None:
        """Opens the client; a login that gets no answer is tried again, with another client."""
        while True:
            self.client.subscribe(self._changed)
            shrink(self.client)
            try:
                return await self.client.start()
            except ChatkitError:
                await self.client.close()
                await asyncio.sleep(0.3)
                self.client, self._generation = self._make(), 0

    async def talk(self, stopped: asyncio.Event) -> None:
        """Sends until told not to."""
        waits = [number_of(item.text) for item in self.client.unsent()]
        for number in waits:
            if number not in self._logged:
                self._write(number)
        number = max([0, *waits, *self._logged])
        self._logged.clear()
        while not stopped.is_set():
            if self.client.status.state in (State.FAILED, State.AUTH_REQUIRED):
                self.failed.append(f"{self.client.status.state}: {self.client.status.because}")
                self.client.reconnect()
            elif self.client.waiting.queued <= MOST_QUEUED:
                number += 1
                try:
                    self._watched[number] = self.client.send(f"bot {self.number} message {number}")
                except ChatkitError as error:
                    self.failed.append(f"send: {error}")
                else:
                    self._write(number)
            self.look()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), 1 / RATE)

    def look(self) -> None:
        """Settled deliveries need no watching; those that settled badly are told."""
        for number, delivery in list(self._watched.items()):
            if delivery.state in BAD:
                self.bad.append(f"{self.bot} {number} {delivery.state}: {delivery.message.because}")
            if delivery.state == DeliveryState.REPLIED or delivery.state in BAD:
                del self._watched[number]

    @property
    def unanswered(self) -> int:
        """Messages of this life without their reply."""
        return len(self._watched)

    @property
    def twice(self) -> int:
        """Replies that are shown more than once."""
        texts = [message.text for message in self.client.messages if message.role == "assistant"]
        return len(texts) - len(set(texts))

    def _write(self, number: int) -> None:
        os.write(self._log, b"%d\n" % number)

    def _changed(self, what: str) -> None:
        if what == "state" and self.client.status.generation > self._generation:
            self._generation = self.client.status.generation
            self.attempts.append(time.time())


def shrink(client: ChatClient) -> None:
    """Bounded memories get smaller bounds: what still grows after the warm-up has none."""
    client._line._ended = deque(maxlen=ENDED)


def rss() -> float:
    """MiB that are resident."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    except OSError:
        import resource

        # The most so far, where the system does not tell the present.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / ((1 << 20) if sys.platform == "darwin" else 1024)


def take(lists: list[list[Any]]) -> list[Any]:
    """What is in them, which empties them."""
    found = [each for one in lists for each in one]
    for one in lists:
        one.clear()
    return found


def report(bots: list[Soaked], **more: Any) -> None:
    """One line."""
    facts = {
        "at": time.time(),
        "rss": round(rss(), 3),
        "tasks": len(asyncio.all_tasks()),
        "unsent": sum(len(bot.client.unsent()) for bot in bots),
        "unanswered": sum(bot.unanswered for bot in bots),
        "twice": sum(bot.twice for bot in bots),
        "connects": sum(bot.client.counters.connects for bot in bots),
        "live": sum(bot.client.status.live for bot in bots),
        "attempts": take([bot.attempts for bot in bots]),
        "bad": take([bot.bad for bot in bots]),
        "failed": take([bot.failed for bot in bots]),
    }
    sys.stdout.write(json.dumps(facts | more) + "\n")
    sys.stdout.flush()


async def tell(bots: list[Soaked]) -> None:
    """A line per second."""
    while True:
        await asyncio.sleep(1.0)
        for bot in bots:
            bot.look()
        report(bots)


async def listen(stopped: asyncio.Event, closing: asyncio.Event) -> None:
    """Orders of the harness; the end of the input is one to close."""
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        (stopped if line.strip() == b"stop" else closing).set()
    stopped.set()
    closing.set()


async def run(port: int, bots: list[str], folder: Path, keep: int) -> None:
    """One life."""
    stopped, closing = asyncio.Event(), asyncio.Event()
    with Recorder(keep=keep) as recorder:
        soaked = [Soaked(n, bot, f"http://127.0.0.1:{port}", folder, recorder) for n, bot in enumerate(bots)]

        async def live(bot: Soaked) -> None:
            await bot.start()
            await bot.talk(stopped)

        async with asyncio.TaskGroup() as group:
            helpers = [group.create_task(tell(soaked)), group.create_task(listen(stopped, closing))]
            talkers = [group.create_task(live(bot)) for bot in soaked]
            await closing.wait()
            for task in [*helpers, *talkers]:
                task.cancel()
        counts = {"unsent": sum(len(bot.client.unsent()) for bot in soaked)}
        counts["connects"] = sum(bot.client.counters.connects for bot in soaked)
        await asyncio.gather(*(bot.client.close() for bot in soaked))
        await asyncio.sleep(0.1)
        orphans = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("chatkit")]
        report(soaked, final=True, orphans=orphans, **counts)


def main() -> None:
    """Runs until told to close."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--bots", required=True, help="ids, with commas")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--keep", type=int, default=20_000, help="events in memory")
    given = parser.parse_args()
    asyncio.run(run(given.port, given.bots.split(","), given.folder, given.keep))


if __name__ == "__main__":
    main()
