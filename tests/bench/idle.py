"""What an idle connection costs: memory of a recorded one ÷ a bare ``websockets`` one, and CPU of 10,000 heartbeats.

Memory: each contestant is a process that opens connections without compression and measures what it grew by. Heartbeats:
10,000 connections with an RFC 6455 ping each every ten seconds, all contestants at the same time against servers of their
own, so that they have the same machine; each second's CPU time of the process counts, not the clock's. ``websockets``' own
keepalive is a task and a timer for each connection; ours are recorded connections on the loop's one timer.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import random
import resource
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from websockets.asyncio.client import connect
from websockets.server import ServerProtocol

from chatkit.client import open_connection
from chatkit.client.connection import RecordedConnection
from chatkit.client.timers import timers
from chatkit.recorder import MIN_KEEP, Recorder
from tests.bench.results import CannotRun, Measure, measured, show

IDLE = 2_000
MEMORY_ROUNDS = 3
BEATING = 10_000
INTERVAL = 10.0
"""Seconds between two pings of a connection."""
WINDOW = 10.0
"""Seconds of one round: each connection beats once."""
ROUNDS = 4
_SPARE = 200
"""Descriptors for everything else."""
_AT_A_TIME = 50


class Peer(asyncio.Protocol):
    """Accepts the upgrade and answers pings; as little as a server can do."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.protocol: ServerProtocol | None = ServerProtocol()

    def data_received(self, data: bytes) -> None:
        if self.protocol is None:
            self._answer(data)
            return
        self.protocol.receive_data(data)
        for request in self.protocol.events_received():
            self.protocol.send_response(self.protocol.accept(request))  # type: ignore[arg-type]
            self.transport.writelines(self.protocol.data_to_send())
            self.protocol = None

    def _answer(self, data: bytes) -> None:
        """A masked ping of a few bytes gets its pong (RFC 6455, section 5.5.3); anything else is the end."""
        if data[0] == 0x89:
            size, key = data[1] & 0x7F, data[2:6]
            self.transport.write(bytes([0x8A, size]) + bytes(b ^ key[n % 4] for n, b in enumerate(data[6 : 6 + size])))
        else:
            self.transport.close()


def serve(pipe: Connection) -> None:
    """The server's process: tells its port and lives until it hears something."""

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Peer, "127.0.0.1", 0, backlog=4096)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.to_thread(pipe.recv)

    gc.disable()
    asyncio.run(main())


async def bare(url: str, recorder: Recorder, ping: float | None) -> Any:
    """``websockets`` as it is."""
    return await connect(url, compression=None, ping_interval=ping, ping_timeout=ping, proxy=None, open_timeout=60)


async def recorded(url: str, recorder: Recorder, ping: float | None) -> Any:
    """Ours, held: nobody reads it, all is recorded; its heartbeat is on the loop's timer."""
    connection = await open_connection(url, recorder, compression=None, timeout=60)
    connection.hold(lambda how, by: None)
    if ping is not None:
        timers().after(random.random() * ping, lambda: beat(connection, ping))
    return connection


def beat(connection: RecordedConnection, interval: float) -> None:
    """One ping, and the next one."""
    connection.ping_now()
    timers().after(interval, lambda: beat(connection, interval))


CONTESTANTS: dict[str, Callable[[str, Recorder, float | None], Any]] = {"bare": bare, "recorded": recorded}


def memory() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def client(name: str, port: int, count: int, ping: float | None, pipe: Connection) -> None:
    """The client's process: opens, tells its growth, then tells its CPU time whenever it is asked."""

    async def main() -> None:
        with Recorder(keep=MIN_KEEP) as recorder:
            kept = [await CONTESTANTS[name](f"ws://127.0.0.1:{port}/", recorder, None) for _ in range(20)]
            gc.collect()
            before = memory()
            for _ in range(0, count, _AT_A_TIME):
                kept += await asyncio.gather(
                    *(CONTESTANTS[name](f"ws://127.0.0.1:{port}/", recorder, ping) for _ in range(_AT_A_TIME))
                )
            await asyncio.sleep(0.3)
            gc.collect()
            pipe.send((memory() - before) / count)
            while await asyncio.to_thread(pipe.recv):
                pipe.send(time.process_time())
            os._exit(0)  # ten thousand goodbyes are nothing that is measured

    asyncio.run(main())


class Pair:
    """A contestant with a server of its own, each in a process."""

    def __init__(self, name: str, count: int, ping: float | None) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._ours, theirs = spawn.Pipe()
        self._server = spawn.Process(target=serve, args=(theirs,), daemon=True)
        self._server.start()
        port = self._ours.recv()
        self._pipe, theirs = spawn.Pipe()
        self._client = spawn.Process(target=client, args=(name, port, count, ping, theirs), daemon=True)
        self._client.start()
        self.growth: float = self._pipe.recv()
        """Bytes for each connection."""

    def cpu(self) -> float:
        """Seconds of CPU time that the client took so far."""
        self._pipe.send(True)
        seconds: float = self._pipe.recv()
        return seconds

    def close(self) -> None:
        """Ends both."""
        self._client.kill()
        self._server.kill()
        self._client.join()
        self._server.join()


def growth(name: str) -> float:
    """Bytes for each idle connection, in processes that are fresh."""
    pair = Pair(name, IDLE, None)
    pair.close()
    return pair.growth


def heartbeats(count: int) -> list[dict[str, float]]:
    """CPU seconds of each contestant in each round; all run at the same time."""
    pairs: dict[str, Pair] = {}
    try:
        for name, contestant in (("bare", "bare"), ("again", "bare"), ("recorded", "recorded")):
            pairs[name] = Pair(contestant, count, INTERVAL)
        time.sleep(INTERVAL)
        found = []
        for _ in range(ROUNDS):
            before = {name: pair.cpu() for name, pair in pairs.items()}
            time.sleep(WINDOW)
            found.append({name: pair.cpu() - before[name] for name, pair in pairs.items()})
        return found
    finally:
        for pair in pairs.values():
            pair.close()


def rows() -> list[Measure]:
    """Memory and CPU against the bare connection's."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if most < BEATING + _SPARE:
        raise CannotRun(f"a process may have {most:,} descriptors, {BEATING + _SPARE:,} are needed (ulimit -n)")
    sizes = [
        {name: growth(one) for name, one in (("bare", "bare"), ("again", "bare"), ("recorded", "recorded"))}
        for _ in range(MEMORY_ROUNDS)
    ]
    beats = heartbeats(BEATING)
    for name in ("bare", "recorded"):
        kib = sorted(size[name] / 1024 for size in sizes)
        cpu = sorted(100 * beat[name] / WINDOW for beat in beats)
        print(
            f"{name}: {kib[len(kib) // 2]:.1f} KiB a connection; {cpu[len(cpu) // 2]:.1f} % of a core for {BEATING:,} heartbeats every {INTERVAL:g} s"
        )
    ping = f"CPU, {BEATING:,} heartbeats"
    return [
        measured("memory, idle, bare again", [one["again"] / one["bare"] for one in sizes], against="bare websockets"),
        measured(
            "memory, idle, recorded",
            [one["recorded"] / one["bare"] for one in sizes],
            against="bare websockets",
            most=1.25,
        ),
        measured(
            f"{ping}, bare again",
            [one["again"] / one["bare"] for one in beats],
            against="a timer a connection (websockets)",
        ),
        measured(
            f"{ping}, recorded, one timer",
            [one["recorded"] / one["bare"] for one in beats],
            against="a timer a connection (websockets)",
            most=0.5,
        ),
    ]


def main() -> None:
    """Prints the table."""
    show(rows())


if __name__ == "__main__":
    main()
