"""What a policy does to a host that comes back: 1,000 clients that lose their connections at the same moment.

Figures are the median over the seeds, with the least and the greatest behind it; all of them are drawn, none timed, so
that the table is the same on every machine. Recovery is that of clients who came back; who gave up has none.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from chatkit.policy.storm import Storm, simulate

CLIENTS = 1_000
SEEDS = range(5)
OUTAGES = (20.0, 45.0, 300.0)
POLICIES = ("default", "textbook", "textbook-no-jitter", "incident")
COLUMNS: dict[str, Callable[[Storm], float | None]] = {
    "attempts": lambda storm: len(storm.attempts),
    "peak/s": lambda storm: storm.peak_per_s,
    "peak/s after": lambda storm: storm.peak_after_s,
    "peak/100 ms after": lambda storm: storm.peak_after_100ms,
    "gave up %": lambda storm: 100 * storm.gave_up,
    "median s": lambda storm: storm.recovery_median,
    "p90 s": lambda storm: storm.recovery_p90,
    "last s": lambda storm: storm.recovery_max,
    "probes": lambda storm: storm.probes,
}


def spread(values: Sequence[float | None]) -> str:
    """Median and range; a dash where nobody came back."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return "–"
    low, middle, high = (f"{value:,.4g}" for value in (known[0], statistics.median(known), known[-1]))
    return middle if low == high else f"{middle} [{low}–{high}]"


def rows(outage: float) -> list[list[str]]:
    """One row per policy."""
    table = []
    for policy in POLICIES:
        storms = [simulate(outage, CLIENTS, policy=policy, seed=seed) for seed in SEEDS]
        table.append([policy, *(spread([figure(storm) for storm in storms]) for figure in COLUMNS.values())])
    return table


def main() -> None:
    """Prints one table per outage."""
    for outage in OUTAGES:
        print(f"{CLIENTS:,} clients, host down for {outage:g} s, median [least–most] of {len(SEEDS)} seeds")
        table = [["policy", *COLUMNS], *rows(outage)]
        widths = [max(len(line[n]) for line in table) for n in range(len(table[0]))]
        for line in table:
            print("  " + "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
