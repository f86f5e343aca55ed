"""``chatkit completion``: the script with which a shell completes verbs, options, runbooks, faults and files."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from chatkit import cli

SUMMARY = "print the completion script for bash, zsh or fish"
SHELLS = ("bash", "zsh", "fish")

_FILES = ("F", "F.jsonl", "F.ipynb", "FILE", "IN", "OUT", "P.toml", "report.html")
_FOLDERS = ("DIR",)
"""What an option's metavar says of its value."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("shell", choices=SHELLS, help="the shell that shall complete")


def run(args: argparse.Namespace) -> int:
    """Prints the script; the shell's start-up file evaluates it."""
    print(script(args.shell))
    return 0


def script(shell: str) -> str:
    """The completion script, with the verbs, runbooks and faults of this version."""
    import shtab

    return str(shtab.complete(_tree(), shell))


def _tree() -> argparse.ArgumentParser:
    """The whole command line in one parser; only ever read, never used to parse."""
    from chatkit.faults.catalogue import CATALOGUE
    from chatkit.formats import IMPORTERS
    from chatkit.runbooks import names

    words = {"RUNBOOK": names(), "ID[:key=value,…]": sorted(CATALOGUE), "FORMAT": sorted(IMPORTERS)}
    parser, verbs = cli.outer_parser()
    for verb, summary in cli.VERBS.items():
        module = cli.load(verb)
        one = verbs.add_parser(verb, help=summary, description=summary, allow_abbrev=False)
        module.add_arguments(one)
        for action in one._actions:
            _complete(action, words)
    return parser


def _complete(action: argparse.Action, words: Mapping[str, list[str]]) -> None:
    import shtab

    if isinstance(action, argparse._SubParsersAction):
        for command in action.choices.values():
            for inner in command._actions:
                _complete(inner, words)
        return
    metavar = str(action.metavar)
    if metavar in words:
        action.choices = words[metavar]
    elif metavar in _FILES:
        action.complete = shtab.FILE  # type: ignore[attr-defined]
    elif metavar in _FOLDERS:
        action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
