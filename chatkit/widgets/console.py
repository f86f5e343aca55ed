"""The incident console: connect, chat, see the state, check what works, and watch the timeline grow.

``ConsolePanel`` is the window: it holds what is shown and passes on what the user does. ``Console`` stacks it on a
live timeline and owns the chat. Nothing here waits on the kernel's main thread: commands run on the engine, and what
changes is pushed from there, at most ten times a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import anywidget
import ipywidgets
import traitlets

from chatkit.client.background import BackgroundChat, connect
from chatkit.client.engine import engine
from chatkit.errors import ChatkitError, InvalidInput
from chatkit.events import LoopLagged
from chatkit.profile import Profile
from chatkit.views.console import Facts, empty, view
from chatkit.widgets.explorer import TimelineExplorer

if TYPE_CHECKING:
    from chatkit.preflight import Check, CheckReport

STATIC = Path(__file__).parent / "static"
PUSH_INTERVAL = 0.1
"""Least seconds between two pushes of the view."""
REFRESH_INTERVAL = 10.0
"""Seconds after which the view is pushed although nothing happened: ages and the token's time move on."""
HINT = "Ten quick looks at the way to the bot: name, TCP, health, token, upgrade, first message."


class Lab(Protocol):
    """What the console needs of a lab."""

    @property
    def url(self) -> str: ...
    @property
    def bots(self) -> list[Any]: ...
    @property
    def user(self) -> str: ...
    @property
    def password(self) -> str: ...


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


class Console(ipywidgets.VBox):  # type: ignore[misc]
    """The incident console.

    Args:
        source: a lab, the base URL of a backend, a chat that exists already, or ``None`` for an empty form.
        bot: the bot's id; with a source and credentials the console connects at once.
        token, user, password: credentials; a lab brings its own.
        profile, policy, record_to: as for :func:`chatkit.connect`.

    ``console.chat`` is the conversation, with plain calls for the next cell. ``console.close()`` closes it.
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
        record_to: str | Path | None = None,
    ) -> None:
        url, bots, lab_user, lab_password = _describe(source)
        self._chat: BackgroundChat | None = None
        self._credentials = {"token": token, "user": user or lab_user, "password": password or lab_password}
        if token:
            self._credentials |= {"user": None, "password": None}
        self._options = {"profile": profile, "policy": policy, "record_to": record_to}
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
        )
        self.panel.on_msg(self._received)
        super().__init__([self.panel])
        if isinstance(source, BackgroundChat):
            self._attach(source)
        elif url and bot and ready:
            self._attach(self._connect(url, bot, {}))

    @property
    def chat(self) -> BackgroundChat:
        """The conversation.

        Raises:
            InvalidInput: the console is not connected.
        """
        if self._chat is None:
            raise InvalidInput("the console is not connected", remedy="press Connect, or give url, bot and a token")
        return self._chat

    def close(self) -> None:
        """Closes the chat and the window."""
        self._detach()
        if self._chat is not None:
            self._chat.close()
            self._chat = None
        super().close()

    # Connecting

    def _connect(self, url: str, bot: str, given: dict[str, str]) -> BackgroundChat:
        """Blocks until the first attempt is decided; called by the constructor, or on a worker thread."""
        typed = {name: given.get(name) or None for name in ("token", "user", "password")}
        credentials = typed if any(typed.values()) else self._credentials
        return connect(url, bot, **credentials, **self._options, name=f"console {id(self)}")  # type: ignore[arg-type]

    def _attach(self, chat: BackgroundChat) -> None:
        self._detach()
        self._chat, self._lag_seen, self._lag = chat, 0, None
        self._unsubscribe = engine().do(lambda: chat.client.subscribe(lambda what: self._schedule()))
        self.panel.problem = ""
        self.children = [self.panel, TimelineExplorer(chat.recorder)]
        self._push()
        engine().start(self._refresh(chat))

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
        }
        if what in actions:
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


def _describe(source: Any) -> tuple[str, list[dict[str, str]], str | None, str | None]:
    """URL, bots and credentials that a source brings."""
    if source is None:
        return "", [], None, None
    if isinstance(source, str):
        return source, [], None, None
    if isinstance(source, BackgroundChat):
        return source.client.api.base, [], None, None
    bots = [{"id": bot.id, "name": bot.name} for bot in source.bots]
    return source.url, bots, source.user, source.password


def _line(line: Check) -> dict[str, Any]:
    return {"title": line.title, "status": line.status, "summary": line.summary, "remedy": line.remedy or ""}


def _report(report: CheckReport) -> dict[str, Any]:
    return {"lines": [_line(line) for line in report.checks], "text": str(report)}
