"""Words for what a source cannot show: one vocabulary, used by every importer."""

from __future__ import annotations

import re

import pytest

from chatkit.formats import IMPORTERS, importer
from chatkit.visibility import NOT_VISIBLE


@pytest.mark.parametrize("word", NOT_VISIBLE)
def test_each_word_has_its_meaning(word: str) -> None:
    """A word for machines, a phrase that completes "not visible here: …"."""
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", word)
    meaning = NOT_VISIBLE[word]
    assert meaning
    assert not meaning.endswith(".")
    assert "\n" not in meaning


@pytest.mark.parametrize("name", IMPORTERS)
def test_importers_use_these_words(name: str) -> None:
    """Each once, in a module that says what it reads."""
    module = importer(name)
    assert set(module.NOT_VISIBLE) <= set(NOT_VISIBLE)
    assert len(set(module.NOT_VISIBLE)) == len(module.NOT_VISIBLE)
    assert module.FORMAT == name or IMPORTERS[name] != name
    assert module.TITLE
