"""The console under a user's hands: keys, commands, mistakes, hostile text, both themes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.jupyterlab import PATIENCE, PICTURES, LabPage
from tests.browser.test_notebooks import assert_quiet

pytestmark = pytest.mark.browser

Open = Callable[..., LabPage]

HOSTILE = '<img src=x onerror=\\"window.hacked=1\\"><b>bot</b>'


def test_chat_by_keyboard_with_a_hostile_bot(open_notebook: Open) -> None:
    """Typing and Enter send; a bot name and a reply full of HTML are shown as text; Disconnect and Connect work."""
    lab = open_notebook(
        [
            "import chatkit\n"
            "class Evil(chatkit.Bot):\n"
            "    async def reply(self, ask):\n"
            "        return '<script>window.hacked=2</script>' + ask.text\n"
            f'lab = chatkit.start_lab(bots=[Evil("{HOSTILE}", id="evil")])\n'
            'console = chatkit.Console(lab, bot="evil")\n'
            "console",
        ]
    )
    lab.run_all()
    page = lab.page
    page.wait_for_selector(".ck-console .ck-word:text-is('Live')", timeout=PATIENCE)
    page.click(".ck-send textarea")
    page.keyboard.type("<i>hello</i>")
    page.keyboard.press("Enter")
    page.wait_for_selector(".ck-text:text-is('<script>window.hacked=2</script><i>hello</i>')", timeout=PATIENCE)
    assert page.evaluate("window.hacked") is None
    assert page.input_value(".ck-send textarea") == ""
    page.click(".ck-primary:text-is('Disconnect')")
    page.wait_for_selector(".ck-console .ck-word:text-is('Closed')", timeout=PATIENCE)
    page.click(".ck-primary:text-is('Connect')")
    page.wait_for_selector(".ck-console .ck-word:text-is('Live')", timeout=PATIENCE)
    assert_quiet(lab)


def test_a_reconnect_loop_is_explained_in_the_dark(open_notebook: Open) -> None:
    """The incident's client against the incident's server, in the dark theme: why, and when the next attempt comes."""
    lab = open_notebook(
        [
            "import chatkit\n"
            'lab = chatkit.start_lab(faults=["early-ping-abort:window=3"])\n'
            'console = chatkit.Console(lab, bot="echo", policy="incident-before")\n'
            "console",
        ],
        dark=True,
    )
    lab.run_all()
    page = lab.page
    page.wait_for_selector(".ck-explain:has-text('RST by server')", timeout=PATIENCE)
    page.wait_for_selector("button:text-is('Retry now')", timeout=PATIENCE)
    assert "after our ping" in page.locator(".ck-explain").inner_text()
    assert "next attempt in" in page.locator(".ck-since").inner_text()
    assert_quiet(lab)


def test_check_button_fills_the_list(open_notebook: Open) -> None:
    """The pre-flight check fills in line by line and copies as text."""
    lab = open_notebook(['import chatkit\nlab = chatkit.start_lab()\nchatkit.Console(lab, bot="echo")'])
    lab.run_all()
    page = lab.page
    page.wait_for_selector(".ck-console .ck-word:text-is('Live')", timeout=PATIENCE)
    page.click("button:text-is('Check')")
    page.wait_for_selector("button:text-is('Copy as text')", timeout=PATIENCE)
    words = page.locator(".ck-checks .ck-result").all_inner_texts()
    assert "pass" in words
    assert "fail" not in words
    assert_quiet(lab)


def test_mistakes_are_sentences(open_notebook: Open) -> None:
    """A wrong URL in a cell shows a sentence without a traceback; in the form it appears in the console."""
    lab = open_notebook(
        [
            "import chatkit\nlab = chatkit.start_lab()\nconsole = chatkit.Console()\nconsole",
            'chatkit.connect("ftp://127.0.0.1", "echo", token="x")',
        ]
    )
    lab.run_all()
    page = lab.page
    page.wait_for_selector(".jp-OutputArea-output:has-text('this is no URL of a backend')", timeout=PATIENCE)
    assert "Traceback" not in lab.text()
    page.fill("input[aria-label='Backend URL']", "http://127.0.0.1:9")
    page.fill("input[aria-label='Bot id']", "echo")
    page.fill("input[aria-label='Access token']", "not-a-token")
    page.click(".ck-primary:text-is('Connect')")
    page.wait_for_selector(".ck-problem:has-text('refused')", timeout=PATIENCE)
    assert lab.external == []
    assert lab.complaints == []


def test_a_message_waits_while_the_backend_is_gone(open_notebook: Open) -> None:
    """The server crashes: what is typed meanwhile is shown as waiting, the paragraph says so, and it goes out once."""
    lab = open_notebook(
        [
            "import chatkit\n"
            'lab = chatkit.start_lab(faults=["server-crash:after=8,gap=12"])\n'
            'console = chatkit.Console(lab, bot="echo", queue="outbox.db")\n'
            "console",
        ]
    )
    lab.run_all()
    page = lab.page
    page.wait_for_selector(".ck-console .ck-word:text-is('Live')", timeout=PATIENCE)
    page.wait_for_selector(".ck-console .ck-word:text-is('Reconnecting')", timeout=PATIENCE)
    page.click(".ck-send textarea")
    page.keyboard.type("does this arrive?")
    page.keyboard.press("Enter")
    page.wait_for_selector(".ck-meta:has-text('waits:')", timeout=PATIENCE)
    page.wait_for_selector(".ck-explain:has-text('1 message of yours, kept in a file, waits')", timeout=PATIENCE)
    page.screenshot(path=PICTURES / "console-waiting.png")
    page.wait_for_selector(".ck-console .ck-word:text-is('Live')", timeout=PATIENCE)
    page.wait_for_selector(".ck-meta:has-text('replied')", timeout=PATIENCE)
    assert page.locator(".ck-text:text-is('does this arrive?')").count() == 2
    assert lab.errors() == []
