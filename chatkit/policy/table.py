"""The policy table: what is done about each way in which an attempt or a connection can end; data and its rendering.

Rows are asked from the top; the first that fits decides, and the last fits everything. ``README.md`` beside this file
is made from them: ``python -m chatkit.policy.table > chatkit/policy/README.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from chatkit.behaviour import Client, Kind, Row, Signal, Span

CLOSES: tuple[Row, ...] = (
    Row(signal=Signal.LOCAL_CLOSE, kind=Kind.LOCAL, action="stop", hint="closed by us"),
    Row(close=1000, by="server", kind=Kind.SERVER_DONE, action="reconnect", step=1, once=True),
    Row(close=1000, by="client", kind=Kind.LOCAL, action="stop", hint="closed by us"),
    Row(close=1001, kind=Kind.TRANSIENT, action="reconnect", wait=(0, 1)),
    Row(close=1005, kind=Kind.TRANSIENT, action="reconnect", wait=(0, 1)),
    Row(close=1006, kind=Kind.TRANSIENT, action="reconnect", wait=(0, 1)),
    Row(close=1011, by="client", kind=Kind.HALF_OPEN, action="reconnect", wait=(0, 1)),
    Row(
        close=1011,
        by="server",
        reason="keepalive ping timeout",
        kind=Kind.STARVED,
        action="reconnect",
        wait=(0, 1),
        every=True,
    ),
    Row(close=1011, kind=Kind.SERVER_ERROR, action="reconnect"),
    Row(close=1012, kind=Kind.RESTART, action="reconnect", wait=(1, 10)),
    Row(close=1013, kind=Kind.OVERLOAD, action="reconnect", wait=(5, 30), every=True),
    Row(close=1014, kind=Kind.TRANSIENT, action="reconnect"),
    Row(
        close=(1002, 1003),
        kind=Kind.PROTOCOL,
        action="reconnect",
        wait=(1, 1),
        every=True,
        once=True,
        compression=False,
    ),
    Row(close=1007, kind=Kind.PROTOCOL, action="reconnect", wait=(1, 1), every=True, once=True, compression=False),
    Row(close=1010, kind=Kind.PROTOCOL, action="reconnect", wait=(1, 1), every=True, once=True, compression=False),
    Row(close=1008, kind=Kind.AUTH_MAYBE, action="ask"),
    Row(close=1009, kind=Kind.PAYLOAD, action="reconnect", step=1, once=True),
    Row(close=1015, kind=Kind.TLS, action="fail"),
    Row(close=4401, kind=Kind.AUTH_EXPIRED, action="refresh"),
    Row(close=4001, kind=Kind.AUTH_EXPIRED, action="refresh"),
    Row(close=4403, kind=Kind.AUTH_MAYBE, action="ask"),
    Row(close=4003, kind=Kind.AUTH_MAYBE, action="ask"),
    Row(close=4404, kind=Kind.NOT_FOUND, action="fail"),
    Row(close=4400, kind=Kind.BAD_REQUEST, action="fail"),
    Row(close=4408, kind=Kind.TRANSIENT, action="reconnect"),
    Row(close=4409, kind=Kind.CONFLICT, action="fail"),
    Row(close=4009, kind=Kind.CONFLICT, action="fail"),
    Row(close=4429, kind=Kind.OVERLOAD, action="reconnect", wait=(5, 30), every=True),
    Row(close=(4000, 4499), kind=Kind.UNKNOWN_APP, action="reconnect"),
    Row(close=(4500, 4999), kind=Kind.SERVER_FATAL, action="fail"),
    Row(close=(3500, 3999), kind=Kind.SERVER_FATAL, action="fail"),
    Row(close=(3000, 3499), kind=Kind.UNKNOWN_APP, action="reconnect"),
    Row(
        close=(1016, 2999),
        kind=Kind.PROTOCOL,
        action="reconnect",
        wait=(1, 1),
        every=True,
        once=True,
        compression=False,
    ),
    # What no implementation may send (RFC 6455, section 7.4) and one sends all the same.
    Row(
        close=(0, 65_535), kind=Kind.PROTOCOL, action="reconnect", wait=(1, 1), every=True, once=True, compression=False
    ),
    Row(signal=Signal.NO_CLOSE_FRAME, kind=Kind.TRANSIENT, action="reconnect", wait=(0, 1)),
)
STATUSES: tuple[Row, ...] = (
    Row(status=401, kind=Kind.AUTH_EXPIRED, action="refresh"),
    Row(status=403, kind=Kind.AUTH_MAYBE, action="ask"),
    Row(status=404, kind=Kind.NOT_FOUND, action="fail"),
    Row(status=410, kind=Kind.NOT_FOUND, action="fail"),
    Row(status=429, kind=Kind.OVERLOAD, action="reconnect", wait=(5, 30), every=True),
    Row(status=503, retry_after=True, kind=Kind.OVERLOAD, action="reconnect", wait=(5, 30), every=True),
    Row(status=408, kind=Kind.TRANSIENT, action="reconnect"),
    Row(status=425, kind=Kind.TRANSIENT, action="reconnect"),
    Row(status=(301, 302), kind=Kind.REDIRECT, action="fail"),
    Row(status=(307, 308), kind=Kind.REDIRECT, action="fail"),
    Row(status=(500, 599), kind=Kind.TRANSIENT, action="reconnect"),
    Row(status=(0, 999), kind=Kind.BAD_REQUEST, action="fail"),
)
OTHERS: tuple[Row, ...] = (
    Row(error="SSLCertVerificationError", kind=Kind.TLS, action="fail"),
    Row(error="SSLError", kind=Kind.TRANSIENT, action="reconnect"),
    Row(error="gaierror", kind=Kind.DNS, action="reconnect"),
    Row(error="CancelledError", kind=Kind.LOCAL, action="stop", hint="cancelled by us"),
    Row(error="OSError", kind=Kind.TRANSIENT, action="reconnect"),
    Row(error="EOFError", kind=Kind.TRANSIENT, action="reconnect"),
    Row(error="InvalidHandshake", kind=Kind.TRANSIENT, action="reconnect"),
    Row(signal=Signal.HELLO_TIMEOUT, kind=Kind.HELLO_TIMEOUT, action="reconnect"),
    Row(signal=Signal.PROVIDER_UNREACHABLE, kind=Kind.TRANSIENT, action="reconnect"),
    Row(signal=Signal.PROVIDER_DENIED, kind=Kind.AUTH_DENIED, action="refresh"),
    Row(signal=Signal.BAD_MESSAGE, kind=Kind.BAD_MESSAGE, action="keep"),
    Row(
        signal=Signal.TOO_MANY_BAD_MESSAGES,
        kind=Kind.PROTOCOL,
        action="reconnect",
        wait=(1, 1),
        every=True,
        once=True,
        compression=False,
    ),
    Row(signal=Signal.CALLBACK_FAILED, kind=Kind.APP_ERROR, action="keep"),
    Row(kind=Kind.BUG, action="fail"),
)
TABLE: tuple[Row, ...] = (*CLOSES, *STATUSES, *OTHERS)
"""The recommended defaults. ``TimeoutError`` and the ``ConnectionError`` family are ``OSError``."""

INCIDENT: tuple[Row, ...] = (
    Row(close=1000, by="server", kind=Kind.SERVER_DONE, action="fail"),
    Row(close=1000, kind=Kind.LOCAL, action="stop", hint="closed by us"),
    Row(close=4003, kind=Kind.FORBIDDEN, action="fail"),
    Row(close=4001, kind=Kind.AUTH_EXPIRED, action="refresh"),
    Row(close=1006, kind=Kind.TRANSIENT, action="reconnect", least=2),
    Row(signal=Signal.NO_CLOSE_FRAME, kind=Kind.TRANSIENT, action="reconnect", least=2),
    Row(close=(0, 65_535), kind=Kind.TRANSIENT, action="reconnect"),
    Row(status=403, kind=Kind.AUTH_EXPIRED, action="refresh"),
    Row(status=429, kind=Kind.OVERLOAD, action="reconnect"),
    Row(status=503, kind=Kind.TRANSIENT, action="reconnect"),
)
"""Rows of the repaired front end, before the built-in ones: the contract's stop codes, and 2 s after a 1006."""

TEXTBOOK: tuple[Row, ...] = (
    Row(close=1000, by="server", kind=Kind.SERVER_DONE, action="fail"),
    Row(close=1000, kind=Kind.LOCAL, action="stop", hint="closed by us"),
    Row(close=(0, 65_535), kind=Kind.TRANSIENT, action="reconnect"),
    Row(signal=Signal.NO_CLOSE_FRAME, kind=Kind.TRANSIENT, action="reconnect"),
    Row(status=(0, 999), kind=Kind.TRANSIENT, action="reconnect"),
)
"""Rows of a client that knows one answer to everything but a goodbye: try again after the backoff."""


def covers(span: Span | None, number: int | None) -> bool:
    """Whether a code or range is not asked for, or holds the number."""
    if span is None:
        return True
    if number is None:
        return False
    return span == number if isinstance(span, int) else span[0] <= number <= span[1]


def arrives(row: Row) -> str:
    """What a row is about, in words."""
    parts = []
    if row.close is not None:
        who = {"server": "received close", "client": "sent close", None: "close"}[row.by]
        parts.append(f"{who} {_span(row.close)}")
    if row.reason is not None:
        parts.append(f"“{row.reason}”")
    if row.status is not None:
        parts.append(f"HTTP {_span(row.status)}")
    if row.retry_after:
        parts.append("with `Retry-After`")
    if row.error is not None:
        parts.append(f"exception `{row.error}`")
    if row.signal is not None:
        parts.append(row.signal.replace("-", " "))
    return " ".join(parts) or "anything else"


def does(row: Row) -> str:
    """What a row does, in words."""
    words = {
        "reconnect": "reconnect",
        "refresh": "refresh the token once, reconnect at once; a second time in a row: wait for a token",
        "ask": "token expired: as auth-expired; else ask the HTTP API with that token: 401 refresh, 2xx, 403, 404 fail",
        "fail": "fail; wait for somebody",
        "stop": "stop",
        "keep": "keep the connection, count it",
    }[row.action]
    if row.kind is Kind.AUTH_DENIED:
        words = "wait for a token"
    if row.kind is Kind.CONFLICT:
        words += "; with `takeover` reconnect"
    if row.kind is Kind.PAYLOAD:
        words += "; a message of ours that was too big is rejected"
    if not row.compression:
        words += " without compression"
    return words + ("; again within a minute: fail" if row.once else "")


def delays(row: Row) -> str:
    """When a row's next attempt comes, in words; ``d(k)`` is the backoff's k-th step."""
    if row.action != "reconnect":
        return "at once" if row.action in ("refresh", "ask") and row.kind is not Kind.AUTH_DENIED else "–"
    if row.wait is not None:
        low, high = row.wait
        first = f"{low:g} s" if low == high else f"U({low:g}, {high:g}) s"
        words = first if row.every else f"{first}, then d(k)"
    else:
        words = f"d({row.step})" if row.step is not None else "d(k)"
    return words + (f", at least {row.least:g} s" if row.least else "")


def markdown(rows: Sequence[Row] = TABLE) -> str:
    """The table as Markdown."""
    lines = ["| what arrives | class | what is done | delay |", "|---|---|---|---|"]
    lines += [f"| {arrives(row)} | {row.kind} | {does(row)} | {delays(row)} |" for row in rows]
    return "\n".join(lines)


def document() -> str:
    """The whole page ``README.md``."""
    rules = Client()
    full = f"min({rules.retry_cap:g}, {rules.retry_base:g} · {rules.retry_factor:g}ᵏ)"
    formula = f"U({1 - rules.retry_jitter:g}, 1) · {full}"
    probe = f"every {rules.suspend_probe:g} s ± {rules.suspend_jitter:.0%}"
    return f"""# What the client does about each failure

Made from `chatkit/policy/table.py` by `python -m chatkit.policy.table`; a test compares the two. Rows are asked from
the top, the first that fits decides. A profile's `[[client.rows]]` come before them.

{markdown()}

`U(a, b)` is drawn between a and b seconds, evenly. Where a row draws, the first retry after a stable connection does;
later ones follow the backoff d(k) = {formula} s, k = {rules.retry_first} … {rules.retry_attempts}.
`Retry-After` is a lower bound, obeyed up to {rules.retry_after_cap:g} s. Two attempts to one host start at least
{rules.retry_floor:g} s apart, whatever bots they are for; the one retry after a token refresh is exempt.
After {rules.retry_attempts} fast retries the client is suspended: it looks at the backend's health {probe},
tries when that is good, and every {rules.suspend_attempt:g} s in any case. Retries count from zero again after a
connection lived for {rules.stable_after:g} s.
"""


def _span(span: Span) -> str:
    return str(span) if isinstance(span, int) else f"{span[0]}–{span[1]}"


if __name__ == "__main__":
    sys.stdout.write(document())
