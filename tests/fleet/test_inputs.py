"""Files, folders, patterns and URLs."""

from __future__ import annotations

import fsspec
import pytest

from chatkit.errors import InvalidInput
from chatkit.fleet.inputs import Input, at_hand, expand, shares


def test_each_file_once(tmp_path) -> None:
    """A folder to its leaves without what is hidden; a pattern; and what is not there is told."""
    (tmp_path / "a").mkdir()
    for name in ("a/one.jsonl", "a/two.parquet", ".hidden", "three.log"):
        (tmp_path / name).write_bytes(b"PAR1..." if name.endswith("parquet") else b"x")
    found, failed = expand(
        [str(tmp_path), str(tmp_path / "*.log"), str(tmp_path / "nowhere"), f"file://{tmp_path}/three.log"]
    )
    names = [one.name.removeprefix(str(tmp_path) + "/") for one in found]
    assert names[:3] == ["a/one.jsonl", "a/two.parquet", "three.log"]
    assert [one.table for one in found][:3] == [False, True, False]
    assert [one.name for one in failed] == [str(tmp_path / "nowhere")]
    assert "No such file" in failed[0].why


def test_a_url_by_fsspec() -> None:
    """Listed, sniffed, and brought here while somebody reads it."""
    system = fsspec.filesystem("memory")
    for name in ("/fleet-in/a.jsonl", "/fleet-in/b/c.parquet"):
        system.pipe_file(name, b"PAR1" if name.endswith("parquet") else b"hello")
    found, failed = expand(["memory://fleet-in", "memory://fleet-nowhere/x"])
    assert [(one.table, one.size) for one in found] == [(False, 5), (True, 4)]
    assert len(failed) == 1
    with at_hand(found[0]) as path:
        assert path.read_bytes() == b"hello"
    assert not path.exists()
    system.rm("/fleet-in", recursive=True)


def test_an_unknown_scheme() -> None:
    """Is an error of the caller's, with the scheme."""
    with pytest.raises(InvalidInput, match="scheme"):
        expand(["gopher9://x/y"])


def test_a_token_in_a_url_is_not_shown() -> None:
    """Messages and rows have the redacted name."""
    assert "s3cr3t" not in Input(name="https://h/x?token=s3cr3t-value", size=0, table=False).shown


def test_shares() -> None:
    """Nothing twice, nothing lost; tables and recordings apart; big files alone; work for everybody."""
    files = [Input(name=f"t{n}", size=(200 << 20) if n == 3 else 1000, table=True) for n in range(40)]
    files += [Input(name=f"r{n}", size=1000, table=False) for n in range(10)]
    found = shares(files, 2)
    assert sorted(one.name for share in found for one in share) == sorted(one.name for one in files)
    assert all(len({one.table for one in share}) == 1 for share in found)
    assert [one for one in found if any(it.name == "t3" for it in one)] == [[files[3]]]
    assert len(found) >= 8
