"""``chatkit chat``: a conversation in the terminal."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from chatkit.cli import terminal
from chatkit.cli.lines import Lines
from chatkit.cli.options import Target, add_target, read_target
from chatkit.cli.refusal import explain
from chatkit.errors import ChatkitError, InvalidInput

if TYPE_CHECKING:
    from chatkit.cli.transcript import Transcript
    from chatkit.client import ChatClient
    from chatkit.client.delivery import Delivery
    from chatkit.recorder import Recorder

SUMMARY = "chat in the terminal"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    add_target(parser)
    parser.add_argument("--once", metavar="TEXT", help="send one message, print the reply and end")
    parser.add_argument("--out", metavar="F.jsonl", help="record to this file")
    parser.add_argument("--overwrite", action="store_true", help="replace the file of --out if it exists")


def run(args: argparse.Namespace) -> int:
    """0 when the conversation ended as asked, 2 when it could not begin or its one message failed."""
    if args.json and args.once is None:
        raise InvalidInput("--json needs --once", where="--json", remedy='--once "a message"')
    target = read_target(args)
    if args.once is not None:
        return terminal.run(_once(target, args, args.once))
    return terminal.run(_converse(target, args))


@asynccontextmanager
async def opened(target: Target, out: str | None, *, overwrite: bool) -> AsyncIterator[ChatClient]:
    """A client that is not started, with its recording; both are closed, in order, whatever happens."""
    from chatkit.client import ChatClient
    from chatkit.client.http import base_url

    base_url(target.url)  # before a recording is begun that would stay behind empty
    recorder = begin_recording(target, out, overwrite=overwrite)
    try:
        client = ChatClient(
            target.url,
            bot=target.bot,
            token=target.token,
            user=target.user,
            password=target.password,
            profile=target.profile,
            policy=target.policy,
            recorder=recorder,
            proxy=target.proxy,
        )
        try:
            yield client
        finally:
            await client.close()
    finally:
        await asyncio.to_thread(recorder.close)
        if recorder.failure is not None:
            terminal.note(f"the recording is not complete: {recorder.failure}")


def begin_recording(target: Target, out: str | None, *, overwrite: bool) -> Recorder:
    """A recorder that knows the secrets.

    Raises:
        InvalidInput: the file exists, or cannot be written.
    """
    from chatkit.recorder import Recorder
    from chatkit.redact import Redactor

    if out is not None and not overwrite and Path(out).exists():
        remedy = "name another file, or add --overwrite"
        raise InvalidInput("the recording exists already", where=f"--out {out}", remedy=remedy)
    redactor = Redactor(secret for secret in (target.token, target.password) if secret)
    return Recorder(out, overwrite=overwrite, target=target.url, types=target.profile.types, redactor=redactor)


async def enter(client: ChatClient, target: Target) -> None:
    """Connects; a refusal is explained as far as the HTTP API knows why."""
    try:
        await client.start()
        await client.ready()
    except ChatkitError as error:
        raise (await explain(client, target, error)) or error from None


async def _once(target: Target, args: argparse.Namespace, text: str) -> int:
    async with opened(target, args.out, overwrite=args.overwrite) as client:
        await enter(client, target)
        began = time.monotonic()
        delivery = client.send(text)
        reply = await delivery
        if args.json:
            answer = next(
                (m for m in reversed(client.messages) if m.role == "assistant" and m.text == reply.text), None
            )
            document = {
                "schema": "chatkit.reply/1",
                "bot": target.bot,
                "text": reply.text,
                "via": reply.via,
                "session": answer.session_id if answer is not None else None,
                "message_id": answer.message_id if answer is not None else None,
                "seconds": round(time.monotonic() - began, 6),
            }
            print(json.dumps(document), flush=True)
        else:
            terminal.say(reply.text)
    return 0


async def _converse(target: Target, args: argparse.Namespace) -> int:
    from chatkit.cli.transcript import Transcript

    async with opened(target, args.out, overwrite=args.overwrite) as client:
        transcript = Transcript(client)
        client.subscribe(transcript.see)
        await enter(client, target)
        if sys.stdin.isatty():
            terminal.note("/quit ends, /state says how it stands, /retry tries at once")
        try:
            async with asyncio.TaskGroup() as group:
                await _follow(client, transcript, group)
        finally:
            transcript.finish()
    return 0


async def _follow(client: ChatClient, transcript: Transcript, group: asyncio.TaskGroup) -> None:
    """Does what the lines say, up to the end of the input or ``/quit``."""
    pending: set[asyncio.Task[None]] = set()
    async for line in Lines():
        if line.strip() == "/quit" or transcript.unread:
            for task in pending:
                task.cancel()
            return
        task_of_line = _obey(client, line.strip(), group)
        if task_of_line is not None:
            pending.add(task_of_line)
            task_of_line.add_done_callback(pending.discard)
    # The end of a pipe is no wish to leave: the group waits for the replies under way.


def _obey(client: ChatClient, line: str, group: asyncio.TaskGroup) -> asyncio.Task[None] | None:
    """Does what a line says; the task of a message that waits for its reply."""
    if line == "/state":
        terminal.note(f"{client.status.word}. {client.explain()}")
    elif line == "/retry":
        client.reconnect()
    elif line.startswith("/"):
        terminal.note("there are /quit, /state and /retry; a message does not begin with a slash")
    elif line:
        try:
            return group.create_task(_wait(client.send(line)))
        except ChatkitError as error:
            terminal.note(str(error))
    return None


async def _wait(delivery: Delivery) -> None:
    """Says why a message got no reply; replies themselves are the transcript's."""
    try:
        await delivery
    except ChatkitError as error:
        terminal.say(f"not delivered: {error}", sys.stderr, style="red")
