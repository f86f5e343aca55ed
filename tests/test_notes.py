"""Notes of a reader become events of the trace and travel with it."""

from __future__ import annotations

import pytest

from builders import incident_trace
from chatkit.diagnosis import diagnose
from chatkit.errors import InvalidInput
from chatkit.events import KIND_CODE, Noted, RecordingEnded
from chatkit.formats import jsonl
from chatkit.notes import MOST_AUTHOR, MOST_TEXT, annotated, note
from chatkit.trace import Trace
from chatkit.views.report import report
from chatkit.views.timeline import lay_out
from stories import story


def test_a_note_stands_in_its_place_in_time() -> None:
    """Ids stay, and the note knows what it speaks of."""
    trace = incident_trace()
    one = note(trace, "the\n deploy", at=8.0, connection="2", about="40", author="ada")
    noted = annotated(trace, [one])
    assert [event.id for event in noted if not isinstance(event, Noted)] == [event.id for event in trace]
    place = noted.index(one.id)
    assert noted.at[place - 1] <= 8.0 < noted.at[place + 1]
    assert noted[place] == one
    assert str(one) == "note by ada: the deploy"
    assert (one.connection, one.about, noted.names) == ("2", "40", trace.names)
    again = annotated(noted, [note(noted, "more", at=8.0)])
    assert len({event.id for event in again}) == len(again)


def test_notes_survive_a_file(tmp_path) -> None:
    """Row by row."""
    trace = incident_trace()
    noted = annotated(trace, [note(trace, "“ünï” <b>", at=1.0), note(trace, "second", at=0.5)])
    jsonl.dump(noted, tmp_path / "noted.jsonl")
    loaded = jsonl.load(tmp_path / "noted.jsonl")
    assert list(loaded.select(kinds={"Noted"}).rows) == list(noted.select(kinds={"Noted"}).rows)
    assert loaded.kind.tolist() == noted.kind.tolist()


def test_the_end_of_the_recording_stays_last() -> None:
    """Else the file would count as cut short."""
    trace = story((0.0, Noted, {"text": "x"}), (1.0, RecordingEnded))
    noted = annotated(trace, [note(trace, "late", at=9.0)])
    assert noted.kind.tolist() == [KIND_CODE[Noted], KIND_CODE[Noted], KIND_CODE[RecordingEnded]]


def test_notes_change_no_verdict() -> None:
    """They are no evidence, only beside it; and the report and the timeline show them."""
    trace = incident_trace()
    notes = [note(trace, f"seen {name}", at=41.0, connection=name) for name in ("1", "4")]
    noted = annotated(trace, notes)
    before, after = diagnose(trace), diagnose(noted)
    assert [str(one) for one in after.causes] == [str(one) for one in before.causes]
    assert [str(one) for one in noted.connections] == [str(one) for one in trace.connections]
    assert {"note by reader: seen 1", "note by reader: seen 4"} <= set(lay_out(noted).words)
    assert "seen 4" in report(noted, after)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (" \n", {"at": 0.0}),
        ("x", {"at": float("nan")}),
        ("x", {"at": 0.0, "connection": "99"}),
        ("x", {"at": 0.0, "about": "no"}),
    ],
)
def test_what_is_no_note(text: str, options: dict) -> None:
    """Says what it lacks."""
    with pytest.raises(InvalidInput):
        note(incident_trace(), text, **options)


def test_a_note_is_bounded_and_holds_no_secret() -> None:
    """Whatever was pasted into it."""
    one = note(incident_trace(), "?token=hunter2hunter2 " + "x" * 90_000, at=0.0, author="y" * 900)
    assert (len(one.text), len(one.author)) == (MOST_TEXT, MOST_AUTHOR)
    assert "hunter2" not in one.text
    assert len(annotated(Trace.of([]), [note(Trace.of([]), "alone", at=3.0)])) == 1
