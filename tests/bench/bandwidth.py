"""What a conversation costs on the wire: without compression, with it, with what it remembers; and polled instead.

Four clients of one lab have the same numbered conversation at the same time, each with a bot of its own: three listen
on a WebSocket that negotiated something else, the fourth asks for the history every two seconds. First they talk, then
they are silent. All send their messages by HTTP, as the contract has it; pings come six times as often as in the
contract, which speaks against listening. The lab does not compress HTTP, so a backend that does polls for less.
Bytes are counted, not seconds: random ids move a sum by less than a per cent.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from chatkit import table
from chatkit.client import open_connection
from chatkit.client.connection import RecordedConnection
from chatkit.client.http import HttpApi
from chatkit.events import Noted
from chatkit.lab import Bot, LabServer
from chatkit.lab.bots import Ask
from chatkit.recorder import Recorder
from chatkit.saving import saving
from chatkit.trace import Trace
from chatkit.traffic import Traffic
from tests.bench.results import Measure, measured, show

TURNS = 8
TURN = 2.5
"""Seconds from one question to the next."""
SILENCE = 20.0
PING = 5.0
POLL = 2.0
WAYS = {"no compression": None, "no takeover": "deflate-no-context-takeover", "takeover": "deflate"}
WORDS = (
    "a lighthouse keeper counted ships in her notebook every evening one lamp on the horizon answered and after exactly "
    "one quiet minute it went dark she blamed the fog then the sea then other keepers but at last changed one thing "
    "only by blinking each thirty seconds so that somebody far away would know she was still there and listening"
).split()


class Teller(Bot):
    """Streams a reply of chat size, another one each time, the same in every run."""

    async def reply(self, ask: Ask) -> AsyncIterator[str]:
        """About 400 bytes in pieces of three words."""
        words = random.Random(ask.text).choices(WORDS, k=75)
        for n in range(0, len(words), 3):
            yield " ".join(words[n : n + 3]) + " "
            await asyncio.sleep(0.02)


class Client:
    """One way of having the conversation.

    Args:
        lab: the backend.
        way: id of the bot, and what the way is called.
        compression: as for ``open_connection``.
        polls: whether it asks for the history instead of listening.
    """

    def __init__(self, lab: LabServer, way: str, compression: str | None, polls: bool = False) -> None:
        self.recorder = Recorder()
        self.api = HttpApi(lab.url, recorder=self.recorder, token=lab.token)
        self.bot, self.compression, self.polls = way.replace(" ", "-"), compression, polls

    async def run(self) -> Trace:
        """The whole conversation; its trace."""
        with self.recorder:
            async with self.api, asyncio.TaskGroup() as group:
                session = await self.api.new_session(self.bot)
                assert session is not None
                connection = None if self.polls else await self._listen()
                beside = group.create_task(self._beside(connection, session))
                await self._talk(connection, session)
                self.recorder.record(Noted, text="silence")
                await asyncio.sleep(SILENCE)
                self.recorder.record(Noted, text="end")
                beside.cancel()
                if connection is not None:
                    await connection.close()
            return self.recorder.snapshot()

    async def _listen(self) -> RecordedConnection:
        return await open_connection(self.api.socket_url(self.bot), self.recorder, compression=self.compression)

    async def _talk(self, connection: RecordedConnection | None, session: str) -> None:
        self.recorder.record(Noted, text="talk")
        for turn in range(TURNS):
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(TURN))
                await self._say(connection, "typing", data={"is_typing": True})
                await asyncio.sleep(0.5)
                await self._say(connection, "typing", data={"is_typing": False})
                await self.api.chat(self.bot, f"question {turn} about the lighthouse", session)

    async def _beside(self, connection: RecordedConnection | None, session: str) -> None:
        while True:
            if connection is None:
                await self.api.history(session)
            else:
                await self._say(connection, "ping", timestamp=datetime.now(UTC).isoformat())
            await asyncio.sleep(POLL if connection is None else PING)

    async def _say(self, connection: RecordedConnection | None, type_: str, **rest: object) -> None:
        if connection is not None:
            await connection.send(json.dumps({"type": type_} | rest))


def phase(trace: Trace, name: str) -> Traffic:
    """The traffic from the note of that name to the next one: a rate is over the time between them."""
    notes = [(event.at, event.text) for event in trace.select(kinds={"Noted"}) if isinstance(event, Noted)]
    n = [text for _, text in notes].index(name)
    return trace.select(since=notes[n][0], until=notes[n + 1][0]).traffic()


def by_type(ways: dict[str, Traffic]) -> list[str]:
    """Bytes a message, payload and wire, and the ratio of each way."""
    plain = ways["no compression"]
    lines = []
    for row in plain.rows:
        totals = [way.total(direction=row.direction, type=row.type) for way in ways.values()]
        cells = [f"{total.wire / total.messages:,.0f}" for total in totals if total.wire is not None]
        ratios = [f"{total.ratio:.2f}" for total in totals if total.ratio is not None]
        size = f"{row.payload / row.messages:,.0f}"
        lines.append((f"{row.direction} {row.type}", f"{row.messages:,}", size, *cells, *(ratios or [""] * 3)))
    head = ("bytes a message", "messages", "payload", *ways, *(f"÷ {way}" for way in ways))
    return table.aligned(head, lines, left=1)


async def compare() -> dict[str, Trace]:
    """All four conversations at once; their traces."""
    names = [*WAYS, "polled"]
    async with LabServer(bots=[Teller(name) for name in names]) as lab, asyncio.TaskGroup() as group:
        clients = {name: Client(lab, name, WAYS.get(name), polls=name == "polled") for name in names}
        tasks = {name: group.create_task(client.run()) for name, client in clients.items()}
        await asyncio.wait(tasks.values())
    return {name: task.result() for name, task in tasks.items()}


def rows() -> list[Measure]:
    """Bytes against the way without compression, and against polling; by message type they are printed."""
    traces = asyncio.run(compare())
    talks = {name: phase(trace, "talk") for name, trace in traces.items()}
    for way in WAYS:
        (connection,) = traces[way].traffic().connections
        print(f"{way}: {connection.compression}")
    print("\n".join(["", *by_type({way: talks[way] for way in WAYS})]))
    silent = {name: phase(traces[name], "silence") for name in ("polled", "takeover")}
    found = []
    for when, a, b, traffic in (
        ("talk", "no compression", "no takeover", talks),
        ("talk", "no compression", "takeover", talks),
        ("talk", "polled", "takeover", talks),
        ("are silent", "polled", "takeover", silent),
    ):
        saved = saving(traffic[a], traffic[b], (a, b))
        print(f"\nwhile they {when}, {a} against {b}\n{saved}")
        whole = saved.lines[-1]
        if whole.a and whole.b is not None:
            found.append(measured(f"bytes a minute while they {when}, {b}", [whole.b / whole.a], against=a))
    return found


def main() -> None:
    """Prints what was negotiated, bytes by message type, what each way saves, and the measures."""
    show(rows())


if __name__ == "__main__":
    main()
