"""Small values at a glance."""

from __future__ import annotations

from chatkit.views.glance import MOST, glance


def test_it_says_what_it_is_told() -> None:
    """Kind, sentence with its lines, facts; a status in a word beside its mark."""
    shown = glance("message", "one\ntwo", [("state", "sent"), ("token", "expired", "fail")], "ok")
    assert ">message</b>" in shown
    assert ">one\ntwo</p>" in shown
    assert "✗ <b>fail</b>" in shown
    assert "data-tone='ok'" in shown


def test_what_is_too_much_is_counted() -> None:
    """Forty lines, then how many more."""
    shown = glance("list", "long", [(str(n), "x") for n in range(MOST + 2)])
    assert shown.count("<tr>") == MOST
    assert "and 2 lines more" in shown


def test_an_unknown_status_claims_nothing() -> None:
    """It was not tried, as far as anybody knows."""
    assert "<b>not-tried</b>" in glance("check", "odd", [("a", "b", "<i>")])
