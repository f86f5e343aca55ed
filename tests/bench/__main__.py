"""All benchmarks, one after the other: ``python -m tests.bench [NAME…]`` measures and writes ``RESULTS.md``.

Each runs in a process of its own, because what one imports must not warm the next, and within its own time. The exit
code is 1 when a target was missed or a benchmark broke; one that cannot run here says why and counts as neither.
"""

from __future__ import annotations

import argparse
import ast
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tests.bench.results import RESULTS, Measure, merge, section

RUN = "import sys; from tests.bench.results import run; run(*sys.argv[1:])"
FOLDER = Path(__file__).parent
BENCHES = {
    "start": 60,
    "recording": 180,
    "idle": 300,
    "evidence": 240,
    "capture": 240,
    "netlog": 180,
    "bandwidth": 120,
    "storm": 120,
    "canary": 240,
    "fleet": 560,
    "tap": 400,
    "diagnosis": 240,
    "ui": 600,
}
"""Module and the seconds that it may take, in the order in which they run and are shown."""


def about(name: str) -> str:
    """What a benchmark claims: the first line of its docstring."""
    text = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text("utf-8"))) or ""
    return text.partition("\n\n")[0].replace("\n", " ").replace("``", "`")


def machine() -> str:
    """What figures depend on most."""
    return f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} cores"


def measure(name: str, limit: float) -> tuple[list[Measure] | str, str, bool]:
    """What a benchmark found, what it printed, and whether it broke."""
    with tempfile.TemporaryDirectory() as folder:
        target, log = Path(folder) / "found.json", Path(folder) / "log"
        command = [sys.executable, "-c", RUN, name, str(target)]
        with log.open("w") as file:
            # A session of its own: when the time is over its servers go as well.
            process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
            try:
                code = process.wait(limit)
            except subprocess.TimeoutExpired:
                return f"Broke: it was not done within {limit:g} s.", log.read_text(), True
            finally:
                _end(process)
        said = log.read_text()
        if code:
            return f"Broke: {(said.strip().splitlines() or ['no word'])[-1]}", "", True
        found = msgspec.json.decode(target.read_bytes(), type=list[Measure] | str)
        return found, said, False


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def main() -> int:
    """Runs them and writes the file after each, so that what is done is not lost."""
    parser = argparse.ArgumentParser(description="Measures, and writes tests/bench/RESULTS.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHES)}; all when none is named")
    names = parser.parse_args().names or list(BENCHES)
    if unknown := [name for name in names if name not in BENCHES]:
        parser.error(f"no such benchmark: {', '.join(unknown)}")
    wrong = False
    for name in names:
        print(f"== {name} (at most {BENCHES[name]} s)", flush=True)
        began = time.monotonic()
        found, log, broke = measure(name, BENCHES[name])
        part = section(name, about(name), found, log, f"*{machine()}, {time.monotonic() - began:.0f} s*")
        print(part, flush=True)
        before = RESULTS.read_text("utf-8") if RESULTS.exists() else ""
        RESULTS.write_text(merge(before, {name: part}, list(BENCHES)), "utf-8")
        wrong |= broke or (not isinstance(found, str) and any(one.met is False for one in found))
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
