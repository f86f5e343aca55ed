"""Who does the work: this process with local workers, or a cluster of ``dask.distributed`` that is there already.

Both make the same pieces of the same functions and keep the rows where they were made; only counts move. On a cluster a
piece that was lost with its worker is made again by the scheduler, and it counts once: by its key.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from chatkit.errors import ChatkitError, ConnectFailed, MissingDependency
from chatkit.fleet import counting, shard
from chatkit.fleet.inputs import Failure, Input
from chatkit.fleet.shard import Made, Reading, Recorded

if TYPE_CHECKING:
    from chatkit.fleet.counting import Found, Victims
    from chatkit.fleet.peaks import Peak
    from chatkit.fleet.tally import Tally
    from chatkit.fleet.together import Moment

PATIENCE = 15.0
"""Seconds in which a scheduler must answer."""
FEW = 4
"""Recordings that are read in this process: a worker takes a second to start."""
ONE = 1
"""Thread of DuckDB on a worker of a cluster, which has a thread for each of its tasks already."""
_TABLE = "shard"


class Crew(Protocol):
    """What an analysis needs done; a handle stands for the rows of one piece of work."""

    workers: int

    def make(self, shares: Sequence[list[Input]], reading: Reading) -> Iterator[tuple[Any, Made]]:
        """Reads files; the handle is ``None`` where nothing came of them."""
        ...

    def tallies(self, handles: Sequence[Any], by: Sequence[str]) -> Iterator[Tally]:
        """Counts of each piece."""
        ...

    def looks(
        self, handles: Sequence[Any], by: str, moments: Sequence[Moment], peaks: Sequence[Peak]
    ) -> Iterator[list[Found]]:
        """What connections died of."""
        ...

    def victims(self, handles: Sequence[Any], by: Sequence[str], moments: Sequence[Moment]) -> Iterator[list[Victims]]:
        """Whom each moment took."""
        ...

    def export(
        self, handles: Sequence[Any], names: Sequence[Sequence[str]], moments: Sequence[Moment], peaks: Sequence[Peak]
    ) -> Iterator[bytes]:
        """Rows with their causes, a Parquet file for each piece."""
        ...

    def close(self) -> None:
        """Lets everything go; may be called twice."""
        ...


class Local:
    """This machine: DuckDB in this process for tables, worker processes for recordings.

    Args:
        folder: where DuckDB puts aside what does not fit into its memory.
        threads: of DuckDB, and worker processes; ``None``: as many as there are processors.
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        self.workers = threads or os.cpu_count() or 1
        # A file, for DuckDB packs the tables of a file and lets them go from memory.
        self._base = shard.connect(str(folder / "rows.duckdb"), threads=self.workers)
        # Not by a name in the statement: a folder may be called anything.
        self._base.execute("SET temp_directory = '" + str(folder).replace("'", "''") + "'")

    def make(self, shares: Sequence[list[Input]], reading: Reading) -> Iterator[tuple[Any, Made]]:
        """As :class:`Crew` has it."""
        tables = [(n, share) for n, share in enumerate(shares) if share[0].table]
        others = [(n, share) for n, share in enumerate(shares) if not share[0].table]
        for n, share in tables:
            yield f"shard_{n}", shard.make(self._base, f"shard_{n}", share, reading)
        for (n, share), found in zip(others, self._recorded([share for _, share in others], reading), strict=True):
            yield f"shard_{n}", shard.fill(self._base, f"shard_{n}", share, found)

    def _recorded(self, shares: list[list[Input]], reading: Reading) -> Iterator[list[Recorded]]:
        done = 0
        if sum(map(len, shares)) > FEW and self.workers > 1:
            try:
                # A fork would take DuckDB's threads along, half alive.
                with ProcessPoolExecutor(self.workers, mp_context=get_context("spawn")) as pool:
                    for found in pool.map(_recorded, shares, [reading] * len(shares)):
                        done += 1
                        yield found
            except BrokenProcessPool:
                pass  # a script without a main guard cannot have workers: what is left is read here
        for share in shares[done:]:
            yield _recorded(share, reading)

    def tallies(self, handles: Sequence[Any], by: Sequence[str]) -> Iterator[Tally]:
        """As :class:`Crew` has it."""
        return (counting.tally(self._base, handle, by) for handle in handles)

    def looks(
        self, handles: Sequence[Any], by: str, moments: Sequence[Moment], peaks: Sequence[Peak]
    ) -> Iterator[list[Found]]:
        """As :class:`Crew` has it."""
        return (counting.looks(self._base, handle, by, moments, peaks) for handle in handles)

    def victims(self, handles: Sequence[Any], by: Sequence[str], moments: Sequence[Moment]) -> Iterator[list[Victims]]:
        """As :class:`Crew` has it."""
        return (counting.victims(self._base, handle, by, moments) for handle in handles)

    def export(
        self, handles: Sequence[Any], names: Sequence[Sequence[str]], moments: Sequence[Moment], peaks: Sequence[Peak]
    ) -> Iterator[bytes]:
        """As :class:`Crew` has it."""
        for handle, mine in zip(handles, names, strict=True):
            yield counting.export(self._base, handle, mine, moments, peaks)

    def close(self) -> None:
        """As :class:`Crew` has it."""
        self._base.close()


def _recorded(share: list[Input], reading: Reading) -> list[Recorded]:
    return [shard.recorded(one, reading) for one in share]


class Cluster:
    """An existing cluster, by the address of its scheduler; its workers need chatkit, and the files at the same names.

    Raises:
        ConnectFailed: no scheduler answers there, or it has no workers.
        MissingDependency: distributed is not installed.
    """

    def __init__(self, address: str) -> None:
        try:
            import distributed
        except ImportError:
            raise MissingDependency("work on a cluster", package="distributed", extra="fleet") from None
        try:
            self._client: Any = _untyped(distributed).Client(address, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise ConnectFailed(
                f"no scheduler answers: {error}", target=address, stage="tcp", remedy="dask scheduler"
            ) from None
        self.workers = sum(self._client.nthreads().values())
        if not self.workers:
            self.close()
            raise ConnectFailed(
                "the scheduler has no workers", target=address, stage="established", remedy=f"dask worker {address}"
            )

    def make(self, shares: Sequence[list[Input]], reading: Reading) -> Iterator[tuple[Any, Made]]:
        """As :class:`Crew` has it."""
        import distributed

        pieces = [self._client.submit(_make, share, reading, pure=False) for share in shares]
        told = {self._client.submit(itemgetter(1), piece, pure=False): n for n, piece in enumerate(pieces)}
        for future in _untyped(distributed).as_completed(list(told), loop=self._client.loop):
            n = told[future]
            try:
                yield pieces[n], future.result()
            except distributed.KilledWorker:
                names = tuple(one.shown for one in shares[n])
                failed = tuple(Failure(name=name, why="every worker that read it died") for name in names)
                yield None, Made(names=names, read=0, rows=0, events=0, failed=failed)
            except ModuleNotFoundError as error:
                raise ChatkitError(
                    f"the workers lack the package {error.name!r}", remedy="install chatkit[fleet] on each of them"
                ) from None

    def tallies(self, handles: Sequence[Any], by: Sequence[str]) -> Iterator[Tally]:
        """As :class:`Crew` has it."""
        return self._each(counting.tally, handles, list(by))

    def looks(
        self, handles: Sequence[Any], by: str, moments: Sequence[Moment], peaks: Sequence[Peak]
    ) -> Iterator[list[Found]]:
        """As :class:`Crew` has it."""
        return self._each(counting.looks, handles, by, list(moments), list(peaks))

    def victims(self, handles: Sequence[Any], by: Sequence[str], moments: Sequence[Moment]) -> Iterator[list[Victims]]:
        """As :class:`Crew` has it."""
        return self._each(counting.victims, handles, list(by), list(moments))

    def export(
        self, handles: Sequence[Any], names: Sequence[Sequence[str]], moments: Sequence[Moment], peaks: Sequence[Peak]
    ) -> Iterator[bytes]:
        """As :class:`Crew` has it."""
        for handle, mine in zip(handles, names, strict=True):
            yield from self._each(counting.export, [handle], list(mine), list(moments), list(peaks))

    def _each(self, work: Callable[..., Any], handles: Sequence[Any], *arguments: Any) -> Iterator[Any]:
        futures = [self._client.submit(_on, work, handle, *arguments, pure=False) for handle in handles]
        for future in futures:
            yield future.result()

    def close(self) -> None:
        """As :class:`Crew` has it; the cluster stays."""
        self._client.close()


def _untyped(module: Any) -> Any:
    """A module whose functions have no annotations, for a type checker that wants some."""
    return module


def _make(inputs: list[Input], reading: Reading) -> tuple[Any, Made]:
    """On a worker: the rows as an Arrow table, which stays there."""
    base = shard.connect(threads=ONE)
    try:
        made = shard.make(base, _TABLE, inputs, reading)
        return base.sql(f"FROM {_TABLE}").to_arrow_table(), made
    finally:
        base.close()


def _on(work: Callable[..., Any], piece: tuple[Any, Made], *arguments: Any) -> Any:
    """On a worker: a look at rows that were made there, or come from another worker."""
    base = shard.connect(threads=ONE)
    try:
        base.register(_TABLE, piece[0])
        return work(base, _TABLE, *arguments)
    finally:
        base.close()


__all__ = ["Cluster", "Crew", "Local"]
