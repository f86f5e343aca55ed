"""Named behaviours: chatkit's own, the repaired front end and the broken one, and what many clients ship."""

from __future__ import annotations

import msgspec
import pytest

from chatkit.behaviour import Client, Row
from chatkit.errors import InvalidInput
from chatkit.policy.presets import PRESETS, preset
from chatkit.policy.reconnect import Context, backoff, classify
from chatkit.policy.table import INCIDENT, TEXTBOOK
from chatkit.profile import DEFAULT

OURS = DEFAULT.client


def changed(name: str) -> dict[str, object]:
    """What a preset changes in the profile's values."""
    made = preset(name, OURS)
    pairs = [(key, getattr(made, key)) for key in Client.__struct_fields__]
    return {key: value for key, value in pairs if value != getattr(OURS, key)}


def test_default_is_the_profile_itself() -> None:
    """Chatkit's own values are those of ``Client``."""
    assert preset("default", OURS) is OURS
    assert Client() == OURS


def test_incident_takes_the_novelties_away() -> None:
    """The contract's figures: no jitter, no floor, no suspension, no forgiving, its own stop codes."""
    assert changed("incident") == {
        "ping_jitter": 0.0,
        "lag_forgiven": float("inf"),
        "retry_first": 0,
        "retry_jitter": 0.0,
        "retry_floor": 0.0,
        "suspend": False,
        "rows": INCIDENT,
    }


def test_incident_before_is_broken_in_three_places() -> None:
    """Ping at once, health by HEAD, both replies shown; nothing else differs from the repaired one."""
    broken = {"stabilise": 0.0, "health_method": "HEAD", "show_http_reply": True}
    assert changed("incident-before") == changed("incident") | broken


def test_textbook_draws_between_nothing_and_the_whole() -> None:
    """Full jitter: U(0, min(cap, base * 2 ** n)), n from 0; five retries and no more."""
    rules = preset("textbook", OURS)
    assert [backoff(rules.retry_first + n, rules, 0.0) for n in range(6)] == [0] * 6
    assert [backoff(rules.retry_first + n, rules, 0.5) for n in range(6)] == [0.5, 1, 2, 4, 8, 15]
    assert classify(1012, Context(rules=rules, attempts=5)).action == "fail"
    assert rules.rows == TEXTBOOK


def test_textbook_without_jitter_is_in_step() -> None:
    """1, 2, 4, 8, 16 s whatever is drawn: all clients at the same moments."""
    rules = preset("textbook-no-jitter", OURS)
    assert [backoff(n, rules, draw) for n in range(5) for draw in (0.0, 0.9)] == [1, 1, 2, 2, 4, 4, 8, 8, 16, 16]
    assert changed("textbook-no-jitter") == changed("textbook") | {"retry_jitter": 0.0}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_keeps_what_the_profile_says(name: str) -> None:
    """It changes its own values; rows of the profile are asked before its own."""
    row = Row(close=4711, action="fail")
    mine = msgspec.structs.replace(OURS, ping_interval=7.0, rows=(row,))
    made = preset(name, mine)
    assert made.ping_interval == 7.0
    assert made.rows[0] == row


def test_an_unknown_preset() -> None:
    """Says which there are."""
    with pytest.raises(InvalidInput, match="one of default, incident, incident-before, textbook, textbook-no-jitter"):
        preset("best", OURS)
