"""Reading a capture against what tshark takes for the same file, and the memory that it needs at most.

The capture is made on the fly: chats of many connections with messages of 100 to 1,400 bytes, and as many bytes of
other people's traffic between them. ``python -m tests.bench.capture [MIB] [ROUNDS]``; skips where tshark is absent.
Both run alone, one after the other, in processes of their own; ``tshark -q -z io,stat,0`` is the measure.
"""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import BinaryIO

from tests.bench.bandwidth import WORDS
from tests.bench.results import CannotRun, Measure, measured, show

CHATS = 200
_POOL = 500
"""Different messages."""
_READ = """
import resource, sys
import chatkit
trace = chatkit.load(sys.argv[1])
print(len(trace), len(trace.connections), len(trace.warnings), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
_SERVER = bytes([10, 0, 0, 1])


class Chat:
    """One TCP connection's numbers."""

    def __init__(self, number: int, port: int) -> None:
        self.client = bytes([10, 1, number >> 8, number & 255])
        self.ports = (20_000 + number, port)
        self.seq = [number * 7919 & 0xFFFFFFFF, number * 104729 & 0xFFFFFFFF]

    def packet(self, side: int, flags: int, payload: bytes) -> bytes:
        """The next segment of a side, as an Ethernet frame."""
        source, target = (_SERVER, self.client) if side else (self.client, _SERVER)
        ports = self.ports[::-1] if side else self.ports
        head = struct.pack(
            "!12sHBBHHHBBH4s4sHHIIBBHHH",
            b"\2\0\0\0\0\1\2\0\0\0\0\2", 0x0800, 0x45, 0, 40 + len(payload), 1, 0x4000, 64, 6, 0, source, target,
            *ports, self.seq[side], self.seq[1 - side], 0x50, flags, 65535, 0, 0,
        )  # fmt: skip
        self.seq[side] = (self.seq[side] + len(payload) + (flags & 1) + (flags >> 1 & 1)) & 0xFFFFFFFF
        return head + payload


def frame(text: bytes, *, masked: bool) -> bytes:
    """A text frame; the key is zero, so that the bytes stay what they are."""
    bit = 0x80 if masked else 0
    head = bytes([0x81, bit | len(text)]) if len(text) < 126 else struct.pack("!BBH", 0x81, bit | 126, len(text))
    return head + (bytes(4) if masked else b"") + text


def make(file: BinaryIO, mib: int) -> None:
    """Writes about that much."""
    dice = random.Random(1)
    texts = [
        b'{"type": "chat_response_chunk", "data": {"seq": %d, "delta": "%s"}}' % (n, " ".join(dice.choices(WORDS, k=dice.randint(8, 240))).encode()[:1340])
        for n in range(_POOL)
    ]  # fmt: skip
    down, up = [frame(text, masked=False) for text in texts], [frame(text, masked=True) for text in texts[:50]]
    bulk, written, now = dice.randbytes(1400), 24, 1_764_000_000_000_000
    chats, others = [Chat(n, 8000) for n in range(CHATS)], [Chat(n + CHATS, 47047) for n in range(50)]
    udp = (
        struct.pack(
            "!12sHBBHHHBBH4s4sHHHH",
            b"\2" * 12,
            0x0800,
            0x45,
            0,
            1428,
            1,
            0,
            64,
            17,
            0,
            _SERVER,
            _SERVER,
            40404,
            40405,
            1408,
            0,
        )
        + bulk
    )
    file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))

    def put(packet: bytes) -> None:
        nonlocal written, now
        now += 50
        file.write(struct.pack("<IIII", *divmod(now, 1_000_000), len(packet), len(packet)) + packet)
        written += 16 + len(packet)

    for chat in chats + others:
        put(chat.packet(0, 0x02, b""))
        put(chat.packet(1, 0x12, b""))
        put(chat.packet(0, 0x10, b""))
    for chat in chats:
        put(
            chat.packet(
                0,
                0x18,
                b"GET /api/ws/chat/echo HTTP/1.1\r\nHost: chat\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n",
            )
        )
        put(
            chat.packet(
                1,
                0x18,
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
            )
        )
    while written < mib << 20:
        chat = dice.choice(chats)
        put(chat.packet(1, 0x18, dice.choice(down)))
        put(chat.packet(0, 0x10, b""))
        if dice.random() < 0.1:
            put(chat.packet(0, 0x18, dice.choice(up)))
        put(dice.choice(others).packet(1, 0x10, bulk) if dice.random() < 0.5 else udp)


def run(command: list[str]) -> tuple[float, str]:
    """Seconds and what it printed."""
    began = time.perf_counter()
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return time.perf_counter() - began, out


def rows(mib: int = 256, rounds: int = 3) -> list[Measure]:
    """Speed against tshark's, and the peak of memory."""
    tshark = shutil.which("tshark")
    if tshark is None:
        raise CannotRun("tshark is not installed (apt-get install tshark), there is nothing to compare with")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chats.pcap"
        with path.open("wb") as file:
            make(file, mib)
        print(f"{path.stat().st_size / (1 << 20):,.0f} MiB, {CHATS} chats and other traffic")
        ratios, peaks = [], []
        for _ in range(rounds):
            theirs, _ = run([tshark, "-q", "-z", "io,stat,0", "-r", str(path)])
            ours, said = run([sys.executable, "-c", _READ, str(path)])
            events, connections, warnings, peak = said.split()
            ratios.append(theirs / ours)
            peaks.append(float(peak))
        print(
            f"{int(events):,} events, {connections} connections, {warnings} warnings; {ours:.1f} s, tshark {theirs:.1f} s"
        )
    return [
        measured("speed", ratios, against="tshark -q -z io,stat,0", least=1),
        measured("peak memory", peaks, unit="MiB", most=500),
    ]


def main(mib: int = 256, rounds: int = 3) -> None:
    """Prints the table."""
    show(rows(mib, rounds))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
