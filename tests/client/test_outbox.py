"""The outgoing queue of one bot, in memory and in a file, alive and after a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

import chatkit
from chatkit.behaviour import Client
from chatkit.client.outbox import Outbox
from chatkit.clock import ManualClock
from chatkit.errors import InvalidInput, QueueFull
from chatkit.policy.delivery import DeliveryState
from chatkit.policy.outgoing import Item
from chatkit.redact import Redactor

ROOT = Path(chatkit.__file__).parents[1]
QUEUED, WRITTEN, ACKED, UNKNOWN = (
    DeliveryState.QUEUED,
    DeliveryState.WRITTEN,
    DeliveryState.ACKED,
    DeliveryState.UNKNOWN,
)
SECRET = "correct-horse-battery"
Boxes = Callable[..., Outbox]


@pytest.fixture
def clock() -> ManualClock:
    """It moves when told to."""
    return ManualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a queue's file is to be."""
    return tmp_path / "queue.db"


@pytest.fixture
def box(clock: ManualClock) -> Iterator[Boxes]:
    """``box(path, …)`` is an open queue with these rules; it closes with the test."""
    with ExitStack() as stack:

        def go(path: Path | None = None, bot: str = "echo", **rules: Any) -> Outbox:
            outbox = Outbox(path, bot, Client(**rules), redactor=Redactor([SECRET]), clock=clock)
            stack.callback(outbox.close)
            outbox.open()
            return outbox

        yield go


@pytest.fixture(params=["memory", "file"])
def either(request: pytest.FixtureRequest, box: Boxes, path: Path) -> Boxes:
    """A queue of both kinds: they differ in nothing that a caller sees."""
    return lambda **rules: box(path if request.param == "file" else None, **rules)


def item(id: str = "a", text: str = "hi", **changes: Any) -> Item:
    """One message."""
    return replace(Item(id=id, bot="echo", text=text, created=1_700_000_000.0, ttl=120.0), **changes)


def ids(items: Any) -> str:
    """Their ids, in order."""
    return "".join(one.id for one in items)


def fill(outbox: Outbox, names: str, **changes: Any) -> Outbox:
    """Puts a message for each letter."""
    for name in names:
        outbox.put(item(name, **changes))
    return outbox


# A queue


def test_a_message_on_its_way(either: Boxes) -> None:
    """It waits, goes out, is answered and gone."""
    outbox = either()
    assert outbox.put(item()) == ()
    assert outbox.pending() == (item(),)
    assert outbox.update("a", state=WRITTEN, attempts=1) == item(state=WRITTEN, attempts=1)
    assert outbox.pending() == outbox.unsent() == (item(state=WRITTEN, attempts=1),)
    assert outbox.remove("a") == item(state=WRITTEN, attempts=1)
    assert (outbox.pending(), outbox.problem) == ((), None)


def test_order_count_and_bytes(either: Boxes) -> None:
    """As they came, whatever their ids; bytes are those of UTF-8."""
    outbox = fill(either(), "cab", text="né")
    assert (ids(outbox.pending()), outbox.count, outbox.bytes) == ("cab", 3, 9)
    outbox.remove("a")
    outbox.update("c", state=UNKNOWN)
    assert (ids(outbox.pending()), outbox.count, outbox.bytes) == ("cb", 2, 6)


def test_what_is_not_here_any_more(either: Boxes) -> None:
    """An answer may come after its message was dropped: that is no error."""
    outbox = either()
    assert outbox.update("a", state=ACKED) is None
    assert outbox.remove("a") is None
    assert outbox.set_aside("a", "poison") is None
    assert outbox.server_failed("a", "HTTP 500") is False
    assert outbox.dead() == ()


def test_unsent(either: Boxes) -> None:
    """All of which nobody knows that they arrived."""
    outbox = fill(either(), "abcd")
    for name, state in zip("abc", [WRITTEN, ACKED, UNKNOWN], strict=True):
        outbox.update(name, state=state)
    assert ids(outbox.unsent()) == "acd"


def test_misuse(box: Boxes, path: Path) -> None:
    """Each says what was expected."""
    outbox = fill(box(path), "a")
    with pytest.raises(InvalidInput, match="a message of this id waits already"):
        outbox.put(item("a", "another"))
    with pytest.raises(InvalidInput, match=r"another bot's .*\nExpected: echo.\nGot: slow"):
        outbox.put(item("b", bot="slow"))
    with pytest.raises(TypeError, match=r"got \['text'\]"):
        outbox.update("a", text="changed")
    with pytest.raises(InvalidInput, match="not open yet"):
        Outbox(path.parent / "other.db", "echo", Client()).put(item())
    assert ids(outbox.pending()) == "a"


def test_nothing_starts_in_the_constructor(path: Path) -> None:
    """No file is made, and closing what was never open is fine."""
    outbox = Outbox(path, "echo", Client())
    outbox.close()
    outbox.close()
    assert (list(path.parent.iterdir()), outbox.problem) == ([], None)


# Bounds


def test_full(either: Boxes) -> None:
    """By number and by bytes, as facts and in words; nothing is lost."""
    outbox = fill(either(queue_messages=2, queue_bytes=10), "ab")
    with pytest.raises(QueueFull, match="a message of 2 bytes does not fit") as full:
        outbox.put(item("c"))
    assert (full.value.count, full.value.bytes, full.value.limit) == (2, 4, "2 messages with 10 bytes")
    outbox.remove("a")
    with pytest.raises(QueueFull, match="a message of 9 bytes"):
        outbox.put(item("c", "x" * 9))
    outbox.put(item("c", "x" * 8))
    assert ids(outbox.pending()) == "bc"


def test_the_oldest_make_way(either: Boxes) -> None:
    """For the caller to settle; but not one that is under way, and not for one that never fits."""
    outbox = fill(either(queue_messages=3, queue_bytes=10, queue_overflow="drop-oldest"), "abc")
    outbox.update("a", state=WRITTEN)
    assert ids(outbox.put(item("d"))) == "b"
    assert ids(outbox.put(item("e", "x" * 6))) == "c"
    with pytest.raises(QueueFull):
        outbox.put(item("f", "x" * 11))
    with pytest.raises(QueueFull):
        outbox.put(item("f", "x" * 9))
    assert ids(outbox.pending()) == "ade"


def test_what_was_given_up_makes_way_first(either: Boxes) -> None:
    """Its sender knows; otherwise a backend without idempotency would fill the queue for good."""
    outbox = fill(either(queue_messages=2), "ab")
    outbox.update("b", state=UNKNOWN)
    assert ids(outbox.put(item("c"))) == "b"
    assert ids(outbox.pending()) == "ac"


@pytest.mark.parametrize("overflow", ["raise", "drop-oldest"])
def test_a_million_messages(box: Boxes, overflow: str) -> None:
    """Offered to a small queue, they take no more room than a thousand."""
    outbox = box(queue_messages=4, queue_overflow=overflow)
    one, refused = item(), 0

    def offer(first: int, last: int) -> int:
        nonlocal refused
        for n in range(first, last):
            try:
                outbox.put(replace(one, id=str(n)))
            except QueueFull:
                refused += 1
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    early = offer(0, 1000)
    tracemalloc.stop()
    offer(1000, 999_000)
    tracemalloc.start()
    late = offer(999_000, 1_000_000)
    tracemalloc.stop()
    assert late < 2 * early + 10_000
    kept = range(4) if overflow == "raise" else range(999_996, 1_000_000)
    assert [one.id for one in outbox.pending()] == [str(n) for n in kept]
    assert refused == (999_996 if overflow == "raise" else 0)


# Age


def test_expire(either: Boxes, clock: ManualClock) -> None:
    """What waited too long is handed back with a reason; what was written is not."""
    outbox = fill(either(), "ab")
    outbox.update("a", state=WRITTEN)
    clock.advance(100)
    outbox.put(item("c"))
    clock.advance(19.9)
    assert outbox.expire() == ()
    clock.advance(0.1)
    (late,) = outbox.expire()
    assert (late.id, late.state, late.because) == ("b", DeliveryState.EXPIRED, "it waited 120 s, at most 120 s")
    assert ids(outbox.pending()) == "ac"
    assert outbox.age("c") == 20.0


@pytest.mark.parametrize("jump", [-1e6, 1e6])
def test_a_wall_clock_that_is_set_changes_nothing(either: Boxes, clock: ManualClock, jump: float) -> None:
    """While the process runs, the monotonic clock counts."""
    outbox = fill(either(), "a")
    clock.jump(jump)
    outbox.put(item("b", created=clock.wall()))
    assert (outbox.age("a"), outbox.age("b"), outbox.expire()) == (0.0, 0.0, ())
    clock.advance(120)
    assert ids(outbox.expire()) == "ab"


@pytest.mark.parametrize(
    ("jump", "age", "late"),
    [(0.0, 10.0, ""), (-1e6, 0.0, ""), (-10.0, 0.0, ""), (109.0, 119.0, ""), (110.0, 120.0, "a"), (1e6, 1e6 + 10, "a")],
)
def test_age_in_another_process(box: Boxes, path: Path, clock: ManualClock, jump: float, age: float, late: str) -> None:
    """By the wall clock, never below zero; too old by a jump is reported, not lost."""
    before = fill(box(path), "a", created=clock.wall())
    clock.advance(10)
    before.close()
    clock.jump(jump)
    after = box(path)
    assert ids(after.pending()) == "a"
    assert after.age("a") == age
    assert ids(after.expire()) == late
    after.close()
    assert ids(box(path).pending()) == ("" if late else "a")


# Poison


def test_poison(either: Boxes, clock: ManualClock) -> None:
    """Three server failures within a minute set a message aside, with the reason."""
    outbox = fill(either(), "ab")
    assert not outbox.server_failed("a", "HTTP 500")
    clock.advance(50)
    assert not outbox.server_failed("a", "HTTP 500")
    clock.advance(20)
    assert not outbox.server_failed("a", "HTTP 500")
    clock.advance(30)
    assert outbox.server_failed("a", "close 1011")
    assert ids(outbox.pending()) == "b"
    (dead,) = outbox.dead()
    assert (dead.id, dead.because, dead.failed_at) == ("a", "close 1011", (50.0, 70.0, 100.0))


def test_the_dead_are_bounded(either: Boxes) -> None:
    """By the same rules: the oldest go."""
    outbox = either(queue_messages=3)
    for name in "abcde":
        outbox.put(item(name))
        outbox.set_aside(name, "poison")
    assert (ids(outbox.dead()), outbox.count, outbox.bytes) == ("cde", 0, 0)


# The file


def test_another_process_goes_on(box: Boxes, path: Path) -> None:
    """Items with all their facts, in order; the dead; the session."""
    before = fill(box(path, queue_messages=4), "cabd")
    before.update("c", state=WRITTEN, attempts=2, failed_at=(0.0, 1.5), because="HTTP 503", session_id="s", ttl=60.0)
    before.update("d", state=UNKNOWN)
    before.set_aside("b", "poison")
    before.set_session("s1")
    left, dead = before.pending(), before.dead()
    before.close()
    after = box(path, queue_messages=4)
    assert after.pending() == tuple(after.open()) == left
    assert after.pending()[0].state is WRITTEN
    assert (ids(left), after.dead(), after.session, after.bytes) == ("cad", dead, "s1", 6)
    after.put(item("e"))
    after.remove("c")
    after.set_session(None)
    after.close()
    assert (ids(box(path).pending()), box(path).session) == ("ade", None)


def test_the_dead_stay_bounded_in_the_file(box: Boxes, path: Path) -> None:
    """What went from memory went from the file."""
    before = box(path, queue_messages=2)
    for name in "abc":
        before.put(item(name))
        before.set_aside(name, "poison")
    before.close()
    assert ids(box(path).dead()) == "bc"


def test_bots_share_a_file_and_nothing_else(box: Boxes, path: Path) -> None:
    """Each has its messages, its session and its bounds, with equal ids."""
    one, other = box(path, "echo", queue_messages=1), box(path, "slow", queue_messages=1)
    one.put(item("a", "for echo"))
    other.put(item("a", "for slow", bot="slow"))
    one.set_session("s1")
    one.close()
    assert [i.text for i in other.pending()] == ["for slow"]
    other.remove("a")
    other.close()
    assert [i.text for i in box(path, "echo").pending()] == ["for echo"]
    assert (box(path, "slow").pending(), box(path, "slow").session) == ((), None)


def test_from_any_thread(box: Boxes, path: Path) -> None:
    """Two bots, two threads each: nothing is lost, and each thread's messages are in its order."""
    boxes = [box(path, "echo"), box(path, "slow")]

    def work(outbox: Outbox, name: str) -> None:
        for n in range(50):
            outbox.put(item(f"{name}{n:02}", bot=outbox.bot))
            outbox.update(f"{name}{n:02}", state=WRITTEN)

    threads = [threading.Thread(target=work, args=(outbox, name)) for outbox in boxes for name in "xy"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for outbox in boxes:
        left = outbox.pending()
        outbox.close()
        assert outbox.problem is None
        assert [one.id for one in left if one.id[0] == "x"] == [f"x{n:02}" for n in range(50)]
        assert len(left) == 100
    assert box(path, "slow").pending() == left


def test_after_close(box: Boxes, path: Path) -> None:
    """What is left can be read; what comes then is in memory only."""
    outbox = fill(box(path), "a")
    outbox.close()
    outbox.close()
    outbox.put(item("b"))
    outbox.update("a", state=UNKNOWN)
    outbox.set_session("s")
    assert ids(outbox.unsent()) == "ab"
    fresh = box(path)
    assert (ids(fresh.pending()), fresh.pending()[0].state, fresh.session) == ("a", QUEUED, None)


def test_a_damaged_file(box: Boxes, path: Path) -> None:
    """The queue is empty and works; the problem is still told when it is closed."""
    path.write_bytes(b"garbage" * 1000)
    outbox = fill(box(path), "a")
    said = outbox.problem
    assert said.startswith(f"The file {path} is no readable queue of messages")
    outbox.close()
    assert outbox.problem == said
    assert ids(box(path).pending()) == "a"


def test_a_file_that_fails(box: Boxes, path: Path) -> None:
    """Nothing raises, all goes on in memory, and nothing is left that would be sent again."""
    outbox = fill(box(path), "abc")
    outbox._rows.file.connection.execute("PRAGMA query_only = ON")
    outbox.put(item("d"))
    assert "cannot be written" in outbox.problem
    outbox.update("a", state=WRITTEN)
    outbox.remove("b")
    outbox.set_aside("c", "poison")
    outbox.set_session("s")
    outbox.put(item("e"))
    assert (ids(outbox.pending()), ids(outbox.dead()), outbox.session) == ("ade", "c", "s")
    outbox.close()
    assert box(path).pending() == ()


def test_a_full_disk(box: Boxes, path: Path) -> None:
    """What could be saved stays, in order; the rest is in memory."""
    outbox = box(path)
    outbox._rows.file.connection.execute("PRAGMA max_page_count = 30")
    for n in range(100):
        outbox.put(item(str(n), "x" * 1000))
    assert (outbox.count, "database or disk is full" in outbox.problem) == (100, True)
    outbox.update("99", state=WRITTEN)
    outbox.update("0", state=WRITTEN)
    outbox.close()
    saved = [one.id for one in box(path).pending()]
    assert 0 < len(saved) < 100
    assert saved == [str(n) for n in range(len(saved))]
    assert box(path).pending()[0].state is WRITTEN


# Secrets


def in_files(folder: Path, secret: str) -> list[str]:
    """Files that contain the secret; read by another process, because reading here would drop SQLite's lock."""
    return subprocess.run(["grep", "-rlaF", secret, str(folder)], capture_output=True, text=True).stdout.split()


def test_no_secret_at_rest(box: Boxes, path: Path) -> None:
    """A message with one waits in memory only, its order and its life unchanged; no file has a byte of it."""
    outbox = box(path)
    outbox.put(item("a", "plain words"))
    outbox.put(item("b", f"my password is {SECRET}"))
    outbox.put(item("c", "hi", session_id=SECRET))
    outbox.put(item("d", "Authorization: Bearer abcdefghijk"))
    outbox.put(item("e", "later"))
    outbox.set_session(SECRET)
    outbox.update("a", because=f"HTTP 500: {SECRET}")
    outbox.update("b", state=WRITTEN)
    outbox.update("e", session_id=SECRET)
    assert in_files(path.parent, "plain words") == [f"{path}-wal"]
    assert ids(outbox.pending()) == "abcde"
    assert (outbox.pending()[0].because, outbox.session) == ("HTTP 500: [redacted]", SECRET)
    outbox.set_aside("b", SECRET)
    assert outbox.dead()[0].because == "[redacted]"
    for secret in (SECRET, "abcdefghijk"):
        assert in_files(path.parent, secret) == []
    outbox.close()
    assert in_files(path.parent, "plain words") == [str(path)]
    assert in_files(path.parent, SECRET) == []
    fresh = box(path)
    assert (ids(fresh.pending()), fresh.dead(), fresh.session, fresh.problem) == ("a", (), None, None)


def test_a_secret_that_is_learnt_late(path: Path) -> None:
    """What was stored before goes at its next change."""
    redactor = Redactor()
    outbox = Outbox(path, "echo", Client(), redactor=redactor)
    outbox.open()
    fill(outbox, "ab", text="open sesame")
    redactor.add("open sesame")
    outbox.update("a", state=WRITTEN)
    outbox.set_aside("b", "poison")
    assert (ids(outbox.pending()), ids(outbox.dead())) == ("a", "b")
    outbox.close()
    fresh = Outbox(path, "echo", Client())
    assert (fresh.open(), fresh.dead()) == ([], ())
    fresh.close()


def test_half_a_character(box: Boxes, path: Path) -> None:
    """A text that is no UTF-8 cannot be stored, and nothing breaks for it; nor for one in a reason."""
    outbox = fill(box(path), "a")
    outbox.put(item("b", "\ud83d"))
    outbox.update("a", because="\ud83d")
    outbox.set_session("\ud83d")
    assert (outbox.bytes, outbox.problem) == (5, None)
    outbox.close()
    fresh = box(path)
    assert [(one.id, one.because) for one in fresh.pending()] == [("a", "?")]


@given(st.lists(st.tuples(st.text(), st.text(), st.sampled_from(DeliveryState)), max_size=5))
def test_what_is_stored_is_what_is_found(tmp_path_factory: pytest.TempPathFactory, messages: list[Any]) -> None:
    """Whatever a text holds: line ends, NUL, quotes, other alphabets."""
    path = tmp_path_factory.mktemp("box") / "queue.db"
    outbox = Outbox(path, "echo", Client())
    outbox.open()
    for n, (text, because, state) in enumerate(messages):
        outbox.put(item(str(n), text))
        outbox.update(str(n), state=state, because=because)
    outbox.close()
    fresh = Outbox(path, "echo", Client())
    assert [fresh.open(), fresh.problem] == [list(outbox.pending()), None]
    fresh.close()


# Killed

LIFE = """
import sys
from chatkit.client.outbox import Outbox
from chatkit.behaviour import Client
from chatkit.policy.delivery import DeliveryState
from chatkit.policy.outgoing import Item
box = Outbox(sys.argv[1], "echo", Client())
box.open()
def done(*words):
    print(*words, flush=True)
for n in range(100_000):
    box.put(Item(id=str(n), bot="echo", text="hello " * 50, created=0.0, ttl=1e12))
    done("put", n)
    box.update(str(n), state=DeliveryState.WRITTEN)
    done("written", n)
    if n >= 20:
        box.remove(str(n - 20))
        done("removed", n - 20)
"""


def replay(lines: list[str]) -> dict[str, DeliveryState]:
    """What must be there after these reports."""
    there: dict[str, DeliveryState] = {}
    for line in lines:
        what, id = line.split()
        if what == "removed":
            del there[id]
        else:
            there[id] = QUEUED if what == "put" else WRITTEN
    return there


def following(line: str) -> str:
    """The report that comes after this one."""
    what, n = line.split()
    if what == "put":
        return f"written {n}"
    if what == "written" and int(n) >= 20:
        return f"removed {int(n) - 20}"
    return f"put {int(n) + (1 if what == 'written' else 21)}"


@pytest.mark.parametrize("reports", [1, 2, 50, 777, 5000])
def test_kill_9(box: Boxes, path: Path, reports: int) -> None:
    """Whatever was reported as done is there, in order; of what was under way, all or nothing."""
    command = [sys.executable, "-c", LIFE, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as life:
        lines = [life.stdout.readline() for _ in range(reports)]
        life.send_signal(signal.SIGKILL)
        lines += [line for line in life.stdout if line.endswith("\n")]
    fresh = box(path)
    there = {one.id: one.state for one in fresh.pending()}
    assert fresh.problem is None
    assert there in (replay(lines), replay([*lines, following(lines[-1])]))
    assert list(there) == sorted(there, key=int)
