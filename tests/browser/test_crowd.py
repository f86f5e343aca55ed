"""A recording that gets 50,000 events a second, followed in JupyterLab: all of it arrives, and nothing queues up."""

from __future__ import annotations

import json

import pytest

from tests.bench.ui import FEED
from tests.browser.jupyterlab import PATIENCE

pytestmark = pytest.mark.browser

PRINTED = "[...document.querySelectorAll('.jp-OutputArea-output')].map((one) => one.textContent).join(' ')"
RATE, SECONDS = 50_000, 4
WATCHED = """
from chatkit import TimelineExplorer
explorer = TimelineExplorer(recorder)
deltas, unpainted, painted = [], [], []
send = explorer.send
def counted(content, buffers=None):
    if content["kind"] == "delta":
        deltas.append(len(buffers[0]))
        unpainted.append(len(deltas) - len(painted))
    send(content, buffers=buffers)
explorer.send = counted
explorer.on_msg(lambda widget, message, buffers: message["kind"] == "painted" and painted.append(message["held"]))
explorer
"""
TOLD = """
import asyncio, json
thread.start()
while thread.is_alive() or not painted or painted[-1]["ticks"] < {count}:
    await asyncio.sleep(0.1)
await asyncio.sleep(0.5)
told = {{"recorded": len(recorder), "deltas": len(deltas), "most": max(unpainted), "painted": len(painted),
        "held": painted[-1], "cursor": [explorer._feed._builder.cursor.ticks, explorer._feed._builder.cursor.marks]}}
print("told=" + json.dumps(told) + ";")
"""


def test_a_flood_is_brought_together_and_counted_and_none_is_lost(open_notebook):
    """Each update waits for the picture of the one before: few of them, whatever comes in between."""
    count = RATE * SECONDS
    lab = open_notebook([FEED.format(count=count, rate=RATE), WATCHED, TOLD.format(count=count)])
    lab.page.evaluate(
        """() => { window.counts = []; window.together = 0; const look = () => {
            const said = document.querySelector(".ck-title")?.textContent.match(/([\\d,]+) in the last update/);
            if (said) together = Math.max(together, Number(said[1].replaceAll(",", "")));
            const now = Number(document.querySelector(".ck-stage")?.dataset.events ?? 0);
            if (now !== counts.at(-1)) counts.push(now);
            requestAnimationFrame(look); }; look(); }"""
    )
    lab.run_all()
    lab.page.wait_for_function(f"{PRINTED}.match(/told=[^;]+;/)", timeout=PATIENCE)
    assert lab.errors() == []
    told = json.loads(lab.page.evaluate(f"{PRINTED}.match(/told=([^;]+);/)[1]"))
    assert told["recorded"] == count + 1
    lab.page.wait_for_function(f"Number(document.querySelector('.ck-stage').dataset.events) === {count + 1}")
    assert [told["held"]["ticks"], told["held"]["marks"]] == told["cursor"]
    assert told["held"]["ticks"] == count, "each frame is a tick of its own in the page"
    assert told["deltas"] < count / 1_000, "many events travel together"
    assert told["painted"] == told["deltas"], "every update was painted and told so"
    # Without an answer one more goes out each second, counted from what is held; more on the way would be a queue.
    assert told["most"] <= SECONDS
    counts = lab.page.evaluate("counts")
    assert counts == sorted(counts)
    assert any(1 < shown <= count for shown in counts), "it moved while they came"
    assert lab.page.evaluate("together") > 1, "and how many came together was said"
    assert lab.external == []
    assert lab.complaints == []
