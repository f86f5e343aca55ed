"""Causes for rows, from the engine's own model."""

from __future__ import annotations

import pytest

from chatkit.diagnosis.taxonomy import causes
from chatkit.fleet.verdicts import Look, verdict

LIFE = Look("ended", None, 1006, "server", "rst", "server", "minutes", "irregular", "alone")


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"close_code": 1000, "closed_by": "client", "transport_how": "fin"}, "none"),
        ({"close_code": 1011}, "server-error"),
        ({"close_code": 1012, "together": "all"}, "server-restart"),
        ({"close_code": 1009, "closed_by": "client"}, "client-message-limit"),
        ({"close_code": 4009}, "replaced-by-new-session"),
        ({"timer": "idle", "transport_how": "fin"}, "idle-timeout"),
        ({"timer": "age", "transport_how": "fin"}, "max-lifetime"),
        ({"state": "refused", "http_status": 429, "close_code": None, "closed_by": None, "transport_how": None,
          "transport_by": None, "age": None, "timer": "single", "together": "single"}, "rate-limited"),
        ({"state": "refused", "http_status": None, "close_code": None, "closed_by": None, "transport_how": None,
          "transport_by": None, "age": None, "timer": "single", "together": "single"}, "unknown"),
    ],
)  # fmt: skip
def test_what_a_row_can_show(changes, cause) -> None:
    """The likeliest cause of the taxonomy, or none, or unknown."""
    id, probability = verdict(LIFE._replace(**changes))
    assert id == cause
    assert 0 <= probability <= 1
    assert id in {*causes(), "none", "unknown"}
