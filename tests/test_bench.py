"""The benchmarks can be run: each is a module with a ``main`` and does nothing when it is imported."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

BENCHES = sorted(path.stem for path in (Path(__file__).parent / "bench").glob("[a-z]*.py"))


@pytest.mark.parametrize("name", BENCHES)
def test_a_benchmark_has_a_main(name: str) -> None:
    """Importing starts nothing; ``main`` is what the command runs."""
    assert callable(importlib.import_module(f"tests.bench.{name}").main)


def test_frames_of_the_sender_are_as_long_as_they_say() -> None:
    """The message sizes in the table are those on the wire."""
    from tests.bench.recording import SIZES, frame, message

    for size in SIZES:
        assert len(message(size)) == size
        assert len(frame(message(size))) == size + (2 if size < 126 else 4)
