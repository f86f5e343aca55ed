"""Bots are chosen by id, by name or as objects."""

from __future__ import annotations

import random

import pytest

from chatkit.errors import InvalidInput
from chatkit.lab.bots import Ask, Bot, Echo, Slow, Storyteller, choose_bots, slug


def ask(seed: int = 0) -> Ask:
    """Some question."""
    return Ask(text="hi", user="ada", session_id="s", random=random.Random(seed))


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (None, ["echo", "storyteller", "slow"]),
        (["slow"], ["slow"]),
        (["echo", "echo"], ["echo", "echo-2"]),
        (["My Bot!", "my bot"], ["my-bot", "my-bot-2"]),
        (["<script>", "🤖", ""], ["script", "bot", "bot-2"]),
        ([Echo("Mine"), "mine"], ["mine", "mine-2"]),
    ],
)
def test_choosing(wanted, ids) -> None:
    """Ids stay typeable and unique."""
    assert list(choose_bots(wanted)) == ids


def test_names_keep_their_text() -> None:
    """Only the id is tamed."""
    assert choose_bots(["<b>x</b>"])["b-x-b"].name == "<b>x</b>"
    assert len(slug("x" * 500)) == 40


@pytest.mark.parametrize("wanted", [[], [Echo(), Echo()], [Echo(id="")], [Echo(id="a/b")]])
def test_refusing(wanted) -> None:
    """No bot, one id twice, no path segment."""
    with pytest.raises(InvalidInput):
        choose_bots(wanted)


async def test_what_they_say() -> None:
    """Echo and Slow repeat, the storyteller tells the same story in the same pieces."""
    assert await Echo().reply(ask()) == "hi"
    assert await Slow(delay=0).reply(ask()) == "hi"
    once = [piece async for piece in Storyteller(duration=0).reply(ask())]
    assert once == [piece async for piece in Storyteller(duration=0).reply(ask())]
    assert "".join(once).endswith("went to bed early.")


def test_the_base_class_says_nothing() -> None:
    """It is there to be subclassed."""
    with pytest.raises(NotImplementedError):
        Bot().reply(ask())
    assert repr(Echo()) == "Echo(name='Echo', id='echo')"
