"""Rows as text, pandas and Arrow."""

from __future__ import annotations

import builtins
import sys

import polars as pl
import pyarrow as pa
import pytest

from chatkit import table
from chatkit.errors import MissingDependency
from chatkit.saving import saving
from tests.builders import incident_trace


def test_columns_stand_below_each_other() -> None:
    """Words to the left, numbers to the right, no blanks at the end."""
    assert table.aligned(("what", "n"), [("a", "1,000"), ("longer", "7")], left=1) == [
        "what        n",
        "a       1,000",
        "longer      7",
    ]
    assert table.aligned(("what", "n"), [], left=2) == ["what  n"]


def test_handed_over() -> None:
    """The same columns."""
    columns = {"a": [1, 2], "b": ["x", None]}
    assert table.to_pandas("a table", columns)["a"].tolist() == [1, 2]
    assert table.to_arrow("a table", columns).to_pydict() == columns


@pytest.mark.parametrize(("package", "hand_over"), [("pandas", table.to_pandas), ("pyarrow", table.to_arrow)])
def test_a_missing_package_is_an_instruction(monkeypatch, package: str, hand_over) -> None:
    """What needs it, and which extra to install."""
    real = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name == package:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependency, match=rf"a table of bytes needs the package '{package}'"):
        hand_over("a table of bytes", {"a": [1]})


TRAFFIC = incident_trace().traffic()
TABLES = {"trace": incident_trace(), "traffic": TRAFFIC, "saving": saving(TRAFFIC, TRAFFIC)}


@pytest.mark.parametrize("name", TABLES)
def test_whoever_speaks_arrow_reads_it(name: str) -> None:
    """polars, pyarrow and pandas have the same columns and values; a consumer needs no method of ours."""
    value = TABLES[name]
    expected = value.to_arrow().to_pylist()
    assert len(expected) > 1
    assert value.to_polars().to_dicts() == pl.DataFrame(value).to_dicts() == expected
    assert pa.table(value).to_pylist() == expected
    assert list(value.to_pandas().columns) == list(expected[0])


def test_numbers_are_not_copied() -> None:
    """A column of a trace is the column of its table."""
    trace = incident_trace()
    chunk = trace.to_arrow()["at"].chunk(0)
    assert chunk.buffers()[1].address == trace.at.ctypes.data


def test_polars_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how to get it."""
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingDependency, match="pip install polars"):
        incident_trace().to_polars()


def test_a_table_says_how_it_becomes_one() -> None:
    """The base has no columns of its own."""
    with pytest.raises(NotImplementedError):
        table.Tabular().to_arrow()
