"""What is observed of attempts that did not open."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from chatkit.diagnosis.attempts import cases
from chatkit.diagnosis.facts import Facts
from chatkit.events import ArmStarted, AttemptFailed, Logged, UpgradeAnswered
from tests.builders import EPOCH
from tests.diagnosis.seen import attempt, of
from tests.diagnosis.stories.telling import CAPTURE, URL, Tale

JWT = URL.replace("***", f"[jwt exp={int(EPOCH) + 900} iat={int(EPOCH)}]")


@pytest.mark.parametrize(
    ("stage", "error", "seen"),
    [
        ("dns", "no such name", "dns"),
        ("tcp", "Connection refused", "refused"),
        ("tcp", "timed out", "tcp"),
        ("tls", "certificate verify failed", "tls"),
        ("upgrade", "no answer within 10 s", "silent"),
        ("upgrade", "invalid Sec-WebSocket-Accept", "handshake"),
        ("established", "no first message", "established"),
    ],
)
def test_the_first_step_that_failed(stage, error, seen) -> None:
    """As the client tells it."""
    tale = Tale()
    tale.failed(1, "1", stage, error)
    assert of(attempt(tale))["stage"] == seen


def test_an_answer_is_a_failure_at_the_upgrade() -> None:
    """Any status but 101; 101 itself refuses nothing."""
    tale = Tale()
    tale.refused(1, "1", 403)
    assert (of(attempt(tale))["stage"], of(attempt(tale))["status"]) == ("upgrade", "403")
    tale = Tale()
    tale.attempt(1, "1")
    tale.put(1.1, UpgradeAnswered, "1", status=101, reason="", headers=[])
    tale.put(1.2, AttemptFailed, "1", stage="upgrade", error="invalid accept", status=101)
    assert of(attempt(tale))["stage"] == "handshake"
    assert "status" not in of(attempt(tale))


def test_attempts_of_one_kind_are_one_case() -> None:
    """Another status, or another step, is another."""
    tale = Tale()
    for n in range(3):
        tale.refused(1 + n, str(n), 502)
    tale.refused(5, "5", 403)
    tale.failed(6, "6", "dns", "no such name")
    assert [len(case.lives) for case in cases(Facts(tale.trace()))] == [3, 1, 1]


@pytest.mark.parametrize(
    ("headers", "who"),
    [
        ({"server": "nginx/1.24"}, "proxy"),
        ({"server": "uvicorn"}, "backend"),
        ({"cf_ray": "8f1-FRA"}, "proxy"),
        ({"via": "1.1 google"}, "proxy"),
        ({}, None),
    ],
)
def test_who_answered(headers, who) -> None:
    """By the answer's fingerprint; without any header nothing is said."""
    tale = Tale()
    tale.refused(1, "1", 502, **headers)
    assert of(attempt(tale)).get("answerer") == who


@pytest.mark.parametrize(
    ("body", "kind", "value"),
    [
        ("plain HTTP request was sent to HTTPS port", "text/html", "plain-http"),
        ("Too Many Requests", "text/plain", "rate"),
        ("connection limit", "text/plain", "limit"),
        ('{"detail":"token expired"}', "application/json", "token"),
        ("<p>hello", "text/html", "html"),
        ('{"a":1}', "application/json", "json"),
        ("hello", "text/plain", "other"),
    ],
)
def test_what_the_body_says(body, kind, value) -> None:
    """Its subject, else its kind."""
    tale = Tale()
    tale.refused(1, "1", 400, body=body, content_type=kind)
    assert of(attempt(tale))["body"] == value


def test_no_body_says_nothing() -> None:
    """Absent is not empty."""
    tale = Tale()
    tale.refused(1, "1", 400)
    assert "body" not in of(attempt(tale))


@pytest.mark.parametrize(("ahead", "value"), [(1800, "large"), (-1800, "large"), (1, "small")])
def test_clocks_beside_each_other(ahead, value) -> None:
    """The server's Date against the recording's."""
    tale = Tale()
    tale.refused(1, "1", 401, date=formatdate(EPOCH + 1 + ahead, usegmt=True))
    case = attempt(tale)
    assert of(case)["skew"] == value
    assert abs(case.facts["skew_s"] - ahead) <= 1


@pytest.mark.parametrize("date", ["soon", "", "Tue, 99 Nov 2026 08:00:00 GMT"])
def test_a_date_that_is_none_says_nothing(date) -> None:
    """Hostile text."""
    tale = Tale()
    tale.refused(1, "1", 401, date=date)
    assert "skew" not in of(attempt(tale))


@pytest.mark.parametrize(("at", "value"), [(1, "valid"), (2000, "expired")])
def test_the_token_s_state(at, value) -> None:
    """By exp against the moment of the attempt."""
    tale = Tale()
    tale.refused(at, "1", 401, url=JWT)
    assert of(attempt(tale))["token"] == value


def test_a_token_that_is_missing() -> None:
    """Nothing in the request could be one; a redacted one could."""
    tale = Tale()
    tale.refused(1, "1", 401, url="ws://127.0.0.1:8000/x")
    assert of(attempt(tale))["token"] == "missing"
    tale = Tale()
    tale.refused(1, "1", 401, url="ws://127.0.0.1:8000/x", asked=[("Authorization", "[redacted]")])
    assert "token" not in of(attempt(tale))


@pytest.mark.parametrize(("status", "value"), [(200, "ok"), (401, "401"), (403, "403"), (404, "404"), (500, "failing")])
def test_what_the_api_says_to_the_same_token(status, value) -> None:
    """The nearest answer, about the bot first."""
    tale = Tale()
    tale.refused(1, "1", 403)
    tale.api(1.1, 200, purpose="session")
    tale.api(5, status)
    case = attempt(tale)
    assert of(case)["api"] == value
    assert case.facts["bot_status"] == status


def test_without_the_api_nothing_is_said_of_it() -> None:
    """A login is no such answer."""
    tale = Tale()
    tale.refused(1, "1", 403)
    tale.api(2, 401, purpose="login")
    assert "api" not in of(attempt(tale))


def test_others_that_were_open_meanwhile() -> None:
    """All, some before, some after, or beside it."""
    tale = Tale()
    tale.refused(10, "1", 503)
    assert of(attempt(tale))["others"] == "all-fail"
    tale.opens(1, "2")
    tale.notified(60, "2")
    assert of(attempt(tale))["others"] == "together"


def test_an_arm_that_is_let_in_between_two_refusals() -> None:
    """Of an investigation that tells more than an arm that was left open."""
    tale = Tale()
    tale.opens(1, "1")
    for at, name in ((10, "2"), (30, "4")):
        tale.put(at, ArmStarted, name, arm="silent", role="arm", what="says nothing")
        tale.refused(at, name, 503)
    tale.opens(20, "3")
    tale.notified(60, "1")
    assert of(attempt(tale))["others"] == "between"


def test_a_crowd_that_is_full() -> None:
    """Refused only while as many were open, and let in with fewer."""
    tale = Tale()
    for n in range(3):
        tale.opens(1 + n, str(n))
    tale.refused(10, "9", 503)
    tale.notified(60, "0")
    assert of(attempt(tale))["crowd"] == "yes"
    tale.opens(12, "4")  # with more of them open
    assert "crowd" not in of(attempt(tale))


@pytest.mark.parametrize(
    ("again", "arms", "value"),
    [(20, True, "needed"), (4.5, True, "no"), (20, False, None)],
)
def test_a_rest_that_lets_in_again(again, arms, value) -> None:
    """By an investigation that tries close together and then once after a pause; a client that backs off proves nothing."""
    tale = Tale()
    tale.opens(1, "1")
    for n in range(3):
        if arms:
            tale.put(2 + n, ArmStarted, f"r{n}", arm="silent", role="arm", what="says nothing")
        tale.refused(2 + n, f"r{n}", 503)
    tale.opens(again, "2")
    assert of(attempt(tale)).get("rest") == value


@pytest.mark.parametrize(("let_in", "value"), [((1, 10, 19), "needed"), ((1, 10, 12.5), "no"), ((1, 14), "no")])
def test_a_leaky_bucket_counts_what_it_let_in(let_in, value) -> None:
    """Attempts every two seconds, one in five of which passes; nothing follows where the server was away but once."""
    tale = Tale()
    for at in let_in:
        tale.opens(at, f"o{at}")
    for at in (3, 5, 7, 9, 12, 14, 16, 18) if len(let_in) > 2 else (3, 5, 7, 9, 11, 13):
        tale.put(at, ArmStarted, f"r{at}", arm="silent", role="arm", what="says nothing")
        tale.refused(at, f"r{at}", 503)
    assert of(attempt(tale)).get("rest") == value


@pytest.mark.parametrize(("status", "value"), [(200, "good"), (503, "bad"), (405, "good")])
def test_health_at_that_moment(status, value) -> None:
    """A method that is not allowed is no illness."""
    tale = Tale()
    tale.refused(10, "1", 503)
    tale.health(12, status)
    assert of(attempt(tale))["health"] == value


def test_health_long_ago_says_nothing() -> None:
    """Half a minute at most."""
    tale = Tale()
    tale.health(1)
    tale.refused(100, "1", 503)
    assert "health" not in of(attempt(tale))


def test_a_proxy_s_log_at_that_moment() -> None:
    """Its word about the upstream; another moment says nothing."""
    tale = Tale()
    tale.refused(1, "1", 502)
    tale.put(1.5, Logged, by="proxy", what="upstream-refused", text="connect() failed")
    assert of(attempt(tale, CAPTURE))["log"] == "upstream-refused"
    tale = Tale()
    tale.refused(1, "1", 502)
    tale.put(60, Logged, by="proxy", what="upstream-refused", text="connect() failed")
    assert "log" not in of(attempt(tale, CAPTURE))


@pytest.mark.parametrize(
    ("error", "value"),
    [("WRONG_VERSION_NUMBER", "wrong-version"), ("certificate has expired", "certificate"), ("alert 40", "alert")],
)
def test_what_tls_complains_of(error, value) -> None:
    """The scheme, the certificate, or something else."""
    tale = Tale()
    tale.failed(1, "1", "tls", error)
    assert of(attempt(tale))["tls-error"] == value


@pytest.mark.parametrize("url", ["http://[", "", "ws://h:99999999/x", "ws://h:x/"])
def test_a_url_that_is_none(url) -> None:
    """Names no port, and stops nothing."""
    tale = Tale()
    tale.failed(1, "1", "tcp", "refused", url=url)
    assert attempt(tale).facts["host"]


def variant(tale: Tale, alters: str, opens: bool) -> None:
    """An opening that was altered on purpose, after the client's own was refused."""
    tale.put(10, ArmStarted, "altered", arm=alters, role="probe", what=alters, alters=alters, settings={})
    if opens:
        tale.opens(10.1, "altered")
        tale.closed(11, "altered", 1000, by="client")
    else:
        tale.refused(10.1, "altered", 403)


@pytest.mark.parametrize(
    ("alters", "opens", "value"),
    [
        ("bot", True, "opens"),
        ("bot", False, "same"),
        ("subprotocol", True, "refused"),
        ("subprotocol", False, None),
    ],
)
def test_what_another_bot_or_a_subprotocol_changes(alters, opens, value) -> None:
    """It is let in, or it is not; a subprotocol that is not wanted either says nothing."""
    tale = Tale()
    tale.put(0.5, ArmStarted, "1", arm="alone", role="arm", what="alone", alters="", settings={})
    tale.refused(1, "1", 403)
    variant(tale, alters, opens)
    observable = {"bot": "other-bot"}.get(alters, alters)
    (case,) = cases(Facts(tale.trace()))
    assert case.value(observable) == value
