"""The notebooks against a backend that parameters name: as an engineer or a pager runs them."""

from __future__ import annotations

from pathlib import Path

import papermill
import pytest

from chatkit.lab import LabServer

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("name", "faults", "parameters", "expected"),
    [
        ("00_start_here", [], {}, "Connection 1 holds since "),
        (
            "runbooks/drops_right_after_connect",
            ["early-ping-abort:window=2"],
            {"lives": 2, "hold": 6.0},
            "2 of 2 ended without a close frame within 1 s of our ping",
        ),
        (
            "runbooks/drops_right_after_connect",
            [],
            {"lives": 1, "hold": 1.0, "patience": 3.0},
            "0 of 0 ended without a close frame within 1 s of our ping",
        ),
        (
            "runbooks/investigate_a_live_backend",
            ["early-ping-abort:window=3"],
            {"budget": 20.0, "verify": False},
            "early-ping-abort, who acts: server",
        ),
        ("runbooks/investigate_a_live_backend", [], {"budget": 6.0}, "no cure was tried"),
        ("runbooks/rejected_at_the_door", ["auth-rejected"], {}, "-> auth-rejected"),
        ("runbooks/health_says_down", [], {"budget": 8.0}, "health-method-mismatch, who acts: client"),
        # Nothing grows on a backend that somebody named unless it is permitted: the limit stays unseen.
        ("runbooks/dies_on_one_message", ["message-too-big:limit=2000"], {"budget": 9.0}, "verdict: inconclusive"),
    ],
)
def test_notebook_runs_against_a_named_backend(
    name: str,
    faults: list[str],
    parameters: dict[str, object],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """URL and bot by papermill, the token by the environment; it is nowhere in the result."""
    with LabServer(faults=faults) as lab:
        token = lab.token
        monkeypatch.setenv("CHATKIT_TOKEN", token)
        result = papermill.execute_notebook(
            NOTEBOOKS / f"{name}.ipynb",
            tmp_path / "result.ipynb",
            parameters={"url": lab.url, "bot": "echo", **parameters},
            progress_bar=False,
            log_output=False,
        )
    texts = [output.get("text", "") for cell in result.cells for output in cell.get("outputs", [])]
    assert any(expected in text for text in texts)
    written = (tmp_path / "result.ipynb").read_text("utf-8")
    assert not [part for part in token.split(".")[1:] if part in written]
