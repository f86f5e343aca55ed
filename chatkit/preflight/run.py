"""Does the steps of the pre-flight check: in a row as far as each needs the one before, together where none does.

    url → dns → tcp → tls → ┬ health-get → health-head
                            └ login → ┬ token (waits for an answer's Date)
                                      ├ bot
                                      └ upgrade → established → pings → close

A step whose predecessor failed is not tried. Every step is bounded, and all of them share one budget.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from chatkit.client.connection import RecordedConnection
from chatkit.client.http import HttpApi
from chatkit.client.opening import Resolver, find_proxy, resolve
from chatkit.errors import ConnectFailed, InvalidInput
from chatkit.preflight import judge
from chatkit.preflight.judge import Answer, Line, ms
from chatkit.preflight.reach import Place
from chatkit.preflight.report import TITLES, CheckReport
from chatkit.preflight.sheet import Listener, Sheet, Work, clean, sentence
from chatkit.preflight.talk import Talk
from chatkit.profile import Profile
from chatkit.profile import load as load_profile
from chatkit.recorder import Recorder

_SOCKET = ("upgrade", "established", "ping-application", "ping-protocol", "close")


async def check(
    url: str,
    *,
    bot: str,
    token: str | None = None,
    user: str | None = None,
    password: str | None = None,
    profile: Profile | str | Path | None = None,
    pings: bool = False,
    proxy: bool = True,
    recorder: Recorder | None = None,
    on_check: Listener | None = None,
    resolver: Resolver = resolve,
    socket: bool = True,
    agent: str | None = None,
) -> CheckReport:
    """What works right now on the way to a chat; it sends no chat message.

    Takes at most about 3 seconds, whatever hangs; with ``pings`` the profile's stabilisation delay (5 s by default)
    and the pongs come on top.

    Args:
        url: base URL of the backend; a wrong one is the first line of the report, not an exception.
        bot: the bot's id.
        token: access token (JWT).
        user, password: log in with these; the token of the login is used then.
        profile: the backend's contract; a :class:`Profile` or the path of a TOML file.
        pings: whether to wait and send one application ping and one RFC 6455 ping.
        proxy: whether proxies of the environment are used; never for loopback addresses.
        recorder: where the events go; the caller closes it. A new one, in memory, when not given.
        on_check: called on this loop with each line as soon as it is finished; lines that do not depend on each
            other finish in any order, the report has them in the order of :func:`plan`.
        resolver: looks names up.
        socket: whether a WebSocket is opened; without one only the steps before it are done.
        agent: who the HTTP calls say that we are; the library's own name where not given.

    Raises:
        InvalidInput: no bot is named, or a user without a password.
        ProfileError: the profile cannot be used.

    Cancelling closes what is open and loses the lines that were not finished.

    >>> import asyncio, chatkit
    >>> with chatkit.LabServer() as lab:
    ...     report = asyncio.run(chatkit.check(lab.url, bot="echo", token=lab.token))
    >>> report["tcp"].status, report["upgrade"].status
    ('pass', 'pass')
    """
    if not bot:
        raise InvalidInput("no bot is named", expected="a bot's id", where="bot")
    if (user is None) != (password is None):
        raise InvalidInput("a login needs both user and password", where="user, password")
    login = (user, password) if user is not None and password is not None else None
    steps = Preflight(
        url,
        bot=bot,
        token=token,
        login=login,
        profile=load_profile(profile),
        pings=pings,
        proxy=proxy,
        recorder=Recorder() if recorder is None else recorder,
        on_check=on_check or (lambda check: None),
        resolver=resolver,
        socket=socket,
        agent=agent,
    )
    return await steps.run()


def plan(url: str, *, login: bool, socket: bool = True) -> tuple[str, ...]:
    """The ids of the lines that a check of ``url`` has, in their order."""
    tls = url.strip().lower().startswith(("https:", "wss:"))
    absent = ({"tls"} if not tls else set()) | ({"login"} if not login else set())
    absent |= set(_SOCKET) if not socket else set()
    return tuple(id for id in TITLES if id not in absent)


class Preflight:
    """One check; see :func:`check`."""

    def __init__(
        self,
        url: str,
        *,
        bot: str,
        token: str | None,
        login: tuple[str, str] | None,
        profile: Profile,
        pings: bool,
        proxy: bool,
        recorder: Recorder,
        on_check: Listener,
        resolver: Resolver,
        socket: bool,
        agent: str | None,
    ) -> None:
        self._url, self._bot, self._token, self._login = url, bot, token, login
        self._profile, self._pings, self._proxy = profile, pings, proxy
        self._recorder, self._on_check, self._resolver = recorder, on_check, resolver
        self._opens, self._agent = socket, agent
        self._plan = plan(url, login=login is not None, socket=socket)
        self._sheet = Sheet(self._plan, recorder, on_check)

    async def run(self) -> CheckReport:
        """All steps."""
        self._recorder.redactor.add(self._token)
        self._recorder.redactor.add(self._login[1] if self._login else None)
        began = time.monotonic()
        try:
            await self._all()
        except BaseExceptionGroup as group:
            # One defect, or a listener's exception: the caller gets it as it was raised.
            raise _innermost(group) from None
        return CheckReport(
            target=clean(self._url, self._recorder.redactor),
            elapsed_s=round(time.monotonic() - began, 6),
            checks=self._sheet.checks,
        )

    async def _all(self) -> None:
        try:
            api = HttpApi(
                self._url,
                recorder=self._recorder,
                profile=self._profile,
                token=self._token,
                proxy=self._proxy,
                agent=self._agent,
            )
        except InvalidInput as error:
            summary = f"{error.what}; expected {error.expected}" if error.expected else error.what
            summary += f", got {error.got}" if error.got is not None else ""
            remedy = error.remedy or "give the base URL, for example http://localhost:8000"
            self._sheet.enter("url", Line(status="fail", summary=summary, remedy=remedy))
            return self._sheet.skip(self._plan, "because the URL cannot be used")
        async with api:
            self._sheet.enter("url", Line(status="pass", summary=api.base))
            blocker = await self._reach(api)
            if blocker is not None:
                return self._sheet.skip(self._plan, f"because {TITLES[blocker]} failed")
            async with asyncio.TaskGroup() as group:
                group.create_task(self._health(api))
                group.create_task(self._enter(api))

    # The way there

    async def _reach(self, api: HttpApi) -> str | None:
        """DNS, TCP, TLS; the id of the one that failed."""
        socket_url = api.socket_url(self._bot)
        proxy = find_proxy(socket_url) if self._proxy else None
        if proxy is not None:
            # The proxy resolves the name and makes the connection: what we could do ourselves proves nothing.
            self._sheet.skip(
                ("dns", "tcp", "tls"),
                f"because the proxy {proxy} does it",
                "nothing, or go without the proxy: --no-proxy",
            )
            return None
        place = Place(api.base, self._resolver)
        steps: list[tuple[str, Work]] = [("dns", place.resolve), ("tcp", place.connect)]
        if place.secure:
            steps.append(("tls", place.shake_hands))
        for id, work in steps:
            if (await self._sheet.step(id, work)).status == "fail":
                return id
        return None

    # HTTP

    async def _health(self, api: HttpApi) -> None:
        path = self._profile.paths.health
        monitored = self._profile.client.health_method == "HEAD"

        async def get() -> Line:
            return judge.health(await self._ask_health(api, "GET"), path)

        async def head() -> Line:
            return judge.health_head(await self._ask_health(api, "HEAD"), good, monitored=monitored)

        good = (await self._sheet.step("health-get", get)).status == "pass"
        await self._sheet.step("health-head", head)

    async def _ask_health(self, api: HttpApi, method: str) -> Answer:
        limit = self._sheet.limit()
        try:
            async with asyncio.timeout(limit):
                found = await api.health(method, limit)
        except TimeoutError:
            return Answer(error=f"none within {limit:.1f} s", seconds=limit)
        error = f"none within {limit:.1f} s" if found.error == "timed out" else found.error
        return Answer(status=found.status, error=error, seconds=found.seconds)

    async def _enter(self, api: HttpApi) -> None:
        login = self._login
        if login is not None:

            async def log_in() -> Line:
                began = time.monotonic()
                await api.login(*login)
                return Line(status="pass", summary=f"tokens came in {ms(time.monotonic() - began)}")

            if (await self._sheet.step("login", log_in)).status == "fail":
                later = [id for id in ("token", "bot", *_SOCKET) if id in self._plan]
                return self._sheet.skip(later, "because the login failed")
        talk = Talk(api, self._bot, self._recorder, proxy=self._proxy, limit=self._sheet.limit)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._see_token(api))
            group.create_task(self._sheet.step("bot", lambda: self._see_bot(api)))
            if self._opens:
                group.create_task(self._socket(talk))

    async def _see_token(self, api: HttpApi) -> None:
        # Any answer carries the server's Date; both steps are bounded.
        await self._sheet.line("health-get")
        bot = await self._sheet.line("bot")

        async def line() -> Line:
            if api.credentials.token is None:
                return judge.no_token(bot.status, bot.details.get("http_status"))
            return judge.token(api.credentials.claims, now=time.time(), ahead=api.server_ahead)

        await self._sheet.step("token", line)

    async def _see_bot(self, api: HttpApi) -> Line:
        began = time.monotonic()
        response = await api.exchange("GET", api.bot_path(self._bot), "bot", timeout=self._sheet.limit())
        answer = Answer(
            status=response.status_code,
            seconds=time.monotonic() - began,
            location=response.headers.get("Location") if response.is_redirect else None,
        )
        try:
            body = response.json()
        except (ValueError, RecursionError):
            body = None
        name = body.get("name") if isinstance(body, dict) else None
        shown = name[:60] if isinstance(name, str) else None
        return judge.bot(answer, shown, is_json=isinstance(body, dict), has_token=api.credentials.token is not None)

    # The socket

    async def _socket(self, talk: Talk) -> None:
        began = time.monotonic()
        try:
            connection = await talk.open()
        except ConnectFailed as error:
            took = time.monotonic() - began
            self._sheet.enter("upgrade", await self._refused(error), took)
            return self._sheet.skip(_SOCKET, "because the upgrade failed")
        self._sheet.enter("upgrade", talk.upgraded(connection, time.monotonic() - began), time.monotonic() - began)
        try:
            await self._converse(talk, connection)
        finally:
            connection.abort()

    async def _refused(self, error: ConnectFailed) -> Line:
        if error.status is None:
            return Line(status="fail", summary=sentence(error), remedy=error.remedy, details={"stage": error.stage})
        token, bot = await self._sheet.line("token"), await self._sheet.line("bot")
        return judge.refused(
            error.status,
            error.what,
            error.remedy,
            token_bad=token.summary if token.status == "fail" else None,
            bot_status=bot.details.get("http_status"),
        )

    async def _converse(self, talk: Talk, connection: RecordedConnection) -> None:
        if (await self._sheet.step("established", lambda: talk.established(connection))).status == "fail":
            self._sheet.skip(("ping-application", "ping-protocol"), "because the connection was not established")
        elif not self._pings:
            wait = self._profile.client.stabilise
            self._sheet.skip(
                ("ping-application", "ping-protocol"),
                f"because nobody asked: the first ping waits {wait:g} s",
                "chatkit check --pings, pings=True in Python",
            )
        else:
            ended = await talk.quiet(connection)
            if ended is not None:
                self._sheet.enter("ping-application", ended)
                self._sheet.skip(("ping-protocol",), "because the connection ended before the first ping")
            else:
                await self._sheet.step("ping-application", lambda: talk.ping_application(connection), talk.patience)
                if talk.is_open(connection):
                    await self._sheet.step("ping-protocol", lambda: talk.ping_protocol(connection), talk.patience)
            self._sheet.renew()  # the pings' time is not the budget's
        if talk.is_open(connection):
            await self._sheet.step("close", lambda: talk.close(connection))
        self._sheet.skip(("ping-protocol", "close"), "because the connection ended before")


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
