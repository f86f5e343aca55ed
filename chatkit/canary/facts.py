"""What a canary writes into its journal: small facts, in batches, one line each; and the line that says all so far.

    {"schema": "chatkit.watch/1", "tool": "chatkit"}
    {"state": {…}}                      everything until then (see :mod:`chatkit.canary.state`)
    {"at": 1795449725.25, "facts": [{"type": "Opened", …}, …]}

A batch is written as a whole or not at all: a process that is killed leaves a torn last line, and loses that batch.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from chatkit.canary.rows import Row

SCHEMA = "chatkit.watch/1"


class Fact(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag=True):
    """Something that happened."""


class RunBegan(Fact, frozen=True, kw_only=True):
    """The process started; what the one before left open ended with it."""

    targets: dict[str, str]
    """Names, and the redacted URLs."""


class LifeOpened(Fact, frozen=True, kw_only=True):
    """A connection opened."""

    target: str
    row: Row
    """As far as it is known."""


class LifeEnded(Fact, frozen=True, kw_only=True):
    """A connection ended, or an attempt failed."""

    target: str
    row: Row
    words: str
    """How, in a few words."""
    at: float
    """Unix time, seconds."""
    file: str | None = None
    """The recording of a death, relative to the folder; it is written at once and again after the aftermath."""


class Diagnosed(Fact, frozen=True, kw_only=True):
    """What a recording says of a death."""

    target: str
    connection: str
    verdict: str
    """``skipped`` where the bound on diagnoses, or damage, kept it from being asked."""
    headline: str = ""
    cause: str | None = None
    probability: float | None = None


class Answered(Fact, frozen=True, kw_only=True):
    """Round trips of application pings: pairs of Unix time and seconds."""

    target: str
    samples: list[tuple[float, float]]


class Healthy(Fact, frozen=True, kw_only=True):
    """A look at the health endpoint."""

    target: str
    at: float
    healthy: bool
    seconds: float


class Counted(Fact, frozen=True, kw_only=True):
    """Something was left out or went wrong, so many times."""

    what: str
    """A key of :data:`chatkit.canary.state.NOTICES`."""
    n: int = 1


class RowsWritten(Fact, frozen=True, kw_only=True):
    """These rows stand in a file from now on."""

    file: str
    connections: list[str]


AnyFact = RunBegan | LifeOpened | LifeEnded | Diagnosed | Answered | Healthy | Counted | RowsWritten


class Batch(Struct, frozen=True, kw_only=True):
    """What happened since the batch before."""

    at: float
    """Unix time of the batch, seconds."""
    facts: list[AnyFact] = []


class Line(Struct, frozen=True, kw_only=True):
    """Any line of a journal after the first."""

    at: float | None = None
    facts: list[AnyFact] = []
    state: msgspec.Raw = msgspec.Raw()


_lines: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


def decode(line: bytes) -> Line:
    """A line of a journal. Raises ``msgspec.DecodeError`` (or ``ValidationError``, which is one) or ``ValueError``."""
    return _lines.decode(line)


def encode(value: Any) -> bytes:
    """A line of a journal, with its end."""
    return msgspec.json.encode(value) + b"\n"
