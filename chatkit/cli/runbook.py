"""``chatkit runbook``: one runbook from top to bottom without a front end; its verdict is the exit code."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatkit.cli import terminal
from chatkit.cli.inspect import EXIT
from chatkit.cli.options import read_token
from chatkit.cli.writing import free, write
from chatkit.errors import ChatkitError, InvalidInput
from chatkit.plain import harmless
from chatkit.redact import DEFAULT

if TYPE_CHECKING:
    from chatkit.cli.headless import Headless
    from chatkit.runbooks import Parameter, Runbook

SUMMARY = "run one runbook headless; its verdict is the exit code"
SCHEMA = "chatkit.runbook/1"
LIST_SCHEMA = "chatkit.runbooks/1"
FAILED = 2
TIMEOUT = 1800.0
CELL_TIMEOUT = 900.0
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "none": None}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("name", nargs="?", metavar="RUNBOOK", help="which one; --list shows them")
    parser.add_argument("--list", action="store_true", help="print the runbooks, or the parameters of one, and end")
    parser.add_argument("--url", metavar="URL", help="base URL of the backend; without it the lab plays the fault")
    parser.add_argument("--bot", metavar="B", help="the bot's id")
    parser.add_argument("--token-env", metavar="NAME", help="environment variable that holds the access token")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another parameter of the runbook; again for more",
    )
    parser.add_argument("--out", metavar="F.ipynb", help="where the notebook with its results goes")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, metavar="S", help="for all (default: %(default)g)")
    parser.add_argument(
        "--cell-timeout", type=float, default=CELL_TIMEOUT, metavar="S", help="for one cell (default: %(default)g)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document for machines")


def run(args: argparse.Namespace) -> int:
    """0 no fault, 1 a fault, 3 inconclusive, 2 when it cannot be run or a cell fails; 130 on Ctrl-C."""
    if args.list:
        return _list(args)
    for option in ("timeout", "cell_timeout"):
        seconds = getattr(args, option)
        if not (math.isfinite(seconds) and seconds > 0):
            where = f"--{option.replace('_', '-')}"
            raise InvalidInput("that is no time", expected="seconds, more than 0", got=seconds, where=where)
    if args.name is None:
        raise InvalidInput("no runbook is named", expected="one of those that --list shows", where="RUNBOOK")
    from chatkit.runbooks import find

    book = find(args.name)
    parameters = read_parameters(args, book)
    if args.out is None:
        raise InvalidInput("nowhere to write the result to", expected="--out F.ipynb", where="--out")
    inputs = [value for value in parameters.values() if isinstance(value, str)]
    out = free(args.out, "--out", overwrite=args.overwrite, inputs=inputs)
    return terminal.run(_run(args, book, parameters, out))


def read_parameters(args: argparse.Namespace, book: Runbook) -> dict[str, Any]:
    """What the options come to, by the names of the runbook's own parameters.

    Files are found from where the command runs and given to the notebook with their whole path.

    Raises:
        InvalidInput: the runbook has no such parameter, a value is of another kind, a file is not there, or something
            looks like a secret; the message never shows that one.
    """
    given: dict[str, tuple[str, str]] = {}
    for pair in args.set:
        key, equals, text = pair.partition("=")
        if not equals:
            raise InvalidInput("this sets nothing", expected="KEY=VALUE", got=DEFAULT.text(pair), where="--set")
        given[key] = (text, f"--set {key}")
    for key in ("url", "bot", "token_env"):
        if (text := getattr(args, key)) is not None:
            given[key] = (text, f"--{key.replace('_', '-')}")
    found = {}
    for key, (text, where) in given.items():
        if key in ("token", "password") or DEFAULT.text(text) != text:
            remedy = "export CHATKIT_TOKEN=…, and --token-env NAME for another variable"
            raise InvalidInput("a secret would stand in the result", where=where.partition(" ")[0], remedy=remedy)
        parameter = book.parameter(key)
        if parameter is None:
            names = ", ".join(one.name for one in book.parameters)
            remedy = f"chatkit runbook {book.name} --list"
            raise InvalidInput(f"{book.name} has no parameter {key!r}", expected=names, where=where, remedy=remedy)
        found[key] = _value(parameter, text, where)
    if any(parameter.is_file and parameter.name in found for parameter in book.parameters):
        found |= _not_the_sample(book, found)
    if args.token_env is not None:
        read_token(argparse.Namespace(token_env=args.token_env, token_file=None, token=None))
    return found


def _not_the_sample(book: Runbook, found: dict[str, Any]) -> dict[str, None]:
    """Files of the sample do not belong beside somebody's own: they are left out where the runbook can do without."""
    left = [one for one in book.parameters if one.is_file and one.name not in found]
    for parameter in left:
        if not parameter.optional:
            remedy = f"--set {parameter.name}=FILE"
            raise InvalidInput(
                f"{book.name} needs another file", expected=parameter.meaning, where="--set", remedy=remedy
            )
    return dict.fromkeys((one.name for one in left), None)


def _value(parameter: Parameter, text: str, where: str) -> Any:
    """A text as the kind that the default has; a default of ``None`` permits any."""
    default = parameter.default
    word = _WORDS.get(text.lower(), text)
    if parameter.is_file:
        return _file(text, where) if word is not None else None
    if isinstance(default, bool):
        if not isinstance(word, bool):
            raise InvalidInput("that is neither true nor false", got=text, where=where)
        return word
    if isinstance(default, int | float):
        number = _number(text)
        if number is None:
            raise InvalidInput("that is no number", expected=f"like {default}", got=text, where=where)
        return number
    if isinstance(default, str):
        return text
    if word is not text:
        return word
    if Path(text).is_file():
        return _file(text, where)
    number = _number(text)
    return text if number is None else number


def _number(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return number if math.isfinite(number) else None
    return None


def _file(text: str, where: str) -> str:
    path = Path(text)
    if not path.is_file():
        raise InvalidInput("there is no such file", got=text, where=where)
    return str(path.resolve())


async def _run(args: argparse.Namespace, book: Runbook, parameters: dict[str, Any], out: Path) -> int:
    from chatkit.cli.headless import Headless

    variable = parameters.get("token_env") or getattr(book.parameter("token_env"), "default", None)
    work = Headless(
        book.path,
        parameters,
        secret=os.environ.get(str(variable)) or None,
        on_cell=lambda number, of, heading: terminal.note(f"cell {number} of {of}: {heading}"),
        on_done=lambda: write(out, work.content()),
    )
    if book.parameter("url") is not None and parameters.get("url") is None:
        terminal.note("no --url: the lab plays the fault, and the verdict is about the lab")
    elif any(one.is_file and one.name not in parameters for one in book.parameters):
        terminal.note("no file is given: the verdict is about the sample that comes with the runbook")
    failure: ChatkitError | None = None
    try:
        await work.run(timeout=args.timeout, cell_timeout=args.cell_timeout)
    except ChatkitError as error:
        failure = error
    except asyncio.CancelledError:  # Ctrl-C: what is known is kept and printed first
        write(out, work.content())
        _conclude(args, book, parameters, work, out, "interrupted")
        raise
    write(out, work.content())
    found = work.diagnosis()
    if failure is None and found is None:
        failure = ChatkitError("the runbook gave no verdict", where=book.path.name, expected="a displayed diagnosis")
    _conclude(args, book, parameters, work, out, None if failure is None else work.clean(str(failure)))
    return EXIT[found["verdict"]] if failure is None and found is not None else FAILED


def _conclude(
    args: argparse.Namespace,
    book: Runbook,
    parameters: dict[str, Any],
    work: Headless,
    out: Path,
    failure: str | None,
) -> None:
    found = work.diagnosis()
    if args.json:
        document = {
            "schema": SCHEMA,
            "name": book.name,
            "title": book.title,
            "target": parameters.get("url") or _without_url(book, parameters),
            "out": str(out),
            "elapsed_s": round(work.elapsed_s, 3),
            "cells": {"run": work.done, "of": len(work.cells)},
            "verdict": None if found is None or failure is not None else found["verdict"],
            "failure": failure,
            "diagnosis": found,
        }
        json.dump(document, sys.stdout)
        print(flush=True)
    else:
        _say(found)
        terminal.note(f"written: {out}")
    if failure is not None:
        terminal.say(f"chatkit: {DEFAULT.text(failure)}", sys.stderr)


def _without_url(book: Runbook, parameters: dict[str, Any]) -> str:
    if book.parameter("url") is not None:
        return "lab"
    return "files" if any(one.is_file and one.name in parameters for one in book.parameters) else "sample"


def _say(found: dict[str, Any] | None) -> None:
    """The verdict for people, from what the notebook showed."""
    if found is None:
        return
    terminal.say(f"{found['verdict']}: {found['headline']}")
    for cause in found["causes"]:
        terminal.say(f"  {cause['confidence']:.2f}  {cause['id']}, who acts: {cause['who']}")
        terminal.say(f"        {cause['fix']['summary']}")
    for step in found["next_steps"] if found["verdict"] == "inconclusive" else ():
        terminal.say(f"  next: {step}")


def _list(args: argparse.Namespace) -> int:
    from chatkit.runbooks import find, names

    books = [find(name) for name in ([args.name] if args.name else names())]
    if args.json:
        json.dump({"schema": LIST_SCHEMA, "runbooks": [book.to_dict() for book in books]}, sys.stdout)
        print(flush=True)
        return 0
    for book in books:
        print(harmless(f"{book.name}\n    {book.title}\n    {book.question}"))
        for one in book.parameters if args.name else ():
            print(harmless(f"      {one.name} = {one.default!r}  {one.meaning}"))
    return 0
