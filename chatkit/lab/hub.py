"""Who is connected to which bot, and the way from one to all."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from chatkit.lab.messages import Message, iso

OUTBOX_LIMIT = 500
"""Messages that may wait for one slow reader before its connection is dropped."""


class Peer:
    """One live WebSocket as the rest of the lab sees it: something that can be posted to.

    Args:
        connection_id: as in ``connection_established``.
        user: who it belongs to.
        bot_id: the bot; ``None`` on the other endpoints.
        opened_at: Unix time in seconds.
        drop: ends the connection without close frame; called when the reader is too slow.
        mux: it carries the bots that it subscribes to, none at first.
        arrival: the number of its TCP connection.
    """

    def __init__(
        self,
        *,
        connection_id: str,
        user: str,
        bot_id: str | None,
        opened_at: float,
        drop: Callable[[], None],
        mux: bool = False,
        arrival: int = 0,
    ) -> None:
        self.connection_id = connection_id
        self.user = user
        self.bot_id = bot_id
        self.opened_at = opened_at
        self.mux = mux
        self.arrival = arrival
        self.subscriptions: dict[str, int] = {}
        """On a mux connection: its bots, each with the generation of the subscription."""
        self._drop = drop
        self._outbox: asyncio.Queue[tuple[str, ...]] = asyncio.Queue(OUTBOX_LIMIT)
        self._next: deque[str] = deque()

    def post(self, *messages: Message) -> None:
        """Queues messages; the order of posting is the order on the wire.

        What is posted together counts as one towards the limit: a replay is long, and its reader is not slow.
        """
        try:
            # ASCII on the wire: a lone surrogate in a user's text survives as an escape.
            self._outbox.put_nowait(tuple(map(json.dumps, messages)))
        except asyncio.QueueFull:
            self._drop()

    async def next_text(self) -> str:
        """The next message to write; cancelling loses nothing."""
        while not self._next:
            self._next.extend(await self._outbox.get())
        return self._next.popleft()

    def hears(self, bot_id: str | None) -> bool:
        """Whether it gets what is broadcast there; ``None`` is the notifications endpoint."""
        return bot_id in self.subscriptions if self.mux else bot_id == self.bot_id


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerInfo:
    """A snapshot of one live connection."""

    connection_id: str
    user: str
    bot_id: str | None
    opened_at: float
    """Unix time in seconds."""
    subscriptions: tuple[str, ...] | None = None
    """The bots of a mux connection; ``None`` on the other endpoints."""

    def as_json(self) -> dict[str, Any]:
        """The shape of ``/api/ws/connections``."""
        peer = {
            "connection_id": self.connection_id,
            "user_id": self.user,
            "bot_id": self.bot_id,
            "connected_at": iso(self.opened_at),
        }
        return peer if self.subscriptions is None else peer | {"subscriptions": list(self.subscriptions)}


Within = Callable[[Peer], bool]
"""Which peers count."""


def everybody(peer: Peer) -> bool:
    """All of them."""
    return True


class Hub:
    """All live peers. Used on the lab's loop only, but for :meth:`snapshot`."""

    def __init__(self) -> None:
        self._peers: dict[str, Peer] = {}

    def join(self, peer: Peer) -> None:
        """From now on the peer gets what is broadcast."""
        self._peers[peer.connection_id] = peer

    def leave(self, peer: Peer) -> None:
        """Twice is fine."""
        self._peers.pop(peer.connection_id, None)

    def broadcast(
        self, bot_id: str | None, message: Message, *, besides: str | None = None, within: Within = everybody
    ) -> int:
        """Posts to everybody on that bot (``None``: on the notifications endpoint).

        Args:
            bot_id: the bot.
            message: what to say.
            besides: a user whose own connections are left out.
            within: whom it can reach.

        Returns:
            the number of connections it was posted to.
        """
        peers = [peer for peer in self._on(bot_id) if peer.user != besides and within(peer)]
        for peer in peers:
            peer.post(message)
        return len(peers)

    def stats(self, within: Within = everybody) -> dict[str, Any]:
        """The shape of ``/api/ws/stats``; a mux connection is one connection and any number of subscriptions."""
        peers = [peer for peer in self._peers.values() if within(peer)]
        bots = Counter(peer.bot_id for peer in peers if peer.bot_id is not None)
        for peer in peers:
            bots.update(peer.subscriptions)
        users = {peer.user for peer in peers}
        return {
            "total_connections": len(peers),
            "connected_users": len(users),
            "bot_subscriptions": dict(bots),
        }

    def snapshot(self, within: Within = everybody) -> tuple[PeerInfo, ...]:
        """Who is connected, oldest first; safe from any thread."""
        # list() of a dict's values is one step under the interpreter's lock.
        return tuple(
            PeerInfo(
                connection_id=p.connection_id,
                user=p.user,
                bot_id=p.bot_id,
                opened_at=p.opened_at,
                subscriptions=tuple(p.subscriptions) if p.mux else None,
            )
            for p in list(self._peers.values())
            if within(p)
        )

    def _on(self, bot_id: str | None) -> Iterator[Peer]:
        return (peer for peer in list(self._peers.values()) if peer.hears(bot_id))
