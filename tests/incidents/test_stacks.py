"""Every incident of a real stack: it starts, a client sees the fault as meant, and nothing is left running."""

from __future__ import annotations

import asyncio
import os
import traceback
from pathlib import Path

import pytest

from tests.incidents.catalogue import STACKS
from tests.incidents.checks import CHECKS
from tests.incidents.incident import Incident, Site
from tests.incidents.processes import MissingProgram

SEED = 1
AT_ONCE = 5
"""Incidents side by side: they wait most of the time."""
TOO_LONG = 20.0
"""Incidents that need more seconds are for the bench."""


def left(site: Site) -> list[int]:
    """Processes of a site that are still there."""
    return [pid for pid in site.pids if Path(f"/proc/{pid}").exists()]


async def fault_of(incident: Incident) -> str | None:
    """What is not as meant; ``None`` when all is."""
    site = None
    try:
        async with incident.start() as site:
            await CHECKS[incident.label](site, incident)
    except MissingProgram:
        raise
    except Exception as error:
        lines = [frame for frame in traceback.extract_tb(error.__traceback__) if "checks" in frame.filename]
        return f"{incident.id} ({incident.label}): {lines[-1].line if lines else ''}: {type(error).__name__} {error}"
    return f"{incident.id}: processes {left(site)} are still there" if left(site) else None


@pytest.mark.slow
@pytest.mark.parametrize("stack", [stack for stack in STACKS if stack not in ("lab", "hop")])
async def test_the_fault_is_seen_as_meant(stack: str) -> None:
    """All incidents of one stack."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(incident: Incident) -> str | None:
        async with turns:
            return await fault_of(incident)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(i)) for i in STACKS[stack](SEED) if i.minimum_s < TOO_LONG]
    except* MissingProgram as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing.exceptions[0]))
        pytest.skip(str(missing.exceptions[0]))
    assert [wrong for task in tasks if (wrong := task.result())] == []
