"""The shape of a diagnosis in JSON: scripts rely on it."""

from __future__ import annotations

import json

import msgspec
import pytest

from chatkit.diagnosis import Diagnosis, diagnose
from chatkit.diagnosis.result import MIME, MOST_LISTED, Evidence, Fix, RankedCause, Remark, RuledOut
from tests.diagnosis.stories import stories

SAMPLE = Diagnosis(
    verdict="fault",
    causes=(
        RankedCause(
            id="idle-timeout",
            title="Somebody ends connections that are quiet",
            confidence=0.91234,
            who="proxy",
            connections=("1", "2"),
            summary="The connection is ended 60 s after the last activity",
            parameters={"timeout_s": 60.0, "counts": "any"},
            likely=("nginx proxy_read_timeout (default)",),
            lookalikes=(("max-lifetime", 0.05),),
            evidence=(Evidence(finding="FIN by server", events=("7",)), Evidence(finding="no", supports=False)),
            fix=Fix(summary="a heartbeat", where="client", settings={"nginx": "proxy_read_timeout 3600s;"}),
        ),
    ),
    remarks=(Remark(finding="HEAD 405", events=("3",)),),
    ruled_out=(RuledOut(id="max-lifetime", because="ages differ"),),
    unknown=("something",),
    headline="Idle.",
)
KEYS = {"verdict", "headline", "causes", "remarks", "ruled_out", "unknown", "next_steps"}
CAUSE = {"id", "confidence", "who", "connections", "summary", "parameters", "likely", "lookalikes", "evidence", "fix"}


def test_the_whole_shape() -> None:
    """Every name and type of the interface."""
    assert SAMPLE.to_dict() == {
        "verdict": "fault",
        "headline": "Idle.",
        "causes": [
            {
                "id": "idle-timeout",
                "confidence": 0.912,
                "who": "proxy",
                "connections": ["1", "2"],
                "summary": "The connection is ended 60 s after the last activity",
                "parameters": {"timeout_s": 60.0, "counts": "any"},
                "likely": ["nginx proxy_read_timeout (default)"],
                "lookalikes": [{"id": "max-lifetime", "confidence": 0.05}],
                "evidence": [
                    {"finding": "FIN by server", "events": ["7"], "supports": True},
                    {"finding": "no", "events": [], "supports": False},
                ],
                "fix": {
                    "summary": "a heartbeat",
                    "where": "client",
                    "settings": {"nginx": "proxy_read_timeout 3600s;"},
                },
            }
        ],
        "remarks": [{"finding": "HEAD 405", "events": ["3"]}],
        "ruled_out": [{"id": "max-lifetime", "because": "ages differ"}],
        "unknown": ["something"],
        "next_steps": [],
    }


@pytest.mark.parametrize("story", stories(), ids=lambda story: story.name)
def test_every_diagnosis_is_json(story) -> None:
    """Plain values without NaN, the same keys always; no fault has no cause."""
    found = diagnose(story.trace(), health_method=story.health_method).to_dict()
    again = json.loads(json.dumps(found, allow_nan=False))
    assert again == found
    assert set(found) == KEYS
    assert found["verdict"] in ("fault", "no-fault", "inconclusive")
    assert bool(found["causes"]) == (found["verdict"] == "fault")
    for one in found["causes"]:
        assert set(one) == CAUSE
        assert 0 <= one["confidence"] <= 1
        assert all(isinstance(id, str) for item in one["evidence"] for id in item["events"])


def test_without_a_view_it_is_its_headline() -> None:
    """And the ticket is the same text."""
    assert str(SAMPLE).startswith("Idle.") or "idle-timeout" in str(SAMPLE)
    assert "idle" in SAMPLE.ticket().lower()


def test_it_travels_as_data_beside_its_card() -> None:
    """In the output of a notebook; IPython adds the other faces. Long lists are cut there."""
    assert SAMPLE._repr_mimebundle_() == {MIME: SAMPLE.to_dict()}
    many = tuple(str(number) for number in range(1000))
    cause = msgspec.structs.replace(SAMPLE.causes[0], connections=many)
    (told,) = msgspec.structs.replace(SAMPLE, causes=(cause,))._repr_mimebundle_().values()
    assert told["causes"][0]["connections"] == list(many[:MOST_LISTED])
    json.dumps(told, allow_nan=False)
