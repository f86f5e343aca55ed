"""What is kept in pages stays what it was, whoever else keeps something and whatever becomes of the pages."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor

from chatkit.pages import Pages


def test_pieces_stay_what_they_were() -> None:
    """Many small ones, one larger than a page, and some from several threads at once."""
    pages = Pages()
    pieces = [bytes([n]) * (n * 50_000 % 999_983) for n in range(60)] + [b"x" * (1 << 23), b"", b"y"]
    with ThreadPoolExecutor(4) as pool:
        kept = list(pool.map(pages.keep, pieces))
    assert [bytes(one) for one in kept] == pieces


def test_a_piece_outlives_its_pages() -> None:
    """Who holds a piece holds its page."""
    pages = Pages()
    kept = pages.keep(b"a" * 100_000)
    pages.keep(b"b" * (1 << 22))
    del pages
    gc.collect()
    assert kept == b"a" * 100_000
