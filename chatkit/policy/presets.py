"""Named client behaviours, for runbooks that compare them.

``default`` is chatkit's own: the profile's values. ``incident`` is the repaired front end of the incident: the
contract's backoff without jitter, at most five retries, its stop codes. ``incident-before`` is the broken one: a ping
at once, health by HEAD, every reply shown twice. ``textbook`` is what many clients ship: the backoff with "full
jitter" of https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/, five retries, then the end;
``textbook-no-jitter`` is the same without the jitter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from chatkit.behaviour import Client
from chatkit.errors import InvalidInput
from chatkit.policy.table import INCIDENT, TEXTBOOK


def _default(client: Client) -> Client:
    return client


def _incident(client: Client) -> Client:
    return msgspec.structs.replace(
        client,
        ping_jitter=0.0,
        lag_forgiven=float("inf"),
        retry_first=0,
        retry_jitter=0.0,
        retry_floor=0.0,
        suspend=False,
        rows=(*client.rows, *INCIDENT),
    )


def _before(client: Client) -> Client:
    return msgspec.structs.replace(_incident(client), stabilise=0.0, health_method="HEAD", show_http_reply=True)


def _textbook(client: Client) -> Client:
    return msgspec.structs.replace(
        client,
        ping_jitter=0.0,
        lag_forgiven=float("inf"),
        retry_first=0,
        retry_jitter=1.0,
        retry_floor=0.0,
        retry_after_cap=0.0,
        suspend=False,
        rows=(*client.rows, *TEXTBOOK),
    )


def _in_step(client: Client) -> Client:
    return msgspec.structs.replace(_textbook(client), retry_jitter=0.0)


PRESETS: Mapping[str, Callable[[Client], Client]] = {
    "default": _default,
    "incident": _incident,
    "incident-before": _before,
    "textbook": _textbook,
    "textbook-no-jitter": _in_step,
}


def preset(name: str, client: Client) -> Client:
    """The behaviour ``name``, made from a profile's ``client`` values.

    Raises:
        InvalidInput: there is no such preset.
    """
    if name not in PRESETS:
        raise InvalidInput("no such policy", expected=f"one of {', '.join(PRESETS)}", got=name, where="policy")
    return PRESETS[name](client)
