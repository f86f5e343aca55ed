"""The timeline's alphabet: shapes, tones and their colours. Shapes repeat what colours say."""

from __future__ import annotations

from enum import IntEnum


class Shape(IntEnum):
    """What a mark looks like; the number travels to the browser."""

    LIFE = 0
    """A bar: the life of a connection."""
    ATTEMPT = 1
    """A thin line: from the attempt until it opened or failed."""
    OPEN = 2
    """An upright bar: the connection opened."""
    CROSS = 3
    """An abnormal end, or a failure."""
    END = 4
    """A clean end: an upright hairline."""
    PING = 5
    """A triangle; below the centre line ours, above it the server's."""
    ARC = 6
    """From a ping to its pong."""
    UNDERLINE = 7
    """Below a life: the quiet time before the first ping."""
    SEGMENT = 8
    """A stretch of the client's state, with its name."""
    BAR = 9
    """Something that takes time: an HTTP exchange, typing, a streamed reply."""
    CAP = 10
    """The end of a bar, an event of its own."""
    POINT = 11
    DIAMOND = 12
    """A remark: odd, but no failure."""
    AREA = 13
    """A sample of a curve; the mark's value is its height."""
    DOT = 14
    """A small point: an event that is worth a look, not a shape."""


class Tone(IntEnum):
    """What a mark's colour means; the number travels to the browser."""

    RECEIVED = 0
    SENT = 1
    OK = 2
    BAD = 3
    REMARK = 4
    TYPING = 5
    QUIET = 6
    LAG = 7


LIGHT = ("#0072B2", "#B35900", "#007A5A", "#C43A1E", "#8A6100", "#9C4F86", "#5B6675", "#8A6100")
DARK = ("#56B4E9", "#E69F00", "#35C59A", "#FF7A59", "#F0C34A", "#D995C5", "#9AA7B5", "#F0C34A")
# One figure that stands on white and on JupyterLab's dark ground alike: the contrast is even on both.
BOTH = ("#1F80BD", "#B9681A", "#148565", "#D24B2D", "#9A7414", "#AE64A0", "#74808E", "#9A7414")

THEMES = {"light": LIGHT, "dark": DARK, "both": BOTH}
INK = {"light": "#1B2330", "dark": "#E8ECF1", "both": "#747D88"}
DIM = {"light": "#5B6675", "dark": "#9AA7B5", "both": "#747D88"}
GRID = {"light": "#EEF1F4", "dark": "#222A33", "both": "rgba(128,138,150,0.18)"}


def faded(colour: str, alpha: float) -> str:
    """A ``#RRGGBB`` colour with an opacity from 0 to 1, as CSS and plotly take it."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"
