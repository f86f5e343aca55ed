"""The notebooks of the runbooks: found in the installed package or in a checkout, and read without running them.

A runbook's first cell holds its symptom (``# …``) and its question (``> …``); the cell tagged ``parameters`` holds one
literal for each name, and a comment that says what it is.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

from msgspec import Struct

from chatkit.errors import InvalidInput

_PACKAGE = Path(__file__).parents[1]
_PLACES = (_PACKAGE / "shipped" / "notebooks" / "runbooks", _PACKAGE.parent / "notebooks" / "runbooks")
"""A wheel carries them; a checkout has them beside the package."""


class Parameter(Struct, frozen=True, kw_only=True):
    """One name of the cell tagged ``parameters``."""

    name: str
    default: str | int | float | bool | None
    meaning: str
    """The comment behind it; may be empty."""

    @property
    def is_file(self) -> bool:
        """Whether the default names a file beside the notebook: evidence."""
        return isinstance(self.default, str) and self.default.startswith("../")

    @property
    def optional(self) -> bool:
        """Whether a runbook says that it can do without: ``or None`` in the comment."""
        return self.default is None or "or None" in self.meaning


class Runbook(Struct, frozen=True, kw_only=True):
    """One runbook, as its notebook tells."""

    name: str
    title: str
    """The symptom."""
    question: str
    parameters: tuple[Parameter, ...]
    path: Path

    def parameter(self, name: str) -> Parameter | None:
        """The parameter of that name, if there is one."""
        return next((one for one in self.parameters if one.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """For ``chatkit runbook --list --json``."""
        asked = [{"name": one.name, "default": one.default, "meaning": one.meaning} for one in self.parameters]
        return {"name": self.name, "title": self.title, "question": self.question, "parameters": asked}


def names() -> list[str]:
    """The names of all runbooks, sorted; no notebook is opened."""
    return sorted(path.stem for path in _folder().glob("*.ipynb"))


def find(name: str) -> Runbook:
    """The runbook of that name.

    Raises:
        InvalidInput: there is none, or its notebook cannot be read.
    """
    known = names()
    if name not in known:
        raise InvalidInput("there is no such runbook", expected=", ".join(known), got=name, remedy="--list")
    return read(_folder() / f"{name}.ipynb")


def read(path: Path) -> Runbook:
    """What a notebook says of itself.

    Raises:
        InvalidInput: it is no notebook of a runbook: no title, no question, or no parameters.
    """
    try:
        cells = json.loads(path.read_text("utf-8"))["cells"]
        first = "".join(cells[0]["source"]).splitlines()
        title = next(line[2:] for line in first if line.startswith("# "))
        question = " ".join(line[1:].strip() for line in first if line.startswith(">"))
        tagged = next(cell for cell in cells if "parameters" in cell["metadata"].get("tags", ()))
        parameters = tuple(_parameters("".join(tagged["source"])))
    except OSError as error:
        raise InvalidInput(f"the notebook cannot be read: {error.strerror}", where=path.name) from None
    except (KeyError, IndexError, TypeError, ValueError, SyntaxError, StopIteration):
        wanted = "a notebook with a title, a question and a cell tagged 'parameters' that holds literals"
        raise InvalidInput("this is no runbook", expected=wanted, where=path.name) from None
    return Runbook(name=path.stem, title=title.strip(), question=question, parameters=parameters, path=path)


def _parameters(source: str) -> list[Parameter]:
    lines = source.splitlines()
    found = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            _, _, meaning = lines[node.lineno - 1].partition("  # ")
            found.append(
                Parameter(name=node.targets[0].id, default=ast.literal_eval(node.value), meaning=meaning.strip())
            )
    return found


def _folder() -> Path:
    for place in _PLACES:
        if place.is_dir():
            return place
    raise InvalidInput("the runbooks are not here", expected=str(_PLACES[0]), remedy="install chatkit from its wheel")
