"""Foreign text made harmless for a terminal or a line of a report; pure.

Escape sequences move cursors, rename windows and answer in the user's name; marks of writing direction show text in
another order than it is. Each such character becomes a visible one, so that nothing is hidden either.
"""

from __future__ import annotations

import re

# C0 without tab and line feed, DEL, C1, line and paragraph separators, bidirectional controls (Unicode UAX #9),
# surrogates that are no pair.
_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def harmless(text: str) -> str:
    """``text`` with its control characters as pictures (``␛``) or ``�``; tabs and line feeds stay."""
    return _HARMFUL.sub(_picture, text)


def one_line(text: str, limit: int) -> str:
    """Harmless text on one line of at most ``limit`` characters."""
    line = " ".join(harmless(text[: 4 * limit]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)  # the block Control Pictures
    return "\u2421" if code == 0x7F else "\ufffd"
