"""The lab as one object: ``async with`` on your own loop, or ``with`` on a thread of its own."""

from __future__ import annotations

import asyncio
import atexit
import time
from collections.abc import Callable, Coroutine, Iterable
from enum import Enum
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from chatkit import display
from chatkit.errors import InvalidInput, LabError
from chatkit.faults.parse import Fault
from chatkit.faults.plan import FaultPlan
from chatkit.lab import conversation, messages
from chatkit.lab.backend import Backend, RateLimit
from chatkit.lab.bots import Bot, BotInfo, choose_bots
from chatkit.lab.capabilities import choose_capabilities
from chatkit.lab.front import Front, split
from chatkit.lab.listener import check_loopback
from chatkit.lab.serving import Serving
from chatkit.lab.stats import LabStats
from chatkit.lab.tokens import Mint
from chatkit.lab.users import PASSWORD
from chatkit.recorder import Recorder
from chatkit.tap.hole import check_holes
from chatkit.tap.hop import Hop
from chatkit.tap.thread import LoopThread

T = TypeVar("T")

_PATIENCE = 10.0
"""Seconds that a call from another thread waits for the lab's loop."""


_BEHIND = "127.0.0.1"
"""Where the backend listens when a hop is in front of it."""


class LabState(Enum):
    """Where a lab is in its life."""

    NEW = "not started"
    """Constructed; nothing runs."""
    RUNNING = "running"
    """The port is bound (a crash may refuse connections for a while)."""
    CLOSED = "closed"
    """Over for good."""


class LabServer:
    """The embedded backend: the whole contract on uvicorn and FastAPI, with faults on demand.

    Nothing starts in the constructor. ``async with LabServer() as lab`` runs it on the caller's loop;
    ``with LabServer() as lab``, or ``start()`` and ``close()``, run it on a daemon thread with its own loop:
    that is what a notebook wants. It is closed at interpreter exit.

    Args:
        bots: :class:`Bot` objects, built-in ids (``echo``, ``storyteller``, ``slow``) or names of further
            echo bots; ``None`` for the three built-in ones.
        faults: texts as in ``--fault``, or :class:`Fault` values. When one acts on the path, a hop goes in front of
            the backend, and :attr:`url` and :attr:`ws_url` are the hop's.
        seed: decides everything random in faults and bots.
        host: a loopback address, unless ``i_know``.
        port: 0 for any free one.
        i_know: permits a host that other machines reach.
        database: a path, or ``":memory:"``.
        access_ttl: lifetime of access tokens in seconds.
        refresh_ttl: lifetime of refresh tokens in seconds.
        ws_ping_interval: seconds between the server's own RFC 6455 pings; ``None`` for none.
        ws_ping_timeout: seconds until a missing pong ends the connection with 1011; ``None`` for never.
        rate_limit: chat messages that one user may send in ``rate_window`` seconds; ``None`` for any number.
        rate_window: seconds.
        reject: bad tokens and missing permissions are refused ``"before"`` the upgrade is accepted (HTTP
            403), or closed with 4001 or 4003 ``"after"`` it.
        secret: signs the tokens, at least 32 bytes; ``None`` for a random one.
        capabilities: what the lab can do beyond the contract, and announces: ``idempotency``, ``resume``, ``mux``.
        send_via: with ``"websocket"`` users' messages may come over the chat socket as well.
        recorder: where every WebSocket is recorded as the server sees it, for comparing the two ends; the caller's.

    Raises:
        LabError: the host is not loopback, or this system cannot do a fault.
        InvalidInput: a fault, a bot, a capability or the secret cannot be used.

    >>> import chatkit
    >>> with chatkit.LabServer(faults=["early-ping-abort:window=3"]) as lab:
    ...     [bot.id for bot in lab.bots], [str(fault) for fault in lab.faults]
    (['echo', 'storyteller', 'slow'], ['early-ping-abort:window=3'])
    """

    user = "ada"
    """The default user."""
    password = PASSWORD
    """The password of every lab user."""

    def __init__(
        self,
        *,
        bots: Iterable[str | Bot] | None = None,
        faults: Iterable[str | Fault] = (),
        seed: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
        i_know: bool = False,
        database: str = ":memory:",
        access_ttl: float = 1800.0,
        refresh_ttl: float = 604_800.0,
        ws_ping_interval: float | None = None,
        ws_ping_timeout: float | None = 20.0,
        rate_limit: int | None = None,
        rate_window: float = 60.0,
        reject: Literal["before", "after"] = "before",
        secret: str | None = None,
        capabilities: Iterable[str] = (),
        send_via: Literal["http", "websocket"] = "http",
        recorder: Recorder | None = None,
    ) -> None:
        check_loopback(host, i_know)
        _check_way(send_via)
        on_server, on_path = split(faults)
        plan = FaultPlan(on_server, seed)
        check_holes(plan.faults)
        self._front = Front(on_path, seed=seed, host=host, port=port) if on_path else None
        self._database = database
        self._backend = Backend(
            bots=choose_bots(bots),
            mint=Mint(secret, access_ttl=access_ttl, refresh_ttl=refresh_ttl),
            plan=plan,
            rate=RateLimit(rate_limit, rate_window),
            reject=reject,
            capabilities=choose_capabilities(capabilities),
            send_via=send_via,
            recorder=recorder,
        )
        self._serving = Serving(
            self._backend,
            host=_BEHIND if on_path else host,
            port=0 if on_path else port,
            ws_ping_interval=ws_ping_interval,
            ws_ping_timeout=ws_ping_timeout,
        )
        self.state = LabState.NEW
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: LoopThread | None = None

    # Life

    async def __aenter__(self) -> Self:
        self._must_be(LabState.NEW)
        _check_stalls(self.faults)
        await self._open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._shut()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> Self:
        """Runs the lab on a thread of its own and returns when it listens; again is fine.

        Raises:
            LabError: the port is taken, or the lab was closed before.
        """
        if self.state is LabState.RUNNING:
            return self
        self._must_be(LabState.NEW)
        self._thread = LoopThread(self._open, self._shut, name="chatkit-lab")
        self._thread.start()
        atexit.register(self.close)
        return self

    def close(self) -> None:
        """Stops a lab that :meth:`start` started; connections get close 1012. Twice is fine."""
        if self._thread is not None:
            self._serving.wake()
            self._thread.stop()
            self._thread = None
            atexit.unregister(self.close)
        elif self.state is LabState.RUNNING:
            raise LabError("this lab runs on your own loop", remedy="leave its `async with` block")
        self.state = LabState.CLOSED

    async def _open(self) -> None:
        await self._serving.open(self._database)
        if self._front is not None:
            try:
                await self._front.open(self._serving.address)
            except BaseException:
                await self._serving.close()
                raise
        self._loop = asyncio.get_running_loop()
        self.state = LabState.RUNNING

    async def _shut(self) -> None:
        self.state = LabState.CLOSED
        try:
            await self._serving.close()
        finally:
            if self._front is not None:
                await self._front.close()

    # What it is

    @property
    def url(self) -> str:
        """``http://host:port``; the port is known once it runs. With faults on the path it is the hop's, and may be
        ``https``."""
        return self._hop.url if self._hop is not None else self.direct_url

    @property
    def ws_url(self) -> str:
        """``ws://host:port``, as :attr:`url`."""
        return self._hop.ws_url if self._hop is not None else f"ws://{self._address()}"

    @property
    def direct_url(self) -> str:
        """The backend itself, past the hop where there is one."""
        return f"http://{self._address()}"

    @property
    def ca_pem(self) -> str:
        """The CA to trust where a hop speaks TLS and its certificate is not the fault; else empty."""
        return self._hop.ca_pem if self._hop is not None else ""

    @property
    def bots(self) -> list[BotInfo]:
        """The bots, in the order in which they were chosen."""
        return [BotInfo(bot.id, bot.name) for bot in self._backend.bots.values()]

    @property
    def token(self) -> str:
        """A fresh access token of the default user, another one each time."""
        return self.token_for(self.user)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What goes wrong, on the server and on the path."""
        return (*self._backend.plan.faults, *(self._front.faults if self._front is not None else ()))

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What it can do beyond the contract."""
        return tuple(self._backend.capabilities)

    @property
    def stats(self) -> LabStats:
        """What the lab saw so far; safe from any thread."""
        return self._backend.stats()

    def token_for(self, user: str, ttl: float | None = None) -> str:
        """A fresh access token.

        Args:
            user: any name; one that the lab does not know is refused later.
            ttl: lifetime in seconds, negative for an expired one; ``None`` for the lab's own.
        """
        return self._backend.access_token(user, ttl)

    def ready(self) -> dict[str, Any]:
        """The ready line of ``chatkit lab``: the one place that shows the password and a token."""
        line = {
            "ready": True,
            "url": self.url,
            "ws_url": self.ws_url,
            "bots": [{"id": bot.id, "name": bot.name} for bot in self.bots],
            "user": self.user,
            "password": self.password,
            "token": self.token,
            "faults": [str(fault) for fault in self.faults],
        }
        line |= {"direct_url": self.direct_url} if self._front is not None else {}
        return line | ({"capabilities": list(self.capabilities)} if self.capabilities else {})

    def __repr__(self) -> str:
        place = self.url if self.state is LabState.RUNNING else self.state.value
        faults = ", ".join(map(str, self.faults)) or "none"
        return f"<LabServer {place}, bots: {', '.join(bot.id for bot in self.bots)}, faults: {faults}>"

    def _repr_html_(self) -> str | None:
        place = self.url if self.state is LabState.RUNNING else self.state.value
        facts = [
            ("bots", ", ".join(f"{bot.name} ({bot.id})" for bot in self.bots)),
            ("faults", ", ".join(map(str, self.faults)) or "none"),
            ("connections", str(len(self._backend.hub.snapshot()))),
        ]
        return display.glance("chatkit lab", place, facts)

    # What it keeps, from any thread

    def sessions(self) -> list[dict[str, Any]]:
        """All conversations, oldest first, each in the shape of the HTTP API.

        Raises:
            LabError: the lab does not run.
        """
        self._must_be(LabState.RUNNING)
        return self._now(lambda: [session.as_json() for session in self._backend.store.sessions()])

    def history(self, session_id: str) -> list[dict[str, Any]]:
        """The messages that are stored of a conversation, oldest first, in the shape of the HTTP API.

        Raises:
            LabError: there is no such conversation, or the lab does not run.
        """

        def read() -> list[dict[str, Any]]:
            if self._backend.store.session(session_id) is None:
                raise LabError("there is no such conversation", got=session_id)
            return self._backend.store.history(session_id)

        self._must_be(LabState.RUNNING)
        return self._now(read)

    # What one can do to it while it runs, from any thread

    def set_faults(self, faults: Iterable[str | Fault]) -> None:
        """Another set of faults: for connections opened from now on, and for the server as a whole at once.

        Raises:
            InvalidInput: a text that is no fault; the old ones stay.
            LabError: this system, this lab or a lab on your own loop cannot do one of them; the old ones stay.
        """
        wanted, on_path = split(faults)
        check_holes(wanted)
        if on_path and self._front is None:
            raise LabError(
                "this lab has no hop in front of it",
                expected="a lab that began with a fault on the path",
                where=f"fault {str(on_path[0])!r}",
                remedy="give the fault to LabServer(faults=…)",
            )
        if self._loop is not None and self._thread is None:
            _check_stalls(wanted)

        def change() -> None:
            if self._front is not None:
                self._front.set_faults(on_path)
            self._backend.set_faults(wanted)

        self._now(change)

    def cut(self, how: Literal["fin", "rst", "close"] = "fin", *, code: int = 1012, reason: str = "") -> None:
        """Ends every WebSocket now: without a close frame, or with ``close`` and that code."""
        if how == "close":
            self._now(lambda: self._serving.close_all(code, reason))
        else:
            self._now(lambda: self._serving.cut(how))

    async def say(self, user: str, bot: str, text: str, *, session_id: str | None = None, answer: bool = False) -> str:
        """Lets a user speak to a bot as if over HTTP; others on the bot get a ``chat_message``.

        Args:
            user: who speaks.
            bot: id or name.
            text: what is said.
            session_id: an existing conversation; ``None`` begins one.
            answer: let the bot reply, and wait for it.

        Returns:
            the id of the conversation.

        Raises:
            InvalidInput: no such bot.
            LabError: no such conversation, or the lab does not run.
        """

        async def speak() -> str:
            found = self._backend.bot(bot)
            known = self._backend.store.session(session_id) if session_id else None
            if session_id and known is None:
                raise LabError("there is no such conversation", got=session_id)
            question = conversation.take(self._backend, user, found, text, known)
            if answer:
                await conversation.answer(self._backend, question)
            return question.message.session_id

        return await self._there(speak)

    async def typing(self, user: str, bot: str, on: bool = True) -> None:
        """Shows a user typing (or no longer) to the others on the bot."""

        async def show() -> None:
            found = self._backend.bot(bot)
            indicator = messages.typing(bot_id=found.id, user_id=user, username=user, is_typing=on, at=time.time())
            self._backend.broadcast(found.id, indicator, besides=user)

        await self._there(show)

    async def push(self, bot: str | None, message: dict[str, Any]) -> int:
        """Sends any message to everybody on a bot (``None``: on the notifications endpoint).

        Returns:
            the number of connections it was sent to.
        """

        async def send() -> int:
            bot_id = None if bot is None else self._backend.bot(bot).id
            return self._backend.push(bot_id, message)

        return await self._there(send)

    # How it gets there

    @property
    def _hop(self) -> Hop | None:
        return self._front.hop if self._front is not None else None

    async def _there(self, action: Callable[[], Coroutine[Any, Any, T]]) -> T:
        loop = self._running_loop()
        if loop is asyncio.get_running_loop():
            return await action()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(action(), loop))

    def _now(self, action: Callable[[], T]) -> T:
        if self.state is LabState.NEW or self._running_loop() is _current_loop():
            return action()
        return _call(self._running_loop(), action)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        self._must_be(LabState.RUNNING)
        assert self._loop is not None
        return self._loop

    def _address(self) -> str:
        if not self._serving.address:
            raise LabError("the lab has no address yet", got=self.state.value, remedy="start() it, or use `with` it")
        return self._serving.address

    def _must_be(self, state: LabState) -> None:
        if self.state is not state:
            remedy = "make a new LabServer" if self.state is LabState.CLOSED else "use `with`, or start() it"
            raise LabError("the lab cannot do that now", expected=state.value, got=self.state.value, remedy=remedy)


def _current_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _call(loop: asyncio.AbstractEventLoop, action: Callable[[], T]) -> T:
    async def run() -> T:
        return action()

    called = asyncio.run_coroutine_threadsafe(run(), loop)
    try:
        return called.result(timeout=_PATIENCE)
    except TimeoutError:
        called.cancel()
        raise LabError("the lab does not answer", remedy="wait until its stall is over, or close() it") from None


def _check_way(send_via: str) -> None:
    if send_via not in ("http", "websocket"):
        raise InvalidInput(
            "users' messages cannot come that way", expected="http or websocket", got=send_via, where="send_via"
        )


def _check_stalls(faults: Iterable[Fault]) -> None:
    stalls = [fault for fault in faults if fault.id == "stall"]
    if stalls:
        raise LabError(
            "a stall would block your own loop",
            expected="a lab on a thread of its own",
            where=f"fault {str(stalls[0])!r}",
            remedy="use `with` or start() instead of `async with`",
        )
