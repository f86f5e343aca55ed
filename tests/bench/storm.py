"""What a policy does to a host that comes back: 1,000 clients that lose their connections at the same moment.

Figures are the median over the seeds, with the least and the greatest behind it; all of them are drawn, none timed, so
that the table is the same on every machine. Recovery is that of clients who came back; who gave up has none.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from chatkit.policy.storm import Storm, simulate
from tests.bench.results import Measure, measured, show

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


def rows() -> list[Measure]:
    """The peak of attempts that a host which is back must bear, against the incident's policy; every figure is printed."""
    found = []
    for outage in OUTAGES:
        storms = {
            policy: [simulate(outage, CLIENTS, policy=policy, seed=seed) for seed in SEEDS] for policy in POLICIES
        }
        show_storms(outage, storms)
        peaks = {
            policy: [storm.peak_after_s for storm in storms[policy]] for policy in ("default", "textbook-no-jitter")
        }
        ratios = [ours / max(1, theirs) for ours, theirs in zip(*peaks.values(), strict=True)]
        name = f"attempts in the worst second after an outage of {outage:g} s, {CLIENTS:,} clients"
        found.append(measured(name, ratios, against="doubling delays without jitter", most=1))
    return found


def show_storms(outage: float, storms: dict[str, list[Storm]]) -> None:
    """Prints all figures of one outage."""
    print(f"{CLIENTS:,} clients, host down for {outage:g} s, median [least–most] of {len(SEEDS)} seeds")
    table = [["policy", *COLUMNS]]
    for policy, some in storms.items():
        table.append([policy, *(spread([figure(one) for one in some]) for figure in COLUMNS.values())])
    widths = [max(len(line[n]) for line in table) for n in range(len(table[0]))]
    for line in table:
        print("  " + "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def main() -> None:
    """Prints one table per outage, then the measures."""
    show(rows())


if __name__ == "__main__":
    main()
