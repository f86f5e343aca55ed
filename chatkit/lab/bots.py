"""The bots of the lab, and the base class for one's own."""

from __future__ import annotations

import asyncio
import itertools
import random
import re
from collections.abc import AsyncIterator, Awaitable, Iterable
from dataclasses import dataclass

from chatkit.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a bot is asked."""

    text: str
    """The user's message."""
    user: str
    """Who wrote it."""
    session_id: str
    """The conversation it belongs to."""
    random: random.Random
    """Seeded by the lab's seed and the number of the message: use it for everything random."""


@dataclass(frozen=True, slots=True)
class BotInfo:
    """A bot as the ready line names it."""

    id: str
    name: str


class Bot:
    """Subclass this and write ``reply``.

    Either return the whole text, or yield it in pieces, which the lab streams as ``chat_response_chunk``::

        class Shout(Bot):
            async def reply(self, ask):
                return ask.text.upper()

        class Count(Bot):
            async def reply(self, ask):
                for n in range(3):
                    yield f"{n} "

    Args:
        name: shown to people; any text.
        id: used in paths; by default made from the name.

    >>> import chatkit
    >>> class Shout(chatkit.Bot):
    ...     default_name = "Shout"
    ...     async def reply(self, ask):
    ...         return ask.text.upper()
    >>> with chatkit.LabServer(bots=[Shout()]) as lab:
    ...     chat = chatkit.connect(lab.url, "shout", token=lab.token)
    ...     print(chat.send("hello").wait())
    ...     chat.close()
    HELLO
    """

    default_name = "Bot"

    def __init__(self, name: str | None = None, *, id: str | None = None) -> None:
        self.name = self.default_name if name is None else name
        self.id = slug(self.name) if id is None else id

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, id={self.id!r})"

    def reply(self, ask: Ask) -> Awaitable[str] | AsyncIterator[str]:
        """The answer, whole or in pieces. It is cancelled when the lab closes."""
        raise NotImplementedError


class Echo(Bot):
    """Says what it was told."""

    default_name = "Echo"

    async def reply(self, ask: Ask) -> str:
        """The same text."""
        return ask.text


class Slow(Bot):
    """Thinks for ``delay`` seconds, then echoes."""

    default_name = "Slow"

    def __init__(self, name: str | None = None, *, id: str | None = None, delay: float = 3.0) -> None:
        super().__init__(name, id=id)
        self.delay = delay

    async def reply(self, ask: Ask) -> str:
        """The same text, late."""
        await asyncio.sleep(self.delay)
        return ask.text


class Storyteller(Bot):
    """Streams a story in about 25 pieces over about ``duration`` seconds; it knows three, in turn."""

    default_name = "Storyteller"

    def __init__(self, name: str | None = None, *, id: str | None = None, duration: float = 1.5) -> None:
        super().__init__(name, id=id)
        self.duration = duration
        self._stories = itertools.cycle(_STORIES)

    async def reply(self, ask: Ask) -> AsyncIterator[str]:
        """The story, with uneven pauses."""
        pieces = _pieces(next(self._stories))
        for piece in pieces:
            await asyncio.sleep(self.duration / len(pieces) * ask.random.uniform(0.5, 1.5))
            yield piece


_STORIES = (
    "A lighthouse keeper counted ships in a notebook. Every evening one lamp on the horizon answered hers, "
    "and every evening, after exactly one quiet minute, it went dark. She blamed the fog, then the sea, then "
    "the other keeper. In the end she changed one thing only: she blinked every thirty seconds. The lamp "
    "stayed. She wrote down the date, the interval and the weather, and went to bed early.",
    "Two clerks shared one telegraph line and never met. One knocked the moment the line opened; the other, "
    "still lighting the stove, heard noise and pulled the plug. It went on for weeks, and each wrote to the "
    "company about the other. Then the first clerk caught a cold, came late, and knocked five seconds after "
    "the line was up. Somebody answered. They have been talking ever since, mostly about the stove.",
    "A gardener had a gate that closed by itself whenever nobody spoke in front of it. Visitors thought her "
    "rude; she thought them shy. A child stood there one day and hummed, and the gate stayed open for as long "
    "as the humming lasted. The gardener hung a small bell in the wind. It says nothing of importance, every "
    "half minute, and since then nobody has been shut out in the middle of a sentence.",
)


def _pieces(story: str, words_each: int = 3) -> list[str]:
    words = story.split(" ")
    starts = range(0, len(words), words_each)
    return [" ".join(words[n : n + words_each]) + (" " if n + words_each < len(words) else "") for n in starts]


BUILT_IN: dict[str, type[Bot]] = {"echo": Echo, "storyteller": Storyteller, "slow": Slow}
"""The bots that ``--bot`` knows by id."""


def slug(name: str) -> str:
    """A path segment made from any text: lower case letters, digits and hyphens, never empty."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "bot"


def choose_bots(wanted: Iterable[str | Bot] | None) -> dict[str, Bot]:
    """The bots by id: all built-in ones for ``None``; a text is a built-in id, or the name of another Echo.

    Raises:
        InvalidInput: two bots with one id that both were given as objects, or an id that is no path segment.
    """
    chosen: dict[str, Bot] = {}
    for entry in BUILT_IN if wanted is None else wanted:
        bot = entry if isinstance(entry, Bot) else BUILT_IN.get(entry, Echo)(_name(entry))
        if isinstance(entry, str):
            bot.id = _free(bot.id, chosen)
        _check(bot, chosen)
        chosen[bot.id] = bot
    if not chosen:
        raise InvalidInput("the lab needs a bot", expected="at least one bot", where="bots")
    return chosen


def _name(entry: str) -> str | None:
    return None if entry in BUILT_IN else entry


def _free(id: str, taken: dict[str, Bot]) -> str:
    number, candidate = 1, id
    while candidate in taken:
        number += 1
        candidate = f"{id}-{number}"
    return candidate


def _check(bot: Bot, taken: dict[str, Bot]) -> None:
    if not re.fullmatch(r"[A-Za-z0-9._~-]+", bot.id):
        raise InvalidInput(
            "a bot's id must be a path segment",
            expected="letters, digits, '.', '_', '~', '-'",
            got=bot.id,
            where="bots",
        )
    if bot.id in taken:
        raise InvalidInput("two bots have one id", expected="different ids", got=bot.id, where="bots")
