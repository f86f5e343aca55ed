"""What recording costs: frames received per second through a recording connection ÷ through a bare ``websockets`` one.

A sender in a process of its own writes ready-made frames as fast as TCP takes them; the receiver is the bottleneck.
The contestants take turns within one run, so that a machine whose speed drifts slows them alike; ``bare again`` is the
A/A control and shows how much of a ratio is noise. What is persisted is on disk before the clock stops. For the
recording in memory the clock stops when the last frame was received, as it does for the bare connection; turning its
log into events is timed as a contestant of its own.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from chatkit.client import open_connection
from chatkit.recorder import Recorder
from tests.bench.results import Measure, measured, show

ROUNDS = 9
SECONDS_EACH = 0.6
SIZES = (100, 4096)


def message(size: int) -> bytes:
    """A chat message of that many bytes."""
    start, end = b'{"type": "chat_response_chunk", "bot_id": "b", "data": {"seq": 7, "delta": "', b'"}}'
    words = b"and so the lamp stayed lit over the quiet water, "
    return start + (words * (size // len(words) + 1))[: size - len(start) - len(end)] + end


def frame(payload: bytes) -> bytes:
    """The frame of a server (RFC 6455, section 5.2)."""
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


def send(pipe: Connection) -> None:
    """The sender's process: ``/size/count`` is answered with so many frames of that size, then a close frame."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        protocol = ServerProtocol()
        while not (events := protocol.events_received()):
            protocol.receive_data(await reader.read(4096))
        request = events[0]
        protocol.send_response(protocol.accept(request))
        writer.write(b"".join(protocol.data_to_send()))
        _, size, count = request.path.split("/")
        one = frame(message(int(size)))
        many = one * max(1, (1 << 18) // len(one))
        left = int(count)
        while left:
            take = min(left, len(many) // len(one))
            writer.write(many[: take * len(one)])
            await writer.drain()
            left -= take
        writer.write(Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=False))
        await writer.drain()
        # The client's own close frame; who accepts ends the TCP connection first (RFC 6455, section 7.1.1).
        await reader.read(64)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        while not pipe.poll():
            await asyncio.sleep(0.05)

    asyncio.run(main())


async def drain(websocket: object, count: int) -> None:
    """Receives what comes; the same loop for everybody."""
    got = 0
    async for _ in websocket:  # type: ignore[attr-defined]
        got += 1
    assert got == count, f"{got} of {count} frames"


async def bare(url: str, count: int, folder: Path) -> None:
    """``websockets`` as it is, with the settings of the recording one."""
    async with connect(url, compression=None, max_queue=None, ping_interval=None, proxy=None) as websocket:
        await drain(websocket, count)


async def in_memory(url: str, count: int, folder: Path) -> None:
    """Recording without a file."""
    with Recorder() as recorder:
        await drain(await open_connection(url, recorder, compression=None), count)
        recorder._log.clear()


async def in_memory_decoded(url: str, count: int, folder: Path) -> None:
    """Recording without a file, until every event is there."""
    with Recorder() as recorder:
        await drain(await open_connection(url, recorder, compression=None), count)
        assert len(recorder.snapshot()) > count


async def persisted(url: str, count: int, folder: Path) -> None:
    """Recording with redaction and a file; finished when the file is."""
    path = folder / "r.jsonl"
    with Recorder(path) as recorder:
        recorder.redactor.add("a secret that does not occur")
        await drain(await open_connection(url, recorder, compression=None), count)
    assert path.stat().st_size > count * 100


Contestant = Callable[[str, int, Path], Awaitable[None]]
CONTESTANTS: dict[str, Contestant] = {
    "bare": bare,
    "bare again": bare,
    "in memory": in_memory,
    "in memory, decoded": in_memory_decoded,
    "redacted and persisted": persisted,
}
TARGETS = {"in memory": {100: 0.90, 4096: 0.85}, "redacted and persisted": {100: 0.70, 4096: 0.50}}


async def compare(port: int, size: int) -> list[Measure]:
    """Rounds of all contestants in turn; ratios of each round against that round's bare."""
    count = 2000
    while (took := await measure(bare, port, size, count)) < SECONDS_EACH:
        count = int(count * max(1.5, SECONDS_EACH / took))
    rates: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for round_ in range(ROUNDS):
        order = list(CONTESTANTS.items())
        for name, contestant in order[round_ % len(order) :] + order[: round_ % len(order)]:
            rates[name].append(count / await measure(contestant, port, size, count))
    print(f"{size} B, {count:,} frames a turn, {ROUNDS} rounds, bare {statistics.median(rates['bare']):,.0f} frames/s")
    return [
        measured(
            f"receive {size:,} B, {name}",
            [rate / base for rate, base in zip(rates[name], rates["bare"], strict=True)],
            against="bare websockets",
            least=TARGETS.get(name, {}).get(size),
        )
        for name in list(CONTESTANTS)[1:]
    ]


async def measure(contestant: Contestant, port: int, size: int, count: int) -> float:
    """Seconds of one turn, without those in which its file is deleted."""
    gc.collect()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        await contestant(f"ws://127.0.0.1:{port}/{size}/{count}", count, Path(folder))
        return time.perf_counter() - began


def rows() -> list[Measure]:
    """Frames per second against the bare connection's, for each message size."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=send, args=(theirs,))
    process.start()
    try:
        port = ours.recv()
        print(f"collector {'on' if gc.isenabled() else 'off'}")
        return [row for size in SIZES for row in asyncio.run(compare(port, size))]
    finally:
        ours.send("stop")
        process.join(10)


def main() -> None:
    """Prints the table."""
    show(rows())


if __name__ == "__main__":
    main()
