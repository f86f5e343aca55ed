"""The explorer in a real browser: the JS module, a minimal model, data from the widget's own block."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from builders import incident_trace, split
from chatkit.views import packet
from chatkit.views.script import explorer_script
from chatkit.views.timeline import TimelineBuilder, lay_out
from chatkit.widgets import TimelineExplorer, explorer
from million import crowd

pytestmark = pytest.mark.browser

STATIC = Path(explorer.__file__).parent / "static"
ORIGIN = "http://page.test/"
PAGE = """<!doctype html><meta charset="utf-8"><body data-jp-theme-light="true"><div id="el"></div>
<script type="module">
import factory from "/explorer.js";
const handlers = {}, state = { block: null, rows: [], align: "", clock: false, zone: "UTC" };
const fire = (name, ...args) => (handlers[name] ?? []).forEach((act) => act(...args));
window.bytes = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
window.sent = [];
window.state = state;
const model = {
  get: (name) => state[name],
  set: (name, value) => { state[name] = value; fire(`change:${name}`); },
  save_changes() {},
  send: (message) => window.sent.push(message),
  on: (name, act) => (handlers[name] ??= []).push(act),
  off() {},
};
window.delta = (text, to) => fire("msg:custom", { kind: "delta", to }, [window.bytes(text)]);
window.answer = (message) => fire("msg:custom", { ...message, to: window.sent[0].client }, []);
window.start = (text) => {
  state.block = window.bytes(text);
  const widget = factory();
  widget.initialize({ model });
  window.cleanup = widget.render({ model, el: document.getElementById("el") });
};
window.ready = true;
</script>"""


def text(block: bytes) -> str:
    return base64.b64encode(block).decode()


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 1194, "height": 700})
    page.troubles = []
    page.on("console", lambda message: page.troubles.append(message.text))
    page.on("pageerror", lambda error: page.troubles.append(str(error)))
    files = {
        ORIGIN: (PAGE, "text/html"),
        ORIGIN + "explorer.js": (explorer_script(), "text/javascript"),
    }

    def serve(route, request):
        if request.url not in files:
            page.troubles.append(f"asked for {request.url}")
            route.abort()
            return
        body, kind = files[request.url]
        route.fulfill(body=body, content_type=kind)

    page.route("**/*", serve)
    page.goto(ORIGIN)
    page.add_style_tag(content=(STATIC / "explorer.css").read_text("utf-8"))
    page.wait_for_function("window.ready")
    yield page
    assert page.troubles == []
    page.close()


def painted(page) -> int:
    return page.evaluate(
        """() => { const c = document.querySelector("canvas");
        const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
        let n = 0; for (let i = 3; i < d.length; i += 4) if (d[i]) n++; return n; }"""
    )


def test_it_paints_and_a_click_asks_for_the_event(page):
    widget = TimelineExplorer(incident_trace())
    page.evaluate("(block) => start(block)", text(widget.block))
    page.wait_for_timeout(200)
    assert painted(page) > 5_000
    assert page.locator(".ck-title").inner_text() == "4 connections, 148 events, 16:02:05–16:02:47 UTC"
    hello = page.evaluate("sent[0]")
    assert hello["kind"] == "hello"
    header, _ = packet.decode(widget.block)
    assert hello["held"] == header["until"]

    box = page.locator(".ck-stage").bounding_box()
    wide = box["width"] - 132 - 22
    cross = box["x"] + 132 + wide * (0.854 + 42 * 0.004) / (42 * 1.008)
    page.mouse.click(cross, box["y"] + 44 + 19)
    asked = page.evaluate("sent.find((message) => message.kind === 'detail')")
    assert asked is not None
    assert page.evaluate("state.rows") == [asked["row"]]
    page.evaluate(
        "answer",
        {"kind": "detail", "row": asked["row"], "line": "<img src=x>", "fields": [["a", "<b>"]], "payload": "{}"},
    )
    assert page.locator(".ck-detail-line").inner_text() == "<img src=x>"
    assert page.locator(".ck-detail img").count() == 0


def test_deltas_grow_it_and_each_is_acknowledged_with_what_is_held(page):
    builder = TimelineBuilder()
    first, second, third = split(incident_trace(), [40, 90])
    builder.extend(first)
    page.evaluate("(block) => start(block)", text(packet.encode(builder.layout(), live=True)))
    client = page.evaluate("sent[0].client")
    held = builder.cursor
    for part in (second, third):
        delta = builder.extend(part)
        page.evaluate("([block, to]) => delta(block, to)", [text(packet.encode(delta)), client])
        page.wait_for_function("sent.at(-1).kind === 'painted'")
        until = page.evaluate("sent.pop().held")
        assert until == {name: getattr(builder.cursor, name) for name in held.__struct_fields__}
    # One that was sent twice changes nothing; a hole is noticed and asked for.
    overlap = builder.since(held)
    page.evaluate("([block, to]) => delta(block, to)", [text(packet.encode(overlap)), client])
    page.wait_for_function("sent.at(-1).kind === 'painted'")
    assert page.evaluate("sent.at(-1).held.marks") == builder.cursor.marks
    other = TimelineBuilder()
    other.extend(split(incident_trace(), [140])[0])
    page.evaluate("(block) => start(block)", text(packet.encode(other.layout())))


def test_keyboard_themes_and_options(page):
    page.evaluate("(block) => start(block)", text(TimelineExplorer(incident_trace()).block))
    stage = page.locator(".ck-stage")
    stage.focus()
    for key in ("+", "ArrowRight", "-", "ArrowLeft", "Home", "Enter", "Tab", "Tab"):
        page.keyboard.press(key)
    assert "0." in page.locator(".ck-spoken").inner_text()
    page.keyboard.press("Enter")
    page.wait_for_function("sent.some((message) => message.kind === 'detail')")
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") != "ck-stage", "the keyboard is not caught"
    high = stage.bounding_box()["height"]
    page.get_by_role("button", name="Align at open").click()
    assert page.evaluate("state.align") == "open"
    assert stage.bounding_box()["height"] < high
    page.get_by_role("button", name="Clock time").click()
    page.locator(".ck-filter").fill("only control")
    page.locator(".ck-filter").fill("/ping|pong/")
    page.locator(".ck-filter").fill("/(/")
    assert page.locator(".ck-filter").get_attribute("aria-invalid") == "true"
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    page.wait_for_function("document.querySelector('.ck-timeline').dataset.ckTheme === 'dark'")
    page.evaluate("cleanup()")
    assert page.evaluate("sent.at(-1).kind") == "bye"


def test_a_million_events_are_all_there_and_a_zoom_shows_what_the_columns_say(page):
    """Nothing is thinned on the way: the page's own counts are those of the trace."""
    trace = crowd(1_000_000)
    block = packet.encode(lay_out(trace))
    header, tables = packet.decode(block)
    # In pieces: one argument of 20 MB is more than the protocol takes.
    page.evaluate("window.parts = []")
    whole = text(block)
    for begin in range(0, len(whole), 4_000_000):
        page.evaluate("(part) => void parts.push(part)", whole[begin : begin + 4_000_000])
    page.evaluate("start(parts.join(''))")
    page.wait_for_function("document.querySelector('.ck-stage').dataset.events === '1000000'")
    assert "1,000,000 events" in page.locator(".ck-title").inner_text()
    assert page.evaluate("sent[0].held.ticks") == len(tables["ticks"]["x"])
    assert page.evaluate("sent[0].held.marks") == header["until"]["marks"]
    assert painted(page) > 50_000
    stage = page.locator(".ck-stage")
    stage.focus()
    for _ in range(24):
        page.keyboard.press("+")
    page.keyboard.press("Enter")
    spoken = page.locator(".ck-spoken").inner_text()
    assert float(spoken.split(" s")[0]) == pytest.approx((header["first"] + header["last"]) / 2, abs=5)
