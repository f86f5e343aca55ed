"""JupyterLab and Chromium as processes: what the browser's tests and the benchmark of the windows start."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Request

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
PATIENCE = 60_000
"""Milliseconds after which something that does not appear counts as missing."""
PICTURES = Path(__file__).parent / "screenshots"
"""Kept out of git; for whoever wants to look."""
TOKEN = "for-this-test-only"


def launch(playwright: Playwright) -> Browser:
    """Debian's Chromium, headless."""
    flags = [*FLAGS, "--no-sandbox"] if AS_ROOT else FLAGS
    return playwright.chromium.launch(executable_path=CHROMIUM, args=flags)


class LabPage:
    """A notebook open in JupyterLab, with what the page complained about and where it wanted to go."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.external: list[str] = []
        self.complaints: list[str] = []
        page.on("request", self._requested)
        page.on("console", self._logged)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _requested(self, request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")):
            self.external.append(request.url)

    def _logged(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def run_all(self) -> None:
        """Run → Run All Cells."""
        self.page.click('.lm-MenuBar-itemLabel:text-is("Run")')
        self.page.click('.lm-Menu-itemLabel:text-is("Run All Cells")')

    def wait_idle(self) -> None:
        """Waits until every code cell has run."""
        self.page.wait_for_function(
            """() => {
                const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(p => p.textContent);
                return prompts.length > 0 && prompts.every(text => /\\[\\d+\\]/.test(text));
            }""",
            timeout=PATIENCE,
        )

    def text(self) -> str:
        """Of the whole notebook; ``inner_text`` leaves out what JupyterLab skips while it is scrolled away."""
        return self.page.locator(".jp-Notebook").text_content() or ""

    def axe(self, selector: str) -> list[str]:
        """What axe-core finds wrong inside ``selector``, a line each: rule, weight, the elements.

        Asked of our own root elements only: JupyterLab has violations of its own.
        """
        assert self.page.locator(selector).count() > 0, f"nothing to look at: {selector}"
        found = Axe().run(self.page, context={"include": [[selector]]}).response["violations"]
        return [
            f"{one['id']} ({one['impact']}): {', '.join(str(node['target'][-1]) for node in one['nodes'][:5])}"
            for one in found
        ]

    def errors(self) -> list[str]:
        """Texts of error outputs."""
        found = self.page.query_selector_all('[data-mime-type="application/vnd.jupyter.stderr"], .jp-mod-error')
        return [element.text_content() or "" for element in found]


def open_page(context: BrowserContext, port: int) -> LabPage:
    """``notebook.ipynb`` of the server at this port, when its kernel is idle."""
    lab = LabPage(context.new_page())
    lab.page.goto(f"http://127.0.0.1:{port}/lab/tree/notebook.ipynb?token={TOKEN}")
    lab.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=PATIENCE)
    wait_for_kernel(port)
    lab.page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=PATIENCE)
    return lab


def start_jupyter(tmp_path: Path, work: Path, dark: bool, processes: list[subprocess.Popen[bytes]]) -> int:
    """A JupyterLab on a free port that shows a folder; the port. The process is added to the list."""
    port = _free_port()
    settings = tmp_path / "settings"
    _set(settings, "notification", {"fetchNews": "false", "checkForUpdates": False})
    if dark:
        _set(settings, "themes", {"theme": "JupyterLab Dark"})
    homes = {f"JUPYTER_{name}_DIR": str(tmp_path / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    environment = {**os.environ, **homes, "JUPYTERLAB_SETTINGS_DIR": str(settings), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--ServerApp.port={port}"]
    command += ["--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={work}"]
    command += [f"--IdentityProvider.token={TOKEN}", *(["--allow-root"] if AS_ROOT else [])]
    return _serve(command, environment, port, tmp_path / "jupyter.log", processes)


def start_voila(tmp_path: Path, notebook: Path, processes: list[subprocess.Popen[bytes]]) -> int:
    """Voila on a free port with the settings and the template of ``make console``; the port."""
    port = _free_port()
    dashboard = str(ROOT / "docs" / "dashboard")
    homes = {f"JUPYTER_{name}_DIR": str(tmp_path / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    paths = {"JUPYTER_PATH": dashboard, "JUPYTER_CONFIG_PATH": dashboard, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "voila", str(notebook), f"--port={port}", f"--Voila.token={TOKEN}"]
    return _serve(command, {**os.environ, **homes, **paths}, port, tmp_path / "voila.log", processes)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _serve(
    command: list[str], environment: dict[str, str], port: int, log: Path, processes: list[subprocess.Popen[bytes]]
) -> int:
    """Starts a server and waits until it answers."""
    with log.open("wb") as output:
        processes.append(subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT))
    deadline = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < deadline:
        try:
            httpx.get(f"http://127.0.0.1:{port}/api", trust_env=False)
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return port
    raise RuntimeError(log.read_text())


def wait_for_kernel(port: int) -> None:
    """JupyterLab starts the kernel by itself; Run All before that would ask which one."""
    deadline = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < deadline:
        headers = {"Authorization": f"token {TOKEN}"}
        sessions = httpx.get(f"http://127.0.0.1:{port}/api/sessions", headers=headers, trust_env=False).json()
        if any(session["kernel"]["execution_state"] == "idle" for session in sessions):
            return
        time.sleep(0.2)
    raise RuntimeError("no kernel became idle")


def _set(settings: Path, plugin: str, values: dict[str, Any]) -> None:
    folder = settings / "@jupyterlab" / "apputils-extension"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{plugin}.jupyterlab-settings").write_text(json.dumps(values))


def notebook_of(sources: list[str]) -> dict[str, Any]:
    """A notebook with these code cells."""
    cells = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {}, "source": text, "outputs": [], "execution_count": None}
        for i, text in enumerate(sources)
    ]
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
