"""The index as a reader finds it: stored, not run, and with the keyboard alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.jupyterlab import PATIENCE, ROOT, LabPage

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("run", [False, True], ids=["stored", "run"])
def test_two_answers_lead_to_the_runbook(open_notebook: Callable[..., LabPage], tmp_path: Path, run: bool) -> None:
    """Tab, Enter, Tab, Enter: the runbook of the incident is open beside the index."""
    shutil.copytree(ROOT / "notebooks" / "runbooks", tmp_path / "work" / "runbooks")
    lab = open_notebook(ROOT / "notebooks" / "index.ipynb", dark=run)
    if run:
        lab.run_all()
        lab.wait_idle()
    page = lab.page
    first = page.locator("summary", has_text="It connects, then the connection drops")
    first.scroll_into_view_if_needed()
    link = page.locator("a", has_text="Right after connecting, again and again")
    assert not link.is_visible()
    first.focus()
    page.keyboard.press("Enter")
    link.wait_for(state="visible", timeout=PATIENCE)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").startswith("Right after connecting")
    page.keyboard.press("Enter")
    opened = page.locator(".jp-Notebook h1", has_text="The connection drops right after connect")
    opened.wait_for(state="visible", timeout=PATIENCE)
    assert page.url.startswith("http://127.0.0.1:")
    assert "/lab/" in page.url
    assert lab.external == []
    assert lab.complaints == []
    assert lab.errors() == []
