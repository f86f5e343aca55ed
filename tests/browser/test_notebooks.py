"""The notebooks as a user runs them: JupyterLab, Run All, and what is then on the screen."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.jupyterlab import PATIENCE, ROOT, LabPage

pytestmark = pytest.mark.browser

Open = Callable[..., LabPage]


def assert_quiet(lab: LabPage) -> None:
    """Nothing was asked of another host, and nothing complained."""
    assert lab.external == []
    assert lab.complaints == []
    assert lab.errors() == []


def test_start_notebook_connects_streams_and_draws(open_notebook: Open) -> None:
    """Run All on the start notebook: the console is live, the reply was streamed, the timeline is painted."""
    lab = open_notebook(ROOT / "notebooks" / "00_start_here.ipynb")
    lab.run_all()
    page = lab.page
    page.wait_for_selector(".ck-console .ck-word:text-is('Live')", timeout=PATIENCE)
    page.wait_for_selector(".ck-meta:has-text('streamed')", timeout=PATIENCE)
    lab.wait_idle()
    console = page.locator(".ck-desk")
    console.scroll_into_view_if_needed()
    assert "token good" in console.inner_text()
    assert "also by HTTP, shown once" in console.inner_text()
    painted = page.evaluate(
        """() => [...document.querySelectorAll('.ck-timeline canvas')].some(canvas => {
            const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            return pixels.some((value, index) => index % 4 === 3 && value > 0);
        })"""
    )
    assert painted
    assert_quiet(lab)


def test_runbook_of_the_incident_runs(open_notebook: Open) -> None:
    """Run All on the runbook: three deaths by our own ping, then a life."""
    lab = open_notebook(ROOT / "notebooks" / "runbooks" / "drops_right_after_connect.ipynb")
    lab.run_all()
    lab.wait_idle()
    assert "3 of 3 ended without a close frame within 1 s of our ping" in lab.text()
    assert_quiet(lab)


def test_a_claim_of_the_verdict_selects_its_events(open_notebook: Open) -> None:
    """The card, a click on what speaks for it, and the timeline shows which events those are."""
    capture = ROOT / "tests" / "data" / "runbooks" / "wire-incident.pcap"
    cells = [
        f"import chatkit\nshown = chatkit.Verdict(chatkit.load({str(capture)!r}))\nshown",
        "print(f'selected: {len(shown.explorer.selection)}')",
    ]
    lab = open_notebook(cells)
    lab.run_all()
    lab.wait_idle()
    claim = lab.page.locator("button", has_text="after our first ping")
    claim.click()
    lab.page.locator(".jp-Notebook .jp-CodeCell .cm-content").nth(1).click()
    lab.page.keyboard.press("Shift+Enter")
    lab.page.wait_for_selector(".jp-OutputArea-output:has-text('selected: 3')", timeout=PATIENCE)
    claim.scroll_into_view_if_needed()
    assert "early-ping-abort" in lab.text()
    assert_quiet(lab)
