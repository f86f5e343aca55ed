"""A path that forgets quiet connections: how long a quiet it is."""

from __future__ import annotations

from chatkit.diagnosis import diagnose
from chatkit.investigation import investigate
from chatkit.investigation.bracket import bracket
from chatkit.lab import LabServer

from .conftest import most_at_once

TIMEOUT = 3.0


async def test_a_forgetful_path_is_bracketed() -> None:
    """Arms that are quiet for different times stand on both sides of it, never more at once than is polite."""
    async with LabServer(faults=(f"nat-timeout:timeout={TIMEOUT}",)) as house:
        found = await investigate(house.url, bot="echo", token=house.token, budget=34.0, chat=False)
    cause = found.diagnosis.causes[0]
    assert (found.diagnosis.verdict, cause.id) == ("fault", "nat-timeout")
    low, high = cause.parameters["timeout_min_s"], cause.parameters["timeout_max_s"]
    assert low - 0.1 <= TIMEOUT <= high + 0.1
    assert high - low < 2.0
    assert low <= cause.parameters["timeout_s"] <= high
    assert sum(arm.id.startswith("quiet-of-") for arm in found.arms) >= 2
    assert most_at_once(found.trace) <= 12
    assert diagnose(found.trace).causes[0].parameters == cause.parameters


async def test_nothing_to_bracket() -> None:
    """Of any other diagnosis nothing is opened: the crew is not even looked at."""
    healthy = diagnose((await _nothing()).trace)
    assert not await bracket(None, healthy, rest=_never, left=60.0)  # type: ignore[arg-type]


async def _nothing():
    async with LabServer() as house:
        return await investigate(house.url, bot="echo", token=house.token, budget=5.0, chat=False)


async def _never(seconds: float) -> None:
    raise AssertionError("it rested")
