"""Notebooks of a few cells, in real kernels."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chatkit.cli.headless import HIDDEN, Headless, RunFailed
from chatkit.diagnosis.result import MIME
from chatkit.errors import MissingDependency
from tests.conftest import until

pytestmark = [pytest.mark.filterwarnings("default")]

PARAMETERS = "word = 'a'  # said"
LONG = 60.0
SHOWS = f"""
class Shown:
    def _repr_mimebundle_(self, include=None, exclude=None):
        return {{"{MIME}": {{"verdict": word}}}}
Shown()
"""


@pytest.fixture
def notebook(tmp_path) -> Callable[..., Path]:
    """``notebook("code", …)``: a heading, the parameters, and a heading before each cell."""

    def make(*sources: str) -> Path:
        cells: list[dict[str, Any]] = []
        for number, source in enumerate((PARAMETERS, *sources)):
            tags = ["parameters"] if number == 0 else []
            cells += [
                {"cell_type": "markdown", "id": f"t{number}", "source": f"# Part {number}\n\nText", "metadata": {}},
                {
                    "cell_type": "code",
                    "id": f"c{number}",
                    "source": source,
                    "metadata": {"tags": tags},
                    "outputs": [{"output_type": "stream", "name": "stdout", "text": "of before"}],
                    "execution_count": 7,
                },
            ]
        kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
        whole = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
        path = tmp_path / "book.ipynb"
        path.write_text(json.dumps(whole), "utf-8")
        return path

    return make


async def test_a_run_from_top_to_bottom(notebook) -> None:
    """The parameter counts, old outputs are gone, headings tell where it stands, the last verdict is read."""
    told: list[tuple[int, int, str]] = []
    saved: list[int] = []
    path = notebook(SHOWS, "word = word * 2\n" + SHOWS, "import chatkit, os; print(os.getcwd())")
    before = path.read_bytes()
    work = Headless(path, {"word": "x"}, on_cell=lambda *one: told.append(one), on_done=lambda: saved.append(work.done))
    assert work.diagnosis() is None
    await work.run(timeout=LONG, cell_timeout=LONG)
    assert told == [(n + 1, 5, f"Part {part}") for n, part in enumerate([0, 0, 1, 2, 3])]
    assert saved == [1, 2, 3, 4, 5]
    assert work.diagnosis() == {"verdict": "xx"}
    assert work.elapsed_s > 0
    written = json.loads(work.content())
    assert written["cells"][-1]["outputs"][0]["text"].strip() == str(path.parent)
    assert "of before" not in work.content().decode()
    assert "widgets" not in written["metadata"]
    assert path.read_bytes() == before


async def test_a_cell_that_fails(notebook) -> None:
    """Is named with its place and its error; what came before is kept."""
    work = Headless(notebook("print('fine')", "1 / 0", "print('never')"), {})
    with pytest.raises(RunFailed, match=r"book.ipynb, code cell 4 of 5: Part 2") as caught:
        await work.run(timeout=LONG, cell_timeout=LONG)
    assert caught.value.cell == 4
    assert caught.value.got == "ZeroDivisionError: division by zero"
    assert work.done in (3, 4)
    assert "fine" in work.content().decode()
    assert "ZeroDivisionError" in work.content().decode()


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"timeout": LONG, "cell_timeout": 1.0}, "a cell took more than 1 s"),
        ({"timeout": 4.0, "cell_timeout": LONG}, "the runbook took more than 4 s"),
    ],
)
async def test_too_long(notebook, limits, words, tmp_path) -> None:
    """For a cell, or in all: the kernel ends with it."""
    source = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(50)"
    work = Headless(notebook(source), {})
    with pytest.raises(RunFailed, match=words):
        await work.run(**limits)
    await until(lambda: _gone(tmp_path / "pid"))


async def test_cancelling_ends_the_kernel(notebook, tmp_path) -> None:
    """And keeps what there is."""
    source = f"print('so far'); open({str(tmp_path / 'pid')!r}, 'w').write(str(__import__('os').getpid()))"
    work = Headless(notebook(source, "import time; time.sleep(50)"), {})
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work.run(timeout=LONG, cell_timeout=LONG))
        await until(lambda: work.done == 3, LONG)
        task.cancel()
    await until(lambda: _gone(tmp_path / "pid"))
    assert "so far" in work.content().decode()


async def test_a_kernel_that_dies(notebook) -> None:
    """Is said to have died."""
    work = Headless(notebook("import os; os._exit(3)"), {})
    with pytest.raises(RunFailed, match="kernel died"):
        await work.run(timeout=LONG, cell_timeout=LONG)


async def test_a_secret_that_a_cell_prints(notebook, monkeypatch) -> None:
    """Is nowhere: not in an output, not in an error."""
    secret = 'se"cret\\of-mine'
    monkeypatch.setenv("T", secret)
    work = Headless(
        notebook("import os; print(os.environ['T'])", "raise ValueError(os.environ['T'])"), {}, secret=secret
    )
    with pytest.raises(RunFailed) as caught:
        await work.run(timeout=LONG, cell_timeout=LONG)
    assert "of-mine" not in str(caught.value)
    assert HIDDEN in str(caught.value)
    assert "of-mine" not in work.content().decode()
    assert json.loads(work.content())["cells"][4]["outputs"][0]["text"] == f"{HIDDEN}\n"


def test_without_papermill(notebook, monkeypatch) -> None:
    """How to get it."""
    monkeypatch.setitem(sys.modules, "papermill.iorw", None)
    with pytest.raises(MissingDependency, match="pip install papermill") as caught:
        Headless(notebook(), {})
    assert caught.value.extra == "runbook"


def _gone(file: Path) -> bool:
    if not file.exists():
        return True  # it ended before it came to its first cell
    try:
        os.kill(int(file.read_text()), 0)
    except ProcessLookupError:
        return True
    return False
