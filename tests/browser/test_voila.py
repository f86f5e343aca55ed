"""The console as a page of its own: Voila with our template, in a real browser."""

from __future__ import annotations

import json
import subprocess
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


def opened(browser: Browser, port: int, *, dark: bool = False) -> LabPage:
    """The page, on a desktop that is light or dark."""
    context = browser.new_context(
        viewport={"width": 1440, "height": 900},
        color_scheme="dark" if dark else "light",
        base_url=f"http://127.0.0.1:{port}",
    )
    page = LabPage(context.new_page())
    page.page.goto(f"/?token={TOKEN}", wait_until="commit")
    return page


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_console_is_a_page(browser: Browser, serve: Serve, tmp_path: Path, dark: bool) -> None:
    """Live, a message, its streamed reply; one screen, in the desktop's theme; nothing asked of another host."""
    seen = opened(browser, serve(CONSOLE), dark=dark)
    page = seen.page
    page.wait_for_selector(".ck-desk .ck-word:text-is('Live')", timeout=PATIENCE)
    page.click(".ck-send textarea")
    page.keyboard.type("tell me")
    page.keyboard.press("Enter")
    page.wait_for_selector(".ck-meta:has-text('streamed, no gap')", timeout=PATIENCE)
    PICTURES.mkdir(exist_ok=True)
    page.screenshot(path=PICTURES / f"voila-{'dark' if dark else 'light'}.png")
    assert page.title() == "console · chatkit"
    assert TOKEN not in page.url
    assert page.evaluate("document.body.dataset.jpThemeLight") == str(not dark).lower()
    box = page.locator(".ck-desk").bounding_box()
    assert box is not None
    assert box["width"] > 1400
    assert box["y"] < 16  # first on the page, though the notebook begins with its title
    assert page.locator("h1").inner_text().startswith("Incident")
    assert (tmp_path / "incident").is_dir()
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


def test_other_pages_stay_at_home(browser: Browser, serve: Serve) -> None:
    """A page that is not there asks nobody else either; without the server's token nothing runs."""
    port = serve("print('a kernel ran')")
    strange = httpx.get(f"http://127.0.0.1:{port}/", follow_redirects=True, trust_env=False)
    assert "a kernel ran" not in strange.text
    assert "/login" in str(strange.url)
    seen = opened(browser, port)
    seen.page.wait_for_selector("main:has-text('a kernel ran')", timeout=PATIENCE)
    seen.page.goto("/voila/render/nothing.ipynb")
    assert "404" in seen.page.locator("h1").inner_text()
    assert seen.external == []
    seen.page.context.close()
