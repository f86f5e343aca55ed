"""What reading evidence costs. HAR: ``load`` of a 100 MiB file with half a million messages ÷ ``orjson.loads`` of it.

Both take turns in one process, in rounds, so that a machine whose speed drifts slows them alike; a second turn of the
yardstick is the A/A control. The memory is that of a process of its own that reads the file once. Without orjson
(``pip install orjson``; nothing of chatkit needs it) the standard ``json`` is the yardstick, and that is said.
"""

from __future__ import annotations

import gc
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chatkit.formats import load
from tests.bench.results import Measure, measured, show

ROUNDS = 7
MESSAGES = 500_000
ENTRIES = 4
_MEMORY = """
import sys
from chatkit.formats import load
trace = load(sys.argv[1])
trace.connections
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))  # of this program alone
print(len(trace), peak)
"""


def write_har(path: Path, messages: int = MESSAGES) -> None:
    """A HAR of Chrome with so many messages of about 100 B, in a few entries."""
    each = messages // ENTRIES
    start = 1_780_000_000.0
    with path.open("w") as file:
        file.write('{"log": {"version": "1.2", "creator": {"name": "WebInspector"}, "pages": [], "entries": [')
        for entry in range(ENTRIES):
            file.write(", " if entry else "")
            file.write('{"_resourceType": "websocket", "_webSocketMessages": [')
            for n in range(each):
                delta = "and so the lamp stayed lit over"
                text = {"type": "chat_response_chunk", "bot_id": "b", "data": {"seq": n, "delta": delta}}
                message = {
                    "type": "receive" if n % 5 else "send",
                    "time": round(start + (entry * each + n) / 1000, 6),
                    "opcode": 1,
                    "data": json.dumps(text),
                }
                file.write((", " if n else "") + json.dumps(message))
            file.write('], "request": {"method": "GET", "url": "ws://h/api/ws/chat/b", "headers": []}, ')
            file.write('"response": {"status": 101, "headers": []}, "timings": {}, "time": 1.0, ')
            file.write('"startedDateTime": "2026-05-28T20:26:40.000Z"}')
        file.write("]}}")


def yardstick() -> tuple[str, Callable[[bytes], Any]]:
    """The JSON decoder to compare with, and its name."""
    try:
        return "orjson.loads", importlib.import_module("orjson").loads
    except ImportError:
        return "json.loads (orjson is not installed)", json.loads


def measure(action: Callable[[], object]) -> float:
    """Seconds of one turn."""
    gc.collect()
    began = time.perf_counter()
    result = action()
    took = time.perf_counter() - began
    del result
    return took


def rows() -> list[Measure]:
    """Time against the yardstick's, and memory."""
    name, loads = yardstick()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "big.har"
        write_har(path)
        size = path.stat().st_size / (1 << 20)
        contestants: dict[str, Callable[[], object]] = {
            name: lambda: loads(path.read_bytes()),
            "again": lambda: loads(path.read_bytes()),
            "load": lambda: load(path),
            "load and endings": lambda: load(path).connections,
        }
        for action in contestants.values():
            measure(action)
        took: dict[str, list[float]] = {one: [] for one in contestants}
        for round_ in range(ROUNDS):
            order = list(contestants.items())
            for one, action in order[round_ % len(order) :] + order[: round_ % len(order)]:
                took[one].append(measure(action))
        print(
            f"HAR of {size:.0f} MiB, {MESSAGES:,} messages, {ROUNDS} rounds, {name} "
            f"{statistics.median(took[name]):.2f} s; collector {'on' if gc.isenabled() else 'off'}"
        )
        found = [
            measured(
                f"time, HAR of {size:.0f} MiB, {one}",
                [mine / base for mine, base in zip(took[one], took[name], strict=True)],
                against=name,
                most=3.0 if one == "load" else None,
            )
            for one in list(contestants)[1:]
        ]
        output = subprocess.run([sys.executable, "-c", _MEMORY, str(path)], check=True, capture_output=True, text=True)
        events, peak = output.stdout.split()
        print(f"{int(events):,} events")
        return [*found, measured("peak memory of a process that reads it", [int(peak) / 1024], unit="MiB", most=500)]


def main() -> None:
    """Prints the table."""
    show(rows())


if __name__ == "__main__":
    main()
