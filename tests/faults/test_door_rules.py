"""The faults at the door as transcripts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.faults import FaultPlan, parse_fault
from chatkit.faults.moments import (
    Abort,
    Asked,
    CloseWith,
    Delay,
    Evict,
    Joined,
    Knocked,
    Left,
    Refuse,
    Saying,
    Select,
    Spoil,
)

from .test_plan import play

UPGRADE = Asked(
    what="upgrade", bot="echo", path="/api/ws/chat/echo", host="Chat.example:80", protocols=("chat.v1", "chat.v2")
)
API = Asked(what="api")
HEALTH = Asked(what="health")


def knock(connection: int, user: str | None = "ada") -> Knocked:
    """Somebody at the door."""
    return Knocked(connection=connection, user=user)


def join(connection: int, user: str = "ada", bot: str | None = "echo", token: str = "t") -> Joined:
    """Somebody who was let in."""
    return Joined(connection=connection, user=user, bot=bot, token=token)


def from_origin(origin: str | None) -> Asked:
    """An upgrade with that header."""
    return Asked(what="upgrade", host="chat.example:8000", origin=origin)


@pytest.mark.parametrize(
    ("fault", "script", "expected"),
    [
        # replaced-by-new-session: the key decides, who left is not evicted
        (
            "replaced-by-new-session",
            [(0, join(1)), (1, join(2, bot="slow")), (2, join(3, "grace"))],
            [(1, Evict(connection=1, end=CloseWith(code=4009, reason="replaced by a new session")))],
        ),
        ("replaced-by-new-session", [(0, join(1)), (1, Left(connection=1)), (2, join(2))], []),
        ("replaced-by-new-session", [(0, join(1)), (1, join(1))], []),
        ("replaced-by-new-session:scope=bot", [(0, join(1)), (1, join(2, bot="slow")), (2, join(3, "grace"))], []),
        (
            "replaced-by-new-session:scope=bot,how=fin",
            [(0, join(1)), (1, join(2, bot="slow")), (2, join(3))],
            [(2, Evict(connection=1, end=Abort(how="fin")))],
        ),
        (
            "replaced-by-new-session:scope=token,how=rst",
            [(0, join(1)), (1, join(2, token="u")), (2, join(3, token="t"))],
            [(2, Evict(connection=1, end=Abort(how="rst")))],
        ),
        (
            "replaced-by-new-session:reason=none,code=1008",
            [(0, join(1)), (1, join(2))],
            [(1, Evict(connection=1, end=CloseWith(code=1008, reason="")))],
        ),
        # connection-limit: places are taken at the knock and given back
        (
            "connection-limit:limit=2",
            [(0, knock(1)), (0, knock(2, "grace")), (1, knock(3)), (2, Left(connection=1)), (3, knock(4))],
            [(1, Refuse(status=429))],
        ),
        (
            "connection-limit:limit=1,scope=user,when=after",
            [(0, knock(1)), (1, knock(2, "grace")), (2, knock(3)), (3, Left(connection=3)), (4, knock(4))],
            [(now, CloseWith(code=1013, reason="too many connections")) for now in (2, 4)],
        ),
        # upgrade-rate: the window slides, refusals do not count
        (
            "upgrade-rate:limit=2,window=10",
            [(0, knock(1)), (4, knock(2)), (5, knock(3)), (9.5, knock(4)), (10, knock(5)), (11, knock(6))],
            [(now, Refuse(status=429, retry_after=wait)) for now, wait in ((5, 5), (9.5, 1), (11, 3))],
        ),
        # bot-access-denied: that bot only, never the token
        (
            "bot-access-denied:bot=echo,api=404",
            [(0, UPGRADE), (1, Asked(what="bot", bot="echo")), (2, Asked(what="bot", bot="slow")), (3, API)],
            [(0, Refuse(status=403)), (1, Refuse(status=404))],
        ),
        (
            "bot-access-denied:bot=echo,when=after",
            [(0, UPGRADE), (1, Asked(what="upgrade", bot="slow")), (2, Asked(what="upgrade"))],
            [(0, CloseWith(code=4003, reason="bot unknown or not permitted"))],
        ),
        # not-found, handshake-timeout, handshake-invalid: upgrades only
        ("not-found", [(0, UPGRADE), (1, API), (2, HEALTH)], [(0, Refuse(status=404))]),
        ("handshake-timeout:delay=9", [(0, UPGRADE), (1, API), (2, HEALTH)], [(0, Delay(seconds=9))]),
        ("handshake-invalid", [(0, UPGRADE), (1, API)], [(0, Spoil(header="accept"))]),
        ("handshake-invalid:header=upgrade", [(0, UPGRADE)], [(0, Spoil(header="upgrade"))]),
        ("handshake-invalid:header=extension", [(0, UPGRADE)], [(0, Spoil(header="extension"))]),
        # subprotocol-mismatch
        ("subprotocol-mismatch", [(0, UPGRADE)], [(0, Select(protocol="chat.v2"))]),
        ("subprotocol-mismatch:protocol=x", [(0, UPGRADE), (1, API)], [(0, Refuse(status=400))]),
        ("subprotocol-mismatch:protocol=x,how=other", [(0, UPGRADE)], [(0, Select(protocol="x"))]),
        # redirected
        ("redirected", [(0, UPGRADE)], [(0, Refuse(status=307, location="/api/ws/chat/echo/"))]),
        ("redirected", [(0, Asked(what="upgrade", path="/api/ws/chat/echo/")), (1, HEALTH)], []),
        (
            "redirected:to=https,status=301",
            [(0, UPGRADE)],
            [(0, Refuse(status=301, location="https://Chat.example:80/api/ws/chat/echo"))],
        ),
        ("redirected:to=login,status=302", [(0, UPGRADE)], [(0, Refuse(status=302, location="/login"))]),
        # clock-skew: the plan's property, no moment
        ("clock-skew:skew=5", [(0, UPGRADE), (1, API), (2, HEALTH)], []),
        # service-down: never health
        ("service-down", [(0, UPGRADE), (1, HEALTH), (2, Saying(text="x"))], [(0, Refuse(status=503))]),
        ("service-down:what=chat,status=500", [(0, UPGRADE), (1, Saying(text="x"))], [(1, Refuse(status=500))]),
        ("service-down:what=both", [(n, m) for n, m in enumerate((UPGRADE, HEALTH, API))], [(0, Refuse(status=503))]),
    ],
)
def test_transcripts(fault, script, expected) -> None:
    """Each fault by itself."""
    assert play(fault, *script) == expected


@pytest.mark.parametrize(
    ("origin", "kind"),
    [
        (None, "missing"),
        ("http://chat.example:8000", "own"),
        ("https://CHAT.example:8000", "own"),
        ("http://chat.example", "foreign"),
        ("https://elsewhere.example:8000", "foreign"),
        ("null", "foreign"),
        ("http://[", "foreign"),
    ],
)
def test_which_origins_are_refused(origin, kind) -> None:
    """Foreign, missing, both; the server's own always passes."""
    for refuse in ("foreign", "missing", "both"):
        refused = play(f"origin-rejected:refuse={refuse},status=400", (0, from_origin(origin)))
        hit = kind == refuse or (refuse == "both" and kind != "own")
        assert refused == ([(0, Refuse(status=400))] if hit else [])


def test_the_skew_of_a_plan() -> None:
    """The first one counts; without one the clock is right."""
    assert FaultPlan([]).skew == (0, 0)
    assert FaultPlan(["clock-skew:skew=-90,leeway=10", "clock-skew:skew=5"]).skew == (-90, 10)
    assert parse_fault("clock-skew:skew=-90").seconds("skew") == -90


comings = st.lists(
    st.tuples(st.sampled_from(["knock", "leave"]), st.integers(1, 9), st.sampled_from(["ada", "grace"])), max_size=40
)


@given(comings, st.integers(1, 4), st.sampled_from(["all", "user"]))
def test_a_limit_is_never_passed_and_never_wastes_a_place(steps, limit, scope) -> None:
    """Who knocks is let in exactly when fewer than the limit are inside, whoever came and went before."""
    plan = FaultPlan([f"connection-limit:limit={limit},scope={scope}"])
    state, inside, number = plan.begin(0), {}, 0
    for what, which, user in steps:
        if what == "leave":
            inside.pop(which, None)
            state, _ = plan.decide(state, Left(connection=which), 0)
            continue
        number += 1
        counted = [u for u in inside.values() if scope == "all" or u == user]
        state, answer = plan.decide(state, knock(number, user), 0)
        assert (answer == ()) is (len(counted) < limit)
        if not answer:
            inside[number] = user


@given(comings, st.sampled_from(["user", "bot", "token"]))
def test_one_session_for_each_key_survives(steps, scope) -> None:
    """However many come, the newest of each key is the one that nobody evicted."""
    plan = FaultPlan([f"replaced-by-new-session:scope={scope}"])
    state, living, number = plan.begin(0), {}, 0
    for what, which, user in steps:
        if what == "leave":
            living.pop(which, None)
            state, _ = plan.decide(state, Left(connection=which), 0)
            continue
        number += 1
        joined = join(number, user, bot=f"bot{which % 2}", token=f"{user}{which % 3}")
        key = {"user": user, "bot": (joined.bot, user), "token": joined.token}[scope]
        state, answer = plan.decide(state, joined, 0)
        for evict in answer:
            assert living.pop(evict.connection) == key
        living[number] = key
        assert len(set(living.values())) == len(living)


@given(st.lists(st.floats(0, 3), max_size=40), st.integers(1, 4), st.floats(0.5, 5))
def test_no_window_lets_more_than_the_limit_pass(gaps, limit, window) -> None:
    """And who is refused hears a time after which one more passes."""
    plan = FaultPlan([f"upgrade-rate:limit={limit},window={window!r}"])
    state, now, passed = plan.begin(0), 0.0, []
    for n, gap in enumerate(gaps):
        now += gap
        state, answer = plan.decide(state, knock(n), now)
        if not answer:
            passed.append(now)
            continue
        _, later = plan.decide(state, knock(n), now + answer[0].retry_after + 1e-6)
        assert later == ()
    for at in passed:
        assert len([one for one in passed if at <= one < at + window - 1e-6]) <= limit
