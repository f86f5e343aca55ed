"""The notebooks of the runbooks, read without running them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chatkit.diagnosis.result import MIME
from chatkit.errors import InvalidInput
from chatkit.runbooks import Parameter, find, names, read, shelf

NOTEBOOKS = Path(__file__).parents[2] / "notebooks" / "runbooks"


def notebook(tmp_path: Path, *cells: tuple[str, str, list[str]]) -> Path:
    """A file with these cells: kind, source, tags."""
    path = tmp_path / "one.ipynb"
    made = [{"cell_type": kind, "source": [source], "metadata": {"tags": tags}} for kind, source, tags in cells]
    path.write_text(json.dumps({"cells": made}), "utf-8")
    return path


def test_every_notebook_is_a_runbook() -> None:
    """Under its own name, with a symptom, a question and parameters that are explained."""
    assert names() == sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")) != []
    for name in names():
        book = find(name)
        assert book.name == name
        assert book.title
        assert "?" in book.question
        assert all(parameter.meaning for parameter in book.parameters), name
        assert book.path == NOTEBOOKS / f"{name}.ipynb"


@pytest.mark.parametrize("name", names())
def test_every_runbook_shows_a_verdict(name: str) -> None:
    """In its stored outputs: without one ``chatkit runbook`` would have nothing to say."""
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text("utf-8"))["cells"]
    shown = [
        output["data"][MIME] for cell in cells for output in cell.get("outputs", []) if MIME in output.get("data", {})
    ]
    assert shown, "the last cell of evidence has to display a Diagnosis or an Investigation"
    assert shown[-1]["verdict"] in ("fault", "no-fault", "inconclusive")


@pytest.mark.parametrize("name", names())
def test_every_runbook_takes_somebody_elses_backend_or_files(name: str) -> None:
    """All three of a backend, or evidence."""
    book = find(name)
    backend = {"url", "bot", "token_env"} & {parameter.name for parameter in book.parameters}
    files = [parameter for parameter in book.parameters if parameter.is_file]
    assert len(backend) == 3 or (not backend and files)
    assert all((book.path.parent / str(parameter.default)).is_file() for parameter in files)


def test_parameters_with_what_they_mean() -> None:
    """Name, literal, comment; a file is one by its place, and may be left out where it says so."""
    book = find("what_the_wire_says")
    assert [parameter.name for parameter in book.parameters] == ["incident", "healthy", "encrypted", "keys"]
    assert [(parameter.is_file, parameter.optional) for parameter in book.parameters] == [(True, False)] + [
        (True, True)
    ] * 3
    bot = find("health_says_down").parameter("bot")
    assert bot == Parameter(name="bot", default="echo", meaning="the bot's id")
    assert not bot.is_file
    assert find("health_says_down").parameter("no such") is None


def test_as_json() -> None:
    """What ``--list --json`` prints."""
    told = find("rejected_at_the_door").to_dict()
    assert told["name"] == "rejected_at_the_door"
    assert {"name": "url", "default": None} == {key: told["parameters"][0][key] for key in ("name", "default")}
    json.dumps(told)


def test_title_question_and_parameters(tmp_path) -> None:
    """A quotation over two lines is one question."""
    book = read(
        notebook(
            tmp_path,
            ("markdown", "# It drops\n\n> Who ends it,\n> and why?\n\nText", []),
            ("code", "a = -1.5  # first\nb = 'x'\nc: int = 3", ["parameters"]),
        )
    )
    assert (book.name, book.title, book.question) == ("one", "It drops", "Who ends it, and why?")
    assert [(one.name, one.default, one.meaning) for one in book.parameters] == [("a", -1.5, "first"), ("b", "x", "")]


@pytest.mark.parametrize(
    "cells",
    [
        [],
        [("markdown", "no title", [])],
        [("markdown", "# Title", []), ("code", "a = 1", [])],
        [("markdown", "# Title", []), ("code", "a = open('x')", ["parameters"])],
        [("markdown", "# Title", []), ("code", "a = ", ["parameters"])],
    ],
)
def test_what_is_no_runbook(cells: list[Any], tmp_path) -> None:
    """Says what one is."""
    with pytest.raises(InvalidInput, match="this is no runbook"):
        read(notebook(tmp_path, *cells))


def test_what_cannot_be_read(tmp_path) -> None:
    """No file, no JSON, no notebook."""
    with pytest.raises(InvalidInput, match="cannot be read"):
        read(tmp_path / "none.ipynb")
    for text in ("{", "[]", '{"cells": 3}'):
        (tmp_path / "bad.ipynb").write_text(text)
        with pytest.raises(InvalidInput, match="this is no runbook"):
            read(tmp_path / "bad.ipynb")


def test_an_unknown_name() -> None:
    """Names those that there are; a path is no name."""
    with pytest.raises(InvalidInput, match="drops_right_after_connect"):
        find("drops")
    with pytest.raises(InvalidInput, match="no such runbook"):
        find("../index")


def test_a_wheel_before_a_checkout(tmp_path, monkeypatch) -> None:
    """The package's own folder wins; without any the error says so."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.ipynb").write_text("{}")
    monkeypatch.setattr(shelf, "_PLACES", (tmp_path / "own", NOTEBOOKS))
    assert names() == ["mine"]
    monkeypatch.setattr(shelf, "_PLACES", (tmp_path / "no", tmp_path / "none"))
    with pytest.raises(InvalidInput, match="the runbooks are not here"):
        names()
