"""What the lab counts, for tests and for people who watch it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from chatkit.lab.hub import PeerInfo


@dataclass(slots=True, kw_only=True)
class Counters:
    """What happened since the start; a crash does not reset it."""

    attempts: int = 0
    """WebSocket upgrades asked for."""
    refused: int = 0
    """Upgrades refused, or closed at once after they were accepted."""
    opened: int = 0
    """Connections that were let in."""
    ended: int = 0
    """Of those, how many are gone."""
    aborted: int = 0
    """Connections that the lab ended without a close frame, on purpose."""
    app_pings: int = 0
    protocol_pings: int = 0
    messages: int = 0
    """Data messages received on sockets, pings included."""
    ignored: int = 0
    """Messages of unknown type."""
    chats: int = 0
    """Users' messages that were taken; one that is sent again counts once."""
    crashes: int = 0
    restarts: int = 0

    def snapshot(self, peers: tuple[PeerInfo, ...]) -> LabStats:
        """The numbers of this moment."""
        return LabStats(peers=peers, **asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class LabStats:
    """A snapshot of what the lab saw; the numbers are those of :class:`Counters`."""

    attempts: int
    refused: int
    opened: int
    ended: int
    aborted: int
    app_pings: int
    protocol_pings: int
    messages: int
    ignored: int
    chats: int
    crashes: int
    restarts: int
    peers: tuple[PeerInfo, ...]
    """Who is connected now, oldest first."""
