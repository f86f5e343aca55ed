"""``%chat`` and ``%%investigate``: the command line's verbs as IPython magics, with the command line's own options.

``%load_ext chatkit`` loads them. What runs, runs on the engine; a cell waits for it and may be interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, wait
from types import SimpleNamespace
from typing import Any, NoReturn, Protocol
from urllib.parse import urlsplit

from IPython.core.magic import Magics, line_cell_magic, magics_class
from IPython.display import display

from chatkit.cli import diagnose
from chatkit.cli.options import Target, add_backend, read_target
from chatkit.cli.progress import ProgressDisplay
from chatkit.client import BackgroundChat, connect
from chatkit.client.engine import SLICE, engine
from chatkit.client.http import base_url
from chatkit.client.opening import is_loopback
from chatkit.errors import ChatkitError, InvalidInput
from chatkit.experiments.progress import Progress
from chatkit.experiments.result import Investigation
from chatkit.investigation import investigate
from chatkit.policy.presets import PRESETS
from chatkit.redact import DEFAULT
from chatkit.widgets.console import Console
from chatkit.widgets.progress import CellProgress

STOP_TIMEOUT = 2.0
"""Seconds that an interrupted investigation may take to say what it knows; then it is cut."""

CHAT_HELP = """\
%chat URL --bot B …   opens a conversation; later lines speak in it. URL may be the name of a lab's variable
%chat send TEXT       sends, and gives the reply; a cell that begins with %%chat sends its text
%chat                 says how the conversation stands; gives it:  chat = %chat
%chat retry           tries to connect at once
%chat trace           what was recorded until now
%chat console         the incident console of the conversation
%chat close           says goodbye"""
INVESTIGATE_HELP = """\
%investigate URL --bot B …     runs experiments and gives what they prove:  found = %investigate …
%%investigate URL --bot B …    the same; the cell holds more options, and notes after a #

URL may be the name of a lab's variable."""


class _Display(Protocol):
    def show(self, progress: Progress) -> None: ...
    def finish(self) -> None: ...


class _Helped(Exception):
    """``--help`` was asked for, and printed."""


class _Parser(argparse.ArgumentParser):
    """Says what it cannot read in a sentence, and never ends the interpreter."""

    def __init__(self, magic: str, epilog: str) -> None:
        shape = argparse.RawDescriptionHelpFormatter
        super().__init__(prog=magic, description=epilog, allow_abbrev=False, formatter_class=shape)

    def error(self, message: str) -> NoReturn:
        raise InvalidInput(f"{self.prog}: {DEFAULT.text(message)}", remedy=f"{self.prog} --help")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise _Helped


def chat_parser() -> argparse.ArgumentParser:
    """Of ``%chat URL …``."""
    parser = _Parser("%chat", CHAT_HELP)
    add_backend(parser)
    parser.add_argument("--out", metavar="F.jsonl", help="record to this file; a taken name gets a number")
    return parser


def investigate_parser() -> argparse.ArgumentParser:
    """Of ``%investigate URL …``."""
    parser = _Parser("%investigate", INVESTIGATE_HELP)
    add_backend(parser)
    diagnose.add_experiments(parser)
    parser.add_argument("--into", metavar="NAME", help="variable that gets the result")
    return parser


@magics_class
class ChatkitMagics(Magics):
    """The magics of one shell, and the conversation that they speak in."""

    shell: Any

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self._chat: BackgroundChat | None = None

    @line_cell_magic
    def chat(self, line: str, cell: str | None = None) -> Any:
        """Opens a conversation, or speaks in it; ``%chat --help`` says how."""
        word, _, rest = line.strip().partition(" ")
        if cell is not None:
            if word and self._open(line) is None:
                return None
            return self._send(cell)
        if word == "send":
            return self._send(rest)
        if word in _ORDERS:
            if rest.strip():
                raise InvalidInput(f"%chat {word} takes nothing more", got=rest.strip(), remedy="%chat --help")
            return _ORDERS[word](self)
        return self._stands() if not word else self._open(line)

    @line_cell_magic
    def investigate(self, line: str, cell: str | None = None) -> Investigation | None:
        """Finds out by experiment why connections to a live backend drop; ``%investigate --help`` says how."""
        args = self._parse(investigate_parser(), f"{line}\n{cell or ''}")
        if args is None:
            return None
        if args.into is not None and not args.into.isidentifier():
            raise InvalidInput("that is no name of a variable", got=args.into, where="--into")
        target = self._signed(args, diagnose.read_plan(args))
        base = base_url(target.url)
        chat, intrusive = _permitted(args, base)
        latest: deque[Progress] = deque(maxlen=1)
        with diagnose.recording(target, args, base) as recorder:
            stop = asyncio.Event()
            asked = diagnose.asked(target, args) | {"chat": chat, "intrusive": intrusive}
            work = engine().start(investigate(base, **asked, recorder=recorder, on_progress=latest.append, stop=stop))
            found = self._watch(work, latest, stop)
        if args.into is not None:
            self.shell.user_ns[args.into] = found
        return found

    # The conversation

    @property
    def _current(self) -> BackgroundChat:
        if self._chat is None:
            raise InvalidInput("no conversation is open", remedy="%chat URL --bot B --token-env NAME")
        return self._chat

    def _open(self, line: str) -> BackgroundChat | None:
        args = self._parse(chat_parser(), line)
        if args is None:
            return None
        target = self._signed(args, read_target(args))
        self._chat = connect(
            target.url,
            target.bot,
            token=target.token,
            user=target.user,
            password=target.password,
            profile=target.profile,
            policy=target.policy,
            record_to=args.out,
            proxy=target.proxy,
        )
        return self._chat

    def _send(self, text: str) -> Any:
        if not text.strip():
            raise InvalidInput("there is nothing to send", remedy="%chat send a message")
        return self._current.send(text.strip()).wait()

    def _stands(self) -> BackgroundChat:
        return self._current

    def _retry(self) -> BackgroundChat:
        self._current.reconnect()
        self._current.wait_live()
        return self._current

    def _close(self) -> None:
        self._current.close()
        self._chat = None

    # Arguments

    def _parse(self, parser: argparse.ArgumentParser, text: str) -> argparse.Namespace | None:
        """What the words say; ``None`` where help was asked for."""
        try:
            words = shlex.split(text, comments=True)
        except ValueError as error:
            raise InvalidInput(f"{parser.prog}: {error}", remedy="close the quotation mark") from None
        lab = self._lab(words[0]) if words else None
        if lab is not None:
            words[0] = lab.url
            words += [] if _given(words, "--bot") else ["--bot", lab.bots[0].id]
        try:
            args = parser.parse_args(words)
        except _Helped:
            return None
        if args.token is not None:
            remedy = "%env NAME=… in a terminal or a cell you delete, then --token-env NAME; or --token-file FILE"
            raise InvalidInput("a token in a cell stays in the notebook's file", where="--token", remedy=remedy)
        args.lab = lab
        return args

    def _lab(self, name: str) -> Any:
        """The lab of the notebook that has this name."""
        value = self.shell.user_ns.get(name) if name.isidentifier() else None
        return value if all(hasattr(value, part) for part in ("url", "bots", "user", "password")) else None

    def _signed(self, args: argparse.Namespace, target: Target) -> Target:
        """With the lab's own credentials where none are given."""
        if args.lab is None or target.token is not None or target.user is not None:
            return target
        from msgspec.structs import replace

        return replace(target, user=args.lab.user, password=args.lab.password)

    # Waiting

    def _watch(self, work: Future[Investigation], latest: deque[Progress], stop: asyncio.Event) -> Investigation:
        """Draws how it stands until it is done; an interrupt ends it early and shows what is known."""
        shown: _Display = CellProgress() if hasattr(self.shell, "kernel") else ProgressDisplay()
        try:
            while not wait([work], SLICE).done:
                for progress in tuple(latest):
                    shown.show(progress)
            return work.result()
        except KeyboardInterrupt:
            engine().loop.call_soon_threadsafe(stop.set)
            known = wait([work], STOP_TIMEOUT).done
            work.cancel()
            shown.finish()
            if known:
                display(work.result())  # type: ignore[no-untyped-call]
            raise ChatkitError("the investigation was stopped; what was known by then stands above") from None
        finally:
            shown.finish()


_ORDERS = {
    "retry": ChatkitMagics._retry,
    "trace": lambda magics: magics._current.trace,
    "console": lambda magics: Console(magics._current),
    "close": ChatkitMagics._close,
}


def _given(words: Sequence[str], option: str) -> bool:
    return any(word == option or word.startswith(f"{option}=") for word in words)


def _permitted(args: argparse.Namespace, base: str) -> tuple[bool, bool]:
    """Whether chat messages may be sent, and payloads grow; nobody is asked while a cell runs."""
    free = args.yes or is_loopback(urlsplit(base).hostname)
    if args.intrusive and not free:
        raise InvalidInput(
            "payloads that grow may break a backend", where="--intrusive", remedy="add --yes to permit it"
        )
    return not args.no_chat and free, args.intrusive


def completions(parser: argparse.ArgumentParser, first: Sequence[str], before: Sequence[str]) -> list[str]:
    """What may follow the words before the cursor, without the one that is being typed.

    Args:
        parser: of the magic.
        first: what may stand in the first place.
        before: the words after the magic's name.
    """
    known = {option: action for action in parser._actions for option in action.option_strings}
    action = known.get(before[-1]) if before else None
    if action is not None and action.nargs != 0:
        if action.dest in ("token_env", "password_env"):
            return sorted(os.environ)
        return sorted(PRESETS) if action.dest == "policy" else list(action.choices or [])
    if not before:
        return [*first, "--help"]
    return [option for option in known if option.startswith("--") and option not in before]


def load(shell: Any) -> None:
    """Gives a shell the magics and their completion."""
    shell.register_magics(ChatkitMagics(shell))

    def complete(parser: argparse.ArgumentParser, first: Sequence[str], event: SimpleNamespace) -> list[str]:
        before = event.text_until_cursor.split()[1:]
        typed = event.symbol and not event.text_until_cursor.endswith(" ")
        labs = [name for name, value in shell.user_ns.items() if hasattr(value, "bots") and hasattr(value, "url")]
        return completions(parser, [*first, *labs], before[:-1] if typed else before)

    for name, parser, first in (
        ("chat", chat_parser(), ["send", *_ORDERS]),
        ("investigate", investigate_parser(), []),
    ):
        for key in (f"%{name}", f"%%{name}"):
            hook = lambda _, event, parser=parser, first=first: complete(parser, first, event)  # noqa: E731
            shell.set_hook("complete_command", hook, str_key=key)
