"""Secrets out: every export, log line, repr and report passes through here.

What is replaced: secrets that were announced (``Redactor.add``), anything that looks like a JWT (its claims ``exp``,
``iat`` and ``nbf`` may stay, they are times), the values of secret-bearing keys in query strings and JSON, bearer
tokens and cookies. Cheap substring tests decide whether the expensive patterns run at all, because this stands on
the recording path.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
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

# For long data: the first four bytes of each hint as a number; shorter ones with their letters, because a rare letter
# that is absent (J, j) is found out at once.
_STARTS = tuple({int.from_bytes(hint[:4], "little") for hint in _HINTS if len(hint) > 3})
_SHORT = tuple((hint, [bytes([letter]) for letter in hint]) for hint in _HINTS if len(hint) <= 3)

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

    def suspicious(self, data: bytes) -> bool:
        """Whether ``data`` could hold a secret; a cheap test with false alarms and no misses."""
        if _hinted(data):
            return True
        for secret in self._secrets:
            if secret in data:
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


_MANY = 8192
"""Bytes from which on numpy compares faster than ``in`` searches."""


def _hinted(data: bytes) -> bool:
    if len(data) < _MANY:
        return any(hint in data for hint in _HINTS)
    # Four bytes at a time at each of the four alignments: a third of what one search per hint takes.
    import numpy as np

    for offset in range(4):
        words = np.frombuffer(data, "<u4", (len(data) - offset) // 4, offset)
        if any((words == start).any() for start in _STARTS):
            return True
    return any(all(letter in data for letter in letters) and hint in data for hint, letters in _SHORT)


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
