"""Files from a browser: pieces become evidence; limits, hostile names and secrets are minded."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatkit.errors import ImportFailed, InvalidInput
from chatkit.widgets.intake import LIMIT, Intake

CAPTURE = Path(__file__).parents[1] / "data" / "runbooks" / "wire-incident.pcap"


def test_pieces_become_a_verdict() -> None:
    """In pieces that end anywhere."""
    content = CAPTURE.read_bytes()
    intake = Intake(["incident.pcap"], len(content))
    for at in range(0, len(content), 1000):
        intake.add(0, content[at : at + 1000])
    found = intake.read()
    intake.close()
    assert found.diagnosis.causes[0].id == "early-ping-abort"
    assert found.inputs[0].file == "incident.pcap"
    assert intake.received == len(content)


def test_several_files_of_one_incident_are_merged(tmp_path: Path) -> None:
    """Two of the same name do not overwrite each other."""
    content = CAPTURE.read_bytes()
    intake = Intake(["same.pcap", "same.pcap"], 2 * len(content))
    intake.add(0, content)
    intake.add(1, content)
    found = intake.read()
    intake.close()
    assert [one.file for one in found.inputs] == ["same.pcap", "same.pcap"]
    assert found.trace.origin.kind == "merged"


@pytest.mark.parametrize("name", ["../../escape.har", "/etc/passwd", "..", "\x1b[31mred.har", "a" * 5000])
def test_a_name_is_no_path(name: str) -> None:
    """The file is put into the intake's own folder; an unreadable one is told by its name and not by its place."""
    intake = Intake([name], 3)
    intake.add(0, b"???")
    files = [path for path in intake._folder.rglob("*") if path.is_file()]
    assert len(files) == 1
    with pytest.raises(ImportFailed) as refused:
        intake.read()
    assert str(intake._folder) not in str(refused.value)
    assert "\x1b" not in str(refused.value)
    intake.close()
    assert not intake._folder.exists()


def test_limits_are_said_before_anything_comes() -> None:
    with pytest.raises(InvalidInput, match="chatkit inspect"):
        Intake(["huge.pcap"], LIMIT + 1)
    with pytest.raises(InvalidInput, match="1 to 50"):
        Intake([], 0)


def test_a_liar_about_the_size_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatkit.widgets.intake.LIMIT", 1000)
    intake = Intake(["small.log"], 10)
    intake.add(0, b"x" * 1000)
    with pytest.raises(InvalidInput, match="more came"):
        intake.add(0, b"x")
    with pytest.raises(InvalidInput, match="announced"):
        intake.add(1, b"")
    intake.close()
