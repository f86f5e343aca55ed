"""The lesson: one connection at a time, ended in a chosen way, recorded at both ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from websockets.exceptions import ConnectionClosed

from chatkit import display
from chatkit.client.connection import RecordedConnection, close_quietly, write_quietly
from chatkit.client.engine import engine
from chatkit.client.http import HttpApi
from chatkit.client.opening import open_connection
from chatkit.ending import Connection
from chatkit.errors import InvalidInput
from chatkit.lab import LabServer
from chatkit.lessons.ways import BY_ID, WAYS, Way
from chatkit.recorder import Recorder
from chatkit.trace import Trace

GIVE_UP = 1.5
"""Seconds without an acknowledgement after which our kernel gives a connection up."""
QUIET = 0.3
"""Seconds of peace between the opening and the end."""
SETTLED = 0.05
"""Seconds after our end in which the other end records its own."""

_lessons: dict[str, Callable[[], None]] = {}


class TwoSides(Struct, frozen=True, kw_only=True):
    """One ending, as each end recorded it."""

    way: Way
    client: Trace
    server: Trace

    @property
    def connection(self) -> Connection:
        """As our side tells it."""
        return self.client.connections[0]

    def __repr__(self) -> str:
        face = display.find("two-sides", "text")
        return str(face(self)) if face is not None else f"<{self.way.id}>"

    def _repr_html_(self) -> str | None:
        face = display.find("two-sides", "html")
        return face(self) if face is not None else None


class EndingsLesson:
    """A lab of its own, and connections to it that end as the reader chooses.

    Args:
        name: a lesson of this name that runs already is closed first.

    :meth:`end` makes a connection and ends it; ``trace`` holds all of them as our side saw them.
    """

    def __init__(self, name: str = "endings") -> None:
        close = _lessons.pop(name, None)
        if close is not None:
            close()
        self._ours, self._theirs = Recorder(), Recorder()
        self._lab = LabServer(bots=["echo"], recorder=self._theirs).start()
        self._turn = asyncio.Lock()
        _lessons[name] = self.close

    @property
    def ways(self) -> tuple[Way, ...]:
        """What :meth:`end` can do."""
        return WAYS

    @property
    def trace(self) -> Trace:
        """All connections so far, as our side saw them."""
        return self._ours.snapshot()

    def end(self, way: str) -> TwoSides:
        """Opens a connection and ends it; takes a second, the dead path four.

        Args:
            way: an id of :attr:`ways`.

        Raises:
            InvalidInput: there is no such way.
            LabError: this system cannot do it (a dead path needs Linux), or the lesson is closed.

        Interrupting the cell cuts the connection.
        """
        return engine().call(self.ending(way))

    async def ending(self, way: str) -> TwoSides:
        """:meth:`end` on the engine's loop."""
        if way not in BY_ID:
            raise InvalidInput("there is no such way to end", expected=" or ".join(BY_ID), got=way, where="way")
        async with self._turn:
            return await self._end(BY_ID[way])

    def close(self) -> None:
        """Stops the lab; twice is fine."""
        self._lab.close()

    async def _end(self, way: Way) -> TwoSides:
        await asyncio.to_thread(self._lab.set_faults, [way.fault] if way.fault else [])
        ours, theirs = len(self._ours.snapshot()), len(self._theirs.snapshot())
        api = HttpApi(self._lab.url, recorder=self._ours, token=self._lab.token)
        try:
            connection = await open_connection(api.socket_url("echo"), self._ours, compression=None)
        finally:
            await api.aclose()
        async with asyncio.TaskGroup() as group:
            group.create_task(_read(connection), name="lesson reads")
            try:
                await asyncio.sleep(QUIET)
                await self._act(way, connection, api)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(way.patience):
                        await connection.wait_closed()
            finally:
                connection.abort()
        await asyncio.sleep(SETTLED)
        if way.id == "dead-path":
            seen = self._theirs.snapshot(theirs)
            # Afterwards, so that the record shows what the server knew while the path was dead.
            await asyncio.to_thread(self._lab.set_faults, [])
            return TwoSides(way=way, client=self._ours.snapshot(ours), server=seen)
        return TwoSides(way=way, client=self._ours.snapshot(ours), server=self._theirs.snapshot(theirs))

    async def _act(self, way: Way, connection: RecordedConnection, api: HttpApi) -> None:
        match way.id:
            case "we-1000" | "we-1001":
                assert way.code is not None
                await close_quietly(connection, way.code, way.reason)
            case "we-no-code":
                connection.protocol.send_close()
                connection.send_data()
            case "we-cut":
                connection.abort()
            case "server-fin" | "server-rst":
                await asyncio.to_thread(self._lab.cut, "fin" if way.id == "server-fin" else "rst")
            case "server-1009":
                await write_quietly(connection, api.profile.sync("s" * 600))
            case "dead-path":
                _give_up_soon(connection)
                await write_quietly(connection, api.profile.ping(datetime.now(UTC).isoformat()))
            case _ if way.fault is None:
                cut: Any = self._lab.cut
                await asyncio.to_thread(cut, "close", code=way.code, reason=way.reason)


def _give_up_soon(connection: RecordedConnection) -> None:
    """Otherwise the kernel would go on for a quarter of an hour (tcp(7), TCP_USER_TIMEOUT)."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None:
        sock = connection.transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, option, int(GIVE_UP * 1000))


async def _read(connection: RecordedConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await connection.recv()
