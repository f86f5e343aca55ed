"""A real browser's connections through a tap, on the live timeline in JupyterLab while they live."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser

from tests.browser.jupyterlab import PICTURES, LabPage

pytestmark = pytest.mark.browser

CELLS = [
    "import chatkit, json\nlab = chatkit.start_lab()\ntap = chatkit.Tap(lab.url, out='tap.jsonl').start()",
    "print('READY ' + json.dumps([tap.url, lab.ready()['user'], lab.ready()['password']]))",
    "chatkit.TimelineExplorer(tap.recorder)",
]
TALK = """
async ([username, password]) => {
  const headers = { "Content-Type": "application/json" };
  const body = JSON.stringify({ username, password });
  const answer = await fetch("/api/auth/login", { method: "POST", headers, body });
  const token = (await answer.json()).access_token;
  const socket = new WebSocket(`ws://${location.host}/api/ws/chat/echo?token=${token}`);
  const next = () => new Promise((done, fail) => { socket.onmessage = done; socket.onclose = fail; });
  await next();
  socket.send(JSON.stringify({ type: "ping" }));
  await next();
  window.socket = socket;
}
"""


def test_a_browsers_websocket_is_a_lane_while_it_lives(browser: Browser, open_notebook: Callable[..., LabPage]) -> None:
    """The page comes through the tap as well; closing the page shows who acted first."""
    notebook = open_notebook(CELLS, size=(1440, 900))
    notebook.run_all()
    notebook.wait_idle()
    found = re.search(r"READY (\[.*\])", notebook.text())
    assert found is not None
    url, user, password = json.loads(found[1])
    events = "Number(document.querySelector('.ck-stage')?.dataset.events ?? 0)"
    visitor = browser.new_context()
    try:
        page = visitor.new_page()
        answer = page.goto(f"{url}/health")
        assert answer is not None
        assert answer.status == 200
        page.evaluate(TALK, [user, password])
        # Attempt, TCP, request, answer, open, greeting, ping, pong; health and the login beside them.
        notebook.page.wait_for_function(f"{events} >= 11", timeout=20_000)
        PICTURES.mkdir(exist_ok=True)
        notebook.page.locator(".ck-stage").scroll_into_view_if_needed()
        notebook.page.screenshot(path=PICTURES / "tap-live.png")
        before = notebook.page.evaluate(events)
        page.evaluate("window.socket.close(1000, 'seen enough')")
        notebook.page.wait_for_function(f"{events} >= {before + 2}", timeout=20_000)
        notebook.page.wait_for_timeout(500)
        notebook.page.screenshot(path=PICTURES / "tap-ended.png")
    finally:
        visitor.close()
    assert notebook.external == []
