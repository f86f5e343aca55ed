"""The taxonomy as data: complete, known by the same ids, and its numbers are probabilities."""

from __future__ import annotations

import string

import pytest

from chatkit.diagnosis.report import PARAMETERS
from chatkit.diagnosis.taxonomy import PRIORS, Cause, causes, observables

IDS = """
dns-failure connection-refused connect-timeout tls-failure scheme-mismatch
upgrade-stripped not-found redirected auth-rejected bot-access-denied origin-rejected subprotocol-mismatch
rate-limited connection-limit upstream-unavailable handshake-timeout handshake-invalid clock-skew
early-ping-abort no-established-message compression-broken replaced-by-new-session
idle-timeout nat-timeout max-lifetime token-expired keepalive-timeout client-blocked-loop server-blocked-loop
slow-consumer message-too-big client-message-limit protocol-error invalid-utf8 policy-violation server-error
server-restart server-crash worker-timeout network-reset peer-unreachable client-going-away client-suspended
client-error
health-method-mismatch health-lies duplicate-delivery lost-reply multi-worker-split slow-reply stuck-typing
out-of-order reconnect-storm wrong-contract
""".split()
"""Of the taxonomy, in its order; they are part of the JSON interface."""
KINDS = {"attempt", "life"} | {
    *("mute", "errors", "copies", "replies", "latency", "typing", "order", "contract", "attempts", "monitor")
}
WHO = {"client", "server", "proxy", "network"}
IN_WORDS = {
    *("host", "status", "location", "offered", "retry", "established", "who_gave_up", "limit", "whose", "at"),
    *(
        "count_words",
        "how_long",
        "and_then",
        "gap_words",
        "window_words",
        "limit_words",
        "first",
        "how",
        "trigger_words",
        "mean_s",
        "lost",
        "asked",
        "count",
        "expected",
        "attempts",
    ),
    *("code", "reason", "size_bytes", "waited_s", "port", "timeout_s"),
}
"""Names that a summary may use beside its cause's parameters."""


@pytest.fixture(params=causes().values(), ids=lambda cause: cause.id)
def cause(request: pytest.FixtureRequest) -> Cause:
    """Each cause of the taxonomy."""
    return request.param


def test_the_ids_are_those_of_the_taxonomy() -> None:
    """None is missing, none is new, none has another name."""
    assert list(causes()) == IDS


def test_every_observed_value_is_known(cause) -> None:
    """A cause speaks of observations and values that exist."""
    for of, table in cause.seen.items():
        assert of in observables()
        assert set(table) <= {*observables()[of].rates, "*"}, of


def test_likelihoods_are_probabilities(cause) -> None:
    """Each is between 0 and 1, and those of one observation add up to at most 1."""
    for of, table in cause.seen.items():
        assert all(0 < chance < 1 for chance in table.values()), of
        named = sum(chance for value, chance in table.items() if value != "*")
        assert named <= 1 + 1e-9, of


@pytest.mark.parametrize("observable", observables().values(), ids=lambda one: one.id)
def test_rates_are_probabilities(observable) -> None:
    """General rates too; the question ends as one."""
    named = sum(chance for value, chance in observable.rates.items() if value != "*")
    assert 0.9 <= named <= 1 + 1e-9
    assert all(0 < chance <= 1 for chance in observable.rates.values())
    assert observable.asks.endswith("?")


def test_lookalikes_exist_and_are_others(cause) -> None:
    """They are causes, not the same one, named once."""
    assert set(cause.lookalikes) <= set(causes()) - {cause.id}
    assert len(set(cause.lookalikes)) == len(cause.lookalikes)


def test_a_summary_uses_known_names(cause) -> None:
    """Every name in braces is a parameter of the cause or made for its summary."""
    names = {name for _, name, _, _ in string.Formatter().parse(cause.summary) if name}
    assert names <= {*PARAMETERS.get(cause.id, ()), *IN_WORDS}


def test_every_cause_says_what_to_do(cause) -> None:
    """Who, what stops it and where, what would tell it apart; it explains at least one kind of case."""
    assert cause.fix.summary
    assert cause.fix.where
    assert cause.experiment
    assert cause.signature
    assert cause.apart
    assert cause.weight in PRIORS
    assert cause.who
    assert set(cause.who) <= WHO
    assert cause.cases
    assert set(cause.cases) <= KINDS
    assert 1 <= cause.group <= 6


def test_parameters_belong_to_causes() -> None:
    """No list of parameters for a cause that is not there."""
    assert set(PARAMETERS) <= set(causes())


def test_what_a_cause_does_not_speak_of_has_the_general_rate() -> None:
    """So it moves nothing."""
    cause, observable = causes()["dns-failure"], observables()["hello"]
    assert cause.likelihood(observable, "never") == observable.rate("never")


def test_a_value_that_is_not_named_is_unlikely() -> None:
    """A cause that speaks of an observation says no to what it does not name, as firmly as the observation allows."""
    stage = observables()["stage"]
    assert causes()["dns-failure"].likelihood(stage, "tls") == stage.otherwise < 0.01
