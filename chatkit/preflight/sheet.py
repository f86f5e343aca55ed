"""The sheet on which a check's lines are entered, each step bounded and each text made fit to show."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from chatkit.client.opening import explain_failure
from chatkit.errors import ChatkitError
from chatkit.plain import one_line
from chatkit.preflight.judge import Line
from chatkit.preflight.report import TITLES, Check
from chatkit.recorder import Recorder
from chatkit.redact import Redactor

STEP_LIMIT = 2.0
"""Seconds that one step may take."""
BUDGET = 2.8
"""Seconds for all steps together, pings not counted; when it is used up, later steps have :data:`LEAST` each."""
LEAST = 0.4
TEXT_LIMIT = 300
"""Characters of one text at most."""

Listener = Callable[[Check], None]
Work = Callable[[], Awaitable[Line]]
T = TypeVar("T")

_LOG = "look at the backend's log"
_SILENT = {
    "dns": "check the resolver, VPN and network",
    "tcp": "check address, port and firewall: what swallows packets answers nothing",
    "tls": "check that the port speaks TLS, and what stands in front of it",
    "health-get": "the port is open but nothing answers: the server is blocked, or speaks another protocol",
}


class Sheet:
    """Lines by id; each is entered once. Make it on the loop that uses it.

    Args:
        plan: the ids, in their order.
        recorder: its redactor cleans every text.
        on_check: called with each line as it is entered.
    """

    def __init__(self, plan: Iterable[str], recorder: Recorder, on_check: Listener) -> None:
        loop = asyncio.get_running_loop()
        self._lines: dict[str, asyncio.Future[Check]] = {id: loop.create_future() for id in plan}
        self._recorder, self._on_check = recorder, on_check
        self._deadline = time.monotonic() + BUDGET

    def limit(self) -> float:
        """Seconds that the next step may take."""
        return max(LEAST, min(STEP_LIMIT, self._deadline - time.monotonic()))

    def renew(self) -> None:
        """Gives the next step its full time, whatever was used up."""
        self._deadline = time.monotonic() + STEP_LIMIT

    async def line(self, id: str) -> Check:
        """The line, once it is entered."""
        return await self._lines[id]

    @property
    def checks(self) -> tuple[Check, ...]:
        """All lines, when all are entered."""
        return tuple(line.result() for line in self._lines.values())

    async def step(self, id: str, work: Work, limit: float | None = None) -> Check:
        """Does a step and enters its line; a foreseeable failure is a line too."""
        limit = self.limit() if limit is None else limit
        began = time.monotonic()
        try:
            # A hair more than the step's own limits, which have the better words.
            async with asyncio.timeout(limit + 0.1):
                line = await work()
        except TimeoutError:
            line = Line(status="fail", summary=f"no answer within {limit:.1f} s", remedy=_SILENT.get(id))
        except ChatkitError as error:
            line = Line(status="fail", summary=sentence(error), remedy=error.remedy)
        except (OSError, UnicodeError) as error:
            stage = id if id in ("dns", "tcp", "tls") else "upgrade"
            failure = explain_failure(error, stage, "", self._recorder)
            line = Line(status="fail", summary=sentence(failure), remedy=failure.remedy)
        return self.enter(id, line, time.monotonic() - began)

    def skip(self, ids: Iterable[str], because: str, remedy: str = "mend that first") -> None:
        """Enters those of ``ids`` that are missing as not tried."""
        for id in ids:
            if id in self._lines and not self._lines[id].done():
                self.enter(id, Line(status="not-tried", summary=because, remedy=remedy))

    def enter(self, id: str, line: Line, seconds: float = 0.0) -> Check:
        """Enters a line."""
        redactor = self._recorder.redactor
        remedy = line.remedy or (None if line.status == "pass" else _LOG)
        check = Check(
            id=id,
            title=TITLES[id],
            status=line.status,
            summary=clean(line.summary, redactor),
            remedy=clean(remedy, redactor),
            details=clean(line.details, redactor),
            seconds=round(seconds, 6),
        )
        self._lines[id].set_result(check)
        self._on_check(check)
        return check


def sentence(error: ChatkitError) -> str:
    """An error in one line, without its place and remedy."""
    return f"{error.what}: {error.got}" if error.got is not None else error.what


def clean(value: T, redactor: Redactor) -> T:
    """``value`` with every text in it on one bounded line, without secrets and control characters."""
    cleaned: Any = value
    if isinstance(value, str):
        cleaned = one_line(redactor.text(value), TEXT_LIMIT)
    elif isinstance(value, dict):
        cleaned = {key: clean(entry, redactor) for key, entry in value.items()}
    elif isinstance(value, list | tuple):
        cleaned = [clean(entry, redactor) for entry in value]
    return cleaned  # type: ignore[no-any-return]
