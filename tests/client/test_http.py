"""The backend's HTTP side: every exchange is recorded, every failure is a sentence."""

from __future__ import annotations

import gzip
import json

import pytest

from chatkit.client.http import MAX_BODY, HttpApi, HttpStatusError, base_url
from chatkit.errors import AuthError, ConnectFailed, InvalidInput
from chatkit.events import HealthChecked, HttpAnswered, HttpFailed, HttpRequested, TokenChanged
from chatkit.profile import Auth, Paths, Profile
from conftest import TICK
from stories import make_jwt

from .conftest import Guest, peer, profile


def answering(*answers: bytes | str | dict, status: int = 200, fields: str = ""):
    """A peer that gives these bodies, one per request, to any number of guests."""
    rest = list(answers)

    async def talk(guest: Guest) -> None:
        while rest:
            await guest.head()
            answer = rest.pop(0)
            if isinstance(answer, dict | list):
                answer = json.dumps(answer)
            body = answer.encode() if isinstance(answer, str) else answer
            guest.writer.write(f"HTTP/1.1 {status} X\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    return talk


async def test_login_and_what_follows(lab, recorder) -> None:
    """Tokens are kept and used, and stay out of the record."""
    house = await lab()
    async with HttpApi(house.url, recorder=recorder) as api:
        assert ((api.credentials.token is not None), api.credentials.renewable, api.credentials.words()) == (
            False,
            False,
            "none",
        )
        await api.login("ada", house.password)
        assert ((api.credentials.token is not None), api.credentials.renewable) == (True, True)
        assert api.credentials.words().startswith("good, ")
        assert (await api.bot("echo"))["name"] == "Echo"
        session = await api.new_session("echo", "a title")
        assert await api.chat("echo", "hello", session) == ("hello", session)
        assert [row["content"] for row in await api.history(session)] == ["hello", "hello"]
        before = api.credentials.token
        # Within one second the lab's new token is the same text: it carries the contract's claims and nothing else.
        await api.refresh()
        secrets = [before, api.credentials.token, api.credentials.refresh_token]
    trace = recorder.snapshot()
    purposes = [event.purpose for event in trace if isinstance(event, HttpRequested)]
    assert purposes == ["login", "bot", "session", "chat", "history", "refresh"]
    answered = {event.exchange: event.status for event in trace if isinstance(event, HttpAnswered)}
    assert answered == {str(n): 200 for n in range(1, 7)}
    assert [event.how for event in trace if isinstance(event, TokenChanged)] == ["login", "refresh"]
    rows = b"\n".join(trace.rows).decode()
    assert not any(secret in rows for secret in secrets)


async def test_wrong_credentials(lab, recorder) -> None:
    """Refused by whom, with what; what to do."""
    house = await lab()
    async with HttpApi(house.url, recorder=recorder, refresh_token="opaque-refresh") as api:
        with pytest.raises(AuthError, match=r"login was refused \(POST /api/auth/login\)") as refused:
            await api.login("ada", "wrong-wrong")
        assert refused.value.refused_by == "POST /api/auth/login"
        with pytest.raises(AuthError, match="refresh was refused"):
            await api.refresh()
    async with HttpApi(house.url, recorder=recorder) as api:
        with pytest.raises(AuthError, match="no refresh token"):
            await api.refresh()


@pytest.mark.parametrize("answer", [{}, {"access_token": 3}, [], {"token": "x"}])
async def test_a_login_without_a_token(recorder, answer) -> None:
    """An answer that brings nothing is a refusal."""
    async with peer(answering(answer)) as port, HttpApi(f"http://127.0.0.1:{port}", recorder=recorder) as api:
        with pytest.raises(AuthError, match="brought no access_token"):
            await api.login("ada", "x" * 8)


async def test_a_login_without_a_new_refresh_token_keeps_the_old_one(recorder) -> None:
    """Some backends send it once."""
    talk = answering({"access_token": "opaque-2"}, {"access_token": "opaque-3"})
    async with peer(talk) as port:
        api = HttpApi(f"http://127.0.0.1:{port}", recorder=recorder, token="opaque-1", refresh_token="refresh-1")
        async with api:
            await api.refresh()
            assert api.credentials.renewable


@pytest.mark.parametrize(
    ("bot", "user", "status"), [("echo", "mallory", 403), ("nobody", "ada", 404), ("echo", None, 401)]
)
async def test_errors_are_facts(lab, recorder, bot: str, user: str | None, status: int) -> None:
    """Status, place and the backend's own words."""
    house = await lab()
    token = house.token_for(user) if user else None
    async with HttpApi(house.url, recorder=recorder, token=token) as api:
        with pytest.raises(HttpStatusError, match=f"answered bot with HTTP {status}") as failed:
            await api.bot(bot)
    assert failed.value.status == status
    (answered,) = [event for event in recorder.snapshot() if isinstance(event, HttpAnswered)]
    assert answered.detail


async def test_rate_limited(recorder) -> None:
    """The wait that the backend asks for is kept."""
    talk = answering("slow down", status=429, fields="Retry-After: 7\r\n")
    async with peer(talk) as port, HttpApi(f"http://127.0.0.1:{port}", recorder=recorder) as api:
        with pytest.raises(HttpStatusError) as failed:
            await api.chat("b", "hello", None)
    assert (failed.value.retry_after, failed.value.got) == (7, "slow down")
    (answered,) = [event for event in recorder.snapshot() if isinstance(event, HttpAnswered)]
    assert answered.retry_after == 7


async def test_bytes_of_an_exchange(recorder) -> None:
    """As the socket saw them, heads and bodies; a compressed answer counts as it came."""
    seen: list[int] = []

    async def talk(guest: Guest) -> None:
        head = await guest.head()
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        seen.append(len(head) + len(await guest.reader.readexactly(length)))
        body = gzip.compress(json.dumps({"message": "ü" * 5000}).encode())
        fields = f"Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n"
        answer = f"HTTP/1.1 200 OK\r\n{fields}\r\n".encode() + body
        seen.append(len(answer))
        guest.writer.write(answer)

    async with peer(talk) as port, HttpApi(f"http://127.0.0.1:{port}", recorder=recorder, token="opaque") as api:
        assert await api.chat("a b", "grüße", None) == ("ü" * 5000, None)
    (answered,) = [event for event in recorder.snapshot() if isinstance(event, HttpAnswered)]
    assert [answered.sent, answered.received] == seen


@pytest.mark.parametrize("body", ["<html>login</html>", "", "{"])
async def test_an_answer_that_is_not_json(recorder, body: str) -> None:
    """A login page where the API should be."""
    async with peer(answering(body)) as port, HttpApi(f"http://127.0.0.1:{port}", recorder=recorder) as api:
        with pytest.raises(HttpStatusError, match="not JSON"):
            await api.bot("b")


@pytest.mark.parametrize("answer", [[], {}, "x", 3, None, [1, {"a": 1}], {"messages": [{"id": "1"}, 2]}])
async def test_answers_of_another_shape(recorder, answer) -> None:
    """Read as far as they go, never an exception."""
    text = json.dumps(answer)
    async with peer(answering(*[text] * 4)) as port:
        async with HttpApi(f"http://127.0.0.1:{port}", recorder=recorder, token="opaque") as api:
            assert isinstance(await api.bot("b"), dict)
            assert await api.new_session("b") is None
            assert isinstance((await api.chat("b", "hello", "s"))[0], str)
            assert all(isinstance(row, dict) for row in await api.history("s"))


async def test_a_call_that_lists_bots(recorder) -> None:
    """Where the profile names one; rows that are none are skipped."""
    talk = answering([{"id": 1, "name": "One"}, {"id": "two"}, {"name": "x"}, 3])
    async with peer(talk) as port:
        url = f"http://127.0.0.1:{port}"
        async with HttpApi(url, recorder=recorder, profile=Profile(paths=Paths(bots="/bots"))) as api:
            assert await api.bots() == [("1", "One"), ("two", "two")]
        async with HttpApi(url, recorder=recorder) as api:
            assert await api.bots() == []


async def test_nobody_listens(recorder, unused_tcp_port) -> None:
    """No answer: the stage says that nothing was written."""
    async with HttpApi(f"http://127.0.0.1:{unused_tcp_port}", recorder=recorder) as api:
        with pytest.raises(ConnectFailed, match="no answer to bot") as failed:
            await api.bot("b")
    assert failed.value.stage == "tcp"
    assert [type(event) for event in recorder.snapshot()] == [HttpRequested, HttpFailed]


@pytest.mark.parametrize("how", ["reset", "silence", "garbage"])
async def test_no_proper_answer(recorder, how: str) -> None:
    """Something may have arrived: another stage."""

    async def talk(guest: Guest) -> None:
        await guest.head()
        if how == "reset":
            guest.reset()
        elif how == "garbage":
            guest.writer.write(b"SSH-2.0-x\r\n\r\n")
        else:
            await guest.silence()

    quick = profile(http_timeout=4 * TICK)
    async with peer(talk) as port:
        async with HttpApi(f"http://127.0.0.1:{port}", recorder=recorder, profile=quick) as api:
            with pytest.raises(ConnectFailed) as failed:
                await api.chat("b", "hello", "s")
    assert failed.value.stage == "upgrade"
    if how == "silence":
        assert "timed out" in failed.value.what


async def test_an_endless_answer(recorder) -> None:
    """Bounded: what a server sends is never taken without a limit."""

    async def talk(guest: Guest) -> None:
        await guest.head()
        guest.writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(MAX_BODY // 65_536 + 10):
            guest.writer.write(b"[" * 65_536)
            await guest.writer.drain()

    async with peer(talk) as port, HttpApi(f"http://127.0.0.1:{port}", recorder=recorder) as api:
        with pytest.raises(ConnectFailed, match="longer than"):
            await api.bot("b")


async def test_secrets_in_answers(recorder) -> None:
    """What the backend says back is looked at."""
    token = make_jwt()
    talk = answering(f"bad token {token}", status=401)
    async with peer(talk) as port, HttpApi(f"http://127.0.0.1:{port}", recorder=recorder, token=token) as api:
        with pytest.raises(HttpStatusError) as failed:
            await api.bot("b")
    assert token not in str(failed.value)
    assert "eyJ" not in b"\n".join(recorder.snapshot().rows).decode()


async def test_health_never_raises(recorder) -> None:
    """Whatever happens it is a check."""
    async with peer(answering("no", status=500)) as port:
        async with HttpApi(f"http://127.0.0.1:{port}", recorder=recorder) as api:
            checked = await api.health("GET", 1.0)
    assert (checked.healthy, checked.status) == (False, 500)
    (recorded,) = recorder.snapshot()
    assert isinstance(recorded, HealthChecked)
    assert (recorded.status, recorded.seconds) == (500, checked.seconds)


@pytest.mark.parametrize(
    ("auth", "bot", "url", "headers"),
    [
        (Auth(), "b", "ws://h:1/api/ws/chat/b?token=opaque%2F1", []),
        (Auth(), "a/b c", "ws://h:1/api/ws/chat/a%2Fb%20c?token=opaque%2F1", []),
        (Auth(), None, "ws://h:1/api/ws/notifications?token=opaque%2F1", []),
        (Auth(parameter="jwt"), "b", "ws://h:1/api/ws/chat/b?jwt=opaque%2F1", []),
        (Auth(socket="header"), "b", "ws://h:1/api/ws/chat/b", [("Authorization", "Bearer opaque/1")]),
    ],
)
async def test_where_the_token_goes(
    recorder, auth: Auth, bot: str | None, url: str, headers: list[tuple[str, str]]
) -> None:
    """Into the query or a header, as the profile says."""
    async with HttpApi("http://h:1/", recorder=recorder, profile=Profile(auth=auth), token="opaque/1") as api:
        assert (api.socket_url(bot), api.socket_headers()) == (url, headers)


async def test_another_token(recorder) -> None:
    """Set by hand; the refresh token stays unless another comes."""
    async with HttpApi("http://h", recorder=recorder, token="opaque-1", refresh_token="refresh-1") as api:
        api.set_token("opaque-2")
        assert (api.credentials.token, api.credentials.refresh_token) == ("opaque-2", "refresh-1")
        api.set_token(make_jwt(exp=5), "refresh-2")
        assert (api.credentials.claims.exp, api.credentials.refresh_token) == (5, "refresh-2")
    expiries = [event.expires for event in recorder.snapshot() if isinstance(event, TokenChanged)]
    assert expiries == [None, None, 5]


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://h", "http://h"),
        (" https://h:8443/prefix/ ", "https://h:8443/prefix"),
        ("ws://h:1", "http://h:1"),
        ("wss://h/", "https://h"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_base_url(url: str, base: str) -> None:
    """WebSocket schemes are taken as such."""
    assert base_url(url) == base


@pytest.mark.parametrize(
    "url", ["", "h", "h:8000", "ftp://h", "http://", "http://h:port", "http://h:99999", "http://h?x=1", "http://h/#x", "http://[::1", "http://h\x00"]
)  # fmt: skip
def test_urls_that_are_none(url: str) -> None:
    """Say what was expected; a token in a query is not repeated."""
    with pytest.raises(InvalidInput, match="Expected: http"):
        base_url(url)
