"""The catalogue is complete and consistent with itself."""

from __future__ import annotations

import json

import pytest

from chatkit.faults import CATALOGUE, parse_fault
from chatkit.faults.rules import RULES

REQUIRED_IDS = {
    "early-ping-abort",
    "idle-timeout",
    "max-lifetime",
    "server-crash",
    "auth-rejected",
    "token-expired",
    "no-established-message",
    "slow-reply",
    "duplicate-delivery",
    "stuck-typing",
    "lost-reply",
    "invalid-json",
    "big-frame",
    "health-down",
    "server-error",
    "no-pong",
    "chunk-gap",
    "black-hole",
    "stall",
    "accept-then-close",
    "error-on-text",
    "overload",
    "replaced-by-new-session",
    "connection-limit",
    "upgrade-rate",
    "bot-access-denied",
    "origin-rejected",
    "not-found",
    "subprotocol-mismatch",
    "redirected",
    "clock-skew",
    "handshake-timeout",
    "handshake-invalid",
    "service-down",
    "message-rate",
    "policy-violation",
    "protocol-error",
    "invalid-utf8",
    "message-too-big",
    "slow-consumer",
    "server-restart",
    "worker-timeout",
    "crash-on-text",
    "multi-worker-split",
    "wrong-contract",
    "out-of-order",
}


def test_every_fault_has_a_rule_and_every_rule_a_fault() -> None:
    """Catalogue and rules name the same ids."""
    assert set(CATALOGUE) == set(RULES)


def test_the_promised_faults_are_there() -> None:
    """The ids that runbooks use exist."""
    assert set(CATALOGUE) >= REQUIRED_IDS


@pytest.mark.parametrize("kind", CATALOGUE.values(), ids=CATALOGUE)
def test_defaults_satisfy_their_own_limits(kind) -> None:
    """Spelling out every default parses to the same fault as leaving them out."""
    required = {p.name: "1" for p in kind.parameters if p.default is None}
    full = required | {p.name: str(p.default) for p in kind.parameters if p.default is not None}

    def spell(pairs: dict[str, str]) -> str:
        text = ",".join(f"{key}={value}" for key, value in pairs.items())
        return f"{kind.id}:{text}" if text else kind.id

    assert parse_fault(spell(full)) == parse_fault(spell(required))


@pytest.mark.parametrize("kind", CATALOGUE.values(), ids=CATALOGUE)
def test_an_entry_is_plain_json(kind) -> None:
    """``--list-faults --json`` needs nothing but json."""
    entry = json.loads(json.dumps(kind.as_json()))
    assert entry["id"] == kind.id
    assert entry["acts"] == kind.acts
    assert entry["signature"].startswith(kind.id)
    assert [p["name"] for p in entry["parameters"]] == [p.name for p in kind.parameters]


def test_a_signature_shows_what_is_required() -> None:
    """Required keys stand outside the brackets."""
    assert CATALOGUE["idle-timeout"].signature().startswith("idle-timeout:timeout=S[,counts=any|")
    assert (
        CATALOGUE["early-ping-abort"].signature()
        == "early-ping-abort[:window=S,delay=S,how=rst|fin,ping=both|app|protocol]"
    )
    assert CATALOGUE["stuck-typing"].signature() == "stuck-typing"
