"""The catalogue: labels of the taxonomy, parameters from the seed, reserved seeds apart."""

from __future__ import annotations

import asyncio

import pytest

from chatkit.diagnosis.taxonomy import causes
from chatkit.faults.catalogue import CATALOGUE
from chatkit.faults.parse import parse_fault
from tests.incidents.catalogue import hops, incidents, labs, seeds
from tests.incidents.checks import CHECKS
from tests.incidents.incident import NONE, Incident, drawn
from tests.incidents.test_stacks import fault_of

ALL = incidents(seeds(2) + seeds(2, reserved=True))


def test_keys_are_unique() -> None:
    """A row of results belongs to one incident."""
    assert len({one.key for one in ALL}) == len(ALL)


def test_labels_are_of_the_taxonomy() -> None:
    """And so are those who act."""
    assert {one.label for one in ALL} - {NONE} <= set(causes())
    assert {
        (one.id, one.who) for one in ALL if one.label != NONE and not set(one.who) <= set(causes()[one.label].who)
    } == set()
    assert [one.key for one in ALL if bool(one.who) == (one.label == NONE)] == []


def test_every_real_stack_has_a_check_for_its_faults() -> None:
    """What is not seen by a client is no incident."""
    assert {one.label for one in ALL if one.stack not in ("lab", "hop")} <= set(CHECKS)


def test_parameters_come_from_the_seed() -> None:
    """The same seed gives the same incident, another one other parameters."""

    def parameters(found: list[Incident]) -> list[object]:
        return [(one.id, dict(one.expected), one.minimum_s) for one in found]

    assert parameters(incidents([1])) == parameters(incidents([1]))
    assert parameters(incidents([1])) != parameters(incidents([2]))


def test_reserved_seeds_are_apart() -> None:
    """None of them is in the others."""
    assert set(seeds(20)) & set(seeds(20, reserved=True)) == set()
    assert all(one.reserved for one in incidents(seeds(2, reserved=True), ["haproxy"]))
    assert not any(one.reserved for one in incidents(seeds(2), ["haproxy"]))
    assert len(seeds(7)) == len(seeds(7, reserved=True)) == 7


@pytest.mark.parametrize("seed", range(5))
def test_the_lab_knows_its_faults(seed: int) -> None:
    """Every text is one of ``chatkit lab --list-faults``, and means the cause of its label."""
    pairs = [(case.fault, case.label) for case in labs.cases(drawn("lab", seed))]
    pairs += [(case.fault, case.label) for case in hops.cases(drawn("hop", seed))]
    assert [pair for pair in pairs if CATALOGUE[parse_fault(pair[0]).id].cause != pair[1]] == []


def test_healthy_runs_are_a_good_part() -> None:
    """False alarms are counted on a hundred of them with five seeds."""
    assert sum(one.label == NONE for one in incidents(seeds(5))) >= 100


@pytest.mark.slow
async def test_noise_beside_a_healthy_lab_is_benign() -> None:
    """The whole contract works beside a colleague, and on a path that is slow or loses packets."""
    noisy = [one for one in incidents([1], ["lab", "hop"]) if one.label == NONE]
    assert [wrong for wrong in await asyncio.gather(*map(fault_of, noisy)) if wrong] == []
