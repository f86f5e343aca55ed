"""The journal: what is written is found again, however the process ended."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatkit.canary.facts import Batch, RunBegan
from chatkit.canary.journal import NAME, Journal, read
from chatkit.canary.state import State
from chatkit.errors import ImportFailed, InvalidInput

from .facts import died, opened

BATCHES = [
    Batch(at=1.0, facts=[RunBegan(targets={"t": "http://h"})]),
    Batch(at=2.0, facts=[opened(1, 1.5), opened(2, 1.6)]),
    Batch(at=3.0, facts=[died(1, 1.5, 2.9)]),
    Batch(at=4.0),
]


def written(path: Path, batches: list[Batch] = BATCHES) -> State:
    """A journal of these; the state that it should tell."""
    state = State()
    journal = Journal(path)
    for batch in batches:
        journal.append(batch)
        state.apply(batch)
    journal.close()
    return state


def same(one: State, other: State) -> bool:
    return msgspec.json.encode(one) == msgspec.json.encode(other)


def test_what_was_written_is_read(tmp_path) -> None:
    """Private, and complete."""
    path = tmp_path / NAME
    state = written(path)
    found = read(path)
    assert same(found.state, state)
    assert (found.damaged, found.torn, found.good) == (0, False, path.stat().st_size)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_torn_end_loses_one_batch_at_most(tmp_path, data) -> None:
    """Cut at any byte: the batches before the cut are there, and what is written next is read after them."""
    path = tmp_path / NAME
    path.unlink(missing_ok=True)
    written(path)
    whole = path.read_bytes()
    cut = data.draw(st.integers(whole.index(b"\n") + 1, len(whole)))
    path.write_bytes(whole[:cut])
    kept = whole[:cut].count(b"\n") - 1
    expected = State()
    for batch in BATCHES[:kept]:
        expected.apply(batch)
    journal = Journal(path)
    assert same(journal.found.state, expected)
    assert journal.found.torn == (not whole[:cut].endswith(b"\n"))
    journal.append(Batch(at=9.0, facts=[opened(7, 8.0)]))
    journal.close()
    expected.apply(Batch(at=9.0, facts=[opened(7, 8.0)]))
    assert same(read(path).state, expected)
    assert not read(path).torn


def test_damage_in_the_middle_is_left_out_and_counted(tmp_path) -> None:
    """State is no evidence: what can be read counts."""
    path = tmp_path / NAME
    written(path)
    lines = path.read_bytes().split(b"\n")
    lines[2] = b"\xff" * 10
    path.write_bytes(b"\n".join(lines))
    found = read(path)
    assert (found.damaged, found.state.targets["t"].died) == (1, 1)


def test_an_empty_file_is_a_new_journal(tmp_path) -> None:
    """Killed before the first line."""
    path = tmp_path / NAME
    path.write_bytes(b"")
    assert same(read(path).state, State())
    assert same(written(path), read(path).state)


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (b'{"schema":"chatkit.watch/2"}\n', "newer chatkit"),
        (b'{"schema":"chatkit.trace/1"}\n', "no journal"),
        (b"hello\n", "no journal"),
    ],
)
def test_not_ours(tmp_path, first, words) -> None:
    """Said, and left alone."""
    path = tmp_path / NAME
    path.write_bytes(first)
    with pytest.raises(ImportFailed, match=words):
        Journal(path)
    assert path.read_bytes() == first
    path.unlink()
    Journal(path).close()  # the lock was given back


def test_one_process_at_a_time(tmp_path) -> None:
    """The second is told."""
    journal = Journal(tmp_path / NAME)
    with pytest.raises(InvalidInput, match="another process watches"):
        Journal(tmp_path / NAME)
    journal.close()
    journal.close()
    Journal(tmp_path / NAME).close()


def test_a_folder_that_cannot_be_written(tmp_path) -> None:
    """Said with its place."""
    with pytest.raises(InvalidInput, match="cannot be written: No such file"):
        Journal(tmp_path / "nowhere" / NAME)


def test_a_checkpoint_replaces_what_came_before(tmp_path) -> None:
    """The same state in one line; the journal grows from there."""
    path = tmp_path / NAME
    journal, state = Journal(path), State()
    for batch in BATCHES:
        journal.append(batch)
        state.apply(batch)
    journal.checkpoint(state)
    assert path.read_bytes().count(b"\n") == 2
    journal.append(Batch(at=9.0, facts=[died(2, 1.6, 8.0)]))
    state.apply(Batch(at=9.0, facts=[died(2, 1.6, 8.0)]))
    assert same(read(path).state, state)
    assert journal.size == path.stat().st_size
    journal.close()


def test_a_full_disk_leaves_whole_lines(tmp_path, monkeypatch) -> None:
    """Half a line was written: it is taken back, and the next append is read."""
    path = tmp_path / NAME
    journal = Journal(path)
    journal.append(BATCHES[0])
    write = os.write
    room = [10]

    def full(file: int, data: bytes) -> int:
        if room[0] <= 0:
            raise OSError(28, "No space left on device")
        done = write(file, data[: room[0]])
        room[0] -= done
        return done

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            journal.append(BATCHES[1])
        room[0] = 10
        with pytest.raises(OSError, match="No space"):
            journal.checkpoint(State())
    assert not list(tmp_path.glob("*.part"))
    journal.append(BATCHES[2])
    journal.close()
    found = read(path)
    assert (found.damaged, found.torn, found.state.at) == (0, False, 3.0)
