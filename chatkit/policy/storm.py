"""What a policy does to a host that comes back: many clients lose their connection at once, in virtual time; pure.

Each client decides with :func:`chatkit.policy.reconnect.classify`, as the real one does: the figures are those of the
policy, not of a model of it.
"""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from chatkit import display
from chatkit.behaviour import Client, Signal
from chatkit.errors import InvalidInput
from chatkit.policy.crowd import Crowd, Host, Member
from chatkit.policy.presets import preset
from chatkit.policy.reconnect import Context, Happening, classify, loss_of

PATIENCE = 3_600.0
"""Seconds after the outage for which clients are followed, where nobody says for how long."""


class Storm(Struct, frozen=True, kw_only=True):
    """What became of the clients; times in seconds, the connections were lost at 0."""

    policy: str
    """Name of the preset, ``own`` for values of one's own."""
    outage_s: float
    clients: int
    seed: int
    attempts: array[float]
    """When clients tried to connect: all of them, in order."""
    attempts_each: tuple[int, ...]
    """Attempts per client."""
    recovery: tuple[float | None, ...]
    """Seconds from the outage's end until each client was connected again; ``None`` for never."""
    given_up: int
    """Clients that will not try again by themselves."""
    probes: int
    """Looks at the health endpoint by suspended clients; these are no attempts."""

    @property
    def gave_up(self) -> float:
        """Share of the clients that gave up: the probability of giving up."""
        return self.given_up / self.clients

    @property
    def waiting(self) -> int:
        """Clients that were neither connected nor had given up at the horizon."""
        return self.clients - self.given_up - len(self._times())

    @property
    def peak_per_s(self) -> int:
        """Most attempts within any one second."""
        return busiest(self.attempts, 1.0)

    @property
    def peak_after_s(self) -> int:
        """Most attempts within any one second after the host was back: what hurts it."""
        return busiest(self._after(), 1.0)

    @property
    def peak_after_100ms(self) -> int:
        """Most attempts within any 100 ms after the host was back."""
        return busiest(self._after(), 0.1)

    @property
    def recovery_median(self) -> float | None:
        """Seconds after the outage by which half of those who came back were back; ``None`` where nobody did."""
        return quantile(self._times(), 0.5)

    @property
    def recovery_p90(self) -> float | None:
        """The same for nine tenths of them."""
        return quantile(self._times(), 0.9)

    @property
    def recovery_max(self) -> float | None:
        """The same for the last of them."""
        return quantile(self._times(), 1.0)

    def plot(self, other: Storm | None = None, *, labels: Sequence[str] = (), theme: str = "both") -> Any:
        """Attempts per second, and who is connected again, as a plotly figure.

        Args:
            other: another storm to compare with.
            labels: what the curves are called, in this order; the names of the policies when not given.
            theme: ``"both"`` (readable on light and dark), ``"light"`` or ``"dark"``.

        Raises:
            InvalidInput: no view is loaded, or an option does not fit.
        """
        render = display.find("storm", "plot")
        if render is None:
            raise InvalidInput("no view is loaded that draws a storm", remedy="import chatkit, not chatkit.policy")
        return render(self, other, labels=labels, theme=theme)

    def _times(self) -> list[float]:
        return [seconds for seconds in self.recovery if seconds is not None]

    def _after(self) -> list[float]:
        return [at for at in self.attempts if at >= self.outage_s]

    def _repr_html_(self) -> str | None:
        render = display.find("storm", "html")
        return None if render is None else render(self)

    def __str__(self) -> str:
        who = (
            "1 client loses its connection" if self.clients == 1 else f"{self.clients:,} clients lose their connections"
        )
        probes = f", {self.probes:,} health {'probe' if self.probes == 1 else 'probes'}" if self.probes else ""
        return (
            f"Policy {self.policy}: {who}, the host is down for {self.outage_s:g} s. "
            f"Attempts: {len(self.attempts):,}, at most {self.peak_per_s:,} within a second, "
            f"{self.peak_after_s:,} once the host is back{probes}. {self.outcome}"
        )

    __repr__ = __str__

    @property
    def outcome(self) -> str:
        """Who came back when, and who did not: a sentence or three."""
        words = [f"{100 * share:.3g} % {what}." for share, what in self._missing() if share]
        if self.recovery_max is None:
            return " ".join(words)
        if self.clients == 1:
            return f"It is connected again {self.recovery_max:.1f} s after the host is back."
        whose = "Of the others half come back" if words else "All come back, half of them"
        rest = f"90 % within {self.recovery_p90:.1f} s, the last after {self.recovery_max:.1f} s"
        return " ".join([*words, f"{whose} within {self.recovery_median:.1f} s of the host's return, {rest}."])

    def _missing(self) -> list[tuple[float, str]]:
        return [(self.gave_up, "give up for good"), (self.waiting / self.clients, "still wait at the end")]


def simulate(
    outage_s: float,
    clients: int = 1,
    *,
    policy: str | Client = "default",
    loss: Happening = Signal.NO_CLOSE_FRAME,
    seed: int = 0,
    horizon_s: float | None = None,
    accept_rate: float | None = None,
) -> Storm:
    """Clients with stable connections lose them all at the same moment, and the host refuses for ``outage_s`` seconds.

    Each client is a process of its own, with its own least distance between attempts. It is followed until it is
    connected or gave up. An attempt takes no time: what a network adds comes on top.

    Args:
        outage_s: seconds for which the host refuses connections and its health endpoint does not answer.
        clients: how many.
        policy: name of a preset, or a behaviour of one's own.
        loss: how the connections were lost, for example a close frame with 1012; without one when not given.
        seed: of everything that is drawn; the same seed gives the same storm.
        horizon_s: seconds after the loss at which one stops looking; an hour after the outage when not given.
        accept_rate: connections per second that the host accepts once it is back, in bursts of a second's worth; it
            refuses the others with 503. ``None`` for any number.

    Raises:
        InvalidInput: a number that cannot be, a loss that ends no connection, or a policy that tries without end.

    >>> import chatkit
    >>> storm = chatkit.simulate(60, clients=100, seed=1)
    >>> print(storm)  # doctest: +ELLIPSIS
    Policy default: 100 clients lose their connections, the host is down for 60 s. ...
    """
    rules = policy if isinstance(policy, Client) else preset(policy, Client())
    lost = loss_of(loss)
    _check(outage_s, clients, horizon_s, accept_rate)
    if classify(lost, Context(rules=rules, stable=True)).action == "keep":
        raise InvalidInput("this ends no connection", expected="a loss", got=str(loss), where="loss")
    chance = random.Random(seed)
    crowd = Crowd(Host(outage_s, accept_rate), [Member(rules, chance) for _ in range(clients)])
    crowd.follow(lost, outage_s + PATIENCE if horizon_s is None else horizon_s)
    return Storm(
        policy=policy if isinstance(policy, str) else "own",
        outage_s=outage_s,
        clients=clients,
        seed=seed,
        attempts=crowd.attempts,
        attempts_each=tuple(crowd.each),
        recovery=tuple(crowd.recovery),
        given_up=crowd.given_up,
        probes=crowd.probes,
    )


def busiest(times: Sequence[float], window: float) -> int:
    """Most of the ``times``, which are sorted, within any half-open interval of ``window`` seconds."""
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] >= window:
            first += 1
        most = max(most, last - first + 1)
    return most


def quantile(values: Sequence[float], share: float) -> float | None:
    """The least value that a ``share`` of all does not exceed; ``None`` of nothing."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else None


def _check(outage_s: float, clients: int, horizon_s: float | None, accept_rate: float | None) -> None:
    """Written so that nan is refused as well."""
    if not 0 <= outage_s < math.inf:
        raise InvalidInput("no such outage", expected="0 or more seconds", got=outage_s, where="outage_s")
    if clients < 1:
        raise InvalidInput("nobody to follow", expected="1 client or more", got=clients, where="clients")
    if horizon_s is not None and not 0 <= horizon_s < math.inf:
        raise InvalidInput("no such horizon", expected="0 or more seconds", got=horizon_s, where="horizon_s")
    if accept_rate is not None and not 0 < accept_rate < math.inf:
        raise InvalidInput(
            "no such rate", expected="connections per second, more than 0", got=accept_rate, where="accept_rate"
        )
