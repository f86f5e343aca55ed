"""Messages of the server by their type, with their JSON."""

from __future__ import annotations

from collections.abc import Iterator

from chatkit.diagnosis.facts import Facts, Life, body_of
from chatkit.events import KIND_CODE, FrameReceived
from chatkit.profile import Fields, dig

MOST_PARSED = 2_000
"""Messages whose JSON is read."""
FIELDS = Fields()
_FRAME_RECEIVED = KIND_CODE[FrameReceived]


def received(facts: Facts, kind: str) -> Iterator[tuple[Life, FrameReceived, dict[str, object]]]:
    """Messages of a type that the server sent, with their JSON, in the order of time; of many the first."""
    for place in facts.trace.find(b'\\"' + kind.encode() + b'\\"', MOST_PARSED):
        life = facts.life_at(place)
        if life is None or facts.trace.kind[place] != _FRAME_RECEIVED:
            continue
        event = facts.trace[place]
        assert isinstance(event, FrameReceived)
        body = body_of(event.text)
        if isinstance(body, dict) and body.get("type") == kind:
            yield life, event, body


def text_at(body: dict[str, object], path: str) -> str | None:
    """A text or a number at a dotted path of a message."""
    found = dig(body, path)
    return str(found) if isinstance(found, str | int) else None
