"""Rows as text, pandas and Arrow."""

from __future__ import annotations

import builtins

import pytest

from chatkit import table
from chatkit.errors import MissingDependency


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
