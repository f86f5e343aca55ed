"""The kernel's view of a connection: Linux ``TCP_INFO`` (``struct tcp_info`` in linux/tcp.h), readable without root.

It separates network loss (retransmissions grow, nothing is acknowledged) from a deliberate cut (clean until the
instant) and from a blocked peer (acknowledged, but no data comes).
"""

from __future__ import annotations

import socket
import struct
import sys
from typing import Any

# Eight bytes of states and flags, then 32-bit words; the indices below count the words.
_WORDS = struct.Struct("=8x24I")
_UNACKED, _LAST_DATA_RECV, _LAST_ACK_RECV, _RTT, _RTTVAR, _TOTAL_RETRANS = 4, 11, 12, 15, 16, 23


def sample(sock: Any) -> dict[str, float | int] | None:
    """Fields of :class:`chatkit.events.TcpInfoSampled`, ``None`` where the system has no such thing."""
    if not sys.platform.startswith("linux") or sock is None:
        return None
    try:
        raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _WORDS.size)
    except OSError:
        return None
    if len(raw) < _WORDS.size:
        return None
    words = _WORDS.unpack(raw)
    return {
        "rtt": words[_RTT] / 1e6,
        "rtt_variance": words[_RTTVAR] / 1e6,
        "retransmits": words[_TOTAL_RETRANS],
        "unacked": words[_UNACKED],
        "last_data_received": words[_LAST_DATA_RECV] / 1e3,
        "last_ack_received": words[_LAST_ACK_RECV] / 1e3,
    }
