"""Several faults as one plan: ``decide(state, moment, now)`` asks each of them and joins their answers.

The plan holds no state and reads no clock. Who executes it keeps a :class:`PlanState` for each connection
and one for the server as a whole (ordinal 0), and performs the actions.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from chatkit.faults.memory import Memory
from chatkit.faults.moments import Action, Moment, Wake, Woke
from chatkit.faults.parse import Fault, parse_faults
from chatkit.faults.rules import RULES


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanState:
    """What a plan remembers of one connection."""

    ordinal: int
    """Which connection, counted from 1; 0 is the server as a whole."""
    memories: tuple[Memory, ...]
    """One for each fault, in the plan's order."""


class FaultPlan:
    """A composition of faults.

    Args:
        faults: texts or :class:`Fault` values; the order is the order of their answers.
        seed: with the fault's id and the connection's ordinal it decides everything random, so that the same
            seed replays the same decisions.

    Raises:
        InvalidInput: a text that is no fault.
    """

    def __init__(self, faults: Iterable[str | Fault] = (), seed: int = 0) -> None:
        self.faults: Sequence[Fault] = parse_faults(faults)
        self.seed = seed

    def __repr__(self) -> str:
        return f"FaultPlan({[str(fault) for fault in self.faults]}, seed={self.seed})"

    def begin(self, ordinal: int) -> PlanState:
        """The state before anything happened on that connection (0: on the server)."""
        return PlanState(ordinal=ordinal, memories=tuple(Memory() for _ in self.faults))

    def decide(self, state: PlanState, moment: Moment, now: float) -> tuple[PlanState, tuple[Action, ...]]:
        """What to do at this moment.

        Args:
            state: from :meth:`begin`, or from the last answer for the same connection.
            moment: what happens.
            now: monotonic seconds; never less than at the last call for this state.
        """
        memories, actions = list(state.memories), []
        for index, fault in enumerate(self.faults):
            if isinstance(moment, Woke) and moment.key != index:
                continue
            chance = partial(self._chance, fault.id, state.ordinal)
            memories[index], answer = RULES[fault.id](fault, memories[index], moment, now, chance)
            actions += [replace(a, key=index) if isinstance(a, Wake) else a for a in answer]
        return replace(state, memories=tuple(memories)), tuple(actions)

    @property
    def token_lifetime(self) -> float | None:
        """Seconds that access tokens live under this plan; ``None`` when no fault says so."""
        ages = [fault.seconds("after") for fault in self.faults if fault.id == "token-expired"]
        return min(ages, default=None)

    @property
    def skew(self) -> tuple[float, float]:
        """Seconds by which the server's clock is ahead (negative: behind), and its leeway with times in tokens."""
        skewed = next((fault for fault in self.faults if fault.id == "clock-skew"), None)
        return (skewed.seconds("skew"), skewed.seconds("leeway")) if skewed else (0.0, 0.0)

    @property
    def buffer_limit(self) -> int | None:
        """Bytes that may wait for a slow reader; ``None`` when no fault says so."""
        return min((fault.whole("limit") for fault in self.faults if fault.id == "slow-consumer"), default=None)

    def _chance(self, fault_id: str, ordinal: int, draw: int) -> float:
        # A text seeds through SHA-512: the same numbers in every process and Python version.
        return random.Random(f"{self.seed}/{fault_id}/{ordinal}/{draw}").random()
