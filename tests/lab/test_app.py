"""The HTTP half of the contract, row by row."""

from __future__ import annotations

import threading
import warnings

import httpx
import jwt
import pytest

from chatkit.lab import Bot, LabServer


async def test_health_is_get_only(house) -> None:
    """HEAD is 405."""
    http = (await house()).client()
    healthy = await http.get("/health")
    assert (healthy.status_code, healthy.json()) == (200, {"status": "healthy"})
    assert "date" in healthy.headers
    assert (await http.head("/health")).status_code == 405


def test_the_first_request_touches_no_warnings(monkeypatch) -> None:
    """Filters belong to the process: two labs that change them at once would print what each of them silences."""
    touched = []

    class Seen(warnings.catch_warnings):
        def __init__(self, **options: object) -> None:
            touched.append(threading.current_thread().name)
            super().__init__(**options)

    with LabServer() as lab:
        monkeypatch.setattr(warnings, "catch_warnings", Seen)
        answer = httpx.get(f"{lab.url}/api/bots/echo", headers={"Authorization": f"Bearer {lab.token}"})
    assert answer.status_code == 200
    assert "chatkit-lab" not in touched


async def test_login_and_refresh(house) -> None:
    """Both give the same shape; the claims are those of the contract."""
    http = (await house()).client()
    login = await http.post("/api/auth/login", json={"username": "ada", "password": "lab"})
    tokens = login.json()
    assert set(tokens) == {"access_token", "refresh_token", "token_type"}
    access, refresh = (
        jwt.decode(tokens[k], options={"verify_signature": False}) for k in ("access_token", "refresh_token")
    )
    assert (access["sub"], access["type"], access["exp"] - access["iat"]) == ("ada", "access", 1800)
    assert set(access) == {"sub", "exp", "iat", "type"}
    assert (refresh["type"], refresh["exp"] - refresh["iat"]) == ("refresh", 604_800)
    again = await http.post("/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert set(again.json()) == set(tokens)


@pytest.mark.parametrize(("username", "password"), [("ada", "wrong"), ("nobody", "lab"), ("ada", "🤖")])
async def test_a_wrong_login_is_401(house, username, password) -> None:
    """And says no more."""
    http = (await house()).client()
    refused = await http.post("/api/auth/login", json={"username": username, "password": password})
    assert refused.status_code == 401


async def test_an_access_token_refreshes_nothing(house) -> None:
    """Nor does garbage."""
    home = await house()
    for token in (home.lab.token, "garbage"):
        refused = await home.client().post("/api/auth/refresh", json={"refresh_token": token})
        assert refused.status_code == 401


@pytest.mark.parametrize(
    ("user", "ttl", "bot", "status"),
    [
        ("ada", None, "echo", 200),
        ("grace", None, "echo", 200),
        ("ada", -5, "echo", 401),
        ("nobody", None, "echo", 401),
        ("mallory", None, "echo", 403),
        ("ada", None, "unknown", 404),
    ],
)
@pytest.mark.parametrize("call", ["details", "session", "chat"])
async def test_who_may_use_a_bot(house, user, ttl, bot, status, call) -> None:
    """200, 401, 403 and 404 on every call that names a bot."""
    home = await house()
    http = home.client(home.lab.token_for(user, ttl))
    answer = {
        "details": lambda: http.get(f"/api/bots/{bot}"),
        "session": lambda: http.post(f"/api/conversations/bots/{bot}/sessions", json={}),
        "chat": lambda: http.post(f"/api/conversations/bots/{bot}/chat", json={"message": "x"}),
    }[call]()
    assert (await answer).status_code == status


async def test_no_token_is_401(house) -> None:
    """With the header that says how to log in."""
    refused = await (await house()).client().get("/api/bots/echo")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"


async def test_sessions_and_history(house) -> None:
    """A session keeps both sides of what was said, in order."""
    home = await house()
    http = home.client(home.lab.token)
    session = (await http.post("/api/conversations/bots/echo/sessions", json={"title": "Test"})).json()
    assert (session["bot_id"], session["user_id"], session["title"]) == ("echo", "ada", "Test")
    for text in ("one", "two"):
        answer = await http.post(
            "/api/conversations/bots/echo/chat", json={"message": text, "session_id": session["id"]}
        )
        assert set(answer.json()) == {"message", "session_id", "chunks_used", "processing_time", "metadata"}
        assert (answer.json()["message"], answer.json()["session_id"]) == (text, session["id"])
    history = (await http.get(f"/api/conversations/sessions/{session['id']}/messages")).json()
    assert [(m["role"], m["content"]) for m in history] == [
        ("user", "one"),
        ("assistant", "one"),
        ("user", "two"),
        ("assistant", "two"),
    ]
    assert all(set(m) == {"id", "role", "content", "created_at"} for m in history)
    assert (await http.get("/api/conversations/sessions/none/messages")).status_code == 404


async def test_a_session_without_body_or_title(house) -> None:
    """Both are optional."""
    home = await house()
    http = home.client(home.lab.token)
    assert (await http.post("/api/conversations/bots/echo/sessions")).json()["title"] == "Chat with Echo"


async def test_a_chat_without_session_begins_one(house) -> None:
    """And one with an unknown session is 404."""
    ada = await (await house()).enter()
    session_id = (await ada.chat("echo", "hi")).json()["session_id"]
    assert (await ada.hear("chat_response"))["data"]["session_id"] == session_id
    assert (await ada.chat("echo", "hi", session_id="none")).status_code == 404


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'{"message": ""}', 422),
        (b'{"message": "%s"}' % (b"x" * 10_000), 200),
        (b'{"message": "%s"}' % (b"x" * 10_001), 422),
        (b'{"message": 3}', 422),
        (b'{"message": "\\ud800"}', 422),
        (b"{}", 422),
        (b"", 422),
        (b"{", 422),
    ],
)
async def test_the_length_of_a_message(house, content, status) -> None:
    """1 to 10000 characters; the refusal repeats nothing of the input."""
    home = await house()
    http = home.client(home.lab.token)
    answer = await http.post(
        "/api/conversations/bots/echo/chat", content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code == status
    assert "input" not in answer.json()


async def test_the_rate_limit(house) -> None:
    """429 with Retry-After, for each user apart."""
    home = await house(rate_limit=2, rate_window=60)
    ada, grace = await home.enter(), await home.enter("grace")
    assert [(await ada.chat("echo", "x")).status_code for _ in range(3)] == [200, 200, 429]
    limited = await ada.chat("echo", "x")
    assert 1 <= int(limited.headers["retry-after"]) <= 60
    assert (await grace.chat("echo", "x")).status_code == 200


async def test_stats_and_connections(house) -> None:
    """Who is connected to what, without a token."""
    home = await house()
    await home.enter()
    await home.enter("grace")
    await home.enter("grace", "slow")
    http = home.client()
    assert (await http.get("/api/ws/stats")).json() == {
        "total_connections": 3,
        "connected_users": 2,
        "bot_subscriptions": {"echo": 2, "slow": 1},
    }
    peers = (await http.get("/api/ws/connections")).json()["connections"]
    assert [(p["user_id"], p["bot_id"]) for p in peers] == [
        ("ada", "echo"),
        ("grace", "echo"),
        ("grace", "slow"),
    ]


async def test_a_bot_that_fails_is_a_500_and_stops_typing(house, caplog) -> None:
    """Its traceback goes to the log, the answer names the type only."""

    class Broken(Bot):
        async def reply(self, ask):
            yield "begun, "
            raise RuntimeError("secret detail")

    home = await house(bots=[Broken("Broken")])
    ada = await home.enter(bot="broken")
    answer = await ada.chat("broken", "x")
    assert (answer.status_code, answer.json()) == (500, {"detail": "the bot failed with RuntimeError"})
    heard = [await ada.hear(), await ada.hear(), await ada.hear()]
    assert [m["data"].get("is_typing") for m in heard] == [True, None, False]
    assert "secret detail" in caplog.text
