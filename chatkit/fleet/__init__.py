"""Many connections, many recordings: one row for each connection, and what tells cohorts, moments and causes apart."""

from __future__ import annotations

from chatkit.fleet.result import Fleet
from chatkit.fleet.run import analyse_fleet

__all__ = ["Fleet", "analyse_fleet"]
