"""Named client behaviours, for runbooks that compare them.

``incident`` is the repaired front end of the incident: the profile's own values. ``incident-before`` is the broken
one: a ping at once, health by HEAD, every reply shown twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from chatkit.behaviour import Client
from chatkit.errors import InvalidInput


def _incident(client: Client) -> Client:
    return client


def _before(client: Client) -> Client:
    return msgspec.structs.replace(client, stabilise=0.0, health_method="HEAD", show_http_reply=True)


PRESETS: Mapping[str, Callable[[Client], Client]] = {"incident": _incident, "incident-before": _before}


def preset(name: str, client: Client) -> Client:
    """The behaviour ``name``, made from a profile's ``client`` values.

    Raises:
        InvalidInput: there is no such preset.
    """
    if name not in PRESETS:
        raise InvalidInput("no such policy", expected=f"one of {', '.join(PRESETS)}", got=name, where="policy")
    return PRESETS[name](client)
