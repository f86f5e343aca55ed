"""The magics and a long call's progress under JupyterLab: drawn in place, gone at the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.jupyterlab import PATIENCE, PICTURES, LabPage
from tests.browser.test_notebooks import assert_quiet

pytestmark = pytest.mark.browser

SETUP = "%load_ext chatkit\nimport chatkit\nlab = chatkit.start_lab(faults=['early-ping-abort:window=3'])\nlab"
AWAITED = "found = await chatkit.investigate(lab.url, bot='echo', token=lab.token, budget=30)\nfound"


@pytest.mark.parametrize("cell", ["%%investigate lab\n--budget 30  # seconds", AWAITED], ids=["magic", "await"])
def test_progress_stands_in_the_cell(open_notebook: Callable[..., LabPage], cell: str) -> None:
    """While it runs the panel, afterwards only the card."""
    lab = open_notebook([SETUP, cell])
    lab.run_all()
    running = lab.page.locator(".jp-OutputArea-output .cki .cki-arms td:has-text('RST by server')").first
    running.wait_for(timeout=PATIENCE)
    PICTURES.mkdir(exist_ok=True)
    lab.page.screenshot(path=PICTURES / "progress-in-a-cell.png")
    lab.page.locator(".ckv h2:has-text('The server ends the connection')").first.wait_for(timeout=PATIENCE)
    lab.wait_idle()
    assert lab.page.locator(".cki[data-tone]").count() == 0
    assert_quiet(lab)
