"""The lab's own record of a WebSocket agrees with the client's, but for who is near and who is far."""

from __future__ import annotations

from chatkit.lab.witness import Witness
from chatkit.recorder import Recorder


class Line:
    """A transport that only remembers."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.calls: list[str] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def get_extra_info(self, name: str) -> str:
        return name


def ended(do: str, error: Exception | None = None, cut: str | None = None) -> tuple[str, str | None]:
    """How the record says that a connection ended."""
    recorder, line = Recorder(), Line()
    witness = Witness(line, recorder.wire())  # type: ignore[arg-type]
    match do:
        case "eof":
            witness.eof()
        case "close":
            witness.transport.close()
        case "abort":
            witness.transport.abort()
        case "close, then eof":
            witness.transport.close()
            witness.eof()
    witness.lost(error, cut)
    [end] = [event for event in recorder.snapshot() if type(event).__name__ == "TransportEnded"]
    return end.how, end.by  # type: ignore[attr-defined]


def test_who_ended_the_transport() -> None:
    """The first FIN counts; a fault says itself how it cut."""
    assert ended("eof") == ("fin", "client")
    assert ended("close") == ("fin", "server")
    assert ended("abort") == ("fin", "server")
    assert ended("close, then eof") == ("fin", "server")
    assert ended("", ConnectionResetError()) == ("rst", "client")
    assert ended("", TimeoutError()) == ("timeout", None)
    assert ended("abort", cut="rst") == ("rst", "server")


def test_it_is_a_transport() -> None:
    """Writes go out, and what it does not know is the real one's."""
    line = Line()
    witness = Witness(line, Recorder().wire())  # type: ignore[arg-type]
    witness.transport.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    assert line.written == [b"HTTP/1.1 101 Switching Protocols\r\n\r\n"]
    assert witness.transport.get_extra_info("socket") == "socket"
