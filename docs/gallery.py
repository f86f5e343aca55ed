"""``make docs``: the notebooks as static pages, and an index from symptom to runbook. Nothing is loaded from elsewhere.

The pages show the stored outputs; no cell is run. A figure is drawn by one copy of plotly.js beside the pages.
"""

from __future__ import annotations

import argparse
import copy
import html
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import nbformat
import plotly.io
from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode
from plotly.offline import get_plotlyjs

import chatkit

ROOT = Path(__file__).parent.parent
HERE = Path(__file__).parent
INDEX = "index"
"""The notebook that routes from symptom to runbook; the site's own index does so here."""
FIGURE = "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
LIVE = "<p class='live'>A live window stands here when the notebook runs:</p><pre>{}</pre>"


class Page(NamedTuple):
    """What the index says of a notebook."""

    name: str
    symptom: str
    question: str


def build(notebooks: Path, site: Path) -> list[Page]:
    """Writes the site of all notebooks below a folder; what the folder ``site`` held before is gone.

    Args:
        notebooks: holds ``*.ipynb``, and ``runbooks/`` beside them.
        site: is made.
    """
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    (site / "plotly.js").write_text(get_plotlyjs(), "utf-8")
    shutil.copy(HERE / "site.css", site / "site.css")
    for folder in (HERE / "pictures", notebooks / "images"):
        if folder.is_dir():
            shutil.copytree(folder, site / folder.name)
    files = [*sorted(notebooks.glob("*.ipynb")), *sorted((notebooks / "runbooks").glob("*.ipynb"))]
    known = {one.stem for one in files}
    pages = [_write(file, site, known) for file in files if file.stem != INDEX]
    pictures = sorted(path.name for path in (HERE / "pictures").glob("*.png"))
    (site / f"{INDEX}.html").write_text(_index(pages, pictures), "utf-8")
    return pages


def _write(file: Path, site: Path, known: set[str]) -> Page:
    book = nbformat.read(file, as_version=4)
    heading, question = _opening(book)
    page = Page(file.stem, heading, question)
    body, _ = HTMLExporter(template_name="basic").from_notebook_node(_static(book, known))
    (site / f"{page.name}.html").write_text(
        _page(heading, f"<p><a href='index.html'>All symptoms</a></p>{body}"), "utf-8"
    )
    return page


def _opening(book: NotebookNode) -> tuple[str, str]:
    """The symptom and the question of the first cell."""
    lines = book.cells[0].source.splitlines()
    heading = next(line[2:] for line in lines if line.startswith("# "))
    return heading, next((line[2:] for line in lines if line.startswith("> ")), "")


def _static(book: NotebookNode, known: set[str]) -> NotebookNode:
    """The notebook with figures as HTML, and links that lead to the other pages."""
    book = copy.deepcopy(book)
    for cell in book.cells:
        if cell.cell_type == "markdown":
            for name in known:
                for prefix in ("", "runbooks/", "../", "../runbooks/"):
                    cell.source = cell.source.replace(f"]({prefix}{name}.ipynb", f"]({name}.html")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if FIGURE in data:
                figure = plotly.io.from_json(plotly.io.json.to_json_plotly(data.pop(FIGURE)), skip_invalid=True)
                data["text/html"] = plotly.io.to_html(
                    figure, include_plotlyjs=False, full_html=False, config={"displaylogo": False, "responsive": True}
                )
            elif WIDGET in data:
                del data[WIDGET]
                data.setdefault("text/html", LIVE.format(html.escape(data.get("text/plain", ""))))
    return book


def _index(pages: list[Page], pictures: list[str]) -> str:
    rows = "".join(
        f"<li><a href='{page.name}.html'><b>{html.escape(page.symptom)}</b></a>"
        f"<span>{html.escape(page.question)}</span></li>"
        for page in pages
    )
    shown = "".join(
        f"<figure><img src='pictures/{name}' alt='{html.escape(_words(name))}' loading='lazy'>"
        f"<figcaption>{html.escape(_words(name))}</figcaption></figure>"
        for name in pictures
    )
    lead = "<p class='lead'>Why does this chat WebSocket drop, and what makes it stop?</p>"
    return _page(
        "chatkit",
        f"{lead}{_guide()}<div class='pictures'>{shown}</div><h2>All notebooks</h2><ul class='symptoms'>{rows}</ul>",
        top=True,
    )


def _guide() -> str:
    """The questions that lead to a runbook, with links to the pages."""
    shown = chatkit.Guide()._repr_html_()
    return re.sub(r"""(href=["'])(?:[^"']*/)?(\w+)\.ipynb""", r"\1\2.html", shown)


def _words(name: str) -> str:
    return Path(name).stem.replace("-", " ").replace("_", " ").capitalize()


def _page(title: str, body: str, *, top: bool = False) -> str:
    heading = f"<h1>{html.escape(title)}</h1>" if top else ""
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{html.escape(title)}</title><link rel='icon' href='data:,'><link rel='stylesheet' href='site.css'>"
        f"<script src='plotly.js'></script></head><body><main>{heading}{body}</main></body></html>"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "_site", help="folder of the site (default: %(default)s)")
    out = parser.parse_args().out
    made = build(ROOT / "notebooks", out)
    print(f"{len(made)} notebooks: {out / 'index.html'}")
