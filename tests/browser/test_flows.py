"""What people do with the console, from end to end: no request leaves, nothing complains, axe-core finds nothing."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.jupyterlab import PATIENCE, PICTURES, ROOT, LabPage
from tests.browser.test_notebooks import assert_quiet

pytestmark = pytest.mark.browser

Open = Callable[..., LabPage]

CONSOLE = (
    'import chatkit\nlab = chatkit.start_lab()\nconsole = chatkit.Console(lab, bot="{bot}", folder="incident")\nconsole'
)
DROP = """(root, files) => {
    const carried = new DataTransfer();
    for (const [name, text] of files) carried.items.add(new File([Uint8Array.from(atob(text), c => c.charCodeAt(0))], name));
    for (const type of ['dragover', 'drop'])
        root.dispatchEvent(new DragEvent(type, {dataTransfer: carried, bubbles: true, cancelable: true}));
}"""


def drop(lab: LabPage, files: dict[str, bytes]) -> None:
    """Drags files onto the console and lets go."""
    packed = [[name, base64.b64encode(content).decode()] for name, content in files.items()]
    lab.page.locator(".ck-console[aria-label='chatkit console']").evaluate(DROP, packed)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_connect_chat_stream(open_notebook: Open, dark: bool) -> None:
    """Live, a message, a streamed reply, an export in the browser and in the folder."""
    lab = open_notebook([CONSOLE.format(bot="storyteller")], dark=dark)
    lab.run_all()
    page = lab.page
    page.wait_for_selector(".ck-console .ck-word:text-is('Live')", timeout=PATIENCE)
    page.click(".ck-send textarea")
    page.keyboard.type("tell me")
    page.keyboard.press("Enter")
    page.wait_for_selector(".ck-text[data-streaming='true']", timeout=PATIENCE)
    page.wait_for_selector(".ck-meta:has-text('streamed, no gap')", timeout=PATIENCE)
    page.focus(".ck-menu summary")
    page.keyboard.press("Enter")
    with page.expect_download(timeout=PATIENCE) as offered:
        page.click("button:text-is('Report (HTML)')")
    assert "chatkit" in Path(offered.value.path()).read_text("utf-8")
    page.wait_for_selector(".ck-path:has-text('incident/chatkit-report-')", timeout=PATIENCE)
    page.screenshot(path=PICTURES / f"flow-chat-{'dark' if dark else 'light'}.png")
    assert lab.axe(".ck-console") == []
    assert_quiet(lab)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_dropped_capture_becomes_a_verdict(open_notebook: Open, dark: bool) -> None:
    """First a file that is no evidence: a sentence. Then one that is: the cause, and the trace for the next cell."""
    lab = open_notebook(
        ["import chatkit\nconsole = chatkit.Console()\nconsole", "print(len(console.evidence) > 10)"], dark=dark
    )
    lab.run_all()
    page = lab.page
    page.wait_for_selector(".ck-drop", timeout=PATIENCE)
    drop(lab, {"holiday.har": b"no evidence at all"})
    page.wait_for_selector(".ck-problem:has-text('holiday.har')", timeout=PATIENCE)
    drop(lab, {"incident.pcap": (ROOT / "tests/data/runbooks/wire-incident.pcap").read_bytes()})
    page.wait_for_selector(".ck-evidence:has-text('incident.pcap')", timeout=PATIENCE)
    page.wait_for_selector(".jp-OutputArea-output:has-text('early-ping-abort')", timeout=PATIENCE)
    page.locator(".ck-drop").scroll_into_view_if_needed()
    page.screenshot(path=PICTURES / f"flow-drop-{'dark' if dark else 'light'}.png")
    page.locator(".jp-Notebook .jp-CodeCell .cm-content").nth(1).click()
    page.keyboard.press("Shift+Enter")
    page.wait_for_selector(".jp-OutputArea-output:has-text('True')", timeout=PATIENCE)
    assert lab.axe(".ck-console") == []
    assert lab.external == []
    assert lab.complaints == []


def test_the_same_cell_again_is_the_same_conversation(open_notebook: Open) -> None:
    """Run twice: one connection, the same messages."""
    lab = open_notebook(
        [
            "import chatkit\nlab = chatkit.start_lab()",
            'console = chatkit.Console(lab, bot="echo", folder="incident")\nconsole',
            'console.chat.send("still here?").wait(10)\nconsole',
            'again = chatkit.Console(lab, bot="echo", folder="incident")\nagain',
            "print(len(again.chat.trace.connections), [m.text for m in again.chat.messages].count('still here?'))",
        ],
    )
    lab.run_all()
    lab.wait_idle()
    lab.page.wait_for_selector(".jp-OutputArea-output:has-text('1 2')", timeout=PATIENCE)
    assert_quiet(lab)
