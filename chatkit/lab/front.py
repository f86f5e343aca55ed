"""The hop that a lab puts in front of itself when a fault acts on the path."""

from __future__ import annotations

from collections.abc import Iterable

from chatkit.faults.parse import Fault, parse_faults
from chatkit.lab.listener import bind
from chatkit.tap.hop import Hop, path_plan


class Front:
    """Listens where the lab was asked to, and forwards to where the lab listens.

    Args:
        faults: those that act on the path.
        seed: decides everything random.
        host: where to listen.
        port: 0 for any free one.

    Raises:
        LabError: this system cannot do one of the faults.
    """

    def __init__(self, faults: Iterable[Fault], *, seed: int, host: str, port: int) -> None:
        self._plan = path_plan(faults, seed)
        self._host, self._port = host, port
        self.hop: Hop | None = None
        """Once it is open."""

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What goes wrong on the path."""
        return tuple(self._plan.faults)

    async def open(self, address: str) -> None:
        """Listens.

        Args:
            address: ``host:port`` of the backend.

        Raises:
            LabError: the port is taken.
            MissingDependency: a certificate is to be made and ``cryptography`` is not installed.
        """
        sock = bind(self._host, self._port)
        try:
            hop = Hop(sock, to=f"http://{address}", faults=self._plan.faults, seed=self._plan.seed)
            await hop.open_here()
        except BaseException:
            sock.close()
            raise
        self.hop = hop

    async def close(self) -> None:
        """Ends what is left; twice is fine."""
        if self.hop is not None:
            await self.hop.shut_here()

    def set_faults(self, faults: Iterable[Fault]) -> None:
        """Another set, for connections opened from now on.

        Raises:
            InvalidInput: one would change what the port speaks; the old ones stay.
        """
        plan = path_plan(faults, self._plan.seed)
        if self.hop is not None:
            self.hop.set_faults(plan.faults)
        self._plan = plan


def split(faults: Iterable[str | Fault]) -> tuple[list[Fault], list[Fault]]:
    """Faults of the server, and faults of the path.

    Raises:
        InvalidInput: a text that is no fault.
    """
    parsed = parse_faults(faults)
    return [f for f in parsed if f.kind.acts == "server"], [f for f in parsed if f.kind.acts == "path"]
