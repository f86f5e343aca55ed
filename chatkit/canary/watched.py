"""``watching``: what a canary's folder tells, while the canary runs and afterwards. Nothing is written or locked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import Struct

from chatkit import display, table
from chatkit.canary import journal, rows
from chatkit.canary.changes import Change
from chatkit.canary.evidence import ROWS
from chatkit.canary.rows import Row
from chatkit.canary.state import NOTICES, Death, State, TargetState
from chatkit.clock import iso_utc
from chatkit.diagnosis import Diagnosis, diagnose
from chatkit.diagnosis.survival import Curve, kaplan_meier
from chatkit.errors import InvalidInput
from chatkit.formats.jsonl import load
from chatkit.plain import one_line
from chatkit.trace import Trace


class SeenDeath(Struct, frozen=True, kw_only=True):
    """A death, with its recording."""

    folder: Path
    death: Death
    _repr_html_, _repr_pretty_ = display.face("seen-death"), display.in_words

    @property
    def path(self) -> Path | None:
        """The recording; ``None`` where none could be written."""
        return None if self.death.file is None else self.folder / self.death.file

    @property
    def trace(self) -> Trace:
        """The recording around the death.

        Raises:
            InvalidInput: there is none, or it was deleted to keep the folder within its bound.
        """
        if self.path is None or not self.path.exists():
            raise InvalidInput(
                "this death has no recording any more",
                where=str(self.death.file),
                remedy="a later death, or a larger disk_mb",
            )
        return load(self.path)

    @property
    def diagnosis(self) -> Diagnosis:
        """What the recording says, asked anew; errors as for :attr:`trace`."""
        return diagnose(self.trace)

    def __str__(self) -> str:
        one = self.death
        cause = f"; {one.cause} ({one.probability:.2f})" if one.cause and one.probability is not None else ""
        return f"{iso_utc(one.at)} {one.connection}: {one.words}, age {one.lifetime_s:.1f} s{cause}"


class SeenChange(Struct, frozen=True, kw_only=True):
    """A change point of one target."""

    target: str
    change: Change
    _repr_pretty_ = display.in_words

    def __str__(self) -> str:
        return f"{self.target}, since {iso_utc(self.change.at)}: {self.change}"


class Watched(table.Tabular):
    """What a canary has seen, at one moment. Made by :func:`watching`; call it again for what came since."""

    def __init__(self, folder: Path, state: State, rows: list[Row], problems: tuple[str, ...]) -> None:
        self.folder, self._state = folder, state
        self.rows = rows
        """One per connection, oldest first: of files, of what waits for its file, of what is open."""
        self.problems = problems
        """What could not be read, and what was left out, in words."""

    @property
    def at(self) -> float:
        """Unix time of the canary's last word, seconds."""
        return self._state.at

    @property
    def targets(self) -> dict[str, TargetState]:
        """Counters and standing of each target, by name."""
        return self._state.targets

    @property
    def deaths(self) -> tuple[SeenDeath, ...]:
        """The newest deaths of all targets, oldest first."""
        found = [death for target in self.targets.values() for death in target.lately]
        return tuple(SeenDeath(folder=self.folder, death=one) for one in sorted(found, key=lambda one: one.at))

    @property
    def changes(self) -> tuple[SeenChange, ...]:
        """Change points of all targets, oldest first."""
        found = [SeenChange(target=name, change=one) for name, target in self.targets.items() for one in target.changes]
        return tuple(sorted(found, key=lambda one: one.change.at))

    def curves(self, by: str = "target") -> dict[str, Curve]:
        """Survival of the connections that opened, see :func:`chatkit.diagnosis.survival.kaplan_meier`.

        Args:
            by: ``target``, or ``change``: before and after the last change of survival of each target.

        Raises:
            InvalidInput: there is no such way of making cohorts.
        """
        if by not in ("target", "change"):
            raise InvalidInput("no such cohorts", expected="target or change", got=by)
        cohorts: dict[str, list[Row]] = {}
        for row in self.rows:
            if row.opened_at is not None:
                name = row.connection.partition("/")[0]
                cohorts.setdefault(name if by == "target" else self._side(name, row), []).append(row)
        return {
            name: kaplan_meier([row.lifetime_s for row in some], [row.ended for row in some])
            for name, some in cohorts.items()
        }

    def _side(self, name: str, row: Row) -> str:
        changes = self.targets[name].changes if name in self.targets else []
        last = next((one.at for one in reversed(changes) if one.what == "survival"), None)
        if last is None or row.opened_at is None:
            return name
        # A life that began before the change and died of it belongs behind it.
        died_behind = row.ended and row.ended_at is not None and row.ended_at >= last
        return f"{name}, after" if row.opened_at >= last or died_behind else f"{name}, before"

    def survival(self, by: str = "target", **options: Any) -> Any:
        """How long connections live, as a plotly figure; a curve for each cohort, see :meth:`curves`."""
        return self._drawn("survival")(self, by, **options)

    def latency(self, **options: Any) -> Any:
        """The newest round trips of each target over time, with its change points, as a plotly figure."""
        return self._drawn("latency")(self, **options)

    def _drawn(self, face: str) -> Any:
        render = display.find("watched", face)
        if render is None:
            raise InvalidInput("no view is loaded that draws it", remedy="import chatkit, not chatkit.canary")
        return render

    def to_arrow(self) -> Any:
        """The rows as a ``pyarrow.Table``."""
        return rows.to_arrow(self.rows)

    def to_pandas(self) -> Any:
        """The rows as a ``pandas.DataFrame``."""
        return self.to_arrow().to_pandas()

    _repr_html_ = display.face("watched")

    head = ("target", "open", "opened", "refused", "died", "deaths/h", "round trip", "health", "changed")
    """Titles of :meth:`lines`."""

    def lines(self) -> list[tuple[str, ...]]:
        """A line for each target, under :attr:`head`."""
        return [_line(name, one) for name, one in self.targets.items()]

    def __str__(self) -> str:
        lines = table.aligned(self.head, self.lines(), left=1) if self.targets else ["nothing was watched yet"]
        return "\n".join([*lines, *map(str, self.changes), *(f"note: {problem}" for problem in self.problems)])

    __repr__ = __str__


def _line(name: str, one: TargetState) -> tuple[str, ...]:
    rate = f"{3600 * one.died / one.lived:.3g}" if one.lived else ""
    trip = f"{1000 * one.last_round_trip:.3g} ms" if one.last_round_trip is not None else ""
    health = "" if one.healthy is None else "ok" if one.healthy else "down"
    counts = (len(one.open), one.opened, one.refused, one.died)
    changed = f"{one.changes[-1].what} {one.changes[-1].direction}" if one.changes else ""
    return (one_line(name, 64), *(f"{n:,}" for n in counts), rate, trip, health, changed)


def watching(folder: str | Path) -> Watched:
    """What the canary that writes into ``folder`` has seen so far; it may run, be gone, or have been killed.

    Args:
        folder: what ``chatkit watch --out`` or the file of targets names.

    Raises:
        InvalidInput: there is no canary's folder.
        ImportFailed: its journal is not ours, or newer.
        MissingDependency: pyarrow is not installed.

    Files of rows that are damaged are left out and named in ``problems``.

    >>> import chatkit
    >>> with chatkit.LabServer() as lab:
    ...     plan = {"targets": {"lab": {"url": lab.url, "bot": "echo"}}}
    ...     chatkit.start_watch(plan, "canary", tokens={"lab": lab.token}).close()
    >>> seen = chatkit.watching("canary")
    >>> [death.death.cause for death in seen.deaths]
    []
    """
    path = Path(folder)
    if not (path / journal.NAME).exists():
        raise InvalidInput(
            "nobody watched into this folder",
            expected=f"a folder with {journal.NAME}",
            where=str(path),
            remedy="chatkit watch TARGETS.toml --out DIR",
        )
    rows.arrow()
    found = journal.read(path / journal.NAME)
    state, problems = found.state, [f"{n:,} × {NOTICES.get(what, what)}" for what, n in found.state.counts.items()]
    known: dict[str, Row] = {}
    for file in sorted((path / ROWS).glob("*.parquet")):
        try:
            known |= {row.connection: row for row in rows.read(file)}
        except (OSError, ValueError, KeyError) as error:
            problems.append(f"{file.name} cannot be read and was left out: {one_line(str(error), 120)}")
    known |= {row.connection: row for row in state.pending}
    known |= {row.connection: _so_far(row, state.at) for one in state.targets.values() for row in one.open.values()}
    ordered = sorted(known.values(), key=lambda row: row.opened_at or row.ended_at or 0.0)
    return Watched(path, state, ordered, tuple(problems))


def _so_far(row: Row, now: float) -> Row:
    from msgspec.structs import replace

    return replace(row, lifetime_s=max(row.lifetime_s, now - row.opened_at)) if row.opened_at is not None else row
