"""What a client may say over a socket, and what comes of it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from chatkit.faults.moments import Saying
from chatkit.lab import conversation, messages
from chatkit.lab.backend import Backend, log
from chatkit.lab.bots import Bot
from chatkit.lab.hub import Peer
from chatkit.lab.messages import Message
from chatkit.lab.ring import Replay
from chatkit.lab.runner import FaultRunner, refusal
from chatkit.lab.users import User


class Said(BaseModel):
    """``data`` of a user's message."""

    content: Annotated[str, Field(min_length=1, max_length=10_000)]
    session_id: str | None = None
    client_message_id: Any = None


class Speaker:
    """One client at its socket.

    Args:
        backend: the lab.
        peer: where answers go.
        user: who speaks.
        bot: whom to; ``None`` where the connection is not that of one bot.
        faults: the plan's view of the connection.
        group: the parent of answers that take a while. They go on when the client is gone.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        peer: Peer,
        user: User,
        bot: Bot | None,
        faults: FaultRunner,
        group: asyncio.TaskGroup,
    ) -> None:
        self._backend = backend
        self._peer = peer
        self._user = user
        self._bot = bot
        self._faults = faults
        self._group = group

    def says(self, text: str | None) -> None:
        """One message of the client; ``None`` for a binary one."""
        try:
            message = json.loads(text or "")
            kind, data = message["type"], message.get("data") or {}
            if not isinstance(kind, str) or not isinstance(data, dict):
                raise TypeError
        except (ValueError, RecursionError):
            self._peer.post(messages.error("invalid JSON"))
        except (AttributeError, KeyError, TypeError):
            self._peer.post(messages.error("expected an object with a type"))
        else:
            self._answer(kind, data, message)

    def _answer(self, kind: str, data: dict[str, Any], message: dict[str, Any]) -> None:
        bot = self._bot or self._subscribed(message.get("bot_id"))
        match kind:
            case "ping":
                self._peer.post(messages.pong(message.get("timestamp")))
            case "typing" if bot is not None:
                self._type(bot, bool(data.get("is_typing")))
            case "session_sync":
                self._sync(bot, data.get("session_id"))
            case "message" if bot is not None and self._backend.send_via == "websocket":
                self._say(bot, data)
            case "resume" if bot is not None and "resume" in self._backend.capabilities:
                self._resume(bot, data.get("session_id"), data.get("last_message_id"))
            case "subscribe" if self._peer.mux:
                self._subscribe(data)
            case "unsubscribe" if self._peer.mux:
                self._unsubscribe(data)
            case _:
                self._backend.counters.ignored += 1
                log.info("ignored a message of type %.60r", kind)

    def _subscribed(self, bot_id: object) -> Bot | None:
        """On a mux connection each message names its bot."""
        return self._backend.bots[bot_id] if isinstance(bot_id, str) and bot_id in self._peer.subscriptions else None

    def _type(self, bot: Bot, is_typing: bool) -> None:
        name = self._peer.user
        at = self._backend.now()
        indicator = messages.typing(bot_id=bot.id, user_id=name, username=name, is_typing=is_typing, at=at)
        self._backend.broadcast(bot.id, indicator, besides=name, source=self._peer.arrival)

    def _sync(self, bot: Bot | None, session_id: object) -> None:
        bot_id = None if bot is None else bot.id
        self._peer.post(messages.session_synced(session_id=session_id, bot_id=bot_id, at=self._backend.now()))

    # What was missed

    def _resume(self, bot: Bot, session_id: object, last_message_id: object) -> None:
        ring = self._backend.ring(bot.id)
        if last_message_id is not None:
            replay = ring.after(last_message_id, self._peer.user)
        elif session_id is not None:
            replay = ring.of_session(session_id, self._peer.user)
        else:
            replay = Replay((), complete=True)
        end = messages.resumed(session_id=session_id, replayed=len(replay.messages), complete=replay.complete)
        self._peer.post(*replay.messages, end)

    # Many bots on one socket

    def _subscribe(self, data: dict[str, Any]) -> None:
        bot_id, generation = data.get("bot_id"), data.get("generation")
        bot = self._backend.permitted(self._user, bot_id)
        if bot is None:
            self._peer.post(messages.error("bot unknown or not permitted") | {"bot_id": bot_id})
        elif not isinstance(generation, int) or isinstance(generation, bool):
            self._peer.post(messages.error("the generation must be a whole number") | {"bot_id": bot_id})
        else:
            answer = messages.subscribed(
                bot_id=bot.id, bot_name=bot.name, generation=generation, capabilities=self._backend.capabilities
            )
            self._peer.post(answer, *self._since(bot, data.get("since")))
            self._peer.subscriptions[bot.id] = generation

    def _since(self, bot: Bot, message_id: object) -> tuple[Message, ...]:
        if message_id is None:
            return ()
        return self._backend.ring(bot.id).after(message_id, self._peer.user).messages

    def _unsubscribe(self, data: dict[str, Any]) -> None:
        bot = self._subscribed(data.get("bot_id"))
        # An older generation is the echo of a subscription that was replaced since.
        if bot is not None and self._peer.subscriptions[bot.id] == data.get("generation"):
            del self._peer.subscriptions[bot.id]

    # A message for the bot

    def _say(self, bot: Bot, data: dict[str, Any]) -> None:
        try:
            said = Said.model_validate(data)
            client_id = self._backend.client_id(said.client_message_id)
        except ValidationError as wrong:
            # The message alone: the input may be a secret, or no valid UTF-8.
            self._peer.post(messages.error(f"not a message: {wrong.errors()[0]['msg']}"))
            return
        if self._backend.rate.take(self._user.name, time.monotonic()) > 0:
            self._peer.post(messages.error("too many messages"))
        elif not refusal(self._faults.tell(Saying(text=said.content))):
            self._take(bot, said, client_id)

    def _take(self, bot: Bot, said: Said, client_id: str | None) -> None:
        session = self._backend.session(bot, said.session_id)
        if said.session_id is not None and session is None:
            self._peer.post(messages.error("session not found"))
            return
        user, source = self._user.name, self._peer.arrival
        question = conversation.take(self._backend, user, bot, said.content, session, client_id, source)
        if "idempotency" in self._backend.capabilities:
            taken = question.message
            self._peer.post(messages.ack(client_message_id=client_id, message_id=taken.id, session_id=taken.session_id))
        known = conversation.recall(self._backend, question)
        if known is not None:
            # The others have it: only who asks again hears it again.
            self._peer.post(known.message)
        else:
            self._group.create_task(self._reply(question), name=f"reply to {question.message.id}")

    async def _reply(self, question: conversation.Question) -> None:
        try:
            await conversation.answer(self._backend, question)
        except Exception as error:
            log.exception("bot %r failed", question.bot.id)
            self._peer.post(messages.error(f"the bot failed with {type(error).__name__}"))
