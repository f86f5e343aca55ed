"""``chatkit fleet analyse`` as a process."""

from __future__ import annotations

import json

import pytest

from chatkit.fleet import rows
from tests.fleet.crowd import BAD, crowd


@pytest.fixture
def folder(tmp_path):
    """Three tables and one that is broken."""
    lives = crowd(1500)
    (tmp_path / "in").mkdir()
    for n in range(3):
        rows.write(lives[500 * n : 500 * n + 500], tmp_path / "in" / f"{n}.parquet")
    (tmp_path / "in" / "broken.parquet").write_bytes(b"PAR1 broken")
    return tmp_path / "in"


def test_text_and_a_broken_file(chatkit, folder) -> None:
    """The sentence on stdout; the file on stderr, and exit code 2."""
    done = chatkit("fleet", "analyse", str(folder), "--by", "version,region")
    assert done.returncode == 2
    assert done.stdout.startswith(f"version {BAD} drops ")
    assert "broken.parquet" in done.stderr
    assert "1 of 4 files could not be read" in done.stderr


def test_one_document_and_a_folder(chatkit, folder, tmp_path) -> None:
    """JSON and nothing else on stdout; rows, result and page under --out; 0 where all could be read."""
    done = chatkit("fleet", "analyse", str(folder / "[0-9].parquet"), "--json", "--out", str(tmp_path / "out"))
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert (document["schema"], document["connections"], document["failed"]) == ("chatkit.fleet/1", 1500, [])
    assert document == json.loads((tmp_path / "out" / "fleet.json").read_text("utf-8"))
    assert "<html" in (tmp_path / "out" / "fleet.html").read_text("utf-8")
    assert list((tmp_path / "out" / "connections").glob("*.parquet"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.jsonl"], "No such file"),
        (["x", "--by", "colour"], "no such column"),
        (["memory://nowhere-at-all/x"], "cannot be read"),
    ],
)
def test_usage(chatkit, arguments, words) -> None:
    """Exit code 2, with what was expected."""
    done = chatkit("fleet", "analyse", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout == ""
