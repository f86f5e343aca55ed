"""Options that every verb shares which speaks to a backend, and what they come to."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from chatkit.errors import AuthError, InvalidInput

if TYPE_CHECKING:
    from chatkit.profile import Profile

THREE_WAYS = "--token-env NAME, --token-file FILE or --token TOKEN; or --user NAME with --password-env NAME"
_MOST = 65_536
"""Bytes that a token file may hold."""


class Target(Struct, frozen=True, kw_only=True):
    """Where to connect, as whom, and by which contract."""

    url: str
    bot: str
    token: str | None
    user: str | None
    password: str | None
    profile: Profile
    """With the policy applied to its ``client`` values."""
    policy: str
    proxy: bool

    def __repr__(self) -> str:
        return f"<Target {self.bot!r}>"  # a token has no business in a traceback


def add_target(parser: argparse.ArgumentParser) -> None:
    """What :func:`add_backend` adds, and ``--json``."""
    add_backend(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document for machines")


def add_backend(parser: argparse.ArgumentParser) -> None:
    """URL, bot, secrets, profile, policy, proxy: what a terminal and a notebook say alike."""
    parser.add_argument("url", metavar="URL", help="base URL of the backend, for example http://localhost:8000")
    parser.add_argument("--bot", required=True, metavar="B", help="the bot's id")
    tokens = parser.add_mutually_exclusive_group()
    tokens.add_argument("--token-env", metavar="NAME", help="environment variable that holds the access token")
    tokens.add_argument("--token-file", metavar="F", help="file that holds the access token")
    tokens.add_argument("--token", metavar="T", help="the access token itself; other users see it in the process list")
    tokens.add_argument("--user", metavar="NAME", help="log in as this user instead; needs --password-env")
    parser.add_argument("--password-env", metavar="NAME", help="environment variable that holds the password")
    parser.add_argument("--profile", metavar="F", help="TOML file with what differs in your backend's contract")
    parser.add_argument("--policy", default="default", metavar="NAME", help="client behaviour (default: %(default)s)")
    parser.add_argument("--no-proxy", action="store_true", help="ignore the proxies of the environment")


def read_target(args: argparse.Namespace) -> Target:
    """What the options come to.

    Raises:
        InvalidInput: a secret is not where it should be, or looks like none; the message never shows it.
        ProfileError: the profile cannot be used; it names file, line and key.
    """
    from chatkit.policy.presets import preset
    from chatkit.profile import load

    if not args.bot:
        raise InvalidInput("no bot is named", expected="a bot's id", where="--bot")
    profile = load(args.profile)
    profile = msgspec.structs.replace(profile, client=preset(args.policy, profile.client))
    return Target(
        url=args.url,
        bot=args.bot,
        token=read_token(args),
        user=args.user,
        password=_read_password(args),
        profile=profile,
        policy=args.policy,
        proxy=not args.no_proxy,
    )


def read_token(args: argparse.Namespace) -> str | None:
    """The token from where the options say it is; ``None`` where they say nothing."""
    if args.token_env is not None:
        return _token(_variable(args.token_env, "--token-env"), f"--token-env {args.token_env}")
    if args.token_file is not None:
        return _token(_content(args.token_file), f"--token-file {args.token_file}")
    return None if args.token is None else _token(args.token, "--token")


def _variable(name: str, where: str) -> str:
    value = os.environ.get(name)
    if not value:
        state = "is empty" if value == "" else "is not set"
        raise InvalidInput(f"the environment variable {name} {state}", where=where, remedy=f"export {name}=…")
    return value


def _content(name: str) -> str:
    where = f"--token-file {name}"
    try:
        with Path(name).open("rb") as file:
            data = file.read(_MOST + 1)
    except OSError as error:
        raise InvalidInput(f"the token file cannot be read: {error.strerror}", where=where) from None
    if len(data) > _MOST:
        raise InvalidInput("the token file is too big", expected=f"one token, at most {_MOST:,} bytes", where=where)
    return data.decode("utf-8", "replace")


def _token(text: str, where: str) -> str:
    token = text.strip()
    if not token:
        raise InvalidInput("the token is empty", where=where)
    # Anything else would break the request line or the header that carries it.
    if not (token.isascii() and token.isprintable()) or " " in token:
        got = f"{len(token):,} characters, among them blanks, line ends or others that no token has"
        raise InvalidInput("this is no token", expected="one word of ASCII characters", got=got, where=where)
    return token


def _read_password(args: argparse.Namespace) -> str | None:
    if (args.user is None) != (args.password_env is None):
        remedy = "--user NAME --password-env VARIABLE"
        raise InvalidInput("a login needs both user and password", where="--user, --password-env", remedy=remedy)
    return None if args.password_env is None else _variable(args.password_env, "--password-env")


def token_missing(target: Target) -> AuthError:
    """The backend wants a token and none was given."""
    return AuthError("the backend asks for a token, and none was given", refused_by=target.bot, remedy=THREE_WAYS)
