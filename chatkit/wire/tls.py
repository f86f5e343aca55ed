"""TLS records of one connection (RFC 8446, RFC 5246): what shows without keys, and what is within with them; pure.

Keys come from a key log (the file that ``SSLKEYLOGFILE`` names, or a pcapng's own block); they are used and never
stored. Decryption needs the package ``cryptography``, which is loaded only then.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from chatkit.errors import MissingDependency
from chatkit.events import Event, TlsEstablished, TransportEnded
from chatkit.wire.talk import Talk

if TYPE_CHECKING:
    from chatkit.wire.conversation import Conversation

_CHANGE, _ALERT, _HANDSHAKE, _DATA = 20, 21, 22, 23
_CLIENT_HELLO, _SERVER_HELLO, _FINISHED, _KEY_UPDATE = 1, 2, 20, 24
_LONGEST = (1 << 14) + 2048
"""Bytes of a record (RFC 5246, section 6.2.3)."""
_MOST_HANDSHAKE = 1 << 18
_MOST_KEYS = 1 << 20
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""The random of a HelloRetryRequest (RFC 8446, section 4.1.3)."""
_ALERTS = {
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 40: "handshake_failure", 42: "bad_certificate",
    43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired", 46: "certificate_unknown",
    47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error", 51: "decrypt_error",
    70: "protocol_version", 71: "insufficient_security", 80: "internal_error", 90: "user_canceled",
    109: "missing_extension", 112: "unrecognized_name", 116: "certificate_required", 120: "no_application_protocol",
}  # fmt: skip
_VERSIONS = {0x0301: "TLSv1", 0x0302: "TLSv1.1", 0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}


class _Suite(Struct, frozen=True):
    """A cipher suite that can be decrypted."""

    name: str
    key: int
    """Bytes."""
    hash: str
    chacha: bool = False


_SUITES = {
    0x1301: _Suite("TLS_AES_128_GCM_SHA256", 16, "sha256"),
    0x1302: _Suite("TLS_AES_256_GCM_SHA384", 32, "sha384"),
    0x1303: _Suite("TLS_CHACHA20_POLY1305_SHA256", 32, "sha256", True),
    0x009C: _Suite("AES128-GCM-SHA256", 16, "sha256"),
    0x009D: _Suite("AES256-GCM-SHA384", 32, "sha384"),
    0xC02B: _Suite("ECDHE-ECDSA-AES128-GCM-SHA256", 16, "sha256"),
    0xC02C: _Suite("ECDHE-ECDSA-AES256-GCM-SHA384", 32, "sha384"),
    0xC02F: _Suite("ECDHE-RSA-AES128-GCM-SHA256", 16, "sha256"),
    0xC030: _Suite("ECDHE-RSA-AES256-GCM-SHA384", 32, "sha384"),
    0xCCA8: _Suite("ECDHE-RSA-CHACHA20-POLY1305", 32, "sha256", True),
    0xCCA9: _Suite("ECDHE-ECDSA-CHACHA20-POLY1305", 32, "sha256", True),
}


def is_tls(data: bytes) -> bool:
    """Whether ``data`` begins with a record."""
    if len(data) < 5 or data[0] not in (_CHANGE, _ALERT, _HANDSHAKE, _DATA) or data[1] != 3 or data[2] > 4:
        return False
    return 0 < int.from_bytes(data[3:5], "big") <= _LONGEST


class KeyLog:
    """Secrets of connections, by label and client random."""

    def __init__(self) -> None:
        self._secrets: dict[tuple[str, bytes], bytes] = {}

    def __len__(self) -> int:
        return len(self._secrets)

    def __repr__(self) -> str:
        return f"<KeyLog of {len(self)} secrets>"

    def add(self, log: bytes) -> None:
        """Takes the lines of a key log; others in it are passed over.

        Raises:
            MissingDependency: there are keys, and nothing to use them with.
        """
        before = len(self)
        for line in log.splitlines():
            words = line.split()
            if len(words) != 3 or line.startswith(b"#") or len(self._secrets) >= _MOST_KEYS:
                continue
            try:
                secret = bytes.fromhex(words[2].decode("ascii"))
                self._secrets[words[0].decode("ascii"), bytes.fromhex(words[1].decode("ascii"))] = secret
            except ValueError:
                continue
        if len(self) > before:
            _ciphers()

    def get(self, label: str, random: bytes) -> bytes | None:
        """The secret of that label for a connection."""
        return self._secrets.get((label, random))


def _ciphers() -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers import aead
    except ImportError:
        raise MissingDependency("reading TLS with its keys", package="cryptography", extra="tls") from None
    return aead


class _Sealed:
    """One direction under one key."""

    def __init__(self, suite: _Suite, key: bytes, iv: bytes, *, explicit: bool) -> None:
        aead = _ciphers()
        self._box = aead.ChaCha20Poly1305(key) if suite.chacha else aead.AESGCM(key)
        self._iv, self._explicit = iv, explicit
        self.count = 0

    def open(self, kind: int, version: bytes, body: bytes, *, inner: bool) -> bytes | None:
        """The plaintext of the next record, ``None`` where the key does not fit; ``inner`` is TLS 1.3's way."""
        from cryptography.exceptions import InvalidTag

        number = self.count.to_bytes(8, "big")
        if self._explicit:
            nonce, sealed = self._iv + body[:8], body[8:]
        else:
            padded = bytes(4) + number
            nonce, sealed = bytes(a ^ b for a, b in zip(self._iv, padded, strict=True)), body
        if len(sealed) < 16:
            return None
        if inner:
            extra = bytes([kind]) + version + len(body).to_bytes(2, "big")
        else:
            extra = number + bytes([kind]) + version + (len(sealed) - 16).to_bytes(2, "big")
        try:
            plain: bytes = self._box.decrypt(nonce, sealed, extra)
        except (InvalidTag, ValueError):
            return None
        self.count += 1
        return plain


class Tls:
    """One connection's records; sides are 0 for the client, 1 for the server."""

    def __init__(self, conversation: Conversation) -> None:
        self._of = conversation
        self._buffers = [b"", b""]
        self._hole = [0, 0]
        self._lost = [False, False]
        self._greeting = [b"", b""]
        self._encrypted = [False, False]
        self._began: float | None = None
        self._name: str | None = None
        self._random = b""
        self._server_random = b""
        self._version = 0
        self._suite = 0
        self._established = False
        self._client_finished = False
        """Whether the record that is being read is the one that ends TLS 1.3's handshake."""
        self._failed = False
        self._inner: Talk | None = None
        self._sealed: list[_Sealed | None] = [None, None]
        self._secrets: list[bytes | None] = [None, None]
        """Of TLS 1.3's application data."""
        self._early = [False, False]
        """Whether TLS 1.3's handshake keys are in use."""

    # What comes from below

    def data(self, side: int, at: float, data: bytes) -> None:
        """The next bytes of a side."""
        if self._lost[side]:
            if self._inner is not None or not is_tls(data):
                self._unread(side, at, len(data))
                return
            self._lost[side] = False
        buffer = self._buffers[side] + data
        position, end, opaque = 0, len(buffer), 0
        while end - position >= 5:
            size = int.from_bytes(buffer[position + 3 : position + 5], "big")
            if not is_tls(buffer[position : position + 5]):
                self._lost[side], position = True, end
                break
            if position + 5 + size > end:
                break
            opaque += self._record(
                side, at, buffer[position : position + 3], buffer[position + 5 : position + 5 + size]
            )
            position += 5 + size
        self._buffers[side] = buffer[position:]
        if opaque:
            self._unread(side, at, opaque)

    def missing(self, side: int, at: float, size: int) -> None:
        """The next bytes of a side, which nobody saw."""
        if self._inner is None:
            self._of.lacking(side, at, size)
        buffer = self._buffers[side]
        if len(buffer) >= 5 and not self._lost[side]:
            left = 5 + int.from_bytes(buffer[3:5], "big") - len(buffer)
            if size <= left:
                self._hole[side] += size
                self.data(side, at, bytes(size))
                return
        if self._inner is not None and not self._lost[side]:
            self._of.lacking(side, at, size)
        self._lost[side], self._buffers[side], self._hole[side] = True, b"", 0

    def ended(self, at: float, how: str, by: str) -> Event | None:
        """The transport's first end, as an event that may still be changed."""
        if self._inner is not None:
            return self._inner.ended(at, how, by)
        self._matters(at)
        if not self._established and self._began is not None and not self._failed:
            self._failed = True
            self._of.refused(at, "tls", f"{how.upper()} by the {by} during the TLS handshake")
        return TransportEnded(id="", at=at, connection=self._of.id, how=how, by=by)

    def finished(self, end: Event | None) -> None:
        """Nothing more comes."""
        if self._inner is not None:
            self._inner.finished(end)

    # Records

    def _record(self, side: int, at: float, head: bytes, body: bytes) -> int:
        """Reads one record; how many bytes of it belong to the application and cannot be read."""
        kind = head[0]
        holed, self._hole[side] = bool(self._hole[side]), 0
        if kind == _CHANGE:
            if self._version <= 0x0303:
                self._encrypted[side] = True
                self._twelve(side)
            return 0
        if self._encrypted[side] or kind == _DATA:
            if self._version == 0x0304 or kind == _HANDSHAKE:
                self._finish(side, at, kind)
            if self._sealed[side] is not None:
                return self._unseal(side, at, head, body, holed)
            return len(body) if kind == _DATA and self._counts(side) else 0
        if kind == _ALERT and len(body) == 2 and not holed:
            self._alert(side, at, body)
        elif kind == _HANDSHAKE and not holed and len(self._greeting[side]) < _MOST_HANDSHAKE:
            self._greeting[side] += body
            self._hello(side, at)
        return 0

    def _counts(self, side: int) -> bool:
        """Whether a record of data is the application's, not the rest of a handshake."""
        if self._client_finished and side == 0:
            self._client_finished = False
            return False
        return self._began is None or self._established

    def _finish(self, side: int, at: float, kind: int) -> None:
        """An encrypted record: the handshake may be done with it."""
        if self._established or self._began is None or not self._server_random:
            return
        done = side == 0 if self._version == 0x0304 else all(self._encrypted) and kind == _HANDSHAKE
        if not done:
            return
        self._established = True
        suite = _SUITES.get(self._suite)
        cipher = suite.name if suite is not None else f"cipher suite 0x{self._suite:04x}"
        version = _VERSIONS.get(self._version, f"version 0x{self._version:04x}")
        seconds = round(at - self._began, 6)
        self._of.established(TlsEstablished(id="", at=at, version=version, cipher=cipher, seconds=seconds))
        self._client_finished = self._version == 0x0304

    def _alert(self, side: int, at: float, body: bytes) -> None:
        if self._established or self._failed or body[1] == 0:
            return
        self._failed = True
        self._matters(at)
        words = _ALERTS.get(body[1], str(body[1]))
        self._of.refused(at, "tls", f"TLS alert {words} by the {'server' if side else 'client'}")

    def _unread(self, side: int, at: float, size: int) -> None:
        self._matters(at)
        self._of.opaque(side, at, size)

    def _matters(self, at: float) -> None:
        if self._of.id is None:
            name = self._name or self._of.peer.rpartition(":")[0]
            self._of.begin(at, f"tls://{name}:{self._of.port}")

    # The handshake in clear

    def _hello(self, side: int, at: float) -> None:
        buffer = self._greeting[side]
        while len(buffer) >= 4:
            size = int.from_bytes(buffer[1:4], "big")
            if len(buffer) < 4 + size:
                break
            kind, body = buffer[0], buffer[4 : 4 + size]
            buffer = buffer[4 + size :]
            if kind == _CLIENT_HELLO and side == 0 and len(body) > 38:
                if self._began is None:
                    self._began = at
                self._random = body[2:34]
                self._name = _server_name(body)
            elif kind == _SERVER_HELLO and side == 1 and len(body) > 38 and body[2:34] != _RETRY:
                self._greeted(at, body)
        self._greeting[side] = buffer

    def _greeted(self, at: float, body: bytes) -> None:
        self._server_random = body[2:34]
        place = 35 + body[34]
        self._suite = int.from_bytes(body[place : place + 2], "big")
        self._version = int.from_bytes(body[:2], "big")
        chosen = dict(_extensions(body, place + 3)).get(43, b"")
        if len(chosen) == 2:
            self._version = int.from_bytes(chosen, "big")
        keys, suite = self._of.sink.keys, _SUITES.get(self._suite)
        readable = keys is not None and suite is not None and self._random and not self._of.midway
        if keys is not None and readable:
            if self._version == 0x0304:
                self._thirteen(keys)
            elif keys.get("CLIENT_RANDOM", self._random):
                self._inner = Talk(self._of)
        if self._inner is None:
            if keys is not None and len(keys):
                why = "of a cipher that is not read here" if suite is None else "without keys in the key log"
                self._of.sink.warn(f"TLS connection to {self._name or self._of.peer} {why}: nothing above TCP shows")
            self._matters(at)

    # Keys

    def _thirteen(self, keys: KeyLog) -> None:
        suite = _SUITES[self._suite]
        for side, name in enumerate(("CLIENT", "SERVER")):
            self._secrets[side] = keys.get(f"{name}_TRAFFIC_SECRET_0", self._random)
            early = keys.get(f"{name}_HANDSHAKE_TRAFFIC_SECRET", self._random)
            if self._secrets[side] is None:
                self._sealed = [None, None]
                return
            self._early[side] = early is not None
            self._sealed[side] = _keyed(suite, early or self._secrets[side] or b"")
        self._inner = Talk(self._of)

    def _twelve(self, side: int) -> None:
        keys = self._of.sink.keys
        if self._inner is None or keys is None or self._version != 0x0303:
            return
        suite, master = _SUITES[self._suite], keys.get("CLIENT_RANDOM", self._random)
        fixed = 12 if suite.chacha else 4
        seed = b"key expansion" + self._server_random + self._random
        block = _prf(suite.hash, master or b"", seed, 2 * (suite.key + fixed))
        key = block[side * suite.key : (side + 1) * suite.key]
        start = 2 * suite.key + side * fixed
        self._sealed[side] = _Sealed(suite, key, block[start : start + fixed], explicit=not suite.chacha)

    def _unseal(self, side: int, at: float, head: bytes, body: bytes, holed: bool) -> int:
        sealed, modern = self._sealed[side], self._version == 0x0304
        assert sealed is not None
        assert self._inner is not None
        if holed:
            sealed.count += 1
            if not self._early[side]:
                explicit = 0 if modern or _SUITES[self._suite].chacha else 8
                self._inner.missing(side, at, max(1, len(body) - 16 - explicit - modern))
            return 0
        plain = sealed.open(head[0], head[1:3], body, inner=modern)
        if plain is None and self._early[side]:
            # The rest of the handshake was not captured, or its keys are not those: perhaps it is over.
            sealed = self._promote(side)
            plain = sealed.open(head[0], head[1:3], body, inner=modern)
        if plain is None:
            return self._unreadable(side, body)
        kind = head[0]
        if modern:
            plain = plain.rstrip(b"\0")
            kind, plain = (plain[-1], plain[:-1]) if plain else (0, b"")
        if kind == _DATA and plain:
            self._inner.data(side, at, plain)
        elif kind == _HANDSHAKE and modern:
            self._later(side, plain)
        return 0

    def _unreadable(self, side: int, body: bytes) -> int:
        self._of.sink.warn("TLS records that the keys do not open were left out")
        self._lost[side] = True
        return len(body) if self._established else 0

    def _later(self, side: int, plain: bytes) -> None:
        """Messages within encrypted records: the end of the handshake, new keys."""
        buffer = self._greeting[side] + plain
        while len(buffer) >= 4:
            size = int.from_bytes(buffer[1:4], "big")
            if len(buffer) < 4 + size or size > _MOST_HANDSHAKE:
                break
            if buffer[0] == _FINISHED and self._early[side]:
                self._promote(side)
            elif buffer[0] == _KEY_UPDATE and not self._early[side]:
                suite, secret = _SUITES[self._suite], self._secrets[side]
                self._secrets[side] = fresh = _expand(suite.hash, secret or b"", b"traffic upd", len(secret or b""))
                self._sealed[side] = _keyed(suite, fresh)
            buffer = buffer[4 + size :]
        self._greeting[side] = buffer[:_MOST_HANDSHAKE]

    def _promote(self, side: int) -> _Sealed:
        self._early[side] = False
        self._sealed[side] = fresh = _keyed(_SUITES[self._suite], self._secrets[side] or b"")
        return fresh


def _keyed(suite: _Suite, secret: bytes) -> _Sealed:
    """Key and nonce of TLS 1.3 out of a traffic secret (RFC 8446, section 7.3)."""
    key, iv = _expand(suite.hash, secret, b"key", suite.key), _expand(suite.hash, secret, b"iv", 12)
    return _Sealed(suite, key, iv, explicit=False)


def _expand(hash: str, secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label without context (RFC 8446, section 7.1)."""
    label = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0"
    out, block, number = b"", b"", 1
    while len(out) < size:
        block = hmac.digest(secret, block + info + bytes([number]), hash)
        out, number = out + block, number + 1
    return out[:size]


def _prf(hash: str, secret: bytes, seed: bytes, size: int) -> bytes:
    """The pseudorandom function of TLS 1.2 (RFC 5246, section 5)."""
    out, turn = b"", seed
    while len(out) < size:
        turn = hmac.digest(secret, turn, hash)
        out += hmac.digest(secret, turn + seed, hash)
    return out[:size]


def _extensions(body: bytes, place: int) -> list[tuple[int, bytes]]:
    """Extensions of a hello whose list begins at ``place``; those that are whole."""
    found: list[tuple[int, bytes]] = []
    end = min(len(body), place + 2 + int.from_bytes(body[place : place + 2], "big"))
    place += 2
    while place + 4 <= end:
        kind, size = int.from_bytes(body[place : place + 2], "big"), int.from_bytes(body[place + 2 : place + 4], "big")
        found.append((kind, body[place + 4 : place + 4 + size]))
        place += 4 + size
    return found


def _server_name(body: bytes) -> str | None:
    """The host name that a client asks for (RFC 6066, section 3)."""
    place = 35 + body[34]
    place += 2 + int.from_bytes(body[place : place + 2], "big")
    if place >= len(body):
        return None
    place += 1 + body[place]
    value = dict(_extensions(body, place)).get(0, b"")
    size = int.from_bytes(value[3:5], "big")
    name = value[5 : 5 + size].decode("latin-1")
    return name if name and name.isprintable() and len(name) < 256 else None
