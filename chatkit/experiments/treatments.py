"""What an arm does: treatments as data, and the courses that they are going to take."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from chatkit.diagnosis.courses import Act, Course
from chatkit.diagnosis.facts import ACTIVITY

What = Literal["app-ping", "protocol-ping", "typing", "sync", "message", "replay"]

PING_BYTES, TYPING_BYTES, MESSAGE_BYTES = 70, 50, 40
"""About what the built-in profile's messages weigh."""
_FEEDS: dict[str, tuple[str, ...]] = {
    # Seen from the client: what counts our act as activity, its usual answer included.
    "app-ping": ("any", "inbound", "outbound", "data-frames", "app-ping"),
    "protocol-ping": ("any", "inbound", "outbound", "protocol-ping"),
    "typing": ("any", "outbound", "data-frames"),
    "sync": ("any", "inbound", "outbound", "data-frames"),
    "message": ("any", "inbound", "data-frames"),
    "replay": ("any", "outbound", "data-frames"),
}


class Doing(Struct, frozen=True, kw_only=True):
    """Something that an arm does, once or again and again. Seconds count from the greeting."""

    what: What
    at: float = 0.0
    """When first."""
    every: float | None = None
    """Seconds between two; ``None`` for once."""
    times: int | None = None
    """How often at most; ``None`` for as long as it lives."""
    size: int | None = None
    """Bytes of a message's text; ``None`` for a short one."""

    def ages(self, until: float) -> list[float]:
        """When it happens, up to an age."""
        if self.every is None:
            return [self.at] if self.at <= until else []
        found: list[float] = []
        age = self.at
        while age <= until and (self.times is None or len(found) < self.times):
            found.append(age)
            age += self.every
        return found


class Treatment(Struct, frozen=True, kw_only=True):
    """What is done to one connection."""

    id: str
    what: str
    """In a few words."""
    doings: tuple[Doing, ...] = ()
    token: Literal["good", "none", "garbage"] = "good"
    bot: str | None = None
    """Another bot than the one that is investigated."""
    path: str | None = None
    """Another path than the socket's."""
    origin: str | None = None
    compression: str | None = "deflate"
    subprotocols: tuple[str, ...] = ()
    """What is offered in ``Sec-WebSocket-Protocol``."""
    alters: str = ""
    """As :class:`chatkit.events.ArmStarted` says it."""
    politeness: Literal["read-only", "chatty", "intrusive"] = "read-only"
    until: float | None = None
    """Age at which it leaves, having shown what it can; ``None`` for as long as the investigation lasts."""
    also: bool = False
    """Whether it goes the second way in."""
    asks: str = ""
    """The question it answers."""

    def settings(self) -> dict[str, Any]:
        """As data, for the recording."""
        return {key: value for key, value in to_builtins(self).items() if value and key not in ("id", "what", "asks")}

    def course(self, until: float, opened: float = 0.0, beside: int = 0) -> Course:
        """What it would look like if it lived until an age, or until it leaves."""
        until = until if self.until is None else min(until, self.until)
        activity: dict[str, list[float]] = {kind: [] for kind in ACTIVITY}
        for kind in ("any", "inbound", "data-frames"):
            activity[kind].append(0.0)  # the greeting
        acts = []
        for doing in self.doings:
            size = doing.size or {"app-ping": PING_BYTES, "typing": TYPING_BYTES}.get(doing.what, MESSAGE_BYTES)
            for age in doing.ages(until):
                what = "chat" if doing.what == "message" else doing.what
                acts.append(Act(age=age, what=what, size=0 if doing.what == "protocol-ping" else size))
                for kind in _FEEDS[doing.what]:
                    activity[kind].append(age)
        data = [act.age for act in acts if act.what not in ("protocol-ping", "chat")]
        return Course(
            id=self.id,
            arm=self.id,
            opened=opened,
            until=until,
            died=False,
            activity={kind: tuple(sorted(ages)) for kind, ages in activity.items()},
            acts=tuple(sorted(acts, key=lambda act: act.age)),
            compressed=min(data, default=None) if self.compression else None,
            deflated=self.compression is not None,
            beside=beside,
        )


# The library

BRIEF = 3.0
"""Seconds for which an arm stays after its one act."""
SILENT = Treatment(id="silent", what="says nothing", asks="does it live when nobody speaks?")
ALONE = Treatment(id="alone", what="one connection alone, silent", asks="does one connection live by itself?")

SYNC_ONCE = Treatment(
    id="session-sync",
    what="one session_sync message",
    until=0.5 + BRIEF,
    doings=(Doing(what="sync", at=0.5),),
    asks="does it die of a session_sync message?",
)
TYPING_ONCE = Treatment(
    id="typing-once",
    what="one typing message, then silence",
    doings=(Doing(what="typing", at=0.5),),
    asks="does it die of a typing message?",
)


def first_ping(at: float, what: What = "app-ping", again: float | None = None) -> Treatment:
    """One ping at an age, then nothing; or the next only after so long a quiet that a dead path would show."""
    kind = "" if what == "app-ping" else "-rfc6455"
    when = "right after opening" if at == 0 else f"{at:g} s after opening"
    return Treatment(
        id=f"ping{kind}-at-{at:g}s",
        what=f"one {'application' if what == 'app-ping' else 'RFC 6455'} ping {when}, then "
        + ("silence" if again is None else f"one every {again:g} s"),
        doings=(Doing(what=what, at=at, every=again),),
        asks="how soon after the opening is a ping fatal?",
    )


def every(seconds: float, what: What, at: float | None = None) -> Treatment:
    """The same act again and again; the first not before ``at`` (a period where not given)."""
    name = {"app-ping": "ping", "protocol-ping": "ping-rfc6455", "typing": "typing", "message": "message"}[what]
    words = {
        "app-ping": "an application ping",
        "protocol-ping": "an RFC 6455 ping",
        "typing": "a typing message",
        "message": "a chat message",
    }[what]
    return Treatment(
        id=f"{name}-every-{seconds:g}s",
        what=f"{words} every {seconds:g} s",
        doings=(Doing(what=what, at=seconds if at is None else at, every=seconds),),
        politeness="chatty" if what == "message" else "read-only",
        asks="does this kind of activity keep it alive?",
    )


def control(stabilise: float, interval: float) -> Treatment:
    """The profile's own behaviour."""
    return Treatment(
        id="control",
        what=f"as the profile says: first ping after {stabilise:g} s, then every {interval:g} s",
        doings=(Doing(what="app-ping", at=stabilise, every=interval),),
        asks="does it live as a well-behaved client?",
    )


def plain(at: float = 0.5) -> Treatment:
    """Without permessage-deflate, with a message that would have been compressed."""
    return Treatment(
        id="no-compression",
        what="without permessage-deflate",
        compression=None,
        until=at + BRIEF,
        doings=(Doing(what="typing", at=at),),
        asks="does it die of compression?",
    )


def fed(seconds: float, times: int | None = None) -> Treatment:
    """Chat messages over HTTP, whose answers feed every connection on the bot; silent itself."""
    return Treatment(
        id=f"chat-every-{seconds:g}s",
        what=f"a chat message over HTTP every {seconds:g} s",
        doings=(Doing(what="message", at=0.5, every=seconds, times=times),),
        politeness="chatty",
        asks="does what comes in keep it alive?",
    )


GROWING = (2048, 8192, 32_768, 65_536, 131_072, 262_144, 524_288, 1_048_577, 2_097_153, 4_194_305)
"""Bytes: on each side of the limits that products have by default."""


def sized(size: int) -> Treatment:
    """One message of that size; intrusive."""
    return Treatment(
        id=f"message-of-{size}",
        what=f"one message of {size:,} bytes",
        doings=(Doing(what="typing", at=0.5, size=size),),
        politeness="intrusive",
        asks="which size kills?",
    )


def growing(sizes: tuple[int, ...] = GROWING, pause: float = 0.8) -> Treatment:
    """Messages of growing size; intrusive."""
    doings = tuple(Doing(what="typing", at=pause * (n + 1), size=size) for n, size in enumerate(sizes))
    return Treatment(
        id="growing-payload",
        what=f"messages of {sizes[0]:,} to {sizes[-1]:,} bytes",
        doings=doings,
        politeness="intrusive",
        asks="is there a size that kills?",
    )


def replayed(doings: tuple[Doing, ...]) -> Treatment:
    """What a recorded client did, at its times."""
    return Treatment(
        id="their-client",
        what="what the recorded client did, at its times",
        doings=doings,
        asks="does the fault follow the behaviour?",
    )


NO_TOKEN = Treatment(id="token-none", what="upgrade without a token", token="none", alters="token")
GARBAGE_TOKEN = Treatment(id="token-garbage", what="upgrade with a token that is none", token="garbage", alters="token")
NO_SUCH_PATH = Treatment(
    id="path-unknown", what="upgrade on a path that cannot exist", path="/api/ws/chatkit-no-such-path", alters="path"
)


SUBPROTOCOLS = Treatment(
    id="subprotocols",
    what="upgrade that offers subprotocols",
    # RFC 6455 section 1.9 and the IANA registry of names, and the versions that a chat's own would have.
    subprotocols=(
        *("chat", "superchat", "v1.chat", "v2.chat", "chat.v1", "chat.v2", "chat-v1", "chat-v2", "json", "v1.json"),
        *("graphql-transport-ws", "graphql-ws", "v12.stomp", "mqtt", "wamp.2.json", "xmpp", "actioncable-v1-json"),
    ),
    alters="subprotocol",
    asks="does the server want a subprotocol?",
)


def second_way(treatment: Treatment) -> Treatment:
    """The same by the second way in."""
    return replace(treatment, id=f"{treatment.id}-also", what=f"{treatment.what}, the second way in", also=True,
                   alters="way")  # fmt: skip


def other_bot(id: str) -> Treatment:
    """An upgrade on another bot, with the same token."""
    return Treatment(id="other-bot", what="upgrade on another bot", bot=id, alters="bot",
                     asks="is it this bot that is refused, or the user?")  # fmt: skip


def origin(value: str, name: str) -> Treatment:
    """An upgrade with this ``Origin``."""
    return Treatment(id=f"origin-{name}", what=f"upgrade with Origin {value}", origin=value, alters="origin")


def variants(own: str) -> tuple[Treatment, ...]:
    """Openings that are unlike the client's; ``own`` is the origin of a page that the backend itself serves."""
    foreign = "https://chatkit.invalid"
    return NO_TOKEN, GARBAGE_TOKEN, NO_SUCH_PATH, origin(own, "own"), origin(foreign, "foreign")


def first_round(stabilise: float, interval: float, period: float = 1.0) -> tuple[Treatment, ...]:
    """About eight arms at once: the control, whose first ping takes longest to come; two that talk all the time, so
    that what the bot says then is heard by sockets that are known to live, and feeds none that is to be silent."""
    return (
        control(stabilise, interval),
        every(period, "app-ping"),
        every(period, "protocol-ping"),
        SILENT,
        first_ping(0.0, again=10.0),
        first_ping(0.0, "protocol-ping", again=30.0),
        every(period, "typing"),
        plain(),
        SYNC_ONCE,
    )
