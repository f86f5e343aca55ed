"""Many clients in virtual time, each deciding by the policy, and the host that refuses them; for :mod:`.storm`."""

from __future__ import annotations

import heapq
import math
import random
from array import array

from chatkit.behaviour import Client, Kind, Signal
from chatkit.errors import InvalidInput
from chatkit.policy.limiter import Limiter
from chatkit.policy.reconnect import (
    Context,
    Decision,
    Happening,
    Loss,
    classify,
    may_leave,
    probe_delay,
    rejoin_delay,
    row_of,
)
from chatkit.policy.table import TABLE

DOWN = Loss(stage="tcp", names=("ConnectionRefusedError", "ConnectionError", "OSError"))
"""How a host refuses that is down."""
BUSY = Loss(stage="upgrade", status=503)
"""How a host refuses that is back and has accepted enough for this second."""
MOST = 2_000_000
"""Attempts and probes of one run; a policy that needs more never waits."""


class Host:
    """Refuses until it is back; then it accepts, as many per second as it can."""

    def __init__(self, back_at: float, rate: float | None) -> None:
        self.back_at, self._rate = back_at, rate
        self._room, self._at = max(1.0, rate or 0.0), back_at

    def healthy(self, now: float) -> bool:
        return now >= self.back_at

    def refusal(self, now: float) -> Loss | None:
        """Why somebody is refused who knocks now; a bucket that fills at the rate and holds a second's worth."""
        if not self.healthy(now):
            return DOWN
        if self._rate is None:
            return None
        self._room = min(max(1.0, self._rate), self._room + (now - self._at) * self._rate)
        self._at = now
        if self._room < 1:
            return BUSY
        self._room -= 1
        return None


class Member:
    """What a client remembers between two decisions; all its decisions are the policy's."""

    def __init__(self, rules: Client, chance: random.Random) -> None:
        self.rules, self._chance = rules, chance
        self._limiter = Limiter(rules.retry_floor)
        self._attempts, self._step, self._refreshed = 0, rules.retry_first, False
        self._attempted, self._suspended = 0.0, math.inf
        self._seen: dict[Kind, float] = {}
        self.probing = False

    def starts(self, now: float) -> None:
        """An attempt starts."""
        self._attempted = now
        self._limiter.started(now)

    def lost(self, loss: Loss, kind: Kind, now: float, host: Host) -> float | None:
        """When a client does something next whose connection or attempt was lost; ``None`` if it gives up."""
        up = host.healthy(now)
        before, self._seen[kind] = self._seen.get(kind), now
        repeated = None if before is None else now - before
        decision = self._decide(loss, repeated)
        if decision.action == "ask":
            decision = self._decide(loss, None, 200 if up else 0)
        if decision.action == "refresh" and not up:
            decision = self._decide(Signal.PROVIDER_UNREACHABLE, None)
        return self._does(decision, now)

    def _decide(self, what: Happening, repeated: float | None, api_status: int | None = None) -> Decision:
        context = Context(
            rules=self.rules,
            attempts=self._attempts,
            step=self._step,
            stable=True,
            repeated=repeated,
            can_refresh=True,
            refreshed=self._refreshed,
            api_status=api_status,
            draw=self._chance.random(),
        )
        return classify(what, context)

    def _does(self, decision: Decision, now: float) -> float | None:
        match decision.action:
            case "reconnect":
                self._attempts += 1
                self._step += decision.backoff
                return self._limiter.book(now, now + decision.delay)
            case "suspend":
                self.probing = True
                self._suspended = min(self._suspended, now)
                return now + decision.delay
            case "refresh":
                self._refreshed = True
                return now
        return None

    def looked(self, healthy: bool, now: float) -> float | None:
        """When a suspended client does something next that looked at the host's health."""
        if may_leave(healthy, now - self._attempted, self.rules):
            self.probing = False
            return self._limiter.book(now, now + rejoin_delay(self.rules, self._chance.random()))
        if self.rules.give_up_after is not None and now - self._suspended >= self.rules.give_up_after:
            return None
        return now + probe_delay(self.rules, self._chance.random())


class Crowd:
    """Members and their host: who does something next, does it."""

    def __init__(self, host: Host, members: list[Member]) -> None:
        self._host, self._members = host, members
        self._due: list[tuple[float, int]] = []
        self._kinds: dict[Loss, Kind] = {}
        self.attempts = array("d")
        self.each = [0] * len(members)
        self.recovery: list[float | None] = [None] * len(members)
        self.given_up = self.probes = 0

    def follow(self, lost: Loss, horizon: float) -> None:
        for n in range(len(self._members)):
            self._goes_on(n, self._lost(n, lost, 0.0))
        while self._due and self._due[0][0] <= horizon:
            if len(self.attempts) + self.probes >= MOST:
                raise InvalidInput("this policy tries without end", got=f"{MOST:,} attempts and probes", where="policy")
            now, n = heapq.heappop(self._due)
            (self._probes if self._members[n].probing else self._tries)(n, now)

    def _lost(self, n: int, loss: Loss, now: float) -> float | None:
        client = self._members[n]
        if loss not in self._kinds:
            self._kinds[loss] = row_of(loss, (*client.rules.rows, *TABLE)).kind
        return client.lost(loss, self._kinds[loss], now, self._host)

    def _tries(self, n: int, now: float) -> None:
        self._members[n].starts(now)
        self.attempts.append(now)
        self.each[n] += 1
        refusal = self._host.refusal(now)
        if refusal is None:
            self.recovery[n] = now - self._host.back_at
        else:
            self._goes_on(n, self._lost(n, refusal, now))

    def _probes(self, n: int, now: float) -> None:
        self.probes += 1
        self._goes_on(n, self._members[n].looked(self._host.healthy(now), now))

    def _goes_on(self, n: int, due: float | None) -> None:
        if due is None:
            self.given_up += 1
        else:
            heapq.heappush(self._due, (due, n))
