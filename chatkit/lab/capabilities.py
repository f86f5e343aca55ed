"""What a lab can do beyond the contract, by the words that ``connection_established`` announces."""

from __future__ import annotations

from collections.abc import Iterable

from chatkit.errors import InvalidInput

CAPABILITIES = ("idempotency", "resume", "mux")
"""``idempotency``: a message with an id of the client's is processed once. ``resume``: what was missed is sent again.
``mux``: one socket carries several bots."""


def choose_capabilities(wanted: Iterable[str]) -> tuple[str, ...]:
    """The words, each once, in their own order.

    Raises:
        InvalidInput: a word that means nothing.
    """
    chosen = set(wanted)
    unknown = sorted(chosen.difference(CAPABILITIES))
    if unknown:
        raise InvalidInput(
            "the lab has no such capability",
            expected=" or ".join(CAPABILITIES),
            got=unknown[0],
            where="capabilities",
        )
    return tuple(word for word in CAPABILITIES if word in chosen)
