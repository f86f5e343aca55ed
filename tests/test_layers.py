"""Arrows point down: the levels of the design, read out of the imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import chatkit

ROOT = Path(chatkit.__file__).parent

LEVELS = {
    "words": [
        "errors", "display", "clock", "plain", "table",
        "events", "ending", "deflate", "traffic", "saving", "lines", "trace",
        "behaviour", "profile", "redact", "visibility", "notes",
    ],
    "thinking": ["wire", "policy", "faults", "formats", "merging", "diagnosis", "inspection", "experiments",
                 "riddle", "runbooks"],
    "hands": ["recorder", "client", "tap", "lab", "preflight", "investigation", "lessons", "fleet", "canary"],
    "views": ["views"],
    "windows": ["widgets", "cli", "__main__"],
}  # fmt: skip
"""From the ground up; a room imports its own level and those below."""
ORDER = list(LEVELS)
LEVEL = {room: ORDER.index(level) for level, rooms in LEVELS.items() for room in rooms}

FRONT_DOOR = "__init__"
"""The one module that names rooms of every level: as text, loaded on first use, and for type checkers."""
NAMED_ARROWS = {("views", "display"): "views register their faces", (FRONT_DOOR, "display"): "says how views load"}
"""The registry is a name, not an import: low rooms ask it, views fill it."""
READS_A_CLOCK = {"clock"}
CLOCKS = {"asyncio", "time", "threading", "sched", "socket", "ssl", "subprocess"}
DATES = {"now", "utcnow", "today"}


def room(path: Path) -> str:
    """The room a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def files() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every module that is imported at run time, with its line; under ``TYPE_CHECKING`` they are free."""

    def walk(node: ast.AST) -> Iterator[tuple[str, int]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                for other in child.orelse:
                    yield from walk(other)
            elif isinstance(child, ast.Import):
                yield from ((alias.name, child.lineno) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}:{child.lineno}: relative import"
                yield from ((f"{child.module}.{alias.name}", child.lineno) for alias in child.names)
            else:
                yield from walk(child)

    yield from walk(ast.parse(path.read_text("utf-8")))


def rooms_imported(path: Path) -> Iterator[tuple[str, int]]:
    """Rooms of chatkit that a file imports."""
    for name, line in imports(path):
        parts = name.split(".")
        if parts[0] == "chatkit" and len(parts) > 1:
            # ``from chatkit import __version__`` asks the front door, ``from chatkit import display`` a room.
            yield (parts[1] if parts[1] in LEVEL else FRONT_DOOR), line


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_point_down(path: Path) -> None:
    """A room imports its own level or lower ones."""
    mine = room(path)
    if mine == FRONT_DOOR:
        assert {name for name, _ in rooms_imported(path)} <= {"display"}
        return
    assert mine in LEVEL, f"the room {mine!r} has no level: add it to LEVELS and to design.md"
    up = [
        f"{path.name}:{line} {name}"
        for name, line in rooms_imported(path)
        if name != FRONT_DOOR and LEVEL[name] > LEVEL[mine]
    ]
    assert up == []


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_windows_ask_the_front_door(path: Path) -> None:
    """For the version; anything else would be an arrow in disguise."""
    asked = [name for name, _ in rooms_imported(path) if name == FRONT_DOOR]
    assert asked == [] or room(path) in LEVELS["windows"]


def test_views_never_import_hands() -> None:
    """Values in, values out."""
    found = [(p.name, n) for p in files() if room(p) == "views" for n, _ in rooms_imported(p) if n in LEVELS["hands"]]
    assert found == []


def test_nothing_imports_widgets() -> None:
    """They are the last window; the front door names them as text."""
    found = [(str(p), n) for p in files() if room(p) != "widgets" for n, _ in rooms_imported(p) if n == "widgets"]
    assert found == []


def test_only_widgets_import_notebook_libraries() -> None:
    """ipywidgets, anywidget and IPython are theirs."""
    libraries = {"ipywidgets", "anywidget", "IPython", "traitlets"}
    found = [
        (str(path), name)
        for path in files()
        for name, _ in imports(path)
        if name.split(".")[0] in libraries and room(path) != "widgets"
    ]
    assert found == []


@pytest.mark.parametrize(
    "path",
    [path for path in files() if LEVEL.get(room(path), 9) <= ORDER.index("thinking")],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_words_and_thinking_know_no_loop_and_no_clock(path: Path) -> None:
    """Time is an argument; only ``clock`` reads one."""
    if room(path) in READS_A_CLOCK:
        return
    assert [(name, line) for name, line in imports(path) if name.split(".")[0] in CLOCKS] == []
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    read = [ast.unparse(call) for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr in DATES]
    assert read == []
    asynchronous = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    assert not any(isinstance(node, asynchronous) for node in ast.walk(ast.parse(path.read_text("utf-8"))))


def test_the_rooms_import_no_circle() -> None:
    """Sideways is fine where it stays acyclic."""
    arrows: dict[str, set[str]] = {}
    for path in files():
        arrows.setdefault(room(path), set()).update(n for n, _ in rooms_imported(path) if n != FRONT_DOOR)
    for one in arrows:
        arrows[one].discard(one)
    while free := [one for one, others in arrows.items() if not others & set(arrows)]:
        for one in free:
            del arrows[one]
    assert arrows == {}


def test_the_named_exceptions_are_still_needed() -> None:
    """An exception that nobody uses any more goes."""
    have = {(room(path), name) for path in files() for name, _ in rooms_imported(path)}
    there = {room(path) for path in files()}
    assert [arrow for arrow in NAMED_ARROWS if arrow[0] in there and arrow not in have] == []
