"""What the server says becomes messages, while it is said and again from a recording; pure.

A recording holds replies as frames, our own messages as ``DeliveryChanged``. Retold into a ledger they are the
conversation as it was shown, and what comes next (a second copy, the backend's history) is recognised.
"""

from __future__ import annotations

from urllib.parse import quote

from chatkit.events import AttemptStarted, DeliveryChanged, Event, FrameReceived, TransportEnded
from chatkit.policy.delivery import ChatMessage, DeliveryState, Outcome
from chatkit.policy.ledger import Ledger
from chatkit.profile import Incoming, Profile
from chatkit.trace import Trace

_STATES = frozenset(DeliveryState)
_TOLD = {"AttemptStarted", "DeliveryChanged", "FrameReceived", "TransportEnded"}


def author_of(message: Incoming) -> str:
    """Who says it, where the backend does not."""
    return message.username or ("Assistant" if message.kind in ("reply", "chunk") else "somebody")


def take(ledger: Ledger, message: Incoming, bot_name: str, at: float) -> Outcome:
    """A chunk, a reply or another user's message came at ``at``, seconds since the trace's epoch."""
    author = author_of(message)
    name = bot_name if author == "Assistant" else author
    id, session, text = message.message_id, message.session_id, message.content or ""
    if message.kind == "chunk":
        assert id is not None
        assert message.seq is not None
        return ledger.chunk(id, message.seq, message.delta or "", session, name, at)
    if message.kind == "reply":
        known = {"in_reply_to": message.in_reply_to, "timestamp": message.timestamp}
        return ledger.reply(text, id, session, name, at, **known)
    return ledger.other(text, id, session, author, at, timestamp=message.timestamp)


def messages(trace: Trace, profile: Profile, bot: str) -> tuple[ChatMessage, ...]:
    """The conversation with one bot that a recording holds: each message once, in order, with where it got to."""
    ledger = Ledger(via_socket=profile.send.via == "websocket")
    retell(ledger, trace, profile, bot)
    return ledger.messages


def retell(ledger: Ledger, trace: Trace, profile: Profile, bot: str) -> None:
    """Brings a fresh ledger to where the conversation with a bot was at the end of a recording.

    A message whose beginning only was recorded (a huge one) is left out: the backend's history may fill it in. So are
    messages of ours whose text the recording does not say (other tools', and older ones).
    """
    told = _Retelling(ledger, profile, bot)
    for event in trace.select(kinds=_TOLD):
        told.hear(event)
    # The process that recorded is gone, and its sockets with it.
    ledger.socket_down(float(trace.at[-1]) if len(trace) else 0.0)
    ledger.trim()


class _Retelling:
    def __init__(self, ledger: Ledger, profile: Profile, bot: str) -> None:
        self._ledger, self._profile, self._bot = ledger, profile, bot
        self._path = profile.paths.chat_socket.format(bot_id=quote(bot, safe=""))
        self._bot_name = bot
        self._mine: set[str] = set()
        self._keys: dict[str, str] = {}
        """Keys of messages in the recording, which a restart begins anew, and in the ledger."""

    def hear(self, event: Event) -> None:
        match event:
            case AttemptStarted(connection=str(id), url=url):
                if url.partition("?")[0].endswith(self._path):
                    self._mine.add(id)
            case FrameReceived(connection=str(id), opcode="text", fin=True, text=str(text), digest=None):
                self._frame(id, text, event.at)
            case TransportEnded(connection=str(id)) if id in self._mine:
                self._ledger.socket_down(event.at)
            case DeliveryChanged(state=state) if state not in _STATES:
                pass  # a later chatkit's, or somebody's edit
            case DeliveryChanged(text=str(text)):
                self._introduced(event, text)
            case DeliveryChanged() if (key := self._keys.get(event.delivery)) is not None:
                self._moved(event, key)

    def _frame(self, connection: str, text: str, at: float) -> None:
        message = self._profile.read(text)
        told = message.bot_id
        if connection not in self._mine or told not in (None, self._bot):
            return
        if message.kind == "established":
            self._bot_name = message.bot_name or self._bot_name
        elif message.kind in ("chunk", "reply", "message"):
            take(self._ledger, message, self._bot_name, at)

    def _introduced(self, event: DeliveryChanged, text: str) -> None:
        if event.bot != self._bot:
            # The key is another conversation's now.
            self._keys.pop(event.delivery, None)
            return
        known = self._ledger.request_of(event.client_id) if event.client_id else None
        if known is None:
            state = DeliveryState(event.state)
            self._keys[event.delivery] = self._ledger.sent(text, event.at, None, event.client_id, state).key
        else:
            self._keys[event.delivery] = known.key
            self._moved(event, known.key)

    def _moved(self, event: DeliveryChanged, key: str) -> None:
        if not self._ledger.has(key):
            return
        state = DeliveryState(event.state)
        if state == DeliveryState.REPLIED and event.reply is not None:
            self._ledger.answered(key, event.reply, None, event.at, live=False)
        elif state in (DeliveryState.QUEUED, DeliveryState.WRITTEN):
            self._ledger.moved(key, state, event.because)
        elif state == DeliveryState.ACKED:
            if self._ledger.message(key).state != DeliveryState.REPLIED:
                self._ledger.acked(key)
        else:
            self._ledger.failed(key, state, event.because)
