"""The rules of the faults of a life that began well; a rule is total, as in ``rules``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from chatkit.faults.memory import Answer, Chance, Memory, Rule, closing, ending, once
from chatkit.faults.moments import (
    Abort,
    CloseWith,
    Crash,
    Crossing,
    Drop,
    Evict,
    Hold,
    Inject,
    Joined,
    Left,
    Malform,
    Moment,
    Opened,
    Received,
    Refuse,
    Restart,
    Saying,
    Sending,
    Sent,
    Started,
    Wake,
    Woke,
)
from chatkit.faults.parse import Fault

_MALFORMED = {
    "opcode": Malform(what="opcode"),
    "rsv": Malform(what="rsv"),
    "fragment": Malform(what="fragment"),
}


def message_rate(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Answers to the server's own pings are not the client's choice and do not count."""
    match moment:
        case Received(kind="data" | "app-ping" | "protocol-ping") if not memory.done:
            passed = tuple(at for at in memory.times if now - at < fault.seconds("window"))
            if len(passed) < fault.whole("limit"):
                return replace(memory, times=(*passed, now)), ()
            close = closing(fault, "too many messages")
            return replace(memory, times=(), done=True), (Drop(), close)
    return memory, ()


def policy_violation(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """By age, by a message, or by what comes first."""
    close = CloseWith(code=fault.whole("code"), reason=fault.word("reason").replace("_", " "))
    match moment:
        case Opened():
            after = fault.seconds("after")
            return replace(memory, opened=now), (Wake(after=after),) if after else ()
        case Woke() if memory.opened is not None and not memory.done:
            return replace(memory, done=True), (close,)
        case Received(type=str() as kind) if kind == fault.word("on") and not memory.done:
            return replace(memory, done=True), (Drop(), close)
    return memory, ()


def protocol_error(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Once per connection."""
    return once(fault, memory, moment, now, _MALFORMED[fault.word("what")])


def invalid_utf8(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Once per connection."""
    return once(fault, memory, moment, now, Malform(what="utf8"))


def message_too_big(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """The message itself has no effect."""
    match moment:
        case Received(size=size) if size > fault.whole("limit") and not memory.done:
            return replace(memory, done=True), (Drop(), ending(fault, "message too big", 1009))
    return memory, ()


def slow_consumer(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Once; a close frame stands behind everything that waits."""
    match moment:
        case Sent(buffered=buffered) if buffered > fault.whole("limit") and not memory.done:
            return replace(memory, done=True), (ending(fault, "client reads too slowly"),)
    return memory, ()


def server_restart(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Once per start of the lab, or periodically."""
    return _periodically(fault, memory, moment, (Restart(code=fault.whole("code"), gap=fault.seconds("gap")),))


def worker_timeout(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """A connection stays with the worker that accepted it; the workers are killed in turn."""
    match moment:
        case Joined(connection=connection):
            worker = str(_worker(fault, chance, connection))
            return replace(memory, present=(*memory.present, (connection, worker))), ()
        case Left(connection=connection):
            return replace(memory, present=tuple(one for one in memory.present if one[0] != connection)), ()
        case Woke() if not memory.done:
            killed = str(memory.draws % fault.whole("workers"))
            end = Abort(how="rst" if fault.word("how") == "rst" else "fin")
            evicted = tuple(Evict(connection=one, end=end) for one, worker in memory.present if worker == killed)
            return _periodically(fault, replace(memory, draws=memory.draws + 1), moment, evicted)
    return _periodically(fault, memory, moment, ())


def crash_on_text(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Over and over; the message is not taken."""
    match moment:
        case Saying(text=text) if fault.word("text") in text:
            return memory, (Refuse(status=500), Crash(gap=fault.seconds("gap")))
    return memory, ()


def multi_worker_split(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """A TCP connection, of a socket or kept alive for HTTP, stays with the worker that accepted it."""
    match moment:
        case Crossing(source=source, target=target):
            same = _worker(fault, chance, source) == _worker(fault, chance, target)
            return memory, () if same else (Drop(),)
    return memory, ()


def wrong_contract(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Once per connection."""
    inject = Inject(what="unknown-type" if fault.word("what") == "type" else "missing-field")
    return once(fault, memory, moment, now, inject)


def out_of_order(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """The one that is held goes out behind the next."""
    hold = Hold(seconds=fault.seconds("wait"))
    match moment:
        case Sending(type="chat_response_chunk", seq=seq) if fault.word("what") == "chunks":
            return memory, (hold,) if seq == fault.whole("seq") else ()
        case Sending(type="chat_response") if fault.word("what") == "replies":
            return replace(memory, draws=memory.draws + 1), () if memory.draws % 2 else (hold,)
    return memory, ()


def _periodically(
    fault: Fault, memory: Memory, moment: Moment, deeds: tuple[Restart, ...] | tuple[Evict, ...]
) -> Answer:
    period = fault.seconds("period")
    match moment:
        case Started() if not memory.done:
            return memory, (Wake(after=fault.seconds("after")),)
        case Woke() if not memory.done:
            return replace(memory, done=not period), (*deeds, *((Wake(after=period),) if period else ()))
    return memory, ()


def _worker(fault: Fault, chance: Chance, connection: int) -> int:
    return int(chance(connection) * fault.whole("workers"))


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "message-rate": message_rate,
        "policy-violation": policy_violation,
        "protocol-error": protocol_error,
        "invalid-utf8": invalid_utf8,
        "message-too-big": message_too_big,
        "slow-consumer": slow_consumer,
        "server-restart": server_restart,
        "worker-timeout": worker_timeout,
        "crash-on-text": crash_on_text,
        "multi-worker-split": multi_worker_split,
        "wrong-contract": wrong_contract,
        "out-of-order": out_of_order,
    }
)
"""The rule of every entry of ``life_kinds``."""
