"""``Watch``: a few connections to each of many backends, for days.

One loop, one scheduler: it starts the links one after the other, and has those try again that the policy gave up.
What the links do in between is the client's own policy. All that touches the disk is the keeper's.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chatkit.canary.keeper import Happening, Keeper
from chatkit.canary.metrics import Metrics
from chatkit.canary.post import Post, token_from
from chatkit.canary.rows import Row, arrow
from chatkit.canary.spans import Spans
from chatkit.canary.targets import Plan
from chatkit.client.credentials import Provider
from chatkit.client.lag import NOTABLE, LoopWatch
from chatkit.client.tasks import Tasks
from chatkit.errors import ChatkitError
from chatkit.events import Event
from chatkit.profile import load as load_profile

STAGGER = 0.1
"""Seconds between the starts of two links of different targets; of one target it is the policy's floor."""
ASK_AGAIN = 30.0
"""Seconds after which a target is asked again whose first token could not be had."""
GOODBYE = 0.25
"""Seconds that a goodbye may take; then the wire is cut, so that the whole ends within a second."""
LAG_TOLD = 30.0
"""Seconds between two entries of our own loop's lag in each target's rings, while it is small."""
MOST_HEARD = 1000
"""Happenings that wait for a slow reader; then the oldest go."""


class Watch:
    """Watches what a plan names, into a folder.

    Args:
        plan: what and how.
        out: the folder of the evidence; a watch that was there before goes on.
        beside: the folder in which relative files of the plan are looked for.
        tokens: access tokens, or who gives them, by target; they win over the plan's.
        exporter: takes spans instead of the plan's endpoint.

    Raises:
        InvalidInput: the folder, a profile or a URL cannot be used.
        ImportFailed: the folder holds a journal that is not ours, or newer.
        MissingDependency: an optional part is not installed.

    ``async with`` begins and ends it: within a second all has said goodbye and is on the disk. Cancelling what waits
    inside loses nothing.
    """

    def __init__(
        self,
        plan: Plan,
        out: Path,
        *,
        beside: Path | None = None,
        tokens: Mapping[str, str | Provider] | None = None,
        exporter: Any = None,
    ) -> None:
        arrow()
        self.plan, self.out = plan, out
        self._beside = beside if beside is not None else Path()
        self._tokens = tokens or {}
        self._exporter = exporter
        self._tasks = Tasks(self._failed)
        self._heard: deque[Happening] = deque(maxlen=MOST_HEARD)
        self._news = asyncio.Event()
        self._error: BaseException | None = None
        self.posts: list[Post] = []
        self.metrics: Metrics | None = None
        self._spans: Spans | None = None
        self._keeper: Keeper | None = None

    @property
    def keeper(self) -> Keeper:
        """Who writes; there once the watch is open."""
        assert self._keeper is not None
        return self._keeper

    async def __aenter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            await self._shut()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._shut()

    def _open(self) -> None:
        self._loop = asyncio.get_running_loop()
        settings = self.plan.watch
        lag = LoopWatch(_Everybody(self))
        for name, target in self.plan.targets.items():
            profile = load_profile(self._beside / target.profile if target.profile is not None else None)
            token = self._tokens.get(name) or token_from(target, self._beside)
            self.posts.append(Post(name, target, settings, profile, token, lag))
        if settings.otlp_endpoint is not None or self._exporter is not None:
            self._spans = Spans(settings.otlp_endpoint, self._exporter)
        self._keeper = Keeper(self.out, self.posts, settings, self._tell, self._row_ended)
        if settings.metrics_port is not None:
            keeper = self._keeper
            self.metrics = Metrics(
                keeper.state, keeper.lock, lambda: keeper.trouble is None, settings.metrics_host, settings.metrics_port
            )
            self.metrics.open()
        self._keeper.start()
        self._tasks.spawn(lag.run(), "loop lag")
        self._tasks.spawn(self._schedule(), "canary scheduler")

    async def _shut(self) -> None:
        await self._tasks.close()
        ending = [post.close(GOODBYE) for post in self.posts]
        if self.metrics is not None:
            ending.append(asyncio.to_thread(self.metrics.close))
        await asyncio.gather(*ending, return_exceptions=True)
        if self._keeper is not None:
            # On a thread: the last files may take a moment, and whoever shares the loop goes on.
            await asyncio.to_thread(self._keeper.close)
        for post in self.posts:
            post.recorder.close()
        if self._spans is not None:
            await asyncio.to_thread(self._spans.close)

    # The scheduler

    async def _schedule(self) -> None:
        """Does what is due, in its order of time; each thing says when it is due next."""
        now = self._loop.time()
        order = itertools.count()
        agenda: list[tuple[float, int, Callable[[], Any], float | None]] = []

        def at(when: float, work: Callable[[], Any], again: float | None = None) -> None:
            heapq.heappush(agenda, (when, next(order), work, again))

        # Round by round, so that every target has its first connection soon.
        for place, (post, number) in enumerate(self._starts()):
            floor = number * max(post.host.rules.retry_floor, STAGGER)
            at(now + max(place * STAGGER, floor), self._starter(post, number))
        for post in self.posts:
            at(now + self.plan.watch.again_after, post.again, self.plan.watch.again_after)
        while agenda:
            when, _, work, again = heapq.heappop(agenda)
            await asyncio.sleep(max(0.0, when - self._loop.time()))
            result = work()
            later = await result if asyncio.iscoroutine(result) else None
            if later is not None:
                at(self._loop.time() + later, work)
            elif again is not None:
                at(self._loop.time() + again, work, again)

    def _starts(self) -> list[tuple[Post, int]]:
        most = max((len(post.links) for post in self.posts), default=0)
        return [(post, number) for number in range(most) for post in self.posts if number < len(post.links)]

    def _starter(self, post: Post, number: int) -> Callable[[], Any]:
        async def start() -> float | None:
            try:
                await post.start(number)
            except ChatkitError as error:
                if number == 0:
                    self._say(post.name, f"{post.name}: {error.what}; tried again every {ASK_AGAIN:g} s")
                return ASK_AGAIN
            return None

        return start

    # Telling

    async def happenings(self) -> AsyncIterator[Happening]:
        """What happens, as it does; ends never. Raises what stopped the watch, should a defect of ours do that."""
        while True:
            while self._heard:
                yield self._heard.popleft()
            if self._error is not None:
                raise self._error
            self._news.clear()
            await self._news.wait()

    def _say(self, target: str, text: str) -> None:
        self._tell(Happening(kind="notice", target=target, at=self.keeper.now(), text=text, facts={}))

    def _tell(self, happening: Happening) -> None:
        # From the keeper's thread, also while the loop is going away.
        self._heard.append(happening)
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._news.set)

    def _row_ended(self, target: str, row: Row) -> None:
        if self._spans is not None:
            self._spans.ended(target, row)

    def _failed(self, error: BaseException) -> None:
        self._error = error
        self._news.set()


class _Everybody:
    """The recorder of the one watch of our loop: what it says goes into the rings of every target.

    A small lag is told now and then only: it says that somebody looked.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._told = float("-inf")

    def record(self, kind: type[Event], /, *, connection: str | None = None, **fields: Any) -> None:
        now = asyncio.get_running_loop().time()
        if fields.get("lag", 0.0) < NOTABLE and now - self._told < LAG_TOLD:
            return
        self._told = now
        for post in self._watch.posts:
            post.recorder.record(kind, connection=connection, **fields)
