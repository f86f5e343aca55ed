"""What reading a large Chrome NetLog costs: peak memory, and time ÷ decoding the same file's JSON with msgspec as a whole.

The log is generated: a browser with one busy WebSocket among ordinary requests, one entry a line as Chrome writes
them. Each contestant is a process of its own, taken in turn; ``again`` is the A/A control.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.results import Measure, measured, show

SIZE = 1 << 28
ROUNDS = 3

_TYPES = {
    "REQUEST_ALIVE": 1,
    "URL_REQUEST_START_JOB": 2,
    "HTTP_TRANSACTION_SEND_REQUEST_HEADERS": 3,
    "HTTP_TRANSACTION_READ_RESPONSE_HEADERS": 4,
    "WEBSOCKET_SENT_FRAME_HEADER": 5,
    "WEBSOCKET_RECV_FRAME_HEADER": 6,
    "SOCKET_BYTES_RECEIVED": 7,
    "SOCKET_BYTES_SENT": 8,
    "HTTP_CACHE_OPEN_ENTRY": 9,
    "URL_REQUEST_JOB_FILTERED_BYTES_READ": 10,
    "COOKIE_STORE_COOKIE_ADDED": 11,
    "CANCELLED": 12,
}
_CHILD = """
import resource, sys, time
began = time.perf_counter()
if sys.argv[1] == "chatkit":
    import chatkit.formats.netlog
    from chatkit.formats import load
    began = time.perf_counter()
    count = len(load(sys.argv[2]))
else:
    import msgspec
    began = time.perf_counter()
    with open(sys.argv[2], "rb") as file:
        count = len(msgspec.json.decode(file.read())["events"])
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, count)
"""


def entry(ticks: int, name: str, source: int, phase: int, params: dict[str, object]) -> bytes:
    """One entry as a line of Chrome's."""
    place = {"id": source, "start_time": str(ticks), "type": 1}
    whole = {"params": params, "phase": phase, "source": place, "time": str(ticks), "type": _TYPES[name]}
    return json.dumps(whole, separators=(",", ":")).encode() + b",\n"


def block(ticks: int, first: int) -> bytes:
    """A few hundred entries: frames of the WebSocket with the number 5, and one request with its sources."""
    rng, lines = random.Random(first), []
    flags = {"reserved1": True, "reserved2": False, "reserved3": False}
    for i in range(40):
        ours, length = i % 4 == 0, rng.randrange(40, 900)
        name = "WEBSOCKET_SENT_FRAME_HEADER" if ours else "WEBSOCKET_RECV_FRAME_HEADER"
        frame = {"final": True, "masked": ours, "opcode": 1, "payload_length": length, **flags}
        lines.append(entry(ticks + i, name, 5, 0, frame))
        moved = "SOCKET_BYTES_SENT" if ours else "SOCKET_BYTES_RECEIVED"
        lines.append(entry(ticks + i, moved, 7, 0, {"byte_count": length + 4}))
    url = f"https://cdn.example/assets/{first}.js"
    headers = [f"x-header-{n}: {'v' * 40}" for n in range(12)]
    lines.append(entry(ticks, "REQUEST_ALIVE", first, 1, {"priority": "LOW", "url": url}))
    lines.append(entry(ticks, "URL_REQUEST_START_JOB", first, 1, {"method": "GET", "url": url}))
    lines.append(entry(ticks, "HTTP_TRANSACTION_SEND_REQUEST_HEADERS", first, 0, {"headers": headers, "line": "GET"}))
    answer = ["HTTP/1.1 200 OK", *headers]
    lines.append(entry(ticks, "HTTP_TRANSACTION_READ_RESPONSE_HEADERS", first, 0, {"headers": answer}))
    for i in range(60):
        lines.append(entry(ticks + i, "URL_REQUEST_JOB_FILTERED_BYTES_READ", first, 0, {"byte_count": 16384}))
        lines.append(entry(ticks + i, "SOCKET_BYTES_RECEIVED", first + 1, 0, {"byte_count": 16384}))
        lines.append(entry(ticks + i, "HTTP_CACHE_OPEN_ENTRY", first, 0, {"result": "x" * 80}))
    lines.append(entry(ticks + 60, "REQUEST_ALIVE", first, 2, {}))
    return b"".join(lines)


def opening(ticks: int) -> bytes:
    """The handshake of the WebSocket."""
    url = "wss://chat.example/api/ws/chat/echo"
    asked = {"headers": ["Host: chat.example", "Upgrade: websocket"], "line": "GET /api/ws/chat/echo HTTP/1.1\r\n"}
    answered = {"headers": ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket"]}
    return b"".join(
        [
            entry(ticks, "REQUEST_ALIVE", 5, 1, {"url": url}),
            entry(ticks, "HTTP_TRANSACTION_SEND_REQUEST_HEADERS", 5, 0, asked),
            entry(ticks, "HTTP_TRANSACTION_READ_RESPONSE_HEADERS", 5, 0, answered),
            entry(ticks, "CANCELLED", 5, 0, {"net_error": -173}),
        ]
    )


def write(path: Path, size: int) -> None:
    """A log of about so many bytes."""
    constants = {
        "logEventTypes": _TYPES,
        "logEventPhase": {"PHASE_BEGIN": 1, "PHASE_END": 2, "PHASE_NONE": 0},
        "netError": {"ERR_WS_UPGRADE": -173},
        "timeTickOffset": 1_700_000_000_000,
    }
    with path.open("wb") as file:
        file.write(b'{"constants":' + json.dumps(constants).encode() + b',\n"events": [\n' + opening(1000))
        first = 10
        while file.tell() < size:
            file.write(block(first * 10, first))
            first += 10
        file.write(entry(first * 10, "REQUEST_ALIVE", first, 2, {})[:-2] + b"],\n" + b'"polledData": [{}]\n}\n')


def run(contestant: str, path: Path) -> tuple[float, float, int]:
    """Seconds, MiB at the peak, and how many things it read."""
    command = [sys.executable, "-c", _CHILD, contestant, str(path)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(told[0]), float(told[1]), int(told[2])


def rows() -> list[Measure]:
    """Time against the yardstick's, and the peak of memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.json"
        write(path, SIZE)
        contestants = {"msgspec, whole": "msgspec", "msgspec again": "msgspec", "chatkit": "chatkit"}
        results: dict[str, list[tuple[float, float, int]]] = {name: [] for name in contestants}
        for _ in range(ROUNDS):
            for name, contestant in contestants.items():
                results[name].append(run(contestant, path))
        print(f"a NetLog of {path.stat().st_size / 2**20:.0f} MiB, {ROUNDS} rounds")
    base = [seconds for seconds, _, _ in results["msgspec, whole"]]
    print(f"msgspec {statistics.median(base):.2f} s; {results['chatkit'][0][2]:,} events of chatkit")
    times = [
        measured(
            f"time, {name}",
            [row[0] / whole for row, whole in zip(results[name], base, strict=True)],
            against="msgspec, the whole file's JSON",
        )
        for name in ("msgspec again", "chatkit")
    ]
    peaks = {name: [peak for _, peak, _ in results[name]] for name in ("msgspec, whole", "chatkit")}
    return [
        *times,
        measured("peak memory, msgspec", peaks["msgspec, whole"], unit="MiB"),
        measured("peak memory, chatkit", peaks["chatkit"], unit="MiB", most=500),
    ]


def main() -> None:
    """Prints the table."""
    show(rows())


if __name__ == "__main__":
    main()
