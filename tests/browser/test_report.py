"""The report from the disk, in a browser: it asks the network nothing, claims select events, zoom works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from chatkit.trace import Trace
from chatkit.views.report import report
from tests.browser.jupyterlab import PICTURES
from tests.builders import incident_trace
from tests.views.verdicts import HOSTILE, THIN, early_ping

pytestmark = pytest.mark.browser

TRACE = incident_trace()
SPAN = "(([a, b]) => b - a)(document.body.report.view.view)"


@pytest.fixture
def open_report(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """``open_report(html, dark=False)``; nothing but the file was asked for, and nothing was complained about."""
    asked: list[str] = []
    complaints: list[str] = []
    contexts = []

    def open_(page_text: str, *, dark: bool = False) -> Page:
        file = tmp_path / "report.html"
        file.write_text(page_text, "utf-8")
        context = browser.new_context(viewport={"width": 1240, "height": 900}, color_scheme="dark" if dark else "light")
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(file.as_uri())
        page.wait_for_selector("body[data-ready]")
        assert page.evaluate("document.body.dataset.ready") == "true"
        return page

    yield open_
    for context in contexts:
        context.close()
    assert [url for url in asked if not url.startswith("file:")] == []
    assert complaints == []


def wait_painted(page: Page) -> None:
    page.evaluate("new Promise(done => document.body.report.view.painted(done))")


def picture(page: Page, name: str) -> None:
    PICTURES.mkdir(exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


def ink(page: Page) -> int:
    """Pixels of the canvas that are not empty."""
    return page.evaluate(
        """() => {
            const canvas = document.querySelector("canvas");
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            let count = 0;
            for (let i = 3; i < data.length; i += 4) if (data[i]) count++;
            return count;
        }"""
    )


@pytest.mark.parametrize("dark", [False, True])
def test_a_claim_selects_its_events(open_report, dark: bool) -> None:
    """In the timeline, and in words below it; a second click lets go."""
    page = open_report(report(TRACE, early_ping(TRACE)), dark=dark)
    wait_painted(page)
    assert ink(page) > 5000
    page.click("text=3 of 3 that pinged at once")
    assert page.inner_text("#chosen-count") == "6 events selected"
    lines = page.locator("#chosen-list li").all_inner_texts()
    assert lines[0].startswith("0.654 s connection 1, sent text")
    assert lines[1] == "0.854 s connection 1, transport ended: RST by server"
    assert page.evaluate("document.body.report.rows.length") == 6
    picture(page, f"report-{'dark' if dark else 'light'}")
    page.click("text=3 of 3 that pinged at once")
    assert page.is_hidden("#chosen")


def test_an_ending_in_the_table_selects_its_event(open_report) -> None:
    """By the keyboard as well."""
    page = open_report(report(TRACE, early_ping(TRACE)))
    page.focus("table.ckr-table button >> nth=2")
    page.keyboard.press("Enter")
    assert page.inner_text("#chosen-list li") == "10.354 s connection 3, transport ended: RST by server"


def test_zoom_and_a_click_in_the_timeline(open_report) -> None:
    """The wheel zooms, the button zooms to what is selected, a click shows the whole event without a kernel."""
    page = open_report(report(TRACE, early_ping(TRACE)))
    whole = page.evaluate(SPAN)
    stage = page.locator(".ck-stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    page.mouse.move(box["x"] + 600, box["y"] + 200)
    page.mouse.wheel(0, -400)
    wait_painted(page)
    assert page.evaluate(SPAN) < whole * 0.8
    page.click("text=the one that waited 5 s")
    page.click("text=Zoom to them")
    assert page.evaluate(SPAN) == pytest.approx(1.0)
    row = page.evaluate("document.body.report.rows[0]")
    page.evaluate(f"document.body.report.view.choose({{row: {row}, word: 0, at: 0, size: -1}}, false)")
    page.wait_for_selector(".ck-detail dl")
    assert '"type": "ping"' in page.inner_text(".ck-payload")


def test_the_ticket_can_be_copied(open_report) -> None:
    """It says so."""
    page = open_report(report(TRACE, early_ping(TRACE)))
    page.click("text=Copy as ticket")
    page.wait_for_selector("#copied:not(:empty)")
    assert "# The server aborts" in page.input_value("#ticket")


@pytest.mark.parametrize(("trace", "diagnosis"), [(TRACE, HOSTILE), (Trace.of([]), THIN)])
def test_hostile_and_empty_reports_open(open_report, trace, diagnosis) -> None:
    """No script of theirs runs, nothing is missing."""
    page = open_report(report(trace, diagnosis))
    assert page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
