"""A diagnosis in sentences: what card, text, ticket and report share; pure.

A ``Diagnosis`` is looked at by the names of its fields only. Its sentences may quote a server, a bot or a file: here
everything becomes one bounded, harmless line; who writes HTML or Markdown escapes it for that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from chatkit.errors import InvalidInput
from chatkit.plain import one_line
from chatkit.views.when import count
from chatkit.visibility import NOT_VISIBLE

if TYPE_CHECKING:
    from chatkit.diagnosis.result import Diagnosis, RankedCause
    from chatkit.ending import Connection, Ending
    from chatkit.trace import Trace

MOST_TEXT = 400
"""Characters of one sentence."""
MOST_ITEMS = 12
"""Items of one list; the rest is counted."""
MOST_EVENTS = 8
"""Events that are told in words behind one claim."""
OWN_CAUSE = 0.5
"""Confidence from which a further cause is a second cause, not a second guess."""
_NOT_AN_ENDING = {
    "health-method-mismatch",
    "health-lies",
    "duplicate-delivery",
    "lost-reply",
    "multi-worker-split",
    "slow-reply",
    "stuck-typing",
    "out-of-order",
    "wrong-contract",
}
"""Causes of the taxonomy's last part: the connection lives, the chat does not. How it ended is beside the point."""

WHO = {
    "client": "the client",
    "server": "the server",
    "proxy": "a proxy in between",
    "network": "the network",
    "unknown": "not known",
}
SAID_HIDDEN = "not visible in this evidence"
"""How a diagnosis begins what it says of it."""
_UNITS = {"_s": "s", "_bytes": "B", "_per_s": "per s"}


class Sentence(NamedTuple):
    """Three pieces, of which the middle one counts most."""

    before: str
    strong: str
    after: str

    def __str__(self) -> str:
        return "".join(self)


def say(text: object, limit: int = MOST_TEXT) -> str:
    """Foreign text as one bounded line."""
    return one_line(str(text), limit)


def few(items: Sequence[str], noun: str, most: int = MOST_ITEMS) -> list[str]:
    """The first items, and how many more there are."""
    rest = len(items) - most
    return [*items[:most], *([f"and {count(rest, f'more {noun}')}"] if rest > 0 else [])]


def headline(diagnosis: Diagnosis) -> str:
    """The verdict in one sentence."""
    if diagnosis.headline:
        return _full(say(diagnosis.headline))
    if diagnosis.verdict == "fault" and diagnosis.causes:
        return _full(say(diagnosis.causes[0].summary))
    if diagnosis.verdict == "no-fault":
        return "No fault found."
    return "Not enough evidence to name a cause."


def probabilities(diagnosis: Diagnosis) -> list[tuple[str, float]]:
    """Causes with their probabilities, then what the first may be mistaken for."""
    found = {say(cause.id, 60): cause.confidence for cause in diagnosis.causes}
    alike = diagnosis.causes[0].lookalikes if diagnosis.causes else ()
    for id, share in sorted(alike, key=lambda one: -one[1]):
        found.setdefault(say(id, 60), share)
    return [(id, max(0.0, min(1.0, share))) for id, share in found.items()]


def to_try(diagnosis: Diagnosis) -> list[str]:
    """What would tell the causes apart, then what to try next."""
    experiments = [say(cause.experiment) for cause in diagnosis.causes if cause.experiment]
    return list(dict.fromkeys([*experiments, *(say(step) for step in diagnosis.next_steps)]))


def split(diagnosis: Diagnosis) -> tuple[list[RankedCause], list[RankedCause]]:
    """The causes that stand side by side, and the guesses beside them.

    Of causes that exclude each other at most one is more probable than not: two such causes are two faults.
    """
    fault = diagnosis.verdict == "fault"
    own = [cause for n, cause in enumerate(diagnosis.causes) if fault and (n == 0 or cause.confidence >= OWN_CAUSE)]
    return own, [cause for cause in diagnosis.causes if cause not in own]


def acts(cause: RankedCause) -> str:
    """Who acts."""
    return WHO.get(cause.who, "not known")


def measured(cause: RankedCause) -> list[str]:
    """What was measured, with units: ``window 3 s``."""
    found = []
    for key, value in list(cause.parameters.items())[:MOST_ITEMS]:
        if value is None or value == "":
            continue
        suffix = next((end for end in sorted(_UNITS, key=len, reverse=True) if key.endswith(end)), "")
        name = say(key.removesuffix(suffix).replace("_", " "), 40)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        shown = _number(value) if number else say(value, 80)
        found.append(f"{name} {shown}" + (f" {_UNITS[suffix]}" if suffix and number else ""))
    return found


def _number(value: float) -> str:
    return f"{value:,.0f}" if 10_000 <= abs(value) < 1e15 else f"{value:.4g}"


def which(connections: Sequence[str]) -> str:
    """``connection 1``; ``connections 1, 2 and 14 more``."""
    if not connections:
        return ""
    shown = ", ".join(say(name, 40) for name in connections[:6])
    more = f" and {len(connections) - 6:,} more" if len(connections) > 6 else ""
    return f"connection{'s' if len(connections) > 1 else ''} {shown}{more}"


def ending(trace: Trace | None, cause: RankedCause) -> Sentence | None:
    """How the connections of a cause ended: which 1006 it is, who ended it and at which layer."""
    if trace is None or cause.id in _NOT_AN_ENDING:
        return None
    wanted = set(cause.connections)
    ended = [c for c in trace.connections if c.ending is not None and (not wanted or c.id in wanted)]
    if not ended:
        return None
    usual = Counter(_manner(c) for c in ended).most_common(1)[0][0]
    alike = [c for c in ended if _manner(c) == usual]
    one = alike[0].ending
    assert one is not None
    before, strong = _how(one)
    tail = [part for part in (_after(alike), _ages(alike)) if part]
    share = f"{len(alike)} of {count(len(ended), 'connection')} ended like this" if len(ended) > 1 else ""
    after = "".join(f", {part}" for part in tail) + (f"; {share}" if share else "") + "."
    return Sentence(before, strong, after)


def _manner(connection: Connection) -> tuple[str, int | None]:
    assert connection.ending is not None
    return connection.ending.words, connection.ending.close_code


def _how(ending: Ending) -> tuple[str, str]:
    if not ending.opened:
        return "It never opened: ", say(ending.words, 160)
    if ending.close_code == 1006:
        return "This 1006 is ", _abort(ending)
    if ending.close is not None:
        who = "us" if ending.close is ending.close_sent else "the server"
        reason = f" “{say(ending.close_reason, 120)}”" if ending.close_reason else ""
        return "It ended by ", f"a close frame {ending.close_code}{reason} from {who}"
    return "It ended: ", say(ending.words, 160)


def _abort(ending: Ending) -> str:
    who = {"client": "us", "server": "the server"}.get(ending.first or "", "somebody not visible here")
    how = ending.transport.how if ending.transport is not None else None
    if how == "rst":
        return f"a TCP reset (RST) by {who}, without a close frame"
    if how == "fin":
        return f"an end of TCP (FIN) by {who}, without a close frame"
    if how == "timeout":
        return "a TCP time-out: the peer was silent"
    if how == "local":
        return "our own cut: we closed TCP ourselves"
    told = f" by {say(ending.reported.source, 40)}" if ending.reported is not None and ending.reported.source else ""
    return f"only told{told}: who ended it, and at which layer, is not visible here"


def _after(alike: Sequence[Connection]) -> str:
    found = [c.ending for c in alike if c.ending is not None and c.ending.after is not None]
    if len(found) < len(alike):
        return ""
    seconds = [e.after_seconds for e in found if e.after_seconds is not None]
    return f"{_range(seconds)} after {say(found[0].after, 60)}" if seconds else ""


def _ages(alike: Sequence[Connection]) -> str:
    ages = [c.ending.age for c in alike if c.ending is not None and c.ending.age is not None]
    return f"age {_range(ages)}" if ages else ""


def _range(values: Sequence[float]) -> str:
    low, high = (f"{value:.1f}" for value in (min(values), max(values)))
    return f"{low} s" if low == high else f"{low}–{high} s"


def since(trace: Trace | None, ids: Sequence[str]) -> float | None:
    """Unix time of the first ending that a cause speaks of; of its first connection's begin while all live."""
    if trace is None:
        return None
    mine = [c for c in trace.connections if not ids or c.id in ids]
    ends = [c.ending.at for c in mine if c.ending is not None] or [c.started_at for c in mine]
    return trace.epoch + min(ends) if ends else None


def told(trace: Trace | None, ids: Sequence[str], most: int = MOST_EVENTS) -> list[str]:
    """Events in words, by time, one line each: time, connection, what happened, who saw it."""
    found: list[tuple[float, str]] = []
    for id in ids:
        try:
            event = trace.event(id) if trace is not None else None
        except InvalidInput:
            event = None
        if event is None:
            found.append((float("inf"), f"event {say(id, 60)}"))
            continue
        where = f"connection {say(event.connection, 40)}, " if event.connection is not None else ""
        found.append((event.at, f"{event.at:.3f} s, {where}{say(event, 200)}{seen_by(vantage(id))}"))
    lines = [line for _, line in sorted(found, key=lambda one: one[0])[:most]]
    return lines + ([f"and {count(len(ids) - most, 'more event')}"] if len(ids) > most else [])


def vantage(id: str) -> str:
    """Name of the vantage point in the id of an event of merged evidence; nothing otherwise."""
    return id.rpartition("/")[0]


def seen_by(vantage: str) -> str:
    """`` (seen by NAME)``; nothing where there is no name."""
    return f" (seen by {say(vantage, 40)})" if vantage else ""


def hidden(trace: Trace | None, diagnosis: Diagnosis) -> list[str]:
    """What this evidence cannot show, in words; nothing where the diagnosis says so itself."""
    said = any(str(item).startswith(SAID_HIDDEN) for item in diagnosis.unknown)
    return [] if trace is None or said else hidden_words(trace.not_visible)


def hidden_words(words: Iterable[str]) -> list[str]:
    """What ``not_visible`` says, as people say it."""
    return [NOT_VISIBLE.get(word, say(word, 60)) for word in words]


def settings(cause: RankedCause) -> list[str]:
    """The exact settings that stop it, one line each."""
    lines = [f"{say(key, 120)}: {say(value, 300)}" for key, value in cause.fix.settings.items()]
    return few(lines, "setting")


def looked_at(trace: Trace | None, diagnosis: Diagnosis) -> str:
    """What was there to look at."""
    if trace is None:
        return say(diagnosis.lives)
    ended = sum(c.ending is not None for c in trace.connections)
    of = count(len(trace.connections), "connection")
    return f"{of}, {ended:,} ended, {count(len(trace), 'event')} in {trace.duration:.1f} s"


def items(found: Iterable[Any]) -> list[str]:
    """Sentences of remarks or unknowns."""
    return [say(getattr(one, "finding", one)) for one in found]


def _full(text: str) -> str:
    return text if text.endswith((".", "!", "?", "…")) else text + "."
