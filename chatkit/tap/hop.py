"""A TCP relay in front of a server that is faithful to the byte, until a fault plan says otherwise."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from chatkit.errors import InvalidInput
from chatkit.faults.moments import BlackHole, Moment, Started, Wake, Woke
from chatkit.faults.parse import Fault
from chatkit.faults.plan import FaultPlan
from chatkit.formats.purposes import purpose
from chatkit.recorder import Recorder, RelayTap
from chatkit.tap.altering import page
from chatkit.tap.certificates import Flaw, local_certificate
from chatkit.tap.hole import Hole, check_holes
from chatkit.tap.pair import Pair
from chatkit.tap.reaching import ClientLeft, address, first_bytes, readable, target_of, unless_left, unreached
from chatkit.tap.side import reset_at_close
from chatkit.tap.thread import Threaded
from chatkit.tap.watch import Watch

_TLS_RECORD = b"\x16"
"""The first byte of a ClientHello (RFC 8446, section 5.1)."""
_BACKLOG = 2048
"""As uvicorn's: a burst of reconnects must not be the hop's own trouble."""
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_TURNS = 5
"""Turns of the loop until an aborted transport has closed its socket."""


class Hop(Threaded):
    """Forwards both ways: FIN stays FIN, RST stays RST, half-open stays half-open, a slow reader is waited for.

    HTTP passes through untouched; what a fault plan acts on is read on the fly. Nothing starts in the constructor.
    ``async with Hop(…)`` runs it on the caller's loop; ``with Hop(…)``, or ``start()`` and ``close()``, on a daemon
    thread with its own loop. Leaving ends every connection that is still open by FIN.

    Args:
        listen: host and port (0 for any free one), or a bound socket that does not listen yet; the hop owns it then.
        to: the server, ``http://host:port``, or with ``https``, ``ws`` or ``wss``. A server that cannot be reached
            becomes an RST to the client; one that does not answer is waited for as long as the client waits.
        faults: those of the catalogue that act on the path; texts or :class:`Fault` values.
        seed: decides everything random but packet loss, which the kernel draws.
        tls: a server's context to speak TLS with, or True for a certificate of a local CA made on demand
            (:attr:`ca_pem`); the faults ``tls-failure`` and ``scheme-mismatch`` choose it by themselves.
        trust: how the server's certificate is judged, where its URL says TLS; the system's authorities otherwise.
        rename: whether requests name the server as their host (``Host``) and not, as the client wrote it, the hop.

    Raises:
        InvalidInput: a fault that is none or does not act on the path, or a URL that is more than host and port.
        LabError: this system cannot do one of the faults.
        MissingDependency: a certificate is to be made and ``cryptography`` is not installed.
    """

    _thread_name = "chatkit-hop"

    def __init__(
        self,
        listen: tuple[str, int] | socket.socket = ("127.0.0.1", 0),
        *,
        to: str,
        faults: Iterable[str | Fault] = (),
        seed: int = 0,
        tls: ssl.SSLContext | Literal[True] | None = None,
        trust: ssl.SSLContext | None = None,
        rename: bool = False,
    ) -> None:
        host, port, upstream_tls = target_of(to)
        self._to = (host, port)
        self._host = urlsplit(to).netloc if rename else None
        self._trust = (trust or ssl.create_default_context()) if upstream_tls else None
        self.recorder: Recorder | None = None
        """Records what goes through, as the client has it; whoever sets it, before the hop listens, closes it."""
        self._plan = path_plan(faults, seed)
        self._listen = listen
        self._flaw, self._named_secure = _secrecy(self._plan.faults, tls is not None)
        self._context = tls if isinstance(tls, ssl.SSLContext) else None
        self._secure = tls is not None or self._flaw is not None
        self.ca_pem = ""
        """The certificate of the CA that a client must trust, when the hop made one and that is no fault."""
        self.open = 0
        """WebSockets that are open through the hop."""
        self.accepted = 0
        """TCP connections so far."""
        self.watch = Watch()
        self._pairs: dict[int, Pair] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None
        self._name = ("", 0)
        self._hole: Hole | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._state = self._plan.begin(0)

    # Life

    async def _open(self) -> None:
        await self.open_here()

    async def _shut(self) -> None:
        await self.shut_here()

    async def open_here(self) -> None:
        """Listens, on the running loop, which :meth:`shut_here` must be called on.

        Raises:
            InvalidInput: the address cannot be listened on.
        """
        if self._secure and self._context is None:
            certificate = local_certificate(self._flaw or "none")
            self._context, self.ca_pem = certificate.context, certificate.ca_pem
        self._listener = _listening(self._listen)
        self._name = self._listener.getsockname()[:2]
        self.watch.open()
        self._begin(self._accept(self._listener), "accept")
        self._tell(Started())

    async def shut_here(self) -> None:
        """Refuses new connections, ends the old ones by FIN; twice is fine."""
        for timer in self._timers:
            timer.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._heal_port()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for pair in list(self._pairs.values()):
            pair.heal()
            pair.end("fin", stopped=True)
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        for pair in list(self._pairs.values()):
            pair.abandon()
        await asyncio.sleep(0)
        self._pairs.clear()
        self.watch.close()

    # What it is

    @property
    def address(self) -> str:
        """``host:port``; the port is known once it runs."""
        return address(*self._name)

    @property
    def url(self) -> str:
        """``http://host:port``, or ``https://`` where the hop speaks TLS or a fault says so."""
        return f"http{'s' if self._named_secure else ''}://{self.address}"

    @property
    def ws_url(self) -> str:
        """The same with ``ws`` or ``wss``."""
        return f"ws{'s' if self._named_secure else ''}://{self.address}"

    @property
    def linked(self) -> int:
        """TCP connections of clients that are there now."""
        return len(self._pairs)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What goes wrong."""
        return tuple(self._plan.faults)

    def set_faults(self, faults: Iterable[str | Fault]) -> None:
        """Another set of faults, for connections opened from now on; call it on the hop's loop.

        Raises:
            InvalidInput: a fault that is none, does not act on the path, or would change what the port speaks.
            LabError: this system cannot do one of them.
        """
        plan = path_plan(faults, self._plan.seed)
        if _of_the_port(plan.faults) != _of_the_port(self._plan.faults):
            raise InvalidInput(
                "what a port speaks cannot change while it listens",
                expected="the same tls-failure and scheme-mismatch as before",
                where="faults",
                remedy="make a new one",
            )
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self.heal()
        self._plan, self._state = plan, plan.begin(0)
        self._tell(Started())

    def heal(self) -> None:
        """Ends every silence that a fault made; twice is fine."""
        self._heal_port()
        for pair in list(self._pairs.values()):
            pair.heal()

    def forget(self, pair: Pair) -> None:
        """Both connections of a pair are no more."""
        self._pairs.pop(id(pair), None)

    # How

    def _tell(self, moment: Moment) -> None:
        loop = asyncio.get_running_loop()
        self._state, actions = self._plan.decide(self._state, moment, loop.time())
        for action in actions:
            if isinstance(action, Wake):
                self._timers.append(loop.call_later(action.after, self._tell, Woke(key=action.key)))
            elif isinstance(action, BlackHole):
                self._mute(action.seconds)

    def _mute(self, seconds: float) -> None:
        """Nobody reaches the port any more, and every connection through it is dead."""
        if self._listener is None or self._hole is not None:
            return
        self._hole = Hole(self._listener)
        for pair in list(self._pairs.values()):
            pair.mute(seconds)
        if seconds > 0:
            self._timers.append(asyncio.get_running_loop().call_later(seconds, self._heal_port))

    def _heal_port(self) -> None:
        if self._hole is not None:
            self._hole.close()
            self._hole = None

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        # Tasks of this owner: shut_here() cancels them and waits for them.
        task = asyncio.get_running_loop().create_task(work, name=f"chatkit hop {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(listener)
            except OSError as error:
                if error.errno in _NO_ROOM:
                    await asyncio.sleep(0.1)
                continue
            self.accepted += 1
            self._begin(self._link(sock, self.accepted), "link")

    async def _link(self, sock: socket.socket, ordinal: int) -> None:
        loop = asyncio.get_running_loop()
        pair = Pair(self, ordinal, self._plan, self._tap(), self._host)
        self._pairs[id(pair)] = pair
        try:
            # asyncio sets this on what it accepted itself. Without it small writes wait for a delayed ACK, 40 ms.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None and not await _says_tls(sock):
                pair.fail("tls", "the client spoke no TLS to a port that does: use https:// and wss://")
                return
            if not await self._reach(sock, pair):
                return
            await loop.connect_accepted_socket(lambda: pair.client, sock, ssl=self._context)
            pair.link()
        except OSError as error:
            # The client went away or did not like the certificate.
            pair.fail("tls" if self._context is not None else "tcp", f"at the client's side: {error}")
            pair.end("rst")
        finally:
            if pair.client.transport is None:
                _refuse(sock)
                pair.abandon()

    async def _reach(self, sock: socket.socket, pair: Pair) -> bool:
        """Connects to the server; where that fails, the recording hears why and the pair is over."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        name = self._to[0] if self._trust is not None else None
        work = loop.create_connection(lambda: pair.server, *self._to, ssl=self._trust, server_hostname=name)
        try:
            await unless_left(sock, work)
        except (OSError, ClientLeft) as error:
            if pair.recorded:
                pair.heard(await first_bytes(sock) if self._context is None else b"")
                pair.fail(*unreached(error, loop.time() - began, tls=self._trust is not None))
            pair.end("rst")
            return False
        pair.reached(sock.getpeername(), loop.time() - began)
        return True

    def _tap(self) -> RelayTap | None:
        if self.recorder is None:
            return None
        return self.recorder.relayed(purpose, target=address(*self._to), secure=self._context is not None)


def path_plan(faults: Iterable[str | Fault], seed: int) -> FaultPlan:
    """A plan of faults that all act on the path.

    Raises:
        InvalidInput: one does not, or is none.
        LabError: this system cannot do one of them.
    """
    plan = FaultPlan(faults, seed)
    other = next((fault for fault in plan.faults if fault.kind.acts != "path"), None)
    if other is not None:
        raise InvalidInput(
            f"{other.id} does not act on the path",
            expected="faults that a hop can do: chatkit lab --list-faults",
            got=str(other),
            where="faults",
            remedy="give it to the lab behind the hop",
        )
    check_holes(plan.faults)
    return plan


def _secrecy(faults: Iterable[Fault], tls: bool) -> tuple[Flaw | None, bool]:
    """What is wrong with a certificate to make (``none`` for nothing; None for no TLS), and whether URLs say TLS."""
    flaw: Flaw | None = "none" if tls else None
    secure = tls
    for fault in faults:
        if fault.id == "tls-failure":
            flaw, secure = cast("Flaw", fault.word("reason")), True
        elif fault.id == "scheme-mismatch" and fault.word("expects") == "https":
            flaw, secure = flaw or "none", False
        elif fault.id == "scheme-mismatch":
            flaw, secure = None, True
    return flaw, secure


def _of_the_port(faults: Iterable[Fault]) -> list[Fault]:
    return [fault for fault in faults if fault.id in ("tls-failure", "scheme-mismatch")]


def _listening(listen: tuple[str, int] | socket.socket) -> socket.socket:
    if isinstance(listen, socket.socket):
        listen.listen(_BACKLOG)
        listen.setblocking(False)
        return listen
    host, port = listen
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        sock = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise InvalidInput(
            "the hop cannot listen there", got=f"{host}:{port}: {error.strerror}", where="listen", remedy="port 0"
        ) from error
    sock.setblocking(False)
    return sock


def _refuse(sock: socket.socket) -> None:
    with suppress(OSError):
        reset_at_close(sock)
    sock.close()


async def _says_tls(sock: socket.socket) -> bool:
    """Whether the client begins as TLS does; one that speaks HTTP is told so, as nginx does."""
    sock.setblocking(False)
    await readable(sock)
    loop = asyncio.get_running_loop()
    if sock.recv(1, socket.MSG_PEEK) == _TLS_RECORD:
        return True
    await loop.sock_recv(sock, 65_536)
    await loop.sock_sendall(sock, page(400, detail="The plain HTTP request was sent to HTTPS port"))
    sock.shutdown(socket.SHUT_WR)
    return False
