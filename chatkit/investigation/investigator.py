"""Points experiments at a live backend, in the order in which none spoils another, until the cause stands.

probes that open nothing → one connection alone → a second beside it → a chat message → variants of the upgrade
→ a round of arms → the arms that would tell most, again and again → goodbye
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from chatkit.client.http import HttpApi
from chatkit.client.lag import LoopWatch
from chatkit.client.tasks import Tasks
from chatkit.diagnosis.engine import Standing, stand
from chatkit.diagnosis.taxonomy import causes
from chatkit.errors import ChatkitError
from chatkit.events import InvestigationEnded
from chatkit.experiments import judge, planner, treatments
from chatkit.experiments.cures import trial_of
from chatkit.experiments.progress import ProbeLine, Progress, bars
from chatkit.experiments.proof import Proof
from chatkit.experiments.result import Investigation, Probe
from chatkit.experiments.treatments import Treatment
from chatkit.investigation import refusals
from chatkit.investigation.bracket import bracket
from chatkit.investigation.crew import GOODBYE, MESSAGE_GAP, Crew, origin_of
from chatkit.investigation.planning import Planning
from chatkit.investigation.probing import of_variant, probe
from chatkit.investigation.verify import Verification
from chatkit.plain import one_line
from chatkit.profile import Profile
from chatkit.recorder import Recorder

Listener = Callable[[Progress], None]

ALONE = 2.0
"""Seconds that one connection is left alone before any other."""
BESIDE = 1.5
"""Seconds after a second opened within which the first would be replaced."""
STAGGER = 0.5
"""Seconds between two openings of a round: what ends them at one age does not end them at one moment."""
LOOK = 0.4
"""Seconds between two looks at what is known."""
HEALTH_EVERY = 1.0
"""Seconds between two looks at the health endpoint."""
HEALTH_LIMIT = 10.0
"""Seconds that it may take: a server that stands still for a while shows by answering late."""
ROUND = 16.0
"""Seconds for which the first round is watched, for ends now and then, before a fault of the chat alone ends it."""
REFINE = 20.0
"""Seconds, at least, for which the parameters of a settled cause may be measured further; and once its time-out."""
SHARES = frozenset({"lost-reply", "multi-worker-split"})
"""Causes of which a few messages tell too little."""
HASTE = 0.3
"""Seconds that goodbyes may take where the user has stopped."""
RETRIES = (1.0, 2.0, 3.0)
"""Seconds between attempts where none has opened yet."""
RETRY_LONGEST = 12.0
"""Seconds of ``Retry-After`` that are waited for."""


UNANSWERED = 2.0
"""Seconds for which a ping has waited from which on a new connection is tried beside it."""


class Investigator:
    """One investigation; see :func:`investigate`."""

    def __init__(
        self,
        api: HttpApi,
        also: HttpApi | None,
        *,
        bot: str,
        profile: Profile,
        budget: float,
        chat: bool,
        intrusive: bool,
        verify: bool,
        theirs: Treatment | None,
        other_bot: str | None,
        health_method: str | None,
        proxy: bool,
        recorder: Recorder,
        on_progress: Listener | None,
        stop: asyncio.Event,
    ) -> None:
        self._api, self._bot, self._profile, self._proxy = api, bot, profile, proxy
        self._budget, self._chat, self._intrusive = budget, chat, intrusive
        self._verify, self._theirs, self._other_bot = verify, theirs, other_bot
        self._health_method, self._recorder = health_method, recorder
        self._on_progress, self._stop = on_progress, stop
        self._allowed = budget
        self._woken = asyncio.Event()
        self._crew = Crew(
            api, also, bot=bot, recorder=recorder, profile=profile, proxy=proxy, woken=self._woken
        )  # fmt: skip
        self._planning = Planning(self._crew, chat=chat, intrusive=intrusive, left=lambda: self.left)
        self._began = time.monotonic()
        self._stage = "probing"
        self._probes: list[Probe] = []
        self._notes: list[str] = []
        self._untried: list[str] = []
        self._standing: Standing | None = None
        self._round_at: float | None = None
        self._settled_at: float | None = None
        self._limit_tried = False
        self._silent = 0
        self._followed = False
        self._defect: BaseException | None = None

    # Time

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    @property
    def left(self) -> float:
        """Seconds of the budget that are left."""
        return max(0.0, self._budget - GOODBYE - self.elapsed)

    @property
    def _halted(self) -> bool:
        return self._stop.is_set() or self.left <= 0

    async def _wait(self, seconds: float) -> None:
        """Waits, but not beyond the budget, an arm's end or the user's stop."""
        if self._defect is not None or self._crew.defect is not None:
            raise self._defect or self._crew.defect  # type: ignore[misc]
        if not self._stop.is_set():
            self._woken.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, self.left)):
                await self._woken.wait()

    async def _rest(self, seconds: float) -> None:
        """Waits that long whatever ends meanwhile, but not beyond the budget or the user's stop."""
        until = time.monotonic() + seconds
        while not self._halted and time.monotonic() < until:
            await self._wait(until - time.monotonic())

    # The whole

    async def run(self) -> Investigation:
        """All of it."""
        watches = Tasks(self._crashed)
        for watch in (LoopWatch(self._recorder).run(), self._watch_health(), self._tell()):
            watches.spawn(watch, "investigation watches")
        work = watches.spawn(self._all(), "investigation")
        watches.spawn(self._hear_stop(work), "investigation stop")
        why, proof = "interrupted", None
        try:
            try:
                why = await work
            except asyncio.CancelledError:
                if not self._stop.is_set():
                    raise
            if self._verify and not self._stop.is_set():
                proof = await self._prove()
        finally:
            await watches.close()
            await self._crew.close(HASTE if self._stop.is_set() else GOODBYE)
            self._recorder.record(
                InvestigationEnded,
                why=why,
                budget=self._allowed,
                seconds=round(self.elapsed, 3),
                untried=self._untried,
                health_method=self._health_method,
            )
        elapsed = self.elapsed
        trace = self._recorder.snapshot()
        standing = await asyncio.to_thread(stand, trace, health_method=self._health_method)
        self._standing, self._stage = standing, "done"
        self._publish(done=True)
        return Investigation(
            target=self._api.base,
            elapsed_s=elapsed,
            diagnosis=standing.diagnosis,
            probes=tuple(self._probes),
            arms=judge.arms(trace),
            why=why,
            verification=proof,
            untried=tuple(self._untried),
            trace=trace,
        )

    async def _all(self) -> str:
        await self._probe()
        if self._halted:
            return self._why()
        if not await self._enter():
            await self._variants()
            await self._stand()
            return self._why("blocked")
        await self._second()
        if await self._over():
            return self._why("settled")
        await self._talk()
        await self._variants()
        await self._round()
        return await self._rounds()

    def _why(self, otherwise: str = "settled") -> str:
        if self._stop.is_set():
            return "interrupted"
        return "budget" if self.left <= 0 else otherwise

    async def _prove(self) -> Proof | None:
        """The recommended change, tried beside a control; in time of its own."""
        trial = trial_of((await self._stand()).diagnosis, self._profile.client.stabilise)
        if trial is None:
            self._untried.append("no change of the client stops this: mend the server, and run the same command again")
            return None
        self._stage = f"verifying: {trial.cure.change}"
        self._note(f"the cure is tried: about {trial.seconds:.0f} s for five pairs")
        await self._crew.dismiss(*self._crew.alive)
        self._budget += 4 * trial.seconds + 60
        return await Verification(trial, self._crew, rest=self._rest, halted=self._stop.is_set).run()

    # Steps

    async def _probe(self) -> None:
        """What opens no socket with a good token."""
        self._probes = await probe(
            self._api,
            bot=self._bot,
            profile=self._profile,
            proxy=self._proxy,
            recorder=self._recorder,
            on_probe=self._probes.append,
        )
        if self._other_bot is None:
            with contextlib.suppress(ChatkitError):
                self._other_bot = next((id for id, _ in await self._api.bots() if id != self._bot), None)

    async def _enter(self) -> bool:
        """One good connection, alone; whether it opened."""
        self._stage = "one connection alone"
        arm = await self._crew.open(treatments.ALONE)
        for pause in RETRIES:
            if arm.failure is None or self._halted:
                break
            wait = arm.failure.retry_after
            self._note(f"the connection was refused: {arm.failure.what}")
            if wait is not None and wait > RETRY_LONGEST:
                break
            await self._rest(max(pause, wait or 0.0))
            if not self._halted:
                arm = await self._crew.open(treatments.ALONE)
        if arm.failure is not None:
            return False
        await self._rest(ALONE)
        return True

    async def _second(self) -> None:
        """Another connection with the same token beside the first; again where the first ended at once."""
        self._stage = "a second connection beside the first"
        for turn in range(3):
            before = self._crew.alive
            if not before and turn == 0:
                return  # it is gone by itself: the rounds find out why
            if turn == 2 and self._other_bot is not None:
                await self._beside(self._other_bot)
                before = self._crew.alive
                if not before:
                    return
            arm = await self._crew.open(treatments.SILENT)
            if arm.failure is not None:
                await self._limit(arm.failure.status)
                return
            await self._rest(BESIDE)
            if self._halted or any(one.alive for one in before) or not arm.alive:
                return
            self._note("the second connection ended the first")

    async def _beside(self, other: str) -> None:
        """A connection to another bot beside the one that is left: does it take its place as well?"""
        arm = await self._crew.open(treatments.other_bot(other), "probe", timeout=4.0)
        await self._rest(BESIDE)
        await self._crew.dismiss(arm)

    async def _talk(self) -> None:
        """A chat message or two, while two connections listen."""
        if not self._chat:
            self._untried.append("no chat message was sent: lost, late or double replies cannot be seen")
            return
        self._stage = "a chat message"
        await self._say(3)

    async def _say(self, count: int) -> None:
        """Messages one after the other; a slow reply holds nothing up."""
        if self._halted or not self._crew.alive:
            return
        answers = [self._crew.speak(number) for number in range(count)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(2.5 + MESSAGE_GAP * count, self.left)):
                for answered in answers:
                    await answered.wait()
        await self._rest(0.3)

    async def _follow_up(self, standing: Standing) -> None:
        """More messages where one reply was lost: every time, or a share?"""
        if self._followed or not any(one.id in SHARES for one in standing.diagnosis.causes):
            return
        self._followed = True
        self._note("a reply is missing on the socket: six more messages, each over a connection of its own")
        await self._say(6)
        for _ in range(4):
            await self._stats()

    async def _stats(self) -> None:
        with contextlib.suppress(ChatkitError):
            async with self._crew.fresh() as api:
                await api.exchange("GET", self._profile.paths.stats, "stats", timeout=2.0)

    async def _variants(self) -> None:
        """Openings that are unlike the client's, one after the other, each once."""
        self._stage = "variants of the upgrade"
        variants = list(treatments.variants(origin_of(self._api.base)))
        if not self._crew.alive:
            variants.append(treatments.SUBPROTOCOLS)
        if self._other_bot is not None:
            variants.append(treatments.other_bot(self._other_bot))
        if self._crew.also is not None:
            variants.append(treatments.second_way(treatments.ALONE))
        for treatment in variants:
            if self._halted:
                return
            arm = await self._crew.open(treatment, "probe", timeout=4.0)
            if treatment.also:
                await self._rest(0.5)
                continue  # it stays, as those of the first way do
            await self._crew.dismiss(arm)
            self._probes.append(of_variant(treatment, arm.failure.status if arm.failure else 101))

    async def _round(self) -> None:
        """The first round of arms."""
        self._stage = "first round of arms"
        client = self._profile.client
        self._round_at = time.monotonic()
        arms = [*treatments.first_round(client.stabilise, client.ping_interval)]
        if self._intrusive:
            arms.append(treatments.growing())
        if self._theirs is not None:
            arms.insert(1, self._theirs)
        if self._crew.also is not None:
            arms += [treatments.second_way(treatments.control(client.stabilise, client.ping_interval))]
        for treatment in arms:
            if self._halted or await self._over():
                return
            while self._crew.room <= 0 and not self._halted:
                await self._rest(STAGGER)
            if treatment.id == treatments.SILENT.id and self._chat:
                self._crew.speak(0)
            arm = self._crew.start(treatment)
            await self._rest(STAGGER)
            if arm.failure is not None:
                await self._limit(arm.failure.status)
                return

    async def _limit(self, status: int | None) -> None:
        """An arm was refused while others live: is it their number, or the pace?"""
        if self._limit_tried or not self._crew.alive or status not in refusals.STATUSES:
            return
        self._limit_tried = True
        self._note("an arm was refused while others live: one of them leaves, and it is tried again")
        await refusals.fewer(self._crew, rest=self._rest)
        if not refusals.TOLD & {one.id for one in (await self._stand()).diagnosis.causes}:
            self._note("it is not their number: attempts follow ever more slowly")
            await refusals.slower(self._crew, rest=self._rest, left=lambda: self.left * (not self._halted))

    async def _rounds(self) -> str:
        """The arms that would tell most, until the cause stands or the budget is used up."""
        planned_at, failures = 0.0, 0
        while not self._halted:
            if await self._over():
                return self._why("settled")
            if self._standing is not None:
                await self._follow_up(self._standing)
            self._stage = "watching" if self._standing is None else planner.open_question(self._standing)
            now = time.monotonic()
            silent = sum(arm.gave_up or arm.waiting >= UNANSWERED for arm in self._crew)
            more, self._silent = silent > self._silent, silent
            if more:
                self._note("a ping stayed unanswered: does a new connection open at the same moment?")
                await self._crew.open(treatments.SILENT, timeout=3.0)
            if not self._crew.alive:
                await self._rest(1.0)
                arm = await self._crew.open(treatments.ALONE, timeout=3.0)
                failures = failures + 1 if arm.failure is not None else 0
                if failures >= 20:
                    return self._why("blocked")
            elif now - planned_at >= 1.0 and self._standing is not None:
                planned_at = now
                await self._plan(self._standing)
            await self._wait(LOOK)
        return self._why("budget")

    async def _plan(self, standing: Standing) -> None:
        room = min(4, self._crew.room)
        if room <= 0:
            await self._planning.make_room(standing)
            return
        for one in await self._planning.proposals(standing, room):
            if self._halted:
                return
            self._note(f"{one.treatment.what}: {one.treatment.asks} {one.bits:.2f} bits within {one.seconds:.0f} s")
            self._crew.start(one.treatment)
            await self._rest(STAGGER)

    # What is known

    async def _stand(self) -> Standing:
        trace = self._recorder.snapshot()
        self._standing = await asyncio.to_thread(stand, trace, health_method=self._health_method)
        return self._standing

    async def _over(self) -> bool:
        """Whether the cause stands, and nothing that could still be measured would tell more of it."""
        standing = await self._stand()
        if await bracket(self._crew, standing.diagnosis, rest=self._rest, left=self.left):
            return False
        if not planner.settled(standing):
            self._settled_at = None
            return await self._unchangeable(standing)
        now = time.monotonic()
        self._settled_at = self._settled_at or now
        top = standing.diagnosis.causes[0]
        if top.id in SHARES and self._chat and not self._followed:
            return False
        if standing.unexplained and "life" not in causes()[top.id].cases:
            return False  # a connection was lost as well: that is worth the rest of the budget
        if standing.trials is None:
            # A fault of the chat, or of the opening: the connections themselves have to be watched for a while.
            attempts = causes()[top.id].group <= 2 and not self._crew.alive
            return attempts or (self._round_at is not None and now - self._round_at >= ROUND)
        patience = max(REFINE, 1.3 * float(top.parameters.get("timeout_s") or 0.0))
        if now - self._settled_at >= patience:
            return True
        return await self._planning.measured_well(standing)

    async def _unchangeable(self, standing: Standing) -> bool:
        """Whether there is a fault of which no further arm would tell more."""
        if standing.diagnosis.verdict != "fault" or standing.unexplained or self._round_at is None:
            return False
        if standing.trials is not None and await self._planning.proposals(standing):
            return False
        lost = any(one.id in SHARES for one in standing.diagnosis.causes)
        return time.monotonic() - self._round_at >= ROUND and (self._followed or not lost or not self._chat)

    # What is shown

    def _crashed(self, error: BaseException) -> None:
        self._defect = error
        self._woken.set()

    async def _hear_stop(self, work: asyncio.Task[str]) -> None:
        await self._stop.wait()
        self._woken.set()
        work.cancel()  # it may be waiting for a server that does not answer

    async def _watch_health(self) -> None:
        while True:
            # Whether a server is away right after it dropped somebody is seen within moments, or never.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._crew.lost.wait(), HEALTH_EVERY)
            self._crew.lost.clear()
            await self._api.health("GET", HEALTH_LIMIT)

    async def _tell(self) -> None:
        while True:
            self._publish()
            await asyncio.sleep(0.5)

    def _note(self, text: str) -> None:
        self._notes.append(one_line(text, 200))
        self._publish()

    def _publish(self, done: bool = False) -> None:
        if self._on_progress is None:
            return
        probes = {one.id: ProbeLine(id=one.id, status=one.status, summary=one.summary) for one in self._probes}
        self._on_progress(
            Progress(
                stage=self._stage,
                elapsed=round(self.elapsed, 2),
                budget=self._budget,
                bars=bars(self._standing),
                probes=tuple(probes.values()),
                arms=self._crew.lines(),
                notes=tuple(self._notes[-8:]),
                done=done,
            )
        )
