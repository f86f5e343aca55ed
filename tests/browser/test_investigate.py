"""The Investigate panel under a user's hands: a real lab with a fault, from Start to the verdict."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.jupyterlab import PATIENCE, PICTURES, LabPage
from tests.browser.test_notebooks import assert_quiet

pytestmark = pytest.mark.browser

Open = Callable[..., LabPage]

CELL = (
    "import chatkit\n"
    'lab = chatkit.start_lab(faults=["early-ping-abort:window=3"])\n'
    "panel = chatkit.Investigate(lab, budget=40)\n"
    "panel"
)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_from_start_to_the_verdict(open_notebook: Open, dark: bool) -> None:
    """Start, bars and lifelines that move, the card; the cure can be tried; another display shows the same."""
    lab = open_notebook([CELL, "panel"], dark=dark)
    lab.run_all()
    page = lab.page
    first = page.locator(".ck-investigate").first
    first.locator("button:text-is('Start')").click(timeout=PATIENCE)
    first.locator("td:has-text('RST by server')").first.wait_for(timeout=PATIENCE)
    first.locator(".cki-bars code:text-is('early-ping-abort')").wait_for(timeout=PATIENCE)
    assert first.locator("button:text-is('Stop')").is_visible()
    PICTURES.mkdir(exist_ok=True)
    page.screenshot(path=PICTURES / f"investigate-running-{'dark' if dark else 'light'}.png")
    first.locator(".ckv h2:has-text('The server ends the connection')").wait_for(timeout=PATIENCE)
    assert first.locator(".cki-fold[open] .cki-lane").count() >= 8
    assert first.locator("button:text-is('Verify the cure')").is_visible()
    assert first.locator("button:text-is('Start again')").is_visible()
    second = page.locator(".ck-investigate").nth(1)
    second.scroll_into_view_if_needed()
    assert second.locator(".ckv h2:has-text('The server ends the connection')").count() == 1
    wider = page.evaluate(
        "() => [...document.querySelectorAll('.ck-console-frame *')].filter(one => !one.closest('svg') &&"
        " one.getBoundingClientRect().right > one.closest('.ck-console-frame').getBoundingClientRect().right + 1"
        " ).map(one => one.className)"
    )
    assert wider == []
    first.scroll_into_view_if_needed()
    page.screenshot(path=PICTURES / f"investigate-found-{'dark' if dark else 'light'}.png")
    assert_quiet(lab)


def test_questions_and_stop(open_notebook: Open) -> None:
    """A host that is another machine is asked about; No is the answer that has the focus; Stop concludes."""
    lab = open_notebook([CELL.replace("Investigate(lab, budget=40)", "Investigate(lab, budget=90)")])
    lab.run_all()
    page = lab.page
    panel = page.locator(".ck-investigate")
    panel.locator("label:has-text('intrusive') input").check(timeout=PATIENCE)
    panel.locator("button:text-is('Start')").click()
    panel.locator(".ck-question:has-text('grow until something breaks')").wait_for(timeout=PATIENCE)
    assert page.evaluate("document.activeElement.textContent") == "Leave them out"
    PICTURES.mkdir(exist_ok=True)
    page.screenshot(path=PICTURES / "investigate-question.png")
    page.keyboard.press("Enter")
    panel.locator("td:has-text('alive')").first.wait_for(timeout=PATIENCE)
    panel.locator("button:text-is('Stop')").click()
    panel.locator(".ckv-kicker:has-text('it was stopped')").wait_for(timeout=PATIENCE)
    panel.locator("input[name=url]").fill("http://chat.example.com")
    panel.locator("input[name=url]").press("Tab")
    panel.locator("input[name=chat]:not(:checked)").wait_for(timeout=PATIENCE)
    panel.locator("input[name=chat]").check()
    panel.locator("button:text-is('Start again')").click()
    panel.locator(".ck-question:has-text('chat.example.com is not this machine')").wait_for(timeout=PATIENCE)
    panel.locator("button:text-is('Cancel')").click()
    panel.locator(".ck-question").wait_for(state="hidden", timeout=PATIENCE)
    assert panel.locator("button:text-is('Start again')").is_enabled()
    assert_quiet(lab)
