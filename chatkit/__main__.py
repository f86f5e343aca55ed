"""``python -m chatkit`` is ``chatkit``."""

from __future__ import annotations

import sys

from chatkit.cli import main

if __name__ == "__main__":
    sys.exit(main())
