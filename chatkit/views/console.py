"""The console's words: a client's values in, plain JSON-able values out; the browser only draws them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from chatkit.behaviour import Client
from chatkit.policy.delivery import ChatMessage, DeliveryState
from chatkit.policy.health import HealthState, HealthStatus
from chatkit.policy.status import State, Status
from chatkit.policy.token import span

MESSAGES_SHOWN = 200
"""Messages at the end of the conversation that are shown; how many came before is said."""
TEXT_SHOWN = 20_000
"""Characters of one message that are shown."""

_TONES = {
    State.CONNECTED: "ok",
    State.STABLE: "ok",
    State.CONNECTING: "wait",
    State.BACKOFF: "warn",
    State.SUSPENDED: "warn",
    State.AUTH_REQUIRED: "bad",
    State.FAILED: "bad",
}
_BUTTONS = {
    State.CONNECTING: "disconnect",
    State.CONNECTED: "disconnect",
    State.STABLE: "disconnect",
    State.BACKOFF: "retry",
    State.SUSPENDED: "retry",
    State.AUTH_REQUIRED: "reconnect",
    State.FAILED: "reconnect",
}


class Facts(Struct, frozen=True, kw_only=True):
    """What the console knows of a client at one moment."""

    status: Status
    explanation: str
    messages: Sequence[ChatMessage]
    typing: Sequence[str]
    health: HealthStatus
    rules: Client
    rtt: float | None
    lag: float | None
    expires: float | None
    """Unix time at which the token expires."""
    has_token: bool
    epoch: float
    """Unix time of the recording's start."""
    now: float
    """Unix time."""
    began: float = 0.0
    """Seconds since that start: when this process began; what is older was found in its recordings or its queue."""
    send_via: str = "http"


def view(facts: Facts) -> dict[str, Any]:
    """All that the console shows, as JSON-able values."""
    shown = list(facts.messages)[-MESSAGES_SHOWN:]
    return {
        "state": _state(facts),
        "health": _health(facts),
        "token": _token(facts),
        "bot": facts.status.bot,
        "earlier": len(facts.messages) - len(shown),
        "messages": [_message(message, facts) for message in shown],
        "typing": typing_words(facts.typing),
        "now": facts.now,
    }


def empty(now: float, problem: str | None = None) -> dict[str, Any]:
    """What the console shows without a client."""
    state = {
        "word": "Not connected",
        "tone": "bad" if problem else "idle",
        "explain": problem or "Name a backend and a bot, then connect.",
        "button": "connect",
        "since": None,
        "stable": False,
        "retryAt": None,
        "retryWords": "",
        "quietUntil": None,
    }
    nothing = {"tone": "idle", "text": ""}
    return {
        "state": state,
        "health": nothing,
        "token": nothing,
        "bot": "",
        "earlier": 0,
        "messages": [],
        "typing": "",
        "now": now,
    }


def typing_words(users: Sequence[str]) -> str:
    """Who types, in words."""
    if not users:
        return ""
    if len(users) == 1:
        return f"{users[0][:40]} is typing…"
    return f"{', '.join(user[:40] for user in users[:3])} are typing…"


def _state(facts: Facts) -> dict[str, Any]:
    status = facts.status
    return {
        "word": status.word,
        "tone": _TONES.get(status.state, "idle"),
        "explain": facts.explanation,
        "button": _BUTTONS.get(status.state, "connect"),
        "since": status.since,
        "stable": status.state is State.STABLE,
        "retryAt": status.retry_at,
        "retryWords": "next look at its health in" if status.state is State.SUSPENDED else "next attempt in",
        "quietUntil": status.first_ping if status.live else None,
    }


def _health(facts: Facts) -> dict[str, str]:
    health = facts.health
    last = health.last
    if last is None:
        return {"tone": "idle", "text": "health not checked yet"}
    answer = str(last.status) if last.status is not None else (last.error or "no answer")
    text = f"health {last.method} {answer} in {last.seconds * 1000:.0f} ms, every {facts.rules.health_interval:g} s"
    if health.state in (HealthState.FAILING, HealthState.UNHEALTHY):
        text = f"health {health.state}, {health.failures} in a row: {last.method} {answer}"
    if health.head_status is not None and health.get_status is not None:
        text += f"   HEAD {health.head_status}, GET {health.get_status}"
    if facts.rtt is not None:
        text += f"   ping {facts.rtt * 1000:.0f} ms"
    if facts.lag is not None:
        text += f"   loop lag {facts.lag * 1000:.0f} ms"
    tones = {HealthState.HEALTHY: "ok", HealthState.FAILING: "warn", HealthState.UNHEALTHY: "bad"}
    return {"tone": tones.get(health.state, "idle"), "text": text}


def _token(facts: Facts) -> dict[str, str]:
    if not facts.has_token:
        return {"tone": "warn", "text": "no token"}
    if facts.expires is None:
        return {"tone": "ok", "text": "token without expiry"}
    left = facts.expires - facts.now
    words = f"good, {span(left)} left" if left > 0 else f"expired {span(-left)} ago"
    return {"tone": "ok" if left > 0 else "bad", "text": f"token {words}"}


def _message(message: ChatMessage, facts: Facts) -> dict[str, Any]:
    text = message.text
    if len(text) > TEXT_SHOWN:
        text = text[:TEXT_SHOWN] + f"… ({len(text):,} characters)"
    mine = message.via == "local"
    return {
        "key": message.key,
        "mine": mine,
        "text": text,
        "meta": _mine(message, facts) if mine else _theirs(message, facts),
        "tone": _message_tone(message),
        "streaming": message.state == "streaming",
        "former": message.at < facts.began,
    }


_BAD = (DeliveryState.REJECTED, DeliveryState.EXPIRED, DeliveryState.UNKNOWN, "interrupted")


def _message_tone(message: ChatMessage) -> str:
    if message.state in _BAD or message.gap:
        return "bad"
    return "typing" if message.state == "streaming" else "plain"


def _mine(message: ChatMessage, facts: Facts) -> str:
    transport = "over HTTP" if facts.send_via == "http" else "live"
    sent = f"sent {transport} {_clock(message, facts)} ✓"
    match message.state:
        case DeliveryState.QUEUED:
            return f"waits: {message.because or 'nothing carries it right now'}"
        case DeliveryState.WRITTEN:
            return f"sending {transport}…"
        case DeliveryState.ACKED:
            return f"{sent}   waiting for the reply"
        case DeliveryState.REPLIED:
            return f"{sent}   {message.because or 'replied'}"
        case DeliveryState.REJECTED | DeliveryState.EXPIRED:
            return f"not sent: {message.because}"
        case _:
            return f"unknown whether it arrived: {message.because}"


def _theirs(message: ChatMessage, facts: Facts) -> str:
    chunks = f"{message.chunks} chunk{'s' if message.chunks != 1 else ''}"
    gap = "a chunk is missing" if message.gap else "no gap"
    if message.state == "streaming":
        return f"typing… streamed, {chunks}, {gap}"
    if message.state == "interrupted":
        return f"{message.author}, interrupted after {chunks}: the connection ended"
    words = f"{message.author}, {'live' if message.via == 'websocket' else 'by HTTP'} {_clock(message, facts)}"
    if message.chunks:
        words += f" · streamed, {gap}"
    if message.also_via is not None:
        other = "HTTP" if message.also_via == "http" else "WebSocket"
        words += f" · also by {other}, shown once"
    return words


def _clock(message: ChatMessage, facts: Facts) -> str:
    moment = datetime.fromtimestamp(facts.epoch + message.at)
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"
