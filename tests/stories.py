"""Events of a connection as a story: ``(at, kind, fields)`` each; and secrets to hide."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any, get_type_hints

import jwt

from chatkit.events import KINDS, AttemptStarted, Event, FrameSent, Opened, RecordingEnded, TransportEnded
from chatkit.trace import Header, Origin, Trace

SECRET = "a-signing-secret-of-at-least-32-bytes"


def make_jwt(**claims: Any) -> str:
    """A signed JWT with these claims."""
    return jwt.encode({"sub": "ada", "type": "access"} | claims, SECRET, algorithm="HS256")


def story(
    *facts: tuple[float, type[Event], dict[str, Any]] | tuple[float, type[Event]], connection: str = "1"
) -> Trace:
    """A trace of one connection: ``(at, kind, fields)`` each, ids from 0."""
    return Trace.of(events(*facts, connection=connection), header())


def events(
    *facts: tuple[float, type[Event], dict[str, Any]] | tuple[float, type[Event]],
    connection: str | None = "1",
    ids: Iterator[int] | None = None,
) -> list[Event]:
    """Events of one connection from ``(at, kind, fields)`` each."""
    ids = ids if ids is not None else itertools.count()
    made = []
    for at, kind, *rest in facts:
        fields: dict[str, Any] = dict(rest[0]) if rest else {}
        made.append(kind(id=str(next(ids)), at=at, **({"connection": connection} | fields)))
    return made


def header(**changes: Any) -> Header:
    """A header of a live trace that began at a round second."""
    return Header(**({"origin": Origin(kind="live"), "epoch": 1_700_000_000.0} | changes))


def text(type_: str, **data: Any) -> dict[str, Any]:
    """Fields of a data frame that carries one JSON message."""
    body = json.dumps({"type": type_, **data})
    return {"size": len(body), "text": body}


def example(kind: type[Event]) -> Event:
    """One event of a kind, every field filled."""
    values: dict[str, Any] = {}
    hints = get_type_hints(kind)
    for name in kind.__struct_fields__:
        values[name] = _value(name, hints[name])
    return kind(**values)


def _value(name: str, hint: Any) -> Any:
    words = str(hint)
    if name == "id":
        return "17"
    if "list[tuple" in words:
        return [("Host", "example.org"), ("X-Odd", "a\nb")]
    if "dict[" in words:
        return {"every": 2.0}
    if "list[str]" in words:
        return ["192.0.2.1", "2001:db8::1"]
    if "bool" in words:
        return False
    if "float" in words:
        return 1.25
    if "int" in words:
        return 1000
    quoted = name in {"error", "detail", "because", "text", "reason", "body"}
    return f"{name}: ünï “x”" + ("\nsecond line" if quoted else "")


ALL = [example(kind) for kind in KINDS]
"""One event of every kind."""

STORY_OF_A_PING = story(
    (0.0, AttemptStarted, {"url": "ws://h/p"}),
    (0.1, Opened),
    (0.2, FrameSent, text("ping", timestamp="t")),
    (0.4, TransportEnded, {"how": "rst", "by": "server"}),
    (0.5, RecordingEnded, {"connection": None}),
)
"""The incident in five events."""
