"""What starting costs: ``import chatkit`` and ``chatkit --help`` beside ``python -c pass``, whole processes in turn."""

from __future__ import annotations

import subprocess
import sys
import time

from tests.bench.results import Measure, measured, show

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


def rows() -> list[Measure]:
    """What each adds to a bare interpreter, and how long help takes in all."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS + 1):
        for name, command in COMMANDS.items():
            times[name].append(run(command))
    # The first round warms the file cache and the byte code.
    warm = {name: values[1:] for name, values in times.items()}
    more = [one - bare for one, bare in zip(warm["import chatkit"], warm["python -c pass"], strict=True)]
    return [
        measured("import chatkit, over a bare interpreter", more, unit="ms", most=60),
        *(measured(name, warm[name], unit="ms", most=300) for name in ("chatkit --help", "chatkit check --help")),
        measured("python -c pass", warm["python -c pass"], unit="ms"),
    ]


def main() -> None:
    """Prints the table."""
    show(rows())


if __name__ == "__main__":
    main()
