"""How each connection of a table of events began and ended, as one SQL statement; pure: columns in, SQL out.

The rules are those of :mod:`chatkit.ending`, over columns. Each kind of event becomes a small number, and what has to
be kept of the first of its kind is packed into one integer with its time, so that a million connections are told by
eight aggregates over integers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache

from chatkit.diagnosis.case import Case
from chatkit.diagnosis.engine import rank
from chatkit.diagnosis.observation import Observation
from chatkit.fleet.rows import COHORTS, HOWS, SIDES, STATES

NEEDED = ("connection", "type", "time")
"""Columns without which a table is none of events."""
ENDED_BY = ("code", "by", "how")
"""Columns that tell an ending; ``text`` tells the same where they are missing."""

_ACTIVE = (
    "FrameReceived", "FrameSent", "PingSent", "PingReceived", "PongSent", "PongReceived",
    "OpaqueSent", "OpaqueReceived",
)  # fmt: skip
_KINDS = {
    "Opened": 2,
    "UpgradeAnswered": 3,
    "CloseSent": 8,
    "CloseReceived": 9,
    "TransportEnded": 10,
    "AttemptFailed": 11,
    "EndReported": 12,
}
"""Numbers of the kinds that are told apart; from 8 on they end a connection, at one moment in this order."""
WORDS = {
    "state": f"ENUM{STATES}",
    "closed_by": f"ENUM{SIDES}",
    "transport_how": f"ENUM{HOWS}",
    "transport_by": f"ENUM{SIDES}",
}
"""Types of the columns that hold one of a few words: a byte each, where a text would take sixteen."""
_STAGES = ("dns", "tcp", "tls", "upgrade", "established")
_CODE = r"^(?:sent close|received close|upgrade answered|ended|ended by client|ended by server) (\d{3,4})"
_BY = r"^(?:transport ended: [a-zA-Z -]+|ended) by (client|server)"
_HOW = r"^transport ended: (FIN|RST|TCP time-out|closed)"
_STAGE = r"^failed at (\w+)"
"""Parts of ``str(event)``."""
_MOST = 2**49
"""Microseconds after the first event, 17 years: a time and a close code share 63 bits."""


def query(columns: Collection[str]) -> str:
    """A statement that makes the rows of ``chatkit.fleet.rows.COLUMNS`` of a Parquet table of events.

    Args:
        columns: names of those that the table has, ``NEEDED`` among them.

    Its parameters: ``file``, ``source`` (text for the rows), ``base`` and ``last`` (µs since 1970: of the table's first
    and last event), and one for each of ``COHORTS``: what is known of the whole table, or null.
    """
    have = set(columns)
    code, side, how = _of_columns() if have.issuperset(ENDED_BY) else _of_text() if "text" in have else _not_told()
    cohorts = "".join(f", {name}" for name in COHORTS if name in have)
    grouped = "".join(f", min({name}) AS {name}" for name in COHORTS if name in have)
    told = ", ".join(
        f"coalesce(${name}, {f'left({name}, 200)' if name in have else 'NULL'}) AS {name}" for name in COHORTS
    )
    return f"""
WITH event AS (
  SELECT connection, ({_switch("type", {**dict.fromkeys(_ACTIVE, 1), **_KINDS})})::UTINYINT AS k,
    least(greatest(epoch_us(time) - $base, 0), {_MOST - 1}) AS us,
    {code} AS code, ({side} + 4 * {how})::UTINYINT AS told{cohorts}
  FROM read_parquet($file)
), packed AS (
  SELECT connection,
    max(CASE WHEN k = 1 THEN us END) AS active,
    min(CASE WHEN k = 2 THEN us END) AS opened,
    min(CASE WHEN k >= 8 THEN us * 16 + k END) AS first,
    min(CASE WHEN k IN (8, 9)
      THEN us * 16384 + CASE WHEN code BETWEEN 0 AND 8191 THEN code ELSE 1005 END * 2 + k - 8 END) AS closed,
    min(CASE WHEN k = 10 THEN told WHEN k = 11 THEN 64 + told END) AS gone,
    min(CASE WHEN k IN (3, 11) THEN code END) AS status,
    min(CASE WHEN k = 12 THEN coalesce(code, 0) * 4 + told % 4 END) AS reported{grouped}
  FROM event WHERE connection IS NOT NULL GROUP BY connection
), plain AS (
  SELECT *, first // 16 AS ended, first % 16 AS k,
    status IS NOT NULL AND status <> 101 AS refused,
    gone >= 64 AS failed, CASE WHEN gone >= 64 THEN (gone - 64) // 4 END AS stage,
    CASE WHEN gone < 64 THEN gone % 4 END AS side, CASE WHEN gone < 64 THEN gone // 4 END AS how
  FROM packed
), lived AS (
  SELECT *, coalesce(
    (opened IS NOT NULL AND NOT (coalesce(failed, false) AND stage = {1 + _STAGES.index("upgrade")}))
    OR ((active IS NOT NULL OR (reported IS NOT NULL AND NOT refused)) AND NOT coalesce(failed, false)), false) AS lived
  FROM plain
)
SELECT $source AS source, connection, NULL::VARCHAR AS target,
  {_time("opened")} AS opened_at, {_time("ended")} AS ended_at,
  CASE WHEN lived THEN greatest(coalesce(ended, $last - $base) - opened, 0) / 1e6 END AS lifetime_s,
  lived AND ended IS NOT NULL AS ended,
  CASE WHEN lived THEN greatest(ended - greatest(coalesce(active, opened), coalesce(opened, active)), 0) / 1e6 END
    AS idle_before_end_s,
  CASE WHEN lived AND ended IS NULL THEN {_word("open", "state")} WHEN lived THEN {_word("ended", "state")}
    WHEN refused OR ended IS NOT NULL THEN {_word("refused", "state")} ELSE {_word("unknown", "state")} END AS state,
  status::INTEGER AS http_status,
  CASE WHEN NOT lived OR ended IS NULL THEN NULL WHEN closed IS NOT NULL THEN closed // 2 % 8192
    WHEN reported >= 4 THEN reported // 4 ELSE 1006 END::INTEGER AS close_code,
  {
        _name(
            "CASE WHEN closed IS NOT NULL THEN closed % 2 + 1 WHEN k = 12 AND reported % 4 > 0 THEN reported % 4"
            " WHEN side > 0 THEN side ELSE reported % 4 END",
            SIDES,
            "closed_by",
        )
    } AS closed_by,
  CASE WHEN how IS NOT NULL THEN {
        _name("how", HOWS, "transport_how")
    } WHEN ended IS NOT NULL AND lived AND reported IS NULL THEN {_word("none", "transport_how")}
    END AS transport_how,
  {_name("side", SIDES, "transport_by")} AS transport_by,
  NULL::VARCHAR AS who,
  CASE WHEN NOT lived AND status IS NULL THEN {_switch_number("stage", [cause for cause, _ in _stages()])} END AS cause,
  CASE WHEN NOT lived AND status IS NULL THEN {_switch_number("stage", [chance for _, chance in _stages()])} END
    ::DOUBLE AS probability,
  {told}
FROM lived"""


def _time(name: str) -> str:
    return f"make_timestamptz($base + {name})"


def _of_columns() -> tuple[str, str, str]:
    how = {name: n for n, name in enumerate(HOWS, 1)} | {name: n for n, name in enumerate(_STAGES, 1)}
    return "code", _switch('"by"', {"client": 1, "server": 2}), _switch("how", how)


def _of_text() -> tuple[str, str, str]:
    """The same out of ``str(event)``, where only that was kept."""
    ways = {"FIN": 1, "RST": 2, "TCP time-out": 3, "closed": 4}
    sides, stages = {"client": 1, "server": 2}, {name: n for n, name in enumerate(_STAGES, 1)}
    number = (
        "CASE WHEN type IN ('CloseSent', 'CloseReceived', 'EndReported', 'UpgradeAnswered')"
        f" THEN try_cast({_part(_CODE)} AS INTEGER) END"
    )
    side = f"CASE WHEN type IN ('TransportEnded', 'EndReported') THEN {_switch(_part(_BY), sides)} ELSE 0 END"
    how = (
        f"CASE type WHEN 'TransportEnded' THEN {_switch(_part(_HOW), ways)}"
        f" WHEN 'AttemptFailed' THEN {_switch(_part(_STAGE), stages)} ELSE 0 END"
    )
    return number, side, how


def _part(pattern: str) -> str:
    return f"regexp_extract(text, '{pattern}', 1)"


def _not_told() -> tuple[str, str, str]:
    return "NULL::INTEGER", "0", "0"


def _switch(value: str, cases: Mapping[str, int]) -> str:
    return f"CASE {value} " + " ".join(f"WHEN '{case}' THEN {n}" for case, n in cases.items()) + " ELSE 0 END"


def _switch_number(value: str, results: list[str] | list[float]) -> str:
    """The result at a number from 1 on."""
    told = [f"'{one}'" if isinstance(one, str) else repr(one) for one in results]
    return f"CASE {value} " + " ".join(f"WHEN {n} THEN {one}" for n, one in enumerate(told, 1)) + " END"


def _word(word: str, column: str) -> str:
    return f"'{word}'::{WORDS[column]}"


def _name(value: str, names: tuple[str, ...], column: str) -> str:
    """The word at a number from 1 on."""
    told = " ".join(f"WHEN {n} THEN {_word(name, column)}" for n, name in enumerate(names, 1))
    return f"CASE ({value}) {told} END"


@cache
def _stages() -> list[tuple[str, float]]:
    """By stage: the cause that an attempt's failure there has without more evidence."""
    best = [
        rank(Case(kind="attempt", title="", observations=(Observation(of="stage", value=stage, finding=""),)))[0]
        for stage in _STAGES
    ]
    return [(one.id, round(one.probability, 3)) for one in best]
