"""Made the Chromium logs beside it: a page that logs the incident's lines, against the lab. Run by hand."""

# ruff: noqa: ASYNC220, S, TID251, PT, SIM105
from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
FAKE = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJleHAiOjE3OTU0NTMzMjV9.ZmFrZS1zaWduYXR1cmU"
PAGE = """
const BASE = %s, TOKEN = %s, PING = %s, LIMIT = %d;
let attempts = 0;
fetch(`http://${BASE}/health`, {method: "HEAD"}).catch(() => console.error("❌ Health check failed"));
function connect() {
  const socket = new WebSocket(`ws://${BASE}/api/ws/chat/echo?token=${TOKEN}`);
  socket.onopen = () => {
    console.log("✅ Chat WebSocket connected for bot:", "echo");
    if (PING) {
      const ping = {type: "ping", timestamp: new Date().toISOString()};
      console.log("📤 Sending WebSocket message:", JSON.stringify(ping));
      socket.send(JSON.stringify(ping));
    } else setTimeout(() => socket.close(1000, "bye"), 1500);
  };
  socket.onmessage = event => console.log("📨 WebSocket message received:", event.data);
  socket.onclose = event => {
    console.log(`🔌 Chat WebSocket disconnected: ${event.code} - ${event.reason || "Unknown reason"}`);
    if (event.code === 1000) return;
    if (attempts >= LIMIT) return console.error("❌ Max reconnection attempts reached for chat WebSocket");
    attempts += 1;
    console.log(`🔄 Attempting to reconnect chat WebSocket (${attempts}/${LIMIT}) in 400ms`);
    setTimeout(connect, 400);
  };
}
connect();
"""


async def one(name: str, faults: list[str], ping: bool, seconds: float, down: bool = False) -> None:
    command = [sys.executable, "-m", "chatkit", "lab"] + [part for fault in faults for part in ("--fault", fault)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    ready = json.loads(process.stdout.readline())
    if down:
        process.terminate()
        process.wait(10)
    base = ready["url"].removeprefix("http://")
    script = PAGE % (json.dumps(base), json.dumps(ready["token"]), json.dumps(ping), 3)
    with tempfile.TemporaryDirectory() as folder:
        page_file = Path(folder) / "chat.html"
        page_file.write_text(f"<!doctype html><script>{script}</script>")
        log = Path(folder) / "stderr.log"
        with log.open("wb") as stream:
            browser = subprocess.Popen(
                ["/usr/bin/chromium", "--headless=new", "--no-sandbox", "--enable-logging=stderr", "--v=0",
                 "--allow-file-access-from-files", f"--user-data-dir={folder}/profile", page_file.as_uri()],
                stderr=stream, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            await asyncio.sleep(seconds)
            browser.terminate()
            try:
                browser.wait(10)
            except subprocess.TimeoutExpired:
                browser.kill()
        text = log.read_text("utf-8", "replace")
    if not down:
        process.terminate()
        process.wait(10)
    text = re.sub(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", FAKE, text)
    text = text.replace(page_file.as_uri(), "http://localhost:3000/chat.html")
    lines = [line for line in text.splitlines() if "CONSOLE" in line or not line.startswith("[")]
    kept = [line for line in text.splitlines() if "CONSOLE" in line or "chromium" not in line.lower()]
    (HERE / name).write_text("\n".join(kept or lines) + "\n", "utf-8")


async def devtools(name: str, faults: list[str], down: bool = False) -> None:
    """As DevTools' "Save as" would write what the console of a page shows: place, line, message."""
    from playwright.async_api import async_playwright

    command = [sys.executable, "-m", "chatkit", "lab"] + [part for fault in faults for part in ("--fault", fault)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    ready = json.loads(process.stdout.readline())
    lines: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = await browser.new_page()

        def note(message) -> None:
            place = message.location["url"].partition("?")[0].rpartition("/")[2] or "VM12"
            lines.append(f"{place}:{message.location['lineNumber'] + 1} {message.text}")

        page.on("console", note)
        await page.goto(ready["url"] + "/health")
        if down:
            process.terminate()
            process.wait(10)
        base = ready["url"].removeprefix("http://")
        script = PAGE % (json.dumps(base), json.dumps(ready["token"]), "true", 2)
        await page.add_script_tag(content=script)
        await asyncio.sleep(3)
        await browser.close()
    if not down:
        process.terminate()
        process.wait(10)
    (HERE / name).write_text(re.sub(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", FAKE, "\n".join(lines)) + "\n", "utf-8")


async def main() -> None:
    await one("healthy.log", [], False, 5)
    await one("early_ping_abort.log", ["early-ping-abort:window=3"], True, 7)
    await one("refused.log", ["auth-rejected"], True, 6)
    await one("server_down.log", [], True, 6, down=True)
    await devtools("page_early_ping_abort.log", ["early-ping-abort:window=3"])
    await devtools("page_refused.log", ["auth-rejected"])
    await devtools("page_server_down.log", [], down=True)


if __name__ == "__main__":
    asyncio.run(main())
