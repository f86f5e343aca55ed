"""How a client behaves, as data: timings, limits, and the rows of the policy table with their words.

``Client`` is the part ``[client]`` of a profile; its values are chatkit's recommended defaults. ``Row`` is one row of
the table that says what is done about a failure; the built-in rows stand in ``chatkit.policy.table``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import Struct


class Kind(StrEnum):
    """Classes of what can end an attempt or a connection, or happen on it."""

    LOCAL = "local"
    """We wanted it."""
    SERVER_DONE = "server-done"
    """The server said goodbye as after work done."""
    TRANSIENT = "transient"
    """It may work again in a moment."""
    HALF_OPEN = "half-open"
    """The peer fell silent; we gave the connection up."""
    STARVED = "starved"
    """The peer gave us up, because our side did not answer in time."""
    SERVER_ERROR = "server-error"
    """The server failed while it handled something."""
    RESTART = "restart"
    """The server restarts; all its clients come back at the same time."""
    OVERLOAD = "overload"
    """The server asks for less."""
    PROTOCOL = "protocol"
    """Somebody broke RFC 6455 or its extensions."""
    PAYLOAD = "payload"
    """A message was larger than one side accepts."""
    TLS = "tls"
    """The certificate cannot be trusted; waiting does not help."""
    AUTH_EXPIRED = "auth-expired"
    """The token is not good any more."""
    AUTH_MAYBE = "auth-maybe"
    """A refusal that may be about the token, the bot, the Origin or the path."""
    AUTH_DENIED = "auth-denied"
    """Whoever issues tokens refuses to issue one."""
    FORBIDDEN = "forbidden"
    """The token is good and the user may not."""
    NOT_FOUND = "not-found"
    """There is no such bot or path."""
    BAD_REQUEST = "bad-request"
    """The server will not accept what we ask for, however often."""
    REDIRECT = "redirect"
    """The server points elsewhere, where we do not go."""
    CONFLICT = "conflict"
    """Another session took this one's place."""
    UNKNOWN_APP = "unknown-app"
    """A code of the application that nobody explained to us."""
    SERVER_FATAL = "server-fatal"
    """A code by which servers say: do not come back."""
    DNS = "dns"
    """The host name does not resolve, as after a laptop woke up."""
    HELLO_TIMEOUT = "hello-timeout"
    """The socket opened, the application did not."""
    BAD_MESSAGE = "bad-message"
    """One message that cannot be read."""
    APP_ERROR = "app-error"
    """A callback of the user's failed."""
    BUG = "bug"
    """Something nobody foresaw, most likely in chatkit."""


class Signal(StrEnum):
    """What no close code, no status and no exception says."""

    LOCAL_CLOSE = "local-close"
    """Our user closed, or our task was cancelled."""
    NO_CLOSE_FRAME = "no-close-frame"
    """The transport ended without a close frame: what an API reports as 1006."""
    HELLO_TIMEOUT = "hello-timeout"
    """The backend's first message did not come."""
    BAD_MESSAGE = "bad-message"
    """A message that is no JSON, or of an unknown type."""
    TOO_MANY_BAD_MESSAGES = "too-many-bad-messages"
    """Twenty of them within a minute."""
    CALLBACK_FAILED = "callback-failed"
    """A listener of the user's raised."""
    PROVIDER_UNREACHABLE = "provider-unreachable"
    """Asking for a token got no answer."""
    PROVIDER_DENIED = "provider-denied"
    """Asking for a token was refused."""


Action = Literal["reconnect", "refresh", "ask", "fail", "stop", "keep"]


Span = int | tuple[int, int]
"""A code, or the first and the last of a range."""


class Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of the policy table: what it is about, and what is done. Rows of a profile are asked before the built-in
    ones; the first that fits decides. Durations count in units of ``client.retry_base``, which is one second."""

    close: Span | None = None
    """Close code, or a range of them."""
    by: Literal["server", "client"] | None = None
    """Whose close frame came first; either, when not given."""
    reason: str | None = None
    """Words that the close frame's reason must contain."""
    status: Span | None = None
    """HTTP status that refused the upgrade, or a range."""
    retry_after: bool = False
    """Only where the answer says ``Retry-After``."""
    error: str | None = None
    """Name of an exception's class or of one of its bases, for example ``gaierror``."""
    signal: Signal | None = None
    kind: Kind = Kind.UNKNOWN_APP
    action: Action
    """``reconnect`` after the delay; ``refresh`` the token, then at once; ``ask`` the HTTP API what the refusal means;
    ``fail`` and wait for somebody; ``stop`` because we wanted it; ``keep`` the connection."""
    wait: tuple[float, float] | None = None
    """Delay of the first retry, drawn between the two; without it the backoff decides."""
    every: bool = False
    """Whether ``wait`` holds for later retries as well."""
    step: int | None = None
    """The backoff's step for every retry, instead of counting them."""
    least: float = 0.0
    """The delay is not shorter than this."""
    once: bool = False
    """A second time within a minute is a failure."""
    compression: bool = True
    """Whether the next attempt may offer compression."""
    hint: str | None = None
    """What it may mean, for people; the built-in words when not given."""


class Client(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a client of this backend behaves; all durations in seconds."""

    connect_timeout: float = 10.0
    """TCP + TLS + upgrade, up to the first message of the backend."""
    stabilise: float = 5.0
    """Quiet time after that message before the first ping."""
    stable_after: float = 5.0
    """A connection that lived so long counts as stable: retries start from zero again."""
    ping_interval: float = 30.0
    ping_jitter: float = 5.0
    """Each interval is shortened by a random part of this, so that clients do not ping in step."""
    pong_timeout: float = 10.0
    """Silence after a ping that makes the connection suspect."""
    lag_forgiven: float = 0.25
    """Where our own timer fired later than this, the silence may be ours: what waits is read and the timer set once
    more before the connection is given up."""
    health_method: Literal["GET", "HEAD"] = "GET"
    health_interval: float = 30.0
    health_timeout: float = 5.0
    health_failures: int = 3
    """Failures in a row that make the backend unhealthy."""
    http_timeout: float = 60.0
    """For a chat reply over HTTP; other calls use ``connect_timeout``."""
    retry_base: float = 1.0
    """The unit of all retry delays."""
    retry_factor: float = 2.0
    retry_cap: float = 30.0
    retry_attempts: int = 5
    """Fast retries; then the client is suspended, or fails where it may not be."""
    retry_first: int = 1
    """Step of the first retry: its delay is ``retry_base * retry_factor ** retry_first`` before jitter."""
    retry_jitter: float = 0.5
    """Random share by which a delay is shortened at most; 0 for none."""
    retry_floor: float = 1.0
    """Least time between the starts of any two attempts to one host, whatever bots they are for."""
    retry_after_cap: float = 300.0
    """A ``Retry-After`` is obeyed up to this."""
    suspend: bool = True
    """Whether a client that used up its fast retries waits for the backend's health instead of failing."""
    suspend_probe: float = 30.0
    """Between two looks at the health endpoint while suspended."""
    suspend_jitter: float = 0.2
    """Random share by which that is lengthened or shortened."""
    suspend_attempt: float = 300.0
    """While suspended, an attempt is made after this time whatever the health endpoint says."""
    give_up_after: float | None = None
    """Suspended for so long, a client fails; ``None`` for never."""
    takeover: bool = False
    """Whether a session that another client took over is fought for."""
    rows: tuple[Row, ...] = ()
    """Rows of the policy table that come before the built-in ones."""
    queue_messages: int = 200
    """Messages of one bot that may wait while nothing carries them."""
    queue_bytes: int = 1 << 20
    """Bytes of their texts, UTF-8."""
    queue_overflow: Literal["raise", "drop-oldest"] = "raise"
    queue_ttl: float = 120.0
    """A message that waited so long is not sent any more."""
    keep_messages: int = 2000
    """Messages of one conversation that are remembered and shown; the oldest go first."""
    history_poll: float = 0.0
    """The session's history is asked for every so many seconds besides the socket; 0 trusts the push."""
    reply_grace: float = 5.0
    """An answered message waits so long for its WebSocket copy before the HTTP reply is shown."""
    typing_stop: float = 3.0
    """A client takes its typing back after this."""
    typing_expire: float = 10.0
    """An indicator of somebody else that is not renewed disappears after this."""
    show_http_reply: bool = False
    """Whether the HTTP reply is shown although the socket is live: the mistake that showed every reply twice."""
    max_size: int = 1 << 20
    """Largest message accepted, bytes."""
