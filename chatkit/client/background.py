"""``connect``: a client on the background engine, with plain calls for notebook cells.

``BackgroundChat`` is a façade beside the async ``ChatClient``: its calls block the cell, never the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chatkit import display
from chatkit.client.chat import ChatClient, Counters
from chatkit.client.credentials import Provider
from chatkit.client.delivery import Delivery, Reply
from chatkit.client.engine import engine
from chatkit.client.former import former
from chatkit.ending import Connection
from chatkit.errors import ChatkitError, ConnectFailed
from chatkit.policy.delivery import ChatMessage, DeliveryState
from chatkit.policy.health import HealthStatus
from chatkit.policy.outgoing import Item
from chatkit.policy.status import LIVE, RESTING, State, Status
from chatkit.profile import Profile
from chatkit.recorder import Recorder
from chatkit.trace import Trace


class BackgroundDelivery:
    """A message on its way, for cells: :meth:`wait` gives the reply."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery

    @property
    def state(self) -> DeliveryState:
        """Where the message is."""
        return self._delivery.state

    def wait(self, timeout: float | None = None) -> Reply:
        """The reply.

        Raises:
            TimeoutError: none within ``timeout`` seconds; the message is not taken back.
            ConnectionLost: its fate is unknown.
        """

        async def reply() -> Reply:
            return await self._delivery

        return engine().call(reply(), timeout)

    def _repr_html_(self) -> str | None:
        return self._delivery._repr_html_()

    def __repr__(self) -> str:
        return repr(self._delivery).replace("Delivery", "BackgroundDelivery", 1)


class BackgroundChat:
    """One conversation with one bot, on the engine. Made by :func:`connect`.

    Every call may be interrupted; the connection stays. :meth:`close` may be called twice and is called at the end
    of the interpreter.
    """

    def __init__(self, client: ChatClient, key: object) -> None:
        self.client = client
        self._key = key

    @property
    def status(self) -> Status:
        """State, since when, what comes next."""
        return self.client.status

    @property
    def messages(self) -> tuple[ChatMessage, ...]:
        """The conversation as it is shown."""
        return self.client.messages

    @property
    def url(self) -> str:
        """Base URL of the backend."""
        return self.client.api.base

    @property
    def token(self) -> str | None:
        """The access token in use, for handing it to another call; do not print it."""
        return self.client.api.credentials.token

    @property
    def recorder(self) -> Recorder:
        """Where the events go; hand it to a timeline to watch it grow."""
        return self.client.recorder

    @property
    def trace(self) -> Trace:
        """Everything recorded until now."""
        return self.client.trace

    @property
    def ended(self) -> tuple[Connection, ...]:
        """The connections that ended, oldest first."""
        return self.client.ended

    def unsent(self) -> tuple[Item, ...]:
        """Messages that did not go out, or whose arrival nobody confirmed, oldest first."""
        return self.client.unsent()

    @property
    def counters(self) -> Counters:
        """What happened so far, as numbers."""
        return engine().do(lambda: self.client.counters)

    def explain(self) -> str:
        """One paragraph: the state, why, since when, what happens next and when, what can be done."""
        return self.client.explain()

    def send(self, text: str) -> BackgroundDelivery:
        """Sends a message; ``.wait()`` gives the reply. Raises as ``ChatClient.send``."""
        return BackgroundDelivery(engine().do(lambda: self.client.send(text)))

    def typing(self, is_typing: bool = True) -> None:
        """Says that the user types; taken back by itself after 3 s."""
        engine().do(lambda: self.client.typing(is_typing))

    def check_health(self) -> HealthStatus:
        """Asks the health endpoint by HEAD and by GET and keeps both answers."""
        return engine().call(self.client.health.compare())

    def history(self) -> list[dict[str, Any]]:
        """The session's messages as the backend stores them, oldest first."""
        return engine().call(self.client.history())

    def reconnect(self) -> None:
        """Tries at once."""
        engine().do(self.client.reconnect)

    def set_token(self, token: str, refresh_token: str | None = None) -> None:
        """Uses another token from the next attempt on."""
        engine().do(lambda: self.client.set_token(token, refresh_token))

    def wait_until(self, until: Callable[[Status], bool], timeout: float) -> Status:
        """Waits until a status satisfies ``until``, at most ``timeout`` seconds; the status either way."""
        try:
            return engine().call(self.client.wait(until), timeout)
        except TimeoutError:
            return self.client.status

    def wait_live(self, timeout: float = 15.0) -> Status:
        """Waits until the connection is established or nothing more is tried."""
        return self.wait_until(lambda status: status.state in LIVE | RESTING, timeout)

    def wait_ended(self, connections: int, timeout: float) -> tuple[Connection, ...]:
        """Waits until so many connections have ended, at most ``timeout`` seconds; those that have."""
        enough = lambda status: len(self.client.ended) >= connections or status.state in RESTING  # noqa: E731
        self.wait_until(enough, timeout)
        return self.client.ended

    def hold(self, seconds: float) -> Connection:
        """Lets the connection live for so long, or until it ends; what has become of it.

        Raises:
            ConnectFailed: there is no connection to hold.
        """
        held = self.client.status.connection
        if held is None or not self.client.status.live:
            raise ConnectFailed("there is no live connection to hold", target=self.client.api.base, stage="established")
        self.wait_until(lambda status: not status.live or status.connection != held, seconds)
        return self.client.recorder.connection(held)

    def close(self) -> None:
        """Says goodbye and ends the recording."""
        engine().call(self._close())

    async def _close(self) -> None:
        await self.client.close()
        engine().disown(self._key, self._close)

    def _repr_html_(self) -> str | None:
        counted = f"{len(self.messages):,} shown, {len(self.unsent()):,} not sent or not confirmed"
        facts = [("backend", self.client.recorder.redactor.text(self.url)), ("messages", counted)]
        tone = "ok" if self.status.live else "remark"
        return display.glance(f"chat with {self.client.bot}", self.explain(), facts, tone)

    def __repr__(self) -> str:
        return f"<chat with {self.client.bot!r}: {self.status.word}>"


def connect(
    url: str,
    bot: str,
    *,
    token: str | Provider | None = None,
    user: str | None = None,
    password: str | None = None,
    refresh_token: str | None = None,
    profile: Profile | str | Path | None = None,
    policy: str = "default",
    queue: str | Path | None = None,
    record_to: str | Path | None = None,
    go_on: bool = False,
    proxy: bool = True,
    name: str | None = None,
    wait: float = 15.0,
) -> BackgroundChat:
    """Connects to a bot from a notebook; the conversation goes on whatever the cells do.

    Args:
        url: base URL of the backend, ``http://localhost:8000``.
        bot: the bot's id.
        token, user, password, refresh_token, profile, policy, queue, proxy: as for ``ChatClient``.
        record_to: file of the recording; where it exists, the next free ``name-2``, ``name-3`` … is taken.
        go_on: whether recording and conversation go on from what those files hold, after a restart of the process.
            Then a backend that is away is no error: what was found can be read, and attempts go on.
        name: a conversation of this name (by default: URL and bot) is replaced: re-running a cell leaks nothing.
        wait: seconds to wait until the connection is established.

    Raises:
        InvalidInput, AuthError, ConnectFailed: it cannot work as it was asked for; nothing is left behind.

    >>> import chatkit
    >>> lab = chatkit.start_lab()
    >>> chat = chatkit.connect(lab.url, "echo", token=lab.token)
    >>> chat.send("hello").wait().text
    'hello'
    >>> chat.close()
    >>> lab.close()
    """
    key = ("chat", name or f"{url} {bot}")

    async def make() -> ChatClient:
        path = Path(record_to) if record_to is not None else None
        before = await asyncio.to_thread(former, path) if go_on and path is not None else None
        # Retelling a long recording takes seconds, and other conversations live on this loop.
        client = await asyncio.to_thread(
            ChatClient,
            url,
            bot=bot,
            token=token,
            user=user,
            password=password,
            refresh_token=refresh_token,
            profile=profile,
            policy=policy,
            queue=queue,
            record_to=None if path is None else free_path(path),
            before=before,
            proxy=proxy,
        )
        try:
            await client.start()
        except BaseException:
            await client.close()
            raise
        return client

    engine().release(key)
    chat = BackgroundChat(engine().call(make()), key)
    engine().own(key, chat._close)
    chat.wait_until(lambda status: status.live or status.state in RESTING or status.attempt > 0, wait)
    error = chat.client.error
    goes_on = chat.recorder.former > 0 and chat.status.state not in RESTING
    if isinstance(error, ChatkitError) and not chat.status.live and not chat.ended and not goes_on:
        chat.close()
        raise error
    return chat


def free_path(path: Path) -> Path:
    """``path``, or the first of ``name-2``, ``name-3`` … that does not exist: a recording may be evidence."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_stem(f"{path.stem}-{number}")
    return free


__all__ = ["BackgroundChat", "BackgroundDelivery", "State", "connect"]
