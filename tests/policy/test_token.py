"""What a token says of itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.policy.token import Claims, read_claims, span, token_state
from stories import make_jwt

NOW = 1_764_000_000.0


@pytest.mark.parametrize(
    ("claims", "read"),
    [
        ({}, Claims()),
        ({"exp": 5, "iat": 3, "nbf": 4}, Claims(exp=5, iat=3, nbf=4)),
        ({"exp": 5.5}, Claims(exp=5.5)),
        ({"name": "ü" * 50}, Claims()),
    ],
)
def test_the_times_in_a_token(claims: dict[str, object], read: Claims) -> None:
    """Whatever else it carries."""
    assert read_claims(make_jwt(**claims)) == read


@pytest.mark.parametrize(
    "token", ["", "opaque", "a.b", "a.b.c", "e30.e30", "e30.W10.x", "W10.e30.x", "é.é.é", "...", "e30.bnVsbA.x"]
)
def test_what_is_no_jwt(token: str) -> None:
    """No exception."""
    assert read_claims(token) is None


@pytest.mark.parametrize("value", ['"soon"', "true", "null", "[1]", "{}"])
def test_a_time_that_is_none(value: str) -> None:
    """Is not there."""
    import base64

    part = base64.urlsafe_b64encode(f'{{"exp": {value}}}'.encode()).decode().rstrip("=")
    assert read_claims(f"e30.{part}.x") == Claims()


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (None, "none"),
        ("", "none"),
        ("opaque", "not a JWT, cannot tell how long it lives"),
        (make_jwt(), "good, without expiry"),
        (make_jwt(exp=NOW + 1620), "good, 27 min left"),
        (make_jwt(exp=NOW), "expired 0 s ago"),
        (make_jwt(exp=NOW - 240), "expired 4 min ago"),
        (make_jwt(exp=NOW + 9e5, nbf=NOW + 60), "not valid before 60 s from now"),
        (make_jwt(exp=NOW + 9e5, nbf=NOW - 60), "good, 10 d left"),
    ],
)
def test_the_state_in_words(token: str | None, words: str) -> None:
    """The token itself never appears."""
    assert token_state(token, NOW) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h"), (172_799, "48.0 h"), (172_800, "2 d")],
)
def test_a_span_for_people(seconds: float, words: str) -> None:
    """Two digits are enough."""
    assert span(seconds) == words


@given(st.text() | st.binary().map(lambda b: b.decode("latin-1")), st.floats(0, 4e9))
def test_any_text_has_a_state(token: str, now: float) -> None:
    """Two outcomes."""
    assert token_state(token, now)
    assert token_state(f"e30.{token}.x", now)
