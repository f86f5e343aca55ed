"""The ways as a table: each with its button, its point and one actor."""

from __future__ import annotations

import pytest

from chatkit.faults import parse_fault
from chatkit.lessons.ways import BY_ID, WAYS, Way


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.id)
def test_a_way_can_be_offered(way: Way) -> None:
    """A short label, a sentence, a fault of the catalogue where it has one, and a code that a frame may carry."""
    assert 0 < len(way.label) <= 30
    assert way.point.endswith(".")
    if way.fault is not None:
        parse_fault(way.fault)
    assert way.code not in (1005, 1006, 1015)


def test_ways_are_named_once() -> None:
    """By id and by label."""
    assert len(BY_ID) == len(WAYS) == len({way.label for way in WAYS})
