"""Several bots over one socket, for backends that offer it: subscriptions on a shared link.

Each subscription has a generation: what the server says about an older one is stale. After every reconnect all bots
are subscribed again, from the last message that each has seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from chatkit.behaviour import Kind, Signal
from chatkit.client.connection import RecordedConnection
from chatkit.client.host import Host
from chatkit.client.life import Port
from chatkit.client.link import Link
from chatkit.ending import Connection
from chatkit.errors import ConnectFailed
from chatkit.policy.reconnect import Loss
from chatkit.policy.status import LIVE, State, Status
from chatkit.profile import Incoming


class Subscriber(Port, Protocol):
    """Who wants one bot's messages."""

    @property
    def last_id(self) -> str | None:
        """The server's id of the last message seen; what came after it is sent again."""


class Mux:
    """The shared socket; the port of its link.

    Args:
        host: the backend; its profile names the socket's path.

    Who makes it closes it, after the clients on it.
    """

    def __init__(self, host: Host) -> None:
        self._subscriptions: dict[str, Subscription] = {}
        self._connection: RecordedConnection | None = None
        self.link = Link(host, name="all bots", bot=None, url=host.api.mux_url, port=self, changed=self._changed)

    def subscription(self, bot: str, subscriber: Subscriber, changed: Callable[[str], None]) -> Subscription:
        """A bot's place on the socket; it is asked for when it is started."""
        return Subscription(self, bot, subscriber, changed)

    async def close(self) -> None:
        """Says goodbye and ends all tasks."""
        await self.link.close()

    # The port of the link

    def up(self, connection: RecordedConnection, hello: Incoming) -> None:
        """Established: everybody is subscribed (again)."""
        self._connection = connection
        for subscription in list(self._subscriptions.values()):
            subscription.ask()

    def heard(self, message: Incoming, connection: str) -> None:
        """A message goes to its bot; one that names none says nothing to a conversation."""
        subscription = self._subscriptions.get(message.bot_id or "")
        if subscription is not None:
            subscription.heard(message, connection, self._connection)

    def down(self, loss: Loss) -> None:
        """Gone, for everybody."""
        self._connection = None
        for subscription in list(self._subscriptions.values()):
            subscription.down(loss)

    def add(self, subscription: Subscription) -> None:
        """A bot is wanted."""
        self._subscriptions[subscription.bot] = subscription
        self.link.start()
        if self._connection is not None:
            subscription.ask()

    def remove(self, subscription: Subscription) -> None:
        """A bot is not wanted any more."""
        if self._subscriptions.get(subscription.bot) is subscription:
            del self._subscriptions[subscription.bot]

    def _changed(self, what: str) -> None:
        for subscription in list(self._subscriptions.values()):
            subscription.changed(what)


class Subscription:
    """One bot's place on a shared socket; used by its client as a link of its own. Made by :class:`Mux`."""

    def __init__(self, mux: Mux, bot: str, subscriber: Subscriber, changed: Callable[[str], None]) -> None:
        self.bot, self.changed = bot, changed
        self._mux, self._link, self._subscriber = mux, mux.link, subscriber
        self._profile = mux.link.profile
        self._name = bot
        self._generation = 0
        self._live = self._wanted = False
        self._closed: State | None = None
        self._refused: ConnectFailed | None = None

    # As a link

    @property
    def status(self) -> Status:
        """The shared link's, seen from this bot."""
        status = msgspec.structs.replace(self._link.status, bot=self._name)
        if self._closed is not None:
            return msgspec.structs.replace(status, state=self._closed, because="closed by us", retry_at=None)
        if self._refused is not None:
            return msgspec.structs.replace(
                status, state=State.FAILED, because=self._refused.what, kind=Kind.FORBIDDEN, retry_at=None
            )
        if not self._wanted and status.state not in (State.CLOSING, State.CLOSED):
            return msgspec.structs.replace(status, state=State.IDLE, because="", retry_at=None)
        if status.state in LIVE and not self._live:
            return msgspec.structs.replace(status, state=State.CONNECTING)
        return status

    @property
    def error(self) -> BaseException | None:
        """What stopped it."""
        return self._refused or self._link.error

    @property
    def ended(self) -> tuple[Connection, ...]:
        """Connections of the shared socket that ended."""
        return self._link.ended

    @property
    def rtt(self) -> float | None:
        """Round-trip time of the last ping, seconds."""
        return self._link.rtt

    @property
    def latency(self) -> float | None:
        """Moving average of the round trips, seconds."""
        return self._link.latency

    @property
    def connects(self) -> int:
        """Connections of the shared socket."""
        return self._link.connects

    @property
    def drops(self) -> dict[Kind, int]:
        """Losses of the shared socket by class."""
        return self._link.drops

    @property
    def silent_for(self) -> float | None:
        """Seconds since bytes last came."""
        return self._link.silent_for

    def start(self) -> None:
        """Asks for the bot."""
        if not self._wanted and self._closed is None:
            self._wanted = True
            self._mux.add(self)
            self.changed("state")

    async def wait(self, until: Callable[[Status], bool]) -> Status:
        """Waits until this bot's status satisfies ``until``."""
        await self._link.wait(lambda status: until(self.status))
        return self.status

    async def ready(self) -> None:
        """Waits until the bot is subscribed. Raises as :meth:`Link.ready`."""
        await self.wait(lambda status: status.live or status.state is State.FAILED or self._link.status.attempt > 0)
        if not self.status.live:
            if self._refused is not None:
                raise self._refused
            await self._link.ready()

    def reconnect(self) -> None:
        """Asks again."""
        self._refused = None
        if not self._wanted:
            self.start()
        elif self._link.status.live and not self._live:
            self.ask()
        else:
            self._link.reconnect()

    def park(self) -> None:
        """Takes the subscription back for now."""
        self._leave()
        self.changed("state")

    async def close(self) -> None:
        """Takes the subscription back for good; the socket stays for the others."""
        self._leave()
        self._closed = State.CLOSED
        self._link.wake()
        self.changed("state")

    def fail(self, error: BaseException) -> None:
        """A defect of ours in this bot's client; the others go on."""
        self._refused = ConnectFailed(f"chatkit failed: {type(error).__name__}: {error}", target=self.bot, stage="open")
        self._leave()
        self._link.wake()

    def send(self, text: str, generation: int) -> None:
        """As :meth:`Link.send`."""
        self._link.send(text, generation)

    # What the socket says

    def ask(self) -> None:
        """Subscribes, from the last message seen."""
        self._generation += 1
        since = self._subscriber.last_id
        self._link.send(self._profile.subscribe(self.bot, self._generation, since), self._link.status.generation)

    def heard(self, message: Incoming, connection: str, on: RecordedConnection | None) -> None:
        """A message about this bot."""
        if message.kind == "subscribed":
            if message.generation == self._generation and on is not None:
                self._name = message.bot_name or self._name
                self._live = True
                self._subscriber.up(on, message)
                self._link.wake()
                self.changed("state")
        elif message.kind == "error" and not self._live:
            self._refused = ConnectFailed(
                f"the backend does not let us on this bot: {message.detail}", target=self.bot, stage="established"
            )
            self._link.wake()
            self.changed("state")
        elif self._live:
            self._subscriber.heard(message, connection)

    def down(self, loss: Loss) -> None:
        """The shared connection is gone."""
        if self._live:
            self._live = False
            self._subscriber.down(loss)

    def _leave(self) -> None:
        if self._wanted:
            self._wanted = False
            self._mux.remove(self)
            self._link.send(self._profile.unsubscribe(self.bot, self._generation), self._link.status.generation)
        self.down(Loss(signal=Signal.LOCAL_CLOSE))
