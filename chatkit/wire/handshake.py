"""The opening handshake as it stands on the wire (RFC 6455, section 4; RFC 9112): bytes in, head out."""

from __future__ import annotations

from msgspec import Struct

MAX_HEAD = 65536
"""Bytes after which something that still has no end of head is not a handshake."""


class Head(Struct, frozen=True):
    """A request or response head."""

    first: tuple[str, str, str]
    """The start line's three parts: method, target, version; or version, status, reason."""
    headers: list[tuple[str, str]]

    def get(self, name: str) -> str | None:
        """The field's value, several joined by comma (RFC 9110, section 5.3), or ``None``."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(values) if values else None


def split_head(data: bytes) -> tuple[Head, bytes] | None:
    """The head at the start of ``data`` and what follows it; ``None`` while it is not complete.

    Raises:
        ValueError: this is not HTTP/1.1.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) > MAX_HEAD:
            raise ValueError(f"no end of the HTTP head within {MAX_HEAD} bytes")
        return None
    lines = data[:end].decode("latin-1").split("\r\n")
    first = lines[0].split(" ", 2)
    if len(first) < 2 or not (first[0].startswith("HTTP/1.") or (len(first) == 3 and first[2].startswith("HTTP/1."))):
        raise ValueError(f"not an HTTP/1.1 start line: {lines[0][:80]!r}")
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"not an HTTP field: {line[:80]!r}")
        headers.append((name.strip(), value.strip()))
    return Head((first[0], first[1], first[2] if len(first) > 2 else ""), headers), data[end + 4 :]


def join_head(head: Head) -> bytes:
    """The head as bytes, the empty line included."""
    lines = [" ".join(head.first), *(f"{name}: {value}" for name, value in head.headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
