"""The runner, with a command that always says the same."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests.bench.disconnect.__main__ import main
from tests.bench.disconnect.run import arguments, latest, read, run, short, still_to_do
from tests.bench.disconnect.score import row
from tests.incidents.catalogue import STACKS, incidents, seeds
from tests.incidents.incident import Incident, Near, Site
from tests.incidents.processes import DidNotStart, MissingProgram

SECRET = "a-token-for-this-test-only"
STUB = """
import json, os, sys
assert os.environ["CHATKIT_TOKEN"] not in " ".join(sys.argv)
cause = {"id": "idle-timeout", "confidence": 0.97, "who": "proxy", "lookalikes": []}
cause["parameters"] = {"timeout_s": 4.01, "url": sys.argv[1]}
print(json.dumps({"elapsed_s": 6.5, "diagnosis": {"verdict": "fault", "causes": [cause]}}))
raise SystemExit(1)
"""


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    """Nobody listens there."""
    yield Site(url="http://127.0.0.1:9", bot="echo", token=SECRET, direct_url="http://127.0.0.1:8")


class Failing(AbstractAsyncContextManager[Site, None]):
    """A stack that does not come up."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def __aenter__(self) -> Site:
        raise self._error

    async def __aexit__(self, *exc: object) -> None:
        """It was never entered."""


def broken() -> Failing:
    """A wrong configuration."""
    return Failing(DidNotStart("nginx ended: the configuration is wrong"))


def missing() -> Failing:
    """A program that is not there."""
    return Failing(MissingProgram("nginx is not installed"))


def incident(seed: int = 1, start: Callable[[], AbstractAsyncContextManager[Site]] = site) -> Incident:
    """One with a time-out of 4 s."""
    return Incident(
        id="nginx/read-timeout",
        stack="nginx",
        seed=seed,
        label="idle-timeout",
        who=("proxy",),
        start=start,
        expected={"timeout_s": Near(4.0)},
        minimum_s=4.0,
    )


def stub(text: str) -> list[str]:
    """A command that runs this text."""
    return [sys.executable, "-c", text]


async def test_a_run_is_judged_and_written(tmp_path: Path) -> None:
    """One line for each, without the token; the next run has nothing to do."""
    path = tmp_path / "rows.jsonl"
    wanted = [incident(seed) for seed in (1, 2, 4)]
    rows = await run(wanted, command=stub(STUB), path=path)
    assert [(one.mark, one.beyond_s, one.parameters[0].fits) for one in rows] == [("right", 2.5, True)] * 3
    assert SECRET not in path.read_text()
    assert sorted(one.key for one in read(path)) == sorted(one.key for one in wanted)
    assert still_to_do(wanted, read(path)) == []


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("raise SystemExit(2)", "exit code 2"),
        ("print('no JSON')", "the output cannot be read"),
        ("print('{}')", "the output cannot be read"),
        (
            "import os, sys; sys.stderr.write(os.environ['CHATKIT_TOKEN'] + ' was refused'); raise SystemExit(2)",
            "[token] was refused",
        ),
    ],
)
async def test_a_command_that_fails_is_a_row(text: str, error: str) -> None:
    """It is neither right nor wrong, and is tried again."""
    wanted = [incident()]
    (one,) = await run(wanted, command=stub(text))
    assert one.mark == "failed"
    assert error in (one.error or "")
    assert SECRET not in msgspec.json.encode(one).decode()
    assert still_to_do(wanted, [one]) == wanted


async def test_a_stack_that_fails_does_not_stop_the_others() -> None:
    """Broken is failed, missing is skipped."""
    wanted = [incident(1, start=broken), incident(2, start=missing), incident(4)]
    rows = {one.key: one for one in await run(wanted, command=stub(STUB), jobs=1)}
    first, second, third = (rows[one.key] for one in wanted)
    assert first.error == "nginx ended: the configuration is wrong"
    assert second.skipped == "nginx is not installed"
    assert third.mark == "right"


async def test_cancelling_ends_the_command(tmp_path: Path) -> None:
    """No process stays behind."""
    told = tmp_path / "pid"
    text = f"import os, time, pathlib; pathlib.Path({str(told)!r}).write_text(str(os.getpid())); time.sleep(600)"
    running = asyncio.get_running_loop().create_task(run([incident()], command=stub(text)))
    async with asyncio.timeout(20):
        while not told.exists() or not told.read_text():
            await asyncio.sleep(0.02)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)


async def test_nothing_begins_when_the_time_is_over() -> None:
    """The short form is bounded."""
    assert await run([incident()], command=stub(STUB), lasting=0.0) == []


def test_a_line_cut_off_is_left_out(tmp_path: Path) -> None:
    """What a killed run leaves."""
    path = tmp_path / "rows.jsonl"
    whole = msgspec.json.encode(row(incident(), error="x"))
    path.write_bytes(whole + b"\n" + whole[:40])
    assert read(path) == [row(incident(), error="x")]


def test_the_last_row_counts() -> None:
    """A failure that was tried again is forgotten, rows of other incidents too."""
    rows = [row(incident(1), error="x"), row(incident(2), error="y"), row(incident(1), verdict="fault")]
    assert latest(rows, [incident(1)]) == [rows[2]]


async def test_the_command_line() -> None:
    """The budget of the incident wins; the way past the proxy only where it is told."""
    async with site() as place:
        plain = ["http://127.0.0.1:9", "--bot", "echo", "--token-env", "CHATKIT_TOKEN", "--json"]
        assert arguments(incident(), place, 60) == [*plain, "--budget", "60"]
        also = replace(incident(), also=True, options=("--budget", "180"))
        assert arguments(also, place, 60) == [*plain, "--also", "http://127.0.0.1:8", "--budget", "180"]


def test_the_short_form() -> None:
    """Every cause of the catalogue, every stack healthy, and more than one stack at fault."""
    everything = incidents(seeds(1))
    some = short(everything)
    assert {one.label for one in some} == {one.label for one in everything}
    assert {one.stack for one in some if one.label == "none"} == set(STACKS)
    assert len({one.stack for one in some if one.label != "none"}) > 3
    assert len(some) == len({one.key for one in some})


def test_listing(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is started."""
    main(["--list", "--stack", "haproxy", "--only", "idle-timeout", "--seeds", "1"])
    printed = capsys.readouterr().out
    assert "haproxy/timeout-tunnel#1" in printed
    assert "nginx" not in printed
    assert json.dumps(SECRET) not in printed
