"""What a lab can do is chosen by words, and announced."""

from __future__ import annotations

import json

import pytest

from chatkit.errors import InvalidInput
from chatkit.lab import LabServer
from chatkit.lab.capabilities import CAPABILITIES, choose_capabilities


def test_choosing() -> None:
    """In their own order, each once."""
    assert choose_capabilities(()) == ()
    assert choose_capabilities(["mux", "idempotency", "mux"]) == ("idempotency", "mux")
    assert choose_capabilities(CAPABILITIES) == CAPABILITIES


@pytest.mark.parametrize("wanted", [["telepathy"], ["mux", ""], "mux"])
def test_refusing(wanted) -> None:
    """The words are named; a text is not a list of words."""
    with pytest.raises(InvalidInput, match="idempotency or resume or mux"):
        LabServer(capabilities=wanted)


@pytest.mark.parametrize("path", ["/api/ws/chat/echo", "/api/ws/notifications", "/api/ws/mux"])
async def test_every_greeting_announces_them(house, path) -> None:
    """As a list in data."""
    home = await house(capabilities=["mux", "resume"])
    async with home.socket(home.lab.token, path) as ws:
        assert json.loads(await ws.recv())["data"]["capabilities"] == ["resume", "mux"]
    assert home.lab.capabilities == ("resume", "mux")
    assert home.lab.ready()["capabilities"] == ["resume", "mux"]


async def test_without_any_the_types_mean_nothing(house) -> None:
    """They are ignored as every unknown type is."""
    home = await house()
    ada = await home.enter()
    types = ("resume", "subscribe", "unsubscribe", "message")
    for type in types:
        await ada.tell(type, data={"bot_id": "echo", "generation": 1, "session_id": "s", "content": "x"})
    assert await ada.pong() == []
    assert home.lab.stats.ignored == len(types)
    assert home.lab.sessions() == []
