"""Two named behaviours: the repaired front end and the broken one."""

from __future__ import annotations

import msgspec
import pytest

from chatkit.errors import InvalidInput
from chatkit.policy.presets import PRESETS, preset
from chatkit.profile import DEFAULT


def test_incident_is_the_profile_itself() -> None:
    """The values of the repaired front end."""
    assert preset("incident", DEFAULT.client) == DEFAULT.client


def test_incident_before_is_broken_in_three_places() -> None:
    """Ping at once, health by HEAD, both replies shown; nothing else differs."""
    before = preset("incident-before", DEFAULT.client)
    assert (before.stabilise, before.health_method, before.show_http_reply) == (0.0, "HEAD", True)
    repaired = msgspec.structs.replace(before, stabilise=5.0, health_method="GET", show_http_reply=False)
    assert repaired == DEFAULT.client


def test_a_preset_keeps_what_the_profile_says() -> None:
    """It changes its own three values."""
    mine = msgspec.structs.replace(DEFAULT.client, ping_interval=7.0)
    assert [preset(name, mine).ping_interval for name in PRESETS] == [7.0, 7.0]


def test_an_unknown_preset() -> None:
    """Says which there are."""
    with pytest.raises(InvalidInput, match="one of incident, incident-before"):
        preset("best", DEFAULT.client)
