"""The front door of an investigation: what it is told, checked, and who does it."""

from __future__ import annotations

import asyncio
import contextlib
import math
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from chatkit import display
from chatkit.client.http import HttpApi, base_url
from chatkit.client.opening import is_loopback
from chatkit.errors import InvalidInput
from chatkit.experiments.replay import replay_of
from chatkit.experiments.result import Investigation
from chatkit.experiments.treatments import Treatment
from chatkit.formats import load
from chatkit.investigation.crew import AGENT
from chatkit.investigation.investigator import Investigator, Listener
from chatkit.profile import Profile
from chatkit.profile import load as load_profile
from chatkit.recorder import Recorder
from chatkit.trace import Trace

SHORTEST_BUDGET = 5.0


async def investigate(
    url: str,
    *,
    bot: str,
    token: str | None = None,
    user: str | None = None,
    password: str | None = None,
    profile: Profile | str | Path | None = None,
    budget: float = 90.0,
    chat: bool | None = None,
    intrusive: bool = False,
    also: str | None = None,
    other_bot: str | None = None,
    health_method: str | None = None,
    verify: bool = False,
    evidence: str | Path | Trace | None = None,
    proxy: bool = True,
    recorder: Recorder | None = None,
    on_progress: Listener | None = None,
    stop: asyncio.Event | None = None,
) -> Investigation:
    """Finds out why connections to a live backend drop, by experiment.

    At most 12 connections at once, at most two chat messages a second, nothing over 4 KiB unless ``intrusive``.

    Args:
        url: base URL of the backend.
        bot: the bot's id.
        token: access token (JWT).
        user, password: log in with these; the token of the login is used then.
        profile: the backend's contract; a :class:`Profile` or the path of a TOML file.
        budget: seconds for probes and arms together, at least 5.
        chat: whether chat messages may be sent: they cost money, stay in the history and reach others. ``None`` permits
            them on loopback only.
        intrusive: whether payloads may grow until something breaks.
        also: base URL of a second way in, for example past a proxy.
        other_bot: another bot's id: tells a refused bot from a refused user, and how far a session reaches that takes
            another's place. Not needed where the profile names a call that lists the bots.
        health_method: ``HEAD`` where the monitor is known to ask with it.
        verify: whether the recommended change of the client is then tried beside a control; takes time of its own.
        evidence: a recording of the failing client: an arm does what that did, at its times.
        proxy: whether proxies of the environment are used; never for loopback addresses.
        recorder: where everything is recorded; the caller closes it. A new one, in memory, when not given.
        on_progress: called on this loop about twice a second, and at the end. When not given, a notebook's cell shows
            the progress until the result is there.
        stop: set it to end the investigation early; what is known by then is the result.

    Returns:
        The probes, the arms, and the diagnosis of all that was recorded.

    Raises:
        InvalidInput: the URL, the budget or a login without password.
        ProfileError: the profile cannot be used.
        AuthError, ConnectFailed: the login failed.

    Cancelling cuts all connections within a second; what was recorded stays in ``recorder``.

    >>> import asyncio, chatkit
    >>> with chatkit.LabServer() as lab:
    ...     found = asyncio.run(chatkit.investigate(lab.url, bot="echo", token=lab.token, budget=5))
    >>> bool(found.probes), found.diagnosis.verdict == "fault"
    (True, False)
    """
    if not math.isfinite(budget):
        raise InvalidInput("that is no budget", expected=f"{SHORTEST_BUDGET:g} seconds or more", got=budget)
    if budget < SHORTEST_BUDGET:
        raise InvalidInput("too short a budget", expected=f"{SHORTEST_BUDGET:g} seconds or more", got=budget)
    if not bot:
        raise InvalidInput("no bot is named", expected="a bot's id", where="bot")
    if other_bot == bot:
        raise InvalidInput("the other bot is the same", expected="the id of another bot", got=bot, where="other_bot")
    if (user is None) != (password is None):
        raise InvalidInput("a login needs both user and password", where="user, password")
    base = base_url(url)
    found = load_profile(profile)
    theirs = _theirs(evidence, found)
    mine = Recorder(target=base, types=found.types) if recorder is None else recorder
    permitted = is_loopback(urlsplit(base).hostname) if chat is None else chat
    shown = display.progress() if on_progress is None else None
    options: dict[str, Any] = {"recorder": mine, "profile": found, "proxy": proxy, "agent": AGENT}
    async with contextlib.AsyncExitStack() as stack:
        if shown is not None:
            stack.callback(shown.finish)
        api = await stack.enter_async_context(HttpApi(base, token=token, **options))
        other = await stack.enter_async_context(HttpApi(also, token=token, **options)) if also else None
        if user is not None and password is not None:
            await api.login(user, password)
            if other is not None and api.credentials.token is not None:
                other.set_token(api.credentials.token)
        work = Investigator(
            api,
            other,
            bot=bot,
            profile=found,
            budget=budget,
            chat=permitted,
            intrusive=intrusive,
            verify=verify,
            theirs=theirs,
            other_bot=other_bot,
            health_method=health_method or (found.client.health_method if profile is not None else None),
            proxy=proxy,
            recorder=mine,
            on_progress=on_progress if shown is None else shown.show,
            stop=stop or asyncio.Event(),
        )
        return await work.run()


def _theirs(evidence: str | Path | Trace | None, profile: Profile) -> Treatment | None:
    """What the recorded client did, as a treatment."""
    if evidence is None:
        return None
    trace = evidence if isinstance(evidence, Trace) else load(evidence, profile=profile)
    found = replay_of(trace)
    if found is None:
        raise InvalidInput(
            "the evidence shows nothing that a client sent",
            expected="a recording in which a connection opened and the client's messages are visible",
            got=", ".join(trace.not_visible) or "no connection that opened",
            where="evidence",
        )
    return found
