"""What is counted of connection rows: small, the same for any number of connections, and added up over shares; pure.

Durations are counted in steps of 0.1 % of their length, from a millisecond on; wall times in half seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from chatkit.diagnosis.pattern import TOGETHER
from chatkit.fleet.comparing import Counts
from chatkit.fleet.rates import Course

if TYPE_CHECKING:
    from numpy.typing import NDArray

FINENESS = 1000
"""Steps in which a duration grows by the factor e."""
SHORTEST = 1e-3
"""Seconds: shorter durations count as this one."""
OTHERS, DIED, REFUSED, UNKNOWN = 0, 1, 2, 3
"""Classes of connections: lives that ended well or go on, lives that ended against the client's will, refused
attempts, and what tells nothing."""
MOST_VALUES = 40
"""Values of a column that are told apart; of more the largest, and the rest together."""
REST = "(others)"
WIDTHS = (10, 60, 600, 3600)
"""Seconds: widths of the steps of a course."""
MOST_STEPS = 2000
_KEYS = ("value", "class", "step")


class Tally(Struct, frozen=True, kw_only=True):
    """Counts of some connections. ``by`` of a fleet that is compared by nothing is the one column ``""``."""

    rows: int
    cohorts: dict[str, dict[str, NDArray[Any]]]
    """By column: ``value`` (text, or ``None`` where it is not told), ``class``, ``step`` of the lifetime (-1 where it
    is not known), ``n``, and Unix seconds ``first`` and ``last`` of the openings (NaN for none)."""
    quiet: tuple[NDArray[np.int64], NDArray[np.int64]]
    """Of the dead: step of the quiet before the end, and how many."""
    opened: tuple[NDArray[np.int64], NDArray[np.int64]]
    """Half second, and how many opened."""
    ended: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
    """Half second, how many were watched no longer, and how many of them died."""


def merged(tallies: Iterable[Tally]) -> Tally:
    """The counts of all together.

    Args:
        tallies: one or more, made by the same columns.
    """
    found = list(tallies)
    return Tally(
        rows=sum(one.rows for one in found),
        cohorts={by: _merge_cohorts([one.cohorts[by] for one in found]) for by in found[0].cohorts},
        quiet=_added(*[one.quiet for one in found]),  # type: ignore[arg-type]
        opened=_added(*[one.opened for one in found]),  # type: ignore[arg-type]
        ended=_added(*[one.ended for one in found]),  # type: ignore[arg-type]
    )


def _added(*parts: tuple[NDArray[np.int64], ...]) -> tuple[NDArray[np.int64], ...]:
    """Counts by number: the numbers ascending, each once."""
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    keys, place = np.unique(columns[0], return_inverse=True)
    counts = [np.bincount(place, weights=one, minlength=len(keys)).astype(np.int64) for one in columns[1:]]
    return (keys.astype(np.int64), *counts)


def _merge_cohorts(parts: list[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    if len(parts) == 1:
        return parts[0]
    names: dict[str | None, int] = {}
    numbers = np.concatenate([[names.setdefault(value, len(names)) for value in part["value"]] for part in parts])
    kind = np.concatenate([part["class"] for part in parts]).astype(np.int64)
    step = np.concatenate([part["step"] for part in parts]).astype(np.int64)
    # One number for value, class and step: a step is below 2^24.
    key = (numbers.astype(np.int64) * 4 + kind) * (1 << 24) + step + 1
    keys, place = np.unique(key, return_inverse=True)
    first, last = np.full(len(keys), np.nan), np.full(len(keys), np.nan)
    np.fmin.at(first, place, np.concatenate([part["first"] for part in parts]))
    np.fmax.at(last, place, np.concatenate([part["last"] for part in parts]))
    listed = np.array(list(names), object)
    return {
        "value": listed[keys >> 26],
        "class": (keys >> 24) & 3,
        "step": (keys & ((1 << 24) - 1)) - 1,
        "n": np.bincount(place, weights=np.concatenate([part["n"] for part in parts])).astype(np.int64),
        "first": first,
        "last": last,
    }


def seconds_of(step: NDArray[np.int64]) -> NDArray[np.float64]:
    """The duration that stands for a step: its middle."""
    found: NDArray[np.float64] = SHORTEST * np.exp((step + 0.5) / FINENESS)
    return found


def counts(columns: Mapping[str, NDArray[Any]], value: str | None = None, *, all: bool = False) -> Counts:
    """Lives of one value of a column, or of all of them, by their duration; those of unknown duration are left out."""
    keep = (columns["class"] <= DIED) & (columns["step"] >= 0)
    if not all:
        keep = keep & (columns["value"] == value)
    step, kind, n = columns["step"][keep].astype(np.int64), columns["class"][keep], columns["n"][keep]
    steps, place = np.unique(step, return_inverse=True)
    dead = np.bincount(place, weights=n * (kind == DIED), minlength=len(steps)).astype(np.int64)
    rest = np.bincount(place, weights=n * (kind == OTHERS), minlength=len(steps)).astype(np.int64)
    return Counts(seconds=seconds_of(steps), deaths=dead, others=rest)


def pooled(columns: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The same with the smallest values as one, where there are more than ``MOST_VALUES``."""
    sizes: dict[str | None, int] = {}
    for value, n in zip(columns["value"].tolist(), columns["n"].tolist(), strict=True):
        sizes[value] = sizes.get(value, 0) + n
    told = sorted((value for value in sizes if value is not None), key=lambda value: -sizes[value])
    if len(told) <= MOST_VALUES:
        return columns
    kept = {None, *told[:MOST_VALUES]}
    values = np.array([value if value in kept else REST for value in columns["value"].tolist()], object)
    return _merge_cohorts([columns | {"value": values}, {name: column[:0] for name, column in columns.items()}])


def attempts(columns: Mapping[str, NDArray[Any]]) -> dict[str, tuple[int, int]]:
    """By value: connections that were tried, and how many of them were refused."""
    found: dict[str, tuple[int, int]] = {}
    for value, kind, n in zip(columns["value"].tolist(), columns["class"].tolist(), columns["n"].tolist(), strict=True):
        if value is not None and kind != UNKNOWN:
            tried, refused = found.get(value, (0, 0))
            found[value] = (tried + n, refused + (n if kind == REFUSED else 0))
    return found


def seen(columns: Mapping[str, NDArray[Any]]) -> list[tuple[str, float, float, int]]:
    """By value: Unix times of the first and the last opening, and lives."""
    found = []
    for value in dict.fromkeys(columns["value"].tolist()):
        mine = (columns["value"] == value) & (columns["class"] <= DIED)
        first, last = columns["first"][mine], columns["last"][mine]
        if value is not None and not np.isnan(first).all():
            found.append((value, float(np.nanmin(first)), float(np.nanmax(last)), int(columns["n"][mine].sum())))
    return found


def course(tally: Tally) -> Course | None:
    """Wall time in steps, as fine as it can be with ``MOST_STEPS`` of them; ``None`` where no life has its times."""
    born, births = tally.opened
    gone, ends, deaths = tally.ended
    if not len(born) or not len(gone):
        return None
    first, last = float(min(born[0], gone[0]) * TOGETHER), float(max(born[-1], gone[-1]) * TOGETHER)
    width = next((width for width in WIDTHS if last - first <= width * MOST_STEPS), WIDTHS[-1])
    start = float(np.floor(first / width) * width)
    size = int((last - start) // width) + 1
    if size > 1_000_000:  # a century: some clock is wrong, and nothing can be said of the time of day
        return None

    def spread(moments: NDArray[np.int64], weight: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        at = (moments + 0.5) * TOGETHER - start
        place = np.floor(at / width).astype(np.int64)
        number = np.bincount(place, weights=weight, minlength=size).astype(np.int64)
        after = np.bincount(place, weights=weight * (at - place * width), minlength=size).astype(np.float64)
        return number, after

    return Course(start, float(width), *spread(born, births), *spread(gone, ends), spread(gone, deaths)[0])
