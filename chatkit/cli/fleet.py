"""``chatkit fleet``: many connections; each command of it is a module ``chatkit.cli.fleet_COMMAND``."""

from __future__ import annotations

import argparse
import importlib

SUMMARY = "many connections: compare recordings, or open connections"
COMMANDS = ("analyse", "connect")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The commands, each with its options."""
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = importlib.import_module(f"chatkit.cli.fleet_{name}")
        one = commands.add_parser(name, help=module.SUMMARY, description=module.SUMMARY, allow_abbrev=False)
        module.add_arguments(one)
        one.set_defaults(work=module.run)


def run(args: argparse.Namespace) -> int:
    """What the command returns."""
    code: int = args.work(args)
    return code
