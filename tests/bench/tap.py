"""What a tap costs: WebSocket messages per second through it ÷ through a plain TCP relay, and the time it adds to one.

Behind every contestant stands one server, in front of it one client, each in a process of its own; both write
ready-made frames and cost less than what lies between them. The contestants take turns within one run, so that a
machine whose speed drifts slows them alike; ``plain relay again`` is the A/A control. Three loads:

* ``chat``: connections that each ask (100 B) and get a reply in pieces (120 B each), every piece a write of its own;
* ``flood``: one connection whose server never stops, which lets a relay pass hundreds of messages in one piece;
* ``one at a time``: one connection, one message each way: what the way through adds to a direct round trip.

The recording tap redacts and persists; a round counts when every message of it is an event, in the file. mitmproxy
and nginx record nothing here.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from tests.bench.recording import frame, message

ROUNDS = 5
SECONDS_EACH = 1.5
CONNECTIONS = 16
PIECES = 8
"""Messages of one reply."""
TRIPS = 400
"""Round trips of one turn of ``one at a time``."""
QUESTION = Frame(Opcode.TEXT, message(100)).serialize(mask=True)
PIECE = frame(message(120))
REQUEST = (
    b"GET /%s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
_spawn = multiprocessing.get_context("spawn")


# The server


class Server(asyncio.Protocol):
    """Answers the upgrade, then each question with a reply; a path ``flood/N`` with N pieces at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.protocol: ServerProtocol | None = ServerProtocol()
        self.rest = 0
        self.pieces = PIECES
        self.left = 0
        self.full = False

    def data_received(self, data: bytes) -> None:
        if self.protocol is not None:
            self.protocol.receive_data(data)
            for request in self.protocol.events_received():
                self.protocol.send_response(self.protocol.accept(request))
                self.transport.writelines(self.protocol.data_to_send())
                self.protocol = None
                what, _, count = request.path[1:].partition("/")
                self.pieces = 1 if what == "single" else PIECES
                self.left = int(count or 0)
                self.pump()
            return
        self.rest += len(data)
        while self.rest >= len(QUESTION):
            self.rest -= len(QUESTION)
            for _ in range(self.pieces):
                self.transport.write(PIECE)

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self.pump()

    def pump(self) -> None:
        """Writes until TCP takes no more."""
        many = PIECE * 512
        while self.left and not self.full:
            take = min(self.left, 512)
            self.left -= take
            self.transport.write(many[: take * len(PIECE)])


def serve(pipe: Connection) -> None:
    """The server's process."""

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.to_thread(pipe.recv)

    asyncio.run(main())


# The contestants: each gets the server's port and yields its own


class Relay(asyncio.Protocol):
    """The least that a relay in asyncio can be, with back-pressure."""

    def __init__(self, port: int | None, other: Relay | None = None) -> None:
        self.port, self.other = port, other
        self.waiting: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        if hasattr(transport, "max_size"):
            transport.max_size = 65_536  # as the tap's: larger reads are slower
        if self.port is not None:
            self.task = asyncio.get_running_loop().create_task(self.connect(self.port))

    async def connect(self, port: int) -> None:
        _, other = await asyncio.get_running_loop().create_connection(lambda: Relay(None, self), "127.0.0.1", port)
        self.other = other
        for data in self.waiting:
            other.transport.write(data)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self.waiting.append(data)
        else:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        assert self.other is not None
        self.other.transport.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None:
            self.other.transport.close()

    def pause_writing(self) -> None:
        assert self.other is not None
        self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        assert self.other is not None
        self.other.transport.resume_reading()


def relay(pipe: Connection, port: int) -> None:
    """The plain relay's process."""

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: Relay(port), "127.0.0.1", 0, backlog=512)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.to_thread(pipe.recv)

    asyncio.run(main())


def hop(pipe: Connection, port: int) -> None:
    """The tap's forwarding core alone."""
    from chatkit.tap import Hop

    with Hop(to=f"http://127.0.0.1:{port}") as running:
        pipe.send(int(running.address.rpartition(":")[2]))
        pipe.recv()


@dataclass
class Contestant:
    """Something between client and server."""

    name: str
    port: int
    settle: Callable[[int], None] = lambda count: None
    """Waits until so many messages more are where they belong."""


@contextmanager
def process(target: Callable[..., None], *args: Any) -> Iterator[int]:
    """The port of a process of ours."""
    ours, theirs = _spawn.Pipe()
    running = _spawn.Process(target=target, args=(theirs, *args))
    running.start()
    try:
        yield ours.recv()
    finally:
        ours.send("stop")
        running.join(10)


@contextmanager
def tap(port: int) -> Iterator[Contestant]:
    """``chatkit tap`` as a user runs it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "r.jsonl"
        words = ["tap", "--to", f"http://127.0.0.1:{port}", "--out", str(file)]
        command = [sys.executable, "-m", "chatkit", *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
            assert running.stdout is not None
            import json

            url = json.loads(running.stdout.readline())["url"]
            at = file.stat().st_size

            def settle(count: int) -> None:
                nonlocal at
                found, rest, deadline = 0, b"", time.monotonic() + 60
                with file.open("rb") as stream:
                    stream.seek(at)
                    while found < count:
                        more = stream.read(1 << 22)
                        whole, _, rest = (rest + more).rpartition(b"\n")
                        found += whole.count(b'"FrameReceived"')
                        assert time.monotonic() < deadline, f"{found:,} of {count:,} messages in the recording"
                        if not more:
                            time.sleep(0.005)
                at = file.stat().st_size

            yield Contestant("tap, recording", int(url.rpartition(":")[2]), settle)
            running.terminate()
            running.communicate(timeout=20)


@contextmanager
def nginx(port: int) -> Iterator[Contestant]:
    """nginx as a proxy of WebSockets."""
    from tests.incidents.processes import find_program, free_port

    mine = free_port()
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        places = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
        configuration.write_text(
            f"{user} daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/log; events {{}}\n"
            f"http {{ access_log off; client_body_temp_path {folder}/body; {places}\n"
            f"server {{ listen 127.0.0.1:{mine}; location / {{ proxy_pass http://127.0.0.1:{port};\n"
            "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; } } }"
        )
        command = [find_program("nginx"), "-p", folder, "-e", f"{folder}/log", "-c", str(configuration)]
        with program(command, mine):
            yield Contestant("nginx", mine)


@contextmanager
def mitmproxy(port: int) -> Iterator[Contestant]:
    """mitmproxy as a reverse proxy, which keeps nothing."""
    from tests.incidents.processes import MissingProgram, free_port

    binary = os.environ.get("MITMDUMP") or shutil.which("mitmdump")
    if binary is None:
        raise MissingProgram("mitmdump is not installed (or named in MITMDUMP)")
    mine = free_port()
    options = ["--mode", f"reverse:http://127.0.0.1:{port}", "--listen-host", "127.0.0.1", "--listen-port", str(mine)]
    with program([binary, "-q", *options], mine):
        yield Contestant("mitmproxy", mine)


@contextmanager
def program(command: list[str], port: int) -> Iterator[None]:
    """A process that listens on a port after a while."""
    import socket

    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            deadline = time.monotonic() + 30
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                assert running.poll() is None, f"{command[0]} ended"
                assert time.monotonic() < deadline, f"{command[0]} does not listen"
                time.sleep(0.1)
            yield
        finally:
            running.terminate()
            running.wait(20)


# The client


class Client(asyncio.Protocol):
    """Asks, waits for the pieces of the reply, asks again; counts what comes."""

    def __init__(self, path: bytes, questions: int, pieces: int, done: asyncio.Future[None]) -> None:
        self.path, self.left, self.pieces, self.done = path, questions, pieces, done
        self.head = b""
        self.open = False
        self.got = self.wanted = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        transport.write(REQUEST % self.path)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if not self.open:
            self.head += data
            head, found, data = self.head.partition(b"\r\n\r\n")
            if not found:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self.open = True
            if not self.left:
                self.wanted = self.pieces * len(PIECE)
            else:
                self.ask()
        self.got += len(data)
        if self.got >= self.wanted:
            if self.left:
                self.ask()
            elif not self.done.done():
                self.done.set_result(None)

    def ask(self) -> None:
        """The next question."""
        self.left -= 1
        self.wanted += self.pieces * len(PIECE)
        self.transport.write(QUESTION)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("ended early"))


async def talk(port: int, path: bytes, questions: int, pieces: int, connections: int = 1) -> None:
    """So many connections until each has all its replies; then they end."""
    loop = asyncio.get_running_loop()
    ends: list[asyncio.Future[None]] = [loop.create_future() for _ in range(connections)]
    clients = [
        (await loop.create_connection(lambda end=end: Client(path, questions, pieces, end), "127.0.0.1", port))[0]  # type: ignore[misc]
        for end in ends
    ]
    await asyncio.gather(*ends)
    for transport in clients:
        transport.abort()


def chat(contestant: Contestant, size: int) -> float:
    """Messages of the server per second, where it replies in pieces."""
    questions = max(1, size // (CONNECTIONS * PIECES))
    count = questions * CONNECTIONS * PIECES
    took = timed(lambda: talk(contestant.port, b"chat", questions, PIECES, CONNECTIONS), contestant, count)
    return count / took


def flood(contestant: Contestant, size: int) -> float:
    """Messages of the server per second, where it never stops."""
    return size / timed(lambda: talk(contestant.port, b"flood/%d" % size, 0, size), contestant, size)


def one_at_a_time(contestant: Contestant, size: int) -> float:
    """Microseconds of a round trip, the mean of one turn; the recording may follow later."""
    later = Contestant(contestant.name, contestant.port)
    took = timed(lambda: talk(contestant.port, b"single", size, 1), later, size)
    contestant.settle(size)
    return took / size * 1e6


def timed(work: Callable[[], Any], contestant: Contestant, count: int) -> float:
    """Seconds of one turn, what is recorded included."""
    gc.collect()
    began = time.perf_counter()
    asyncio.run(work())
    contestant.settle(count)
    return time.perf_counter() - began


def compare(name: str, load: Callable[[Contestant, int], float], contestants: list[Contestant], size: int) -> None:
    """Rounds of all contestants in turn; ratios of each round against that round's plain relay."""
    found: dict[str, list[float]] = {one.name: [] for one in contestants}
    for one in contestants:
        load(one, max(1, size // 10))
    for turn in range(ROUNDS):
        for one in contestants[turn % len(contestants) :] + contestants[: turn % len(contestants)]:
            # What is much slower gets less to do: the time of a turn is what counts.
            share = 10 if one.name == "mitmproxy" else 1
            found[one.name].append(load(one, max(1, size // share)))
    base = found["plain relay"]
    print(f"{name}: plain relay {statistics.median(base):,.0f}")
    for one in contestants:
        if one.name == "plain relay":
            continue
        ratios = sorted(value / of for value, of in zip(found[one.name], base, strict=True))
        print(
            f"  {one.name:<20}{statistics.median(ratios):6.3f}   [{ratios[0]:.3f} - {ratios[-1]:.3f}]"
            f"   {statistics.median(found[one.name]):,.0f}"
        )


def main() -> None:
    """Prints one table per load."""
    from tests.incidents.processes import MissingProgram

    with ExitStack() as stack:
        port = stack.enter_context(process(serve))
        plain = stack.enter_context(process(relay, port))
        contestants = [
            Contestant("plain relay", plain),
            Contestant("plain relay again", plain),
            Contestant("tap, not recording", stack.enter_context(process(hop, port))),
            stack.enter_context(tap(port)),
        ]
        for other in (nginx, mitmproxy):
            try:
                contestants.append(stack.enter_context(other(port)))
            except MissingProgram as error:
                print(f"{other.__name__}: {error}")
        size = 2000
        while (took := size / chat(contestants[0], size)) < SECONDS_EACH:
            size = int(size * max(1.5, SECONDS_EACH / took))
        print(f"÷ plain relay, median [least - most], {ROUNDS} rounds; collector {'on' if gc.isenabled() else 'off'}")
        compare(f"chat, {CONNECTIONS} connections, messages/s", chat, contestants, size)
        compare("flood, one connection, messages/s", flood, contestants, 100_000)
        direct = Contestant("direct", port)
        compare("one at a time, µs for a round trip", one_at_a_time, [*contestants, direct], TRIPS)


if __name__ == "__main__":
    main()
