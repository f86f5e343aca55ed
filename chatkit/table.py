"""Rows of values as aligned text, as pandas, as Arrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chatkit.errors import MissingDependency


class Tabular:
    """What hands itself over as a table: whoever speaks Arrow's PyCapsule interface reads it without a detour.

    ``polars.DataFrame(value)``, ``pyarrow.table(value)`` and ``SELECT … FROM value`` in DuckDB do.
    """

    __slots__ = ()

    def to_arrow(self) -> Any:
        """A ``pyarrow.Table``."""
        raise NotImplementedError

    def to_polars(self) -> Any:
        """A ``polars.DataFrame`` with the columns of :meth:`to_arrow`, whose memory it shares where it can.

        Raises:
            MissingDependency: polars or pyarrow is not installed.
        """
        try:
            import polars as pl
        except ImportError:
            raise MissingDependency("a polars table", package="polars", extra="polars") from None
        return pl.DataFrame(self.to_arrow())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.to_arrow().__arrow_c_stream__(requested_schema)


def aligned(head: Sequence[str], lines: Sequence[Sequence[str]], left: int) -> list[str]:
    """A text table; the first ``left`` columns are words, the others numbers."""
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if n < left else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (head, *lines)
    ]


def to_pandas(what: str, table: Mapping[str, list[Any]]) -> Any:
    """A ``pandas.DataFrame`` of these columns; ``what`` names it where pandas is missing.

    Raises:
        MissingDependency: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise MissingDependency(what, package="pandas", extra="tables") from None
    return pd.DataFrame(table)


def to_arrow(what: str, table: Mapping[str, list[Any]]) -> Any:
    """A ``pyarrow.Table`` of these columns; ``what`` names it where pyarrow is missing.

    Raises:
        MissingDependency: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError:
        raise MissingDependency(what, package="pyarrow", extra="tables") from None
    return pa.table(dict(table))
