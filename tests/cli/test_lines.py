"""Lines of an input, whatever it is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from chatkit.cli import lines
from chatkit.cli.lines import Lines

from .conftest import PATIENCE


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends; the one for writing is the test's to close."""
    read, write = os.pipe()
    yield read, write
    os.close(read)


async def whole(*pieces: bytes, pipe: tuple[int, int]) -> list[str]:
    """The lines of these pieces, written one after the other."""
    reader = Lines(pipe[0])
    for piece in pieces:
        os.write(pipe[1], piece)
        await asyncio.sleep(0.005)
    os.close(pipe[1])
    async with asyncio.timeout(PATIENCE):
        return [line async for line in reader]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((), []),
        ((b"one\ntwo\n",), ["one", "two"]),
        ((b"one\ntwo",), ["one", "two"]),
        ((b"\n\n",), ["", ""]),
        ((b"on", b"e\ntw", b"o\n"), ["one", "two"]),
        (("gr\u00fc\u00df".encode()[:3], "gr\u00fc\u00df\n".encode()[3:]), ["gr\u00fc\u00df"]),
        ((b"a\xff\n",), ["a\ufffd"]),
        ((b"a\xc3",), ["a\ufffd"]),
    ],
)
async def test_lines(pieces: tuple[bytes, ...], expected: list[str], pipe: tuple[int, int]) -> None:
    """However they are cut, and whatever bytes they are; the last needs no line end."""
    assert await whole(*pieces, pipe=pipe) == expected


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((b"0123456789\nz\n",), ["0123456789", "z"]),
        ((b"0123456789a\nz\n",), ["0123456789", "a", "z"]),
        ((b"0123456789" * 2, b"ab\nz"), ["0123456789", "0123456789", "ab", "z"]),
        ((b"0123456789" * 2, b"\nz\n"), ["0123456789", "0123456789", "z"]),
    ],
)
async def test_a_line_is_bounded(
    pieces: tuple[bytes, ...], expected: list[str], pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is longer is cut there and goes on as the next; no line is made up."""
    monkeypatch.setattr(lines, "LONGEST", 10)
    assert await whole(*pieces, pipe=pipe) == expected


async def test_the_loop_is_free_while_nobody_types(pipe: tuple[int, int]) -> None:
    """Waiting can be cancelled, and nothing that comes later is lost."""
    reader = Lines(pipe[0])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(reader), 0.02)
    os.write(pipe[1], b"late\n")
    assert await asyncio.wait_for(anext(reader), PATIENCE) == "late"
    os.close(pipe[1])
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(anext(reader), PATIENCE)


async def test_a_descriptor_that_is_gone_is_the_end() -> None:
    """As when the terminal was closed."""
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    assert [line async for line in Lines(read)] == []
