"""The console as a page of its own: Voila with our template, in a real browser."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from tests.browser.jupyterlab import PATIENCE, PICTURES, TOKEN, LabPage, notebook_of, start_voila

pytestmark = pytest.mark.browser

Serve = Callable[[str], int]

CONSOLE = (
    "import chatkit\nlab = chatkit.start_lab()\n"
    'console = chatkit.Console(lab, bot="storyteller", folder="incident")\nconsole'
)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """``serve(cell)`` serves a notebook of a title and this cell; the port."""
    processes: list[subprocess.Popen[bytes]] = []

    def serve_(cell: str) -> int:
        notebook = notebook_of([cell])
        title = {"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# Incident\n\n> Why?\n\n## Console"}
        notebook["cells"].insert(0, title)
        (tmp_path / "console.ipynb").write_text(json.dumps(notebook))
        return start_voila(tmp_path, tmp_path / "console.ipynb", processes)

    yield serve_
    for process in processes:
        process.terminate()
        process.wait(20)


def opened(browser: Browser, port: int) -> LabPage:
    """The page, in a context of its own."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=f"http://127.0.0.1:{port}")
    page = LabPage(context.new_page())
    page.page.goto(f"/?token={TOKEN}", wait_until="commit")
    return page


def test_the_console_is_a_page(browser: Browser, serve: Serve, tmp_path: Path) -> None:
    """Live, a message, its streamed reply, over the full width, dark when the desktop turns dark; no other host asked."""
    seen = opened(browser, serve(CONSOLE))
    page = seen.page
    page.wait_for_selector(".ck-desk .ck-word:text-is('Live')", timeout=PATIENCE)
    page.click(".ck-send textarea")
    page.keyboard.type("tell me")
    page.keyboard.press("Enter")
    page.wait_for_selector(".ck-meta:has-text('streamed, no gap')", timeout=PATIENCE)
    assert page.title() == "console · chatkit"
    assert TOKEN not in page.url
    box = page.locator(".ck-desk").bounding_box()
    assert box is not None
    assert box["width"] > 1400
    assert box["y"] < 16  # first on the page, though the notebook begins with its title
    assert page.locator("h1").inner_text().startswith("Incident")
    assert (tmp_path / "incident").is_dir()
    PICTURES.mkdir(exist_ok=True)
    for scheme, light in (("light", "true"), ("dark", "false")):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_selector(f"body[data-jp-theme-light='{light}']", timeout=PATIENCE)
        page.screenshot(path=PICTURES / f"voila-{scheme}.png")
        assert seen.axe("body") == []
    assert seen.external == []
    assert seen.complaints == []
    page.context.close()


def test_a_mistake_is_a_sentence_on_the_page(browser: Browser, serve: Serve) -> None:
    """What a cell refuses is said where the console would be; Voila would say only that a cell failed."""
    seen = opened(browser, serve('import chatkit\nchatkit.Console("ftp://127.0.0.1", bot="echo", token="x")'))
    seen.page.wait_for_selector("main:has-text('this is no URL of a backend')", timeout=PATIENCE)
    assert "Traceback" not in seen.page.locator("main").inner_text()
    assert seen.external == []
    seen.page.context.close()


def test_a_page_that_is_left_leaves_nothing_behind(browser: Browser, serve: Serve) -> None:
    """Without the server's token no kernel runs; a page's kernel, and its connections with it, ends with the page."""
    port = serve("print('a kernel ran')")
    strange = httpx.get(f"http://127.0.0.1:{port}/", follow_redirects=True, trust_env=False)
    assert "a kernel ran" not in strange.text
    assert "/login" in str(strange.url)
    seen = opened(browser, port)
    seen.page.wait_for_selector("main:has-text('a kernel ran')", timeout=PATIENCE)
    told = json.loads(seen.page.locator("#jupyter-config-data").text_content() or "")
    assert asked_for(port, told["kernelId"]) == 200
    seen.page.goto("about:blank")
    deadline = time.monotonic() + PATIENCE / 1000
    while asked_for(port, told["kernelId"]) != 404:
        assert time.monotonic() < deadline, "the kernel outlives its page"
        time.sleep(0.2)
    assert seen.external == []
    assert seen.complaints == []
    seen.page.context.close()


def asked_for(port: int, kernel: str) -> int:
    """The status of the server's answer about a kernel."""
    headers = {"Authorization": f"token {TOKEN}"}
    return httpx.get(f"http://127.0.0.1:{port}/api/kernels/{kernel}", headers=headers, trust_env=False).status_code
