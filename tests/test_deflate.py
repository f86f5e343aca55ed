"""permessage-deflate in a header: parameters out of text, and what they mean in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.deflate import Compression, deflate_parameters


@pytest.mark.parametrize(
    ("value", "parameters"),
    [
        (None, None),
        ("", None),
        ("x-other", None),
        ("permessage-deflate", {}),
        ("x-other, permessage-deflate", {}),
        ("permessage-deflate; server_no_context_takeover", {"server_no_context_takeover": None}),
        (
            'permessage-deflate; client_max_window_bits="12"; client_no_context_takeover',
            {"client_max_window_bits": "12", "client_no_context_takeover": None},
        ),
        ("permessage-deflate;server_max_window_bits=10 , x", {"server_max_window_bits": "10"}),
        (" permessage-deflate ; a = b ", {"a": "b"}),
        ("permessage-deflated", None),
    ],
)
def test_parameters_of_compression(value: str | None, parameters: dict[str, str | None] | None) -> None:
    """As negotiated in Sec-WebSocket-Extensions."""
    assert deflate_parameters(value) == parameters


@pytest.mark.parametrize(
    ("answer", "offer", "words"),
    [
        (None, None, "none negotiated"),
        (None, "", "none offered"),
        (None, "x-other", "none offered"),
        (None, "permessage-deflate; client_max_window_bits", "offered, not negotiated"),
        ("permessage-deflate", None, "permessage-deflate with context takeover in both directions"),
        ("permessage-deflate", "permessage-deflate", "permessage-deflate with context takeover in both directions"),
        (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            None,
            "permessage-deflate without context takeover",
        ),
        (
            "permessage-deflate; client_no_context_takeover",
            None,
            "permessage-deflate with context takeover only in what is received",
        ),
        (
            "permessage-deflate; server_no_context_takeover",
            None,
            "permessage-deflate with context takeover only in what is sent",
        ),
        (
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
            None,
            "permessage-deflate with context takeover in both directions, windows of 12 bits",
        ),
        (
            "permessage-deflate; server_max_window_bits=10",
            None,
            "permessage-deflate with context takeover in both directions, windows of 15 bits sent and 10 bits received",
        ),
    ],
)
def test_in_words(answer: str | None, offer: str | None, words: str) -> None:
    """Whose context is kept, in both vantages; 15 bits are the default and not worth a word."""
    assert str(Compression.parse(answer, offer)) == words


def test_what_cannot_be_seen_is_not_denied() -> None:
    """It says "not visible", never "none"."""
    assert str(Compression(negotiated=None)) == "not visible here"


@pytest.mark.parametrize("bits", ["7", "16", "", "x", "٩", "1e1"])
def test_impossible_windows_are_no_windows(bits: str) -> None:
    """RFC 7692 allows 8 to 15."""
    assert Compression.parse(f"permessage-deflate; server_max_window_bits={bits}").server_max_window_bits is None


@given(st.text())
def test_any_text_may_stand_in_the_header(text: str) -> None:
    """No exception."""
    assert str(Compression.parse(text, text))
    deflate_parameters("permessage-deflate" + text)
