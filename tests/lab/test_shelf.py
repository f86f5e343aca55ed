"""One message for each key waits for the next of its kind."""

from __future__ import annotations

import asyncio
from functools import partial

from chatkit.lab.shelf import Shelf


async def test_what_is_held_goes_out_once() -> None:
    """At the release of its own key, at its time, or when the next one takes its place."""
    sent: list[str] = []
    shelf = Shelf()
    shelf.hold("a", partial(sent.append, "one"), 60)
    shelf.release("b")
    assert sent == []
    shelf.hold("a", partial(sent.append, "two"), 0.02)
    assert sent == ["one"]
    await asyncio.sleep(0.05)
    assert sent == ["one", "two"]
    shelf.release("a")
    assert sent == ["one", "two"]


async def test_what_is_held_at_the_end_is_forgotten() -> None:
    """Nothing is sent any more."""
    sent: list[str] = []
    shelf = Shelf()
    shelf.hold("a", partial(sent.append, "one"), 0.01)
    shelf.close()
    shelf.close()
    await asyncio.sleep(0.03)
    assert sent == []
