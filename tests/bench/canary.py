"""What two hundred connections cost that a canary keeps: CPU of a core, memory that does not grow, a folder within its
bound, and how much a ``kill -9`` loses.

The backend is the lab, in a process of its own, whose path resets a connection now and then; so deaths are frozen,
diagnosed and counted while the clock runs. The canary is ``chatkit watch`` as anybody runs it, with Prometheus
scraped every five seconds: twenty targets, ten connections each. Memory is judged by its slope once the rings are full
(they hold twenty events here, three minutes' worth). Ends by ``kill -9``, and then kills another five runs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.results import CannotRun, Measure, measured, show

TARGETS, EACH = 20, 10
WARM_UP = 25.0
"""Seconds until all have connected."""
HAZARD = 0.0002
"""Resets per second of a connection: about 24 deaths in ten minutes."""
DISK_MB = 3.0
KILLS = 5


@contextmanager
def lab() -> Iterator[dict[str, Any]]:
    """The backend's ready line."""
    command = [sys.executable, "-m", "chatkit", "lab", "--bot", "echo", "--fault", f"network-reset:hazard={HAZARD}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGTERM)


class Canary:
    """The process; told what it may by ``--json``."""

    def __init__(self, folder: Path, ready: dict[str, Any]) -> None:
        self.out = folder / "canary"
        plan = folder / "targets.toml"
        plan.write_text(_plan(ready["url"]), "utf-8")
        command = [
            sys.executable,
            "-m",
            "chatkit",
            "watch",
            str(plan),
            "--out",
            str(self.out),
            "--json",
            "--every",
            "600",
        ]
        with (folder / "told.jsonl").open("a") as told:
            self.process = subprocess.Popen(command, stdout=told, env=os.environ | {"CANARY_TOKEN": ready["token"]})
        self._told = folder / "told.jsonl"
        self._page = os.sysconf("SC_PAGE_SIZE")

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """MiB resident."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * self._page / 2**20

    def disk(self) -> float:
        """10^6 bytes of its folder."""
        total = 0
        for path in self.out.rglob("*"):
            with suppress(FileNotFoundError):  # deleted meanwhile, to keep the bound
                total += path.stat().st_size if path.is_file() else 0
        return total / 1e6

    def scrape(self) -> None:
        """As a Prometheus does."""
        ready = [json.loads(line) for line in self._told.read_text().splitlines() if '"ready"' in line]
        with urllib.request.urlopen(ready[-1]["metrics"], timeout=5) as answer:
            assert b"chatkit_watch_connections" in answer.read()

    def open(self) -> int:
        """Connections that its folder tells of."""
        from chatkit.canary.journal import NAME, read

        path = self.out / NAME
        return sum(len(one.open) for one in read(path).state.targets.values()) if path.exists() else 0

    def kill(self) -> float:
        """``kill -9``; when, Unix seconds."""
        self.process.send_signal(signal.SIGKILL)
        at = time.time()
        self.process.wait()
        return at


def _plan(url: str) -> str:
    targets = "".join(
        f'[targets.t{n:02d}]\nurl = "{url}"\nbot = "echo"\ntoken_env = "CANARY_TOKEN"\nconnections = {EACH}\n'
        for n in range(TARGETS)
    )
    return f"[watch]\nring = 20\ndisk_mb = {DISK_MB}\nmetrics_port = 0\nrotate_s = 60\n{targets}"


def loss(canary: Canary) -> float:
    """Kills it; seconds before the kill of which its folder knows nothing."""
    from chatkit.canary.journal import NAME, read

    at = canary.kill()
    return at - read(canary.out / NAME).state.at


def rows(seconds: float = 60.0) -> list[Measure]:
    """Measures for so many seconds after the warm-up."""
    if not Path("/proc/self/stat").exists():
        raise CannotRun("the figures of a process are read from /proc, which this system does not have")
    with tempfile.TemporaryDirectory() as name, lab() as ready:
        canary = Canary(Path(name), ready)
        try:
            return _measure(canary, Path(name), ready, seconds)
        finally:
            if canary.process.poll() is None:
                canary.kill()


def _measure(canary: Canary, folder: Path, ready: dict[str, Any], seconds: float) -> list[Measure]:
    from chatkit.canary.watched import watching

    time.sleep(WARM_UP)
    began, cpu, samples, disk, connected = time.monotonic(), canary.cpu(), [], 0.0, []
    while (now := time.monotonic() - began) < seconds:
        canary.scrape()
        samples.append((now, canary.memory()))
        disk = max(disk, canary.disk())
        connected.append(canary.open())
        time.sleep(5.0)
    share = 100 * (canary.cpu() - cpu) / (time.monotonic() - began)
    lost = [loss(canary)]
    seen = watching(canary.out)
    counted = sum(one.died for one in seen.targets.values())
    for _ in range(KILLS - 1):
        canary = Canary(folder, ready)
        time.sleep(6.0 + random.random())
        lost.append(loss(canary))
    again = watching(canary.out)
    assert sum(one.died for one in again.targets.values()) >= counted, "deaths were forgotten"
    assert again._state.run == KILLS, "a run was forgotten"
    second = np.array([sample for sample in samples if sample[0] >= seconds / 2])
    slope = float(np.polyfit(second[:, 0], second[:, 1], 1)[0]) * 60 if len(second) > 2 else float("nan")
    print(
        f"{seconds:.0f} s, {TARGETS * EACH} connections (median open {np.median(connected):.0f}), {counted} deaths, "
        f"{sum(1 for one in seen.deaths if one.death.verdict not in (None, 'skipped'))} diagnosed; resident "
        f"{samples[0][1]:.1f} MiB at first, {samples[-1][1]:.1f} MiB at last; rows {len(seen.rows)}"
    )
    long = seconds >= 300
    return [
        measured(f"CPU of a core, {TARGETS * EACH} connections", [share], unit="%", most=3),
        # In a short run the rings still fill.
        measured("memory, slope of the second half", [slope], unit="MiB/min", most=0.5 if long else None),
        measured(f"folder, at most (bound {DISK_MB:g} MB)", [disk], unit="MB", most=DISK_MB),
        measured("kill -9 loses", lost, unit="s", most=1),
    ]


def main() -> None:
    """Prints the table; ``--for`` is how long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--for", dest="seconds", type=float, default=600.0, metavar="SECONDS")
    show(rows(parser.parse_args().seconds))


if __name__ == "__main__":
    main()
