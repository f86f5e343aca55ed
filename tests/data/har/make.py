"""Makes the evidence in this folder with real tools; by hand, never in the tests.

    PYTHONPATH=. python tests/data/har/make.py MITMDUMP

``MITMDUMP`` is mitmproxy's program in a virtual environment of its own. Chromium and Playwright are those of the
development environment. Everything stays on loopback. What DevTools writes on "Save all as HAR" cannot be had without
a person; its files (``synthetic-chrome-…``) are put together from the same protocol events (``Network.webSocket…``) in
the way DevTools does. ``synthetic-firefox`` and ``synthetic-http-toolkit`` were written by hand from what these
programs are known to write.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent
FAKE = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJleHAiOjE3OTU0NTMzMjV9.ZmFrZS1zaWduYXR1cmU"
JWT = re.compile(r"eyJ[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
CHROMIUM = shutil.which("chromium")
FAULTS = {
    "healthy": [],
    "early-ping-abort": ["early-ping-abort:window=3"],
    "refused-403": ["auth-rejected"],
    "server-close-1011": ["server-error:on=typing"],
}
PAGE = """
async ([url, ws, bot, token, story]) => {
  const wait = (s) => new Promise((r) => setTimeout(r, s * 1000));
  const open = () => new Promise((done) => {
    const socket = new WebSocket(`${ws}/api/ws/chat/${bot}?token=${token}`);
    socket.onopen = () => done(socket);
    socket.onerror = () => done(socket);
  });
  const ended = (socket) => new Promise((done) => {
    if (socket.readyState > 1) done(); else { socket.onclose = done; setTimeout(done, 3000); }
  });
  const head = {Authorization: `Bearer ${token}`, 'Content-Type': 'application/json'};
  const ping = () => JSON.stringify({type: 'ping', timestamp: new Date().toISOString()});
  if (story === 'early-ping-abort') {
    for (let n = 0; n < 3; n++) { const s = await open(); await wait(0.1); s.send(ping()); await ended(s); await wait(0.3); }
    return;
  }
  const socket = await open();
  if (story === 'refused-403') { await wait(0.3); return; }
  if (story === 'server-close-1011') {
    await wait(0.3); socket.send(JSON.stringify({type: 'typing', data: {is_typing: true}})); await ended(socket); return;
  }
  await fetch(`${url}/health`);
  await wait(0.3);
  const session = await (await fetch(`${url}/api/conversations/bots/${bot}/sessions`, {method: 'POST', headers: head, body: '{}'})).json();
  const id = session.session_id || session.id;
  await fetch(`${url}/api/conversations/bots/${bot}/chat`, {method: 'POST', headers: head, body: JSON.stringify({message: 'hello', session_id: id})});
  await wait(0.5);
  socket.send(ping());
  await wait(0.4);
  socket.close(1000, 'done');
  await ended(socket);
}
"""


def lab(faults: list[str]) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """The lab in a process of its own, and its ready line."""
    command = [sys.executable, "-m", "chatkit", "lab"]
    for fault in faults:
        command += ["--fault", fault]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def run(page: Page, ready: dict[str, Any], story: str) -> None:
    url, ws = ready["url"], ready["ws_url"]
    page.goto(url + "/health")
    page.evaluate(PAGE, [url, ws, ready["bots"][0]["id"], ready["token"], story])


class DevTools:
    """What the network panel keeps of protocol events, and writes (front_end/models/har/Log.ts)."""

    def __init__(self, page: Page) -> None:
        self.sockets: dict[str, dict[str, Any]] = {}
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        for name in (
            "webSocketCreated", "webSocketWillSendHandshakeRequest", "webSocketHandshakeResponseReceived",
            "webSocketFrameSent", "webSocketFrameReceived", "webSocketFrameError", "webSocketClosed",
        ):  # fmt: skip
            session.on(f"Network.{name}", lambda event, name=name: self.saw(name, event))

    def saw(self, name: str, event: dict[str, Any]) -> None:
        one = self.sockets.setdefault(
            event["requestId"], {"frames": [], "received": -1.0, "end": -1.0, "request": {}, "response": {}}
        )
        now = event.get("timestamp", -1.0)
        if name == "webSocketCreated":
            one["url"] = event["url"]
        elif name == "webSocketWillSendHandshakeRequest":
            one.update(issue=now, wall=event["wallTime"], request=event["request"])
        elif name == "webSocketHandshakeResponseReceived":
            one.update(response=event["response"], received=now)
        elif name == "webSocketClosed":
            one["end"] = now
        elif name == "webSocketFrameError":
            one["frames"].append({"type": "error", "time": now, "opcode": -1, "data": event["errorMessage"]})
            one["received"] = now
        else:
            kind = "send" if name.endswith("Sent") else "receive"
            frame = event["response"]
            one["frames"].append({"type": kind, "time": now, "opcode": frame["opcode"], "data": frame["payloadData"]})
            one["received"] = now

    def har(self) -> dict[str, Any]:
        entries = [self.entry(one) for one in self.sockets.values()]
        creator = {"name": "WebInspector", "version": "537.36"}
        return {"log": {"version": "1.2", "creator": creator, "pages": [], "entries": entries}}

    def entry(self, one: dict[str, Any]) -> dict[str, Any]:
        shift = one["wall"] - one["issue"]
        wait = max((one["received"] - one["issue"]) * 1000, 0)
        receive = max((one["end"] - max(one["received"], one["issue"])) * 1000, 0) if one["end"] > 0 else 0
        listed = lambda fields: [{"name": k, "value": v} for k, v in fields.get("headers", {}).items()]  # noqa: E731
        return {
            "_initiator": {"type": "script"},
            "_priority": None,
            "_resourceType": "websocket",
            "_webSocketMessages": [dict(frame, time=frame["time"] + shift) for frame in one["frames"]],
            "cache": {},
            "request": {
                "method": "GET", "url": one["url"], "httpVersion": "HTTP/1.1", "headers": listed(one["request"]),
                "queryString": [], "cookies": [], "headersSize": -1, "bodySize": 0,
            },
            "response": {
                "status": one["response"].get("status", 0), "statusText": one["response"].get("statusText", ""),
                "httpVersion": "HTTP/1.1", "headers": listed(one["response"]), "cookies": [],
                "content": {"size": 0, "mimeType": "x-unknown"}, "redirectURL": "", "headersSize": -1, "bodySize": -1,
                "_transferSize": 0, "_error": None,
            },
            "serverIPAddress": "",
            "startedDateTime": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(one["wall"]))
            + f"{one['wall'] % 1:.3f}"[1:] + "Z",
            "time": wait + receive,
            "timings": {
                "blocked": -1, "dns": -1, "ssl": -1, "connect": -1, "send": 0, "wait": wait, "receive": receive,
                "_blocked_queueing": -1,
            },
        }  # fmt: skip


def scrubbed(text: str) -> str:
    text = JWT.sub(FAKE, text)
    return re.sub(r"HeadlessChrome|Mozilla/5\.0 [^\"\\]*", "Mozilla/5.0", text)


def browsers(ready: dict[str, Any], story: str, folder: Path) -> None:
    """Playwright's own recording, embedded and attached, and what DevTools would write."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for name in (f"playwright-{story}.har", f"playwright-{story}.zip"):
            if name.endswith(".zip") and story != "healthy":
                continue
            context = browser.new_context(
                record_har_path=str(folder / name), record_har_content="attach" if ".zip" in name else "embed"
            )
            page = context.new_page()
            tools = DevTools(page)
            run(page, ready, story)
            context.close()
        browser.close()
    write(HERE / f"synthetic-chrome-{story}.har", json.dumps(tools.har(), indent=1))
    write(HERE / f"playwright-{story}.har", (folder / f"playwright-{story}.har").read_text())
    if story == "healthy":
        packed = folder / f"playwright-{story}.zip"
        with (
            zipfile.ZipFile(packed) as old,
            zipfile.ZipFile(HERE / f"playwright-{story}-attached.zip", "w", zipfile.ZIP_DEFLATED) as new,
        ):
            for member in old.namelist():
                new.writestr(member, scrubbed(old.read(member).decode()))


def proxied(ready: dict[str, Any], story: str, folder: Path, mitmdump: str) -> None:
    """mitmproxy between the page and the lab."""
    out, port = folder / f"mitmproxy-{story}.har", 18480
    command = [mitmdump, "--mode", f"reverse:{ready['url']}", "--listen-host", "127.0.0.1", "-p", str(port)]
    command += ["--set", f"hardump={out}", "--set", f"confdir={folder}", "-q"]
    proxy = subprocess.Popen(command)
    time.sleep(4)
    through = dict(ready, url=f"http://127.0.0.1:{port}", ws_url=f"ws://127.0.0.1:{port}")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            run(browser.new_page(), through, story)
            browser.close()
    finally:
        proxy.send_signal(signal.SIGINT)
        proxy.wait(20)
    write(HERE / out.name, out.read_text())


def write(path: Path, text: str) -> None:
    path.write_text(scrubbed(text), "utf-8")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        for story, faults in FAULTS.items():
            process, ready = lab(faults)
            try:
                browsers(ready, story, Path(name))
                proxied(ready, story, Path(name), sys.argv[1])
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(20)


if __name__ == "__main__":
    main()
