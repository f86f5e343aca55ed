"""A new user's way from the start notebook to the reason why the incident's connection drops, click by click."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator

from tests.browser.jupyterlab import PATIENCE, ROOT, LabPage
from tests.browser.test_notebooks import assert_quiet

pytestmark = pytest.mark.browser

MOST_CLICKS = 6
_log = logging.getLogger(__name__)


class Visitor:
    """Somebody with a mouse who counts."""

    def __init__(self, lab: LabPage, began: float) -> None:
        self.page, self.began = lab.page, began
        self.steps: list[str] = []

    def click(self, what: str) -> None:
        """One click on the one visible thing; links of the start notebook open beside it."""
        self.page.locator(f"{what} >> visible=true").first.click(timeout=PATIENCE)
        self.steps.append(f"{time.monotonic() - self.began:.1f} s: click {what}")

    def read(self, text: str) -> None:
        """Waits until a text is there, and turns the wheel until it is on the screen."""
        found = self.page.locator(f".jp-Notebook >> text={text} >> visible=true").first
        found.wait_for(timeout=PATIENCE)
        self.page.mouse.move(700, 450)
        deadline = time.monotonic() + PATIENCE / 1000
        while (off := self._off_screen(found)) and time.monotonic() < deadline:
            self.page.mouse.wheel(0, off)
            self.page.wait_for_timeout(50)
        assert self._off_screen(found) == 0
        self.steps.append(f"{time.monotonic() - self.began:.1f} s: read “{text}”")

    def _off_screen(self, found: Locator) -> float:
        """How far to turn the wheel, pixels; 0 when it is between the toolbar and the status bar."""
        box = found.bounding_box()
        if box is None:
            return -200
        return min(0.0, box["y"] - 150) or max(0.0, box["y"] - 800)


def test_why_the_incident_drops(open_notebook: Callable[..., LabPage], tmp_path: Path) -> None:
    """Three clicks from the start notebook: the runbook, Run, Run All Cells; then the reason and the cure are read."""
    notebooks = ROOT / "notebooks"
    shutil.copytree(notebooks / "runbooks", tmp_path / "work" / "runbooks")
    began = time.monotonic()
    lab = open_notebook(notebooks / "00_start_here.ipynb", size=(1440, 900))
    visitor = Visitor(lab, began)
    visitor.read("Something drops right now?")
    visitor.click("a:text-is('the runbook of the incident')")
    visitor.page.locator("h1 >> text=The connection drops right after connect >> visible=true").wait_for(
        timeout=PATIENCE
    )
    visitor.page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"] >> visible=true').wait_for(
        timeout=PATIENCE
    )
    visitor.click(".lm-MenuBar-itemLabel:text-is('Run')")
    visitor.click(".lm-Menu-itemLabel:text-is('Run All Cells')")
    visitor.read("3 of 3 ended without a close frame within 1 s of our ping")
    visitor.read("send the first ping not before 5 s")
    _log.info("\n".join(visitor.steps))
    assert len([step for step in visitor.steps if "click" in step]) <= MOST_CLICKS
    assert_quiet(lab)
