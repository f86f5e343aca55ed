"""A dead path, or a lossy one, for one TCP connection: the kernel drops what arrives, and nothing of ours gets out.

A relay that swallows data still acknowledges it, which looks like a blocked server. A socket filter that accepts
no byte makes the kernel drop each segment before TCP sees it: the peer's retransmissions grow, nothing is
acknowledged, and taking the filter off heals the connection.
"""

from __future__ import annotations

import array
import asyncio
import platform
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from chatkit.errors import LabError
from chatkit.faults.parse import Fault
from chatkit.faults.path_kinds import NEEDS_FILTER

_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
"""asm-generic/socket.h; Python's socket module does not name them."""
_RETURN_ZERO = struct.pack("@HBBI", 0x06, 0, 0, 0)
"""``struct sock_filter``: BPF_RET | BPF_K with 0, "accept no byte"."""
_RETURN_ALL = struct.pack("@HBBI", 0x06, 0, 0, 0xFFFFFFFF)
_LOAD_RANDOM = struct.pack("@HBBI", 0x20, 0, 0, 0xFFFFF000 + 56)
"""BPF_LD | BPF_W | BPF_ABS at SKF_AD_OFF + SKF_AD_RANDOM (linux/filter.h): 32 random bits into the accumulator."""


class Hole:
    """Nothing reaches a socket, and its end is not seen by the peer, until :meth:`close`; twice is fine.

    Args:
        sock: a connected TCP socket. A duplicate keeps it in being: while there is one, closing the original
            sends neither FIN nor RST.

    Raises:
        OSError: the kernel has no socket filters, or the socket is closed.
    """

    def __init__(self, sock: Any) -> None:
        mine: socket.socket = sock.dup()
        try:
            _attach(mine)
        except OSError:
            mine.close()
            raise
        self._sock: socket.socket | None = mine

    def close(self) -> None:
        """Heals the path."""
        if self._sock is None:
            return
        with suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        self._sock.close()
        self._sock = None


class HeldTransport:
    """A transport whose writes wait for :meth:`release`; everything else is the transport's own."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Keeps it."""
        self._held.append(data)

    def release(self) -> asyncio.Transport:
        """Writes what was kept, unless the transport was closed meanwhile, and gives the transport back."""
        if self._held and not self._transport.is_closing():
            self._transport.write(b"".join(self._held))
        self._held.clear()
        return self._transport


def check_holes(faults: Iterable[Fault]) -> None:
    """Refuses black holes where they cannot be dug.

    Raises:
        LabError: one of the faults needs packets to be dropped and this system has no socket filters.
    """
    hole = next((fault for fault in faults if fault.id == "black-hole" or fault.id in NEEDS_FILTER), None)
    if hole is None or supported():
        return
    raise LabError(
        "this system cannot make a black hole, or lose packets",
        expected="Linux, whose kernel can drop what arrives at a socket (SO_ATTACH_FILTER)",
        got=platform.system(),
        where=f"fault {str(hole)!r}",
        remedy="leave it out, or run it on Linux",
    )


def supported() -> bool:
    """Whether the kernel takes a socket filter."""
    if platform.system() != "Linux":
        return False
    with socket.socket() as sock:
        try:
            _attach(sock)
        except OSError:
            return False
    return True


def lose(sock: Any, share: float) -> None:
    """Lets the kernel drop that share of the packets that arrive at a connected TCP socket, drawn one by one.

    Raises:
        OSError: the kernel has no socket filters, or the socket is closed.
    """
    least = struct.pack("@HBBI", 0x35, 1, 0, min(0xFFFFFFFF, round(share * 2**32)))  # BPF_JMP | BPF_JGE | BPF_K
    _attach(sock, _LOAD_RANDOM + least + _RETURN_ZERO + _RETURN_ALL)


def _attach(sock: Any, instructions: bytes = _RETURN_ZERO) -> None:
    program = array.array("B", instructions)
    size = len(instructions) // len(_RETURN_ZERO)
    # struct sock_fprog: the number of instructions and their address; the kernel copies them during the call.
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", size, program.buffer_info()[0]))
