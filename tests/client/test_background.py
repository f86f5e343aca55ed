"""``connect``: plain calls for cells, one conversation per name."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import chatkit
from chatkit.client.background import BackgroundChat, connect, free_path
from chatkit.client.engine import engine
from chatkit.errors import AuthError, ConnectFailed, InvalidInput
from chatkit.events import Resumed
from chatkit.policy.status import State
from conftest import TICK, until_sync

from .conftest import profile


@pytest.fixture
def house() -> Iterator[chatkit.LabServer]:
    """A lab on a thread of its own, and the engine closed afterwards."""
    with chatkit.LabServer() as lab:
        yield lab
        engine().close()


def join(house: chatkit.LabServer, **options: object) -> BackgroundChat:
    return connect(house.url, "echo", **({"token": house.token, "profile": profile()} | options))


def test_a_conversation_in_plain_calls(house, tmp_path: Path) -> None:
    """Send, wait, look, close; the recording is whole."""
    chat = join(house, record_to=tmp_path / "r.jsonl")
    assert chat.status.live
    delivery = chat.send("hello")
    assert delivery.wait(10).text == "hello"
    assert delivery.state == "replied"
    assert "BackgroundDelivery" in repr(delivery)
    assert [message.text for message in chat.messages] == ["hello", "hello"]
    assert len(chat.history()) == 2
    chat.typing()
    assert chat.check_health().differs
    assert (chat.url, chat.token is not None) == (house.url, True)
    assert "open" in chat.explain() or "holds" in chat.explain()
    chat.close()
    chat.close()
    assert repr(chat) == "<chat with 'echo': Closed>"
    assert chatkit.load(tmp_path / "r.jsonl").warnings == ()


def test_the_same_cell_again_replaces_the_client(house) -> None:
    """The old connection is closed with 1000; another name is another conversation."""
    one = join(house)
    other = join(house, name="other")
    again = join(house)
    assert (one.status.state, again.status.live, other.status.live) == (State.CLOSED, True, True)
    assert one.trace.connections[0].ending.words == "closed by us: 1000"
    until_sync(lambda: len(house.stats.peers) == 2)
    again.close()
    other.close()
    until_sync(lambda: house.stats.peers == ())


def test_what_cannot_work_leaves_nothing_behind(house, unused_tcp_port, tmp_path: Path) -> None:
    """Refused with a reason; no client, no recording thread."""
    with pytest.raises(InvalidInput, match="no URL"):
        connect("nonsense", "echo")
    with pytest.raises(AuthError, match="login was refused"):
        join(house, token=None, user="ada", password="wrong-wrong")
    with pytest.raises(AuthError, match="refused the token"):
        join(house, token=house.token_for("ada", -5))
    with pytest.raises(ConnectFailed, match="nobody listens"):
        connect(f"http://127.0.0.1:{unused_tcp_port}", "echo", token="opaque", profile=profile(), record_to=tmp_path / "r.jsonl")  # fmt: skip
    until_sync(lambda: not [t for t in threading.enumerate() if t.name == "chatkit recorder"])
    assert house.stats.peers == ()


def test_waiting_for_things(house) -> None:
    """Each with a bound, and an answer either way."""
    chat = join(house)
    assert chat.wait_live(10).live
    assert chat.wait_until(lambda status: False, timeout=2 * TICK).live
    held = chat.hold(4 * TICK)
    assert (held.state, held.ending) == ("open", None)
    house.cut("rst")
    assert chat.wait_ended(1, 10)[0].ending.abort
    assert chat.wait_ended(9, 2 * TICK) == chat.ended
    assert chat.wait_live(10).live
    chat.reconnect()
    chat.close()
    with pytest.raises(ConnectFailed, match="no live connection to hold"):
        chat.hold(1)


def test_holding_a_connection_that_ends(house) -> None:
    """What has become of it comes back as soon as it is known."""
    chat = join(house)
    threading.Timer(4 * TICK, house.cut, ("fin",)).start()
    held = chat.hold(30)
    assert held.ending.words == "FIN by server, no close frame"
    chat.close()


def test_another_token(house) -> None:
    """From the next attempt on."""
    chat = join(house)
    token = house.token
    chat.set_token(token)
    assert chat.token == token
    chat.close()


def test_a_message_that_is_slow(house) -> None:
    """The wait ends, the message is not taken back."""
    house.set_faults([f"slow-reply:delay={10 * TICK}"])
    chat = join(house)
    delivery = chat.send("hello")
    with pytest.raises(TimeoutError):
        delivery.wait(2 * TICK)
    assert delivery.wait(10).text == "hello"
    chat.close()


def test_reading_from_the_cell_while_the_engine_works(house) -> None:
    """Properties need no loop."""
    chat = join(house)
    deadline = time.monotonic() + 4 * TICK
    while time.monotonic() < deadline:
        assert len(chat.trace) >= 1
        assert chat.messages == ()
    assert chat.recorder is chat.client.recorder
    chat.close()


def test_the_next_free_name_for_a_recording(tmp_path: Path) -> None:
    """A recording may be evidence."""
    path = tmp_path / "r.jsonl"
    assert free_path(path) == path
    path.touch()
    (tmp_path / "r-2.jsonl").touch()
    assert free_path(path) == tmp_path / "r-3.jsonl"


def test_a_restart_finds_conversation_timeline_and_queue(house, tmp_path: Path) -> None:
    """As after a kernel restart: the next process has the files only."""
    path, queue = tmp_path / "recording.jsonl", tmp_path / "outbox.db"
    kept = {"record_to": path, "queue": queue, "go_on": True}
    chat = join(house, **kept)
    assert chat.send("hello").wait(10).text == "hello"
    chat.close()
    again = join(house, **kept)
    until_sync(lambda: any(isinstance(event, Resumed) for event in again.trace))
    assert [message.text for message in again.messages] == ["hello", "hello"]
    assert [one.state for one in again.trace.connections] == ["ended", "open"]
    assert again.send("still there?").wait(10).text == "still there?"
    again.close()
    third = join(house, **kept)
    until_sync(lambda: sum(isinstance(event, Resumed) for event in third.trace) == 2)
    assert [message.text for message in third.messages] == ["hello", "hello", "still there?", "still there?"]
    assert [message.state for message in third.messages] == ["replied", "complete"] * 2
    assert len(third.trace.connections) == 3
    third.close()


def test_what_waited_is_found_once_and_goes_out(tmp_path: Path) -> None:
    """Found while the backend is away still; then that one knows nothing of the session, and another one is begun."""
    kept = {"record_to": tmp_path / "recording.jsonl", "queue": tmp_path / "outbox.db", "go_on": True}
    with chatkit.LabServer(secret="s" * 32) as house:
        kept |= {"url": house.url, "bot": "echo", "token": house.token, "profile": profile()}
        port = int(house.url.rpartition(":")[2])
        chat = connect(**kept)
        chat.send("hello").wait(10)
    waits = chat.send("does this arrive?")
    until_sync(lambda: waits._delivery.message.because != "")
    chat.close()
    again = connect(**kept)
    texts = ["hello", "hello", "does this arrive?"]
    assert [message.text for message in again.messages] == texts
    assert [item.text for item in again.unsent()] == texts[-1:]
    with chatkit.LabServer(port=port, secret="s" * 32):
        again.reconnect()
        texts.append("does this arrive?")
        until_sync(lambda: [message.text for message in again.messages] == texts)
        again.close()
        third = connect(**kept)
        until_sync(lambda: [message.text for message in third.messages] == texts)
        until_sync(lambda: sum(isinstance(event, Resumed) for event in third.trace) == 2)
        assert [message.text for message in third.messages] == texts
        assert third.unsent() == ()
        third.close()
