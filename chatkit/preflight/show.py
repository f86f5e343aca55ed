"""Text of foreign origin made fit to show: without secrets, without control characters, bounded."""

from __future__ import annotations

from typing import Any, TypeVar

from chatkit.plain import one_line
from chatkit.redact import Redactor

LIMIT = 300
"""Characters of one text at most."""

T = TypeVar("T")


def clean(value: T, redactor: Redactor) -> T:
    """``value`` with every text in it cleaned; containers are rebuilt, other values pass."""
    cleaned: Any = value
    if isinstance(value, str):
        cleaned = one_line(redactor.text(value), LIMIT)
    elif isinstance(value, dict):
        cleaned = {str(clean(str(key), redactor)): clean(entry, redactor) for key, entry in value.items()}
    elif isinstance(value, list | tuple):
        cleaned = [clean(entry, redactor) for entry in value]
    return cleaned  # type: ignore[no-any-return]
