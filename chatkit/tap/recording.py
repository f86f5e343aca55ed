"""A recording proxy: what goes through becomes a trace while it goes through."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable
from pathlib import Path

from chatkit.errors import InvalidInput
from chatkit.events import Noted
from chatkit.faults.parse import Fault
from chatkit.profile import Profile, load
from chatkit.recorder import Recorder
from chatkit.redact import Redactor
from chatkit.tap.hop import Hop
from chatkit.tap.thread import Threaded
from chatkit.trace import Trace

NOT_VISIBLE = ("tcp", "client-side", "server-side")
"""What nobody sees who stands between client and server and reads from sockets."""
_LISTEN = re.compile(r"(?:(?P<host>[^\[\]:/@\s]+|\[[0-9a-fA-F:.]+\]):)?(?P<port>[0-9]{1,5})", re.ASCII)


class Tap(Threaded):
    """A transparent proxy that records: point the front end at :attr:`url`, and it talks to ``to`` as before.

    TCP stays what it is: a FIN is passed on as FIN, an RST as RST, half-closed stays half-closed, and who reads slowly
    is waited for. HTTP passes through; WebSockets come out of it as connections of the trace. What is recorded is what
    the client had: its bytes as they came, the server's as they went on, behind any fault. Who ended a connection
    first is told as seen from here, ``client`` or ``server``; a tap that is stopped under a connection says so.

    A server that refuses, or has no address, becomes an RST to the client, never an answer that nobody gave. One that
    does not accept is waited for as long as the client waits, or the kernel. Either way the recording says so.

    ``async with Tap(…)`` runs it on the caller's loop; ``with Tap(…)``, or ``start()`` and ``close()``, on a thread of
    its own, which a blocked notebook cell does not hold up. Cancelling inside leaves in order: every connection gets
    FIN, the recording is complete. In a notebook ``chatkit.TimelineExplorer(tap.recorder)`` follows it live.

    Args:
        to: the server: ``http://host:port``, ``https``, ``ws`` or ``wss``. TLS there is checked.
        listen: ``host:port``, or a port of loopback; 0 for any free one.
        out: the recording (JSON Lines), ``None`` for memory only.
        overwrite: whether an existing file may be replaced.
        faults: those of the catalogue that act on the path, declared in the recording: texts or ``Fault`` values.
        seed: decides everything random about them but packet loss.
        tls: whether clients speak TLS to it; it makes a certificate for the names of loopback (:attr:`ca_pem`).
        ca: file with authorities to trust besides the system's, for the server's certificate.
        rename: whether requests name the server in ``Host``. As the client wrote it, it names the tap, which a server
            of several names, or one that checks it, does not know.
        profile: the backend's contract, for the names of its message types.
        keep: events that memory holds, at least 1,000; ``None`` for all.
        redactor: announces secrets besides those that are known by their looks.

    Raises:
        InvalidInput: an argument that cannot work.
        LabError: this system cannot do one of the faults.

    >>> import asyncio, chatkit
    >>> async def talk():
    ...     async with chatkit.LabServer() as lab, chatkit.Tap(lab.url) as tap:
    ...         async with chatkit.ChatClient(tap.url, bot="echo", token=lab.token) as chat:
    ...             await chat.send("hello")
    ...     return tap.trace()
    >>> asyncio.run(talk()).connections[0].ending.first
    'client'
    """

    _thread_name = "chatkit tap"

    def __init__(
        self,
        to: str,
        *,
        listen: str | int = 0,
        out: str | Path | None = None,
        overwrite: bool = False,
        faults: Iterable[str | Fault] = (),
        seed: int = 0,
        tls: bool = False,
        ca: str | Path | None = None,
        rename: bool = False,
        profile: str | Path | Profile | None = None,
        keep: int | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        self._hop = Hop(
            listen_at(listen),
            to=to,
            faults=faults,
            seed=seed,
            tls=True if tls else None,
            trust=None if ca is None else _trusting(ca),
            rename=rename,
        )
        self.to = to
        """The server's URL."""
        self._out, self._overwrite, self._keep = out, overwrite, keep
        self._types = load(profile).types
        self._redactor = redactor
        self._seed = seed
        self._recorder: Recorder | None = None

    # Life

    async def _open(self) -> None:
        # Listening first: a port that is taken must not leave a file behind.
        await self._hop.open_here()
        try:
            self._recorder = Recorder(
                self._out,
                overwrite=self._overwrite,
                target=self.to,
                types=self._types,
                kind="tap",
                not_visible=NOT_VISIBLE,
                redactor=self._redactor,
                keep=self._keep,
            )
        except BaseException:
            await self._hop.shut_here()
            raise
        self._hop.recorder = self._recorder
        # Whoever listens has the recorder's thread work: what came shall be events soon, with a file or without one.
        self._recorder.subscribe(_nobody)
        if self.faults:
            text = f"this tap has faults, seed {self._seed}: " + "; ".join(map(str, self.faults))
            self._recorder.record(Noted, text=text)

    async def _shut(self) -> None:
        await self._hop.shut_here()
        if self._recorder is not None:
            self._recorder.close()

    # What it is

    @property
    def recorder(self) -> Recorder:
        """What records; for ``chatkit.TimelineExplorer``.

        Raises:
            InvalidInput: it does not run yet.
        """
        if self._recorder is None:
            raise InvalidInput("the tap has recorded nothing yet", remedy="enter it with `async with`, or start() it")
        return self._recorder

    def trace(self) -> Trace:
        """What was recorded until now, also after the end; it does not change later."""
        return self.recorder.snapshot()

    @property
    def url(self) -> str:
        """Where clients shall go: ``http://host:port``, or ``https``; the port is known once it runs."""
        return self._hop.url

    @property
    def ws_url(self) -> str:
        """The same with ``ws`` or ``wss``."""
        return self._hop.ws_url

    @property
    def ca_pem(self) -> str:
        """The certificate that clients must trust, when the tap speaks TLS."""
        return self._hop.ca_pem

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What goes wrong on purpose."""
        return self._hop.faults

    @property
    def accepted(self) -> int:
        """TCP connections of clients so far."""
        return self._hop.accepted

    @property
    def open(self) -> int:
        """TCP connections of clients that are open now."""
        return self._hop.linked

    def __repr__(self) -> str:
        events = len(self._recorder) if self._recorder is not None else 0
        return f"<Tap {self.url} to {self.to}: {self.accepted:,} TCP connections, {events:,} events>"


def listen_at(listen: str | int) -> tuple[str, int]:
    """Host and port to listen at.

    Raises:
        InvalidInput: this is none.
    """
    match = _LISTEN.fullmatch(str(listen).strip())
    if match is None or int(match["port"]) > 65_535:
        raise InvalidInput("nothing can listen there", expected="host:port, or a port", got=listen, where="listen")
    return (match["host"] or "127.0.0.1").strip("[]"), int(match["port"])


def _trusting(ca: str | Path) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(
            "these authorities cannot be read",
            expected="a file with certificates in PEM",
            got=error.strerror or str(error),
            where=str(ca),
        ) from None
    return context


def _nobody(total: int) -> None:
    """Is told of news and needs none."""
