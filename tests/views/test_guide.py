"""The guide as HTML: questions that open, links that lead somewhere, nothing that runs."""

from __future__ import annotations

from html.parser import HTMLParser

from chatkit.runbooks import Guide, guide, names
from chatkit.runbooks.guide import Answer, Question
from chatkit.views.guide import page, stylesheet


class Reader(HTMLParser):
    """What stands in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.groups: list[str] = []
        self.depth = self.deepest = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        assert not [name for name in found if name.startswith("on") or name == "style"]
        if tag == "a":
            self.links.append(str(found["href"]))
        if tag == "details":
            self.groups.append(str(found["name"]))
            self.depth += 1
            self.deepest = max(self.deepest, self.depth)

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag == "details"


def test_every_way_ends_in_a_link() -> None:
    """As many as there are ways."""
    seen = Reader(page(Guide()))
    assert seen.links == [f"runbooks/{name}.ipynb" for _, name in guide.routes(guide.tree())]
    assert seen.deepest == guide.MOST_QUESTIONS - 1
    assert seen.depth == 0


def test_native_controls_only() -> None:
    """Summaries and links: the keyboard works without a line of script."""
    seen = Reader(page(Guide()))
    assert set(seen.tags) <= {"style", "nav", "p", "ul", "li", "details", "summary", "a", "b", "br", "span", "i"}
    assert seen.tags.count("summary") == seen.tags.count("details")


def test_one_way_is_open_at_a_time() -> None:
    """Details beside each other share a name, others do not."""
    seen = Reader(page(Guide()))
    first = [answer for answer in guide.tree()[guide.START].answers if answer.ask]
    assert seen.groups.count("ckg-start") == len(first)
    assert len(set(seen.groups)) > 1


def test_symptom_and_question_stand_below_the_answer() -> None:
    """As the notebook has them."""
    one = Guide()
    text = page(one)
    assert all(book.title.replace("'", "&#x27;") in text for book in one.books.values())
    assert set(one.books) == set(names())


def test_texts_are_escaped() -> None:
    """Whatever stands in the tree."""
    one = Guide("a b")
    name = names()[0]
    one.questions = {"start": Question(question="<b>?", answers=(Answer(says="<script>", runbook=name),))}
    text = page(one)
    assert "<script" not in text
    assert "&lt;b&gt;?" in text
    assert f'href="a%20b/{name}.ipynb"' in text


def test_nothing_from_outside() -> None:
    """No address, no import in the style sheet; everything below one class."""
    assert "url(" not in stylesheet()
    assert "@import" not in stylesheet()
    assert all(line.startswith((".ckg", "/*", "@", "}", " ", "body")) for line in stylesheet().splitlines())
