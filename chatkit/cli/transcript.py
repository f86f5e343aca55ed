"""A conversation as it appears in a terminal: replies on stdout as they grow, how it stands on stderr."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from chatkit.cli import terminal
from chatkit.plain import one_line
from chatkit.policy.status import State

if TYPE_CHECKING:
    from chatkit.client import ChatClient
    from chatkit.policy.delivery import ChatMessage


class Transcript:
    """Prints what changed; subscribe :meth:`see` to the client.

    One reply grows at a time; others wait until it is whole, so that two streams never mix.
    """

    def __init__(self, client: ChatClient) -> None:
        self._client = client
        self._shown: set[str] = set()
        self._growing: tuple[str, str] | None = None
        """Key and printed text of the reply whose line is open."""
        self._state: tuple[State, int] | None = None
        self._typing: tuple[str, ...] = ()
        self.unread = False
        """Whether nobody reads our output any more."""

    def see(self, what: str) -> None:
        """Something changed: ``state``, ``message``, ``typing`` or ``health``."""
        if self.unread:
            return
        try:
            if what == "message":
                self._see_messages()
            elif what == "state":
                self._see_state()
            elif what == "typing":
                self._see_typing()
        except BrokenPipeError:
            # This runs inside the client, which must not die of a reader that went away.
            self.unread = True

    def finish(self) -> None:
        """Ends a line that is still open."""
        if self._growing is not None and not self.unread:
            self._growing = None
            terminal.say("")

    def _see_messages(self) -> None:
        for message in self._client.messages:
            if message.via == "local" or message.key in self._shown:
                continue
            if self._growing is not None and self._growing[0] != message.key:
                continue
            self._print(message)

    def _print(self, message: ChatMessage) -> None:
        before = self._growing[1] if self._growing is not None else None
        author = one_line(message.author, 60)
        if before is None:
            terminal.say(f"{author}: {message.text}", end="")
        elif message.text.startswith(before):
            terminal.say(message.text[len(before) :], end="")
        else:
            # The whole reply differs from its pieces: the whole is what counts.
            terminal.say(f"\n{author} (whole): {message.text}", end="")
        if message.state == "streaming":
            self._growing = (message.key, message.text)
            return
        self._growing = None
        self._shown.add(message.key)
        terminal.say(" [interrupted]" if message.state == "interrupted" else "")
        if before is not None:
            self._see_messages()  # those that waited

    def _see_state(self) -> None:
        status = self._client.status
        seen = (status.state, status.attempt)
        if self._state is not None and self._state[0] in _LIVE and status.state in _LIVE:
            seen = (self._state[0], status.attempt)  # stable is live, only longer
        if seen == self._state or status.state in _SILENT:
            return
        self._state = seen
        self.finish()
        terminal.note(one_line(self._words(), 500))

    def _words(self) -> str:
        status = self._client.status
        if status.state is State.BACKOFF and status.retry_at is not None:
            wait = max(0.0, status.retry_at - time.time())
            ended = self._client.ended
            ending = ended[-1].ending if ended else None
            why = str(ending) if ending is not None else status.because
            return f"Reconnecting in {wait:.1f} s (retry {status.attempt} of {status.max_attempts}): {why}"
        if status.live:
            return f"Live: {status.bot}"
        return f"{status.word}: {status.because}" if status.because else status.word

    def _see_typing(self) -> None:
        users = self._client.typing_users
        if sys.stdout.isatty() and sys.stderr.isatty() and self._growing is None and users and users != self._typing:
            terminal.note(one_line(f"{', '.join(users)} is typing …", 200))
        self._typing = users


_LIVE = (State.CONNECTED, State.STABLE)
_SILENT = (State.IDLE, State.CONNECTING, State.CLOSING, State.CLOSED)
