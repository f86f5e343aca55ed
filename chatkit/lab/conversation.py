"""One message and its answer: history, collaborators, typing, the bot, the reply to everybody."""

from __future__ import annotations

import asyncio
import inspect
import random
import uuid
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chatkit.faults.moments import Replying
from chatkit.lab import messages
from chatkit.lab.backend import Backend
from chatkit.lab.bots import Ask, Bot
from chatkit.lab.messages import Message
from chatkit.lab.runner import delay
from chatkit.lab.store import Session, Stored

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A user's message that was taken: it stands in the history."""

    user: str
    bot: Bot
    message: Stored
    client_id: str | None
    """The client's own id of it; ``None`` when it has none, or when that means nothing here."""
    source: int | None = None
    """The number of the TCP connection that it came over; ``None`` for the lab itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a question."""

    text: str
    session_id: str
    seconds: float
    """From the question to the reply, as the history has them: the same for whoever asks again."""
    message: Message
    """The ``chat_response``."""


def take(
    backend: Backend,
    user: str,
    bot: Bot,
    text: str,
    session: Session | None,
    client_id: str | None = None,
    source: int | None = None,
) -> Question:
    """Stores a user's message and shows it to the collaborators; ``None`` begins a conversation.

    A message that is there already, by the client's id of it, is neither stored nor shown again: the first one counts,
    with its text and its conversation.
    """
    known = None if client_id is None else backend.store.question(user, bot.id, client_id)
    message = known or _tell(backend, user, bot, text, session or begin(backend, user, bot), client_id, source)
    return Question(user=user, bot=bot, message=message, client_id=client_id, source=source)


def recall(backend: Backend, question: Question) -> Answer | None:
    """The answer that a question with an id of the client's has already."""
    if question.client_id is None:
        return None
    reply = backend.store.reply(question.message.session_id, question.user, question.client_id)
    return None if reply is None else _answer(question, reply)


async def answer(backend: Backend, question: Question) -> Answer:
    """The answer: the one that is there, the one that is being worked on, or a new one.

    Whatever the bot raises comes out, and the question may be asked again; typing ends in any case. Cancelling cancels
    the bot, unless another request waits for the same answer: that one asks the bot anew.
    """
    if question.client_id is None:
        return await _reply(backend, question)
    known = recall(backend, question)
    if known is not None:
        return known
    key = (question.user, question.bot.id, question.client_id)
    return await backend.once.run(key, lambda: _reply(backend, question))


def begin(backend: Backend, user: str, bot: Bot, title: str | None = None) -> Session:
    """A new conversation."""
    title = title or f"Chat with {bot.name}"
    return backend.store.add_session(bot_id=bot.id, user_id=user, title=title, at=backend.now())


def _tell(
    backend: Backend, user: str, bot: Bot, text: str, session: Session, client_id: str | None, source: int | None
) -> Stored:
    backend.counters.chats += 1
    stored = Stored(id=uuid.uuid4().hex, session_id=session.id, content=text, created_at=backend.now())
    backend.store.add_message(stored, role="user", user_id=user, client_message_id=client_id)
    backend.broadcast(bot.id, messages.chat("user", stored, bot_id=bot.id, user=user), besides=user, source=source)
    return stored


async def _reply(backend: Backend, question: Question) -> Answer:
    bot, session_id, message_id = question.bot, question.message.session_id, uuid.uuid4().hex

    def stream(seq: int, delta: str) -> None:
        piece = messages.chunk(
            bot_id=bot.id,
            message_id=message_id,
            session_id=session_id,
            seq=seq,
            delta=delta,
            in_reply_to=question.client_id,
        )
        backend.broadcast(bot.id, piece, source=question.source)

    with _typing(backend, question):
        await asyncio.sleep(delay(backend.faults.tell(Replying())))
        text = await _work(bot, _ask(backend, question), stream)
    reply = Stored(id=message_id, session_id=session_id, content=text, created_at=backend.now())
    backend.store.add_message(reply, role="assistant", user_id=question.user, in_reply_to=question.client_id)
    done = _answer(question, reply)
    backend.broadcast(bot.id, done.message, source=question.source)
    return done


def _answer(question: Question, reply: Stored) -> Answer:
    message = messages.chat(
        "assistant", reply, bot_id=question.bot.id, user=question.user, in_reply_to=question.client_id
    )
    seconds = max(0.0, reply.created_at - question.message.created_at)
    return Answer(text=reply.content, session_id=reply.session_id, seconds=seconds, message=message)


def _ask(backend: Backend, question: Question) -> Ask:
    seed = f"{backend.plan.seed}/ask/{backend.counters.chats}"
    message = question.message
    return Ask(text=message.content, user=question.user, session_id=message.session_id, random=random.Random(seed))


@contextmanager
def _typing(backend: Backend, question: Question) -> Iterator[None]:
    bot = question.bot

    def show(is_typing: bool) -> None:
        indicator = messages.typing(
            bot_id=bot.id, user_id=bot.id, username=bot.name, is_typing=is_typing, at=backend.now()
        )
        backend.broadcast(bot.id, indicator, source=question.source)

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
