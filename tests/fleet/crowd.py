"""Connection rows of a made-up fleet: a bad version that appears in the middle, and a moment at which many die."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from chatkit.fleet.rows import Row

START = datetime(2026, 9, 21, 12, 0, tzinfo=UTC)
HOURS = 4.0
BAD, GOOD = "2.4.1", "2.4.0"
MOMENT = 3600.0
"""Seconds after the start: a server stops."""


def crowd(count: int = 4000, *, seed: int = 7, source: str = "edge") -> list[Row]:
    """Lives over :data:`HOURS`: those of :data:`BAD`, from the middle on, are four times as short."""
    chance = random.Random(seed)
    return [_row(chance, n, source) for n in range(count)]


def _row(chance: random.Random, n: int, source: str) -> Row:
    end = HOURS * 3600
    born = chance.uniform(0, end)
    version = BAD if born > end / 2 and chance.random() < 0.4 else GOOD
    told = {
        "source": source,
        "connection": f"c{n}",
        "target": "wss://chat.example/api/ws/chat/storyteller",
        "opened_at": START + timedelta(seconds=born),
        "who": "storyteller",
        "version": version,
        "region": chance.choice(["eu", "us"]),
    }
    life = chance.expovariate(1 / (500 if version == BAD else 2000))
    together = born < MOMENT < born + life and chance.random() < 0.5
    if together:
        life = MOMENT - born + chance.uniform(0, 0.4)
    if born + life > end:
        return Row(state="open", lifetime_s=end - born, **told)
    code, by = (1001, "server") if together else (1011, "server") if version == BAD else (1000, "client")
    if not together and version == GOOD and chance.random() < 0.5:
        code, by = 1006, "server"
    return Row(
        state="ended",
        ended=True,
        ended_at=START + timedelta(seconds=born + life),
        lifetime_s=life,
        idle_before_end_s=min(life, chance.expovariate(1 / 20)),
        close_code=code,
        closed_by=by,
        transport_how="rst" if code == 1006 else "fin",
        transport_by=by,
        **told,
    )
