"""The backend's contract as data: paths, message types, fields, timings. ``DEFAULT`` is the built-in one.

A team with another backend writes a TOML file with what differs and no code::

    name = "support bots"
    [paths]
    chat_socket = "/ws/{bot_id}"
    [types]
    reply = "assistant_message"
    [client]
    ping_interval = 20

``load`` reads such a file; ``Profile.read`` turns one message of the server into an :class:`Incoming`;
``Profile.build`` makes one of the client.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from chatkit.behaviour import Client, Row
from chatkit.errors import ProfileError


class Paths(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Paths below the base URL; ``{bot_id}`` and ``{session_id}`` are filled in."""

    chat_socket: str = "/api/ws/chat/{bot_id}"
    notifications_socket: str = "/api/ws/notifications"
    mux_socket: str | None = None
    """One socket for all bots, where a backend has one: bots are subscribed to over it."""
    health: str = "/health"
    login: str = "/api/auth/login"
    refresh: str = "/api/auth/refresh"
    bot: str = "/api/bots/{bot_id}"
    bots: str | None = None
    """A call that lists the bots (``[{"id", "name"}]``), where a backend has one."""
    sessions: str = "/api/conversations/bots/{bot_id}/sessions"
    chat: str = "/api/conversations/bots/{bot_id}/chat"
    history: str = "/api/conversations/sessions/{session_id}/messages"
    stats: str = "/api/ws/stats"
    connections: str = "/api/ws/connections"


class Auth(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the token goes."""

    socket: Literal["query", "header"] = "query"
    """How the upgrade carries the token: query parameter or ``Authorization: Bearer``."""
    parameter: str = "token"
    """Name of the query parameter."""


class Send(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a user's message goes out."""

    via: Literal["http", "websocket"] = "http"
    type: str = "message"
    """Message type when ``via`` is ``websocket``; the text goes into ``data.content``."""
    max_chars: int = 10_000
    idempotent: bool = False
    """Whether the backend takes a message with the same ``id_key`` once, however often it is sent. Only then is a
    message sent again whose fate is unknown. A backend may say so itself, as the capability ``idempotency``."""
    id_key: str = "client_message_id"
    """Key of our id of the message, in the body of the HTTP call or in ``data``; sent only where it means something."""
    in_flight: int | None = None
    """Messages of one bot that may be under way at once; ``None`` is 1 where the backend is idempotent (what is sent
    again then keeps its place) and 10 elsewhere."""


class Types(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Values of the key ``type``; the attribute's name is the kind that chatkit knows."""

    established: str = "connection_established"
    reply: str = "chat_response"
    chunk: str = "chat_response_chunk"
    message: str = "chat_message"
    typing: str = "typing_indicator"
    pong: str = "pong"
    synced: str = "session_synced"
    error: str = "error"
    acked: str = "message_ack"
    subscribed: str = "subscribed"
    resumed: str = "resumed"
    send_typing: str = "typing"
    send_ping: str = "ping"
    send_sync: str = "session_sync"
    send_resume: str = "resume"
    send_subscribe: str = "subscribe"
    send_unsubscribe: str = "unsubscribe"
    others: tuple[str, ...] = ("permission_change", "bot_update", "document_update", "notification")
    """Types that may come and mean nothing to a chat."""


class Fields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Dotted paths to what a message carries."""

    bot_id: str = "bot_id"
    message_id: str = "data.message_id"
    session_id: str = "data.session_id"
    content: str = "data.content"
    username: str = "data.username"
    user_id: str = "data.user_id"
    seq: str = "data.seq"
    delta: str = "data.delta"
    is_typing: str = "data.is_typing"
    timestamp: str = "data.timestamp"
    bot_name: str = "data.bot_name"
    connection_id: str = "data.connection_id"
    in_reply_to: str = "data.in_reply_to"
    """The client's id of the message that a reply answers."""
    acked_id: str = "data.client_message_id"
    """In ``acked``: the client's id of the message that the backend has."""
    role: str = "data.role"
    capabilities: str = "data.capabilities"
    """In the first message: a list of words, of which ``idempotency``, ``resume`` and ``mux`` mean something."""
    generation: str = "data.generation"
    """In ``subscribed``: the number of the subscription that it answers."""
    replayed: str = "data.replayed"
    """In ``resumed``: how many messages were sent again."""
    complete: str = "data.complete"
    """In ``resumed``: whether nothing is missing before them."""
    error: str = "message"
    http_reply: str = "message"
    """The reply's text in the answer of the HTTP chat call."""
    http_session: str = "session_id"
    history_id: str = "id"
    history_role: str = "role"
    history_content: str = "content"
    history_at: str = "created_at"
    history_client_id: str = "client_message_id"
    """Our id of a user's message in the history, where the backend keeps it."""


class Incoming(Struct, frozen=True, kw_only=True):
    """One message of the server, read by the profile. What a message does not carry is ``None``."""

    kind: str
    """``established``, ``reply``, ``chunk``, ``message``, ``typing``, ``pong``, ``synced``, ``acked``, ``subscribed``,
    ``resumed``, ``error``, ``other`` (means nothing to a chat), ``unknown`` (a type that the profile does not name) or
    ``invalid`` (no JSON object with a type)."""
    type: str | None = None
    bot_id: str | None = None
    message_id: str | None = None
    session_id: str | None = None
    content: str | None = None
    username: str | None = None
    user_id: str | None = None
    seq: int | None = None
    delta: str | None = None
    is_typing: bool | None = None
    timestamp: str | None = None
    bot_name: str | None = None
    in_reply_to: str | None = None
    acked_id: str | None = None
    role: str | None = None
    capabilities: frozenset[str] = frozenset()
    generation: int | None = None
    replayed: int | None = None
    complete: bool | None = None
    detail: str | None = None
    """For ``error``, ``unknown`` and ``invalid``: what it says or what is wrong."""


_KINDS = (
    "established",
    "reply",
    "chunk",
    "message",
    "typing",
    "pong",
    "synced",
    "acked",
    "subscribed",
    "resumed",
    "error",
)
_REQUIRED = {
    "reply": ("content",),
    "message": ("content",),
    "chunk": ("message_id", "seq", "delta"),
    "typing": ("is_typing",),
}
_TEXT = (
    "bot_id",
    "message_id",
    "session_id",
    "content",
    "username",
    "user_id",
    "delta",
    "timestamp",
    "bot_name",
    "in_reply_to",
    "acked_id",
    "role",
)
_WHOLE = ("seq", "generation", "replayed")
_FLAGS = ("is_typing", "complete")
_TYPE = re.compile(r'"type"\s*:\s*"([^"\\]{1,64})"')


class Profile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A backend's whole contract; see the classes of its parts."""

    name: str = "default"
    paths: Paths = field(default_factory=Paths)
    auth: Auth = field(default_factory=Auth)
    send: Send = field(default_factory=Send)
    types: Types = field(default_factory=Types)
    fields: Fields = field(default_factory=Fields)
    client: Client = field(default_factory=Client)

    def read(self, text: str | bytes) -> Incoming:
        """One message of the server; never raises, what cannot be read has the kind ``invalid``."""
        try:
            body = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return Incoming(kind="invalid", detail=f"not JSON: {error}")
        if not isinstance(body, dict) or not isinstance(body.get("type"), str):
            return Incoming(kind="invalid", detail='expected a JSON object with a text "type"')
        kind = self.kind(body["type"])
        values = self._values(body)
        missing = [name for name in _REQUIRED.get(kind, ()) if values.get(name) is None]
        if missing:
            detail = f"{body['type']} without " + ", ".join(getattr(self.fields, name) for name in missing)
            return Incoming(kind="invalid", type=body["type"], detail=detail)
        if kind == "error":
            values["detail"] = str(dig(body, self.fields.error))
        elif kind == "unknown":
            values["detail"] = f"unknown type {body['type'][:64]!r}"
        return Incoming(kind=kind, type=body["type"], **values)

    def kind(self, type_: str) -> str:
        """The kind of a server's message type."""
        for kind in _KINDS:
            if getattr(self.types, kind) == type_:
                return kind
        return "other" if type_ in self.types.others else "unknown"

    def type_of(self, text: str) -> str | None:
        """The ``type`` of an encoded message by a look at its beginning, without parsing it."""
        match = _TYPE.search(text, 0, 4096)
        return match.group(1) if match else None

    def ping(self, timestamp: str) -> str:
        """The application-level ping; ``timestamp`` is ISO-8601 and comes back in the pong."""
        return json.dumps({"type": self.types.send_ping, "timestamp": timestamp})

    def typing(self, is_typing: bool, bot_id: str | None = None) -> str:
        """Says that the user types, or stopped; ``bot_id`` on a socket that carries several bots."""
        return self._told(self.types.send_typing, {"is_typing": is_typing}, bot_id)

    def sync(self, session_id: str, bot_id: str | None = None) -> str:
        """Asks the server to bind the connection to a session."""
        return self._told(self.types.send_sync, {"session_id": session_id}, bot_id)

    def _told(self, type_: str, data: dict[str, Any], bot_id: str | None = None) -> str:
        bot = {self.fields.bot_id: bot_id} if bot_id is not None else {}
        return json.dumps({"type": type_, **bot, "data": data})

    def message(
        self, text: str, session_id: str | None, client_id: str | None = None, bot_id: str | None = None
    ) -> str:
        """A user's message, for backends that take it over the WebSocket; ``client_id`` is our id of it."""
        data = {"content": text} | ({"session_id": session_id} if session_id else {})
        data |= {self.send.id_key: client_id} if client_id else {}
        return self._told(self.send.type, data, bot_id)

    def resume(self, session_id: str | None, last_message_id: str | None) -> str:
        """Asks for what came after a message, for backends that offer it."""
        data = {"session_id": session_id, "last_message_id": last_message_id}
        return self._told(self.types.send_resume, data)

    def subscribe(self, bot_id: str, generation: int, since: str | None) -> str:
        """Asks for a bot's messages on a socket that carries several bots; ``since`` is the last message seen."""
        data = {"bot_id": bot_id, "generation": generation} | ({"since": since} if since else {})
        return self._told(self.types.send_subscribe, data)

    def unsubscribe(self, bot_id: str, generation: int) -> str:
        """Takes that back."""
        data = {"bot_id": bot_id, "generation": generation}
        return self._told(self.types.send_unsubscribe, data)

    def _values(self, body: dict[str, Any]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name in _TEXT:
            value = dig(body, getattr(self.fields, name))
            if isinstance(value, str):
                values[name] = value
            elif isinstance(value, int) and not isinstance(value, bool):
                values[name] = str(value)
        if values.get("timestamp") is None and isinstance(body.get("timestamp"), str):
            values["timestamp"] = body["timestamp"]
        for name in _WHOLE:
            value = dig(body, getattr(self.fields, name))
            if isinstance(value, int) and not isinstance(value, bool):
                values[name] = value
        for name in _FLAGS:
            value = dig(body, getattr(self.fields, name))
            if isinstance(value, bool):
                values[name] = value
        capabilities = dig(body, self.fields.capabilities)
        if isinstance(capabilities, list):
            values["capabilities"] = frozenset(word for word in capabilities if isinstance(word, str))
        return values


def dig(body: object, path: str) -> object:
    """The value at a dotted path of decoded JSON, ``None`` where there is none."""
    for key in path.split("."):
        if not isinstance(body, dict):
            return None
        body = body.get(key)
    return body


DEFAULT = Profile()


def load(source: str | Path | Profile | None) -> Profile:
    """A profile from a TOML file; ``None`` is the built-in one, a profile passes through.

    Raises:
        ProfileError: the file cannot be read, is not TOML, or has a key or value that does not fit; it names file,
            line and key.
    """
    if source is None:
        return DEFAULT
    if isinstance(source, Profile):
        return source
    name = str(source)
    try:
        text = Path(source).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(
            f"the profile cannot be read: {error}", file=name, remedy="give the path of a TOML file"
        ) from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"line (\d+)", str(error))
        line = int(match.group(1)) if match else None
        raise ProfileError(f"the profile is not TOML: {error}", file=name, line=line) from None
    return _convert(values, text, name)


def _convert(values: dict[str, Any], text: str, name: str) -> Profile:
    try:
        profile = msgspec.convert(values, Profile)
    except msgspec.ValidationError as error:
        raise _explain(str(error), text, name) from None
    for key, value in _numbers(profile.client):
        # Written so that nan is refused as well: no comparison with it is true.
        if not 0 <= value < float("inf"):
            line = find_line(text, ["client", key])
            raise ProfileError(
                "a duration or count is negative" if value < 0 else "a duration or count is no finite number",
                file=name,
                line=line,
                key=f"client.{key}",
                expected="0 or more",
                got=value,
            )
    return profile


def _numbers(client: Client) -> list[tuple[str, float]]:
    pairs = [(key, getattr(client, key)) for key in client.__struct_fields__]
    return [(key, value) for key, value in pairs if isinstance(value, int | float) and not isinstance(value, bool)]


def _explain(message: str, text: str, name: str) -> ProfileError:
    """A msgspec message (``Expected `float`, got `str` - at `$.client.ping_interval```) with its line."""
    match = re.search(r" - at `\$\.?([^`]*)`", message)
    path = match.group(1).split(".") if match and match.group(1) else []
    what = message[: match.start()] if match else message
    unknown = re.search(r"unknown field `([^`]+)`", what)
    if unknown is None:
        line = find_line(text, path)
        return ProfileError(f"a value does not fit: {what}", file=name, line=line, key=".".join(path))
    known = list(_section(path).__struct_fields__)
    close = difflib.get_close_matches(unknown.group(1), known, n=1)
    return ProfileError(
        "the profile has a key that nobody reads",
        file=name,
        line=find_line(text, [*path, unknown.group(1)]),
        key=".".join([*path, unknown.group(1)]),
        expected=f"{close[0]!r}?" if close else "one of " + ", ".join(known),
        remedy="correct the spelling or delete the line",
    )


def _section(path: list[str]) -> type[Struct]:
    """The class whose keys stand at a path."""
    if path[1:] and path[1].startswith("rows["):
        return Row
    return type(getattr(DEFAULT, path[0])) if path else Profile


def find_line(text: str, path: list[str]) -> int | None:
    """The line (from 1) that sets ``path``, by a walk over table headers and keys; the last one found wins."""
    table: list[str] = []
    found = None
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line)
        if header:
            table = [part.strip().strip("\"'") for part in header.group(1).split(".")]
            if table == path:
                found = number
            continue
        key = re.match(r"\s*([A-Za-z0-9_.\"'-]+)\s*=", line)
        if key:
            full = table + [part.strip("\"'") for part in key.group(1).split(".")]
            plain = [re.sub(r"\[.*\]", "", part) for part in path]
            if full == plain[: len(full)]:
                found = number
    return found
