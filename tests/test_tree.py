"""The tests mirror the package, and modules stay small."""

from __future__ import annotations

from pathlib import Path

import pytest

import chatkit

ROOT = Path(chatkit.__file__).parent
TESTS = Path(__file__).parent
CEILING = 500

NOT_MIRRORED = {
    # imports only, or the door of a room
    "__init__.py": "test_exports.py",
    "__main__.py": "cli/test_main.py",
    "wire/__init__.py": "wire/test_reader.py",
    "policy/__init__.py": "policy/test_storm.py",
    # a crowd is only ever followed through a storm
    "policy/crowd.py": "policy/test_storm.py",
    "faults/__init__.py": "faults/test_parse.py",
    "experiments/__init__.py": "experiments/test_proof.py",
    "lab/__init__.py": "test_exports.py",
    "client/__init__.py": "test_exports.py",
    "cli/__init__.py": "cli/test_main.py",
    "preflight/__init__.py": "preflight/test_run.py",
    "runbooks/__init__.py": "runbooks/test_shelf.py",
    "investigation/__init__.py": "investigation/test_run.py",
    "lessons/__init__.py": "test_exports.py",
    "views/__init__.py": "views/test_timeline.py",
    "widgets/__init__.py": "test_exports.py",
    # the client's parts, through the whole client
    "behaviour.py": "test_profile.py",
    "client/book.py": "client/test_conversation.py",
    "client/giveup.py": "client/test_chat.py",
    "client/host.py": "client/test_pool.py",
    "client/life.py": "client/test_link.py",
    "client/mux.py": "client/test_pool.py",
    "policy/delivery.py": "policy/test_ledger.py",
    # a case is what the rules make
    "diagnosis/__init__.py": "diagnosis/test_engine.py",
    "diagnosis/case.py": "diagnosis/test_endings.py",
    # an observation is a value that rules and arms make
    "diagnosis/observation.py": "diagnosis/test_trials.py",
    # a rule is only ever used through a plan, and moments are its values
    "faults/rules.py": "faults/test_plan.py",
    "faults/memory.py": "faults/test_plan.py",
    "faults/moments.py": "faults/test_plan.py",
    # an entry is only ever used through the catalogue
    "faults/kinds.py": "faults/test_catalogue.py",
    "faults/door_kinds.py": "faults/test_catalogue.py",
    "faults/life_kinds.py": "faults/test_catalogue.py",
    "faults/path_kinds.py": "faults/test_path_rules.py",
    "faults/path_moments.py": "faults/test_path_rules.py",
    # the lab's inside, through real sockets
    "lab/backend.py": "lab/test_app.py",
    "lab/conversation.py": "lab/test_sockets.py",
    "lab/messages.py": "lab/test_sockets.py",
    "lab/protocol.py": "lab/test_faults.py",
    "lab/serving.py": "lab/test_server.py",
    "lab/users.py": "lab/test_app.py",
    # the relay's parts, through the whole relay
    "tap/__init__.py": "tap/test_hop.py",
    "tap/lane.py": "tap/test_hop.py",
    "tap/pair.py": "tap/test_hop.py",
    "tap/reading.py": "tap/test_hop.py",
    "tap/recorded.py": "tap/test_recording.py",
    "tap/side.py": "tap/test_hop.py",
    "tap/thread.py": "tap/test_hop.py",
    "tap/watch.py": "tap/test_hop.py",
    # rows only ever follow a queue
    "client/queue_rows.py": "client/test_outbox.py",
    # probes, through whole investigations
    "investigation/probing.py": "investigation/test_investigator.py",
    # steps of the check, through the whole check
    "preflight/reach.py": "preflight/test_run.py",
    "preflight/talk.py": "preflight/test_run.py",
    # lanes only ever grow inside a layout
    "views/lifelines.py": "views/test_timeline.py",
    "views/sidelines.py": "views/test_timeline.py",
}
"""Modules without a test file of their own, and the file in which they are tested instead."""
TOO_LONG = {"events.py": "a flat list of the event kinds; splitting it would hide that it is one vocabulary"}


def modules() -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py"))


def mirrored(module: str) -> Path:
    """Where a module's own test file stands."""
    path = Path(module)
    return TESTS / path.parent / f"test_{'init' if path.stem == '__init__' else path.stem}.py"


@pytest.mark.parametrize("module", modules())
def test_every_module_has_its_test(module: str) -> None:
    """At the mirrored path, or where the list says."""
    own = mirrored(module)
    assert own.exists() or module in NOT_MIRRORED, f"{module} has no {own.relative_to(TESTS.parent)}"


def test_the_exceptions_are_needed() -> None:
    """A module that is gone, or has its own test by now, goes from the list; the other file is there."""
    assert [module for module in NOT_MIRRORED if not (ROOT / module).exists()] == []
    assert [module for module in NOT_MIRRORED if mirrored(module).exists()] == []
    assert [module for module, other in NOT_MIRRORED.items() if not (TESTS / other).exists()] == []


@pytest.mark.parametrize("module", modules())
def test_no_module_is_too_long(module: str) -> None:
    """Five hundred lines, with named exceptions."""
    lines = len((ROOT / module).read_text("utf-8").splitlines())
    assert (lines <= CEILING) != (module in TOO_LONG), f"{module} has {lines} lines"


@pytest.mark.parametrize("name", ["helpers", "common", "misc", "utils", "tools"])
def test_no_junk_drawer(name: str) -> None:
    """A helper with a subject has a module of that name."""
    assert [module for module in modules() if Path(module).stem == name] == []
