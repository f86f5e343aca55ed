"""Who hears what."""

from __future__ import annotations

import asyncio
import json

from chatkit.lab.backend import RateLimit
from chatkit.lab.hub import OUTBOX_LIMIT, Hub, Peer


def peer(name: str, user: str = "ada", bot: str | None = "echo", dropped: list[str] | None = None) -> Peer:
    """Somebody connected."""
    dropped = [] if dropped is None else dropped
    return Peer(connection_id=name, user=user, bot_id=bot, opened_at=0.0, drop=lambda: dropped.append(name))


async def heard(one: Peer) -> object:
    """The next message for that peer, or ``None``."""
    try:
        return json.loads(await asyncio.wait_for(one.next_text(), 0.01))
    except TimeoutError:
        return None


async def test_broadcast() -> None:
    """By bot, and without the one who speaks."""
    hub, ada, grace, other, notified = (
        Hub(),
        peer("1"),
        peer("2", "grace"),
        peer("3", bot="slow"),
        peer("4", bot=None),
    )
    for one in (ada, grace, other, notified):
        hub.join(one)
    assert hub.broadcast("echo", {"type": "x"}, besides="ada") == 1
    assert hub.broadcast(None, {"type": "y"}) == 1
    assert [await heard(one) for one in (ada, grace, other, notified)] == [
        None,
        {"type": "x"},
        None,
        {"type": "y"},
    ]


async def test_joining_and_leaving() -> None:
    """Leaving twice is fine; numbers follow."""
    hub, one = Hub(), peer("1")
    hub.join(one)
    assert hub.stats() == {"total_connections": 1, "connected_users": 1, "bot_subscriptions": {"echo": 1}}
    assert [p.connection_id for p in hub.snapshot()] == ["1"]
    hub.leave(one)
    hub.leave(one)
    assert hub.stats() == {"total_connections": 0, "connected_users": 0, "bot_subscriptions": {}}


async def test_a_full_outbox_drops_its_reader() -> None:
    """Order is kept up to the limit."""
    dropped: list[str] = []
    slow = peer("slow", dropped=dropped)
    for n in range(OUTBOX_LIMIT):
        slow.post({"n": n})
    assert dropped == []
    slow.post({"n": "too many"})
    assert dropped == ["slow"]
    assert [await heard(slow), await heard(slow)] == [{"n": 0}, {"n": 1}]


async def test_what_is_posted_together_counts_once() -> None:
    """A replay longer than the limit drops nobody, and what follows comes after it."""
    dropped: list[str] = []
    one = peer("1", dropped=dropped)
    one.post(*({"n": n} for n in range(OUTBOX_LIMIT + 1)))
    one.post()
    one.post({"n": "live"})
    heard_all = [await heard(one) for _ in range(OUTBOX_LIMIT + 2)]
    assert heard_all == [*({"n": n} for n in range(OUTBOX_LIMIT + 1)), {"n": "live"}]
    assert (dropped, await heard(one)) == ([], None)


async def test_a_mux_peer_hears_its_subscriptions() -> None:
    """And no notices for everybody."""
    hub = Hub()
    mux = Peer(connection_id="m", user="ada", bot_id=None, opened_at=0.0, drop=lambda: None, mux=True)
    hub.join(mux)
    assert [hub.broadcast(bot, {"type": "x"}) for bot in ("echo", None)] == [0, 0]
    mux.subscriptions["echo"] = 1
    assert [hub.broadcast(bot, {"type": "x"}) for bot in ("echo", "slow", None)] == [1, 0, 0]
    assert hub.stats()["bot_subscriptions"] == {"echo": 1}
    assert hub.snapshot()[0].as_json()["subscriptions"] == ["echo"]


def test_the_rate_limit_slides() -> None:
    """The oldest message makes room first."""
    rate = RateLimit(2, 10)
    assert [rate.take("ada", now) for now in (0, 4, 5)] == [0, 0, 5]
    assert rate.take("grace", 5) == 0
    assert [rate.take("ada", now) for now in (10, 11, 14)] == [0, 3, 0]
    assert RateLimit(None, 10).take("ada", 0) == 0
    assert RateLimit(0, 10).take("ada", 0) == 10
