"""All that a colleague needs to check a verdict, as files by name: evidence, page, ticket and a notebook."""

from __future__ import annotations

import importlib
import json
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from chatkit.formats import perfetto
from chatkit.views import wording
from chatkit.views.report import report
from chatkit.views.ticket import mark, ticket
from chatkit.views.verdict import card

if TYPE_CHECKING:
    from chatkit.diagnosis.result import Diagnosis
    from chatkit.trace import Trace

HAR = "har_out"
"""The room's module that writes HAR files."""


def bundle(
    trace: Trace, diagnosis: Diagnosis, *, baseline: Trace | None = None, page: bytes | None = None
) -> dict[str, bytes]:
    """Content of each file, by name.

    Args:
        trace: the evidence; several pieces are merged before.
        diagnosis: what was found in it, with no more than this evidence.
        baseline: the healthy recording that it was compared with.
        page: the report, where it is made already.
    """
    files = {
        "report.html": page or report(trace, diagnosis).encode("utf-8", "replace"),
        "verdict.md": ticket(diagnosis, trace).encode("utf-8", "replace"),
        "verdict.ipynb": _notebook(trace, diagnosis, baseline is not None),
        "trace.jsonl": _lines(trace),
        "trace.perfetto.json": b"".join(perfetto.pieces(trace)),
    }
    if baseline is not None:
        files["baseline.jsonl"] = _lines(baseline)
    if find_spec(f"chatkit.formats.{HAR}") is not None:
        files["trace.har"] = _har(trace)
    return files


def _lines(trace: Trace) -> bytes:
    return msgspec.json.encode(trace.header) + b"\n" + b"".join(row + b"\n" for row in trace.rows)


def _notebook(trace: Trace, diagnosis: Diagnosis, compared: bool) -> bytes:
    made = notebook(trace, diagnosis, compared=compared)
    return json.dumps(made, indent=1, ensure_ascii=False).encode("utf-8", "replace")


def _har(trace: Trace) -> bytes:
    """As its writer makes it, which writes files only."""
    with tempfile.TemporaryDirectory(prefix="chatkit-") as folder:
        path = Path(folder) / "trace.har"
        importlib.import_module(f"chatkit.formats.{HAR}").dump(trace, path)
        return path.read_bytes()


def notebook(trace: Trace, diagnosis: Diagnosis, *, compared: bool = False) -> dict[str, Any]:
    """A notebook beside ``trace.jsonl`` that derives the verdict again; its outputs are stored, so that it reads alone.

    It runs under nbval: what is printed is compared, the card is only shown.
    """
    causes = [cause.id for cause in diagnosis.causes]
    counts = f"{len(trace):,} events, {len(trace.connections):,} connections"
    first = causes[:1]
    against = ', baseline=chatkit.load("baseline.jsonl")' if compared else ""
    cells = [
        _prose(
            f"# {mark(wording.headline(diagnosis))}\n\n> Does the recording beside this notebook really say so?\n\n"
            "Run all cells: they read `trace.jsonl`, derive the verdict again and compare."
        ),
        _prose("The evidence. Tokens and passwords are not in it."),
        _code(
            'import chatkit\n\ntrace = chatkit.load("trace.jsonl")\n'
            'print(f"{len(trace):,} events, {len(trace.connections):,} connections")',
            1,
            _printed(counts),
        ),
        _prose("The verdict, from this evidence alone."),
        _code(
            f"# NBVAL_IGNORE_OUTPUT\ndiagnosis = chatkit.diagnose(trace{against})\ndiagnosis",
            2,
            _shown(trace, diagnosis),
        ),
        _prose("It is the verdict that came with the recording."),
        _code(
            f"assert diagnosis.verdict == {diagnosis.verdict!r}\n"
            f"assert [cause.id for cause in diagnosis.causes][:1] == {first!r}\n"
            "print(diagnosis.verdict, *[cause.id for cause in diagnosis.causes][:1])",
            3,
            _printed(" ".join([diagnosis.verdict, *first])),
        ),
        _prose("This does not prove a cure: only a life that outlasts several of the old ones does."),
    ]
    return {
        "cells": [cell | {"id": f"cell-{n}"} for n, cell in enumerate(cells)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _prose(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": text.splitlines(keepends=True)}


def _code(text: str, number: int, output: dict[str, Any]) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": number,
        "metadata": {},
        "outputs": [output if output["output_type"] == "stream" else output | {"execution_count": number}],
        "source": text.splitlines(keepends=True),
    }


def _printed(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": [text + "\n"]}


def _shown(trace: Trace, diagnosis: Diagnosis) -> dict[str, Any]:
    data = {"text/html": card(diagnosis, trace), "text/plain": wording.headline(diagnosis)}
    lines = {kind: text.splitlines(keepends=True) for kind, text in data.items()}
    return {"output_type": "execute_result", "data": lines, "metadata": {}}
