"""The outgoing queue's decisions: tables, and what holds whatever is offered."""

from __future__ import annotations

import uuid
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from chatkit.behaviour import Client
from chatkit.errors import InvalidInput
from chatkit.policy.delivery import DeliveryState
from chatkit.policy.outgoing import (
    Admission,
    Item,
    admit,
    expired,
    make_way,
    may_resend,
    new_id,
    next_batch,
    poisoned,
    size,
    surplus,
)

QUEUED, WRITTEN, ACKED = DeliveryState.QUEUED, DeliveryState.WRITTEN, DeliveryState.ACKED
REPLIED, REJECTED = DeliveryState.REPLIED, DeliveryState.REJECTED
UNKNOWN, EXPIRED = DeliveryState.UNKNOWN, DeliveryState.EXPIRED


def item(id: str = "a", state: DeliveryState = QUEUED, **changes: object) -> Item:
    """One message."""
    return replace(Item(id=id, bot="echo", text="hi", created=0.0, ttl=120.0, state=state), **changes)


def line(states: str) -> list[Item]:
    """Messages a, b, c … in the states of these letters."""
    names = {"q": QUEUED, "w": WRITTEN, "a": ACKED, "u": UNKNOWN, "r": REPLIED, "j": REJECTED, "e": EXPIRED}
    return [item(chr(ord("a") + n), names[letter]) for n, letter in enumerate(states)]


def ids(items: object) -> str:
    """Their ids, in order."""
    return "".join(i.id for i in items)


def rules(messages: int = 3, bytes: int = 10, overflow: str = "raise") -> Client:
    """Narrow bounds."""
    return Client(queue_messages=messages, queue_bytes=bytes, queue_overflow=overflow)


# Ids


def test_an_id_is_the_one_of_the_rfc() -> None:
    """RFC 9562, appendix A.6: the example of a UUIDv7."""
    chance = 0xCC3 << 68 | 0x18C4DC0C0C07398F
    assert new_id(1645557742.0, chance.to_bytes(10, "big")) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(st.floats(-1e3, 1e11, allow_nan=False), st.floats(0, 1e11), st.binary(min_size=10), st.binary(min_size=10))
def test_ids_are_uuids_that_sort_by_time(one: float, other: float, chance: bytes, more: bytes) -> None:
    """Version 7, variant of the RFC, and the text of an earlier millisecond is smaller."""
    first, second = new_id(one, chance), new_id(other, more)
    assert (uuid.UUID(first).version, uuid.UUID(first).variant) == (7, uuid.RFC_4122)
    assert str(uuid.UUID(first)) == first
    if max(0, int(one * 1000)) < int(other * 1000):
        assert first < second


def test_an_id_needs_chance() -> None:
    """Ten bytes at least: with fewer, two clients could agree on an id."""
    with pytest.raises(InvalidInput, match="Expected: 10 bytes"):
        new_id(0.0, b"123456789")


# Who gets in


@pytest.mark.parametrize(
    ("count", "total", "new", "bounds", "droppable", "outcome"),
    [
        # room for one more
        (0, 0, 1, (3, 10), [], Admission(True)),
        (2, 9, 1, (3, 10), [], Admission(True)),
        (0, 0, 10, (1, 10), [], Admission(True)),
        (0, 0, 0, (1, 0), [], Admission(True)),
        # too many, too large
        (3, 3, 1, (3, 10), [], Admission(False)),
        (2, 9, 2, (3, 10), [], Admission(False)),
        # others make way, as few as possible
        (3, 3, 1, (3, 10), [1, 1, 1], Admission(True, 1)),
        (3, 9, 5, (3, 10), [3, 3, 3], Admission(True, 2)),
        (3, 9, 10, (3, 10), [3, 3, 3], Admission(True, 3)),
        (5, 5, 1, (3, 10), [1] * 5, Admission(True, 3)),
        # those that may go are not enough
        (3, 9, 8, (3, 10), [3, 3], Admission(False)),
        # larger than the whole queue, or no queue at all: nobody goes for nothing
        (3, 3, 11, (3, 10), [1, 1, 1], Admission(False)),
        (0, 0, 11, (3, 10), [], Admission(False)),
        (0, 0, 1, (0, 10), [], Admission(False)),
        (0, 0, 1, (-1, 10), [1], Admission(False)),
    ],
)
def test_admission(count: int, total: int, new: int, bounds: tuple[int, int], droppable: list[int], outcome: Admission) -> None:  # fmt: skip
    """Both bounds hold, and nothing is dropped for a message that does not get in."""
    assert admit(count, total, new, rules(*bounds), droppable) == outcome


@pytest.mark.parametrize(
    ("states", "overflow", "way"),
    [
        ("qwuqua", "raise", "ce"),
        ("qwuqua", "drop-oldest", "cead"),
        ("qqq", "raise", ""),
        ("qqq", "drop-oldest", "abc"),
        ("waarje", "drop-oldest", ""),
    ],
)
def test_who_makes_way(states: str, overflow: str, way: str) -> None:
    """What was reported as unknown first; queued ones only if the rules say so; one under way never."""
    assert ids(make_way(line(states), rules(overflow=overflow))) == way


@given(
    st.lists(st.integers(0, 12), max_size=60),
    st.integers(0, 5),
    st.integers(0, 20),
    st.sampled_from(["raise", "drop-oldest"]),
)
def test_the_bounds_hold_and_nothing_is_lost(offers: list[int], messages: int, bytes: int, overflow: str) -> None:
    """Whatever is offered: each message waits, was dropped or was refused, and those that wait are in order."""
    bounds = rules(messages, bytes, overflow)
    waiting: deque[tuple[int, int]] = deque()
    dropped, refused = [], []
    for number, new in enumerate(offers):
        way = [old for _, old in waiting] if overflow == "drop-oldest" else []
        admission = admit(len(waiting), sum(old for _, old in waiting), new, bounds, way)
        dropped += [waiting.popleft() for _ in range(admission.drop)]
        (waiting if admission.accepted else refused).append((number, new))
        assert len(waiting) <= messages
        assert sum(old for _, old in waiting) <= bytes
    assert sorted([*waiting, *dropped, *refused]) == list(enumerate(offers))
    assert list(waiting) == sorted(waiting)
    assert dropped == sorted(dropped)
    assert all(old < young for old in dropped for young in waiting)
    if overflow == "raise":
        assert dropped == []


@pytest.mark.parametrize(
    ("sizes", "gone"),
    [([], 0), ([1, 1, 1], 0), ([1, 1, 1, 1], 1), ([9, 1, 1], 1), ([9, 9, 9], 2), ([11], 1), ([1, 11], 2)],
)
def test_surplus(sizes: list[int], gone: int) -> None:
    """The oldest go until both bounds hold."""
    assert surplus(sizes, rules()) == gone


@given(st.lists(st.integers(0, 12), max_size=20), st.integers(0, 5), st.integers(0, 20))
def test_surplus_keeps_as_many_as_fit(sizes: list[int], messages: int, bytes: int) -> None:
    """What is left fits, and one more would not."""
    gone = surplus(sizes, rules(messages, bytes))
    left, more = sizes[gone:], sizes[gone - 1 :]
    assert len(left) <= messages
    assert sum(left) <= bytes
    assert gone == 0 or len(more) > messages or sum(more) > bytes


@pytest.mark.parametrize(("text", "bytes"), [("", 0), ("abc", 3), ("é", 2), ("👋", 4), ("\ud83d", 3)])
def test_size(text: str, bytes: int) -> None:
    """UTF-8; half a surrogate pair, which a browser can send, is measured too."""
    assert size(text) == bytes


# Who goes no more


@pytest.mark.parametrize(
    ("state", "age", "too_old"),
    [
        (QUEUED, 0.0, False),
        (QUEUED, 119.9, False),
        (QUEUED, 120.0, True),
        (QUEUED, 1e9, True),
        (WRITTEN, 1e9, False),
        (UNKNOWN, 1e9, False),
        (ACKED, 1e9, False),
    ],
)
def test_expired(state: DeliveryState, age: float, too_old: bool) -> None:
    """Only what still waits; of the rest nobody can say that it was not sent."""
    one = item(state=state)
    assert expired([one], {"a": age}) == ([one] if too_old else [])


def test_each_message_has_its_own_limit() -> None:
    """And they are told in order."""
    items = [item("a", ttl=10.0), item("b", ttl=0.0), item("c", ttl=1.0)]
    assert ids(expired(items, {"a": 5.0, "b": 0.0, "c": 5.0})) == "bc"


@pytest.mark.parametrize(
    ("state", "always", "if_idempotent"),
    [
        (QUEUED, True, True),
        (WRITTEN, False, True),
        (UNKNOWN, False, True),
        (ACKED, False, False),
        (REPLIED, False, False),
        (REJECTED, False, False),
        (EXPIRED, False, False),
    ],
)
def test_may_resend(state: DeliveryState, always: bool, if_idempotent: bool) -> None:
    """Only what was never written, or what the backend would recognise."""
    assert may_resend(state, idempotent=False) is always
    assert may_resend(state, idempotent=True) is if_idempotent


@pytest.mark.parametrize(
    ("failed_at", "age", "poison"),
    [
        ((), 0.0, False),
        ((1.0, 2.0), 2.0, False),
        ((1.0, 2.0, 3.0), 3.0, True),
        ((0.0, 30.0, 60.0), 60.0, True),
        ((0.0, 30.0, 60.5), 60.5, False),
        ((0.0, 30.0, 61.0, 62.0), 62.0, True),
        ((1.0, 2.0, 3.0), 100.0, False),
        # the wall clock went back between two processes: what lies ahead counts as fresh
        ((50.0, 51.0, 52.0), 0.0, True),
    ],
)
def test_poisoned(failed_at: tuple[float, ...], age: float, poison: bool) -> None:
    """Three failures within a minute."""
    assert poisoned(item(failed_at=failed_at), age) is poison


# Who goes next


@pytest.mark.parametrize(
    ("states", "in_flight", "limit", "idempotent", "held", "batch"),
    [
        # in order, up to the limit
        ("qqqq", "", 10, False, "", "abcd"),
        ("qqqq", "", 2, False, "", "ab"),
        ("qqqq", "ab", 3, False, "", "c"),
        ("qqqq", "ab", 2, False, "", ""),
        ("qqqq", "abc", 1, False, "", ""),
        ("", "", 10, True, "", ""),
        # unconfirmed first, if they may go again at all
        ("qwqu", "", 10, False, "", "ac"),
        ("qwqu", "", 10, True, "", "bdac"),
        ("qwqu", "", 3, True, "", "bda"),
        ("qwqu", "b", 10, True, "", "dac"),
        # confirmed and settled ones never
        ("arjeq", "", 10, True, "", "e"),
        # nothing overtakes one that cannot start yet
        ("qqqq", "", 10, False, "c", "ab"),
        ("qqqq", "", 10, False, "a", ""),
        ("qwqu", "", 10, True, "d", "b"),
        ("aqq", "", 10, False, "a", "bc"),
    ],
)
def test_next_batch(states: str, in_flight: str, limit: int, idempotent: bool, held: str, batch: str) -> None:
    """A table of lines, letter by letter: a message is named by its place."""
    assert ids(next_batch(line(states), in_flight, limit, idempotent=idempotent, held=held)) == batch


@given(
    st.text("qwaurje", max_size=12),
    st.sets(st.sampled_from("abcdefghijkl")),
    st.integers(0, 12),
    st.booleans(),
    st.sets(st.sampled_from("abcdefghijkl"), max_size=2),
)
def test_a_batch_keeps_the_order(states: str, flying: set[str], limit: int, idempotent: bool, held: set[str]) -> None:
    """Never more than the limit, nothing twice, nothing that may not go, and each kind as it came."""
    items = line(states)
    batch = next_batch(items, flying, limit, idempotent=idempotent, held=held)
    assert len(batch) <= max(0, limit - len(flying))
    assert flying.isdisjoint(ids(batch))
    assert held.isdisjoint(ids(batch))
    assert all(may_resend(one.state, idempotent=idempotent) for one in batch)
    fresh = [one.state is QUEUED for one in batch]
    assert fresh == sorted(fresh)
    for kind in (True, False):
        mine = ids(one for one in batch if (one.state is QUEUED) is kind)
        waiting = ids(
            one
            for one in items
            if one.id not in flying and (one.state is QUEUED) is kind and may_resend(one.state, idempotent=idempotent)
        )
        assert waiting.startswith(mine)
