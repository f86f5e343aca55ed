"""What the analysis of a fleet costs: 10 M events of 1 M connections in Parquet → endings, survival, simultaneous deaths,
÷ one scan by DuckDB that sums every column the analysis reads; 100 M events ÷ ten times that; two workers ÷ one.

Each turn is a process of its own, and the contestants take turns. The time is that of the call, in a process that has
its libraries loaded; the memory is the peak of the process, interpreter and libraries included. ``python -m tests.bench.fleet --big`` adds the 100 M events.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.results import CannotRun, Measure, measured, show

ROUNDS = 5
CONNECTIONS = 1_000_000
EVENTS = 10
"""Of each connection."""
FILES = 8
"""Into which the same connections are cut for a cluster."""
TIMES = 10
"""Files of a million connections, for 100 M events."""
_NEEDED = 8 << 30
"""Bytes of disk that the 100 M events and their analysis may take."""
_MAKE = """
COPY (
  WITH life AS (
    SELECT i, hash(i * 7 + $seed) AS h, (hash(i + 31 * $seed) % 86400000000)::BIGINT AS born,
      (1e6 * -ln((hash(i + 77 * $seed) % 1000000 + 1) / 1000001.0) * CASE WHEN hash(i) % 10 < 3 THEN 400 ELSE 900 END)::BIGINT AS long
    FROM range($first, $last) r(i)
  ), step AS (SELECT *, unnest(range(10)) AS k FROM life)
  SELECT 'c' || i AS connection,
    CASE k WHEN 0 THEN 'AttemptStarted' WHEN 1 THEN 'Opened' WHEN 2 THEN 'Established'
      WHEN 9 THEN CASE WHEN h % 3 = 0 THEN 'CloseReceived' ELSE 'TransportEnded' END
      ELSE CASE WHEN k % 2 = 0 THEN 'FrameReceived' ELSE 'FrameSent' END END AS type,
    make_timestamp(1790000000000000 + born + CASE WHEN k < 3 THEN k * 10000 WHEN k = 9 THEN long ELSE long * k // 9 END)
      AS time,
    CASE WHEN k = 9 AND h % 3 = 0 THEN CASE WHEN h % 2 = 0 THEN 1001 ELSE 1011 END END::INTEGER AS code,
    CASE WHEN k = 9 AND h % 3 <> 0 THEN 'server' END AS by,
    CASE WHEN k = 9 AND h % 3 <> 0 THEN CASE WHEN h % 2 = 0 THEN 'rst' ELSE 'fin' END END AS how,
    CASE WHEN hash(i) % 10 < 3 THEN '2.4.1' ELSE '2.4.0' END AS version,
    CASE WHEN h % 7 < 3 THEN 'eu' ELSE 'us' END AS region
  FROM step ORDER BY time
) TO '{path}' (FORMAT parquet, COMPRESSION zstd)
"""
_SCAN = """
SELECT sum(strlen(connection)), sum(strlen(type)), sum(epoch_us(time)), sum(code), sum(strlen("by")), sum(strlen(how)),
  sum(strlen(version)), sum(strlen(region)) FROM read_parquet($files)
"""


def write(path: Path, first: int, last: int, seed: int) -> None:
    """Events of the connections from ``first`` to ``last``, in the order of time."""
    import duckdb

    base = duckdb.connect()
    base.execute(f"SET memory_limit = '1500MB'; SET temp_directory = '{path.parent}/sort'")
    base.execute(_MAKE.replace("{path}", str(path)), {"first": first, "last": last, "seed": seed})
    base.close()


def child(*arguments: str, threads: int | None = None) -> dict[str, Any]:
    """One turn in a process of its own: ``seconds``, ``peak`` (MiB) and what was counted."""
    work, *files = arguments
    warm = str(Path(files[0]).with_name("small.parquet"))
    command = [sys.executable, "-m", "tests.bench.fleet", "--child", str(threads or 0), work, warm, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _warm(file: str) -> None:
    """A small analysis: libraries are loaded when it is over."""
    import chatkit.fleet

    chatkit.fleet.analyse_fleet(file, threads=1)


def _child(threads: int, work: str, warm: str, files: list[str]) -> None:
    import duckdb

    import chatkit.fleet

    cluster: Any = None
    if work.startswith("cluster"):
        from distributed import LocalCluster

        workers = int(work.removeprefix("cluster"))
        cluster = LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None)
        client = cluster.get_client()
        client.run(_warm, warm)  # workers that are there already have their libraries
    _warm(warm)
    began = time.perf_counter()
    if work == "scan":
        base = duckdb.connect()
        counted = len(base.execute(_SCAN, {"files": files}).fetchall())
    else:
        address = cluster.scheduler_address if cluster is not None else None
        fleet = chatkit.fleet.analyse_fleet(*files, scheduler=address, threads=threads or None)
        counted = fleet.deaths
    seconds = time.perf_counter() - began
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
    print(json.dumps({"seconds": seconds, "peak": peak, "counted": counted}), flush=True)
    if cluster is not None:
        client.close()
        cluster.close()


def rows(big: bool = False) -> list[Measure]:
    """The measures; ``big``: with the 100 M events, which takes five minutes more."""
    try:
        import distributed  # noqa: F401
        import duckdb  # noqa: F401
    except ImportError as error:
        raise CannotRun(f"{error.name} is not installed: pip install 'chatkit[fleet]'") from None
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        if shutil.disk_usage(home).free < _NEEDED:
            raise CannotRun(f"less than {_NEEDED >> 30} GiB of disk are free")
        whole = home / "events.parquet"
        write(whole, 0, CONNECTIONS, 1)
        write(home / "small.parquet", 0, 1000, 1)
        parts = [home / f"part-{n}.parquet" for n in range(FILES)]
        for n, part in enumerate(parts):
            write(part, n * CONNECTIONS // FILES, (n + 1) * CONNECTIONS // FILES, 1)
        found = _one_file(str(whole)) + _cluster([str(part) for part in parts])
        if big:
            found += _big(home)
        return found


def _one_file(file: str) -> list[Measure]:
    scans, turns = [], []
    for _ in range(ROUNDS):
        scans.append(child("scan", file))
        turns.append(child("analyse", file))
    ratios = [turn["seconds"] / scan["seconds"] for turn, scan in zip(turns, scans, strict=True)]
    middle = statistics.median(turn["seconds"] for turn in turns)
    print(f"10 M events: scan {statistics.median(scan['seconds'] for scan in scans):.2f} s, analysis {middle:.2f} s")
    peaks = [turn["peak"] for turn in turns]
    return [
        measured("10 M events in one table: the analysis", ratios, against="one DuckDB scan of it", most=8),
        measured("10 M events in one table: peak memory", peaks, unit="MiB", most=600),
    ]


def _cluster(files: list[str]) -> list[Measure]:
    """Two worker processes of one thread each against one, both over TCP."""
    gains = []
    for _ in range(ROUNDS):
        one, two = child("cluster1", *files), child("cluster2", *files)
        assert one["counted"] == two["counted"]
        gains.append(one["seconds"] / two["seconds"])
        print(f"cluster, 10 M events in {FILES} tables: one worker {one['seconds']:.2f} s, two {two['seconds']:.2f} s")
    return [measured("two workers of a Dask cluster", gains, against="one worker, one thread", least=1.6)]


def _big(home: Path) -> list[Measure]:
    files = [str(home / f"day-{n}.parquet") for n in range(TIMES)]
    for n, file in enumerate(files):
        write(Path(file), n * CONNECTIONS, (n + 1) * CONNECTIONS, n + 2)
    small = [child("analyse", files[0]) for _ in range(3)]
    all_of = child("analyse", *files)
    per = [all_of["seconds"] / (TIMES * one["seconds"]) for one in small]
    print(f"100 M events: {all_of['seconds']:.1f} s, peak {all_of['peak']:.0f} MiB, {all_of['counted']:,} deaths")
    return [
        measured("100 M events in ten tables", per, against="ten times 10 M events", most=1.2),
        measured("100 M events: peak memory", [all_of["peak"]], unit="MiB"),
    ]


def main() -> None:
    """Prints the table."""
    if sys.argv[1:2] == ["--child"]:
        _child(int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5:])
        return
    show(rows(big="--big" in sys.argv))


if __name__ == "__main__":
    main()
