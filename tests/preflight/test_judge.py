"""What each answer becomes: status, words and remedy, as tables."""

from __future__ import annotations

from typing import Any

import pytest

from chatkit.policy.reconnect import Loss
from chatkit.policy.token import Claims
from chatkit.preflight import judge
from chatkit.preflight.judge import Answer, Line

DAY = 86_400.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0.1 ms"),
        (0.00042, "0.4 ms"),
        (0.004, "4.0 ms"),
        (0.01, "10 ms"),
        (0.04, "40 ms"),
        (1.0, "1.0 s"),
        (1.24, "1.2 s"),
    ],
)
def test_short_durations(seconds: float, words: str) -> None:
    """Never zero, never more digits than anybody reads."""
    assert judge.ms(seconds) == words


@pytest.mark.parametrize(
    ("left", "status", "words", "remedy"),
    [
        (None, "pass", "TLSv1.3 in 12 ms", None),
        (90 * DAY, "pass", "TLSv1.3 in 12 ms, certificate good for 90 d", None),
        (14 * DAY, "pass", "TLSv1.3 in 12 ms, certificate good for 14 d", None),
        (3 * DAY, "warning", "TLSv1.3 in 12 ms, certificate good for 3 d", "renew the certificate"),
    ],
)
def test_certificates(left: float | None, status: str, words: str, remedy: str | None) -> None:
    """Less than two weeks are worth a warning; without a date there is nothing to count."""
    tls = {"version": "TLSv1.3", "not_after": None if left is None else 1000.0 + left}
    assert judge.certificate(tls, 0.012, 1000.0) == Line(status=status, summary=words, remedy=remedy, details=tls)


@pytest.mark.parametrize(
    ("answer", "status", "words", "remedy"),
    [
        (Answer(status=200, seconds=0.004), "pass", "GET 200 in 4.0 ms", None),
        (Answer(status=204), "pass", "GET 204 in 0.1 ms", None),
        (Answer(status=404), "fail", "GET 404", "paths.health is /health"),
        (Answer(status=405), "fail", "GET 405", "paths.health is /health"),
        (Answer(status=302, location="/login"), "fail", "GET 302", "use the URL it points to: /login"),
        (Answer(error="timed out"), "fail", "GET without answer: timed out", "speaks HTTP"),
        (Answer(status=503), "fail", "GET 503", "backend's log"),
    ],
)
def test_health_by_get(answer: Answer, status: str, words: str, remedy: str | None) -> None:
    """Each failure has its own remedy."""
    line = judge.health(answer, "/health")
    assert (line.status, words in line.summary, line.details) == (
        status,
        True,
        {"method": "GET", "http_status": answer.status},
    )
    assert (line.remedy is None) if remedy is None else (remedy in (line.remedy or ""))


@pytest.mark.parametrize(
    ("head", "get_good", "monitored", "status", "remedy"),
    [
        (200, True, False, "pass", None),
        (200, False, True, "pass", None),
        (405, True, False, "warning", "monitor with GET"),
        (405, True, True, "fail", "monitor with GET"),
        (503, False, False, "fail", "see the line above"),
        (None, False, True, "fail", "see the line above"),
    ],
)
def test_health_by_head(head: int | None, get_good: bool, monitored: bool, status: str, remedy: str | None) -> None:
    """A HEAD that is not routed is a failure only for a monitor that uses it."""
    line = judge.health_head(Answer(status=head, error="cut"), get_good, monitored=monitored)
    assert (line.status, line.remedy) == (status, remedy)
    assert ("while GET is good" in line.summary) == (head == 405)


@pytest.mark.parametrize(
    ("bad", "bot_status", "words", "remedy", "causes"),
    [
        ("expired 4 min ago", 200, "it is the token (expired 4 min ago)", "line of the token", {"auth-rejected"}),
        (None, 401, "the HTTP API refuses it too", "log in again", {"auth-rejected"}),
        (None, 403, "it is the permission", "permission on the bot", {"bot-access-denied"}),
        (None, 404, "there is no such bot", "bot's id", {"bot-access-denied", "not-found"}),
        (
            None,
            200,
            "the path of the socket is unknown",
            "paths.chat_socket",
            {"not-found", "origin-rejected", "auth-rejected"},
        ),
        (
            None,
            500,
            "not told apart",
            "line of the bot",
            {"auth-rejected", "bot-access-denied", "origin-rejected", "not-found"},
        ),
        (
            None,
            None,
            "not told apart",
            "line of the bot",
            {"auth-rejected", "bot-access-denied", "origin-rejected", "not-found"},
        ),
    ],
)
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_upgrade(
    status: int, bad: str | None, bot_status: int | None, words: str, remedy: str, causes: set[str]
) -> None:
    """Token and bot tell the meanings of 401 and 403 apart; what is left is named by the ids of causes."""
    line = judge.refused(status, "refused", None, token_bad=bad, bot_status=bot_status)
    assert (line.status, line.details["http_status"]) == ("fail", status)
    assert line.summary.startswith(f"HTTP {status}: ")
    assert (words in line.summary, remedy in (line.remedy or ""), set(line.details["may_mean"])) == (True, True, causes)


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (4001, "see the lines of token and bot"),
        (4003, "see the lines of token and bot"),
        (1008, "see the lines of token and bot"),
        (1006, "1006: the connection was cut without a close frame; look at the backend's log at this moment"),
        (1011, "1011: the server failed while it handled something; look at the backend's log at this moment"),
        (1000, "1000: the server said goodbye; look at the backend's log at this moment"),
    ],
)
def test_an_end_too_early(code: int, remedy: str) -> None:
    """A code that means refusal points at token and bot; any other at the log."""
    line = judge.ended(Loss(stage="open", code=code), "closed by server")
    assert (line.status, line.summary, line.details) == ("fail", "closed by server", {"code": code})
    assert (line.remedy or "").endswith(remedy)


def every_line() -> list[Line]:
    """One of each that is no pass, and some that are."""
    answers = [Answer(status=s) for s in (200, 301, 401, 404, 500)] + [Answer(error="cut")]
    claims = [None, Claims(), Claims(exp=1.0), Claims(exp=2000.0), Claims(nbf=5000.0), Claims(iat=5000.0)]
    any_: Any = [judge.health(a, "/h") for a in answers]
    any_ += [judge.health_head(a, good, monitored=m) for a in answers for good in (True, False) for m in (True, False)]
    any_ += [judge.bot(a, None, is_json=j, has_token=t) for a in answers for j in (True, False) for t in (True, False)]
    any_ += [judge.token(c, now=1000.0, ahead=ahead) for c in claims for ahead in (None, 0.0, 400.0, -400.0)]
    any_ += [judge.no_token("fail", s) for s in (401, 403, 500, None)] + [judge.no_token("pass", 200)]
    return list(any_)


@pytest.mark.parametrize("line", every_line())
def test_what_is_no_pass_has_a_remedy(line: Line) -> None:
    """And a pass has none."""
    assert line.summary
    assert (line.remedy is None) == (line.status == "pass")


@pytest.mark.parametrize(
    ("claims", "ahead", "status", "words"),
    [
        (None, None, "warning", "not a JWT"),
        (Claims(), 0.2, "pass", "good, without expiry"),
        (Claims(exp=2620.0), 0.2, "pass", "good, 27 min left"),
        (Claims(exp=1040.0), 0.2, "warning", "good, 40 s left"),
        (Claims(exp=760.0), None, "fail", "expired 4 min ago"),
        (Claims(exp=760.0), 0.2, "fail", "expired 4 min ago by the server's clock"),
        (Claims(exp=1300.0), 540.0, "fail", "which is 9 min ahead of ours"),
        (Claims(exp=5000.0), -300.0, "warning", "which is 5 min behind ours"),
        (Claims(exp=760.0), -300.0, "warning", "good, 60 s left by the server's clock"),
        (Claims(exp=5000.0, nbf=1300.0), 0.2, "fail", "not valid before 5 min from now"),
        (Claims(exp=5000.0, iat=1300.0), 0.2, "warning", "issued 5 min from now"),
        (Claims(exp=5000.0, iat=1002.0), 0.2, "pass", "good"),
    ],
)
def test_tokens(claims, ahead, status, words) -> None:
    """The server's clock counts, where it is known; our time is 1000."""
    line = judge.token(claims, now=1000.0, ahead=ahead)
    assert (line.status, words in line.summary) == (status, True), line


@pytest.mark.parametrize(
    ("status", "is_json", "token", "expected", "words"),
    [
        (200, True, True, "pass", "“Echo”"),
        (200, False, True, "warning", "not a JSON object"),
        (401, True, False, "fail", "asks for a token"),
        (302, False, True, "fail", "redirected to /login"),
        (429, True, True, "fail", "too many"),
        (502, False, True, "fail", "the API fails"),
    ],
)
def test_bots(status, is_json, token, expected, words) -> None:
    """What each answer means."""
    answer = judge.Answer(status=status, seconds=0.004, location="/login" if status == 302 else None)
    line = judge.bot(answer, "Echo", is_json=is_json, has_token=token)
    assert (line.status, words in line.summary, "in 4.0 ms" in line.summary) == (expected, True, True), line


def test_a_refusal_that_is_not_about_the_token() -> None:
    """Keeps the words of the connection."""
    line = judge.refused(404, "refused with HTTP 404", "mend the path", token_bad="expired", bot_status=401)
    assert (line.summary, line.remedy) == ("refused with HTTP 404", "mend the path")


def test_a_refusal_without_an_answer_of_the_api() -> None:
    """Stays open between the four."""
    line = judge.refused(403, "", None, token_bad=None, bot_status=None)
    assert len(line.details["may_mean"]) == 4


def test_opinions_without_a_token() -> None:
    """It matters if the API asks for one."""
    assert judge.no_token("fail", 401).status == "fail"
    assert judge.no_token("pass", 200).status == "warning"
    assert judge.no_token("fail", None).summary == "none given"
