"""The backend's HTTP side: login, refresh, bots, sessions, chat, history, health; every exchange is recorded.

Its ``credentials`` hold the tokens and are the only ones that do.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

import httpx

from chatkit.client.credentials import Credentials, Provider
from chatkit.client.opening import is_loopback, retry_after
from chatkit.errors import AuthError, ChatkitError, ConnectFailed, InvalidInput
from chatkit.events import HealthChecked, HttpAnswered, HttpFailed, HttpRequested
from chatkit.profile import DEFAULT, Profile, dig
from chatkit.recorder import Recorder
from chatkit.redact import guard_logs

_CODING = frozenset({"content-encoding", "content-length", "transfer-encoding"})
MAX_BODY = 16 << 20
"""Bytes of an answer that are read at most, after decompression; a longer one counts as no answer."""


class HttpStatusError(ChatkitError):
    """The backend answered a call with an error; ``status`` and ``retry_after`` (seconds) are facts of the answer."""

    def __init__(self, what: str, *, status: int, retry_after: float | None, got: str | None, where: str) -> None:
        super().__init__(what, got=got, where=where)
        self.status, self.retry_after = status, retry_after


class Writing:
    """How far a request got: whether any of it may have reached the server, and when all of it was handed over."""

    def __init__(self) -> None:
        self.began = False
        self.over = asyncio.Event()
        """Set once the request is written, or will not be."""

    async def see(self, what: str, info: Mapping[str, Any]) -> None:
        """httpcore's trace: https://www.encode.io/httpcore/extensions/#trace."""
        if what.endswith("send_request_headers.started"):
            self.began = True
        elif what.endswith("send_request_body.complete"):
            self.over.set()


class HttpApi:
    """One backend's HTTP API.

    Args:
        url: base URL, ``http://`` or ``https://``; ``ws`` and ``wss`` are taken as such.
        profile: the contract.
        recorder: where exchanges are recorded.
        token: access token.
        refresh_token: what gets another one.
        provider: asked for an access token whenever one is needed.
        proxy: whether proxies of the environment are used; never for loopback addresses.
        agent: who we say that we are, as ``User-Agent``; the library's own name where not given.

    Use it as an async context manager, or call :meth:`aclose`. Cancelling a call closes its HTTP connection; whether
    the server acted on it is then unknown.
    """

    def __init__(
        self,
        url: str,
        *,
        recorder: Recorder,
        profile: Profile = DEFAULT,
        token: str | None = None,
        refresh_token: str | None = None,
        provider: Provider | None = None,
        proxy: bool = True,
        agent: str | None = None,
    ) -> None:
        self.base = base_url(url)
        self.profile = profile
        self._recorder = recorder
        self.server_ahead: float | None = None
        """Seconds that the server's clock is ahead of ours, by the last ``Date`` header, which counts whole seconds."""
        guard_logs(recorder.redactor)
        trust = proxy and not is_loopback(urlsplit(self.base).hostname)
        try:
            self._client = httpx.AsyncClient(
                base_url=self.base,
                trust_env=trust,
                timeout=profile.client.connect_timeout,
                headers={"User-Agent": agent} if agent else None,
            )
        except (ValueError, ImportError, httpx.InvalidURL) as error:
            # The base was looked at before, so it is a proxy variable: another scheme, or SOCKS without its package.
            raise InvalidInput(
                "the proxy of the environment cannot be used",
                got=recorder.redactor.text(str(error)),
                where="HTTP_PROXY, HTTPS_PROXY, ALL_PROXY",
                remedy="correct the variable, or go without: --no-proxy (proxy=False in Python)",
            ) from None
        self.credentials = Credentials(recorder, token, refresh_token, provider)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes idle HTTP connections."""
        await self.credentials.close()
        await self._client.aclose()

    # Tokens

    @property
    def token_left(self) -> float | None:
        """Seconds until the access token expires, by the server's clock where it is known; ``None`` without expiry."""
        claims = self.credentials.claims
        if claims is None or claims.exp is None:
            return None
        return claims.exp - time.time() - (self.server_ahead or 0.0)

    def set_token(self, token: str, refresh_token: str | None = None) -> None:
        """Uses another access token from now on."""
        self.credentials.keep(token, refresh_token or self.credentials.refresh_token, "set")

    def socket_url(self, bot: str | None) -> str:
        """The WebSocket URL of a bot, or of the notifications for ``None``; carries the token where it belongs."""
        paths = self.profile.paths
        path = paths.notifications_socket if bot is None else paths.chat_socket.format(bot_id=quote(bot, safe=""))
        return self._with_token(path)

    def mux_url(self) -> str:
        """The URL of the one socket for all bots; the profile has to name it."""
        assert self.profile.paths.mux_socket is not None
        return self._with_token(self.profile.paths.mux_socket)

    def _with_token(self, path: str) -> str:
        url, token = "ws" + self.base.removeprefix("http") + path, self.credentials.token
        if self.profile.auth.socket == "query" and token is not None:
            url += ("&" if "?" in path else "?") + urlencode({self.profile.auth.parameter: token})
        return url

    def socket_headers(self) -> list[tuple[str, str]]:
        """Extra request fields of the upgrade."""
        if self.profile.auth.socket == "header" and self.credentials.token is not None:
            return [("Authorization", f"Bearer {self.credentials.token}")]
        return []

    def bot_path(self, bot: str) -> str:
        """The path of the call that describes a bot."""
        return self.profile.paths.bot.format(bot_id=quote(bot, safe=""))

    # Calls

    async def login(self, user: str, password: str) -> None:
        """Gets tokens for a user.

        Raises:
            AuthError: refused.
            ConnectFailed: no answer.
        """
        self._recorder.redactor.add(password)
        path = self.profile.paths.login
        body = {"username": user, "password": password}
        await self._fetch_tokens(path, body, "login", "check user name and password")

    async def refresh(self, stale: str | None = None) -> None:
        """Gets another access token; concurrent callers share one attempt. ``stale`` is the token that was refused:
        where it is not in use any more, nothing is asked.

        Raises:
            AuthError: there is nothing to ask with, or it was refused.
            ConnectFailed: no answer.
        """
        await self.credentials.renew(self._refresh, stale)

    async def _refresh(self) -> None:
        token = self.credentials.refresh_token
        if token is None:
            raise AuthError("there is no refresh token", remedy="log in again, or give a new token")
        await self._fetch_tokens(self.profile.paths.refresh, {"refresh_token": token}, "refresh", "log in again")

    async def _fetch_tokens(self, path: str, body: Mapping[str, str], purpose: str, remedy: str) -> None:
        try:
            answer = await self.call("POST", path, purpose, json=body, bearer=False)
        except HttpStatusError as error:
            if error.status >= 500 or error.status in (408, 425, 429):
                # Nobody refused anything: whoever issues tokens cannot do it right now.
                target = self._recorder.redactor.text(self.base + path)
                raise ConnectFailed(
                    f"no token: {error.what}", target=target, stage="token", retry_after=error.retry_after
                ) from None
            raise AuthError(
                f"the {purpose} was refused", refused_by=f"POST {path}", got=f"HTTP {error.status}", remedy=remedy
            ) from None
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str):
            raise AuthError(f"the {purpose} brought no access_token", refused_by=f"POST {path}")
        refresh = answer.get("refresh_token")
        kept = refresh if isinstance(refresh, str) else self.credentials.refresh_token
        self.credentials.keep(token, kept, purpose)

    async def bot(self, bot: str) -> dict[str, Any]:
        """What the backend says of a bot; raises :class:`HttpStatusError` with 401, 403 or 404 where it refuses."""
        answer = await self.call("GET", self.bot_path(bot), "bot")
        return answer if isinstance(answer, dict) else {}

    async def bots(self) -> list[tuple[str, str]]:
        """Ids and names of the bots, empty where the profile names no such call."""
        if self.profile.paths.bots is None:
            return []
        answer = await self.call("GET", self.profile.paths.bots, "bots")
        rows = answer if isinstance(answer, list) else []
        return [
            (str(row["id"]), str(row.get("name", row["id"]))) for row in rows if isinstance(row, dict) and "id" in row
        ]

    async def new_session(self, bot: str, title: str | None = None) -> str | None:
        """Starts a session; its id."""
        path = self.profile.paths.sessions.format(bot_id=quote(bot, safe=""))
        answer = await self.call("POST", path, "session", json={"title": title} if title else {})
        return str(answer["id"]) if isinstance(answer, dict) and "id" in answer else None

    async def chat(
        self, bot: str, text: str, session: str | None, client_id: str | None = None, writing: Writing | None = None
    ) -> tuple[str, str | None]:
        """Sends a user's message; the reply's text and the session's id.

        Args:
            bot, text, session: what goes where.
            client_id: our id of the message, for backends that know what is sent again.
            writing: is told how far the request got.
        """
        path = self.profile.paths.chat.format(bot_id=quote(bot, safe=""))
        body = {"message": text} | ({"session_id": session} if session else {})
        body |= {self.profile.send.id_key: client_id} if client_id else {}
        timeout = self.profile.client.http_timeout
        answer = await self.call("POST", path, "chat", json=body, timeout=timeout, writing=writing)
        reply = dig(answer, self.profile.fields.http_reply)
        found = dig(answer, self.profile.fields.http_session)
        return str(reply) if reply is not None else "", str(found) if found is not None else session

    async def history(self, session: str) -> list[dict[str, Any]]:
        """The messages of a session, oldest first."""
        path = self.profile.paths.history.format(session_id=quote(session, safe=""))
        answer = await self.call("GET", path, "history")
        rows = answer.get("messages") if isinstance(answer, dict) else answer
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []

    async def health(self, method: str, timeout: float) -> HealthChecked:
        """One look at the health endpoint, recorded and returned; never raises for an unhealthy or absent backend."""
        began = time.monotonic()
        status, error = None, None
        try:
            response = await self._request(method, self.profile.paths.health, timeout=timeout)
            status = response.status_code
        except httpx.HTTPError as failure:
            error = self._words(failure)
        facts: dict[str, Any] = {
            "method": method,
            "healthy": status is not None and 200 <= status < 300,
            "seconds": round(time.monotonic() - began, 6),
            "status": status,
            "error": error,
        }
        self._recorder.record(HealthChecked, **facts)
        return HealthChecked(id="", at=self._recorder.now(), **facts)

    async def call(
        self,
        method: str,
        path: str,
        purpose: str,
        *,
        json: Any = None,
        bearer: bool = True,
        timeout: float | None = None,
        writing: Writing | None = None,
    ) -> Any:
        """One exchange, recorded; the decoded JSON of a 2xx answer.

        Raises:
            HttpStatusError: another status.
            ConnectFailed: no answer: refused, unreachable, timed out after ``timeout`` seconds.
        """
        answer = await self.exchange(method, path, purpose, json=json, bearer=bearer, timeout=timeout, writing=writing)
        if not answer.is_success:
            raise HttpStatusError(
                f"the backend answered {purpose} with HTTP {answer.status_code}",
                status=answer.status_code,
                retry_after=retry_after(answer.headers.get("Retry-After")),
                got=self._detail(answer),
                where=f"{method} {path}",
            )
        try:
            return answer.json()
        except ValueError:
            raise HttpStatusError(
                f"the backend answered {purpose} with something that is not JSON",
                status=answer.status_code,
                retry_after=None,
                got=self._detail(answer),
                where=f"{method} {path}",
            ) from None

    async def exchange(
        self,
        method: str,
        path: str,
        purpose: str,
        *,
        json: Any = None,
        bearer: bool = True,
        timeout: float | None = None,
        writing: Writing | None = None,
    ) -> httpx.Response:
        """One exchange, recorded; the answer whatever its status. Raises as :meth:`call` where none comes."""
        exchange = self._recorder.exchange()
        token = self.credentials.token
        headers = {"Authorization": f"Bearer {token}"} if bearer and token else {}
        common = {"exchange": exchange, "purpose": purpose, "method": method}
        self._recorder.record(HttpRequested, url=self.base + path, **common)
        began = time.monotonic()
        options: dict[str, Any] = {"timeout": timeout} if timeout is not None else {}
        if writing is not None:
            options["extensions"] = {"trace": writing.see}
        try:
            response = await self._request(method, path, json=json, headers=headers, **options)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            words = self._words(error)
            took = round(time.monotonic() - began, 6)
            self._recorder.record(HttpFailed, error=words, seconds=took, **common)
            stage = "tcp" if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) else "upgrade"
            raise ConnectFailed(
                f"no answer to {purpose}: {words}",
                target=self._recorder.redactor.text(self.base + path),
                stage=stage,
                remedy="check that the backend runs and the URL is right",
            ) from None
        self._recorder.record(
            HttpAnswered,
            status=response.status_code,
            seconds=round(time.monotonic() - began, 6),
            retry_after=retry_after(response.headers.get("Retry-After")),
            detail=None if response.is_success else self._detail(response),
            sent=response.extensions["sent"],
            received=response.extensions["received"],
            **common,
        )
        return response

    async def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A whole answer, not longer than :data:`MAX_BODY`: what a server sends is never taken without a bound.

        Its extensions ``sent`` and ``received`` are bytes on the wire.
        """
        async with self._client.stream(method, path, **options) as response:
            self._compare_clocks(response.headers.get("Date"))
            body = bytearray()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > MAX_BODY:
                    raise httpx.ReadError(f"the answer is longer than {MAX_BODY:,} bytes")
        # The body is decoded already, so the fields that describe its coding no longer hold.
        fields = [(name, value) for name, value in response.headers.multi_items() if name not in _CODING]
        bytes_ = {"sent": _bytes_sent(response.request), "received": _bytes_received(response)}
        return httpx.Response(
            response.status_code, headers=fields, content=bytes(body), request=response.request, extensions=bytes_
        )

    def _compare_clocks(self, date: str | None) -> None:
        with contextlib.suppress(ValueError, OverflowError):
            if date is not None:
                # A Date is cut to the second: the middle of that second is the best guess.
                self.server_ahead = parsedate_to_datetime(date).timestamp() + 0.5 - time.time()

    def _words(self, error: Exception) -> str:
        if isinstance(error, httpx.TimeoutException):
            return "timed out"
        return self._recorder.redactor.text(str(error) or type(error).__name__)

    def _detail(self, response: httpx.Response) -> str | None:
        return self._recorder.redactor.prefix(response.content[:300]).decode("utf-8", "replace").strip() or None


def _bytes_sent(request: httpx.Request) -> int:
    """Bytes of a request as HTTP/1.1 writes it: start line, fields, empty line, body."""
    start = len(f"{request.method} ") + len(request.url.raw_path) + len(" HTTP/1.1\r\n")
    return start + _fields(request) + len(request.content)


def _bytes_received(response: httpx.Response) -> int:
    """Bytes of an answer: its head, and its body before it was decompressed; the marks of chunks are not counted."""
    start = len(f"HTTP/1.1 {response.status_code} {response.reason_phrase}\r\n")
    return start + _fields(response) + response.num_bytes_downloaded


def _fields(message: httpx.Request | httpx.Response) -> int:
    return sum(len(name) + len(value) + len(": \r\n") for name, value in message.headers.raw) + len("\r\n")


def base_url(url: str) -> str:
    """The base URL with an HTTP scheme and no trailing slash.

    Raises:
        InvalidInput: not a URL of a backend.
    """
    schemes = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
    try:
        parts = urlsplit(url.strip())
    except ValueError as error:
        raise InvalidInput("the URL cannot be read", expected="http://host:port", got=str(error), where="url") from None
    if parts.scheme not in schemes or not parts.netloc:
        raise InvalidInput(
            "this is no URL of a backend",
            expected="http://host:port or https://host",
            got=url if parts.scheme in schemes else f"the scheme {parts.scheme or 'none'!r}",
            where="url",
        )
    try:
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidInput("the URL cannot be read", expected="http://host:port", got=str(error), where="url") from None
    if not host or parts.query or parts.fragment:
        raise InvalidInput(
            "the URL is more than a base",
            expected="http://host:port[/prefix], without query",
            where="url",
            remedy="leave the path of the WebSocket and the token out: profile and token= hold them",
        )
    base = f"{schemes[parts.scheme]}://{parts.netloc}{parts.path.rstrip('/')}"
    try:
        httpx.URL(base)
    except httpx.InvalidURL as error:
        raise InvalidInput("the URL cannot be read", expected="http://host:port", got=str(error), where="url") from None
    return base
