"""All benchmarks, one after the other: ``python -m tests.bench``. Each file holds one claim and runs alone as well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        print(f"== {path.stem}", flush=True)
        # A process of its own: what one benchmark imports must not warm the next.
        # The incidents have a target of their own (make bench-diagnosis): they take half an hour.
        if path.stem == "ui":
            continue  # make bench-ui: it wants a browser and the machine to itself
        options = ["--no-live"] if path.stem == "diagnosis" else []
        subprocess.run([sys.executable, "-m", f"tests.bench.{path.stem}", *options], check=True)
