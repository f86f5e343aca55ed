"""What a window learns of whom it is to talk to."""

from __future__ import annotations

import chatkit
from chatkit.lab import LabServer
from chatkit.widgets.source import describe


def test_what_each_source_brings() -> None:
    """A lab brings all of it, a chat and a URL where it is, nobody nothing."""
    with LabServer() as lab:
        url, bots, user, password = describe(lab)
        assert (url, user, password) == (lab.url, lab.user, lab.password)
        assert [bot["id"] for bot in bots] == ["echo", "storyteller", "slow"]
        chat = chatkit.connect(lab.url, "echo", token=lab.token)
        assert describe(chat) == (chat.url, [], None, None)
        chat.close()
    assert describe("http://localhost:8000") == ("http://localhost:8000", [], None, None)
    assert describe(None) == ("", [], None, None)
