"""One target's post: its host, its links, its rings; and what the keeper takes from there.

The links live on the canary's loop; :meth:`Post.collect` and :meth:`Post.freeze` may be called from the keeper's
thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from chatkit.canary.facts import Answered, AnyFact, Healthy, LifeEnded, LifeOpened
from chatkit.canary.ring import News, Rings
from chatkit.canary.rows import row_of
from chatkit.canary.targets import Settings, Target
from chatkit.client.connection import RecordedConnection
from chatkit.client.credentials import Provider
from chatkit.client.host import Host
from chatkit.client.lag import LoopWatch
from chatkit.client.link import Link
from chatkit.errors import AuthError
from chatkit.policy.presets import preset
from chatkit.policy.reconnect import Loss
from chatkit.policy.status import State, Status
from chatkit.profile import Incoming, Profile
from chatkit.recorder import Recorder
from chatkit.trace import Header, Trace

SETTLE = 0.2
"""Seconds after an end before it is told: what follows at once belongs to it."""
MOST_ANSWERS = 10_000
"""Round trips that wait for the keeper."""
_MOST_TOKEN = 65_536


class Post:
    """Watches one target.

    Args:
        name: the target's.
        target: what to watch.
        settings: how.
        profile: the backend's contract.
        token: the access token, or who gives one; ``None`` asks nobody.
        lag: who watches the loop.

    :meth:`start` begins to connect, :meth:`close` ends it.
    """

    def __init__(
        self,
        name: str,
        target: Target,
        settings: Settings,
        profile: Profile,
        token: str | Provider | None,
        lag: LoopWatch,
    ) -> None:
        self.name, self.target = name, target
        rules = preset(target.policy, profile.client)
        self._most = settings.ring
        self.recorder = Recorder(target=target.url, types=profile.types, store=self._store)
        plain, provider = (None, token) if callable(token) else (token, None)
        self.host = Host(
            target.url,
            profile=profile,
            rules=rules,
            recorder=self.recorder,
            token=plain,
            provider=provider,
            proxy=target.use_proxies,
            lag=lag,
        )
        self.links = [self._link(profile) for _ in range(target.connections)]
        self.url = self.recorder.redactor.text(self.host.api.base)
        self._answers: deque[tuple[float, float]] = deque(maxlen=MOST_ANSWERS)
        self._opened: set[str] = set()

    def _store(self, header: Header) -> Rings:
        # Called by the recorder's constructor: the rings are the recorder's, and ours to look into.
        self.rings = Rings(header, self._most)
        return self.rings

    def _link(self, profile: Profile) -> Link:
        api = self.host.api
        heard = _Heard(self._answered)
        link = Link(
            self.host,
            name=self.target.bot,
            bot=self.target.bot,
            url=lambda: api.socket_url(self.target.bot),
            port=heard,
            changed=lambda what: None,
        )
        heard.link = link
        return link

    # On the loop

    async def start(self, number: int) -> None:
        """Connects one of the links.

        Raises:
            AuthError, ConnectFailed: the first token could not be had; try again later.
        """
        await self.host.renew_first()
        self.host.start()
        self.links[number].start()

    def again(self) -> int:
        """Has the links try that the policy gave up; how many they are."""
        resting = [link for link in self.links if link.status.state in (State.FAILED, State.AUTH_REQUIRED)]
        for link in resting:
            link.reconnect()
        return len(resting)

    async def close(self, patience: float) -> None:
        """Says goodbye; whoever has not answered after ``patience`` seconds is cut off."""
        closing = asyncio.gather(*(link.close() for link in self.links), return_exceptions=True)
        done, _ = await asyncio.wait([closing], timeout=patience)
        if not done:
            for link in self.links:
                if link.connection is not None:
                    link.connection.abort()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(closing, patience)
        await self.host.close()

    def _answered(self, seconds: float) -> None:
        self._answers.append((round(self.recorder.epoch + self.recorder.now(), 3), round(seconds, 6)))

    @property
    def status(self) -> list[Status]:
        """Of each link."""
        return [link.status for link in self.links]

    # From the keeper's thread

    def collect(self, run: int, *, last: bool = False) -> list[AnyFact]:
        """What has happened since the last call; ``last``: nothing will follow."""
        until = math.inf if last else self.recorder.now() - SETTLE
        news: News = self.recorder.collect(lambda: self.rings.news(until))
        facts: list[AnyFact] = []
        for id, _ in news.opened:
            facts += self._life_opened(id, run)
        facts += [fact for id in news.ended for fact in self._life_ended(id, run)]
        facts += [
            Healthy(
                target=self.name, at=round(self.recorder.epoch + one.at, 3), healthy=one.healthy, seconds=one.seconds
            )
            for one in news.health
        ]
        samples = [self._answers.popleft() for _ in range(len(self._answers))]
        return [*facts, *([Answered(target=self.name, samples=samples)] if samples else [])]

    def freeze(self, dead: set[str]) -> Trace:
        """The recording of these deaths, as it stands."""
        return self.recorder.collect(lambda: self.rings.freeze(dead, self.recorder.now()))

    def key(self, id: str, run: int) -> str:
        """The name of a connection that no other one in the folder has."""
        return f"{self.name}/{run}-{id}"

    def _life_opened(self, id: str, run: int) -> list[AnyFact]:
        trace = self._one(id)
        if id not in trace.names or (one := trace.connection(id)).opened_at is None:
            return []
        self._opened.add(id)
        return [LifeOpened(target=self.name, row=row_of(trace, one, **self._told(id, run)))]

    def _life_ended(self, id: str, run: int) -> list[AnyFact]:
        trace = self._one(id)
        if id not in trace.names or (one := trace.connection(id)).ending is None:
            return []
        row = row_of(trace, one, **self._told(id, run))
        missed = row.opened_at is not None and id not in self._opened
        self._opened.discard(id)
        at = row.ended_at if row.ended_at is not None else trace.epoch
        told: list[AnyFact] = (
            [LifeOpened(target=self.name, row=msgspec.structs.replace(row, ended_at=None))] if missed else []
        )
        words = self.recorder.redactor.text(one.ending.words)[:300]
        return [*told, LifeEnded(target=self.name, row=row, words=words, at=at)]

    def _one(self, id: str) -> Trace:
        return self.recorder.collect(lambda: self.rings.build_one(id))

    def _told(self, id: str, run: int) -> dict[str, str | None]:
        one = self.target
        return {
            "source": "watch",
            "connection": self.key(id, run),
            "who": one.bot,
            "version": one.version,
            "region": one.region,
            "proxy": one.proxy,
        }


class _Heard:
    """The port of a link: only the answers to its pings are of interest."""

    link: Link

    def __init__(self, answered: Callable[[float], None]) -> None:
        self._answered = answered

    def up(self, connection: RecordedConnection, hello: Incoming) -> None:
        """Established; the rings tell."""

    def heard(self, message: Incoming, connection: str) -> None:
        """A message; of a pong the link has just measured the round trip."""
        if message.kind == "pong" and self.link.rtt is not None:
            self._answered(self.link.rtt)

    def down(self, loss: Loss) -> None:
        """Gone; the rings tell."""


def token_from(target: Target, folder: Path) -> Provider | None:
    """Who gives a target's access token, asked anew whenever one is refused; ``None`` where none is named.

    Args:
        target: names a variable or a file.
        folder: where a relative file is looked for.
    """
    if target.token_env is None and target.token_file is None:
        return None

    def give() -> str:
        text = (
            _variable(target.token_env) if target.token_env is not None else _content(folder / str(target.token_file))
        )
        token = text.strip()
        if not token or not (token.isascii() and token.isprintable()) or " " in token:
            raise AuthError("this is no token: expected one word of ASCII characters", refused_by=_place(target))
        return token

    return give


def _place(target: Target) -> str:
    return f"token_env {target.token_env}" if target.token_env is not None else f"token_file {target.token_file}"


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise AuthError(
            f"the environment variable {name} is not set", refused_by=f"token_env {name}", remedy=f"export {name}=…"
        )
    return value


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_TOKEN).decode("utf-8", "replace")
    except OSError as error:
        raise AuthError(f"the token file cannot be read: {error.strerror}", refused_by=f"token_file {path}") from None
