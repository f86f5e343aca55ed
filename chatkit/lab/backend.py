"""What the lab's HTTP routes, sockets and bots share: one value holder, no I/O of its own."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Protocol

from pydantic import Field, TypeAdapter

from chatkit.errors import InvalidInput
from chatkit.faults.moments import (
    Asked,
    Crossing,
    Drop,
    Duplicate,
    Hold,
    Joined,
    Knocked,
    Left,
    Sending,
    Started,
)
from chatkit.faults.parse import Fault
from chatkit.faults.plan import FaultPlan
from chatkit.lab.bots import Bot
from chatkit.lab.hub import Hub, Within, everybody
from chatkit.lab.messages import Message
from chatkit.lab.once import Once
from chatkit.lab.ring import Ring
from chatkit.lab.runner import Deed, FaultRunner, refusal
from chatkit.lab.shelf import Shelf
from chatkit.lab.stats import Counters, LabStats
from chatkit.lab.store import Session, Store
from chatkit.lab.tokens import Claims, Mint, TokenRefused
from chatkit.lab.users import USERS, User
from chatkit.recorder import Recorder

if TYPE_CHECKING:
    from chatkit.lab.conversation import Answer

log = logging.getLogger("chatkit.lab")

_CLIENT_ID = TypeAdapter(Annotated[str, Field(strict=True, min_length=1, max_length=200)])
_REPLAYED = ("chat_response", "chat_message")
"""What is worth being sent again: not typing, not chunks, whose text the reply repeats."""


class Healable(Protocol):
    """A connection in a black hole."""

    def heal(self) -> None:
        """Ends it; twice is fine."""


class RateLimit:
    """At most ``limit`` messages of one user in any ``window`` seconds; ``None`` lets everything pass."""

    def __init__(self, limit: int | None, window: float) -> None:
        self.limit, self.window = limit, window
        self._taken: dict[str, deque[float]] = {}

    def take(self, user: str, now: float) -> float:
        """Takes one and returns 0, or returns the seconds to wait; ``now`` is monotonic."""
        if self.limit is None:
            return 0.0
        taken = self._taken.setdefault(user, deque())
        while taken and now - taken[0] >= self.window:
            taken.popleft()
        if len(taken) >= self.limit:
            return self.window - (now - taken[0]) if taken else self.window
        taken.append(now)
        return 0.0


class Backend:
    """The lab's parts.

    Args:
        bots: by id.
        mint: issues and verifies tokens.
        plan: what goes wrong.
        rate: the limit for chat messages.
        reject: whether a bad token is refused ``before`` the upgrade is accepted or closed ``after`` it.
        capabilities: what it can do beyond the contract.
        send_via: ``websocket`` takes users' messages over the chat socket as well.
        recorder: where every WebSocket is recorded as this side sees it; ``None`` for nowhere.
    """

    def __init__(
        self,
        *,
        bots: Mapping[str, Bot],
        mint: Mint,
        plan: FaultPlan,
        rate: RateLimit,
        reject: str,
        capabilities: Sequence[str] = (),
        send_via: str = "http",
        recorder: Recorder | None = None,
    ) -> None:
        self.recorder = recorder
        self.bots = bots
        self.mint = mint
        self.rate = rate
        self.reject = reject
        self.plan = plan
        self.capabilities = capabilities
        self.send_via = send_via
        self.hub = Hub()
        self.once: Once[Answer] = Once()
        self.counters = Counters()
        self.perform: Callable[[Deed], None] = lambda deed: None
        self.holes: set[Healable] = set()
        self._store: Store | None = None
        self._faults: FaultRunner | None = None
        self._ordinal = 0
        self._rings: dict[str, Ring] = {}
        self._shelf = Shelf()
        self._inside: dict[int, tuple[Knocked, Joined]] = {}

    def open(self, database: str) -> None:
        """Opens the database. Call on the loop's thread."""
        self._store = Store(database)

    def close(self) -> None:
        """Closes the database, forgets pending faults, heals black holes; twice is fine."""
        self.heal()
        self._shelf.close()
        if self._faults is not None:
            self._faults.close()
        if self._store is not None:
            self._store.close()

    def heal(self) -> None:
        """Ends every black hole."""
        for hole in list(self.holes):
            hole.heal()

    @property
    def store(self) -> Store:
        """The open database."""
        assert self._store is not None, "open() comes first"
        return self._store

    @property
    def faults(self) -> FaultRunner:
        """The plan's view of the server as a whole."""
        if self._faults is None:
            self._faults = FaultRunner(self.plan, 0, self._do)
        return self._faults

    def start_faults(self) -> None:
        """The server listens: what counts from its start begins."""
        self.faults.tell(Started())

    def set_faults(self, faults: Iterable[str | Fault]) -> None:
        """Another plan; live connections keep theirs, the server changes at once."""
        self.plan = FaultPlan(faults, self.plan.seed)
        if self._faults is not None:
            self._faults.close()
            self._faults = None
            self.start_faults()
            for knocked, joined in self._inside.values():
                self.faults.ask(knocked)
                self.faults.tell(joined)

    def connection_faults(self, perform: Callable[[Deed], None]) -> FaultRunner:
        """The plan's view of the next connection."""
        self._ordinal += 1
        return FaultRunner(self.plan, self._ordinal, perform)

    def join(self, joined: Joined) -> None:
        """A connection was let in; it counts until :meth:`leave`, under plans that come later as well."""
        self._inside[joined.connection] = (Knocked(connection=joined.connection, user=joined.user), joined)
        self.faults.tell(joined)

    def leave(self, connection: int) -> None:
        """A connection is no more, or was never let in; twice is fine."""
        self._inside.pop(connection, None)
        self.faults.tell(Left(connection=connection))

    def now(self) -> float:
        """Unix time in seconds by the server's clock, which may be wrong."""
        return time.time() + self.plan.skew[0]

    def stats(self) -> LabStats:
        """A snapshot; safe from any thread."""
        return self.counters.snapshot(self.hub.snapshot())

    def access_token(self, user: str, ttl: float | None = None) -> str:
        """A fresh access token; ``ttl`` in seconds, by default what the plan or the lab says."""
        return self.mint.issue(user, time.time(), ttl=self.plan.token_lifetime if ttl is None else ttl)

    def known(self, token: str) -> tuple[User, Claims]:
        """Whose access token this is.

        Raises:
            TokenRefused: nobody's.
        """
        skew, leeway = self.plan.skew
        claims = self.mint.verify(token, self.now() - leeway)
        if skew and claims.issued_at > self.now() + leeway:
            raise TokenRefused("token not yet valid")
        if claims.user not in USERS:
            raise TokenRefused("unknown user")
        return USERS[claims.user], claims

    def bot(self, bot: str) -> Bot:
        """The bot of that id or name.

        Raises:
            InvalidInput: there is none.
        """
        found = self.bots.get(bot) or next((b for b in self.bots.values() if b.name == bot), None)
        if found is None:
            raise InvalidInput("the lab has no such bot", expected=" or ".join(self.bots), got=bot, where="bot")
        return found

    def permitted(self, user: User, bot_id: object) -> Bot | None:
        """The bot of that id, if there is one and the user may talk to it."""
        if not isinstance(bot_id, str) or user.permission is None:
            return None
        denied = refusal(self.faults.ask(Asked(what="bot", bot=bot_id)))
        return None if denied else self.bots.get(bot_id)

    def session(self, bot: Bot, session_id: str | None) -> Session | None:
        """The conversation of that id with that bot, if there is one."""
        found = None if session_id is None else self.store.session(session_id)
        return found if found is not None and found.bot_id == bot.id else None

    def client_id(self, value: object) -> str | None:
        """The client's own id of a message; ``None`` when it has none, or when that means nothing here.

        Raises:
            ValidationError: pydantic's: it is no text of 1 to 200 characters.
        """
        if value is None or "idempotency" not in self.capabilities:
            return None
        return _CLIENT_ID.validate_python(value)

    def ring(self, bot_id: str) -> Ring:
        """The last messages of a bot; it stays empty unless the lab can resume."""
        return self._rings.setdefault(bot_id, Ring())

    def reach(self, source: int | None) -> Within:
        """Whom something reaches that came over that TCP connection; ``None`` reaches everybody."""
        if source is None:
            return everybody
        return lambda peer: Drop() not in self.faults.ask(Crossing(source=source, target=peer.arrival))

    def broadcast(
        self, bot_id: str, message: Message, *, besides: str | None = None, source: int | None = None
    ) -> None:
        """To everybody on the bot, as far as the faults permit.

        Args:
            bot_id: the bot.
            message: what to say.
            besides: a user whose own connections are left out.
            source: the number of the TCP connection that it comes from; ``None`` for the lab itself.
        """
        data = message["data"]
        moment = Sending(type=message["type"], is_typing=data.get("is_typing"), seq=data.get("seq"))
        actions = self.faults.tell(moment)
        if Drop() in actions:
            return
        self._keep(bot_id, message, besides)

        def send() -> None:
            for _ in range(1 + actions.count(Duplicate())):
                self.hub.broadcast(bot_id, message, besides=besides, within=self.reach(source))

        kind = (bot_id, moment.type, None if moment.seq is None else data.get("message_id"))
        hold = next((action for action in actions if isinstance(action, Hold)), None)
        if hold is not None:
            self._shelf.hold(kind, send, hold.seconds)
            return
        send()
        self._shelf.release(kind)

    def push(self, bot_id: str | None, message: Message) -> int:
        """Any message to everybody there (``None``: on the notifications endpoint), whatever the faults say.

        Returns:
            the number of connections it was posted to.
        """
        self._keep(bot_id, message, None)
        return self.hub.broadcast(bot_id, message)

    def _keep(self, bot_id: str | None, message: Message, besides: str | None) -> None:
        if bot_id is None or message.get("type") not in _REPLAYED or not {"resume", "mux"} & set(self.capabilities):
            return
        # What is pushed may have any shape.
        data = message.get("data")
        if isinstance(data, dict) and "message_id" in data:
            self.ring(bot_id).add(message, besides)

    def _do(self, deed: Deed) -> None:
        self.perform(deed)
