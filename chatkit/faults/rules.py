"""One rule for each fault: (fault, memory, moment, now, chance) → (memory, actions).

A rule is total: it accepts every moment in every memory and answers with nothing when the moment is not
its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from chatkit.faults import door_rules, life_rules, path_rules
from chatkit.faults.memory import Answer, Chance, Memory, Rule, closing, ending, once
from chatkit.faults.moments import (
    Abort,
    Asked,
    BlackHole,
    Crash,
    Delay,
    Drop,
    Duplicate,
    How,
    Inject,
    Moment,
    Opened,
    Received,
    Refuse,
    Replying,
    Saying,
    Sending,
    Sent,
    Stall,
    Started,
    Wake,
    Woke,
)
from chatkit.faults.parse import Fault


def early_ping_abort(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Any ping inside the window is fatal, once."""
    match moment:
        case Opened():
            return replace(memory, opened=now), ()
        case Received(kind="app-ping" | "protocol-ping" as kind) if _within(memory, now, fault.seconds("window")):
            if fault.word("ping") not in ("both", kind.removesuffix("-ping")):
                return memory, ()
            abort = Abort(how=_how(fault), after=fault.seconds("delay"))
            return replace(memory, done=True), (abort,)
    return memory, ()


def idle_timeout(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """One pending wake-up; activity only moves the mark that the wake-up looks at."""
    timeout = fault.seconds("timeout")
    match moment:
        case Opened():
            return replace(memory, opened=now, active=now), (Wake(after=timeout),)
        case Received() | Sent() if memory.opened is not None and counts(fault.word("counts"), moment):
            return replace(memory, active=now), ()
        case Woke() if memory.active is not None and not memory.done:
            # Timers fire up to a clock tick early: without slack a wake-up would follow for microseconds.
            left = memory.active + timeout - now
            if left > 1e-3:
                return memory, (Wake(after=left),)
            return replace(memory, done=True), (ending(fault, "idle timeout"),)
    return memory, ()


def max_lifetime(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Age alone decides."""
    match moment:
        case Opened():
            return replace(memory, opened=now), (Wake(after=fault.seconds("age")),)
        case Woke() if memory.opened is not None and not memory.done:
            return replace(memory, done=True), (ending(fault, "maximum age"),)
    return memory, ()


def server_crash(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Once per start of the server."""
    match moment:
        case Started() if not memory.done:
            return memory, (Wake(after=fault.seconds("after")),)
        case Woke() if not memory.done:
            return replace(memory, done=True), (Crash(gap=fault.seconds("gap")),)
    return memory, ()


def auth_rejected(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """The API refuses the token as well; that is what tells this cause from a missing permission."""
    match moment:
        case Asked(what="api"):
            return memory, (Refuse(status=401),)
        case Asked(what="upgrade") if fault.word("when") == "before":
            return memory, (Refuse(status=int(fault.word("status"))),)
        case Asked(what="upgrade"):
            return memory, (closing(fault, "token rejected"),)
    return memory, ()


def token_expired(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """A token whose expiry is unknown is taken to be as old as the connection."""
    match moment:
        case Opened(expires_in=expires_in):
            after = fault.seconds("after") if expires_in is None else max(0.0, expires_in)
            return replace(memory, opened=now), (Wake(after=after),)
        case Woke() if memory.opened is not None and not memory.done:
            return replace(memory, done=True), (ending(fault, "token expired"),)
    return memory, ()


def no_established_message(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Only the greeting is missing."""
    return memory, (Drop(),) if moment == Sending(type="connection_established") else ()


def slow_reply(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """The bot starts late."""
    return memory, (Delay(seconds=fault.seconds("delay")),) if isinstance(moment, Replying) else ()


def duplicate_delivery(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """The final reply only: chunks stay single."""
    return memory, (Duplicate(),) if _sends(moment, "chat_response") else ()


def stuck_typing(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """The end of typing is never told."""
    match moment:
        case Sending(type="typing_indicator", is_typing=False):
            return memory, (Drop(),)
    return memory, ()


def lost_reply(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Each reply is one draw."""
    if not _sends(moment, "chat_response"):
        return memory, ()
    lost = chance(memory.draws) < fault.seconds("share")
    return replace(memory, draws=memory.draws + 1), (Drop(),) if lost else ()


def invalid_json(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Once per connection."""
    return once(fault, memory, moment, now, Inject(what="invalid-json"))


def big_frame(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Once per connection."""
    return once(fault, memory, moment, now, Inject(what="big-frame", size=fault.whole("size")))


def health_down(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Everything else keeps working."""
    return memory, (Refuse(status=503),) if moment == Asked(what="health") else ()


def server_error(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """The message is swallowed: a handler that fails has no other effect."""
    match moment:
        case Received(type=str() as kind) if kind == fault.word("on") and not memory.done:
            return replace(memory, done=True), (Drop(), ending(fault, "internal error"))
    return memory, ()


def no_pong(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """The ping is seen by other faults and answered by nobody."""
    match moment:
        case Received(kind="app-ping"):
            return memory, (Drop(),)
        case Received(kind="protocol-ping") if fault.word("kind") == "both":
            return memory, (Drop(),)
    return memory, ()


def chunk_gap(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """The same number is left out of every reply."""
    return memory, (Drop(),) if _sends(moment, "chat_response_chunk", fault.whole("seq")) else ()


def black_hole(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Once per connection; healing is the business of who holds the socket."""
    return once(fault, memory, moment, now, BlackHole(seconds=fault.seconds("duration")))


def stall(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Once per start of the server, or periodically; the clock stands still with it."""
    period = fault.seconds("period")
    match moment:
        case Started() if not memory.done:
            return memory, (Wake(after=fault.seconds("after")),)
        case Woke() if not memory.done and period:
            return memory, (Stall(seconds=fault.seconds("duration")), Wake(after=period))
        case Woke() if not memory.done:
            return replace(memory, done=True), (Stall(seconds=fault.seconds("duration")),)
    return memory, ()


def accept_then_close(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """After the first message, which is connection_established; one draw per connection."""
    match moment:
        case Opened():
            return replace(memory, opened=now), ()
        case Sent(kind="data") if memory.opened is not None and not memory.done:
            struck = chance(0) < fault.seconds("share")
            close = closing(fault, "internal error")
            return replace(memory, done=True), (close,) if struck else ()
    return memory, ()


def error_on_text(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Both answers at once: HTTP has use for the status only, a socket for the close."""
    match moment:
        case Saying(text=text) if fault.word("text") in text:
            return memory, (Refuse(status=500), closing(fault, "internal error"))
    return memory, ()


def overload(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Each upgrade is one draw."""
    if not isinstance(moment, Asked) or moment.what != "upgrade":
        return memory, ()
    refuse = Refuse(status=fault.whole("status"), retry_after=fault.seconds("retry_after"))
    struck = chance(memory.draws) < fault.seconds("share")
    return replace(memory, draws=memory.draws + 1), (refuse,) if struck else ()


def counts(what: str, moment: Received | Sent) -> bool:
    """Whether this frame is activity, seen from the client: ``inbound`` is what the server sends."""
    match what:
        case "inbound":
            return isinstance(moment, Sent)
        case "outbound":
            return isinstance(moment, Received)
        case "data-frames":
            return moment.kind in ("data", "app-ping")
        case "app-ping" | "protocol-ping":
            return moment.kind == what
    return True


def _within(memory: Memory, now: float, window: float) -> bool:
    return not memory.done and memory.opened is not None and now - memory.opened < window


def _sends(moment: Moment, type: str, seq: int | None = None) -> bool:
    return isinstance(moment, Sending) and moment.type == type and (seq is None or moment.seq == seq)


def _how(fault: Fault) -> How:
    return "rst" if fault.word("how") == "rst" else "fin"


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "early-ping-abort": early_ping_abort,
        "idle-timeout": idle_timeout,
        "max-lifetime": max_lifetime,
        "server-crash": server_crash,
        "auth-rejected": auth_rejected,
        "token-expired": token_expired,
        "no-established-message": no_established_message,
        "slow-reply": slow_reply,
        "duplicate-delivery": duplicate_delivery,
        "stuck-typing": stuck_typing,
        "lost-reply": lost_reply,
        "invalid-json": invalid_json,
        "big-frame": big_frame,
        "health-down": health_down,
        "server-error": server_error,
        "no-pong": no_pong,
        "chunk-gap": chunk_gap,
        "black-hole": black_hole,
        "stall": stall,
        "accept-then-close": accept_then_close,
        "error-on-text": error_on_text,
        "overload": overload,
        **door_rules.RULES,
        **life_rules.RULES,
        **path_rules.RULES,
    }
)
"""The rule of every id of the catalogue."""
