"""The incident console: connect, chat, see the state, check what works, and watch the timeline grow.

``ConsolePanel`` is the window: it holds what is shown and passes on what the user does. ``Console`` lays it out on
one screen with an investigation and a live timeline, and owns the chat. Nothing here waits on the kernel's main
thread: commands run on the engine, and what changes is pushed from there, at most ten times a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import ipywidgets
import traitlets

from chatkit.client.background import BackgroundChat, connect
from chatkit.client.engine import engine
from chatkit.diagnosis import diagnose
from chatkit.errors import ChatkitError, InvalidInput
from chatkit.events import LoopLagged
from chatkit.profile import Profile
from chatkit.trace import Trace
from chatkit.views.console import Facts, empty, view
from chatkit.widgets.explorer import TimelineExplorer
from chatkit.widgets.exports import export
from chatkit.widgets.intake import Intake
from chatkit.widgets.investigate import Investigate
from chatkit.widgets.source import Lab, describe
from chatkit.widgets.verdict import Verdict

if TYPE_CHECKING:
    from chatkit.experiments.result import Investigation
    from chatkit.inspection import Inspection
    from chatkit.preflight import Check, CheckReport

STATIC = Path(__file__).parent / "static"
PUSH_INTERVAL = 0.1
"""Least seconds between two pushes of the view."""
REFRESH_INTERVAL = 10.0
"""Seconds after which the view is pushed although nothing happened: ages and the token's time move on."""
WORK = "chatkit-work"
"""Folder of exports where none is named."""
MOST_DOWNLOADED = 50_000_000
"""Bytes of an export that are handed to the browser as well."""
HINT = "Ten quick looks at the way to the bot: name, TCP, health, token, upgrade, first message."


class ConsolePanel(anywidget.AnyWidget):
    """The window. ``view``, ``checks`` and ``problem`` are what is shown; no secret is ever in a trait."""

    _esm = STATIC / "console.js"
    _css = STATIC / "console.css"
    form = traitlets.Dict().tag(sync=True)
    """First values of the form: ``url``, ``bot``, ``bots``, ``user``, ``ready`` (credentials are there already)."""
    view = traitlets.Dict().tag(sync=True)
    """See ``chatkit.views.console.view``."""
    checks = traitlets.Dict().tag(sync=True)
    """Pre-flight lines: ``lines``, ``text``, ``running``, ``hint``."""
    problem = traitlets.Unicode().tag(sync=True)
    """What went wrong with the last command, in words."""
    evidence = traitlets.Dict().tag(sync=True)
    """``phase`` (``none``, ``coming``, ``reading``, ``shown``), ``words``."""
    exported = traitlets.Unicode().tag(sync=True)
    """Where the last export was written, in words."""


class Console(ipywidgets.VBox):  # type: ignore[misc]
    """The incident console.

    Args:
        source: a lab, the base URL of a backend, a chat that exists already, or ``None`` for an empty form.
        bot: the bot's id; with a source and credentials the console connects at once.
        token, user, password: credentials; a lab brings its own.
        profile, policy, queue, record_to: as for :func:`chatkit.connect`.
        folder: where queue, recording and exports go, made where it is not there; after a restart of the kernel
            conversation, timeline and unsent messages are found in it again. Without it, exports go to
            ``chatkit-work`` and nothing else is kept.

    ``console.chat`` is the conversation, with plain calls for the next cell; ``console.evidence`` is the trace of the
    files that were dropped on it, ``console.investigation`` what an investigation in it found. ``console.close()``
    closes it. The same cell run again shows the same conversation:
    no second connection is made.
    """

    def __init__(
        self,
        source: Lab | BackgroundChat | str | None = None,
        *,
        bot: str | None = None,
        token: str | None = None,
        user: str | None = None,
        password: str | None = None,
        profile: Profile | str | Path | None = None,
        policy: str = "default",
        queue: str | Path | None = None,
        record_to: str | Path | None = None,
        folder: str | Path | None = None,
    ) -> None:
        self._folder = Path(folder) if folder is not None else Path(WORK)
        if folder is not None:
            queue, record_to = _kept_in(self._folder, queue, record_to)
        self._intake: Intake | None = None
        self._inspection: Inspection | None = None
        self._verdict: Verdict | None = None
        self._timeline: TimelineExplorer | None = None
        self._investigate: Investigate | None = None
        url, bots, lab_user, lab_password = describe(source)
        self._chat: BackgroundChat | None = None
        self._key: tuple[str, ...] = ()
        self._credentials = {"token": token, "user": user or lab_user, "password": password or lab_password}
        if token:
            self._credentials |= {"user": None, "password": None}
        self._used: dict[str, str | None] = {}
        """With which the conversation was begun."""
        self._options = {"profile": profile, "policy": policy, "queue": queue, "record_to": record_to}
        self._go_on = folder is not None
        self._unsubscribe: Any = None
        self._push_due = False
        self._lag_seen = 0
        self._lag: float | None = None
        if isinstance(source, BackgroundChat):
            bot = source.client.bot
        ready = any(self._credentials.values()) or isinstance(source, BackgroundChat)
        chosen = bot or (bots[0]["id"] if bots else "")
        self.panel = ConsolePanel(
            form={"url": url, "bot": chosen, "bots": bots, "user": user or "", "ready": ready},
            view=empty(time.time()),
            checks={"lines": [], "hint": HINT},
            evidence={"phase": "none"},
        )
        self.panel.add_class("ck-contents")
        self.panel.on_msg(self._received)
        self.desk = ipywidgets.Box([self.panel])
        self.desk.add_class("ck-desk")
        super().__init__([self.desk])
        self.add_class("ck-desk-frame")
        if isinstance(source, BackgroundChat):
            self._attach(source)
        elif url and bot and ready:
            self._key = (url, bot, *(str(option) for option in self._options.values()))
            previous = _CONNECTED.get(self._key)
            if previous is None or not self._take_over(previous):
                self._attach(self._connect(url, bot, {}))
            _CONNECTED[self._key] = self

    @property
    def chat(self) -> BackgroundChat:
        """The conversation.

        Raises:
            InvalidInput: the console is not connected.
        """
        if self._chat is None:
            raise InvalidInput("the console is not connected", remedy="press Connect, or give url, bot and a token")
        return self._chat

    @property
    def evidence(self) -> Trace:
        """What the dropped files say, as one trace.

        Raises:
            InvalidInput: no evidence was dropped, or it could not be read.
        """
        if self._inspection is None:
            raise InvalidInput("there is no evidence", remedy="drop a HAR, a capture, a NetLog or a log on the console")
        return self._inspection.trace

    @property
    def investigation(self) -> Investigation:
        """What the investigation found.

        Raises:
            InvalidInput: the console is not connected, or there is no result.
        """
        if self._investigate is None:
            raise InvalidInput("there is nothing to investigate yet", remedy="press Connect, then Start")
        return self._investigate.investigation

    def close(self) -> None:
        """Closes the chat, an investigation that runs, and the window."""
        self._detach()
        for window in (self._investigate, self._timeline, self._verdict):
            if window is not None:
                window.close()
        if self._intake is not None:
            self._intake.close()
        if _CONNECTED.get(self._key) is self:
            del _CONNECTED[self._key]
        if self._chat is not None:
            self._chat.close()
            self._chat = None
        super().close()

    # Connecting

    def _connect(self, url: str, bot: str, given: dict[str, str]) -> BackgroundChat:
        """Blocks until the first attempt is decided; called by the constructor, or on a worker thread."""
        typed = {name: given.get(name) or None for name in ("token", "user", "password")}
        self._used = typed if any(typed.values()) else self._credentials
        name = f"console {id(self)}"
        return connect(url, bot, **self._used, **self._options, go_on=self._go_on, name=name)  # type: ignore[arg-type]

    def _take_over(self, previous: Console) -> bool:
        """The conversation of the cell's former run goes on in this window; whether there is one that goes on."""
        chat = previous._chat
        if chat is None or chat.status.word in ("Closed", "Failed"):
            return False
        previous._detach()
        previous._chat = None
        left = empty(time.time())
        left["state"]["explain"] = "The conversation goes on in the console that was made later."
        previous.panel.view = left
        if (token := self._credentials["token"]) is not None and token != chat.token:
            chat.set_token(token)
        self._used, self._investigate, previous._investigate = previous._used, previous._investigate, None
        self._inspection = previous._inspection
        if self._inspection is not None:
            self._verdict, self.panel.evidence = previous._verdict, previous.panel.evidence
        self._attach(chat)
        return True

    def _attach(self, chat: BackgroundChat) -> None:
        self._detach()
        self._chat, self._lag_seen, self._lag = chat, chat.recorder.former, None
        self._unsubscribe = engine().do(lambda: chat.client.subscribe(lambda what: self._schedule()))
        self.panel.problem = ""
        self._timeline = TimelineExplorer(chat.recorder)
        self._timeline.add_class("ck-live")
        self._prepare_investigation(chat)
        self._arrange()
        self._push()
        engine().start(self._refresh(chat))

    def _prepare_investigation(self, chat: BackgroundChat) -> None:
        """Of the backend and the bot that is talked to, with the same credentials."""
        former, form = self._investigate, {"url": chat.url, "bot": chat.client.bot}
        if former is not None and form.items() <= former.panel.form.items():
            return
        if former is not None:
            former.close()
        credentials = self._used or {"token": chat.token}
        self._investigate = Investigate(
            chat.url,
            chat.client.bot,
            **credentials,  # type: ignore[arg-type]
            profile=self._options["profile"],
            inside=True,
        )
        self._investigate.add_class("ck-investigate-place")

    def _arrange(self) -> None:
        """Evidence stands above all that is live: who dropped it wants to read it."""
        parts = (self.panel, self._verdict, self._investigate, self._timeline)
        self.desk.children = [one for one in parts if one is not None]

    def _detach(self) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    # What the user does

    def _received(self, widget: Any, content: dict[str, Any], buffers: Any) -> None:
        what = content.get("type")
        actions = {
            "connect": self._on_connect,
            "disconnect": self._on_disconnect,
            "retry": self._on_retry,
            "token": self._on_token,
            "send": self._on_send,
            "typing": self._on_typing,
            "check": self._on_check,
            "export": self._on_export,
            "evidence-end": self._on_evidence_end,
            "evidence-close": self._on_evidence_close,
        }
        if what in ("evidence", "evidence-piece"):
            self._take(what, content, buffers)
        elif what in actions:
            engine().start(self._guard(actions[what](content)))

    async def _guard(self, action: Coroutine[Any, Any, None]) -> None:
        """Shows a foreseeable mistake in the console instead of losing it in a thread."""
        try:
            await action
        except ChatkitError as error:
            self.panel.problem = str(error)
        except Exception as error:
            self.panel.problem = f"chatkit failed: {type(error).__name__}: {error}"

    async def _on_connect(self, content: dict[str, Any]) -> None:
        self.panel.problem = ""
        bot, url = str(content.get("bot", "")), str(content.get("url", ""))
        if not bot:
            raise InvalidInput("no bot is named", expected="a bot's id", where="the field beside the URL")
        chat = await asyncio.to_thread(self._connect, url, bot, content)
        await asyncio.to_thread(self._attach, chat)

    async def _on_disconnect(self, content: dict[str, Any]) -> None:
        if self._chat is not None:
            await self._chat.client.close()
            self._push()

    async def _on_retry(self, content: dict[str, Any]) -> None:
        self.chat.client.reconnect()

    async def _on_token(self, content: dict[str, Any]) -> None:
        self.chat.client.set_token(str(content.get("token", "")))
        self.chat.client.reconnect()

    async def _on_send(self, content: dict[str, Any]) -> None:
        self.panel.problem = ""
        self.chat.client.send(str(content.get("text", "")))

    async def _on_typing(self, content: dict[str, Any]) -> None:
        if self._chat is not None:
            self._chat.client.typing()

    async def _on_check(self, content: dict[str, Any]) -> None:
        from chatkit.preflight import check

        lines: list[dict[str, Any]] = []

        def show(line: Check) -> None:
            lines.append(_line(line))
            self.panel.checks = {"lines": list(lines), "running": True}

        self.panel.checks = {"lines": [], "running": True}
        credentials = dict(self._credentials)
        if self._chat is not None:
            credentials = {"token": self._chat.client.api.credentials.token, "user": None, "password": None}
        url, bot = str(content.get("url", "")), str(content.get("bot", ""))
        try:
            report = await check(url, bot=bot, **credentials, profile=self._options["profile"], on_check=show)  # type: ignore[arg-type]
        except BaseException:
            self.panel.checks = {"lines": lines, "hint": HINT if not lines else ""}
            raise
        self.panel.checks = _report(report)

    # Evidence and exports

    def _take(self, what: str, content: dict[str, Any], buffers: Any) -> None:
        """On the main thread, where pieces come in order; each is answered, so that the browser never runs ahead."""
        try:
            if what == "evidence":
                self._drop()
                self.panel.problem = ""
                names = [str(name) for name in content.get("names", [])]
                self._intake = Intake(names, int(content.get("size", 0)))
                self.panel.evidence = {"phase": "coming", "words": ", ".join(self._intake.names)[:200]}
            elif self._intake is None:
                return
            for piece in buffers:
                self._intake.add(int(content.get("file", -1)), piece)
            self.panel.send({"type": "evidence-got", "bytes": self._intake.received})
        except (ChatkitError, OSError) as error:
            self._drop()
            self.panel.problem = str(error)

    async def _on_evidence_end(self, content: dict[str, Any]) -> None:
        intake, self._intake = self._intake, None
        if intake is None:
            return
        self.panel.evidence = {"phase": "reading", "words": f"reading {', '.join(intake.names)[:200]}"}
        try:
            found = await asyncio.to_thread(intake.read, self._options["profile"])
            shown = await asyncio.to_thread(Verdict, found.trace, found.diagnosis)
            shown.add_class("ck-evidence-verdict")
        except BaseException:
            self.panel.evidence = {"phase": "none"}
            raise
        finally:
            intake.close()
        self._inspection, self._verdict = found, shown
        words = "; ".join(f"{one.file}: {one.format}" for one in found.inputs)[:300]
        self.panel.evidence = {"phase": "shown", "words": words}
        self._arrange()

    async def _on_evidence_close(self, content: dict[str, Any]) -> None:
        self._drop()

    def _drop(self) -> None:
        """No evidence any more: what was coming is taken away, what was shown too."""
        if self._intake is not None:
            self._intake.close()
        if self._verdict is not None:
            self._verdict.close()
        self._intake = self._inspection = self._verdict = None
        self.panel.evidence = {"phase": "none"}
        self._arrange()

    async def _on_export(self, content: dict[str, Any]) -> None:
        self.panel.problem = ""
        inspection, kind = self._inspection, str(content.get("kind", ""))

        def make() -> tuple[Path, bytes]:
            trace = inspection.trace if inspection is not None else self.chat.trace
            diagnosis = inspection.diagnosis if inspection is not None else diagnose(trace)
            return export(kind, trace, diagnosis, self._folder, time.time())

        self.panel.exported = "writing…"
        try:
            path, written = await asyncio.to_thread(make)
        except BaseException:
            self.panel.exported = ""
            raise
        what = "The evidence" if inspection is not None else "This recording"
        offered = len(written) <= MOST_DOWNLOADED
        self.panel.exported = f"{what} is in {path.absolute()}, {len(written) / 1000:,.0f} kB" + (
            "" if offered else "; too large to hand to the browser as well"
        )
        if offered:
            self.panel.send({"type": "download", "name": path.name, "view": content.get("view")}, [written])

    # What is shown

    def _schedule(self) -> None:
        """On the engine's loop: something changed; push soon, together with what changes until then."""
        if not self._push_due:
            self._push_due = True
            asyncio.get_running_loop().call_later(PUSH_INTERVAL, self._push)

    async def _refresh(self, chat: BackgroundChat) -> None:
        while self._chat is chat and chat.status.word != "Closed":
            await asyncio.sleep(REFRESH_INTERVAL)
            self._push()

    def _push(self) -> None:
        self._push_due = False
        if self._chat is not None:
            self.panel.view = view(self._facts(self._chat))

    def _facts(self, chat: BackgroundChat) -> Facts:
        client = chat.client
        claims = client.api.credentials.claims
        return Facts(
            status=client.status,
            explanation=client.explain(),
            messages=client.messages,
            typing=client.typing_users,
            health=client.health.status,
            rules=client.rules,
            rtt=client.rtt,
            lag=self._latest_lag(chat),
            expires=claims.exp if claims is not None else None,
            has_token=client.api.credentials.token is not None,
            epoch=client.recorder.epoch,
            began=client.recorder.began,
            now=time.time(),
            send_via=client.profile.send.via,
        )

    def _latest_lag(self, chat: BackgroundChat) -> float | None:
        """The last loop lag recorded; looks only at what is new since the last push."""
        news = chat.recorder.snapshot(self._lag_seen)
        self._lag_seen = int(news[-1].id) + 1 if len(news) else self._lag_seen
        lags = news.select(kinds={"LoopLagged"})
        if len(lags):
            last = lags[-1]
            assert isinstance(last, LoopLagged)
            self._lag = last.lag
        return self._lag

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            # Stable text: what a plain reader, a diff and nbval see.
            data["text/plain"] = "chatkit console: connection, conversation, check, timeline"
        return bundle


_CONNECTED: dict[tuple[str, ...], Console] = {}
"""Consoles that connected by themselves, by what they were asked for: a cell that is run again finds its own."""


def _kept_in(folder: Path, queue: Any, record_to: Any) -> tuple[Any, Any]:
    """Queue and recording in ``folder``, where the caller named none.

    Raises:
        InvalidInput: there can be no such folder.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"the folder cannot be made: {error.strerror}", where=str(folder)) from None
    return queue or folder / "outbox.db", record_to or folder / "recording.jsonl"


def _line(line: Check) -> dict[str, Any]:
    return {"title": line.title, "status": line.status, "summary": line.summary, "remedy": line.remedy or ""}


def _report(report: CheckReport) -> dict[str, Any]:
    return {"lines": [_line(line) for line in report.checks], "text": str(report)}
