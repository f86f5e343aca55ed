"""All benchmarks, one after the other: ``python tests/bench``. Each file holds one claim and can be run alone."""

from __future__ import annotations

import runpy
from pathlib import Path

for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
    print(f"== {path.stem}", flush=True)
    runpy.run_path(str(path), run_name="__main__")
