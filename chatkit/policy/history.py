"""What a session's history adds to the conversation, and what it proves; pure.

After a reconnect the history is read before live messages go on. Rows that are shown already are recognised; rows that
are not take their place in the order of the history. A row of our own message proves that the message arrived: its
absence proves nothing, and permits no resend.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from chatkit.policy.delivery import DeliveryState, Outcome
from chatkit.policy.ledger import Ledger, Request
from chatkit.profile import Fields, dig

SLACK = 5.0
"""Seconds that a row may be older than our message and still be it: the server's clock is known no better."""
_SENT = (DeliveryState.WRITTEN, DeliveryState.ACKED, DeliveryState.REPLIED, DeliveryState.UNKNOWN)


class HistoryRow(Struct, frozen=True, kw_only=True):
    """One message as the backend stores it."""

    id: str | None
    role: str
    text: str
    at: float | None = None
    """Unix seconds, by the server's clock."""
    client_id: str | None = None
    """Our id of a user's message, where the backend keeps it."""
    in_reply_to: str | None = None
    """For a reply: our id of the message that it answers."""


def read_rows(rows: Sequence[Any], fields: Fields) -> list[HistoryRow]:
    """A backend's rows, as far as they can be read; others are left out."""
    found = [_read(row, fields) for row in rows]
    return [row for row in found if row is not None]


def _read(row: Any, fields: Fields) -> HistoryRow | None:
    role, text = dig(row, fields.history_role), dig(row, fields.history_content)
    if not isinstance(role, str) or not isinstance(text, str):
        return None
    id, client_id, answers = (dig(row, path) for path in (fields.history_id, fields.history_client_id, "in_reply_to"))
    return HistoryRow(
        id=str(id) if isinstance(id, str | int) and not isinstance(id, bool) else None,
        role=role,
        text=text,
        at=_moment(dig(row, fields.history_at)),
        client_id=client_id if isinstance(client_id, str) else None,
        in_reply_to=answers if isinstance(answers, str) else None,
    )


def _moment(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment.timestamp() if moment is not None and moment.tzinfo is not None else None


def merge(
    ledger: Ledger,
    rows: Sequence[HistoryRow],
    session_id: str | None,
    at: float,
    *,
    epoch: float = 0.0,
    ahead: float = 0.0,
    author: str = "Assistant",
) -> list[Outcome]:
    """Brings the conversation up to date with a session's history.

    Args:
        ledger: the conversation.
        rows: the history, oldest first.
        session_id: whose history it is.
        at: now, seconds since the trace's epoch.
        epoch: Unix time of that epoch.
        ahead: seconds that the server's clock is ahead of ours.
        author: name of the bot.
    """
    outcomes: list[Outcome] = []
    before: str | None = None
    asked: Request | None = None
    known = [(n, key) for n, row in enumerate(rows) if (key := _shown(ledger, row)) is not None]
    first = known[0][1] if known else None
    # What was forgotten was shown once: then only what comes after something that is remembered can be missing.
    fresh = (n for n, key in known if ledger.beyond(key))
    news = next(fresh, len(rows)) if ledger.forgotten else 0
    ours = {request.key: request for request in ledger.requests}
    for n, row in enumerate(rows):
        if row.role == "user":
            key = _own(ledger, row, session_id, epoch + ahead, outcomes)
            asked = ours.get(key or "")
        else:
            key = _reply(ledger, row, asked, outcomes)
        gone = row.id is not None and ledger.gone(row.id)
        if key is None and n >= news and not gone and row.role in ("user", "assistant"):
            place = (before, None if before is not None else first)
            key = _fill(ledger, row, asked, session_id, at, author, place, outcomes)
        before = key or before
    return outcomes


def _shown(ledger: Ledger, row: HistoryRow) -> str | None:
    """Key of the message that a row certainly is."""
    if row.id is not None and (key := ledger.known(row.id)) is not None:
        return key
    named = ledger.request_of(row.client_id) if row.client_id else None
    return named.key if named is not None else None


def _own(ledger: Ledger, row: HistoryRow, session_id: str | None, zero: float, outcomes: list[Outcome]) -> str | None:
    """The message that a user's row is, if it is shown; ours is proved to have arrived."""
    if row.id is not None and (key := ledger.known(row.id)) is not None:
        return key
    named = ledger.request_of(row.client_id) if row.client_id else None
    found = named or next((r for r in ledger.requests if _fits(ledger, r, row, session_id, zero)), None)
    if found is None:
        return None
    outcomes.append(ledger.arrived(found.key, row.id or f"row of {found.key}"))
    return found.key


def _fits(ledger: Ledger, request: Request, row: HistoryRow, session_id: str | None, zero: float) -> bool:
    """Whether a row without an id of ours is this message: same text and session, and not older than the message."""
    message = ledger.message(request.key)
    if request.row is not None or message.state not in _SENT or message.text != row.text or row.client_id:
        return False
    if request.session_id not in (None, session_id):
        return False
    return row.at is not None and row.at >= zero + request.at - SLACK


def _reply(ledger: Ledger, row: HistoryRow, asked: Request | None, outcomes: list[Outcome]) -> str | None:
    """The message that an assistant's row is, if it is shown."""
    if row.id is not None and (key := ledger.known(row.id)) is not None:
        if ledger.message(key).state in ("interrupted", "streaming"):
            outcomes.append(ledger.complete(key, row.text))
            if asked is not None and not asked.done:
                outcomes.append(ledger.reply_to(asked, ledger.message(key), "history"))
        return key
    named = ledger.request_of(row.in_reply_to) if row.in_reply_to else asked
    shown = ledger.unidentified(named, row.text) if named is not None else None
    if shown is not None and row.id is not None:
        outcomes.append(ledger.identify(shown, row.id, "history"))
    return shown


def _fill(
    ledger: Ledger,
    row: HistoryRow,
    asked: Request | None,
    session_id: str | None,
    at: float,
    author: str,
    place: tuple[str | None, str | None],
    outcomes: list[Outcome],
) -> str:
    """A row that was missing here; ``place`` says after and ahead of which message it belongs."""
    after, ahead_of = place
    role: Literal["user", "assistant"] = "user" if row.role == "user" else "assistant"
    who = "somebody" if role == "user" else author
    message = ledger.new(
        who, row.text, at, "history", "complete", row.id, session_id, role, after=after, ahead_of=ahead_of
    )
    outcomes.append(Outcome(message=message, new=True))
    named = ledger.request_of(row.in_reply_to) if row.in_reply_to else asked
    if row.role == "assistant" and named is not None and not named.done:
        outcomes.append(ledger.reply_to(named, message, "history"))
    return message.key
