"""The explorer in a real browser: the JS module, a minimal model, data from the widget's own block."""

from __future__ import annotations

import base64
import itertools
import json
from pathlib import Path

import axe_playwright_python
import pytest

from builders import Script, incident_trace, split
from chatkit.events import AttemptStarted, Opened, RetryScheduled, TransportEnded
from chatkit.views import packet
from chatkit.views.script import explorer_script
from chatkit.views.timeline import TimelineBuilder, lay_out
from chatkit.widgets import TimelineExplorer, explorer
from million import crowd

pytestmark = pytest.mark.browser

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
STYLE = Path(explorer.__file__).parent / "static" / "explorer.css"
QUERIES = json.loads((Path(__file__).parents[1] / "views" / "queries.json").read_text("utf-8"))
ORIGIN = "http://page.test/"
PAGE = """<!doctype html><meta charset="utf-8"><body data-jp-theme-light="true"><div id="el"></div>
<script type="module">
import factory, { parseQuery } from "/explorer.js";
window.parseQuery = parseQuery;
const handlers = {}, state = { block: null, rows: [], align: "", clock: false, zone: "UTC", area: {}, pinned: [], query: "", reference: -1 };
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
window.answer = (message, texts = []) =>
  fire("msg:custom", { ...message, to: window.sent[0].client }, texts.map((text) => window.bytes(text)));
window.start = (text, more = {}) => {
  Object.assign(state, more);
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
    page.set_default_timeout(8_000)
    page.troubles = []
    page.on("console", lambda message: page.troubles.append(message.text))
    page.on("pageerror", lambda error: page.troubles.append(str(error)))
    files = {
        ORIGIN: (PAGE, "text/html"),
        ORIGIN + "explorer.js": (explorer_script() + "\nexport { parseQuery };", "text/javascript"),
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
    page.add_style_tag(content=STYLE.read_text("utf-8"))
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


class Kernel:
    """Answers what the page asked as the widget would, without a kernel between them."""

    def __init__(self, page, widget: TimelineExplorer) -> None:
        self.page, self.widget = page, widget
        self.done = 0
        self.said: list[tuple[dict, list[bytes]]] = []
        widget.send = lambda content, buffers=None: self.said.append((content, buffers or []))

    def serve(self) -> list[str]:
        """Everything that was asked since the last time; kinds of the answers."""
        state = self.page.evaluate("({ ...state, block: null })")
        for name in ("rows", "area", "query", "reference", "pinned"):
            setattr(self.widget, name, state[name])
        asked = self.page.evaluate("sent")[self.done :]
        self.done += len(asked)
        for message in asked:
            self.widget._receive(self.widget, message, [])
        self.widget._searches.wait(10)
        told, self.said = self.said, []
        for content, buffers in told:
            if content["kind"] != "delta":
                self.page.evaluate(
                    "([message, texts]) => answer(message, texts)", [content, [text(b) for b in buffers]]
                )
            else:
                self.page.evaluate("([block, to]) => delta(block, to)", [text(buffers[0]), content["to"]])
        return [content["kind"] for content, _ in told]


def shown(page, trace=None, **state) -> Kernel:
    widget = TimelineExplorer(trace or incident_trace(), align=state.get("align") or None)
    page.evaluate("([block, more]) => start(block, more)", [text(widget.block), state])
    page.wait_for_timeout(100)
    return Kernel(page, widget)


@pytest.mark.parametrize("what", ["read", "refused"])
def test_the_page_reads_queries_as_the_kernel_does(page, what):
    for query, wanted in QUERIES[what]:
        got = page.evaluate("(q) => { try { return parseQuery(q); } catch (e) { return e.place; } }", query)
        assert got == wanted, query


def test_search_is_the_kernels_and_the_pages_own_where_nobody_answers(page):
    kernel = shown(page)
    field, found = page.get_by_role("searchbox", name="Search events"), page.locator(".ck-found")
    field.fill("received type:connection_established /bot_id/")
    page.wait_for_timeout(300)
    assert kernel.serve()[-1] == "search"
    pongs = len(kernel.widget.matching)
    assert pongs == 4
    assert found.inner_text() == f"{pongs} matches"
    field.press("Enter")
    field.press("Enter")
    assert found.inner_text() == f"2 of {pongs} matches"
    assert page.evaluate("state.rows") == [int(kernel.widget.matching[1].id)]
    field.press("Shift+Enter")
    assert found.inner_text() == f"1 of {pongs} matches"
    page.locator(".ck-stage").focus()
    page.keyboard.press("N")
    assert found.inner_text() == f"{pongs} of {pongs} matches"
    page.keyboard.press("/")
    field.fill("sent type:ping or control or connection:4 type:Opened")
    page.wait_for_timeout(300)
    page.wait_for_function("document.querySelector('.ck-found').textContent.includes('not searched yet')")
    alone = found.inner_text()
    kernel.serve()
    assert alone.split()[0] == found.inner_text().split()[0], "words and kinds are enough for this one"
    field.fill("/(/")
    page.wait_for_function("document.querySelector('.ck-found').textContent.includes('character 1')")
    assert field.get_attribute("aria-invalid") == "true"
    field.press("Escape")
    assert found.inner_text() == ""
    assert page.evaluate("state.query") == ""


def test_an_area_becomes_a_table_and_a_trace(page):
    kernel = shown(page)
    box = page.locator(".ck-stage").bounding_box()
    page.keyboard.down("Shift")
    page.mouse.move(box["x"] + 140, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 100, steps=4)
    page.mouse.up()
    page.keyboard.up("Shift")
    assert kernel.serve()[-1] == "table"
    chosen = kernel.widget.selection
    assert {event.connection for event in chosen} == {"1", "2"}
    assert page.locator(".ck-table tbody tr").count() == len(chosen)
    assert page.locator(".ck-selected").inner_text().startswith(f"{len(chosen)} events selected;")
    page.locator(".ck-table .ck-link").nth(2).click()
    assert page.evaluate("sent.at(-1).row") == int(chosen[2].id)
    page.locator(".ck-stage").focus()
    page.keyboard.press("s")
    kernel.serve()
    assert len(kernel.widget.selection) > 140
    page.keyboard.press("Escape")
    assert page.locator(".ck-table").is_hidden()
    assert page.evaluate("state.area") == {}


def test_details_have_deltas_a_reference_and_a_note(page):
    kernel = shown(page)
    page.get_by_role("searchbox").fill("sent type:ping")
    page.wait_for_timeout(300)
    kernel.serve()
    page.get_by_role("button", name="Next match").click()
    kernel.serve()
    assert page.locator(".ck-form").inner_text() == "payload: chat message ping"
    page.locator(".ck-detail").get_by_role("button", name="Reference").click()
    page.get_by_role("button", name="Next match").click()
    kernel.serve()
    assert "since the reference" in page.locator(".ck-fields").inner_text()
    page.locator(".ck-detail").get_by_role("button", name="Note").click()
    page.keyboard.type("<b>it began here</b>")
    page.keyboard.press("Enter")
    assert "note" in kernel.serve()
    (note,) = kernel.widget.trace.select(kinds={"Noted"})
    assert (note.text, note.connection, note.about) == ("<b>it began here</b>", "2", str(kernel.widget.rows[0]))
    page.wait_for_function("document.querySelector('.ck-title').textContent.includes('149 events')")


def test_survival_stands_beside_the_aligned_lanes(page):
    kernel = shown(page, align="open")
    page.wait_for_timeout(200)
    assert "survival" in kernel.serve()
    page.wait_for_selector(".ck-survival canvas")
    assert "4 lives" in page.locator(".ck-survival canvas").get_attribute("aria-label")
    page.get_by_role("button", name="Align at open").click()
    page.wait_for_function("document.querySelector('.ck-survival').hidden")


def test_pictures_are_saved(page):
    kernel = shown(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as PNG").click()
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")
    page.get_by_role("button", name="Save as SVG").click()
    with page.expect_download() as download:
        assert kernel.serve()[-1] == "svg"
    assert download.value.suggested_filename == "timeline.svg"
    assert Path(download.value.path()).read_text("utf-8").startswith("<svg ")


def test_the_zone_of_clock_times_is_shown_and_chosen(page):
    shown(page)
    page.get_by_label("Time zone").select_option("Asia/Tokyo")
    assert page.evaluate("[state.zone, state.clock]") == ["Asia/Tokyo", True]
    assert page.locator(".ck-title").inner_text().endswith("01:02:05–01:02:47 UTC+9")


def test_pinned_lanes_stay_while_many_are_scrolled(page):
    script = Script()
    for n in range(400):
        script.put(n, Opened, str(n))
    shown(page, script.trace())
    stage = page.locator(".ck-stage")
    high = stage.bounding_box()["height"]
    assert high < 1400
    page.get_by_role("button", name="Pin lanes").click()
    page.get_by_label("connection 7", exact=True).check()
    stage.focus()
    for _ in range(4):
        page.keyboard.press("PageDown")
    assert "lanes 201 to 299" in page.locator(".ck-title").inner_text()
    box = stage.bounding_box()
    page.mouse.click(box["x"] + 20, box["y"] + 44 + 3)
    assert page.evaluate("state.pinned") == [], "the first lane's name is the pinned one's"


@pytest.mark.parametrize("connections", [4, 31, 44, 60, 90])
def test_no_words_cover_others_however_close_the_lanes(page, connections):
    """Every text that is put on the canvas, as wide and high as the browser measures it."""
    page.evaluate("""() => {
        const { fillText: put, clearRect: clear } = CanvasRenderingContext2D.prototype;
        CanvasRenderingContext2D.prototype.clearRect = function (...where) {
            window.put = []; // what follows is one picture
            return clear.call(this, ...where);
        };
        CanvasRenderingContext2D.prototype.fillText = function (words, x, y, ...rest) {
            const size = this.measureText(words);
            if (words.trim()) window.put.push([words, x - size.actualBoundingBoxLeft, x + size.actualBoundingBoxRight,
                y - size.actualBoundingBoxAscent, y + size.actualBoundingBoxDescent]);
            return put.call(this, words, x, y, ...rest);
        };
    }""")
    script = Script()
    for n in range(connections):
        name, at = str(n), 5 + 0.02 * n
        script.put(0.01 * n, AttemptStarted, name, url="ws://x")
        script.put(0.5 + 0.01 * n, Opened, name)
        for k in range(3):
            script.sent(1 + k + 0.03 * n, name, "ping", timestamp=str(k))
            script.received(1.1 + k + 0.03 * n, name, "pong", timestamp=str(k))
        script.put(at, TransportEnded, name, how="rst", by="server")
        script.put(at + 0.1, RetryScheduled, name, attempt=1, delay=2.0)
    shown(page, script.trace())
    texts = page.evaluate("put")
    assert any("RST by server" in text[0] for text in texts)
    for one, other in itertools.combinations(texts, 2):
        apart = one[2] <= other[1] or other[2] <= one[1] or one[4] <= other[3] or other[4] <= one[3]
        assert apart, (one, other)


def test_more_lanes_than_there_is_room_for_are_reached_by_mouse(page):
    page.set_viewport_size({"width": 1194, "height": 1500})
    script = Script()
    for n in range(400):
        script.put(n, Opened, str(n))
    shown(page, script.trace())
    box = page.locator(".ck-stage").bounding_box()

    def reached(first):
        page.wait_for_function(
            f"document.querySelector('.ck-title').textContent.includes('lanes {first} to {first + 99}')"
        )

    page.mouse.move(box["x"] + 40, box["y"] + 300)
    page.mouse.wheel(0, 240)
    reached(21)
    page.mouse.wheel(0, -9_000)
    reached(1)
    x, top, high = box["x"] + box["width"] - 8, box["y"] + 44, box["height"] - 72
    page.mouse.move(x, top + 4)
    page.mouse.down()
    page.mouse.move(x, top + 4 + high * 100.2 / 400, steps=3)
    page.mouse.up()
    reached(101)
    page.mouse.click(x, top + high - 3)
    reached(151)
    page.mouse.click(x, top + 3)
    reached(101)
    assert page.evaluate("[state.rows, state.pinned]") == [[], []], "nothing else is meant by it"


@pytest.mark.parametrize("dark", [False, True])
def test_every_control_is_named_and_can_be_reached(page, dark):
    page.evaluate("(dark) => { document.body.dataset.jpThemeLight = String(!dark); }", dark)
    if dark:
        page.add_style_tag(content="body { background: #171b21; --jp-layout-color1: #171b21; --jp-layout-color2: #1d232b;"
                           "--jp-ui-font-color1: #e8ecf1; --jp-ui-font-color2: #9aa7b5; --jp-border-color2: #2b333d; }")  # fmt: skip
    kernel = shown(page)
    page.locator(".ck-stage").focus()
    page.keyboard.press("s")
    page.get_by_role("searchbox").fill("ping")
    page.wait_for_timeout(300)
    kernel.serve()
    page.get_by_role("button", name="Next match").click()
    kernel.serve()
    page.locator(".ck-stage").focus()
    page.keyboard.press("a")
    page.get_by_role("button", name="Pin lanes").click()
    page.add_script_tag(content=AXE)
    found = page.evaluate("axe.run('.ck-timeline').then((result) => result.violations)")
    assert [(one["id"], [node["html"][:160] for node in one["nodes"]]) for one in found] == []
    page.keyboard.press("Escape")
    wanted = page.evaluate(
        """() => [...document.querySelectorAll(".ck-timeline :is(button, input, select, summary, [tabindex])")]
        .filter((e) => e.checkVisibility() && !e.disabled).length"""
    )
    page.evaluate("document.activeElement.blur()")
    seen = set()
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        now = page.evaluate(
            """() => { const e = document.activeElement, s = getComputedStyle(e);
            return [[...document.querySelectorAll("*")].indexOf(e), e !== document.body && s.outlineStyle === "none"]; }"""
        )
        assert not now[1], "what has the focus shows it"
        seen.add(now[0])
    assert len(seen - {0}) >= wanted
