"""TLS without keys: what shows; with keys: real captures stand in the golden pairs, what is rare stands here."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.events import (
    AttemptFailed,
    BytesMissing,
    OpaqueReceived,
    OpaqueSent,
    TlsEstablished,
)
from chatkit.formats import Options, Source, pcap
from chatkit.trace import Trace
from chatkit.wire import tls
from chatkit.wire.tls import KeyLog, is_tls
from tests.formats.golden import DATA
from tests.wire.packets import ACK, FIN, Line
from tests.wire.packets import pcap as made

RANDOM = bytes(range(32))


def record(kind: int, body: bytes) -> bytes:
    return struct.pack("!BHH", kind, 0x0303, len(body)) + body


def message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def extension(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value


def client_hello(name: bytes = b"chat.example") -> bytes:
    server_name = extension(0, struct.pack("!HBH", len(name) + 3, 0, len(name)) + name)
    body = b"\3\3" + RANDOM + b"\0" + b"\0\2\x13\x01" + b"\1\0" + struct.pack("!H", len(server_name)) + server_name
    return record(22, message(1, body))


def server_hello(version: bytes | None = b"\3\4", suite: bytes = b"\x13\x01") -> bytes:
    extensions = extension(43, version) if version else b""
    body = b"\3\3" + RANDOM[::-1] + b"\0" + suite + b"\0" + struct.pack("!H", len(extensions)) + extensions
    return record(22, message(2, body))


def read(line: Line, keys: bytes | None = None) -> Trace:
    return pcap.read(Source.of(made(line.packets)), Options(keylog=keys))


def thirteen() -> Line:
    """A handshake of TLS 1.3, whose encrypted part is noise."""
    line = Line(ports=(40000, 443)).greet()
    line.send(0, client_hello())
    line.send(1, server_hello() + record(20, b"\1") + record(23, bytes(900)))
    line.send(0, record(20, b"\1") + record(23, bytes(53)))
    return line


def test_a_record() -> None:
    """By its head: kind, version, length."""
    assert is_tls(client_hello())
    for data in (b"", b"\x16\3\1\0", b"\x16\3\1\0\0", b"\x18\3\1\0\5", b"\x16\2\1\0\5", b"\x17\3\3\xff\xff", b"GET /"):
        assert not is_tls(data), data


def test_what_shows_of_tls_13() -> None:
    """Name, version, cipher, when it was up, then bytes of both directions, nothing of the handshake."""
    line = thirteen()
    line.send(0, record(23, bytes(100)))
    line.send(1, record(23, bytes(200)) + record(23, bytes(50)))
    line.send(1, flags=FIN | ACK)
    trace = read(line)
    (connection,) = trace.connections
    assert (connection.url, connection.opaque, connection.state) == ("tls://chat.example:443", True, "ended")
    (established,) = [event for event in trace if isinstance(event, TlsEstablished)]
    assert (established.version, established.cipher) == ("TLSv1.3", "TLS_AES_128_GCM_SHA256")
    assert established.seconds == pytest.approx(0.002)
    assert [(type(e), e.size) for e in trace if isinstance(e, OpaqueSent | OpaqueReceived)] == [
        (OpaqueSent, 100),
        (OpaqueReceived, 250),
    ]


def test_what_shows_of_tls_12() -> None:
    """The handshake is over when both sides changed their cipher and said so."""
    line = Line(ports=(40000, 443)).greet()
    line.send(0, client_hello())
    line.send(1, server_hello(None, b"\xc0\x2f"))
    line.send(0, record(20, b"\1") + record(22, bytes(40)))
    line.send(1, record(20, b"\1") + record(22, bytes(40)))
    line.send(0, record(23, bytes(60)))
    trace = read(line)
    assert [e.version for e in trace if isinstance(e, TlsEstablished)] == ["TLSv1.2"]
    assert [e.size for e in trace if isinstance(e, OpaqueSent)] == [60]


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (lambda line: line.send(1, record(21, b"\2\x28")), "TLS alert handshake_failure by the server"),
        (lambda line: line.send(1, flags=FIN | ACK), "FIN by the server during the TLS handshake"),
    ],
)
def test_a_handshake_that_fails(end: object, words: str) -> None:
    """By an alert in clear, or by the end of TCP."""
    line = Line(ports=(40000, 443)).greet()
    line.send(0, client_hello())
    end(line)  # type: ignore[operator]
    trace = read(line)
    (failed,) = [event for event in trace if isinstance(event, AttemptFailed)]
    assert (failed.stage, failed.error) == ("tls", words)
    assert trace.connections[0].state == "refused"


def test_records_in_pieces_and_with_holes() -> None:
    """A record over two segments counts once; a hole within one does not hide the next."""
    line = thirteen()
    data = record(23, bytes(100))
    line.send(1, data[:3])
    line.send(1, data[3:50])
    line.send(1, data[50:])
    line.send(1, data[:50])
    line.send(1, data[50:], keep=False)
    line.send(1, record(23, bytes(70)))
    line.send(0)
    line.at += 1
    line.send(0, record(23, bytes(5)))
    line.send(0)
    trace = read(line)
    assert [e.size for e in trace if isinstance(e, BytesMissing)] == [55]
    assert [e.size for e in trace if isinstance(e, OpaqueReceived)] == [100, 100, 70]


def test_from_the_middle() -> None:
    """No handshake: bytes, and nothing is claimed."""
    line = Line(ports=(40000, 443))
    line.send(0, record(23, bytes(30)))
    line.send(1, record(23, bytes(40)))
    trace = read(line)
    assert [type(event).__name__ for event in trace] == ["OpaqueSent", "OpaqueReceived"]
    assert trace.connections[0].url is None


def test_keys_of_others() -> None:
    """A key log without this connection's: said, and what shows without keys is shown."""
    trace = read(thirteen(), b"CLIENT_TRAFFIC_SECRET_0 " + b"ab" * 32 + b" " + b"cd" * 32 + b"\n")
    assert "TLS connection to chat.example without keys in the key log: nothing above TCP shows" in trace.warnings


def test_keys_that_do_not_fit() -> None:
    """Records that they do not open are opaque; nothing breaks."""
    names = (
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "SERVER_TRAFFIC_SECRET_0",
    )
    log = "\n".join(f"{name} {RANDOM.hex()} {'cd' * 32}" for name in names).encode()
    line = thirteen()
    line.send(0, record(23, bytes(100)))
    trace = read(line, log)
    assert "TLS records that the keys do not open were left out" in trace.warnings
    assert [e.size for e in trace if isinstance(e, OpaqueSent)][-1] >= 100


def test_new_keys() -> None:
    """After a KeyUpdate (RFC 8446, section 4.6.3) of one direction its records are read on."""
    suite = tls._SUITES[0x1301]
    secret, early = b"\x11" * 32, b"\x22" * 32
    log = "\n".join(
        f"{name} {RANDOM.hex()} {value.hex()}"
        for name, value in (
            ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", early), ("SERVER_HANDSHAKE_TRAFFIC_SECRET", early),
            ("CLIENT_TRAFFIC_SECRET_0", secret), ("SERVER_TRAFFIC_SECRET_0", secret),
        )
    ).encode()  # fmt: skip

    def seal(secret: bytes, number: int, kind: int, plain: bytes) -> bytes:
        key, iv = tls._expand("sha256", secret, b"key", 16), tls._expand("sha256", secret, b"iv", 12)
        nonce = (int.from_bytes(iv, "big") ^ number).to_bytes(12, "big")
        head = struct.pack("!BHH", 23, 0x0303, len(plain) + 17 + 9)
        return head + tls._ciphers().AESGCM(key).encrypt(nonce, plain + bytes([kind]) + bytes(9), head)

    assert suite.key == 16
    finished = message(20, bytes(32))
    fresh = tls._expand("sha256", secret, b"traffic upd", 32)
    line = Line(ports=(40000, 443)).greet()
    line.send(0, client_hello())
    line.send(1, server_hello() + seal(early, 0, 22, finished))
    line.send(0, seal(early, 0, 22, finished))
    line.send(0, seal(secret, 0, 23, b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"))
    line.send(1, seal(secret, 0, 22, message(24, b"\0")) + seal(fresh, 0, 23, b"HTTP/1.1 204 No Content\r\n\r\n"))
    assert [str(event) for event in read(line, log)] == ["health: GET 204, 1 ms"]


def test_a_key_log() -> None:
    """Comments and damage are passed over; nothing of it shows."""
    keys = KeyLog()
    keys.add(b"# comment\n\nCLIENT_RANDOM zz zz\nCLIENT_RANDOM 00 \xff\nCLIENT_RANDOM 0011 aabb\r\n")
    assert keys.get("CLIENT_RANDOM", b"\x00\x11") == b"\xaa\xbb"
    assert repr(keys) == "<KeyLog of 1 secrets>"


def test_http_2_is_said_to_be_unreadable() -> None:
    """Not silently nothing."""
    line = Line().greet()
    line.send(0, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    trace = read(line)
    assert "HTTP/2 is not readable here" in trace.warnings[0]
    assert trace.connections[0].opaque


@pytest.mark.parametrize("name", ["tls13-keys", "tls12-keys", "tls12-chacha-keys"])
def test_keys_are_never_stored(name: str) -> None:
    """No secret of the log in any row."""
    path = DATA / "pcap" / f"{name}.pcap"
    log = path.with_suffix(".keys").read_bytes()
    trace = pcap.read(Source.of(path.read_bytes()), Options(keylog=log))
    rows = b"".join(trace.rows)
    for line in log.splitlines():
        if not line.startswith(b"#"):
            assert line.split()[2] not in rows


@given(st.lists(st.tuples(st.integers(0, 1), st.binary(max_size=60)), max_size=10))
def test_any_bytes_behind_a_hello(pieces: list[tuple[int, bytes]]) -> None:
    """Noise in both directions: events, no exception."""
    line = Line(ports=(40000, 443)).greet()
    line.send(0, client_hello())
    line.send(1, server_hello())
    for side, data in pieces:
        line.send(side, data)
    assert len(read(line)) >= 2
