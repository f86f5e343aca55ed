"""Everything that a canary knows, as a fold over its facts; pure.

The same batches give the same state, whenever and in how many runs they were written: after a restart counters, the
standing of the change-point tests, and the rows of connections that were open are what they were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct, field

from chatkit.canary.changes import Change, Deaths, Samples
from chatkit.canary.facts import (
    Answered,
    Batch,
    Counted,
    Diagnosed,
    Fact,
    Healthy,
    LifeEnded,
    LifeOpened,
    RowsWritten,
    RunBegan,
)
from chatkit.canary.rows import Row

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the round trips' histogram, seconds; one more bucket holds the rest."""
DEATHS_KEPT, CHANGES_KEPT = 100, 50
"""The newest of each target that are told in full; all are counted."""
ROWS_WAITING = 100_000
"""Rows that wait for a folder that cannot be written."""
LOOK_AGAIN = 60.0
"""Seconds between two looks for a change to the better while nothing happens."""

NOTICES: Mapping[str, str] = {
    "deaths-deleted": "recordings of deaths were deleted to keep the folder within its bound",
    "rows-deleted": "files of rows were deleted to keep the folder within its bound",
    "rows-lost": "rows were lost while the folder could not be written",
    "write-failed": "times that the folder could not be written",
    "not-diagnosed": "deaths were not diagnosed: more came than the bound on diagnoses permits",
    "line-damaged": "damaged lines of the journal were left out",
    "line-torn": "times that the last line of the journal was torn: the process was killed while it wrote",
    "restarts": "times that the watch began again with what it knew",
    "not-recorded": "deaths have no recording: it could not be written",
}
"""What is counted beside the targets, in words."""


class Death(Struct, kw_only=True):
    """A connection that ended against our will."""

    target: str
    connection: str
    at: float
    """Unix time, seconds."""
    lifetime_s: float
    words: str
    file: str | None
    verdict: str | None = None
    """``None`` until it is diagnosed."""
    headline: str = ""
    cause: str | None = None
    probability: float | None = None


class TargetState(Struct, kw_only=True):
    """What is known of one target."""

    url: str = ""
    since: float = 0.0
    """Unix time of the first watch."""
    open: dict[str, Row] = {}
    opened: int = 0
    refused: int = 0
    """Attempts that did not open."""
    died: int = 0
    left: int = 0
    """Connections that ended by our own wish."""
    cut_short: int = 0
    """Connections that ended with our own process."""
    endings: dict[str, int] = {}
    """Deaths by how they ended: ``rst``, ``fin``, ``timeout``, ``close 1011`` …"""
    causes: dict[str, int] = {}
    """Deaths by diagnosed cause."""
    lived: float = 0.0
    """Seconds that connections were open, all together."""
    round_trips: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    round_trip_s: float = 0.0
    """Sum of all round trips, seconds."""
    last_round_trip: float | None = None
    healthy: bool | None = None
    health_checks: int = 0
    health_failures: int = 0
    deaths: Deaths = field(default_factory=Deaths)
    latency: Samples = field(default_factory=Samples)
    health: Samples = field(default_factory=Samples)
    changes: list[Change] = []
    changed: int = 0
    lately: list[Death] = []


class State(Struct, kw_only=True):
    """What is known of all targets; :meth:`apply` adds to it."""

    at: float = 0.0
    """Unix time of the last batch, seconds."""
    before: float = 0.0
    """The same of the batch before it."""
    run: int = 0
    targets: dict[str, TargetState] = {}
    counts: dict[str, int] = {}
    """By the keys of :data:`NOTICES`."""
    pending: list[Row] = []
    """Rows of connections that ended and stand in no file yet."""
    files: int = 0
    """Files of rows that were written."""
    looked: float = 0.0

    def apply(self, batch: Batch) -> list[tuple[str, Change]]:
        """Adds a batch; the changes that show with it, by target."""
        began = next((fact for fact in batch.facts if isinstance(fact, RunBegan)), None)
        if began is None:
            # Between two runs nobody watched.
            self._live(batch.at)
        self.before, self.at = self.at, max(self.at, batch.at)
        touched: dict[str, set[str]] = {}
        for fact in batch.facts:
            what = _DO[type(fact)](self, fact)
            if what is not None:
                touched.setdefault(getattr(fact, "target", ""), set()).add(what)
        if self.at - self.looked >= LOOK_AGAIN:
            self.looked = self.at
            for name in self.targets:
                touched.setdefault(name, set()).add("survival")
        return [(name, change) for name, what in touched.items() for change in self._look(name, what)]

    def _live(self, at: float) -> None:
        for target in self.targets.values():
            _lived(target, max(0.0, at - self.at) * len(target.open))

    def _look(self, name: str, what: set[str]) -> list[Change]:
        target = self.targets[name]
        found = [
            target.deaths.change(self.at) if "survival" in what else None,
            target.latency.change("latency", self.at) if "latency" in what else None,
            target.health.change("health", self.at) if "health" in what else None,
        ]
        changes = [change for change in found if change is not None]
        target.changes = [*target.changes, *changes][-CHANGES_KEPT:]
        target.changed += len(changes)
        return changes

    # One method for each kind of fact; it returns which test has something new to look at.

    def _began(self, fact: RunBegan) -> None:
        if self.run:
            self._count("restarts", 1)
        self.run += 1
        for name, target in self.targets.items():
            for row in target.open.values():
                # Killed: the life was watched until the last batch, and nobody knows more of it.
                seen = 0.0 if row.opened_at is None else self.before - row.opened_at
                self._wait(msgspec.structs.replace(row, lifetime_s=round(max(0.0, seen), 6)))
                target.cut_short += 1
            target.open = {}
            if name in fact.targets:
                target.url = fact.targets[name]
        for name, url in fact.targets.items():
            if name not in self.targets:
                self.targets[name] = TargetState(url=url, since=self.at)

    def _opened(self, fact: LifeOpened) -> None:
        target = self._target(fact.target)
        target.opened += 1
        target.open[fact.row.connection] = fact.row
        if fact.row.opened_at is not None:
            _lived(target, max(0.0, self.at - fact.row.opened_at))

    def _ended(self, fact: LifeEnded) -> str | None:
        target, row = self._target(fact.target), fact.row
        if target.open.pop(row.connection, None) is not None:
            _lived(target, min(0.0, fact.at - self.at))
        self._wait(row)
        if row.opened_at is None or row.state == "refused":
            target.refused += 1
            return None
        if not row.ended:
            target.left += 1
            return None
        target.died += 1
        how = _how(row)
        target.endings[how] = target.endings.get(how, 0) + 1
        target.lately = [*target.lately, _death(fact)][-DEATHS_KEPT:]
        target.deaths.died(fact.at, row.connection)
        return "survival"

    def _diagnosed(self, fact: Diagnosed) -> None:
        target = self._target(fact.target)
        if fact.cause is not None:
            target.causes[fact.cause] = target.causes.get(fact.cause, 0) + 1
        for death in target.lately:
            if death.connection == fact.connection:
                death.verdict, death.headline = fact.verdict, fact.headline
                death.cause, death.probability = fact.cause, fact.probability
        self.pending = [
            msgspec.structs.replace(row, cause=fact.cause, probability=fact.probability)
            if row.connection == fact.connection
            else row
            for row in self.pending
        ]

    def _answered(self, fact: Answered) -> str:
        target = self._target(fact.target)
        for at, seconds in fact.samples:
            place = next((n for n, end in enumerate(BUCKETS) if seconds <= end), len(BUCKETS))
            target.round_trips[place] += 1
            target.round_trip_s += seconds
            target.last_round_trip = seconds
            target.latency.add(at, seconds)
        return "latency"

    def _healthy(self, fact: Healthy) -> str | None:
        target = self._target(fact.target)
        target.health_checks += 1
        target.health_failures += not fact.healthy
        target.healthy = fact.healthy
        if not fact.healthy:
            return None
        target.health.add(fact.at, fact.seconds)
        return "health"

    def _counted(self, fact: Counted) -> None:
        self._count(fact.what, fact.n)

    def _written(self, fact: RowsWritten) -> None:
        gone = set(fact.connections)
        self.pending = [row for row in self.pending if row.connection not in gone]
        self.files += 1

    def _wait(self, row: Row) -> None:
        self.pending.append(row)
        if len(self.pending) > ROWS_WAITING:
            del self.pending[0]
            self._count("rows-lost", 1)

    def _target(self, name: str) -> TargetState:
        return self.targets.setdefault(name, TargetState(since=self.at))

    def _count(self, what: str, n: int) -> None:
        self.counts[what] = self.counts.get(what, 0) + n


_DO: Mapping[type[Fact], Callable[[State, Any], str | None]] = {
    RunBegan: State._began,
    LifeOpened: State._opened,
    LifeEnded: State._ended,
    Diagnosed: State._diagnosed,
    Answered: State._answered,
    Healthy: State._healthy,
    Counted: State._counted,
    RowsWritten: State._written,
}


def _lived(target: TargetState, seconds: float) -> None:
    target.lived = max(0.0, target.lived + seconds)
    target.deaths.lived(seconds)


def _how(row: Row) -> str:
    if row.close_code is not None and row.close_code != 1006:
        return f"close {row.close_code}"
    return row.transport_how or "unknown"


def _death(fact: LifeEnded) -> Death:
    return Death(
        target=fact.target,
        connection=fact.row.connection,
        at=fact.at,
        lifetime_s=fact.row.lifetime_s,
        words=fact.words,
        file=fact.file,
    )
