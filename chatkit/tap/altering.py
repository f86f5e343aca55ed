"""What a hop changes, and what it says by itself: heads, frames and answers as bytes; pure."""

from __future__ import annotations

from http import HTTPStatus

from websockets.frames import Close, Frame, Opcode

from chatkit.deflate import deflate_parameters
from chatkit.faults.path_moments import Mangle, Rewrite
from chatkit.wire.cutting import Cut
from chatkit.wire.handshake import Head

SERVER = "nginx"
"""What ``Server`` says in answers of the hop's own: the product whose answers they look like."""
_EXTENSIONS = "sec-websocket-extensions"
_INDEPENDENT = ("server_no_context_takeover", "client_no_context_takeover")
_INVALID_BLOCK = 0x07
"""A last block of type 3, which is reserved (RFC 1951, section 3.2.3): no inflater takes it."""


def request_head(head: Head, rewrite: Rewrite) -> Head:
    """The request as it goes on to the server."""
    match rewrite.what:
        case "no-upgrade":
            return _without(head, "upgrade", "connection")
        case "uncompressed":
            return _without(head, _EXTENSIONS)
        case "independent":
            return _independent(head, _INDEPENDENT)
    return head


def named(head: Head, host: str) -> Head:
    """The request with that host in place of the one it names."""
    return _with(_without(head, "host"), "Host", host)


def answer_head(head: Head, rewrite: Rewrite, *, offered: bool) -> Head:
    """The 101 as it goes on to the client; ``offered`` says whether that offered compression."""
    match rewrite.what:
        case "accept":
            return _with(_without(head, "sec-websocket-accept"), "Sec-WebSocket-Accept", "bm90IGZvciB5b3VyIGtleQ==")
        case "extension":
            return _with(head, "Sec-WebSocket-Extensions", "x-not-offered")
        case "lose-deflate":
            return _without(head, _EXTENSIONS)
        case "claim-deflate" if offered:
            return _with(_without(head, _EXTENSIONS), "Sec-WebSocket-Extensions", "permessage-deflate")
        case "independent":
            # Only the server can promise its own half; for the client's half the client is told.
            return _independent(head, _INDEPENDENT[1:])
    return head


def mangled(cut: Cut, how: str) -> bytes:
    """A message that is broken in one way of :class:`chatkit.faults.path_moments.Mangle`."""
    raw, head = bytearray(cut.raw), cut.head
    key = raw[head - 4 : head] if raw[1] & 0x80 else bytes(4)
    match Mangle(how=how).how:  # type: ignore[arg-type]
        case "reserved-bit":
            raw[0] |= 0x20
        case "rsv1":
            raw[0] &= ~0x40
        case "deflate" if cut.size:
            raw[head] = _INVALID_BLOCK ^ key[0]
        case "utf8" if cut.size:
            last = len(raw) - 1 - head
            raw[-1] = 0xFF ^ key[last % 4]
    return bytes(raw)


def close_frame(code: int, reason: str) -> bytes:
    """A close frame as a server sends it."""
    return Frame(Opcode.CLOSE, Close(code, reason).serialize()).serialize(mask=False)


def page(status: int, retry_after: float | None = None, *, detail: str = "") -> bytes:
    """An answer like nginx's own, after which the connection ends."""
    phrase = HTTPStatus(status).phrase
    title = f"{status} {detail or phrase}"
    body = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{status} {phrase}</h1></center>\r\n"
        + (f"<center>{detail}</center>\r\n" if detail else "")
        + f"<hr><center>{SERVER}</center>\r\n</body>\r\n</html>\r\n"
    )
    lines = [
        f"HTTP/1.1 {status} {phrase}",
        f"Server: {SERVER}",
        "Content-Type: text/html",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *([] if retry_after is None else [f"Retry-After: {retry_after:.15g}"]),
    ]
    return "\r\n".join([*lines, "", body]).encode("latin-1")


def _without(head: Head, *names: str) -> Head:
    return Head(head.first, [(name, value) for name, value in head.headers if name.lower() not in names])


def _with(head: Head, name: str, value: str) -> Head:
    return Head(head.first, [*head.headers, (name, value)])


def _independent(head: Head, words: tuple[str, ...]) -> Head:
    return Head(
        head.first,
        [(name, _promise(value, words) if name.lower() == _EXTENSIONS else value) for name, value in head.headers],
    )


def _promise(extensions: str, words: tuple[str, ...]) -> str:
    offers = []
    for offer in extensions.split(","):
        known = deflate_parameters(offer)
        missing = [] if known is None else [word for word in words if word not in known]
        offers.append("; ".join([offer.strip(), *missing]))
    return ", ".join(offers)
