"""The *Investigate* panel: start experiments against a live backend, watch them, read the verdict.

``InvestigatePanel`` is the window: it holds what is shown and passes on what the user does. ``Investigate`` owns the
investigation, which runs on the engine: no cell blocks, and no cell blocks it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anywidget
import ipywidgets
import traitlets
from msgspec import Struct
from msgspec.structs import replace

from chatkit.client.engine import engine
from chatkit.client.http import base_url
from chatkit.client.opening import is_loopback
from chatkit.client.tasks import Tasks
from chatkit.diagnosis import diagnose
from chatkit.errors import ChatkitError, InvalidInput
from chatkit.experiments.cures import trial_of
from chatkit.experiments.progress import Progress
from chatkit.experiments.result import Investigation
from chatkit.investigation import investigate
from chatkit.profile import Profile
from chatkit.profile import load as load_profile
from chatkit.recorder import Recorder
from chatkit.redact import DEFAULT
from chatkit.trace import Trace
from chatkit.views import investigation as views
from chatkit.views import progress, verdict
from chatkit.widgets.source import Lab, describe

STATIC = Path(__file__).parent / "static"
PUSH_INTERVAL = 0.25
"""Least seconds between two pushes of the panel."""
STOP_TIMEOUT = 0.8
"""Seconds that a stopped investigation may take to say goodbye; then it is cut."""

CHAT_QUESTION = (
    "{host} is not this machine. A chat message there may cost money, stays in the history and reaches other people. "
    "May a few short ones be sent? Without them lost, late or double replies cannot be seen."
)
INTRUSIVE_QUESTION = (
    "Intrusive experiments send payloads that grow until something breaks. Other users of {host} may feel that. Do you "
    "run this backend, or were you asked to do this?"
)


class Plan(Struct, frozen=True, kw_only=True):
    """What is going to be investigated. Holds no credentials."""

    base: str
    bot: str
    budget: float
    chat: bool
    intrusive: bool
    verify: bool = False
    """Whether the cure is tried, too."""


class InvestigatePanel(anywidget.AnyWidget):
    """The window. No secret is ever in a trait; what is shown survives another display."""

    _esm = STATIC / "investigate.js"
    _css = (
        (STATIC / "console.css").read_text("utf-8")
        + (STATIC / "investigate.css").read_text("utf-8")
        + progress.stylesheet()
    )
    form = traitlets.Dict().tag(sync=True)
    """``url``, ``bot``, ``bots``, ``budget``, ``chat``, ``intrusive``, ``ready`` (credentials are there already),
    ``inside`` (whom to talk to is said elsewhere)."""
    state = traitlets.Dict().tag(sync=True)
    """``phase`` (``idle``, ``asking``, ``running``, ``stopping``), ``words``, ``problem``, ``question``, ``again``,
    ``verify`` (there is a cure that can be tried)."""
    head = traitlets.Unicode().tag(sync=True)
    """HTML, as the next ones: see ``chatkit.views.progress.parts``."""
    bars = traitlets.Unicode().tag(sync=True)
    arms = traitlets.Unicode().tag(sync=True)
    probes = traitlets.Unicode().tag(sync=True)
    notes = traitlets.Unicode().tag(sync=True)
    found = traitlets.Unicode().tag(sync=True)
    """The verdict and how it was found, HTML."""


class Investigate(ipywidgets.VBox):  # type: ignore[misc]
    """The panel of an investigation.

    Args:
        source: a lab, the base URL of a backend, or ``None`` for an empty form.
        bot: the bot's id.
        token, user, password: credentials; a lab brings its own. They may be typed in as well.
        profile, also, evidence, health_method: as for :func:`chatkit.investigate`.
        budget: seconds for probes and arms together.
        chat, intrusive: what is permitted, in code: it is not asked again for this host. ``None`` permits chat
            messages on loopback only. What is ticked in the panel is asked once more before it starts.
        inside: whether it is part of a window that says already which backend, bot and token.

    Everything happens in the background. ``panel.investigation`` is the result, for the next cell; :meth:`start`
    and :meth:`wait` do what the buttons do. :meth:`close` ends what runs and takes the window away.
    """

    def __init__(
        self,
        source: Lab | str | None = None,
        bot: str | None = None,
        token: str | None = None,
        *,
        user: str | None = None,
        password: str | None = None,
        profile: Profile | str | Path | None = None,
        budget: float = 90.0,
        chat: bool | None = None,
        intrusive: bool = False,
        also: str | None = None,
        evidence: str | Path | Trace | None = None,
        health_method: str | None = None,
        inside: bool = False,
    ) -> None:
        url, bots, lab_user, lab_password = describe(source)
        if token is None and user is None:
            user, password = lab_user, lab_password
        self._token, self._login = token, (user, password)
        self._also, self._evidence, self._health_method = also, evidence, health_method
        self._profile = load_profile(profile)
        self._named = profile is not None
        self._permitted = {(what, url) for what, given in (("chat", chat), ("intrusive", intrusive)) if given}
        self._tasks = Tasks(self._crashed)
        self._task: asyncio.Task[None] | None = None
        self._stop: asyncio.Event | None = None
        self._recorder: Recorder | None = None
        self._investigation: Investigation | None = None
        self._plan: Plan | None = None
        self._open_questions: list[str] = []
        self._latest: Progress | None = None
        self._push_due = False
        self.panel = InvestigatePanel(
            form={
                "url": url,
                "bot": bot or (bots[0]["id"] if bots else ""),
                "bots": bots,
                "budget": f"{budget:g}",
                "chat": _on_this_machine(url) if chat is None else chat,
                "intrusive": intrusive,
                "ready": bool(token or user),
                "inside": inside,
            },
            state={"phase": "idle"},
        )
        self.panel.on_msg(self._received)
        super().__init__([self.panel])

    # For the next cell

    @property
    def investigation(self) -> Investigation:
        """The result.

        Raises:
            InvalidInput: there is none (yet).
        """
        if self._investigation is None:
            problem = self.panel.state.get("problem")
            raise InvalidInput(
                "there is no result" + (f": {problem}" if problem else " yet"), remedy="press Start, and wait for it"
            )
        return self._investigation

    @property
    def running(self) -> bool:
        """Whether an investigation is under way."""
        return self._task is not None and not self._task.done()

    def start(self, *, verify: bool = False) -> None:
        """Begins, with what is in the form; nothing is asked: what was not permitted in code is left out.

        Args:
            verify: whether the recommended change is then tried beside a control; takes time of its own.

        Raises:
            InvalidInput: something is missing, or an investigation is under way.
        """
        if self.running:
            raise InvalidInput("an investigation is under way", remedy="wait for it, or stop it")
        engine().call(self._start_permitted(verify))

    def stop(self) -> None:
        """Ends it within about a second; what is known by then is the result."""
        engine().call(self._on_stop({}))

    def wait(self, timeout: float | None = None) -> Investigation:
        """Waits until it is finished; the result.

        Raises:
            TimeoutError: it was not within ``timeout`` seconds; it goes on.
            InvalidInput: there is no result: it failed, or was never started.
        """
        engine().call(self._finished(), timeout)
        return self.investigation

    def close(self) -> None:
        """Ends what runs and takes the window away."""
        engine().call(self._end())
        super().close()

    async def _finished(self) -> None:
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _end(self) -> None:
        await self._tasks.close()

    # What the user does

    def _received(self, widget: Any, content: dict[str, Any], buffers: Any) -> None:
        actions = {
            "form": self._on_form,
            "start": self._on_start,
            "verify": self._on_start,
            "stop": self._on_stop,
            "answer": self._on_answer,
        }
        what = content.get("type")
        if what in actions:
            engine().start(self._guard(actions[what](content)))

    async def _guard(self, action: Coroutine[Any, Any, None]) -> None:
        """Shows a foreseeable mistake in the panel instead of losing it in a thread."""
        try:
            await action
        except Exception as error:
            self._show(phase="running" if self.running else "idle", problem=_sentence(error), question={})

    async def _on_form(self, content: dict[str, Any]) -> None:
        name, value = str(content.get("name")), content.get("value")
        form = dict(self.panel.form)
        if name not in ("url", "bot", "budget", "chat", "intrusive"):
            return
        form[name] = bool(value) if name in ("chat", "intrusive") else str(value)
        if name == "url" and value != self.panel.form["url"]:
            # Chat is what the host makes of it: permitted on this machine, and nowhere else by itself.
            form["chat"], form["intrusive"] = _on_this_machine(str(value)), False
        self.panel.form = form

    async def _on_start(self, content: dict[str, Any]) -> None:
        if self.running:
            return
        if token := str(content.get("token") or "").strip():
            self._token, self._login = token, (None, None)
            self.panel.form = self.panel.form | {"ready": True}
        self._plan = plan = replace(self._read(), verify=content.get("type") == "verify")
        self._open_questions = [
            what
            for what, ticked in (("chat", plan.chat and not _on_this_machine(plan.base)), ("intrusive", plan.intrusive))
            if ticked and (what, self.panel.form["url"]) not in self._permitted
        ]
        await self._ask_or_begin()

    async def _on_answer(self, content: dict[str, Any]) -> None:
        plan, answer = self._plan, content.get("answer")
        if plan is None or not self._open_questions or content.get("about") != self._open_questions[0]:
            return
        what = self._open_questions.pop(0)
        if answer == "yes":
            await self._ask_or_begin()
        elif answer == "no":
            self._plan = replace(plan, **{what: False})
            await self._ask_or_begin()
        else:
            self._open_questions = []
            self._show(phase="idle", question={})

    async def _ask_or_begin(self) -> None:
        assert self._plan is not None
        if not self._open_questions:
            return await self._begin(self._plan)
        what = self._open_questions[0]
        host = urlsplit(self._plan.base).hostname
        chat = what == "chat"
        question = {
            "about": what,
            "text": (CHAT_QUESTION if chat else INTRUSIVE_QUESTION).format(host=host),
            "yes": "Send messages" if chat else "Yes, be intrusive",
            "no": "Leave them out",
        }
        self._show(phase="asking", problem="", question=question)

    async def _start_permitted(self, verify: bool) -> None:
        plan = self._read()
        url = self.panel.form["url"]
        chat = plan.chat and (_on_this_machine(plan.base) or ("chat", url) in self._permitted)
        intrusive = plan.intrusive and ("intrusive", url) in self._permitted
        self._plan = replace(plan, chat=chat, intrusive=intrusive, verify=verify)
        await self._begin(self._plan)

    async def _on_stop(self, content: dict[str, Any]) -> None:
        task, stop = self._task, self._stop
        if task is None or stop is None or task.done():
            return
        stop.set()
        self._show(phase="stopping")
        await asyncio.wait({task}, timeout=STOP_TIMEOUT)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})

    def _read(self) -> Plan:
        """What the form says.

        Raises:
            InvalidInput: something is missing, or no number.
        """
        form = self.panel.form
        if not form["url"]:
            raise InvalidInput("no backend is named", expected="http://host:port", where="the field URL")
        if not form["bot"]:
            raise InvalidInput("no bot is named", expected="a bot's id", where="the field bot")
        try:
            budget = float(form["budget"])
        except ValueError:
            budget = math.nan
        if not math.isfinite(budget):
            raise InvalidInput("that is no budget", expected="seconds, 5 or more", got=form["budget"], where="budget")
        return Plan(
            base=base_url(form["url"]), bot=form["bot"], budget=budget, chat=form["chat"], intrusive=form["intrusive"]
        )

    # What runs

    async def _begin(self, plan: Plan) -> None:
        """Makes room for it (a cell that is run again leaks nothing), and begins."""
        key = ("investigate", plan.base, plan.bot)
        await asyncio.to_thread(engine().release, key)
        engine().own(key, self._end)
        self._stop, self._investigation, self._latest = asyncio.Event(), None, None
        self._recorder = Recorder(target=plan.base, types=self._profile.types)
        self._draw_live(Progress(stage="begins", elapsed=0.0, budget=plan.budget))
        self.panel.found = ""
        self._show(phase="running", words="begins", problem="", question={}, again=True, verify=False)
        self._task = self._tasks.spawn(self._run(plan, key), "investigation")

    async def _run(self, plan: Plan, key: object) -> None:
        problem = ""
        try:
            await self._investigate(plan)
        except asyncio.CancelledError:
            await self._show_known()
            raise
        except Exception as error:
            problem = _sentence(error)
        finally:
            engine().disown(key, self._end)
            words = "finished" if self._investigation is not None else "stopped"
            self._show(phase="idle", words=words, problem=problem)

    async def _investigate(self, plan: Plan) -> None:
        user, password = self._login
        found = await investigate(
            plan.base,
            bot=plan.bot,
            token=self._token,
            user=user,
            password=password,
            profile=self._profile if self._named else None,
            budget=plan.budget,
            chat=plan.chat,
            intrusive=plan.intrusive,
            recorder=self._recorder,
            on_progress=self._progressed,
            stop=self._stop,
            also=self._also,
            evidence=self._evidence,
            health_method=self._health_method,
            verify=plan.verify,
        )
        self._investigation = found
        card = await asyncio.to_thread(views.card, found, style=False)
        self._draw_live(None)
        self.panel.found = card
        curable = trial_of(found.diagnosis, self._profile.client.stabilise) is not None
        self._show(verify=curable and found.verification is None)

    async def _show_known(self) -> None:
        """It was cut: the last look stays, and what the recording says so far is added."""
        assert self._recorder is not None
        trace = self._recorder.snapshot()
        card = await asyncio.to_thread(lambda: verdict.card(diagnose(trace), trace, style=False))
        if self._latest is not None:
            self._draw_live(replace(self._latest, stage="stopped: what was known until then", done=True))
        self.panel.found = card

    def _crashed(self, error: BaseException) -> None:
        self._show(phase="idle", problem=_sentence(error))

    # What is shown

    def _progressed(self, look: Progress) -> None:
        """On the engine's loop: push soon, together with what comes until then."""
        self._latest = look
        if not self._push_due:
            self._push_due = True
            asyncio.get_running_loop().call_later(PUSH_INTERVAL, self._push)

    def _push(self) -> None:
        self._push_due = False
        if self._latest is not None and self.running and not self.panel.found:
            self._draw_live(self._latest)
            self._show(words=self._latest.stage)

    def _draw_live(self, look: Progress | None) -> None:
        parts = progress.parts(look) if look is not None else progress.Parts("", "", "", "", "")
        with self.panel.hold_sync():
            for name, html in parts._asdict().items():
                setattr(self.panel, name, html)

    def _show(self, **changes: Any) -> None:
        self.panel.state = self.panel.state | changes

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            # Stable text: what a plain reader, a diff and nbval see.
            data["text/plain"] = "chatkit investigation: form, hypotheses, arms, verdict"
        return bundle


def _on_this_machine(url: str) -> bool:
    try:
        return is_loopback(urlsplit(base_url(url)).hostname)
    except InvalidInput:
        return False


def _sentence(error: BaseException) -> str:
    words = str(error) if isinstance(error, ChatkitError) else f"chatkit failed: {type(error).__name__}: {error}"
    return DEFAULT.text(words)
