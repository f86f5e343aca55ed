"""The file of outgoing queues: who may have it, and what happens when it is not what it should be."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import chatkit
from chatkit.client.queue_file import QueueFile
from chatkit.client.queue_rows import VERSION, BotRows
from chatkit.clock import ManualClock
from chatkit.errors import InvalidInput
from chatkit.policy.outgoing import Item
from chatkit.redact import Redactor

ROOT = Path(chatkit.__file__).parents[1]
CLOCK = ManualClock(wall=1_764_000_000.0)
STAMP = "20251124T160000"
Share = Callable[..., QueueFile]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is to be."""
    return tmp_path / "queue.db"


@pytest.fixture
def share() -> Iterator[Share]:
    """``share(path)`` takes a file; it is given back with the test."""
    with ExitStack() as stack:

        def take(path: Path) -> QueueFile:
            file = QueueFile.share(path, CLOCK)
            stack.callback(file.release)
            return file

        yield take


def item(id: str = "a", text: str = "hi") -> Item:
    """One message."""
    return Item(id=id, bot="echo", text=text, created=CLOCK.wall(), ttl=120.0)


def rows(file: QueueFile) -> BotRows:
    """One bot's rows, read."""
    mine = BotRows(file, "echo", Redactor())
    mine.load()
    return mine


def texts(file: QueueFile) -> list[str]:
    """What the file holds."""
    return [one.text for one in rows(file).load().items]


def fill(path: Path, *items: Item) -> None:
    """A file with these messages, closed."""
    file = QueueFile.share(path, CLOCK)
    for one in items:
        rows(file).add(one)
    file.release()


def process(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Another Python that runs ``code``; it says "ready" when it is."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, cwd=ROOT)


HOLD = """
import sys
from pathlib import Path
from chatkit.client.queue_file import QueueFile
from chatkit.clock import Clock
from chatkit.errors import InvalidInput
try:
    QueueFile.share(Path(sys.argv[1]), Clock())
    print("ready", flush=True)
except InvalidInput as error:
    print(error.what, flush=True)
sys.stdin.read()
"""


# Who may have it


def test_one_file_for_all_bots_of_a_process(path: Path, share: Share) -> None:
    """However its path is spelled, it is opened once; it closes with the last one who has it."""
    (path.parent / "link").symlink_to(path.parent)
    one, other = QueueFile.share(path, CLOCK), share(path.parent / "link" / "queue.db")
    assert one is other
    one.release()
    assert other.connection is not None
    assert rows(other).load().items == ()


def test_closed_by_the_last(path: Path) -> None:
    """Then it can be taken again."""
    one, other = QueueFile.share(path, CLOCK), QueueFile.share(path, CLOCK)
    one.release()
    other.release()
    assert one.connection is None
    assert list(path.parent.iterdir()) == [path]
    again = QueueFile.share(path, CLOCK)
    assert again is not one
    again.release()


@pytest.mark.parametrize("exists", [True, False])
def test_another_process_is_refused_until_the_owner_is_killed(path: Path, share: Share, exists: bool) -> None:
    """At once, with what to do; the kernel frees the file when the owner dies, and its messages are there."""
    if exists:
        fill(path, item())
    with process(HOLD, path) as owner:
        assert owner.stdout.readline() == "ready\n"
        with pytest.raises(InvalidInput, match="another process has this queue") as refusal:
            share(path)
        assert refusal.value.where == str(path)
        assert refusal.value.remedy == "close the other notebook or kernel, or name another file"
        owner.send_signal(signal.SIGKILL)
    file = share(path)
    assert (file.problem, texts(file)) == (None, ["hi"] if exists else [])


def test_this_process_holds_it_too(path: Path, share: Share) -> None:
    """Before anything was written."""
    file = share(path)
    assert file.connection.execute("PRAGMA busy_timeout").fetchone() == (0,), "who is refused is refused at once"
    with process(HOLD, path) as other:
        assert other.stdout.readline() == "another process has this queue of messages\n"
        other.stdin.close()


FORK = """
import os, signal, sys
from pathlib import Path
from chatkit.client.outbox import Outbox
from chatkit.behaviour import Client
from chatkit.errors import InvalidInput
from chatkit.policy.delivery import DeliveryState
from chatkit.policy.outgoing import Item
box = Outbox(sys.argv[1], "echo", Client())
box.open()
box.put(Item(id="a", bot="echo", text="before", created=0.0, ttl=1.0))
if os.fork() == 0:
    box.update("a", state=DeliveryState.WRITTEN)
    box.put(Item(id="b", bot="echo", text="in the child", created=0.0, ttl=1.0))
    print(box.count, box.problem)
    try:
        Outbox(sys.argv[1], "slow", Client()).open()
    except InvalidInput as error:
        print(error.what)
    box.close()
    sys.exit()
os.wait()
box.put(Item(id="c", bot="echo", text="after", created=0.0, ttl=1.0))
print(box.count, box.problem, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_forked_child_keeps_its_hands_off(path: Path, share: Share) -> None:
    """The child writes nothing and closes nothing, though it ends in good order; the parent goes on, safe as before."""
    with process(FORK, path) as parent:
        said = parent.stdout.read().splitlines()
    assert said == [
        f"2 The file {path} belongs to the process that this one was forked from: messages wait in memory only.",
        "another process has this queue of messages",
        "2 None",
    ]
    items = rows(share(path)).load().items
    assert [(one.text, one.state) for one in items] == [("before", "queued"), ("after", "queued")]


def test_only_we_may_read_it(path: Path, share: Share) -> None:
    """Mode 0600, for a file that was there as well, and for its log."""
    fill(path, item())
    path.chmod(0o644)
    rows(share(path)).add(item("b"))
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes == {"queue.db": 0o600, "queue.db-wal": 0o600}


# Where there can be none


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "Is a directory"),
        ("missing/queue.db", "No such file or directory"),
        ("file/queue.db", "Not a directory"),
        ("pipe", "it is not a file"),
        ("x" * 300, "File name too long"),
        ("nul\0l", "embedded null byte"),
        ("loop/queue.db", "Symlink loop|symbolic links"),
    ],
)
def test_impossible_places(tmp_path: Path, name: str, why: str) -> None:
    """The reason in words, where, and what to do."""
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInput, match=f"cannot be kept there: .*({why})") as refusal:
        QueueFile.share(tmp_path / name, CLOCK)
    assert refusal.value.remedy == "name another place"


def test_no_permission(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kernel says it to anybody but root."""

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(InvalidInput, match="cannot be kept there: Permission denied"):
        QueueFile.share(path, CLOCK)


def test_a_log_that_cannot_be(path: Path) -> None:
    """SQLite's own refusals are told as well."""
    fill(path, item())
    Path(f"{path}-wal").mkdir()
    with pytest.raises(InvalidInput, match="cannot be kept there: unable to open database file"):
        QueueFile.share(path, CLOCK)


# Damage


def _sql(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "garbage": lambda path: path.write_bytes(b"\x00\xffnonsense" * 1000),
    "text": lambda path: path.write_text("a recording? " * 100),
    "cut in its header": lambda path: os.truncate(path, 50),
    "cut in the middle": lambda path: os.truncate(path, 4096),
    "cut at its end": lambda path: os.truncate(path, path.stat().st_size - 1),
    "overwritten": lambda path: path.write_bytes(path.read_bytes()[:4096] + b"\xaa" * 40_000),
    "no table": lambda path: _sql(path, "DROP TABLE dead"),
    "other columns": lambda path: _sql(path, "DROP TABLE queue", "CREATE TABLE queue (x)"),
    "another program's": lambda path: (path.unlink(), _sql(path, "CREATE TABLE cookies (x)")),
    "no such state": lambda path: _sql(path, "UPDATE queue SET state = 'lost'"),
    "no number": lambda path: _sql(path, "UPDATE queue SET created = 'today'"),
    "no list": lambda path: _sql(path, "UPDATE queue SET failed_at = 5"),
    "no JSON": lambda path: _sql(path, "UPDATE queue SET failed_at = x'00'"),
    "no UTF-8": lambda path: _sql(path, "UPDATE queue SET text = CAST(x'ff' AS TEXT)"),
    "no text": lambda path: _sql(path, "INSERT INTO session VALUES ('echo', x'00')"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_moved_aside(path: Path, share: Share, damage: str) -> None:
    """An empty queue goes on; the old file is there under another name, and a sentence says so."""
    fill(path, *(item(str(n), "hi" * 100) for n in range(50)))
    DAMAGE[damage](path)
    before = path.read_bytes()
    file = share(path)
    aside = Path(f"{path}.corrupt-{STAMP}")
    assert aside.read_bytes() == before
    assert file.problem.startswith(f"The file {path} is no readable queue of messages (")
    assert file.problem.endswith(f": it is {aside} now, what waited in it is lost.")
    assert texts(file) == []
    rows(file).add(item("new"))
    assert texts(file) == ["hi"]


def test_what_lies_beside_it_goes_with_it(path: Path, share: Share) -> None:
    """It belongs to the old file and must not meet the new one; two in a second get two names."""
    for name in ("queue.db", "queue.db-shm"):
        (path.parent / name).write_bytes(b"garbage" * 1000)
    share(path).release()
    path.write_bytes(b"garbage" * 1000)
    share(path).release()
    names = {each.name for each in path.parent.iterdir()}
    corrupt = f"queue.db.corrupt-{STAMP}"
    assert names == {"queue.db", corrupt, f"{corrupt}-shm", f"{corrupt}-1"}


def test_a_file_that_cannot_be_moved(path: Path, share: Share, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stays where it is, and everything stays in memory."""

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    path.write_bytes(b"garbage" * 1000)
    monkeypatch.setattr(os, "rename", refuse)
    file = share(path)
    assert "it is still there, to be moved away by hand (Read-only file system)" in file.problem
    assert file.connection is None
    assert not file.write(("DELETE FROM queue", ()))


def test_a_later_version_is_refused(path: Path) -> None:
    """Not moved, not touched: an update of chatkit can read it."""
    fill(path, item())
    _sql(path, f"PRAGMA user_version = {VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(InvalidInput, match="a later chatkit wrote this queue") as refusal:
        QueueFile.share(path, CLOCK)
    assert refusal.value.remedy == "update chatkit, or name another file"
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


# Trouble while it runs


def test_a_full_disk(path: Path, share: Share) -> None:
    """What was saved stays, what comes later is in memory only, and a change of what was saved still works."""
    file = share(path)
    mine = rows(file)
    pages = file.connection.execute("PRAGMA page_count").fetchone()[0]
    file.connection.execute(f"PRAGMA max_page_count = {pages + 4}")
    for n in range(40):
        mine.add(item(str(n), "x" * 1000))
    said = f"The file {path} cannot be written (database or disk is full): what is new waits in memory only, until this process ends."
    assert file.problem == said
    saved = len(texts(file))
    assert 0 < saved < 40
    mine.delete([item("0")])
    mine.add(item("again", "x"))
    assert len(texts(file)) == saved


def test_a_row_that_cannot_be_changed(path: Path, share: Share) -> None:
    """A file that would have a message sent twice goes out of the way, before the message goes out."""
    file = share(path)
    mine = rows(file)
    mine.add(item())
    file.connection.execute("PRAGMA query_only = ON")
    mine.add(item("b"))
    assert (file.connection is None, path.exists()) == (False, True)
    mine.change(item())
    aside = Path(f"{path}.unsure-{STAMP}")
    assert (file.connection, path.exists(), aside.exists()) == (None, False, True)
    assert "cannot be written (attempt to write a readonly database)" in file.problem
    assert f"is {aside} now, because it cannot be written: what it held may have been sent" in file.problem
    said = file.problem
    mine.add(item("c"))
    file.abandon()
    assert file.problem == said


@pytest.mark.parametrize("replaced", [True, False])
def test_a_file_that_was_deleted(path: Path, share: Share, replaced: bool) -> None:
    """SQLite would go on writing into nothing; who took the name is left alone."""
    file = share(path)
    mine = rows(file)
    mine.add(item())
    os.rename(path, path.with_suffix(".old"))
    if replaced:
        path.write_text("somebody else's")
    mine.add(item("b"))
    assert "cannot be written (it was moved or deleted)" in file.problem
    mine.delete([item()])
    assert "is not there any more, because it cannot be written" in file.problem
    assert file.connection is None
    assert path.exists() is replaced
    assert not replaced or path.read_text() == "somebody else's"


LIMITED = """
import resource, sys
from pathlib import Path
from chatkit.client.outbox import Outbox
from chatkit.behaviour import Client
from chatkit.policy.delivery import DeliveryState
from chatkit.policy.outgoing import Item
box = Outbox(sys.argv[1], "echo", Client())
if sys.argv[2] == "before":
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
box.open()
if sys.argv[2] == "while":
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
for n in range(100):
    box.put(Item(id=str(n), bot="echo", text="x" * 1000, created=0.0, ttl=9.0))
for n in range(100):
    box.update(str(n), state=DeliveryState.WRITTEN)
print(box.count, box.problem, flush=True)
box.close()
"""


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_disk_that_takes_no_more(path: Path, when: str) -> None:
    """A limit of the kernel on a file's size: nothing raises, all is in memory, and nothing is left to be sent twice."""
    with process(LIMITED, path, when) as limited:
        said = limited.stdout.read()
    assert limited.returncode == 0
    assert said.startswith(f"100 The file {path} cannot be ")
    assert "in memory" in said
    fresh = QueueFile.share(path, CLOCK)
    assert texts(fresh) == []
    fresh.release()


def test_a_file_that_cannot_be_read_any_more(path: Path, share: Share) -> None:
    """Another bot that comes later finds nothing, and a sentence says why."""
    file = share(path)
    file.connection.execute("DROP TABLE dead")
    assert rows(file).load().items == ()
    assert "cannot be read (no such table: dead): what waited in it is not known" in file.problem
