"""What people do with the console, from end to end: no request leaves, nothing complains, axe-core finds nothing."""

from __future__ import annotations

import base64
import io
import json
import zipfile
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


EXPORTS = ["Report (HTML)", "Bundle (zip)", "HAR", "Recording (JSON Lines)"]
LONG = 120_000
"""Milliseconds for what runs experiments."""


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
    assert lab.axe(".ck-desk") == []
    assert_quiet(lab)


def exported(lab: LabPage, kind: str) -> bytes:
    """What *Export* hands to the browser, unpacked where it is packed."""
    lab.page.click(".ck-menu summary")
    with lab.page.expect_download(timeout=PATIENCE) as offered:
        lab.page.click(f".ck-exports button:text-is('{kind}')")
    content = Path(offered.value.path()).read_bytes()
    if kind != "Bundle (zip)":
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return b"\n".join(archive.read(name) for name in archive.namelist())


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
    assert lab.axe(".ck-desk") == []
    assert_quiet(lab)


def test_a_dropped_har_becomes_a_verdict_without_its_tokens(open_notebook: Open) -> None:
    """The cause stands on the screen; the token in its URL and one in a header are on no page and in no export."""
    har = json.loads((ROOT / "tests/data/har/synthetic-chrome-refused-403.har").read_text("utf-8"))
    request = har["log"]["entries"][0]["request"]
    opaque = "an-opaque-token-of-somebody"
    request["headers"].append({"name": "Authorization", "value": f"Bearer {opaque}"})
    jwt = request["url"].partition("token=")[2]
    secrets = [opaque, *jwt.split(".")[1:]]
    content = json.dumps(har).encode()
    assert len(secrets) == 3
    assert all(one.encode() in content for one in secrets)
    lab = open_notebook(["import chatkit\nchatkit.Console(folder='incident')"])
    lab.run_all()
    page = lab.page
    page.wait_for_selector(".ck-drop", timeout=PATIENCE)
    drop(lab, {"incident.har": content})
    page.wait_for_selector(".ck-desk .ckv h2:has-text('auth-rejected')", timeout=PATIENCE)
    page.wait_for_selector(".ck-desk .ck-timeline canvas", timeout=PATIENCE)
    page.screenshot(path=PICTURES / "flow-har.png")
    assert lab.axe(".ck-desk") == []
    shown = [page.content().encode(), *(exported(lab, kind) for kind in EXPORTS)]
    assert all(b"auth-rejected" in one for one in shown[:3])
    assert not [one for one in secrets if any(one.encode() in text for text in shown)]
    assert_quiet(lab)


def test_investigate_and_verify_the_cure(open_notebook: Open) -> None:
    """Beside the chat, which goes on: the cause, then the cure beside a control, and both as values for a cell."""
    lab = open_notebook(
        [
            "import chatkit\n"
            'lab = chatkit.start_lab(faults=["early-ping-abort:window=1"])\n'
            'console = chatkit.Console(lab, bot="echo")\n'
            "console",
        ],
        size=(1440, 900),
    )
    lab.run_all()
    page = lab.page
    page.wait_for_selector(".ck-desk .ck-word:text-is('Live')", timeout=PATIENCE)
    panel = page.locator(".ck-desk .ck-investigate")
    panel.locator("input[name=budget]").fill("20")
    panel.locator("button:text-is('Start')").click()
    panel.locator(".ckv h2:has-text('early-ping-abort')").wait_for(timeout=LONG)
    panel.locator("button:text-is('Verify the cure')").click()
    panel.locator("button:text-is('Stop')").wait_for(timeout=PATIENCE)
    panel.locator(".ck-found :text('the cure holds')").first.wait_for(timeout=LONG)
    assert page.locator(".ck-desk .ck-word").inner_text() == "Live"
    page.screenshot(path=PICTURES / "flow-verified.png")
    assert lab.axe(".ck-desk") == []
    assert_quiet(lab)


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
