"""What is watched, as data: a TOML file of targets and settings, read and checked; pure.

[watch]
out = "canary"          # folder of the evidence, beside this file
metrics_port = 9464     # Prometheus; without it there is no endpoint

[targets.eu]
url = "https://eu.example.com"
bot = "echo"
token_env = "EU_TOKEN"
region = "eu"
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct, field

from chatkit.client.http import base_url
from chatkit.client.opening import is_loopback
from chatkit.errors import InvalidInput
from chatkit.policy.presets import PRESETS
from chatkit.profile import find_line

MOST_CONNECTIONS = 12
"""Connections to one host that is not this machine: polite by default."""
MOST_TARGETS = 1000
S = TypeVar("S", bound=Struct)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SECRETS = ("token", "password", "refresh_token")


class Target(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One backend, as whom, and how many connections are kept to it."""

    url: str
    """Base URL."""
    bot: str
    token_env: str | None = None
    """Environment variable that holds the access token; asked again whenever a token is refused."""
    token_file: str | None = None
    """File that holds it, beside the file of targets; read again whenever a token is refused, so that whoever renews
    tokens only writes it."""
    connections: int = 2
    profile: str | None = None
    """TOML file with what differs in the backend's contract, beside the file of targets."""
    policy: str = "default"
    use_proxies: bool = True
    """Whether the proxies of the environment are used; never for loopback addresses."""
    version: str | None = None
    """What the rows of its connections say under ``version``; the same for the two that follow."""
    region: str | None = None
    proxy: str | None = None


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How it is watched."""

    out: str | None = None
    """Folder of the evidence, beside the file of targets."""
    ring: int = 100
    """Events that are kept of each connection."""
    aftermath: float = 5.0
    """Seconds after a death that its recording holds as well."""
    disk_mb: float = 200.0
    """What the folder may hold, in 10^6 bytes; the oldest recordings and rows go first."""
    rows_per_file: int = 500
    rotate_s: float = 3600.0
    """Rows wait at most so long for their Parquet file, seconds."""
    diagnoses_per_minute: float = 20.0
    """Deaths beyond are recorded and not diagnosed."""
    again_after: float = 300.0
    """A connection that the policy gave up is tried again after so many seconds."""
    metrics_port: int | None = None
    """Of the Prometheus endpoint; 0 for any free one, ``None`` for no endpoint."""
    metrics_host: str = "127.0.0.1"
    otlp_endpoint: str | None = None
    """Where spans go by OTLP over HTTP, for example ``http://127.0.0.1:4318/v1/traces``; ``None`` for no spans."""


class Plan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file."""

    watch: Settings = field(default_factory=Settings)
    targets: dict[str, Target] = {}


_LEAST: Mapping[str, tuple[float, float]] = {
    "ring": (20, 100_000),
    "aftermath": (0, 60),
    "disk_mb": (1, 1_000_000),
    "rows_per_file": (1, 100_000),
    "rotate_s": (1, 86_400),
    "diagnoses_per_minute": (0, 600),
    "again_after": (1, 86_400),
    "metrics_port": (0, 65_535),
}


def load(path: str | Path) -> Plan:
    """The plan of a file; errors as for :func:`read`.

    Raises:
        InvalidInput: it cannot be read, is no TOML, or has a key or value that does not fit.
    """
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise InvalidInput(
            f"the file of targets cannot be read: {why}", where=str(path), remedy="give the path of a TOML file"
        ) from None
    return read(text, str(path))


def read(text: str, name: str) -> Plan:
    """The plan of a text; ``name`` says in errors where it stands.

    Raises:
        InvalidInput: it is no TOML, or has a key or value that does not fit; it names file, line and key.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"the file of targets is not TOML: {error}", where=name) from None
    return of(values, text, name)


def of(values: Mapping[str, Any], text: str = "", name: str = "targets") -> Plan:
    """The plan of decoded values; ``text`` is where they were read from, for the line numbers."""
    _no_secrets(values, text, name)
    told = values.get("targets", {})
    # One after the other: of a value of a mapping the library does not tell the key.
    settings = _convert({**values, "targets": told if not isinstance(told, Mapping) else {}}, Plan, [], text, name)
    one_by_one = told.items() if isinstance(told, Mapping) else ()
    targets = {str(key): _convert(one, Target, ["targets", str(key)], text, name) for key, one in one_by_one}
    plan = Plan(watch=settings.watch, targets=targets)
    _check(plan, text, name)
    return plan


def _convert(values: Any, kind: type[S], place: list[str], text: str, name: str) -> S:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise _explain(str(error), place, text, name) from None


def _no_secrets(values: Mapping[str, Any], text: str, name: str) -> None:
    targets = values.get("targets")
    for target, keys in targets.items() if isinstance(targets, Mapping) else ():
        for secret in _SECRETS if isinstance(keys, Mapping) else ():
            if secret in keys:
                raise InvalidInput(
                    "a secret stands in the file of targets",
                    expected="token_env or token_file",
                    where=_where(name, text, ["targets", target, secret]),
                    remedy="take it out, revoke it, and name the environment variable or file that holds the new one",
                )


def _check(plan: Plan, text: str, name: str) -> None:
    def refuse(what: str, keys: list[str], **facts: Any) -> InvalidInput:
        return InvalidInput(what, where=_where(name, text, keys), **facts)

    if not plan.targets:
        raise refuse("there is nothing to watch", [], expected="[targets.NAME] with url and bot", got="no target")
    if len(plan.targets) > MOST_TARGETS:
        raise refuse("too many targets", ["targets"], expected=f"at most {MOST_TARGETS}", got=len(plan.targets))
    for key, (least, most) in _LEAST.items():
        value = getattr(plan.watch, key)
        # Written so that nan is refused as well: no comparison with it is true.
        if value is not None and not least <= value <= most:
            raise refuse("a value is out of range", ["watch", key], expected=f"{least:g} to {most:g}", got=value)
    if plan.watch.otlp_endpoint is not None and urlsplit(plan.watch.otlp_endpoint).scheme not in ("http", "https"):
        raise refuse(
            "this is no OTLP endpoint", ["watch", "otlp_endpoint"], expected="http://host:4318/v1/traces", got="no such"
        )
    hosts: dict[str, int] = {}
    for target, one in plan.targets.items():
        place = ["targets", target]
        if not _NAME.fullmatch(target):
            raise refuse("a target's name does not fit", place, expected="letters, digits, . _ -", got=target[:80])
        _check_target(one, place, refuse)
        host = urlsplit(base_url(one.url)).hostname
        if not is_loopback(host):
            hosts[str(host)] = hosts.get(str(host), 0) + one.connections
            if hosts[str(host)] > MOST_CONNECTIONS:
                raise refuse(
                    f"too many connections to {host}",
                    [*place, "connections"],
                    expected=f"at most {MOST_CONNECTIONS} of all targets together",
                    got=hosts[str(host)],
                    remedy="a canary is a few connections; chatkit fleet connect opens many",
                )


def _check_target(one: Target, place: list[str], refuse: Any) -> None:
    try:
        base_url(one.url)
    except InvalidInput as error:
        raise refuse(error.what, [*place, "url"], expected=error.expected, got=error.got) from None
    if not one.bot:
        raise refuse("no bot is named", [*place, "bot"], expected="a bot's id")
    if not 1 <= one.connections <= (MOST_TARGETS if is_loopback(urlsplit(base_url(one.url)).hostname) else 12):
        raise refuse(
            "no such number of connections",
            [*place, "connections"],
            expected=f"1 to {MOST_CONNECTIONS}",
            got=one.connections,
        )
    if one.token_env is not None and one.token_file is not None:
        raise refuse("two places for one token", [*place, "token_file"], expected="token_env or token_file, not both")
    if one.policy not in PRESETS:
        raise refuse("no such policy", [*place, "policy"], expected="one of " + ", ".join(PRESETS), got=one.policy)


def _explain(message: str, place: list[str], text: str, name: str) -> InvalidInput:
    """A msgspec message (``Expected `int`, got `str` - at `$.url```) with its place."""
    match = re.search(r" - at `\$\.?([^`]*)`", message)
    path = [*place, *(part for part in (match.group(1) if match else "").split(".") if part)]
    what = message[: match.start()] if match else message
    if (unknown := re.search(r"unknown field `([^`]+)`", what)) is not None:
        known = list(_section(path).__struct_fields__)
        close = difflib.get_close_matches(unknown.group(1), known, n=1)
        return InvalidInput(
            f"nobody reads the key {unknown.group(1)!r}",
            expected=f"{close[0]!r}?" if close else "one of " + ", ".join(known),
            where=_where(name, text, [*path, unknown.group(1)]),
            remedy="correct the spelling or delete the line",
        )
    if (missing := re.search(r"missing required field `([^`]+)`", what)) is not None:
        return InvalidInput(f"the key {missing.group(1)!r} is missing", where=_where(name, text, path), remedy="add it")
    types = re.search(r"Expected `([^`]+)`, got `([^`]+)`", what)
    return InvalidInput(
        "a value does not fit",
        expected=types.group(1) if types else what,
        got=types.group(2) if types else None,
        where=_where(name, text, path),
    )


def _section(path: list[str]) -> type[Struct]:
    return Plan if not path else Settings if path[0] == "watch" else Target


def _where(name: str, text: str, path: list[str]) -> str:
    line = find_line(text, path) if text and path else None
    return ", ".join(
        part for part in (name, f"line {line}" if line else "", f"key {'.'.join(path)}" if path else "") if part
    )
