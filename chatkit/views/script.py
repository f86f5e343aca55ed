"""The explorer's script: its modules as one text, which needs no server, no build step and no network.

The modules stand in ``widgets/static/explorer``, each with ordinary imports and exports; put together in one order they
share one scope. The widget gets the text as its ESM, the offline report carries it in its page.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

MODULES = (
    "shapes",
    "store",
    "dom",
    "format",
    "query",
    "search",
    "table",
    "notes",
    "survival",
    "tools",
    "geometry",
    "drawing",
    "labels",
    "picking",
    "moving",
    "choosing",
    "texts",
    "view",
    "link",
)
"""What stands in a module is known to those after it."""
_FOLDER = Path(__file__).parents[1] / "widgets" / "static" / "explorer"
_IMPORT = re.compile(r'^import\s+\{[^}]*\}\s+from\s+"\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default\b)", re.MULTILINE)


@cache
def explorer_script() -> str:
    """One ES module; its default export is the widget, its top scope has ``Store`` and ``Timeline``."""
    return "\n".join(_bare((_FOLDER / f"{name}.js").read_text("utf-8")) for name in MODULES)


def imports(text: str) -> list[str]:
    """Names of the modules that a module imports from."""
    return _IMPORT.findall(text)


def _bare(text: str) -> str:
    return _EXPORT.sub("", _IMPORT.sub("", text))
