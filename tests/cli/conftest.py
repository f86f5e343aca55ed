"""The command line as a process, against a lab on a thread."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from chatkit.lab import LabServer

PATIENCE = 20.0
"""Seconds after which a process that should have ended hangs."""


@pytest.fixture
def lab() -> Iterator[Callable[..., LabServer]]:
    """``lab("fault", …)`` starts one; closed with the test."""
    with ExitStack() as stack:
        yield lambda *faults, **options: stack.enter_context(LabServer(faults=faults, **options))


def environment(**extra: str) -> dict[str, str]:
    """This process's environment, without what would change the output."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    return kept | {"PYTHONIOENCODING": "utf-8"} | extra


def command(*arguments: str) -> list[str]:
    """``chatkit …`` of this checkout, with every warning an error."""
    return [sys.executable, "-W", "error", "-m", "chatkit", *arguments]


@pytest.fixture
def chatkit() -> Callable[..., subprocess.CompletedProcess[str]]:
    """``chatkit("check", …, TOKEN=…)`` runs it to its end; neither a traceback nor a token passes."""

    def run(*arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        options: dict[str, Any] = {"input": stdin, "capture_output": True, "text": True, "timeout": PATIENCE}
        done = subprocess.run(command(*arguments), env=environment(**variables), **options)
        assert "Traceback" not in done.stderr
        # The lab's password is a word that may stand in any path.
        secrets = [value for value in (*variables.values(), "eyJh") if len(value) > 3]
        assert not [secret for secret in secrets if secret in done.stdout + done.stderr]
        return done

    return run
