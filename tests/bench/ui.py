"""What the windows cost in a real JupyterLab in headless Chromium, beside plain plotly ``FigureWidget`` doing the same.

Each turn is a notebook of its own in a kernel of its own. A time begins in the kernel, when the cell begins, and ends in
the page, two animation frames after the picture is there; both clocks are the machine's. plotly gets its own best form:
``Scattergl``, numpy columns, and live a bounded window that is sent five times a second, because it has no
acknowledgement and no way to append. What does not finish within its cap is reported so, with the cap; any other error
ends the run.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import tempfile
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from playwright.sync_api import Browser, Error, sync_playwright
from playwright.sync_api import TimeoutError as Late

from tests.bench.results import CannotRun, Measure, measured, show
from tests.browser.jupyterlab import LabPage, launch, notebook_of, open_page, start_jupyter

T = TypeVar("T")
ROUNDS = 1
CAP = 60.0
"""Seconds for one thing."""
MOVING = 12.0
"""Seconds after which a zoom or a pan is not stepped further."""
SECONDS = 8
"""Of a live feed."""
EVENTS = 1_000_000
STEPS = 40
"""Wheel turns of a pan and of a zoom, at most."""
PATHS = "import sys; sys.path.insert(0, {tests!r})"

OURS_INCIDENT = [
    "from builders import incident_trace\ntrace = incident_trace()",
    "from chatkit import TimelineExplorer",
]
THEIRS_AXES = """
import numpy as np, plotly.graph_objects as go
def figure(trace):
    return go.FigureWidget(go.Scattergl(x=trace.at, y=trace.connection_code, mode="markers"))
"""
FEED = """
import threading, time
from chatkit import Recorder
from chatkit.events import FrameReceived, Opened
recorder, count, rate = Recorder(), {count}, {rate}
recorder.record(Opened, connection="1")
TEXT = '{{"type": "chat_response_chunk", "data": {{"message_id": "m", "delta": "word"}}}}'
stamps = []
def feed():
    began, sent = time.monotonic(), 0
    while sent < count:
        due = min(count, int((time.monotonic() - began) * rate) + 1)
        for _ in range(due - sent):
            recorder.record(FrameReceived, connection="1", size=len(TEXT), text=TEXT)
        sent = due
        stamps.append((time.time(), sent))
        time.sleep(0.002)
thread = threading.Thread(target=feed, daemon=True)
"""
LIVE_PLOTLY = """
import numpy as np, plotly.graph_objects as go
figure = go.FigureWidget(go.Scattergl(x=[0.0], y=[0], mode="markers"))
def push():
    while thread.is_alive():
        times = np.array(recorder.snapshot(max(0, len(recorder) - {window})).at)
        with figure.batch_update():
            figure.data[0].x, figure.data[0].y = times + recorder.epoch, np.zeros(len(times))
        time.sleep(0.2)
pusher = threading.Thread(target=push, daemon=True)
"""
# Not a join: a kernel whose cell blocks hears no acknowledgement.
SAY = """
import asyncio
while thread.is_alive():
    await asyncio.sleep(0.1)
print('recorded=%d;' % len(recorder))
print('took=%.3f;' % (stamps[-1][0] - stamps[0][0]))
print('stamps=' + str([(round(t, 3), n) for t, n in stamps[::5]]).replace(' ', '') + ';')
"""
LIVE_ROWS = [
    ("p50", "event to paint, p50", "ms"),
    ("p95", "event to paint, p95", "ms"),
    ("growth", "p50 of 2nd half less 1st", "ms"),
    ("never", "moments never painted", "%"),
    ("lost", "events not shown", ""),
    ("rate", "fed, events/s", ""),
]
PAGE = """
window.printed = () => [...document.querySelectorAll(".jp-OutputArea-output")].map((one) => one.textContent).join(" ");
window.frames2 = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 0))));
window.shown = (kind, least) => {
  const stage = document.querySelector(".ck-timeline .ck-stage");
  if (kind === "slider") return document.querySelector(".jp-OutputArea-output .widget-slider") ? 1 : 0;
  if (kind === "ours") return stage && Number(stage.dataset.events) >= least ? Number(stage.dataset.until) : 0;
  const plot = document.querySelector(".js-plotly-plot");
  const x = plot?._fullLayout?._plots && plot.calcdata?.[0]?.[0]?.t && plot.data[0].x;
  return x && x.length >= least && plot.querySelector("canvas, .point") ? x[x.length - 1] : 0;
};
window.appears = async (kind, least) => {
  while (!shown(kind, least)) await new Promise(requestAnimationFrame);
  await frames2();
  return Date.now() / 1000;
};
window.watch = (kind) => {
  const seen = (window.seen = []);
  let last = 0;
  const look = () => {
    const now = shown(kind, 1);
    if (now > last) seen.push([Date.now() / 1000, (last = now)]);
    requestAnimationFrame(look);
  };
  look();
};
window.wheel = async (kind, way, steps, most) => {
  const over = performance.now() + most;
  const plot = document.querySelector(".js-plotly-plot");
  if (plot) plot._context._scrollZoom = { cartesian: 1, gl3d: 1 };
  const target = plot ? plot.querySelector(".nsewdrag") : document.querySelector(".ck-stage");
  target.scrollIntoView();
  const box = target.getBoundingClientRect(), spent = [];
  const fire = (Kind, name, x, more) => target.dispatchEvent(new Kind(name, {
    clientX: x, clientY: box.top + Math.min(200, box.height / 2), bubbles: true, cancelable: true, view: window, ...more }));
  const middle = box.left + box.width / 2;
  if (way === "pan") {
    if (plot) plot._fullLayout.dragmode = "pan";
    const Kind = plot ? MouseEvent : PointerEvent, word = plot ? "mouse" : "pointer";
    fire(Kind, `${word}down`, middle, { button: 0, buttons: 1, pointerId: 1 });
    const moves = plot ? document.querySelector(".dragcover") ?? target : target;
    for (let n = 1; n <= steps && performance.now() < over; n++) {
      const began = performance.now();
      moves.dispatchEvent(new Kind(`${word}move`, { clientX: middle + (n % 20) * 9, clientY: box.top + 100, bubbles: true,
        cancelable: true, view: window, buttons: 1, pointerId: 1 }));
      await frames2();
      spent.push(performance.now() - began);
    }
    moves.dispatchEvent(new Kind(`${word}up`, { clientX: middle, clientY: box.top + 100, bubbles: true, pointerId: 1 }));
    return spent;
  }
  for (let n = 0; n < steps && performance.now() < over; n++) {
    const began = performance.now();
    fire(WheelEvent, "wheel", middle, { deltaY: n % 20 < 10 ? -120 : 120 });
    await frames2();
    spent.push(performance.now() - began);
  }
  return spent;
};
"""
"""A step of the wheel is over two animation frames later: an idle page needs about 33 ms for them."""


class Missed(Exception):
    """Something did not come within its cap."""

    def __init__(self, cap: float) -> None:
        super().__init__(f"did not finish in {cap:.0f} s")
        self.cap = cap
        """Seconds."""


class Bench:
    """A JupyterLab for notebooks one after the other."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self.browser, self.folder = browser, folder

    def turn(self, cells: list[str], act: Callable[[LabPage], T]) -> T | Missed:
        """Runs the cells, then ``act(page)``; what was missed when something did not come in time.

        Raises:
            RuntimeError: a cell failed.
        """
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        work = folder / "work"
        work.mkdir()
        paths = PATHS.format(tests=str(Path(__file__).parents[1]))
        (work / "notebook.ipynb").write_text(json.dumps(notebook_of([paths, *cells])))
        servers: list[subprocess.Popen[bytes]] = []
        context = self.browser.new_context(viewport={"width": 1440, "height": 1200})
        try:
            port = start_jupyter(folder, work, False, servers)
            context.add_init_script(PAGE)
            lab = open_page(context, port)
            context.set_default_timeout(CAP * 1000)
            lab.run_all()
            try:
                return act(lab)
            except (Late, Missed) as late:
                if errors := lab.errors():
                    raise RuntimeError("\n".join(errors)) from None
                return late if isinstance(late, Missed) else Missed(CAP)
        finally:
            context.close()
            for server in servers:
                server.terminate()
                server.wait(20)


def awaited(lab: LabPage, call: str, cap: float = CAP) -> Any:
    """The value of a promise in the page.

    Raises:
        Missed: it does not come within ``cap`` seconds.
    """
    late = f"new Promise((done) => setTimeout(() => done('late'), {cap * 1000}))"
    value = lab.page.evaluate(f"() => Promise.race([{call}, {late}])")
    if value == "late":
        raise Missed(cap)
    return value


def number(lab: LabPage, name: str) -> float:
    """A number that a cell printed after this name."""
    return float(printed(lab, name))


def printed(lab: LabPage, name: str) -> str:
    """What a cell printed after this name, up to a semicolon."""
    lab.page.wait_for_function(f"printed().match(/{name}=[^;]+;/)")
    return str(lab.page.evaluate(f"printed().match(/{name}=([^;]+);/)[1]"))


STAMP = "import time; print('began=%.3f;' % time.time())"


def first(bench: Bench, kind: str, cells: list[str], least: int = 1) -> float | Missed:
    """Seconds from the begin of the last cell until the picture is there."""

    def act(lab: LabPage) -> float:
        came = awaited(lab, f"appears({kind!r}, {least})")
        return float(came - number(lab, "began"))

    return bench.turn([*cells[:-1], STAMP + "\n" + cells[-1]], act)


def million(bench: Bench, kind: str, cells: list[str]) -> dict[str, float] | Missed:
    """First paint, seconds, and the 95th percentile of what a step of a zoom and of a pan takes, milliseconds."""

    def act(lab: LabPage) -> dict[str, float]:
        # The trace is made by an earlier cell: the cap holds for both.
        came = awaited(lab, f"appears({kind!r}, {EVENTS if kind == 'ours' else EVENTS - 100})", CAP * 2)
        found = {"paint": came - number(lab, "began")}
        lab.page.wait_for_timeout(1000)
        for way in ("zoom", "pan"):
            spent = awaited(lab, f"wheel({kind!r}, {way!r}, {STEPS}, {MOVING * 1000})", CAP * 2)
            found[way], found[f"{way} steps"] = quantile(spent, 0.95), len(spent)
        return found

    return bench.turn([*cells[:-1], STAMP + "\n" + cells[-1]], act)


def live(bench: Bench, kind: str, rate: int) -> dict[str, float] | Missed:
    """Latency from frame received to painted, milliseconds, and how it grew from the first half to the second."""
    feed = FEED.format(count=rate * SECONDS, rate=rate)
    if kind == "ours":
        cells = [feed, "from chatkit import TimelineExplorer\nTimelineExplorer(recorder)", "thread.start()"]
    else:
        cells = [feed, LIVE_PLOTLY.format(window=min(rate * 2, 20_000)), "figure", "thread.start(); pusher.start()"]

    def act(lab: LabPage) -> dict[str, float]:
        lab.page.evaluate(f"watch({kind!r})")
        recorded = number(lab, "recorded")
        stamps = [t for t, _ in json.loads(printed(lab, "stamps").replace("(", "[").replace(")", "]"))]
        lab.page.wait_for_timeout(3000)
        lags = latencies(stamps, lab.page.evaluate("seen"))
        if not lags:
            raise Missed(SECONDS + 3)
        half = len(lags) // 2
        shown = lab.page.evaluate("Number(document.querySelector('.ck-stage')?.dataset.events ?? 0)")
        return {
            "p50": statistics.median(lags),
            "p95": quantile(lags, 0.95),
            "growth": statistics.median(lags[half:]) - statistics.median(lags[:half]),
            "rate": rate * SECONDS / number(lab, "took"),
            "never": 100 * (1 - len(lags) / len(stamps)),
            "lost": recorded - shown if kind == "ours" else math.nan,  # plotly holds a window of them only
        }

    return bench.turn([*cells, SAY], act)


def latencies(stamps: list[float], seen: list[list[float]]) -> list[float]:
    """Milliseconds from each stamp until a picture reached it; those that no picture reached are left out.

    Args:
        stamps: Unix times at which events came, ascending.
        seen: pairs: when a picture was there, and the Unix time of its newest event.
    """
    newest = [until for _, until in seen]
    found = []
    for stamp in stamps:
        n = bisect_left(newest, stamp)
        if n < len(seen):
            found.append((seen[n][0] - stamp) * 1000)
    return found


def quantile(values: list[float], share: float) -> float:
    """The value below which this share lies, of the values themselves."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def told(values: list[float | Missed], unit: str, digits: int = 2) -> str:
    """Median and spread, or that it did not finish."""
    done = [value for value in values if not isinstance(value, Missed)]
    late = [value for value in values if isinstance(value, Missed)]
    if done and math.isnan(done[0]):
        return "-"
    if not done:
        return str(max(late, key=lambda one: one.cap))
    middle = f"{statistics.median(done):,.{digits}f} {unit}".strip()
    spread = f" [{min(done):,.{digits}f} - {max(done):,.{digits}f}]" if len(done) > 1 else ""
    return middle + spread + (f", {len(late)} of {len(values)} {late[0]}" if late else "")


def line(name: str, ours: list[float | Missed], theirs: list[float | Missed], unit: str, digits: int = 2) -> str:
    """One row of the table, with the ratio of the medians."""
    a, b = ([value for value in values if not isinstance(value, Missed)] for values in (ours, theirs))
    compares = unit in ("s", "ms") and a and b and min(*a, *b) > 0
    ratio = f"{statistics.median(b) / statistics.median(a):.1f} x" if compares else "-"
    return f"{name:<38}{told(ours, unit, digits):<30}{told(theirs, unit, digits):<40}{ratio}"


def column(runs: list[dict[str, float] | Missed], key: str) -> list[float | Missed]:
    """One of the numbers of each run."""
    return [run if isinstance(run, Missed) else run[key] for run in runs]


class Lines(list[Measure]):
    """The measures; what both took is printed beside each other as they come."""

    def add(
        self, name: str, ours: list[float | Missed], theirs: list[float | Missed], unit: str, digits: int = 2
    ) -> None:
        """Prints one row; rounds in which both finished give a ratio."""
        print(line(name, ours, theirs, unit, digits), flush=True)
        pairs = zip(ours, theirs, strict=True)
        both = [(a, b) for a, b in pairs if not isinstance(a, Missed) and not isinstance(b, Missed)]
        if unit in ("s", "ms") and both:
            self.append(measured(name, [a / max(b, 1e-9) for a, b in both], against="plotly FigureWidget", most=1))


def rows(count: int = ROUNDS) -> list[Measure]:
    """Our times against plotly's, side by side in each round, so that what the machine does besides meets both."""
    rounds, lines, kinds = range(count), Lines(), ("ours", "plotly")
    show_it, crowd = "TimelineExplorer(trace)", f"from million import crowd\ntrace = crowd({EVENTS})"
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        try:
            browser = launch(playwright)
        except Error as error:
            raise CannotRun(f"no browser: {str(error).splitlines()[0]}") from None
        bench = Bench(browser, Path(folder))
        print(f"{'median [least - most]':<38}{'chatkit':<30}{'plotly FigureWidget':<40}plotly / chatkit", flush=True)
        slider = [first(bench, "slider", ["import ipywidgets\nipywidgets.IntSlider()"]) for _ in rounds]
        print(f"{'first widget (an ipywidgets slider)':<38}{told(slider, 's')}", flush=True)
        small = {"ours": [*OURS_INCIDENT[:1], f"{OURS_INCIDENT[1]}\n{show_it}"]}
        small["plotly"] = [OURS_INCIDENT[0], THEIRS_AXES + "figure(trace)"]
        pairs = [[first(bench, kind, small[kind]) for kind in kinds] for _ in rounds]
        lines.add("first timeline, 148 events", *map(list, zip(*pairs, strict=True)), "s")
        big = {"ours": [crowd, OURS_INCIDENT[1], show_it], "plotly": [crowd, THEIRS_AXES, "figure(trace)"]}
        runs = list(zip(*[[million(bench, kind, big[kind]) for kind in kinds] for _ in rounds], strict=True))
        table = (("paint", "first paint", "s", 2), ("zoom", "zoom, p95", "ms", 0), ("pan", "pan, p95", "ms", 0))
        for key, words, unit, digits in table:
            lines.add(f"1,000,000 events, {words}", *[column(list(some), key) for some in runs], unit, digits)
        for rate in (1_000, 50_000):
            runs = list(zip(*[[live(bench, kind, rate) for kind in kinds] for _ in rounds], strict=True))
            for key, words, unit in LIVE_ROWS:
                lines.add(f"{rate:,}/s, {words}", *[column(list(some), key) for some in runs], unit, 0)
        browser.close()
    return list(lines)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    show(rows(parser.parse_args().rounds))


if __name__ == "__main__":
    main()
