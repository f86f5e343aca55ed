"""DisconnectBench's short form: real stacks, one incident of each kind that shows quickly, and healthy ones."""

from __future__ import annotations

import asyncio

import pytest

from tests.bench.disconnect.run import run
from tests.bench.disconnect.score import Row
from tests.incidents.catalogue import STACKS, incidents, seeds

FAULTY = (
    "lab/auth-before", "lab/error-on-typing", "hop/stripped", "hop/compression-header", "nginx/dead-upstream",
    "nginx/redirect", "nginx/read-timeout", "haproxy/own-origin-only", "haproxy/timeout-tunnel", "uvicorn/replaced",
    "uvicorn/not-running", "uvicorn/age", "aiohttp/receive-timeout", "node-ws/restarted", "node-ws/early-ping",
)  # fmt: skip
HEALTHY = ("nginx/healthy", "haproxy/healthy", "uvicorn/healthy", "node-ws/healthy")
JOBS, BUDGET = 3, 25.0
ENOUGH = 0.8
"""Share of the faulty ones that must be named. A machine that is busy may cost an abstention, never the whole."""


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    """Each incident diagnosed once by ``chatkit diagnose --json``; those whose program is missing are left out."""
    wanted = [one for one in incidents(seeds(1), STACKS) if one.id in (*FAULTY, *HEALTHY)]
    assert {one.id for one in wanted} == {*FAULTY, *HEALTHY}
    found = asyncio.run(run(wanted, jobs=JOBS, budget=BUDGET))
    return {row.id: row for row in found if row.skipped is None}


def test_causes_are_named(rows: dict[str, Row]) -> None:
    """By the first cause; what is not named is said to be open, and hardly ever called something else."""
    mine = [row for id, row in rows.items() if id in FAULTY]
    right = [row for row in mine if row.causes and row.causes[0][0] == row.label]
    assert len(right) >= ENOUGH * len(mine), [(row.id, row.verdict, row.causes[:1]) for row in mine if row not in right]


def test_no_false_alarm(rows: dict[str, Row]) -> None:
    """A healthy backend is never told faulty."""
    assert [(row.id, row.causes) for id, row in rows.items() if id in HEALTHY and row.verdict == "fault"] == []


def test_every_run_came_to_an_end(rows: dict[str, Row]) -> None:
    """With a document, and no error."""
    assert [(row.id, row.error) for row in rows.values() if row.error is not None] == []
