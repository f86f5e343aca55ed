"""The notebook budget: notebooks are conversations, not programs."""

from __future__ import annotations

import ast
import itertools
import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))

MAX_CODE_CELLS = 12
MEDIAN_LINES = 5
MAX_LINES = 12
MAX_BYTES = 400_000
BANNED = ("sys.path", "IPython", "get_ipython", "display(")


def source(cell: dict[str, Any]) -> str:
    """A cell's text."""
    return "".join(cell["source"])


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each notebook as JSON, with its path."""
    return {"path": request.param, **json.loads(request.param.read_text("utf-8"))}


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """The code cells."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_there_are_notebooks() -> None:
    """The start notebook, the console and the runbook of the incident exist."""
    names = {path.stem for path in NOTEBOOKS}
    assert {"00_start_here", "console", "drops_right_after_connect"} <= names


def test_cells_are_few_and_short(notebook: dict[str, Any]) -> None:
    """At most 12 code cells, 5 lines in the median, 12 at most."""
    lines = [len(source(cell).splitlines()) for cell in code_cells(notebook)]
    assert len(lines) <= MAX_CODE_CELLS
    assert statistics.median(lines) <= MEDIAN_LINES
    assert max(lines) <= MAX_LINES


def test_prose_stands_before_every_code_cell(notebook: dict[str, Any]) -> None:
    """Markdown before each code cell; the first cell is a title with the question as a quotation."""
    cells = notebook["cells"]
    assert source(cells[0]).startswith("# ")
    assert "\n> " in source(cells[0])
    for before, cell in itertools.pairwise(cells):
        if cell["cell_type"] == "code":
            assert before["cell_type"] == "markdown", source(cell)


def test_last_cell_states_limits(notebook: dict[str, Any]) -> None:
    """The last cell says what the notebook does not prove."""
    last = notebook["cells"][-1]
    assert last["cell_type"] == "markdown"
    assert "does not" in source(last)


def test_code_uses_only_the_front_door(notebook: dict[str, Any]) -> None:
    """No helpers, no loops that retry, no display plumbing; chatkit through its front door only."""
    for cell in code_cells(notebook):
        text = source(cell)
        assert not any(word in text for word in BANNED), text
        # A cell may await at its top level.
        tree = ast.parse(
            f"async def cell():\n{''.join('    ' + line + chr(10) for line in text.splitlines() or ['pass'])}"
        )
        for node in ast.walk(tree.body[0]):
            if node is tree.body[0]:
                continue
            assert not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.While), text
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("chatkit."), text
            if isinstance(node, ast.Import):
                assert not any(name.name.startswith("chatkit.") for name in node.names), text


def test_parameters_can_be_set(notebook: dict[str, Any]) -> None:
    """One cell is tagged for papermill; it names the backend's URL, the files of evidence, or a lesson's seed."""
    if notebook["path"].stem == "index":
        return  # it only leads to the others
    tagged = [cell for cell in code_cells(notebook) if "parameters" in cell["metadata"].get("tags", [])]
    assert len(tagged) == 1
    text = source(tagged[0])
    files = re.findall(r'"(\.\./[^"]+)"', text)
    assert "url = None" in text or "seed = None" in text or files
    assert all((notebook["path"].parent / file).exists() for file in files)


def test_nothing_heavy_or_secret_is_stored(notebook: dict[str, Any]) -> None:
    """No widget state, no token, no machine path; small enough to read in a review."""
    raw = notebook["path"].read_text("utf-8")
    assert "widgets" not in notebook["metadata"]
    assert "eyJ" not in raw
    assert str(ROOT) not in raw
    assert len(raw) <= MAX_BYTES


def test_every_cell_was_run_in_order(notebook: dict[str, Any]) -> None:
    """Stored outputs come from one run from top to bottom, without an error."""
    counts = [cell["execution_count"] for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    kinds = {output["output_type"] for cell in code_cells(notebook) for output in cell["outputs"]}
    assert "error" not in kinds
