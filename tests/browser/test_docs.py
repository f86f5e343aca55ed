"""The gallery in a real browser: every page shows its figures, and asks nobody for anything."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from playwright.sync_api import Browser

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("docs") / "site"
    runpy.run_path(str(ROOT / "docs" / "gallery.py"))["build"](ROOT / "notebooks", out)
    return out


def test_every_page_stands_alone(browser: Browser, site: Path) -> None:
    """No request leaves the folder, nothing fails, each figure has a drawing of some size, each link a target."""
    pages = sorted(site.glob("*.html"))
    # The notebook that routes to the runbooks is the site's index.
    assert len(pages) == len([*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("notebooks/runbooks/*.ipynb")])
    figures = 0
    page = browser.new_page()
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    for one in pages:
        page.goto(one.as_uri())
        places = page.locator(".plotly-graph-div")
        for n in range(places.count()):
            places.nth(n).locator(".main-svg").first.wait_for(state="visible", timeout=30_000)
            box = places.nth(n).bounding_box()
            assert box is not None
            assert box["width"] > 300
            assert box["height"] > 100
            figures += 1
        links = page.eval_on_selector_all("a[href]", "all => all.map(one => one.getAttribute('href'))")
        inside = [link.partition("#")[0] for link in links if "://" not in link]
        assert [link for link in inside if link and not (site / link).exists()] == []
    assert figures > 10
    assert complaints == []
    assert [url for url in asked if not url.startswith((site.as_uri(), "data:", "blob:"))] == []
    page.close()
