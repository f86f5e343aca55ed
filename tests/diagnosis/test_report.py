"""What the engine found, in words."""

from __future__ import annotations

import pytest

from chatkit.diagnosis import diagnose
from chatkit.diagnosis.facts import Facts
from chatkit.diagnosis.report import PARAMETERS, lives_line
from chatkit.events import AttemptStarted, Noted
from tests.diagnosis.stories import stories
from tests.diagnosis.stories.telling import CAPTURE, ENCRYPTED, HAR, Tale

CAUSED = [story for story in stories() if diagnose(story.trace(), health_method=story.health_method).causes]


def cause(name: str):
    """The first cause of the story of that name."""
    story = next(one for one in stories() if one.name == name)
    return diagnose(story.trace(), health_method=story.health_method).causes[0]


@pytest.mark.parametrize("story", CAUSED, ids=lambda story: story.name)
def test_words_are_complete(story) -> None:
    """A summary without holes, a cure, parameters by their known names, evidence for it before evidence against it."""
    for found in diagnose(story.trace(), health_method=story.health_method).causes:
        assert found.summary
        assert "?" not in found.summary
        assert "None" not in found.summary
        assert "{" not in found.summary
        assert set(found.parameters) <= set(PARAMETERS.get(found.id, ()))
        assert found.fix.summary
        assert found.who in ("client", "server", "proxy", "network", "unknown")
        supports = [one.supports for one in found.evidence]
        assert supports == sorted(supports, reverse=True)
        assert all(chance < found.confidence for _, chance in found.lookalikes)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("the certificate has expired", {"reason": "[SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired"}),
        ("http sends to https", {"location": "https://chat.example/api/ws/chat/storyteller"}),
        ("too many attempts", {"status": 429, "retry_after_s": 30.0}),
        ("the server lives in the future", {"skew_s": 1800}),
        ("the upgrade stays unanswered", {"waited_s": 10.0}),
        ("a ping at half a second is fatal", {"window_s": 0.5, "ping": "application", "after_s": 0.2}),
        ("one tab ends the other", {"scope": "user", "code": 4009}),
        ("quiet for a minute after talk", {"timeout_s": 60.0, "counts": "any"}),
        ("only our words count", {"timeout_s": 30.0, "counts": "outbound"}),
        ("an hour and no longer", {"age_s": 3600.0}),
        ("the server waited for our pong", {"timeout_s": 40.0, "by": "server"}),
        ("our own loop was away", {"lag_s": 32.0}),
        ("their message exceeds our limit", {"limit_bytes": 1048576}),
        ("the handler fails", {"code": 1011, "trigger": "typing"}),
        ("an orderly deploy", {"gap_s": 4.5, "code": 1012}),
        ("the monitor uses head", {"head_status": 405, "get_status": 200}),
        ("three of four answers are lost", {"share_lost": 0.75, "workers": 4}),
        ("answers take twenty seconds", {"latency_s": 20.0}),
    ],
)
def test_what_was_measured(name, parameters) -> None:
    """By the names of the taxonomy."""
    found = cause(name).parameters
    for key, value in parameters.items():
        assert found.get(key) == (value if isinstance(value, str) else pytest.approx(value, rel=0.01)), key


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("the server waited for our pong", "server"),
        ("we waited for their pong", "client"),
        ("shown by both transports", "client"),
        ("every answer twice", "server"),
        ("an unmasked frame", "client"),
        ("half a character", "client"),
        ("bad gateway", "proxy"),
        ("the nat forgot the flow", "network"),
    ],
)
def test_who_is_responsible(name, who) -> None:
    """Where the case tells more than the taxonomy."""
    assert cause(name).who == who


def test_suspects_of_a_limit_bring_their_settings() -> None:
    """nginx after sixty seconds."""
    found = cause("nginx ends a silent life")
    assert any("proxy_read_timeout" in words for words in found.likely)
    assert any("proxy_read_timeout" in setting for setting in found.fix.settings.values())


def test_headline_of_each_verdict() -> None:
    """The cause with its probability; what was fine; what is missing."""
    tale = Tale()
    assert diagnose(tale.trace(CAPTURE)).headline.startswith("Not enough evidence: no WebSocket connection")
    tale.opens(1, "1")
    tale.closed(9, "1", 1000, by="client")
    assert diagnose(tale.trace(CAPTURE)).headline == "No fault found: 1 connection, 1 closed in order."
    tale = Tale()
    tale.failed(1, "1", "dns", "no such name")
    headline = diagnose(tale.trace(CAPTURE)).headline
    assert "127.0.0.1" in headline
    assert "dns-failure" in headline
    assert "%" in headline


def test_lives_in_a_line() -> None:
    """How many there were, and how each ended."""
    tale = Tale()
    tale.opens(1, "1")
    tale.closed(9, "1", 1000, by="client")
    tale.opens(1, "2")
    tale.ends(9, "2")
    tale.refused(3, "3", 503)
    tale.opens(4, "4")
    assert lives_line(Facts(tale.trace())) == "4 connections, 1 open to the end, 1 closed in order, 1 refused, 1 lost"


def test_what_is_not_visible_is_said() -> None:
    """In words, once."""
    tale = Tale()
    tale.opens(1, "1")
    (words,) = diagnose(tale.trace(ENCRYPTED)).unknown
    assert words.startswith("not visible in this evidence: ")
    assert "RFC 6455 pings" in words


def test_a_doubt_names_what_it_may_be() -> None:
    """And what would settle it."""
    diagnosis = diagnose(next(one for one in stories() if one.name == "one reset without anything else").trace())
    assert diagnosis.verdict == "inconclusive"
    assert "no cause stands out" in diagnosis.unknown[0]
    assert diagnosis.next_steps


def test_remarks_of_proxies_and_notes() -> None:
    """A hidden hop, and what somebody wrote beside it."""
    tale = Tale()
    tale.put(1, AttemptStarted, "1", url="ws://h/x", proxy="http://proxy.example:3128")
    tale.put(2, Noted, text="deploy at noon")
    found = [remark.finding for remark in diagnose(tale.trace(HAR)).remarks]
    assert any("forward proxy http://proxy.example:3128" in finding for finding in found)
    assert "deploy at noon" in found
