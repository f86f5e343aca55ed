"""Secrets out: every export, log line, repr and report passes through here.

What is replaced: secrets that were announced (``Redactor.add``), anything that looks like a JWT (its claims ``exp``,
``iat`` and ``nbf`` may stay, they are times), the values of secret-bearing keys in query strings and JSON, bearer
tokens and cookies. Cheap substring tests decide whether the expensive patterns run at all, because this stands on
the recording path.
"""

from __future__ import annotations

import base64
import binascii
import functools
import itertools
import json
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

MARK = "[redacted]"

SECRET_KEYS = (
    "token",
    "access_token",
    "refresh_token",
    "id_token",
    "auth_token",
    "accesstoken",
    "refreshtoken",
    "idtoken",
    "authtoken",
    "password",
    "passwd",
    "secret",
    "client_secret",
    "api_key",
    "apikey",
    "jwt",
    "authorization",
    "cookie",
    "set-cookie",
)
SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"})

# Without one of these no pattern below can match. They stand on the recording path, so they are few and long: a longer
# needle skips faster. Keys are known in lower, Title and camel case (accessToken), not in capitals.
_HINTS = (
    b"oken",
    b"eyJ",
    b"assw",
    b"ecret",
    b"api",
    b"Api",
    b"uthorization",
    b"ookie",
    b"jwt",
    b"Jwt",
    b"earer ",
)

# For long data: the last eight bytes of each key as a number, its letters small, and which of the eight count. A key is
# followed by one of `"=\\:` wherever a pattern below matches.
_BEARER_WORD = re.compile(rb"(?i)bearer\s")
_SMALL, _ALL = 0x2020202020202020, (1 << 64) - 1


def _ends() -> tuple[tuple[int, int], ...]:
    names = {name.encode() for name in (*SECRET_KEYS, *SECRET_HEADERS)}
    shortest = {name for name in names if not any(name != other and name.endswith(other) for other in names)}
    masks = [(int.from_bytes(name[-8:].rjust(8, b"\0"), "little"), min(8, len(name))) for name in shortest]
    return tuple(((value | _SMALL) & -1 << 8 * (8 - n) & _ALL, -1 << 8 * (8 - n) & _ALL) for value, n in masks)


_ENDS = _ends()
_LAST_THREE = {end >> 40 for end, _ in _ENDS}

# A compact JWS (RFC 7515, section 3.1); header and claims both start with `{"`, which base64url writes as `eyJ`.
# A token cut off at the end of a stored prefix still matches.
_JWT = re.compile(rb"eyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){0,2}")
_KEYS = b"|".join(re.escape(key.encode()) for key in sorted(SECRET_KEYS, key=len, reverse=True))
_QUERY = re.compile(rb"(?i)([?&;](?:" + _KEYS + rb")=)(?!\[)[^&#\s\"'<>\\;]+")
# In JSON, at any depth of escaping: "token": "…", and \"token\":\"…\" inside a string.
_JSON = re.compile(rb"(?i)((\\*)\"(?:" + _KEYS + rb")\2\"\s*:\s*\2\")(?!\[)((?:(?!\2\")(?:\\.|[^\"\\]))*)", re.DOTALL)
_BEARER = re.compile(rb"(?i)\b(bearer\s+)(?!\[)[A-Za-z0-9._~+/=-]{6,}")
# Possessive: without it the blank is given back, and a second pass takes the mark for a value.
_COOKIE = re.compile(rb"(?i)(\b(?:set-)?cookie:\s*+)(?!\[)[^\r\n\"\\]+")
# A header as a pair, as our rows and HAR files write it: ["Cookie","…"], {"name":"Cookie","value":"…"}.
_FIELDS = b"|".join(re.escape(name.encode()) for name in sorted(SECRET_HEADERS))
_VALUE = rb"(?!\[)(?:\\.|[^\"\\])+"
_PAIR = re.compile(rb"(?i)(\[\s*\"(?:" + _FIELDS + rb")\"\s*,\s*\")" + _VALUE, re.DOTALL)
_NAMED = re.compile(rb"(?i)(\"name\"\s*:\s*\"(?:" + _FIELDS + rb")\"\s*,\s*\"value\"\s*:\s*\")" + _VALUE, re.DOTALL)
_USERINFO = re.compile(rb"([a-z]+://)[^/\s\"'@:]*:[^/\s\"'@]+@")


class Redactor:
    """Takes secrets out of bytes and text.

    Args:
        secrets: exact strings that must never be stored; each at least 4 characters, shorter ones would
            blacken ordinary text.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: tuple[bytes, ...] = ()
        self._letters: tuple[tuple[bytes, ...], ...] = ()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str | None) -> None:
        """Announces a secret; its URL-quoted and JSON-escaped spellings count too. Short or empty ones are ignored.

        A JWT is known by its looks and not held: a client that lives for days gets thousands of them.
        """
        if not secret or len(secret) < 4 or _JWT.fullmatch(secret.encode("utf-8", "surrogatepass")):
            return
        spellings = {secret, quote(secret, safe=""), quote(secret), json.dumps(secret)[1:-1]}
        known = set(self._secrets) | {spelling.encode() for spelling in spellings}
        # Longest first: a secret that contains another must go before the shorter one cuts it in two.
        self._secrets = tuple(sorted(known, key=len, reverse=True))
        # One letter that is absent rules the secret out at once; those that text rarely has are asked for first.
        self._letters = tuple(
            tuple(bytes([letter]) for letter in sorted(set(secret), key=_COMMON.find)) for secret in self._secrets
        )

    def suspicious(self, data: bytes) -> bool:
        """Whether ``data`` could hold a secret; a cheap test with false alarms and no misses."""
        if len(data) < 3:  # an empty ping; no pattern and no secret is that short
            return False
        if _hinted(data):
            return True
        for secret, letters in zip(self._secrets, self._letters, strict=True):
            if all(letter in data for letter in letters) and secret in data:
                return True
        # Credentials in a URL (RFC 3986, section 3.2.1).
        return b"@" in data and b"://" in data

    def clean(self, data: bytes) -> bytes:
        """``data`` without secrets. Text stays text, JSON stays JSON."""
        if not self.suspicious(data):
            return data
        mark = MARK.encode()
        data = _JWT.sub(_describe_jwt, data)
        for secret in self._secrets:
            data = data.replace(secret, mark)
        data = _QUERY.sub(rb"\1" + mark, data)
        data = _JSON.sub(rb"\1" + mark, data)
        data = _PAIR.sub(rb"\1" + mark, data)
        data = _NAMED.sub(rb"\1" + mark, data)
        data = _BEARER.sub(rb"\1" + mark, data)
        data = _USERINFO.sub(rb"\1" + mark + b"@", data)
        return _COOKIE.sub(rb"\1" + mark, data)

    def prefix(self, data: bytes) -> bytes:
        """As :meth:`clean` for a prefix of something longer: a secret that the cut went through goes too."""
        data = self.clean(data)
        for secret in self._secrets:
            for length in range(len(secret) - 1, 3, -1):
                if data.endswith(secret[:length]):
                    return data[:-length] + MARK.encode()
        return data

    def text(self, text: str) -> str:
        """``text`` without secrets."""
        raw = text.encode("utf-8", "surrogatepass")
        clean = self.clean(raw)
        return text if clean is raw else clean.decode("utf-8", "surrogatepass")

    def headers(self, headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """HTTP fields without credentials; names stay as they were sent."""
        return [(name, MARK if name.lower() in SECRET_HEADERS else self.text(value)) for name, value in headers]


class Looking(Redactor):
    """Another redactor for readers of the wire, whose first look can be done for many pieces in one go.

    While ``calm`` is set, :meth:`suspicious` says no: somebody has looked, or will, at all that is asked about. Where
    something is to be cleaned, the other redactor looks all the same.
    """

    def __init__(self, of: Redactor, *, calm: bool = False) -> None:
        super().__init__()
        self._of = of
        self.calm = calm

    def add(self, secret: str | None) -> None:
        """As the other one."""
        self._of.add(secret)

    def suspicious(self, data: bytes) -> bool:
        """Never while it is calm."""
        return not self.calm and self._of.suspicious(data)

    def clean(self, data: bytes) -> bytes:
        """As the other one."""
        return self._of.clean(data)

    def prefix(self, data: bytes) -> bytes:
        """As the other one."""
        return self._of.prefix(data)


_COMMON = b"jqzxkvbpygwfmclduhrsniotae "
"""Letters of ordinary text, rare ones first; whatever else a secret holds (digits, capitals) is asked for before."""
_MANY = 8192
"""Bytes from which on numpy compares faster than ``in`` searches."""
_BLOCK = 1 << 17
"""Bytes that numpy looks at in one go: what it makes on the way stays in the processor's cache."""


def _hinted(data: bytes) -> bool:
    if len(data) < _MANY:
        return any(hint in data for hint in _HINTS)
    return (
        (b"J" in data and b"eyJ" in data)
        or _hinted(data[:16].lower())
        or any(_keyed(data, start) or _bears(data, start) for start in range(0, len(data) - 8, _BLOCK))
    )


def _keyed(data: bytes, start: int) -> bool:
    """Whether a key of ours, with what follows keys, ends in a block, behind its eighth byte; its case does not matter.

    Byte by byte comparisons run at memory speed, so first the places where a key could end, then the two letters before
    each, then eight of those few that are left.
    """
    import numpy as np

    after = np.frombuffer(data, np.uint8)[start + 8 : start + _BLOCK + 8]
    # Two comparisons find the four characters that follow a key, and some others that are about as rare.
    found = np.zeros(-(-len(after) // 8), "<u8")
    flags = found.view(np.bool_)[: len(after)]
    some = after & 0xE7
    np.equal(some, 0x22, out=flags)  # " and :
    np.bitwise_and(after, 0x9E, out=some)
    flags |= some == 0x1C  # = and \
    # Eight at a time: looking at every byte for the few that are set would take longer than what was done so far.
    eights = np.flatnonzero(found != 0)
    set_ = np.flatnonzero(found[eights].view(np.bool_))
    places = 8 * eights[set_ >> 3] + (set_ & 7)
    places = places[_last_two()[np.ndarray((len(after),), "<u2", data, start + 6, (1,))[places]]]
    # The eight bytes from each place on: the last of them is that of the key.
    words = np.ndarray((len(after),), "<u8", data, start, (1,))[places] | np.uint64(_SMALL)
    # Ordinary words and keys of others fall by their last three letters already.
    ends = {word >> 40 for word in words.tolist()} & _LAST_THREE
    return bool(ends) and any(word & mask == end for word in words.tolist() for end, mask in _ENDS)


@functools.cache
def _last_two() -> Any:
    """Whether a key ends with these two letters, small or capital, for each pair of bytes."""
    import numpy as np

    table = np.zeros(1 << 16, np.bool_)
    for end in _LAST_THREE:
        first, second = end >> 8 & 0xFF, end >> 16
        for pair in itertools.product((first, first - 32), (second, second - 32)):
            table[pair[0] | pair[1] << 8] = True
    return table


def _bears(data: bytes, start: int) -> bool:
    """Whether a block holds "bearer" before white space; its case does not matter.

    However it lies, one of four words of four bytes is seen where words are read side by side.
    """
    import numpy as np

    stop = min(start + _BLOCK + 8, len(data))
    words = np.frombuffer(data, "<u4", (stop - start) >> 2, start) | np.uint32(_SMALL & 0xFFFFFFFF)
    seen = words == _word(b"bear")
    seen |= words == _word(b"eare")
    seen |= words == _word(b"arer")
    np.bitwise_and(words, 0xFFFFFF, out=words)
    seen |= words == _word(b"rer")
    return bool(seen.any()) and _BEARER_WORD.search(data, start, stop) is not None


def _word(letters: bytes) -> int:
    return int.from_bytes(letters, "little")


def _describe_jwt(match: re.Match[bytes]) -> bytes:
    """A JWT as its times: ``[jwt exp=1764000000 iat=1763998200]``."""
    parts = match.group().split(b".")
    claims: object = None
    if len(parts) >= 2:
        try:
            claims = json.loads(base64.urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4)))
        except (ValueError, binascii.Error, RecursionError):
            claims = None
    times = []
    if isinstance(claims, dict):
        for name in ("exp", "iat", "nbf"):
            value = claims.get(name)
            if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12:
                times.append(f" {name}={int(value)}")
    return f"[jwt{''.join(times)}]".encode()


DEFAULT = Redactor()
"""For places that know no secrets of their own: patterns only."""


class RedactingFilter(logging.Filter):
    """Takes secrets out of log records; for loggers of libraries that print URLs and headers.

    websockets logs the request line at DEBUG, httpx the URL at INFO, uvicorn the WebSocket path at INFO: all of
    them carry ``?token=``.
    """

    def __init__(self, redactor: Redactor = DEFAULT) -> None:
        super().__init__()
        self.redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        # Arguments one by one first: formatters that take them apart (uvicorn's access log) still find them, and
        # nothing that prints records by itself finds a frame's payload in them.
        if isinstance(record.args, Mapping):
            record.args = {name: self._argument(value) for name, value in record.args.items()}
        elif record.args:
            record.args = tuple(self._argument(value) for value in record.args)
        message = record.getMessage()
        clean = self.redactor.text(message)
        if clean != message:
            record.msg, record.args = clean, ()
        if record.exc_info and record.exc_info[0] is not None:
            trace = logging.Formatter().formatException(record.exc_info)
            if (clean := self.redactor.text(trace)) != trace:
                record.exc_info, record.exc_text = None, clean
        return True

    def _argument(self, value: object) -> object:
        return value if isinstance(value, int | float | None) else self.redactor.text(str(value))


NOISY_LOGGERS: Sequence[str] = (
    "websockets",
    "websockets.client",
    "websockets.server",
    "httpx",
    "httpcore",
    "httpcore.connection",
    "httpcore.http11",
    "uvicorn",
    "uvicorn.error",
    "uvicorn.access",
)


def guard_logs(redactor: Redactor = DEFAULT) -> None:
    """Puts a :class:`RedactingFilter` on every logger that is known to print tokens; calling it again adds nothing."""
    for name in NOISY_LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(f, RedactingFilter) and f.redactor is redactor for f in logger.filters):
            logger.addFilter(RedactingFilter(redactor))
