"""Incidents of the path: the hop in front of the lab with a fault of its own, or with noise that is none."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from tests.incidents import stacks
from tests.incidents.incident import NONE, Between, Expected, Incident, Near, among, drawn

PROXY, NETWORK, EITHER = ("proxy",), ("network",), ("proxy", "server")
"""Who acts; a client with one way in often cannot tell a proxy from the server behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A hop with one fault."""

    name: str
    fault: str
    label: str
    who: tuple[str, ...] = PROXY
    expected: dict[str, Expected] = field(default_factory=dict)
    minimum_s: float = 0.0
    options: tuple[str, ...] = ()
    also: bool = False


def hop_incidents(seed: int) -> Iterator[Incident]:
    """All of one seed."""
    for case in cases(drawn("hop", seed)):
        yield Incident(
            id=f"hop/{case.name}",
            stack="hop",
            seed=seed,
            label=case.label,
            who=case.who,
            start=partial(stacks.lab, case.fault, seed=seed),
            expected=case.expected,
            minimum_s=case.minimum_s,
            options=case.options,
            also=case.also,
        )


def cases(chance: random.Random) -> Iterator[Case]:
    """Every fault of the path that is a cause, and every one that is none."""
    yield from at_the_door(chance)
    yield from timers(chance)
    yield from frames(chance)
    loss = f"packet-loss:share={chance.choice([0.005, 0.01, 0.02])}"
    delay = round(chance.uniform(0.05, 0.25), 2)
    latency = f"latency:delay={delay},jitter={delay / 2:.3f}"
    for name, fault in (("loss", loss), ("latency", latency), ("throttle", "throttle:rate=50000")):
        yield Case(name=f"healthy-{name}", fault=fault, label=NONE, who=())


def at_the_door(chance: random.Random) -> Iterator[Case]:
    """The upgrade does not come about."""
    yield Case(name="stripped", fault="upgrade-stripped", label="upgrade-stripped", also=True)
    for what in ("all", "upgrade"):
        status = chance.choice([502, 503, 504])
        fault = f"upstream-unavailable:status={status},what={what}"
        expected: dict[str, Expected] = {"status": among(status)}
        yield Case(name=f"upstream-{what}", fault=fault, label="upstream-unavailable", expected=expected)
    limit = chance.randint(2, 5)
    most: dict[str, Expected] = {"limit_connections": among(limit)}
    fault = f"proxy-connection-limit:limit={limit},status={chance.choice([503, 429])}"
    yield Case(name="limit", fault=fault, label="connection-limit", who=EITHER, expected=most)
    for header in ("accept", "extension"):
        fault = f"proxy-handshake-invalid:header={header}"
        yield Case(name=f"bad-{header}", fault=fault, label="handshake-invalid", who=EITHER)
    for reason in ("expired", "wrong-name", "self-signed", "unknown-ca"):
        yield Case(name=f"tls-{reason}", fault=f"tls-failure:reason={reason}", label="tls-failure", who=EITHER)
    for expects in ("https", "http"):
        fault = f"scheme-mismatch:expects={expects}"
        yield Case(name=f"expects-{expects}", fault=fault, label="scheme-mismatch", who=("client",))


def timers(chance: random.Random) -> Iterator[Case]:
    """Ended, or dead, after a time."""
    for counts in ("any", "inbound", "outbound"):
        idle = round(chance.uniform(3, 6), 1)
        fault = f"proxy-idle-timeout:timeout={idle},counts={counts},how={chance.choice(['fin', 'rst'])}"
        timer: dict[str, Expected] = {"timeout_s": Near(idle), "counts": among(counts)}
        only = counts == "any"
        who = PROXY if only else EITHER
        yield Case(
            name=f"idle-{counts}", fault=fault, label="idle-timeout", who=who, expected=timer, minimum_s=idle, also=only
        )
    age = round(chance.uniform(4, 9), 1)
    fault = f"proxy-max-lifetime:age={age},how={chance.choice(['fin', 'rst'])}"
    expected: dict[str, Expected] = {"age_s": Near(age)}
    yield Case(name="age", fault=fault, label="max-lifetime", expected=expected, minimum_s=age, also=True)
    idle = round(chance.uniform(3, 6), 1)
    nat: dict[str, Expected] = {"timeout_s": Near(idle)}
    yield Case(
        name="nat", fault=f"nat-timeout:timeout={idle}", label="nat-timeout", who=NETWORK, expected=nat, minimum_s=idle
    )
    after = round(chance.uniform(8, 11), 1)
    fault = f"peer-unreachable:after={after}"
    yield Case(name="unreachable", fault=fault, label="peer-unreachable", who=NETWORK, minimum_s=after)
    hazard = round(chance.uniform(0.15, 0.4), 2)
    resets: dict[str, Expected] = {"hazard_per_s": Between(hazard / 2, hazard * 2)}
    fault = f"network-reset:hazard={hazard}"
    yield Case(
        name="resets",
        fault=fault,
        label="network-reset",
        who=("network", "proxy"),
        expected=resets,
        minimum_s=3 / hazard,
    )
    yield Case(
        name="app-pongs-muted",
        fault="app-pongs-muted",
        label="keepalive-timeout",
        who=("client", "server"),
        minimum_s=5.0,
    )


def frames(chance: random.Random) -> Iterator[Case]:
    """Ended by, or at, what is on the wire."""
    for how in ("corrupt", "rsv1", "header"):
        direction = chance.choice(["inbound", "outbound"])
        fault = f"compression-broken:how={how},direction={direction}"
        yield Case(name=f"compression-{how}", fault=fault, label="compression-broken", who=EITHER)
    yield Case(name="twice", fault="frame-duplicate", label="duplicate-delivery", who=("client", "server"))
    yield Case(name="corrupt", fault="frame-corrupt", label="invalid-utf8", who=("server", "client"))
    yield Case(name="malformed", fault="frame-malformed", label="protocol-error", who=("server", "client", "proxy"))
    after, code = round(chance.uniform(1, 3), 1), chance.choice([1008, 4100])
    fault = f"close-injected:code={code},after={after}"
    closed: dict[str, Expected] = {"code": among(code)}
    yield Case(name="closed", fault=fault, label="policy-violation", who=("server",), expected=closed, minimum_s=after)
    most = chance.choice([1024, 8192, 65_536])
    size: dict[str, Expected] = {"limit_bytes": Near(most)}
    fault = f"proxy-message-too-big:limit={most},how={chance.choice(['rst', 'close'])},direction=outbound"
    yield Case(
        name="too-big", fault=fault, label="message-too-big", who=EITHER, expected=size, options=("--intrusive",)
    )
