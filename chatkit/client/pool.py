"""``BotPool``: several bots of one backend over few sockets.

One host serves them all: its tokens, its pace of attempts, its health. A bot's socket opens when somebody wants the
bot, lingers for a while after the last one left, and is given up for another bot when the sockets are used up; what
the bot said, and what waits to be sent, is kept. Where the backend carries several bots over one socket, one it is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec import Struct

from chatkit.client.chat import ChatClient, make_host
from chatkit.client.connection import RecordedConnection
from chatkit.client.credentials import Provider
from chatkit.client.link import Link
from chatkit.client.mux import Mux
from chatkit.errors import ConnectionEnded, InvalidInput
from chatkit.policy.delivery import ChatMessage
from chatkit.policy.reconnect import Loss
from chatkit.policy.seen import Seen
from chatkit.policy.status import State, Status
from chatkit.profile import Incoming, Profile
from chatkit.recorder import Recorder

STREAM_LIMIT = 1000
"""Messages that wait for a slow reader of the merged stream; then the oldest go, and are counted."""
_SOCKETLESS = frozenset({State.IDLE, State.CLOSING, State.CLOSED, State.FAILED, State.AUTH_REQUIRED})


class PoolMessage(Struct, frozen=True, kw_only=True):
    """One message of the merged stream."""

    bot: str | None
    """The bot's id; ``None`` for a notification that names none."""
    bot_name: str
    message: ChatMessage | None = None
    """What was said, whole; ``None`` for a notification."""
    notification: Incoming | None = None
    """What came on the notifications endpoint."""


class _Entry:
    """One bot of the pool."""

    def __init__(self, client: ChatClient) -> None:
        self.client = client
        self.refs = 0
        self.used = 0.0
        self.wants_socket = True
        self.opening = False
        """Whether it was told to open its socket and has not begun yet."""
        self.linger: asyncio.TimerHandle | None = None
        self.told: Seen[str, bool] = Seen()


class BotPool:
    """Several bots of one backend.

    Args:
        url: base URL of the backend.
        token, user, password, refresh_token, profile, policy, queue, recorder, record_to, proxy: as for
            ``ChatClient``; one queue file serves all bots.
        max_sockets: sockets that may be open at once. A bot beyond them waits for a place; its messages go out over
            HTTP meanwhile, where they do.
        linger: seconds that a bot's socket stays after the last one left.

    ``async with`` logs in and ends everything; nothing connects before a bot is wanted. Cancelling any call leaves the
    pool as it is.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | Provider | None = None,
        user: str | None = None,
        password: str | None = None,
        refresh_token: str | None = None,
        profile: Profile | str | Path | None = None,
        policy: str = "default",
        queue: str | Path | None = None,
        recorder: Recorder | None = None,
        record_to: str | Path | None = None,
        proxy: bool = True,
        max_sockets: int = 8,
        linger: float = 30.0,
    ) -> None:
        if max_sockets < 1:
            raise InvalidInput("a pool needs a socket", expected="1 or more", got=max_sockets, where="max_sockets")
        if (user is None) != (password is None):
            raise InvalidInput("a login needs both user and password", where="user, password")
        self.host = make_host(url, token, refresh_token, profile, policy, recorder, record_to, proxy)
        self._owns_recorder = recorder is None
        self._login = (user, password) if user is not None and password is not None else None
        self._queue, self._most, self._linger = queue, max_sockets, linger
        self._mux = Mux(self.host) if self.host.profile.paths.mux_socket is not None else None
        self._entries: dict[str, _Entry] = {}
        self._notifications: Link | None = None
        self._streams: list[_Stream] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()
        self._closed = False

    async def __aenter__(self) -> Self:
        try:
            if self._login is not None:
                await self.host.api.login(*self._login)
            await self.host.renew_first()
        except BaseException:
            await self.close()
            raise
        self.host.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes every bot, the shared socket, the host; twice is fine."""
        if self._closed:
            return
        self._closed = True
        entries, self._entries = list(self._entries.values()), {}
        for entry in entries:
            if entry.linger is not None:
                entry.linger.cancel()
        await asyncio.gather(*(entry.client.close() for entry in entries), *self._closing)
        for link in (self._notifications, self._mux.link if self._mux is not None else None):
            if link is not None:
                await link.close()
        for stream in self._streams:
            stream.end()
        await self.host.close()
        if self._owns_recorder:
            await asyncio.to_thread(self.host.recorder.close)

    # Bots

    @asynccontextmanager
    async def bot(self, bot: str) -> AsyncIterator[ChatClient]:
        """The conversation with a bot, for as long as the block lasts; others may use it at the same time."""
        client = await self.acquire(bot)
        try:
            yield client
        finally:
            self.release(bot)

    async def acquire(self, bot: str) -> ChatClient:
        """The conversation with a bot; :meth:`release` it as often as it was acquired.

        Returns before its connection is there; ``await client.ready()`` waits for it.

        Raises:
            ConnectionEnded: the pool is closed.
            InvalidInput: no bot is named, or the queue's file cannot be used.
        """
        async with self._lock:
            if self._closed:
                raise ConnectionEnded("the pool is closed", remedy="make another one")
            entry = self._entries.get(bot)
            if entry is None:
                entry = self._entries[bot] = self._make(bot)
                try:
                    await entry.client.start()
                except BaseException:
                    del self._entries[bot]
                    await entry.client.close()
                    raise
            entry.refs += 1
            if entry.linger is not None:
                entry.linger.cancel()
                entry.linger = None
            self._touch(entry)
            return entry.client

    def release(self, bot: str) -> None:
        """One user of a bot less; after the last one its socket lingers, then closes."""
        entry = self._entries.get(bot)
        if entry is None or entry.refs == 0:
            return
        entry.refs -= 1
        if entry.refs == 0:
            entry.linger = asyncio.get_running_loop().call_later(self._linger, self._retire, bot, entry)

    @property
    def status(self) -> dict[str, Status]:
        """Every bot's state, by id."""
        return {bot: entry.client.status for bot, entry in self._entries.items()}

    @property
    def sockets(self) -> int:
        """Sockets in use, the shared one included and that of the notifications not."""
        if self._mux is not None:
            return int(self._mux.link.status.state not in _SOCKETLESS)
        return len(self._holding())

    def explain(self) -> str:
        """One paragraph for each bot."""
        return "\n".join(f"{bot}: {entry.client.explain()}" for bot, entry in self._entries.items())

    # Everything that is said

    def messages(self) -> AsyncIterator[PoolMessage]:
        """What all bots say from now on, whole messages in the order in which they come; ends with the pool."""
        stream = _Stream()
        self._streams.append(stream)
        return stream

    def notifications(self) -> None:
        """Listens to the notifications endpoint as well; what comes joins the merged stream."""
        if self._notifications is None:
            port = _Notifications(self._tell)
            url = lambda: self.host.api.socket_url(None)  # noqa: E731
            self._notifications = Link(
                self.host, name="notifications", bot=None, url=url, port=port, changed=lambda what: None
            )
            self._notifications.start()

    # Inside

    def _make(self, bot: str) -> _Entry:
        client = ChatClient(bot=bot, host=self.host, mux=self._mux, queue=self._queue)
        entry = _Entry(client)
        client.subscribe(lambda what: self._see(bot, entry, what))
        client.park()  # a place comes first
        return entry

    def _see(self, bot: str, entry: _Entry, what: str) -> None:
        if what == "delivery":
            self._touch(entry)
        elif what == "message":
            for message in entry.client.messages[-20:]:
                theirs = message.via != "local" and message.state == "complete"
                if theirs and entry.told.get(message.key, 0.0) is None:
                    entry.told.put(message.key, True, 0.0)
                    self._tell(PoolMessage(bot=bot, bot_name=entry.client.status.bot, message=message))
        elif what == "state":
            entry.opening = entry.opening and entry.client.status.state is State.IDLE
            self._serve_waiting()

    def _tell(self, message: PoolMessage) -> None:
        for stream in self._streams:
            stream.put(message)

    def _touch(self, entry: _Entry) -> None:
        """Somebody uses the bot: it wants a socket, and is the last to give it up."""
        entry.used = asyncio.get_running_loop().time()
        if entry.client.status.state is State.IDLE and not entry.opening:
            entry.wants_socket = True
            self._find_place(entry)

    def _holding(self) -> list[_Entry]:
        entries = self._entries.values()
        return [entry for entry in entries if entry.opening or entry.client.status.state not in _SOCKETLESS]

    def _find_place(self, entry: _Entry) -> None:
        """Opens the bot's socket; where all places are taken, the bot that was used least lately gives up its own."""
        holding = [other for other in self._holding() if other is not entry]
        if self._mux is None and len(holding) >= self._most:
            loose = [other for other in holding if not other.client.waiting.queued and not other.client.busy]
            if not loose:
                return  # it is served when one of them is done
            oldest = min(loose, key=lambda other: (other.refs > 0, other.used))
            oldest.wants_socket = oldest.opening = False
            oldest.client.park()
            if oldest in self._holding():
                return  # its place is free once its goodbye is said
        entry.wants_socket, entry.opening = False, True
        entry.client.reconnect()

    def _serve_waiting(self) -> None:
        waiting = [e for e in self._entries.values() if e.wants_socket and e.client.status.state is State.IDLE]
        if waiting and (self._mux is not None or len(self._holding()) < self._most):
            self._find_place(max(waiting, key=lambda entry: entry.used))

    def _retire(self, bot: str, entry: _Entry) -> None:
        """Nobody came back: the conversation is closed."""
        if entry.refs == 0 and self._entries.get(bot) is entry:
            del self._entries[bot]
            task = asyncio.get_running_loop().create_task(entry.client.close(), name=f"chatkit pool closes {bot}")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            task.add_done_callback(lambda done: self._serve_waiting())


class _Stream:
    """A reader of the merged stream."""

    def __init__(self) -> None:
        self._waiting: deque[PoolMessage] = deque(maxlen=STREAM_LIMIT)
        self._news = asyncio.Event()
        self._ended = False
        self.dropped = 0
        """Messages that a reader was too slow for."""

    def put(self, message: PoolMessage) -> None:
        self.dropped += len(self._waiting) == STREAM_LIMIT
        self._waiting.append(message)
        self._news.set()

    def end(self) -> None:
        self._ended = True
        self._news.set()

    def __aiter__(self) -> AsyncIterator[PoolMessage]:
        return self

    async def __anext__(self) -> PoolMessage:
        while not self._waiting:
            if self._ended:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._waiting.popleft()


class _Notifications:
    """The port of the notifications' link."""

    def __init__(self, tell: Callable[[PoolMessage], None]) -> None:
        self._tell = tell

    def up(self, connection: RecordedConnection, hello: Incoming) -> None:
        """Nothing to catch up: notifications are news of their moment."""

    def heard(self, message: Incoming, connection: str) -> None:
        if message.kind not in ("pong", "synced"):
            self._tell(PoolMessage(bot=message.bot_id, bot_name=message.bot_name or "", notification=message))

    def down(self, loss: Loss) -> None:
        """Its link tries again."""
