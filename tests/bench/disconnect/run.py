"""Points ``chatkit diagnose`` at incidents, several side by side; each result is a line in a file."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from tests.bench.disconnect.score import Row, judge, row
from tests.incidents.incident import NONE, Incident, Site
from tests.incidents.processes import ROOT, DidNotStart, MissingProgram, python_environment

DIAGNOSE = (sys.executable, "-m", "chatkit", "diagnose")
TOKEN = "CHATKIT_TOKEN"
"""The variable that carries the token: never an argument, other users see those."""
SPARE = 60.0
"""Seconds beyond the budget after which the command hangs."""
CODES = (0, 1, 3)
"""Exit codes with a verdict: no fault, fault, inconclusive."""
SHORT_MINIMUM = 12.0
"""Longest physical minimum in the short form, seconds."""


def arguments(incident: Incident, site: Site, budget: float) -> list[str]:
    """The command line behind ``diagnose``."""
    words = [site.url, "--bot", site.bot, "--token-env", TOKEN, "--json"]
    if incident.also and site.direct_url is not None:
        words += ["--also", site.direct_url]
    if "--budget" not in incident.options:
        words += ["--budget", f"{budget:g}"]
    return [*words, *incident.options]


def budget_of(incident: Incident, budget: float) -> float:
    """Seconds that the command may take."""
    words = incident.options
    return float(words[words.index("--budget") + 1]) if "--budget" in words else budget


async def diagnose(incident: Incident, command: Sequence[str], budget: float) -> Row:
    """One run: the stack is started, asked, ended. Whatever fails is a row as well; only cancelling passes."""
    try:
        async with incident.start() as site:
            return await _ask(incident, site, command, budget)
    except MissingProgram as missing:
        return row(incident, skipped=str(missing))
    except DidNotStart as failed:
        return row(incident, error=str(failed))


async def _ask(incident: Incident, site: Site, command: Sequence[str], budget: float) -> Row:
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *command,
        *arguments(incident, site, budget),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=python_environment(**{TOKEN: site.token}, **site.environment),
        cwd=ROOT,
    )
    try:
        async with asyncio.timeout(budget_of(incident, budget) + SPARE):
            out, err = await process.communicate()
    except TimeoutError:
        return row(incident, error=f"no end after the budget and {SPARE:g} s", wall_s=time.monotonic() - began)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    wall = time.monotonic() - began
    said = err.decode("utf-8", "replace").replace(site.token, "[token]").strip()[-500:]
    if process.returncode not in CODES:
        return row(incident, error=f"exit code {process.returncode}: {said}", wall_s=wall)
    try:
        return judge(incident, json.loads(out), wall)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        return row(incident, error=f"the output cannot be read: {type(error).__name__} {error}", wall_s=wall)


def read(path: Path) -> list[Row]:
    """Rows of an earlier run; a line that was cut off in the middle is left out."""
    rows = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        with contextlib.suppress(msgspec.DecodeError):
            rows.append(msgspec.json.decode(line, type=Row))
    return rows


def still_to_do(incidents: Iterable[Incident], rows: Iterable[Row]) -> list[Incident]:
    """Those without a verdict so far: what failed or was skipped is tried again."""
    done = {one.key for one in rows if one.verdict is not None}
    return [incident for incident in incidents if incident.key not in done]


def latest(rows: Iterable[Row], incidents: Iterable[Incident]) -> list[Row]:
    """The last row of each of these incidents."""
    wanted = {incident.key for incident in incidents}
    return list({one.key: one for one in rows if one.key in wanted}.values())


def short(incidents: Iterable[Incident]) -> list[Incident]:
    """One incident of every label, stacks in turn, and every healthy stack; none that takes long."""
    quick = [one for one in incidents if one.minimum_s <= SHORT_MINIMUM]
    chosen: dict[str, Incident] = {}
    used: dict[str, int] = {}
    for label in dict.fromkeys(one.label for one in quick if one.label != NONE):
        # The stack that was chosen least so far: no stack gets all of them.
        one = min((one for one in quick if one.label == label), key=lambda one: used.get(one.stack, 0))
        used[one.stack] = used.get(one.stack, 0) + 1
        chosen[label] = one
    healthy = {one.stack: one for one in reversed(quick) if one.label == NONE}
    # A healthy verdict takes the whole budget: those that last longest begin first.
    return [*healthy.values(), *chosen.values()]


async def run(
    incidents: Sequence[Incident],
    *,
    command: Sequence[str] = DIAGNOSE,
    jobs: int = 3,
    budget: float = 60.0,
    path: Path | None = None,
    lasting: float = float("inf"),
    told: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Runs them, ``jobs`` at a time.

    Args:
        incidents: in the order in which they begin.
        command: what diagnoses, without its arguments.
        jobs: side by side; faults wait most of the time.
        budget: seconds for each.
        path: a file that every row is appended to at once.
        lasting: seconds after which none is begun any more.
        told: hears of every row.

    Cancelling ends every stack and every command; the rows so far are in the file.
    """
    rows: list[Row] = []
    waiting = iter(incidents)
    ends = time.monotonic() + lasting

    async def work() -> None:
        for incident in waiting:
            if time.monotonic() >= ends:
                return
            one = await diagnose(incident, command, budget)
            rows.append(one)
            if path is not None:
                with path.open("ab") as file:
                    file.write(msgspec.json.encode(one) + b"\n")
            told(one)

    async with asyncio.TaskGroup() as group:
        for _ in range(jobs):
            group.create_task(work())
    return rows
