"""What starting costs: ``import chatkit`` and ``chatkit --help`` beside ``python -c pass``, whole processes in turn."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 11
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import chatkit": [sys.executable, "-c", "import chatkit"],
    "chatkit --help": [sys.executable, "-m", "chatkit", "--help"],
    "chatkit check --help": [sys.executable, "-m", "chatkit", "check", "--help"],
}


def run(command: list[str]) -> float:
    """Milliseconds of one process."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Prints medians and what each adds to a bare interpreter."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS + 1):
        for name, command in COMMANDS.items():
            times[name].append(run(command))
    # The first round warms the file cache and the byte code.
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    base = medians["python -c pass"]
    for name, median in medians.items():
        print(f"{name:<24}{median:6.0f} ms   {median - base:+6.0f} ms   x {median / base:.1f}")


if __name__ == "__main__":
    main()
