"""The tests mirror the package, and modules stay small."""

from __future__ import annotations

from pathlib import Path

import pytest

import chatkit

ROOT = Path(chatkit.__file__).parent
TESTS = Path(__file__).parent
CEILING = 500

NOT_MIRRORED = {
    "__init__.py": "tests/test_exports.py",
    "__main__.py": "tests/cli/test_main.py",
    "wire/__init__.py": "one import",
    "policy/__init__.py": "a docstring",
    "faults/__init__.py": "imports only",
    "lab/__init__.py": "imports only",
    "client/__init__.py": "imports only",
    "cli/__init__.py": "tests/cli/test_main.py",
    "preflight/__init__.py": "imports only",
    "preflight/reach.py": "tests/preflight/test_run.py: names, ports and certificates, through real sockets",
    "preflight/talk.py": "tests/preflight/test_run.py: upgrade, pings and close, against a real lab",
    "views/__init__.py": "tests/views/test_plot.py and test_summary.py, through Trace.timeline and Trace._repr_html_",
    "views/lifelines.py": "tests/views/test_timeline.py: a lane only ever grows inside a layout",
    "views/sidelines.py": "tests/views/test_timeline.py: a lane only ever grows inside a layout",
    "widgets/__init__.py": "imports only",
    "lab/backend.py": "tests/lab/test_app.py and test_sockets.py, through real sockets",
    "lab/conversation.py": "tests/lab/test_sockets.py",
    "lab/messages.py": "tests/lab/test_sockets.py, shape by shape",
    "lab/protocol.py": "tests/lab/test_faults.py, on the wire",
    "lab/serving.py": "tests/lab/test_server.py",
    "lab/store.py": "tests/lab/test_app.py (sessions, history)",
    "lab/thread.py": "tests/lab/test_server.py",
    "lab/users.py": "tests/lab/test_app.py",
    "faults/rules.py": "tests/faults/test_plan.py: a rule is only ever used through a plan",
    "faults/moments.py": "values; tests/faults/test_plan.py",
}
"""Modules without a test file of their own, and where they are tested instead."""
TOO_LONG = {"events.py": "a flat list of the event kinds; splitting it would hide that it is one vocabulary"}


def modules() -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py"))


@pytest.mark.parametrize("module", modules())
def test_every_module_has_its_test(module: str) -> None:
    """At the mirrored path."""
    path = Path(module)
    stem = "init" if path.stem == "__init__" else path.stem
    mirrored = TESTS / path.parent / f"test_{stem}.py"
    assert mirrored.exists() or module in NOT_MIRRORED, f"{module} has no {mirrored.relative_to(TESTS.parent)}"


def test_the_exceptions_are_needed() -> None:
    """A module that is gone, or has its test by now, goes from the list."""
    stems = {module: "init" if module.endswith("__init__.py") else Path(module).stem for module in NOT_MIRRORED}
    assert [module for module in NOT_MIRRORED if not (ROOT / module).exists()] == []
    tested = [m for m, stem in stems.items() if (TESTS / Path(m).parent / f"test_{stem}.py").exists()]
    assert tested == []


@pytest.mark.parametrize("module", modules())
def test_no_module_is_too_long(module: str) -> None:
    """Five hundred lines, with named exceptions."""
    lines = len((ROOT / module).read_text("utf-8").splitlines())
    assert (lines <= CEILING) != (module in TOO_LONG), f"{module} has {lines} lines"


@pytest.mark.parametrize("name", ["helpers", "common", "misc", "utils", "tools"])
def test_no_junk_drawer(name: str) -> None:
    """A helper with a subject has a module of that name."""
    assert [module for module in modules() if Path(module).stem == name] == []
