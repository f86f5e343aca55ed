"""The labelled set: every fault of the lab is in it, labels are known, files with a label are taken up."""

from __future__ import annotations

import asyncio

from chatkit.diagnosis.taxonomy import causes
from chatkit.faults.catalogue import CATALOGUE
from chatkit.formats import jsonl
from tests.bench.diagnosis import calibration, judge
from tests.diagnosis.labelled import DATA, Scene, files, first, record, scenes, told
from tests.diagnosis.stories import NO_FAULT, OPEN, stories


def test_every_fault_of_the_lab_is_played() -> None:
    """With its label, where that is not said otherwise; faults of the path are played in tests/incidents."""
    played = {fault.partition(":")[0] for scene in scenes() for fault in scene.faults}
    assert {id for id, kind in CATALOGUE.items() if kind.acts == "server"} <= played


def test_labels_are_known() -> None:
    """Causes, no fault, or not to be told."""
    assert {one.label for one in (*scenes(), *told(), *files())} <= {*causes(), NO_FAULT, OPEN}


def test_a_scene_becomes_a_recording() -> None:
    """Of what a client saw."""
    scene = Scene(label="auth-rejected", faults=("auth-rejected",), seconds=2.0)
    trace = asyncio.run(record(scene))
    assert trace.origin.kind == "live"
    assert trace.connections[0].state == "refused"


def test_a_file_with_a_label(tmp_path) -> None:
    """By its path under tests/data; none where no label stands."""
    assert files(tmp_path) == []
    story = next(one for one in stories() if one.name == "the incident")
    (tmp_path / "chatkit").mkdir()
    jsonl.dump(story.trace(), tmp_path / "chatkit" / "incident.jsonl")
    (tmp_path / "labels.toml").write_text('"chatkit/incident.jsonl" = "early-ping-abort"\n')
    (one,) = files(tmp_path)
    assert (one.name, one.label, first(one.diagnose())) == ("chatkit/incident.jsonl", "early-ping-abort", one.label)


def test_labelled_files_exist() -> None:
    """Whatever stands in the table can be read."""
    assert all((DATA / one.name).exists() for one in files())


def test_right_wrong_abstained() -> None:
    """An abstention misleads nobody; a cause where nothing is wrong does."""
    assert judge("idle-timeout", "idle-timeout") == "right"
    assert judge("idle-timeout", OPEN) == "abstained"
    assert judge("idle-timeout", NO_FAULT) == judge(NO_FAULT, "idle-timeout") == "wrong"
    assert judge(OPEN, NO_FAULT) == "abstained"


def test_calibration_counts_by_confidence() -> None:
    """A line for each step that has verdicts."""
    lines = calibration([(0.95, True), (0.96, False), (0.55, True)])
    assert len(lines) == 2
    assert "1 of   2 right" in lines[0]
