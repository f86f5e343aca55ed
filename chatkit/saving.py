"""Two ways to have the same conversation: bytes per minute side by side; pure."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from chatkit import display, table
from chatkit.plain import one_line
from chatkit.traffic import HIDDEN, MOST, Traffic, add


class Saved(Struct, frozen=True, kw_only=True):
    """One line of a comparison."""

    what: str
    a: float | None
    """Bytes per minute; ``None`` where they are not visible or no time passed."""
    b: float | None

    @property
    def saved(self) -> float | None:
        """Per cent of ``a`` that ``b`` saves; negative when it costs more."""
        return None if not self.a or self.b is None else 100 * (1 - self.b / self.a)


class Saving(Struct, table.Tabular, frozen=True, kw_only=True):
    """Two ways to have the same conversation, side by side."""

    names: tuple[str, str]
    lines: tuple[Saved, ...]
    """By direction and message type, by HTTP purpose, and ``everything`` last."""

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame``: what, a, b (bytes per minute), saved (per cent). Raises as :class:`Traffic`'s."""
        return table.to_pandas("a table of savings", self._table())

    def to_arrow(self) -> Any:
        """A ``pyarrow.Table`` with the same columns."""
        return table.to_arrow("an Arrow table of savings", self._table())

    def _table(self) -> dict[str, list[Any]]:
        return {name: [getattr(line, name) for line in self.lines] for name in ("what", "a", "b", "saved")}

    @property
    def head(self) -> tuple[str, ...]:
        """Titles of the columns."""
        return ("bytes per minute", *self.names, "saved")

    def _repr_html_(self) -> str | None:
        render = display.find("saving", "html")
        return None if render is None else render(self)

    def __str__(self) -> str:
        return "\n".join(table.aligned(self.head, [saved_cells(line) for line in self.lines[-MOST:]], left=1))

    __repr__ = __str__


def saved_cells(line: Saved) -> tuple[str, ...]:
    """A line's cells under :attr:`Saving.head`."""
    saved = f"{round(line.saved)} %" if line.saved is not None else ""
    return (one_line(line.what, 80), *(HIDDEN if rate is None else f"{rate:,.0f}" for rate in (line.a, line.b)), saved)


def saving(a: Traffic, b: Traffic, names: tuple[str, str] = ("before", "after")) -> Saving:
    """What ``b`` saves against ``a``, in bytes on the wire per minute of each trace; HTTP counts as well."""
    one, other = _rates(a), _rates(b)
    lines = [Saved(what=what, a=one.get(what, 0.0), b=other.get(what, 0.0)) for what in dict.fromkeys([*one, *other])]
    last = next(line for line in lines if line.what == "everything")
    return Saving(names=names, lines=(*(line for line in lines if line is not last), last))


def _rates(traffic: Traffic) -> dict[str, float | None]:
    bytes_: dict[str, int | None] = {}
    for row in traffic.rows:
        what = f"{row.direction} {row.type}"
        bytes_[what] = add(bytes_.get(what, 0), row.wire)
    for one in traffic.http:
        bytes_[f"HTTP {one.purpose}"] = one.sent + one.received
    everything: int | None = 0
    for count in bytes_.values():
        everything = add(everything, count)
    bytes_["everything"] = everything
    minutes = traffic.seconds / 60
    return {what: n / minutes if minutes and n is not None else None for what, n in bytes_.items()}
