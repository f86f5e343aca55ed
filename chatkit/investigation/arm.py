"""One arm: a connection of ours with one treatment, from the attempt to the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from websockets.exceptions import ConnectionClosed

from chatkit.client.connection import RecordedConnection, close_quietly, write_quietly
from chatkit.client.http import HttpApi
from chatkit.client.opening import open_connection
from chatkit.client.tasks import Tasks
from chatkit.errors import ChatkitError, ConnectFailed
from chatkit.events import ArmStarted, BadMessageReceived, Established
from chatkit.experiments.progress import ArmLine
from chatkit.experiments.treatments import Doing, Treatment
from chatkit.recorder import Recorder

GREETING = 5.0
"""Seconds that an arm waits for the backend's first message before it begins."""
SAMPLE = 1.0
"""Seconds between two looks at the kernel's view of the connection."""
GARBAGE = "not-a-token"
GREETINGS = ("hello", "are you there?", "one more", "and another")
"""What is said to a bot: short, and harmless to whoever else reads it."""


class Arm:
    """One connection with one treatment.

    Args:
        treatment: what is done.
        api: of the way in that it goes; names URL and headers, and holds the token.
        bot: the bot's id.
        recorder: where its events go.
        role: as :class:`chatkit.events.ArmStarted` says it.
        began: monotonic time at which the investigation began.
        say: sends a chat message of this number.
        agent: who we say that we are.
        timeout: seconds that opening may take.

    :meth:`run` does it all and returns when the connection is over; :meth:`leave` has it say goodbye. Cancelling
    :meth:`run` cuts the connection.
    """

    def __init__(
        self,
        treatment: Treatment,
        *,
        api: HttpApi,
        bot: str,
        recorder: Recorder,
        role: str,
        began: float,
        say: Callable[[int], Coroutine[Any, Any, None]],
        agent: str,
        proxy: bool = True,
        timeout: float = 10.0,
    ) -> None:
        self.treatment, self.role = treatment, role
        self._api, self._bot, self._recorder, self._proxy = api, treatment.bot or bot, recorder, proxy
        self._began, self._say, self._agent, self._timeout = began, say, agent, timeout
        self.connection: RecordedConnection | None = None
        self.id: str | None = None
        self.failure: ConnectFailed | None = None
        self.opened = asyncio.Event()
        """Set when it is open, or will not be."""
        self.over = asyncio.Event()
        """Set when it has ended, or never opened."""
        self.left = False
        """Whether we ended it."""
        self.gave_up = False
        """Whether a ping stayed unanswered for as long as a client waits."""
        self._turn = asyncio.Event()
        self._defect: BaseException | None = None
        self._greeted = asyncio.Event()
        self._tried_at = time.monotonic()
        self._opened_at: float | None = None
        self.ended_at: float | None = None
        """When it ended, by the monotonic clock; ``None`` while it lives."""
        self._acts: list[float] = []
        self._waiting: dict[str, float] = {}
        """Since when a ping of each kind has waited for its pong."""

    # What it is

    @property
    def alive(self) -> bool:
        """Whether it is open."""
        return self.connection is not None and not self.over.is_set()

    @property
    def age(self) -> float:
        """Seconds that it has lived."""
        if self._opened_at is None:
            return 0.0
        return (self.ended_at or time.monotonic()) - self._opened_at

    @property
    def waiting(self) -> float:
        """Seconds for which its oldest unanswered ping has waited."""
        since = min(self._waiting.values(), default=None)
        return 0.0 if since is None or not self.alive else time.monotonic() - since

    def line(self) -> ArmLine:
        """How it stands."""
        return ArmLine(
            id=self.treatment.id,
            connection=self.id,
            what=self.treatment.what,
            state=self._state(),
            opened=None if self._opened_at is None else self._opened_at - self._began,
            age=round(self.age, 2),
            acts=tuple(self._acts[-200:]),
            ending=self._ending(),
        )

    def _state(self) -> str:
        if self.failure is not None:
            return "refused"
        if self.over.is_set():
            return "closed" if self.left else "ended"
        if self._opened_at is not None:
            return "alive"
        return "opening" if self.id is not None else "waiting"

    def _ending(self) -> str:
        if self.failure is not None:
            return self.failure.what
        if self.id is None or not self.over.is_set() or self.left:
            return ""
        ending = self._recorder.connection(self.id).ending
        return ending.words if ending is not None else ""

    # What it does

    async def run(self) -> None:
        """Opens the connection, does what the treatment says, and stays until the other side ends it or we leave."""
        try:
            await self._open()
            if self.connection is not None:
                await self._live(self.connection)
        finally:
            if self.connection is not None:
                self.ended_at = self.ended_at or time.monotonic()
                self.connection.abort()
            self.opened.set()
            self.over.set()

    def leave(self) -> None:
        """Has it say goodbye, if it has not ended."""
        self.left = self.left or self.ended_at is None
        self._turn.set()

    def _crashed(self, error: BaseException) -> None:
        self._defect = error
        self.leave()

    async def _open(self) -> None:
        treatment = self.treatment
        self._tried_at = time.monotonic()
        try:
            self.connection = await open_connection(
                self._url(),
                self._recorder,
                headers=self._headers(),
                origin=treatment.origin,
                compression=treatment.compression,
                subprotocols=list(treatment.subprotocols) or None,
                max_size=self._api.profile.client.max_size,
                proxy=self._proxy,
                timeout=self._timeout,
                started=self._started,
            )
        except ConnectFailed as error:
            self.failure = error
            return
        self._opened_at = time.monotonic()
        self.opened.set()

    def _started(self, id: str) -> None:
        self.id = id
        treatment = self.treatment
        self._recorder.record(
            ArmStarted,
            connection=id,
            arm=treatment.id,
            role=self.role,
            what=treatment.what,
            alters=treatment.alters,
            settings=treatment.settings(),
        )

    def _url(self) -> str:
        url, query = self._api.socket_url(self._bot).partition("?")[::2]
        if self.treatment.path is not None:
            url = "ws" + self._api.base.removeprefix("http") + self.treatment.path
        auth = self._api.profile.auth
        if self.treatment.token != "good":
            garbage = self.treatment.token == "garbage" and auth.socket == "query"
            query = urlencode({auth.parameter: GARBAGE}) if garbage else ""
        return url + (f"?{query}" if query else "")

    def _headers(self) -> list[tuple[str, str]]:
        named = [("User-Agent", self._agent)]
        if self.treatment.token == "good":
            return named + self._api.socket_headers()
        if self.treatment.token == "garbage" and self._api.profile.auth.socket == "header":
            return [*named, ("Authorization", f"Bearer {GARBAGE}")]
        return named

    async def _live(self, connection: RecordedConnection) -> None:
        tasks = Tasks(self._crashed)
        works = (self._read(connection), self._act(connection), self._sample(connection))
        for work, name in zip(works, ("reads", "acts", "samples"), strict=True):
            tasks.spawn(work, f"arm {self.treatment.id} {name}")
        try:
            await self._turn.wait()
            if self.ended_at is None:
                self.ended_at = time.monotonic()
                await close_quietly(connection)
            elif not self.left:
                # The transport's end comes after the exception, and is half of the ending.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await connection.wait_closed()
        finally:
            await tasks.close()
        if self._defect is not None:
            raise self._defect

    async def _read(self, connection: RecordedConnection) -> None:
        """Reads to the end; a reader that stops would be the cause."""
        profile = self._api.profile
        with contextlib.suppress(ConnectionClosed):
            while True:
                message = profile.read(await connection.recv())
                if message.kind == "pong":
                    self._waiting.pop("app-ping", None)
                elif message.kind in ("invalid", "unknown"):
                    detail = message.detail or message.type or message.kind
                    self._recorder.record(BadMessageReceived, connection=self.id, detail=detail[:300])
                elif message.kind == "established" and not self._greeted.is_set():
                    self._recorder.record(
                        Established, connection=self.id, seconds=round(time.monotonic() - self._tried_at, 6)
                    )
                self._greeted.set()
        self.ended_at = self.ended_at or time.monotonic()
        self._turn.set()

    async def _act(self, connection: RecordedConnection) -> None:
        """The treatment's doings, each at its time after the greeting."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GREETING):
                await self._greeted.wait()
        assert self._opened_at is not None
        begin = time.monotonic()
        due = [(doing.at, n, doing) for n, doing in enumerate(self.treatment.doings)]
        done = dict.fromkeys(range(len(due)), 0)
        while due:
            due.sort(key=lambda one: one[:2])
            at, n, doing = due.pop(0)
            await asyncio.sleep(max(0.0, begin + at - time.monotonic()))
            await self._do(connection, doing, done[n])
            done[n] += 1
            if doing.every is not None and (doing.times is None or done[n] < doing.times):
                due.append((at + doing.every, n, doing))

    async def _do(self, connection: RecordedConnection, doing: Doing, count: int) -> None:
        assert self._opened_at is not None
        self._acts.append(round(time.monotonic() - self._opened_at, 3))
        profile = self._api.profile
        match doing.what:
            case "app-ping":
                await write_quietly(connection, profile.ping(datetime.now(UTC).isoformat()))
                self._waiting.setdefault("app-ping", time.monotonic())
            case "protocol-ping":
                with contextlib.suppress(ConnectionClosed):
                    pong = await connection.ping()
                    assert isinstance(pong, asyncio.Future)
                    self._waiting.setdefault("protocol-ping", time.monotonic())
                    pong.add_done_callback(lambda _: self._waiting.pop("protocol-ping", None))
            case "typing":
                await write_quietly(connection, _padded(profile.typing(count % 2 == 0), doing.size or 0))
            case "sync":
                await write_quietly(connection, profile.sync("chatkit-investigation"))
            case "message" if profile.send.via == "websocket":
                await write_quietly(connection, profile.message(GREETINGS[count % len(GREETINGS)], None))
            case "message":
                with contextlib.suppress(ChatkitError):
                    await self._say(count)
            case "replay":
                await write_quietly(connection, _filler(doing.size or 2))

    async def _sample(self, connection: RecordedConnection) -> None:
        """Looks at TCP, and gives up where a client would."""
        rules = self._api.profile.client
        while True:
            await asyncio.sleep(SAMPLE)
            connection.sample_tcp()
            unheard = not self._greeted.is_set() and self.age >= rules.connect_timeout
            if unheard or (self.treatment.until is not None and self.age >= self.treatment.until):
                self.leave()
            since = min(self._waiting.values(), default=None)
            if since is not None and time.monotonic() - since >= rules.pong_timeout:
                self.gave_up = True
                await close_quietly(connection, 1011, "keepalive ping timeout")
                return


def _padded(text: str, size: int) -> str:
    """A message of at least that size: with a key that means nothing, and that no compression makes small."""
    missing = size - len(text) - len(', "padding": ""')
    if missing <= 0:
        return text
    return text[:-1] + f', "padding": "{os.urandom(missing // 2 + 1).hex()[:missing]}"}}'


def _filler(size: int) -> str:
    """A JSON text of that size whose content means nothing."""
    return '{"type": "chatkit-filler", "data": "' + "x" * max(0, size - 38) + '"}'
