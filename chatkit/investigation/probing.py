"""Probes: what is asked before any connection is opened with a good token, and what altered openings showed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from urllib.parse import quote

from chatkit.client.http import HttpApi
from chatkit.errors import ChatkitError
from chatkit.experiments.result import Probe
from chatkit.experiments.treatments import Treatment
from chatkit.investigation.crew import AGENT
from chatkit.preflight.report import Check
from chatkit.preflight.run import check
from chatkit.profile import Profile
from chatkit.recorder import Recorder

EMPTY_LIMIT = 3.0
"""Seconds that the answer to an empty message may take."""
EMPTY = 422
"""What a chat endpoint answers to a message that lacks everything: it is there, and it validates."""


async def probe(
    api: HttpApi,
    *,
    bot: str,
    profile: Profile,
    proxy: bool,
    recorder: Recorder,
    on_probe: Callable[[Probe], None],
) -> list[Probe]:
    """DNS, TCP, TLS, health by both methods, the token, the bot, and the chat path with an empty message.

    ``on_probe`` hears of each as it is finished; what comes back is all of them in their order.
    """
    report = await check(
        api.base,
        bot=bot,
        token=api.credentials.token,
        profile=profile,
        proxy=proxy,
        recorder=recorder,
        on_check=lambda one: on_probe(_of_check(one)),
        socket=False,
        agent=AGENT,
    )
    found = [_of_check(one) for one in report.checks]
    with contextlib.suppress(ChatkitError):
        path = profile.paths.chat.format(bot_id=quote(bot, safe=""))
        answer = await api.exchange("POST", path, "chat-probe", json={}, timeout=EMPTY_LIMIT)
        good = answer.status_code == EMPTY
        summary = f"an empty message is answered {answer.status_code}" + (", as it should be" if good else "")
        found.append(Probe(id="chat-path", status="pass" if good else "warning", summary=summary))
    return found


def _of_check(check: Check) -> Probe:
    return Probe(id=check.id, status=check.status, summary=check.summary, remedy=check.advice)


def of_variant(treatment: Treatment, status: int | None) -> Probe:
    """What became of an altered opening; ``status`` is that of the answer, ``None`` for none."""
    words = "opens" if status == 101 else f"is refused with HTTP {status}" if status else "is not answered"
    return Probe(id=treatment.id, status="pass", summary=f"{treatment.what} {words}")
