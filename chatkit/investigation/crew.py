"""The arms of an investigation: started, counted, and all of them gone at its end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from chatkit.client.http import HttpApi
from chatkit.client.tasks import Tasks
from chatkit.errors import ChatkitError
from chatkit.experiments.progress import ArmLine
from chatkit.experiments.treatments import Treatment
from chatkit.investigation.arm import GREETINGS, Arm
from chatkit.profile import Profile
from chatkit.recorder import Recorder

AGENT = "chatkit (investigating why connections drop)"
"""What the backend reads in its logs."""
MOST_AT_ONCE = 12
"""Connections: politeness."""
MESSAGE_GAP = 0.55
"""Seconds between two chat messages: politeness."""
GOODBYE = 0.8
"""Seconds that goodbyes may take at the end."""


class Crew:
    """Arms that run, and those that did.

    Args:
        api: the HTTP API of the first way in; holds the token.
        also: of the second way in, where there is one.
        bot, recorder, profile, proxy: as for the investigation.
        woken: set whenever an arm has ended.
    """

    def __init__(
        self,
        api: HttpApi,
        also: HttpApi | None,
        *,
        bot: str,
        recorder: Recorder,
        profile: Profile,
        proxy: bool,
        woken: asyncio.Event,
    ) -> None:
        self.api, self.also = api, also
        self._bot, self._recorder, self._profile, self._proxy = bot, recorder, profile, proxy
        self._woken = woken
        self.began = time.monotonic()
        self.arms: list[Arm] = []
        self._tasks = Tasks(self._crashed)
        self.defect: BaseException | None = None
        """A mistake of ours in an arm."""
        self._left = asyncio.Event()
        """Set whenever an arm is over."""
        self.lost = asyncio.Event()
        """Set whenever an arm that had opened is over before it was told to leave."""
        self._saying = asyncio.Lock()
        self._session: str | None = None

    def __iter__(self) -> Iterator[Arm]:
        return iter(self.arms)

    @property
    def alive(self) -> list[Arm]:
        """Arms that are open and meant to stay."""
        return [arm for arm in self.arms if arm.alive and not arm.left]

    @property
    def running(self) -> list[tuple[Treatment, float]]:
        """Treatment and age of each of them, on the first way in."""
        return [(arm.treatment, arm.age) for arm in self.alive if not arm.treatment.also]

    @property
    def room(self) -> int:
        """Arms that may be opened now."""
        return MOST_AT_ONCE - sum(not arm.over.is_set() for arm in self.arms)

    def lines(self) -> tuple[ArmLine, ...]:
        """How they stand; probes of the opening left out."""
        return tuple(arm.line() for arm in self.arms if not arm.treatment.alters)

    def start(self, treatment: Treatment, role: str = "arm", timeout: float = 10.0) -> Arm:
        """Starts an arm."""
        api = self.also if treatment.also and self.also is not None else self.api
        arm = Arm(
            treatment,
            api=api,
            bot=self._bot,
            recorder=self._recorder,
            role=role,
            began=self.began,
            say=self.say,
            agent=AGENT,
            proxy=self._proxy,
            timeout=timeout,
        )
        self.arms.append(arm)
        self._tasks.spawn(self._run(arm), f"arm {treatment.id}")
        return arm

    async def open(self, treatment: Treatment, role: str = "arm", timeout: float = 10.0) -> Arm:
        """Starts an arm as soon as there is room, and waits until it is open, or will not be."""
        while self.room <= 0:
            self._left.clear()
            await self._left.wait()
        arm = self.start(treatment, role, timeout)
        await arm.opened.wait()
        return arm

    async def dismiss(self, *arms: Arm) -> None:
        """Has arms say goodbye, and waits until they are over."""
        for arm in arms:
            arm.leave()
        for arm in arms:
            await arm.over.wait()

    async def _run(self, arm: Arm) -> None:
        try:
            await arm.run()
        finally:
            self._left.set()
            self._woken.set()
            if arm.failure is None and not arm.left:
                self.lost.set()

    def _crashed(self, error: BaseException) -> None:
        self.defect = error
        self._woken.set()

    def speak(self, count: int) -> asyncio.Event:
        """Sends a chat message and goes on; set once it is answered, or will not be."""
        answered = asyncio.Event()

        async def work() -> None:
            try:
                with contextlib.suppress(ChatkitError):
                    await self.say(count)
            finally:
                answered.set()

        self._tasks.spawn(work(), f"message {count}")
        return answered

    async def say(self, count: int) -> None:
        """One chat message over an HTTP connection of its own, so that whichever worker is next takes it."""
        async with self._saying:
            if self._session is None:
                with contextlib.suppress(ChatkitError):
                    async with self.fresh() as api:
                        self._session = await api.new_session(self._bot, "chatkit investigation")
            await asyncio.sleep(MESSAGE_GAP)
        async with self.fresh() as api:
            await api.chat(self._bot, GREETINGS[count % len(GREETINGS)], self._session)

    def fresh(self) -> HttpApi:
        """Another HTTP client of the first way in."""
        return HttpApi(
            self.api.base,
            recorder=self._recorder,
            profile=self._profile,
            token=self.api.credentials.token,
            proxy=self._proxy,
            agent=AGENT,
        )

    async def close(self, within: float = GOODBYE) -> None:
        """Has all arms say goodbye; what does not within so many seconds is cut."""
        for arm in self.arms:
            arm.leave()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                for arm in self.arms:
                    await arm.over.wait()
        await self._tasks.close()


def origin_of(base: str) -> str:
    """The origin that a page served by the backend would have (RFC 6454)."""
    parts = urlsplit(base)
    return f"{parts.scheme}://{parts.netloc}"
