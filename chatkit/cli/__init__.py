"""``chatkit VERB``: one file per verb, imported only when that verb runs.

A verb's module has ``SUMMARY``, ``add_arguments(parser)`` and ``run(args) -> int``. The table below repeats
the summaries so that ``chatkit --help`` imports none of them; a test compares the two.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from chatkit import __version__
from chatkit.errors import ChatkitError
from chatkit.plain import harmless
from chatkit.redact import DEFAULT

VERBS: Mapping[str, str] = {
    "lab": "run the embedded backend, with faults to choose",
    "check": "check what works right now on the way to a chat",
    "chat": "chat in the terminal",
    "record": "connect as the client would, and record",
    "tap": "pass everything on to a backend, and record it",
    "inspect": "read evidence: connections, and the cause with its evidence",
    "diagnose": "find out by experiment why connections to a live backend drop",
    "convert": "turn evidence into another format",
    "report": "write one offline HTML file that tells why, with its evidence",
    "runbook": "run one runbook headless; its verdict is the exit code",
    "completion": "print the completion script for bash, zsh or fish",
}
"""One line for each verb; the module is ``chatkit.cli.VERB``."""

USAGE_ERROR = 2
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb and returns the exit code of the process."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        try:
            return _answer(arguments)
        finally:
            sys.stdout.flush()  # here, where it can be caught, and not when Python ends
    except BrokenPipeError:
        _leave_stdout()
        return 0


def _answer(arguments: list[str]) -> int:
    try:
        return _dispatch(arguments)
    except ChatkitError as error:
        print(f"chatkit: {harmless(DEFAULT.text(str(error)))}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED


def _leave_stdout() -> None:
    """Whoever read our output has gone: ``chatkit … | head -1``. Python would complain once more at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Parser(argparse.ArgumentParser):
    """Repeats a mistyped argument in its complaint, but no token that stands there."""

    def error(self, message: str) -> NoReturn:
        super().error(DEFAULT.text(message))


def _dispatch(arguments: list[str]) -> int:
    verb = next((word for word in arguments if not word.startswith("-")), None)
    if verb not in VERBS:
        _with_summaries().parse_args(arguments)  # prints help or version, or ends with a usage error
    module = load(str(verb))
    parser = _Parser(prog=f"chatkit {verb}", description=module.SUMMARY, allow_abbrev=False)
    module.add_arguments(parser)
    place = arguments.index(str(verb))
    code: int = module.run(parser.parse_args(arguments[:place] + arguments[place + 1 :]))
    return code


def outer_parser() -> tuple[argparse.ArgumentParser, Any]:
    """What stands before the verb, and the place for the verbs."""
    parser = argparse.ArgumentParser(
        prog="chatkit", description="Finds out why a chat WebSocket drops.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"chatkit {__version__}")
    return parser, parser.add_subparsers(metavar="VERB", required=True)


def _with_summaries() -> argparse.ArgumentParser:
    parser, verbs = outer_parser()
    for verb, summary in VERBS.items():
        verbs.add_parser(verb, help=summary, add_help=False)
    return parser


def load(verb: str) -> Any:
    """The module of a verb.

    Raises:
        ChatkitError: there is none yet.
    """
    name = f"chatkit.cli.{verb}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ChatkitError(f"this chatkit has no verb {verb!r} yet", remedy="chatkit --help") from None
