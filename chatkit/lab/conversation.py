"""One message and its answer: history, collaborators, typing, the bot, the reply to everybody."""

from __future__ import annotations

import asyncio
import inspect
import random
import time
import uuid
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chatkit.faults.moments import Replying
from chatkit.lab import messages
from chatkit.lab.backend import Backend
from chatkit.lab.bots import Ask, Bot
from chatkit.lab.runner import delay
from chatkit.lab.store import Session

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the HTTP response of a chat call says."""

    text: str
    session_id: str
    seconds: float
    """How long the bot took."""


async def answer(backend: Backend, user: str, bot: Bot, text: str, session: Session) -> Answer:
    """The whole way of one message. Whatever the bot raises comes out; typing ends in any case."""
    started = time.monotonic()
    tell(backend, user, bot, text, session)
    message_id = uuid.uuid4().hex

    def stream(seq: int, delta: str) -> None:
        piece = messages.chunk(bot_id=bot.id, message_id=message_id, session_id=session.id, seq=seq, delta=delta)
        backend.broadcast(bot.id, piece)

    with _typing(backend, bot):
        await asyncio.sleep(delay(backend.faults.tell(Replying())))
        reply = await _work(bot, _ask(backend, user, text, session), stream)
    at = time.time()
    backend.store.add_message(
        id=message_id, session_id=session.id, role="assistant", user_id=user, content=reply, at=at
    )
    response = messages.chat(
        "assistant",
        bot_id=bot.id,
        message_id=message_id,
        session_id=session.id,
        user=user,
        content=reply,
        at=at,
    )
    backend.broadcast(bot.id, response)
    return Answer(text=reply, session_id=session.id, seconds=time.monotonic() - started)


def tell(backend: Backend, user: str, bot: Bot, text: str, session: Session) -> str:
    """Stores a user's message and shows it to the collaborators; returns its id."""
    message_id, at = uuid.uuid4().hex, time.time()
    backend.counters.chats += 1
    backend.store.add_message(id=message_id, session_id=session.id, role="user", user_id=user, content=text, at=at)
    message = messages.chat(
        "user",
        bot_id=bot.id,
        message_id=message_id,
        session_id=session.id,
        user=user,
        content=text,
        at=at,
    )
    backend.broadcast(bot.id, message, besides=user)
    return message_id


def begin(backend: Backend, user: str, bot: Bot, title: str | None = None) -> Session:
    """A new conversation."""
    title = title or f"Chat with {bot.name}"
    return backend.store.add_session(bot_id=bot.id, user_id=user, title=title, at=time.time())


def _ask(backend: Backend, user: str, text: str, session: Session) -> Ask:
    seed = f"{backend.plan.seed}/ask/{backend.counters.chats}"
    return Ask(text=text, user=user, session_id=session.id, random=random.Random(seed))


@contextmanager
def _typing(backend: Backend, bot: Bot) -> Iterator[None]:
    def show(is_typing: bool) -> None:
        indicator = messages.typing(
            bot_id=bot.id, user_id=bot.id, username=bot.name, is_typing=is_typing, at=time.time()
        )
        backend.broadcast(bot.id, indicator)

    show(True)
    try:
        yield
    finally:
        show(False)


async def _work(bot: Bot, ask: Ask, stream: Callable[[int, str], None]) -> str:
    replying = bot.reply(ask)
    if inspect.isawaitable(replying):
        return str(await replying)
    parts: list[str] = []
    async for piece in replying:
        stream(len(parts), str(piece))
        parts.append(str(piece))
    return "".join(parts)
