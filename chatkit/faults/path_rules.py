"""The rules of the faults of the path; as those of ``rules``, each is total and answers only to its own moments."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import cast

from chatkit.faults.memory import Answer, Chance, Memory, Rule
from chatkit.faults.moments import (
    Abort,
    Action,
    BlackHole,
    CloseWith,
    Delay,
    Drop,
    Duplicate,
    Hold,
    How,
    Moment,
    Opened,
    Refuse,
    Started,
    Wake,
    Woke,
)
from chatkit.faults.parse import Fault
from chatkit.faults.path_moments import Answered, Flowed, Linked, Lose, Mangle, Passing, Requested, Rewrite

_TICK = 1e-3
"""Timers fire up to a clock tick early: without slack a wake-up would follow for microseconds."""
_PONGS = {"pong": ("protocol-pong",), "ping": ("protocol-ping",), "both": ("protocol-pong", "protocol-ping")}


def upgrade_stripped(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Every upgrade."""
    return memory, (Rewrite(what="no-upgrade"),) if _upgrades(moment) else ()


def upstream_unavailable(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Every request of the kind."""
    if isinstance(moment, Requested) and fault.word("what") in ("all", moment.what):
        return memory, (Refuse(status=fault.whole("status")),)
    return memory, ()


def connection_limit(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """The upgrade's own WebSocket is not open yet."""
    match moment:
        case Requested(what="upgrade", open=count) if count >= fault.whole("limit"):
            return memory, (Refuse(status=fault.whole("status")),)
    return memory, ()


def handshake_invalid(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Every 101."""
    if not isinstance(moment, Answered):
        return memory, ()
    return memory, (Rewrite(what="accept" if fault.word("header") == "accept" else "extension"),)


def of_the_listener(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """TLS and the scheme are settled before anybody connects."""
    return memory, ()


def network_reset(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """One exponential time for each connection (inverse of its distribution function)."""
    match moment:
        case Opened():
            after = -math.log1p(-chance(0)) / fault.seconds("hazard")
            return replace(memory, opened=now), (Wake(after=after),)
        case Woke() if memory.opened is not None and not memory.done:
            return replace(memory, done=True), (Abort(how="rst"),)
    return memory, ()


def max_lifetime(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Age alone decides."""
    match moment:
        case Opened():
            return replace(memory, opened=now), (Wake(after=fault.seconds("age")),)
        case Woke() if memory.opened is not None and not memory.done:
            return replace(memory, done=True), (Abort(how=_how(fault)),)
    return memory, ()


def idle_timeout(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Bytes count, not messages."""
    return _idle(memory, moment, now, fault.seconds("timeout"), fault.word("counts"), Abort(how=_how(fault)))


def nat_timeout(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """A mapping that is gone does not come back."""
    return _idle(memory, moment, now, fault.seconds("timeout"), "any", BlackHole(seconds=0.0))


def peer_unreachable(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Once per start of the hop, or once per connection."""
    begins = Started if fault.word("scope") == "all" else Opened
    if isinstance(moment, begins):
        return replace(memory, opened=now), (Wake(after=fault.seconds("after")),)
    if isinstance(moment, Woke) and memory.opened is not None and not memory.done:
        return replace(memory, done=True), (BlackHole(seconds=fault.seconds("duration")),)
    return memory, ()


def pongs_muted(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Every one of the kind."""
    match moment:
        case Passing(kind=kind) if kind in _PONGS[fault.word("kind")] and _goes(fault, moment):
            return memory, (Drop(),)
    return memory, ()


def app_pongs_muted(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Every one."""
    match moment:
        case Passing(direction="inbound", type="pong"):
            return memory, (Drop(),)
    return memory, _independent(moment)


def compression_broken(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """At the handshake, or at the first compressed message."""
    way, how = fault.word("direction"), fault.word("how")
    match moment:
        case Requested(what="upgrade") if (way, how) == ("outbound", "header"):
            return memory, (Rewrite(what="uncompressed"),)
        case Answered() if how == "header":
            return memory, (Rewrite(what="claim-deflate" if way == "outbound" else "lose-deflate"),)
        case Passing(compressed=True, whole=True) if how != "header" and moment.direction == way and not memory.done:
            return replace(memory, done=True), (Mangle(how="rsv1" if how == "rsv1" else "deflate"),)
    return memory, ()


def frame_drop(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Each message is one draw."""
    return _by_share(fault, memory, moment, chance, Drop())


def frame_delay(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Each message is one draw; the order stays, so compression need not mind."""
    if not isinstance(moment, Passing):
        return memory, ()
    return _by_share(fault, memory, moment, chance, Delay(seconds=fault.seconds("delay")))


def frame_duplicate(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Each message is one draw."""
    return _by_share(fault, memory, moment, chance, Duplicate())


def frame_reorder(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Each message is one draw."""
    return _by_share(fault, memory, moment, chance, Hold(seconds=fault.seconds("wait")))


def frame_corrupt(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Compressed data would break in another way."""
    if _upgrades(moment):
        return memory, (Rewrite(what="uncompressed"),)
    if not isinstance(moment, Passing):
        return memory, ()
    return _by_share(fault, memory, moment, chance, Mangle(how="utf8"))


def frame_malformed(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Each message is one draw."""
    if not isinstance(moment, Passing):
        return memory, ()
    return _by_share(fault, memory, moment, chance, Mangle(how="reserved-bit"))


def close_eaten(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """The first one of the direction."""
    match moment:
        case Passing(kind="close") if _goes(fault, moment):
            return memory, (Drop(), Abort(how="fin"))
    return memory, ()


def close_injected(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Once per connection."""
    by_age = fault.word("on") == "age"
    close = CloseWith(code=fault.whole("code"), reason=fault.word("reason"))
    match moment:
        case Opened():
            return replace(memory, opened=now), (Wake(after=fault.seconds("after")),) if by_age else ()
        case Woke() if memory.opened is not None and not memory.done:
            return replace(memory, done=True), (close,)
        case Passing(type=str() as type) if not by_age and type == fault.word("on") and not memory.done:
            return replace(memory, done=True), (close,)
    return memory, ()


def message_too_big(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """The message does not go on."""
    match moment:
        case Passing(kind="data" | "app-ping", size=size) if size > fault.whole("limit") and _goes(fault, moment):
            if fault.word("how") == "close":
                return memory, (Drop(), CloseWith(code=1009, reason="message too big"))
            return memory, (Drop(), Abort(how="rst"))
    return memory, ()


def packet_loss(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """The kernel draws, packet by packet: it is the one fault that no seed decides."""
    match fault.word("direction"):
        case "both" | "outbound" | "inbound" as direction if isinstance(moment, Linked):
            return memory, (Lose(share=fault.seconds("share"), direction=direction),)
    return memory, ()


def throttle(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """A line with a queue: bytes wait until those before them are through."""
    if not isinstance(moment, Flowed):
        return memory, ()
    outbound, inbound = memory.times or (0.0, 0.0)
    if moment.direction == "outbound":
        through = outbound = max(now, outbound) + moment.size / fault.whole("rate")
    else:
        through = inbound = max(now, inbound) + moment.size / fault.whole("rate")
    return replace(memory, times=(outbound, inbound)), (Delay(seconds=through - now),)


def latency(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Each piece of bytes is one draw; TCP keeps the order."""
    if not isinstance(moment, Flowed):
        return memory, ()
    seconds = fault.seconds("delay") + fault.seconds("jitter") * chance(memory.draws)
    return replace(memory, draws=memory.draws + 1), (Delay(seconds=seconds),)


def _idle(memory: Memory, moment: Moment, now: float, timeout: float, counts: str, end: Action) -> Answer:
    match moment:
        case Opened():
            return replace(memory, opened=now, active=now), (Wake(after=timeout),)
        case Flowed(direction=direction) if memory.opened is not None and counts in ("any", direction):
            return replace(memory, active=now), ()
        case Woke() if memory.active is not None and not memory.done:
            left = memory.active + timeout - now
            if left > _TICK:
                return memory, (Wake(after=left),)
            return replace(memory, done=True), (end,)
    return memory, ()


def _by_share(fault: Fault, memory: Memory, moment: Moment, chance: Chance, action: Action) -> Answer:
    match moment:
        case Passing(kind="data" | "app-ping", whole=True) if _goes(fault, moment):
            struck = chance(memory.draws) < fault.seconds("share")
            return replace(memory, draws=memory.draws + 1), (action,) if struck else ()
    return memory, _independent(moment)


def _independent(moment: Moment) -> tuple[Action, ...]:
    return (Rewrite(what="independent"),) if _upgrades(moment) or isinstance(moment, Answered) else ()


def _upgrades(moment: Moment) -> bool:
    return isinstance(moment, Requested) and moment.what == "upgrade"


def _goes(fault: Fault, moment: Passing) -> bool:
    return fault.word("direction") in ("both", moment.direction)


def _how(fault: Fault) -> How:
    return cast("How", fault.word("how"))


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "upgrade-stripped": upgrade_stripped,
        "upstream-unavailable": upstream_unavailable,
        "proxy-connection-limit": connection_limit,
        "proxy-handshake-invalid": handshake_invalid,
        "tls-failure": of_the_listener,
        "scheme-mismatch": of_the_listener,
        "network-reset": network_reset,
        "proxy-max-lifetime": max_lifetime,
        "proxy-idle-timeout": idle_timeout,
        "nat-timeout": nat_timeout,
        "peer-unreachable": peer_unreachable,
        "pongs-muted": pongs_muted,
        "app-pongs-muted": app_pongs_muted,
        "compression-broken": compression_broken,
        "frame-drop": frame_drop,
        "frame-delay": frame_delay,
        "frame-duplicate": frame_duplicate,
        "frame-reorder": frame_reorder,
        "frame-corrupt": frame_corrupt,
        "frame-malformed": frame_malformed,
        "close-eaten": close_eaten,
        "close-injected": close_injected,
        "proxy-message-too-big": message_too_big,
        "packet-loss": packet_loss,
        "throttle": throttle,
        "latency": latency,
    }
)
"""The rule of every id of the path."""
