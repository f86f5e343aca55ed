"""``make pictures``: the README's pictures, taken of the gallery in headless Chromium, light; none is drawn by hand."""

from __future__ import annotations

import os
import runpy
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
SHOTS = {
    "verdict": ("investigate_a_live_backend", "section.ckv"),
    "timeline": ("drops_right_after_connect", ".plotly-graph-div"),
    "survival": ("drops_after_a_quiet_minute", ".plotly-graph-div >> nth=-1"),
    "what-the-browser-saw": ("what_the_browser_saw", ".plotly-graph-div"),
}
"""Name of the picture: the page, and what of it."""
HIGHEST = 620
"""Pixels; what is higher is cut."""
BIGGEST = 150_000
"""Bytes of a picture."""


def take(folder: Path) -> list[Path]:
    """Takes every picture into a folder.

    Raises:
        ValueError: a picture is too big for a README.
    """
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    folder.mkdir(parents=True, exist_ok=True)
    taken = []
    with tempfile.TemporaryDirectory() as work, sync_playwright() as playwright:
        site = Path(work) / "site"
        runpy.run_path(str(HERE / "gallery.py"))["build"](HERE.parent / "notebooks", site)
        running = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"] if root else [])
        page = running.new_page(viewport={"width": 1080, "height": 1200}, color_scheme="light")
        for name, (where, what) in SHOTS.items():
            page.goto((site / f"{where}.html").as_uri())
            found = page.locator(what) if "nth=" in what else page.locator(what).first
            found.scroll_into_view_if_needed()
            page.evaluate("() => document.fonts.ready")
            box = found.bounding_box()
            assert box is not None, f"{where}: {what} is not shown"
            picture = folder / f"{name}.png"
            top = box["y"] + page.evaluate("() => scrollY")
            clip = {"x": box["x"], "y": top, "width": box["width"], "height": min(box["height"], HIGHEST)}
            page.screenshot(path=picture, full_page=True, clip=clip)
            if picture.stat().st_size > BIGGEST:
                raise ValueError(f"{picture} has {picture.stat().st_size:,} bytes: more than {BIGGEST:,}")
            taken.append(picture)
        running.close()
    return taken


if __name__ == "__main__":
    for picture in take(HERE / "pictures"):
        print(f"{picture.name}: {picture.stat().st_size:,} bytes")
