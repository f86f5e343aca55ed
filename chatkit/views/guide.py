"""The guide as HTML: an answer opens to the next question, the last one is a link. No script: it works in a stored
notebook, in an exported page and with the keyboard alone."""

from __future__ import annotations

import html
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from chatkit.runbooks.guide import Answer, Guide

_STATIC = Path(__file__).parent / "static"


@cache
def stylesheet() -> str:
    """The guide's own style sheet; everything below one class."""
    return (_STATIC / "guide.css").read_text("utf-8")


def page(guide: Guide) -> str:
    """All questions; only the first is open."""
    from chatkit.runbooks.guide import START

    return (
        f"<style>{stylesheet()}</style>"
        f'<nav class="ckg" aria-label="Which runbook">{_question(guide, START, (START,))}</nav>'
    )


def _question(guide: Guide, name: str, way: tuple[str, ...]) -> str:
    asked = guide.questions[name]
    rows = "".join(f"<li>{_answer(guide, answer, way)}</li>" for answer in asked.answers)
    return f"<p>{html.escape(asked.question)}</p><ul>{rows}</ul>"


def _answer(guide: Guide, answer: Answer, way: tuple[str, ...]) -> str:
    says = f"<b>{html.escape(answer.says)}</b>"
    if answer.ask is not None:
        # Details of one name close each other: one way is open at a time.
        group = html.escape("-".join(("ckg", *way)))
        inner = _question(guide, answer.ask, (*way, answer.ask))
        return f'<details name="{group}"><summary>{says}</summary>{inner}</details>'
    book = guide.books[str(answer.runbook)]
    link = html.escape(quote(guide.link(book.name)))
    # The break and the dash are for a notebook that is not trusted: JupyterLab takes its style sheets away.
    told = f"{html.escape(book.title)} – <i>{html.escape(book.question)}</i>"
    return f'<a href="{link}">{says}<br><span>{told}</span></a>'
