"""The rules of the faults at the door; a rule is total, as in ``rules``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from urllib.parse import urlsplit

from chatkit.faults.memory import Answer, Chance, Memory, Rule, closing, ending
from chatkit.faults.moments import (
    Asked,
    CloseWith,
    Delay,
    Evict,
    Joined,
    Knocked,
    Left,
    Moment,
    Refuse,
    Saying,
    Select,
    Spoil,
)
from chatkit.faults.parse import Fault

_SPOILT = {
    "accept": Spoil(header="accept"),
    "upgrade": Spoil(header="upgrade"),
    "extension": Spoil(header="extension"),
}


def replaced_by_new_session(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """The older connection goes, whether or not it was used."""
    match moment:
        case Joined():
            key = _scope(fault.word("scope"), moment)
            older = [number for number, other in memory.present if other == key and number != moment.connection]
            stay = tuple(one for one in memory.present if one[1] != key)
            end = ending(fault, "replaced by a new session")
            evicted = tuple(Evict(connection=number, end=end) for number in older)
            return replace(memory, present=(*stay, (moment.connection, key))), evicted
        case Left(connection=connection):
            return _without(memory, connection), ()
    return memory, ()


def connection_limit(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """A place is taken at the knock: two that knock together do not both get the last one."""
    match moment:
        case Knocked(connection=connection, user=user):
            key = (user or "") if fault.word("scope") == "user" else ""
            if sum(other == key for _, other in memory.present) >= fault.whole("limit"):
                return memory, (_turn_away(fault, closing(fault, "too many connections")),)
            return replace(memory, present=(*memory.present, (connection, key))), ()
        case Left(connection=connection):
            return _without(memory, connection), ()
    return memory, ()


def upgrade_rate(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """What is refused does not count, so that patience helps."""
    if not isinstance(moment, Knocked):
        return memory, ()
    window = fault.seconds("window")
    passed = tuple(at for at in memory.times if now - at < window)
    if len(passed) < fault.whole("limit"):
        return replace(memory, times=(*passed, now)), ()
    # RFC 9110, section 10.2.3: whole seconds.
    wait = math.ceil(max(0.0, passed[0] + window - now))
    return replace(memory, times=passed), (Refuse(status=int(fault.word("status")), retry_after=wait),)


def bot_access_denied(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """The API's answer to the token itself stays good: that tells it from a rejected token."""
    match moment:
        case Asked(what="bot", bot=bot) if bot == fault.word("bot"):
            return memory, (Refuse(status=int(fault.word("api"))),)
        case Asked(what="upgrade", bot=bot) if bot == fault.word("bot"):
            if fault.word("when") == "before":
                return memory, (Refuse(status=403),)
            return memory, (closing(fault, "bot unknown or not permitted", 4003),)
    return memory, ()


def origin_rejected(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """An origin is foreign when its host is not the one that the request is for."""
    match moment:
        case Asked(what="upgrade", origin=origin, host=host):
            found = "missing" if origin is None else "own" if _host(origin) == host.lower() else "foreign"
            if found == fault.word("refuse") or (found != "own" and fault.word("refuse") == "both"):
                return memory, (Refuse(status=int(fault.word("status"))),)
    return memory, ()


def not_found(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Whoever asks, with whatever token."""
    return memory, (Refuse(status=int(fault.word("status"))),) if _is_upgrade(moment) else ()


def subprotocol_mismatch(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Who offers the right one is served."""
    protocol = fault.word("protocol")
    match moment:
        case Asked(what="upgrade", protocols=offered):
            good = protocol in offered or fault.word("how") == "other"
            return memory, (Select(protocol=protocol) if good else Refuse(status=400),)
    return memory, ()


def redirected(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Who asks for the path with the slash is served."""
    match moment:
        case Asked(what="upgrade", path=path, host=host) if not (fault.word("to") == "slash" and path.endswith("/")):
            places = {"slash": f"{path}/", "https": f"https://{host}{path}", "login": "/login"}
            return memory, (Refuse(status=int(fault.word("status")), location=places[fault.word("to")]),)
    return memory, ()


def clock_skew(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """No moment is its own: who reads a clock asks the plan's ``skew``."""
    return memory, ()


def handshake_timeout(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Late, and then as usual."""
    return memory, (Delay(seconds=fault.seconds("delay")),) if _is_upgrade(moment) else ()


def handshake_invalid(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """The server believes that the connection is open."""
    return memory, (_SPOILT[fault.word("header")],) if _is_upgrade(moment) else ()


def service_down(fault: Fault, memory: Memory, moment: Moment, now: float, chance: Chance) -> Answer:
    """Health is never asked about."""
    what, refuse = fault.word("what"), Refuse(status=int(fault.word("status")))
    failed = (_is_upgrade(moment) and what != "chat") or (isinstance(moment, Saying) and what != "upgrade")
    return memory, (refuse,) if failed else ()


def _is_upgrade(moment: Moment) -> bool:
    return isinstance(moment, Asked) and moment.what == "upgrade"


def _scope(scope: str, joined: Joined) -> str:
    match scope:
        case "bot":
            return f"{joined.bot} {joined.user}"
        case "token":
            return joined.token
    return joined.user


def _without(memory: Memory, connection: int) -> Memory:
    return replace(memory, present=tuple(one for one in memory.present if one[0] != connection))


def _turn_away(fault: Fault, close: CloseWith) -> Refuse | CloseWith:
    return Refuse(status=int(fault.word("status"))) if fault.word("when") == "before" else close


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "replaced-by-new-session": replaced_by_new_session,
        "connection-limit": connection_limit,
        "upgrade-rate": upgrade_rate,
        "bot-access-denied": bot_access_denied,
        "origin-rejected": origin_rejected,
        "not-found": not_found,
        "subprotocol-mismatch": subprotocol_mismatch,
        "redirected": redirected,
        "clock-skew": clock_skew,
        "handshake-timeout": handshake_timeout,
        "handshake-invalid": handshake_invalid,
        "service-down": service_down,
    }
)
"""The rule of every entry of ``door_kinds``."""
