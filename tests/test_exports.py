"""The front door: what it names is there, once, and nothing heavy comes in with it."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import chatkit

ROOT = Path(chatkit.__file__).parent
HEAVY = ["plotly", "ipywidgets", "anywidget", "websockets", "httpx", "numpy", "msgspec", "IPython", "fastapi", "uvicorn", "pandas", "asyncio"]  # fmt: skip


def test_all_is_what_the_rooms_hold() -> None:
    """Sorted, unique, and the same as the table that loads them."""
    assert set(chatkit.__all__) == set(chatkit._ROOMS)
    assert chatkit.__all__ == sorted(set(chatkit.__all__))
    assert set(dir(chatkit)) == {*chatkit.__all__, "__version__"}


@pytest.mark.parametrize("name", chatkit.__all__)
def test_every_name_is_there(name: str) -> None:
    """In the room that the table says, which names it too; rooms that this tree does not have yet are not asked."""
    module = chatkit._ROOMS[name]
    if importlib.util.find_spec(module) is None:
        return
    value = getattr(chatkit, name)
    assert value is getattr(importlib.import_module(module), name)
    assert inspect.getdoc(value)


@pytest.mark.parametrize("name", chatkit.__all__)
def test_no_name_is_both_a_module_and_a_door(name: str) -> None:
    """Otherwise importing the module would replace the function."""
    assert not (ROOT / f"{name}.py").exists()
    assert not (ROOT / name).exists()


def test_what_type_checkers_see_is_what_is_loaded() -> None:
    """The imports under TYPE_CHECKING name the same rooms."""
    import ast

    seen = {
        alias.name: node.module
        for node in ast.walk(ast.parse((ROOT / "__init__.py").read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("chatkit.")
        for alias in node.names
    }
    assert seen == chatkit._ROOMS


def test_an_unknown_name() -> None:
    """Is an AttributeError like any other."""
    with pytest.raises(AttributeError, match="'chatkit' has no attribute 'diagnoze'"):
        chatkit.diagnoze  # noqa: B018


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_chatkit_imports_nothing_heavy() -> None:
    """Each name loads its room when it is first used."""
    assert loaded_by("import chatkit") & set(HEAVY) == set()


def test_help_imports_nothing_heavy() -> None:
    """argparse only."""
    statement = "import contextlib, chatkit.cli\nwith contextlib.suppress(SystemExit): chatkit.cli.main(['--help'])"
    assert loaded_by(statement) & set(HEAVY) == set()


def test_an_error_loads_nothing_heavy_either() -> None:
    """Who catches ChatkitError pays nothing."""
    assert loaded_by("import chatkit; chatkit.ChatkitError") & set(HEAVY) == set()


def test_reading_a_trace_opens_no_network_library() -> None:
    """Evidence is read without the hands."""
    hands = {"websockets", "httpx", "fastapi", "uvicorn", "ipywidgets", "plotly"}
    assert loaded_by("import chatkit; chatkit.load, chatkit.Trace") & hands == set()
