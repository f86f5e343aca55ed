"""The whole analysis: files in, a :class:`~chatkit.fleet.result.Fleet` out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chatkit.diagnosis.pattern import TOGETHER
from chatkit.diagnosis.survival import Curve, kaplan_meier
from chatkit.errors import ChatkitError, ImportFailed, InvalidInput
from chatkit.fleet import tally as tallies
from chatkit.fleet.changes import appearances, changes
from chatkit.fleet.comparing import Cohort, Counts, compare
from chatkit.fleet.inputs import Failure, expand, shares
from chatkit.fleet.peaks import Peak, peaks
from chatkit.fleet.rates import Course, over_age, over_day
from chatkit.fleet.result import Died, Event, Fleet
from chatkit.fleet.rows import COHORTS
from chatkit.fleet.shard import Reading, in_words
from chatkit.fleet.together import Moment, moments
from chatkit.fleet.working import Cluster, Crew, Local

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chatkit.fleet.shard import Made
    from chatkit.fleet.tally import Tally

MOST_MOMENTS = 20
"""That are looked into; of more the largest."""
MOST_VALUES = 5
"""Of cohorts, that are told of a moment."""
CONNECTIONS = "connections"
"""Folder of the rows under ``out``."""


def analyse_fleet(
    *files: str | Path,
    by: Sequence[str] | None = None,
    scheduler: str | None = None,
    out: str | Path | None = None,
    format: str | None = None,
    profile: str | None = None,
    pattern: str | None = None,
    threads: int | None = None,
    progress: Callable[[int, int, Failure | None], None] | None = None,
) -> Fleet:
    """Compares many connections: who drops sooner, when, together with whom, and since when.

    Args:
        files: recordings, logs and captures of any format that chatkit reads; Parquet tables of events or of
            connections; folders, patterns, and URLs that fsspec knows. ``version=…/region=…`` in a path tells a cohort.
        by: columns to compare by, of ``version``, ``region``, ``proxy`` and ``user_agent``; ``None``: all told.
        scheduler: address of a ``dask.distributed`` scheduler whose workers do the work; ``None``: this machine does.
        out: folder that gets one row for each connection, as Parquet files in ``connections/``.
        format, profile, pattern: how recordings are read, as for :func:`chatkit.load`.
        threads: on this machine; ``None``: as many as there are processors.
        progress: called with the files done, the files in all, and one that could not be read.

    A file that cannot be read is left out and named in ``Fleet.failed``.

    Raises:
        ImportFailed: no file could be read.
        InvalidInput: there is no such column, or ``out`` cannot be written.
        ConnectFailed: no scheduler answers.
        MissingDependency: duckdb, distributed, fsspec or pyarrow is not installed.
        ChatkitError: the disk is full.

    >>> import chatkit
    >>> fleet = chatkit.analyse_fleet("fleet.parquet", by=["version"])
    >>> fleet.worst.value, fleet.main_cause("version", fleet.worst.value).id
    ('2.4.1', 'server-error')
    """
    unknown = set(by or ()) - set(COHORTS)
    if unknown:
        raise InvalidInput("no such column", expected=f"of {', '.join(COHORTS)}", got=sorted(unknown), where="by")
    if not files:
        raise InvalidInput("nothing to analyse", expected="a file or more", got="none")
    target = _folder(out) if out is not None else None
    inputs, failed = expand(map(str, files))
    with in_words(), tempfile.TemporaryDirectory(prefix="chatkit-fleet-", dir=target) as folder:
        crew: Crew = Cluster(scheduler) if scheduler is not None else Local(Path(folder), threads)
        with closing(crew):
            work = _Work(crew, progress, len(inputs) + len(failed), failed)
            work.read(shares(inputs, crew.workers), Reading(format=format, profile=profile, pattern=pattern))
            if not work.files:
                raise _nothing(work.failed)
            fleet = work.count(tuple(by) if by is not None else None)
            if target is not None:
                work.write(target / CONNECTIONS)
    return fleet


def _folder(out: str | Path) -> Path:
    target = Path(out)
    try:
        (target / CONNECTIONS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"the folder cannot be made: {error.strerror or error}", where=str(out)) from None
    if any((target / CONNECTIONS).iterdir()):
        raise InvalidInput("there are rows already", where=str(target / CONNECTIONS), remedy="another folder")
    return target


def _nothing(failed: Sequence[Failure]) -> ChatkitError:
    if len(failed) == 1:
        return ImportFailed(failed[0].why.rstrip("."), source=failed[0].name)
    first = f"{failed[0].name}: {failed[0].why.splitlines()[0]}" if failed else "none"
    return ImportFailed("no file could be read", source=f"{len(failed):,} files", got=first)


class _Work:
    """One analysis on its way."""

    def __init__(
        self,
        crew: Crew,
        progress: Callable[[int, int, Failure | None], None] | None,
        total: int,
        failed: Iterable[Failure],
    ) -> None:
        self._crew, self._progress, self._total, self._done = crew, progress, total, 0
        self._made: list[Made] = []
        self._handles: list[Any] = []
        self._moments: tuple[Moment, ...] = ()
        self._peaks: tuple[Peak, ...] = ()
        self.failed: list[Failure] = []
        self.files = 0
        for one in failed:
            self._fail(one)

    def _fail(self, one: Failure) -> None:
        self._done += 1
        self.failed.append(one)
        if self._progress is not None:
            self._progress(self._done, self._total, one)

    def read(self, pieces: Sequence[Any], reading: Reading) -> None:
        """All files into rows."""
        for handle, made in self._crew.make(pieces, reading):
            for one in made.failed:
                self._fail(one)
            self._done += made.read
            self.files += made.read
            if self._progress is not None:
                self._progress(self._done, self._total, None)
            if handle is not None and made.rows:
                self._handles.append(handle)
            if made.rows or made.read:
                self._made.append(made)

    def count(self, by: tuple[str, ...] | None) -> Fleet:
        """Rows into numbers."""
        told = {name for made in self._made for name in made.cohorts}
        names = tuple(name for name in COHORTS if name in (told if by is None else by))
        tally = tallies.merged(self._crew.tallies(self._handles, names)) if self._handles else _EMPTY
        cohorts = {name: tallies.pooled(columns) for name, columns in tally.cohorts.items()}
        any_of = next(iter(cohorts.values()))
        counts = {by: _counts(columns) for by, columns in cohorts.items() if by}
        # One value, or none, is nothing to compare.
        counts = {by: mine for by, mine in counts.items() if len(mine) > 1}
        attempts = {by: tallies.attempts(cohorts[by]) for by in counts}
        compared = compare(counts, attempts)
        overall = tallies.counts(any_of, all=True)
        course = tallies.course(tally)
        self._moments = _largest(moments(tally.ended[0][tally.ended[2] > 0], tally.ended[2][tally.ended[2] > 0]))
        aged = overall.deaths > 0
        self._peaks = (
            *peaks("idle", tallies.seconds_of(tally.quiet[0]), tally.quiet[1]),
            *peaks("age", overall.seconds[aged], overall.deaths[aged]),
        )
        return Fleet(
            files=self.files,
            failed=tuple(self.failed),
            events=sum(made.events for made in self._made),
            connections=tally.rows,
            lives=_of_class(any_of, tallies.OTHERS) + _of_class(any_of, tallies.DIED),
            deaths=_of_class(any_of, tallies.DIED),
            refused=_of_class(any_of, tallies.REFUSED),
            start=float(tally.opened[0][0] * TOGETHER) if len(tally.opened[0]) else None,
            end=float((tally.ended[0][-1] + 1) * TOGETHER) if len(tally.ended[0]) else None,
            by=tuple(counts),
            overall=_curve(overall),
            curves={by: {value: _curve(one) for value, one in mine.items()} for by, mine in counts.items()},
            cohorts=compared,
            ages=over_age(overall),
            hours=over_day(course) if course is not None else (),
            together=self._events(tuple(counts)),
            timers=tuple(sorted(self._peaks, key=lambda one: -one.deaths)),
            changes=self._changes(course, cohorts, tuple(counts)),
            causes=self._causes("").get("", ()),
            causes_of={by: self._causes(by) for by in _differing(compared)},
            course=course,
        )

    def _causes(self, by: str) -> dict[str, tuple[Died, ...]]:
        found: dict[str, dict[str, list[float]]] = {}
        for part in self._crew.looks(self._handles, by, self._moments, self._peaks):
            for value, cause, n, probability, _ in part:
                entry = found.setdefault(value or "", {}).setdefault(cause, [0.0, 0.0])
                entry[0] += n
                entry[1] += probability
        return {
            value: tuple(
                Died(id=id, n=int(n), probability=p / n)
                for id, (n, p) in sorted(mine.items(), key=lambda pair: (-pair[1][0], pair[0]))
            )
            for value, mine in found.items()
        }

    def _events(self, by: tuple[str, ...]) -> tuple[Event, ...]:
        if not self._moments:
            return ()
        found: dict[tuple[int, str], dict[str | None, list[int]]] = {}
        for part in self._crew.victims(self._handles, by, self._moments):
            for number, name, value, died, alive in part:
                entry = found.setdefault((number, name), {}).setdefault(value, [0, 0])
                entry[0] += died
                entry[1] += alive
        events = []
        for number, moment in enumerate(self._moments):
            codes = found.get((number, "close_code"), {})
            lost = [
                (name, value, died, alive)
                for name in by
                for value, (died, alive) in found.get((number, name), {}).items()
                if value is not None and died
            ]
            lost.sort(key=lambda one: (-one[2] / max(one[3], one[2]), -one[2]))
            events.append(
                Event(
                    moment=moment,
                    alive=sum(alive for _, alive in codes.values()),
                    codes={code or "none": died for code, (died, _) in codes.items() if died},
                    cohorts=tuple(lost[:MOST_VALUES]),
                )
            )
        return tuple(events)

    def _changes(self, course: Course | None, cohorts: dict[str, Any], by: tuple[str, ...]) -> Any:
        if course is None:
            return ()
        # Whoever opened last is not gone yet: what counts is when openings end.
        last = course.start + course.width * float(np.flatnonzero(course.opened)[-1] + 1)
        seen = [one for name in by for one in appearances(name, tallies.seen(cohorts[name]), course.start, last)]
        steps = np.arange(len(course.died))
        busy = np.zeros(len(steps), np.bool_)
        for one in self._moments:
            first, last = (one.at - course.start) // course.width, (one.at + one.seconds - course.start) // course.width
            busy |= (steps >= first) & (steps <= last)
        return changes(course, seen, busy)

    def write(self, folder: Path) -> None:
        """The rows with their causes, a file for each piece of work."""
        names = [made.names for made in self._made if made.rows]
        parts = self._crew.export(self._handles, names, self._moments, self._peaks)
        for number, content in enumerate(parts):
            path = folder / f"part-{number:05d}.parquet"
            try:
                path.write_bytes(content)
            except OSError as error:
                path.unlink(missing_ok=True)
                raise InvalidInput(f"the rows cannot be written: {error.strerror or error}", where=str(path)) from None


def _largest(found: Sequence[Moment]) -> tuple[Moment, ...]:
    kept = sorted(found, key=lambda one: -one.deaths)[:MOST_MOMENTS]
    return tuple(sorted(kept))


def _counts(columns: dict[str, NDArray[Any]]) -> dict[str, Counts]:
    """By value, the largest first; connections of which the value is not told are in no cohort."""
    values = [value for value in dict.fromkeys(columns["value"].tolist()) if value is not None]
    found = {str(value): tallies.counts(columns, value) for value in values}
    return dict(sorted(found.items(), key=lambda pair: (-pair[1].lives, pair[0])))


def _curve(one: Counts) -> Curve:
    died = np.concatenate((np.ones(len(one.seconds), np.bool_), np.zeros(len(one.seconds), np.bool_)))
    number = np.concatenate((one.deaths, one.others))
    seconds = np.concatenate((one.seconds, one.seconds))
    return kaplan_meier(seconds[number > 0], died[number > 0], lives=number[number > 0])


def _of_class(columns: dict[str, NDArray[Any]], kind: int) -> int:
    return int(columns["n"][columns["class"] == kind].sum())


def _differing(compared: Sequence[Cohort]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.by for one in compared if one.differs))


def _empty() -> Tally:
    none = np.zeros(0, np.int64)
    columns = {"value": np.zeros(0, object), "class": none, "step": none, "n": none}
    return tallies.Tally(
        rows=0,
        cohorts={"": columns | {"first": np.zeros(0), "last": np.zeros(0)}},
        quiet=(none, none),
        opened=(none, none),
        ended=(none, none, none),
    )


_EMPTY = _empty()
