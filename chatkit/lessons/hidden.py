"""A backend with a hidden fault, on which the reader experiments and whose fault the reader names."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable

from chatkit.client.engine import engine
from chatkit.client.http import HttpApi
from chatkit.diagnosis.courses import Course, courses
from chatkit.diagnosis.facts import Facts
from chatkit.ending import Connection
from chatkit.errors import InvalidInput
from chatkit.experiments.treatments import Doing, Treatment
from chatkit.investigation.arm import Arm
from chatkit.lab import LabServer
from chatkit.recorder import Recorder
from chatkit.riddle import CAUSES, Marked, draw, mark
from chatkit.trace import Trace

MOST_SECONDS = 20.0
"""Longest life that one call makes, seconds."""

_closers: dict[str, Callable[[], None]] = {}
"""Of the exercises that run, by name. Not kept in them: nothing of an exercise leads to its backend."""


class Exercise:
    """A hidden fault to be found by experiments. Made by :func:`exercise`.

    :meth:`life` makes one connection and ends it after some seconds, if nobody did before; ``trace`` holds all of them;
    :meth:`check` says what the recording makes of an answer.
    """

    def __init__(self, seed: int | None, name: str) -> None:
        riddle = draw(int.from_bytes(os.urandom(8), "big") if seed is None else seed, os.urandom(16))
        lab = LabServer(faults=[riddle.fault], bots=["echo"]).start()
        self._seal = riddle.seal
        self._recorder = Recorder(target=lab.url)

        def api() -> HttpApi:
            return HttpApi(lab.url, recorder=self._recorder, token=lab.token)

        self._api = api
        self._lives = 0
        self._left: set[str] = set()
        _closers[name] = lab.close

    @property
    def trace(self) -> Trace:
        """All lives so far."""
        return self._recorder.snapshot()

    def life(
        self,
        seconds: float = 4.0,
        *,
        ping_at: float | None = None,
        ping_every: float | None = None,
        typing_at: float | None = None,
        sync_at: float | None = None,
    ) -> Connection:
        """Makes one connection, and says goodbye after ``seconds`` if it still lives; what has become of it.

        Args:
            seconds: how long to stay, at most 20.
            ping_at: seconds after the opening at which an application ping goes out.
            ping_every: seconds from one such ping to the next; the first after as many.
            typing_at: when a ``typing`` message goes out.
            sync_at: when a ``session_sync`` message goes out.

        Raises:
            InvalidInput: a number that cannot work.
            ConnectFailed: the exercise was closed.

        Interrupting the cell cuts the connection; what was recorded stays.
        """
        doings = _doings(seconds, ping_at=ping_at, ping_every=ping_every, typing_at=typing_at, sync_at=sync_at)
        self._lives += 1
        treatment = Treatment(id=f"life-{self._lives}", what="a life of the exercise", doings=doings)
        return engine().call(self._live(treatment, seconds))

    def check(self, cause: str, **parameters: object) -> Marked:
        """What your recording makes of an answer: whether it shows that, and then whether that is what is hidden.

        Args:
            cause: an id of :attr:`causes`.
            parameters: the one that goes with the cause.
        """
        return mark(self._seal, self._courses(), cause, parameters)

    @property
    def causes(self) -> dict[str, str]:
        """What an answer may name, each with its parameter."""
        return {cause.id: f"{cause.key}: {cause.says}" for cause in CAUSES.values()}

    def __repr__(self) -> str:
        answers = "\n".join(f"  check({cause.id!r}, {cause.key}=…)  {cause.says}" for cause in CAUSES.values())
        made = f"{self._lives} {'life' if self._lives == 1 else 'lives'} made"
        return f"A backend with one hidden fault; {made}.\nExperiment with life(…); the answer is one of\n{answers}"

    async def _live(self, treatment: Treatment, seconds: float) -> Connection:
        api = self._api()
        arm = Arm(
            treatment,
            api=api,
            bot="echo",
            recorder=self._recorder,
            role="arm",
            began=time.monotonic(),
            say=_nothing,
            agent="chatkit-exercise",
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(arm.run(), name=treatment.id)
                await arm.opened.wait()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await arm.over.wait()
                arm.leave()
        finally:
            await api.aclose()
        if arm.failure is not None:
            raise arm.failure
        assert arm.id is not None
        if arm.left:
            self._left.add(arm.id)
        return self._recorder.connection(arm.id)

    def _courses(self) -> tuple[Course, ...]:
        facts = Facts(self.trace)
        return courses(facts, [life for life in facts.lives if life.id not in self._left])


def exercise(seed: int | None = None, *, name: str = "exercise") -> Exercise:
    """Starts a backend of its own with one hidden fault, to be found by experiments.

    Args:
        seed: the same seed hides the same fault; ``None`` another one every time.
        name: an exercise of this name that runs already is closed first.
    """
    close = _closers.pop(name, None)
    if close is not None:
        close()
    return Exercise(seed, name)


async def _nothing(number: int) -> None:
    """An exercise sends no chat message."""


def _doings(seconds: float, **when: float | None) -> tuple[Doing, ...]:
    for key, value in {"seconds": seconds, **when}.items():
        least = 0.0 if key.endswith("_at") else 0.05
        if value is not None and not least <= value <= MOST_SECONDS:
            raise InvalidInput(
                f"{key} cannot be that", expected=f"seconds from {least:g} to {MOST_SECONDS:g}", got=value, where=key
            )
    found = []
    if (every := when["ping_every"]) is not None:
        found.append(Doing(what="app-ping", at=every, every=every))
    if (at := when["ping_at"]) is not None:
        found.append(Doing(what="app-ping", at=at))
    if (at := when["typing_at"]) is not None:
        found.append(Doing(what="typing", at=at))
    if (at := when["sync_at"]) is not None:
        found.append(Doing(what="sync", at=at))
    return tuple(found)
