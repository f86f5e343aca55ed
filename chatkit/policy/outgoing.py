"""What waits to be sent: who gets in, who goes next, who goes no more; pure.

Counterpart of ``chatkit.client.outbox``, which holds the items and knows the clocks. All times of an item but
``created`` lie on its own axis: seconds of its age. So a wall clock that is set changes none of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice, takewhile

from msgspec import Struct

from chatkit.behaviour import Client
from chatkit.errors import InvalidInput
from chatkit.policy.delivery import DeliveryState

IN_FLIGHT = 10
"""Messages of one bot that may be under way at the same time."""
FAILURES = 3
"""Server failures right after a send that make a message poison."""
FAILURE_WINDOW = 60.0
"""Seconds within which they must fall."""

# Looking a member up in its class takes longer than comparing it, and queues are searched message by message.
_QUEUED, _UNKNOWN = DeliveryState.QUEUED, DeliveryState.UNKNOWN
_UNCONFIRMED = (DeliveryState.WRITTEN, DeliveryState.UNKNOWN)


class Item(Struct, frozen=True, kw_only=True):
    """One message on its way out."""

    id: str
    """``client_message_id``, as :func:`new_id` makes it."""
    bot: str
    text: str
    session_id: str | None = None
    created: float
    """Unix time, seconds; read only when another process takes the message over."""
    ttl: float
    """Seconds of age after which it is not sent any more."""
    state: DeliveryState = DeliveryState.QUEUED
    attempts: int = 0
    """How often it was handed to a transport."""
    failed_at: tuple[float, ...] = ()
    """Its ages, in seconds, at server failures right after a send of it."""
    because: str = ""
    """Why it is where it is."""


class Admission(Struct, frozen=True):
    """Whether a message gets in, and how many others make way for it."""

    accepted: bool
    drop: int = 0


def new_id(wall: float, random_bits: bytes) -> str:
    """A UUID of version 7 (RFC 9562, section 5.7): ids of different milliseconds sort by time.

    Args:
        wall: Unix time, seconds.
        random_bits: at least 10 bytes, of which 74 bits are used; fewer raise :class:`chatkit.errors.InvalidInput`.
    """
    if len(random_bits) < 10:
        raise InvalidInput("an id needs more randomness", expected="10 bytes", got=f"{len(random_bits)} bytes")
    chance = int.from_bytes(random_bits[:10], "big")
    stamp = max(0, int(wall * 1000)) & (1 << 48) - 1
    number = stamp << 80 | 7 << 76 | (chance >> 68) << 64 | 2 << 62 | chance & (1 << 62) - 1
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def size(text: str) -> int:
    """Bytes that a text takes in UTF-8."""
    return len(text.encode("utf-8", "surrogatepass"))


def admit(count: int, total: int, new: int, rules: Client, droppable: Iterable[int] = ()) -> Admission:
    """Whether a message of ``new`` bytes may join ``count`` others of ``total`` bytes.

    Args:
        droppable: sizes of those that may make way, first to go first; see :func:`make_way`.
    """
    if new > rules.queue_bytes or rules.queue_messages < 1:
        return Admission(False)
    dropped, sizes = 0, iter(droppable)
    while count >= rules.queue_messages or total + new > rules.queue_bytes:
        freed = next(sizes, None)
        if freed is None:
            return Admission(False)
        count, total, dropped = count - 1, total - freed, dropped + 1
    return Admission(True, dropped)


def make_way(items: Collection[Item], rules: Client) -> Iterator[Item]:
    """Those that may be given up for a new one, first to go first.

    Their sender knows already that an UNKNOWN one is as good as gone; QUEUED ones only where the rules drop the oldest;
    one under way never.
    """
    yield from (item for item in items if item.state == _UNKNOWN)
    if rules.queue_overflow == "drop-oldest":
        yield from (item for item in items if item.state == _QUEUED)


def surplus(sizes: Collection[int], rules: Client) -> int:
    """How many of the oldest are too many; ``sizes`` in bytes, oldest first."""
    count, total = len(sizes), sum(sizes)
    for gone, freed in enumerate(sizes):
        if count - gone <= rules.queue_messages and total <= rules.queue_bytes:
            return gone
        total -= freed
    return count


def expired(items: Iterable[Item], ages: Mapping[str, float]) -> list[Item]:
    """Those that wait and are too old to be sent; ``ages`` in seconds by id.

    One that was written is not among them: it may have arrived.
    """
    return [item for item in items if item.state == _QUEUED and ages[item.id] >= item.ttl]


def may_resend(state: DeliveryState, *, idempotent: bool) -> bool:
    """Whether a message in this state may go out (again); ``idempotent`` if the backend recognises its id."""
    return state == _QUEUED or (idempotent and state in _UNCONFIRMED)


def poisoned(item: Item, age: float, *, failures: int = FAILURES, window: float = FAILURE_WINDOW) -> bool:
    """Whether the server failed so often, so shortly before ``age``, that this message seems to be the reason."""
    return sum(age - moment <= window for moment in item.failed_at) >= failures


def next_batch(
    items: Collection[Item],
    in_flight: Collection[str],
    limit: int = IN_FLIGHT,
    *,
    idempotent: bool = False,
    held: Collection[str] = (),
) -> list[Item]:
    """Those that may start now, in this order: unconfirmed ones first, then queued ones, each as they came.

    Args:
        items: everything that waits or is under way, oldest first.
        in_flight: ids of those under way.
        limit: how many may be under way in all.
        idempotent: whether unconfirmed ones may go out again.
        held: ids of those that cannot start yet; nothing overtakes them.
    """
    ready = [item for item in items if item.id not in in_flight and may_resend(item.state, idempotent=idempotent)]
    ready.sort(key=lambda item: item.state == _QUEUED)
    free = takewhile(lambda item: item.id not in held, ready)
    return list(islice(free, max(0, limit - len(in_flight))))
