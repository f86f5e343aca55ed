"""A real JupyterLab in a real Chromium: the server is started on a free port, nothing is downloaded."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.jupyterlab import CHROMIUM, PICTURES, LabPage, launch, notebook_of, open_page, start_jupyter


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, headless; for one module, because Playwright's loop must not outlive into asyncio tests."""
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing: apt-get install chromium")
        pytest.skip("no Chromium on this machine: install it, or name it in CHROMIUM")
    with sync_playwright() as playwright:
        running = launch(playwright)
        yield running
        running.close()


@pytest.fixture
def open_notebook(browser: Browser, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., LabPage]]:
    """``open_notebook(path or cells, dark=False)`` opens a copy of a notebook in a JupyterLab of its own."""
    processes: list[subprocess.Popen[bytes]] = []
    contexts: list[Any] = []

    def open_(notebook: Path | list[str], *, dark: bool = False, size: tuple[int, int] = (1440, 1500)) -> LabPage:
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        target = work / "notebook.ipynb"
        target.write_text(
            notebook.read_text("utf-8") if isinstance(notebook, Path) else json.dumps(notebook_of(notebook))
        )
        port = start_jupyter(tmp_path, work, dark, processes)
        context = browser.new_context(viewport={"width": size[0], "height": size[1]})
        contexts.append(context)
        return open_page(context, port)

    yield open_
    for context in contexts:
        # What the page looked like at the end helps whoever reads a failure.
        PICTURES.mkdir(exist_ok=True)
        context.pages[0].screenshot(path=PICTURES / f"{request.node.name}.png")
        context.close()
    for process in processes:
        process.terminate()
        process.wait(20)
