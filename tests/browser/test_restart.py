"""The kernel is restarted: what was said, what waits and what was recorded is found again in the folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import chatkit
from tests.browser.jupyterlab import PATIENCE, PICTURES, LabPage
from tests.browser.test_notebooks import assert_quiet

pytestmark = pytest.mark.browser

Open = Callable[..., LabPage]
SECRET = "only-for-this-test-" * 2
CELL = """import chatkit
console = chatkit.Console("{url}", bot="echo", token=open("token").read(), folder="incident")
console"""
COUNT = """opened = [one for one in console.chat.trace.connections if one.state in ("open", "ended")]
print(f"before: {opened[0].state}; now: {opened[-1].state}; unsent: {len(console.chat.unsent())}")"""


def restart(lab: LabPage) -> None:
    """Kernel → Restart Kernel and Run All Cells…, as people do it."""
    page = lab.page
    page.click('.lm-MenuBar-itemLabel:text-is("Kernel")')
    page.click('.lm-Menu-itemLabel:text-is("Restart Kernel and Run All Cells…")')
    page.click('.jp-Dialog button:has-text("Restart")')
    page.wait_for_selector(".jp-Dialog", state="detached", timeout=PATIENCE)


def said(lab: LabPage) -> list[str]:
    return lab.page.locator(".ck-desk .ck-text").all_text_contents()


def say(lab: LabPage, text: str) -> None:
    lab.page.click(".ck-send textarea")
    lab.page.keyboard.type(text)
    lab.page.keyboard.press("Enter")


def test_nothing_is_lost(open_notebook: Open, tmp_path: Path) -> None:
    """Said and answered; the backend goes, a message waits; the kernel is restarted; the backend comes back."""
    with chatkit.LabServer(secret=SECRET) as backend:
        port = int(backend.url.rpartition(":")[2])
        (tmp_path / "work").mkdir()
        (tmp_path / "work" / "token").write_text(backend.token)
        lab = open_notebook([CELL.format(url=backend.url), COUNT], size=(1440, 1100))
        page = lab.page
        lab.run_all()
        page.wait_for_selector(".ck-desk .ck-word:text-is('Live')", timeout=PATIENCE)
        say(lab, "are you there?")
        page.wait_for_selector(".ck-meta:has-text('replied')", timeout=PATIENCE)
    say(lab, "does this arrive?")
    page.wait_for_selector(".ck-meta:has-text('waits:')", timeout=PATIENCE)
    restart(lab)
    # The border stands in what the new kernel shows only.
    page.wait_for_selector(".ck-desk .ck-border", timeout=PATIENCE)
    page.wait_for_selector(".ck-meta:has-text('waits:')", timeout=PATIENCE)
    assert said(lab) == ["are you there?", "are you there?", "does this arrive?"]
    page.screenshot(path=PICTURES / "restart-waiting.png")
    with chatkit.LabServer(port=port, secret=SECRET):
        page.wait_for_selector(".ck-desk .ck-word:text-is('Live')", timeout=PATIENCE)
        page.wait_for_function("document.querySelectorAll('.ck-desk .ck-text').length === 4", timeout=PATIENCE)
        page.wait_for_function(
            "[...document.querySelectorAll('.ck-meta')].filter(m => /replied/.test(m.textContent)).length === 2",
            timeout=PATIENCE,
        )
        assert said(lab) == ["are you there?"] * 2 + ["does this arrive?"] * 2
        # On one timeline: the connection of before the restart, a refused attempt or more, and the new one.
        page.wait_for_selector(".ck-live :text-matches('^[3-9] connections')", timeout=PATIENCE)
        page.screenshot(path=PICTURES / "restart-again.png")
        assert lab.axe(".ck-desk") == []
        page.locator(".jp-Notebook .jp-CodeCell .cm-content").nth(1).click()
        page.keyboard.press("Control+Enter")
        counted = page.locator(".jp-Notebook .jp-CodeCell").nth(1).locator(".jp-OutputArea-output")
        counted.filter(has_text="before: ended").wait_for(timeout=PATIENCE)
        assert counted.inner_text().strip() == "before: ended; now: open; unsent: 0"
    assert_quiet(lab)
