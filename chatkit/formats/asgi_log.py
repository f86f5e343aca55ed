"""What uvicorn logs, alone or as a worker of gunicorn: upgrades, ends, exceptions, processes that come and go.

Neither names a connection after it is accepted. An end belongs to the only connection that is open; with several open
it belongs to one of them, which is not said, and so it is given to none, unless all of them end within a moment.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from chatkit.events import (
    AttemptFailed,
    EndReported,
    HealthChecked,
    HttpAnswered,
    HttpRequested,
    Logged,
    Opened,
    UpgradeAnswered,
    UpgradeRequested,
)
from chatkit.formats.collector import Collector
from chatkit.formats.loglines import Line, Lines, shown
from chatkit.formats.purposes import purpose
from chatkit.formats.source import Options, Source
from chatkit.formats.stamps import clf
from chatkit.formats.tracebacks import Traceback, last_line
from chatkit.trace import Trace

NOT_VISIBLE = (
    "handshake",
    "frames",
    "payloads",
    "sizes",
    "sent",
    "received",
    "pings",
    "close-code",
    "closed-by",
    "transport-end",
    "tcp",
    "compression",
    "client-side",
)
TOGETHER = 0.5
"""Seconds within which endings are one event (rule of thumb 3 of the taxonomy)."""

_SOCKET = re.compile(r'"WebSocket ([^"\s]{0,8192})" (?:\[accepted\]|(\d{3}))')
_HTTP = re.compile(r'"([A-Z]{3,10}) ([^"\s]{1,8192}) HTTP/[\d.]{1,3}" (\d{3})')
_PID = re.compile(r"\[(\d{1,10})\]\s{1,4}\[[A-Z]{4,8}\]")
_KILLED = {"SIGKILL", "SIGABRT", "SIGSEGV", "SIGBUS", "SIGQUIT"}

FACTS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), what)
    for pattern, what in (
        (r"\bconnection open$", "_open"),
        (r"\bconnection closed$", "_close"),
        (r"\bconnection rejected \(", "_rejected"),
        (r"Exception in ASGI application", "_exception"),
        (r"Exception in worker process|Traceback of worker", "_exception"),
        (r"Exception in 'lifespan' protocol", "_exception"),
        (r"WORKER TIMEOUT \(pid: ?(?P<pid>\d+)\)", "worker-timeout"),
        (r"Worker \(pid: ?(?P<pid>\d+)\) was sent (?P<signal>SIG[A-Z0-9]+)", "_signalled"),
        (r"Worker \(pid: ?(?P<pid>\d+)\) (?:exited|killed) ", "_worker_gone"),
        (r"Worker exiting \(pid: ?(?P<pid>\d+)\)", "_worker_gone"),
        (r"Child process \[(?P<pid>\d+)\] died", "_worker_gone"),
        (r"Finished server process \[(?P<pid>\d+)\]", "_finished"),
        (r"Booting worker with pid: (?P<pid>\d+)", "worker-start"),
        (r"Started server process \[(?P<pid>\d+)\]", "start"),
        (r"Starting gunicorn", "start"),
        (r"Handling signal: (?:term|int|quit)", "stop"),
        (r"Handling signal: hup|[Cc]hanges? (?:detected )?in .{1,300}\. Reloading|Reloading\.\.\.$", "reload"),
        (r"Handling signal: \w+", "signal"),
        (r"Autorestarting worker|Maximum request limit of \d+ exceeded", "worker-recycled"),
        (r"Shutting down(?:: \w+)?$", "stop"),
        (r"keepalive ping timeout", "keepalive-timeout"),
        (r"Unsupported upgrade request|No supported WebSocket library", "upgrade-unsupported"),
        (r"Exceeded concurrency limit", "connection-limit"),
        (r"Application (?:startup|shutdown) failed|ASGI callable |Invalid HTTP request|Worker failed to boot", "error"),
        (r"Waiting for application|Application (?:startup|shutdown) complete|Uvicorn running on", ""),
        (r"Waiting for (?:connections|background tasks|child process)|(?:Started|Stopping) reloader|Will watch", ""),
        (r"Listening at:|Using worker:|Control socket|Reason: Worker|Started parent process|Stopping parent", ""),
        (r"Received SIG\w+, |Terminated child process|StatReload|WatchFiles", ""),
    )
)
"""Each fact of such a log, and its word. One that begins with ``_`` is a method; an empty one means
nothing, and its line is known all the same."""


class _Life:
    def __init__(self, id: str) -> None:
        self.id = id


class _Worker:
    """A process and the connections it holds."""

    def __init__(self) -> None:
        self.open: list[_Life] = []
        self.accepted: list[_Life] = []
        """Those whose ``connection open`` is still to come."""
        self.rejected = 0
        self.ends: list[float] = []


def read(source: Source, options: Options, format: str, server: str) -> Trace:
    """Reads such a log; ``server`` says who tells it.

    Raises:
        ImportFailed: no line of it is one of the server's.
    """
    return _Reader(source, options, format, server).run()


class _Reader:
    def __init__(self, source: Source, options: Options, format: str, server: str) -> None:
        self._collector = Collector(source, format, NOT_VISIBLE, options)
        self._lines = Lines(self._collector, f'lines of {server}, such as “"WebSocket /path" [accepted]”')
        self._server = server
        self._workers: dict[str, _Worker] = {}
        self._worker = _Worker()
        self._traceback: tuple[Traceback, Line, str | None] | None = None
        self._gone = False
        self._count = self._exchanges = self._untold = self._closed = self._untimed = 0

    def run(self) -> Trace:
        for line in self._lines:
            if self._traceback is not None:
                if self._traceback[0].feed(line):
                    continue
                self._end_traceback()
            if self._one(line):
                self._lines.used()
            else:
                self._lines.skip()
        self._end_traceback()
        for worker in self._workers.values():
            self._give_up(worker)
        self._say()
        self._lines.finish()
        return self._collector.build()

    def _say(self) -> None:
        alive = sum(len(worker.open) for worker in self._workers.values())
        if self._untold:
            self._collector.warn(
                f"{self._untold:,} times the log says “connection closed” while several were open: it does not say "
                "which one, so these ends belong to none here"
            )
        elif (alive or self._gone) and not self._closed:
            self._collector.warn(
                "the log never says “connection closed”: only uvicorn's older implementation of WebSockets does, so a "
                "connection without an end here may have ended long before the log"
            )
        if self._untimed:
            self._collector.warn("the log does not say how long HTTP requests took: 0 s stands for it")

    def _one(self, line: Line) -> bool:
        front = _PID.search(line.front + line.text[:120])
        self._worker = self._workers.setdefault(front[1] if front else "", _Worker())
        if (socket := _SOCKET.search(line.text)) is not None:
            self._socket(line, socket[1], int(socket[2]) if socket[2] else None)
            return True
        if (http := _HTTP.search(line.text)) is not None:
            self._http(clf(line.text) or line.wall, http[1], http[2], int(http[3]))
            return True
        text = line.text.rstrip()
        for pattern, what in FACTS:
            if (match := pattern.search(text)) is not None:
                if what.startswith("_"):
                    method: Callable[[Line, re.Match[str]], None] = getattr(self, what)
                    method(line, match)
                elif what:
                    self._log(line, what)
                return True
        return False

    # Connections

    def _new(self) -> _Life:
        self._count += 1
        return _Life(str(self._count))

    def _add(self, wall: float, kind: Any, connection: str | None, **fields: Any) -> None:
        self._collector.add(wall, kind, connection, **fields)

    def _socket(self, line: Line, target: str, status: int | None) -> None:
        life = self._new()
        target = self._collector.redactor.text(target)
        self._add(line.wall, UpgradeRequested, life.id, target=target, headers=[])
        self._add(line.wall, UpgradeAnswered, life.id, status=status or 101, reason="", headers=[])
        if status is not None:
            self._add(line.wall, AttemptFailed, life.id, stage="upgrade", error=f"HTTP {status}", status=status)
            return
        self._add(line.wall, Opened, life.id)
        self._worker.open.append(life)
        self._worker.accepted.append(life)

    def _open(self, line: Line, match: re.Match[str]) -> None:
        if self._worker.accepted:
            self._worker.accepted.pop(0)
            return
        life = self._new()
        self._add(line.wall, Opened, life.id)
        self._worker.open.append(life)

    def _rejected(self, line: Line, match: re.Match[str]) -> None:
        self._worker.rejected += 1

    def _close(self, line: Line, match: re.Match[str]) -> None:
        worker = self._worker
        self._closed += 1
        if worker.rejected:
            # The older implementation says so of a refused one as well, right after it.
            worker.rejected -= 1
        elif not worker.open:
            self._add(line.wall, EndReported, self._new().id, source=self._server)
        elif len(worker.open) == 1:
            self._end(line.wall, worker.open[0])
        else:
            worker.ends.append(line.wall)
            if worker.ends[-1] - worker.ends[0] > TOGETHER:
                self._give_up(worker)
            elif len(worker.ends) == len(worker.open):
                for life, wall in zip(list(worker.open), worker.ends, strict=True):
                    self._end(wall, life)
                worker.ends.clear()

    def _give_up(self, worker: _Worker) -> None:
        """Ends of one of several: told beside the connections."""
        for wall in worker.ends:
            self._untold += 1
            self._add(wall, Logged, None, by="server", what="connection-closed", text="one of several open connections")
        worker.ends.clear()

    def _end(self, wall: float, life: _Life, code: int | None = None, by: str | None = None) -> None:
        self._add(wall, EndReported, life.id, code=code, by=by, source=self._server)
        for group in (self._worker.open, self._worker.accepted):
            if life in group:
                group.remove(life)

    def _end_all(self, line: Line, pid: str, what: str, code: int | None = None) -> None:
        """A process that is gone holds no connection; which of them were gone before only some logs tell."""
        found = self._workers.get(pid)
        if found is None and list(self._workers) == [""]:
            found = self._workers[""]
        if found is None:
            return
        self._worker = found
        self._give_up(found)
        for life in list(found.open):
            if self._closed:
                self._end(line.wall, life, code, "server")
            else:
                self._gone = True
                self._log(line, what, life.id, "its process is gone; when it ended the log does not say")
        if not self._closed:
            found.open.clear()
            found.accepted.clear()

    # Processes

    def _signalled(self, line: Line, match: re.Match[str]) -> None:
        killed = match["signal"] in _KILLED
        what = "worker-killed" if killed else "worker-exit"
        self._log(line, what)
        # Nobody sends a close frame after SIGKILL.
        code = 1006 if match["signal"] == "SIGKILL" else None
        self._end_all(line, match["pid"], what, code)

    def _worker_gone(self, line: Line, match: re.Match[str]) -> None:
        self._log(line, "worker-exit")
        self._end_all(line, match["pid"], "worker-exit")

    def _finished(self, line: Line, match: re.Match[str]) -> None:
        self._log(line, "exit")
        self._end_all(line, match["pid"], "exit")

    def _exception(self, line: Line, match: re.Match[str]) -> None:
        alone = self._worker.open[0].id if len(self._worker.open) == 1 else None
        if line.more:
            self._log(line, "exception", alone, f"{match[0]}: {last_line(line.more)}")
        else:
            self._traceback = (Traceback(), line, alone)

    def _end_traceback(self) -> None:
        if self._traceback is None:
            return
        traceback, line, connection = self._traceback
        self._traceback = None
        self._log(line, "exception", connection, traceback.raised or line.text)

    def _log(self, line: Line, what: str, connection: str | None = None, text: str | None = None) -> None:
        said = shown(
            re.sub(
                r"^.{0,80}?\[?(?:INFO|WARNING|ERROR|CRITICAL|DEBUG|TRACE)\]?:? *(?:uvicorn(?:\.\w+)?:? +)?",
                "",
                text or line.text,
            )
        )
        self._add(line.wall, Logged, connection, by="server", what=what, text=said)

    # HTTP beside

    def _http(self, wall: float, method: str, target: str, status: int) -> None:
        what = purpose(method, target)
        self._untimed = 1
        if what == "health" and method in ("GET", "HEAD"):
            self._add(wall, HealthChecked, None, method=method, healthy=200 <= status < 400, seconds=0.0, status=status)
            return
        self._exchanges += 1
        exchange, url = str(self._exchanges), self._collector.redactor.text(target)
        self._add(wall, HttpRequested, None, exchange=exchange, method=method, url=url, purpose=what)
        fields = {"exchange": exchange, "status": status, "seconds": 0.0, "purpose": what, "method": method}
        self._add(wall, HttpAnswered, None, **fields)
