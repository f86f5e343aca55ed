"""Error log of nginx: why the proxy ended or refused a connection, and when it reloaded.

A line names its connection by a number (``*45``), which is nginx's own count of TCP connections from clients. That an
idle WebSocket was ended (``proxy_read_timeout``) is written at level info, so it is missing at the default level.
"""

from __future__ import annotations

import re

from chatkit.events import AttemptFailed, EndReported, Logged, UpgradeRequested
from chatkit.formats.collector import Collector
from chatkit.formats.loglines import Line, Lines, shown
from chatkit.formats.purposes import is_socket
from chatkit.formats.source import Options, Source
from chatkit.trace import Trace

FORMAT = "nginx-error"
TITLE = "error log of nginx"
NOT_VISIBLE = (
    "handshake",
    "http-status",
    "frames",
    "payloads",
    "sizes",
    "sent",
    "received",
    "pings",
    "close-code",
    "transport-end",
    "tcp",
    "compression",
    "http",
    "client-side",
    "server-side",
)

_LEVELS = "debug|info|notice|warn|error|crit|alert|emerg"
_LINE = re.compile(
    r"^[^\[]{0,4}\[?(?P<level>"
    + _LEVELS
    + r")\]? (?P<pid>\d{1,10})#\d{1,20}: (?:\*(?P<number>\d{1,19}) )?(?P<text>.*)$"
)
_SNIFF = re.compile(
    rb"(?:^|\n)[^\n]{0,60}\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[(?:" + _LEVELS.encode() + rb")\] \d{1,10}#\d{1,20}: "
)
_REQUEST = re.compile(r", request: \"[A-Z]{3,10} (\S{1,8192}?)(?: HTTP/[\d.]{1,3})?\"")
_HOST = re.compile(r", host: \"([^\"\s]{1,256})\"")
_UPGRADED = "proxying upgraded connection"

_FACTS: tuple[tuple[re.Pattern[str], str, str | None], ...] = tuple(
    (re.compile(pattern), what, by)
    for pattern, what, by in (
        (r"upstream timed out", "upstream-timeout", None),
        (r"upstream prematurely closed connection", "upstream-closed", "server"),
        (r"client (?:prematurely )?closed (?:prematurely )?connection|closed by client", "client-closed", "client"),
        (r"(?:recv|send|readv|writev|sendfile|SSL_\w+)\(\) failed \((?:104|32)", "upstream-reset", None),
        (r"connect\(\) (?:to \S{1,200} )?failed \(111", "upstream-refused", "server"),
        (r"connect\(\) (?:to \S{1,200} )?failed", "upstream-unreachable", None),
        (r"no live upstreams", "upstream-none", None),
        (r"upstream sent ", "upstream-error", "server"),
        (r"limiting requests", "rate-limited", None),
        (r"limiting connections", "connection-limit", None),
        (r"could not be resolved|host not found in upstream", "upstream-unresolved", None),
        (r"worker_connections are not enough", "connection-limit", None),
        (r"too many open files|Too many open files", "connection-limit", None),
    )
)
"""What a line with a connection's number says, its word, and whose doing it is."""

_PROCESS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), what)
    for pattern, what in (
        (r"^reconfiguring$", "reload"),
        (r"^gracefully shutting down$", "worker-stopping"),
        (r"^worker process \d+ exited on signal \d+", "worker-killed"),
        (r"^worker process \d+ exited with (?:fatal )?code [1-9]", "worker-exit"),
        (r"^signal \d+ \(SIG(?:TERM|QUIT|INT)\) received.*, (?:exiting|shutting down)", "stop"),
        (r"^start worker processes$", "start"),
        (r"worker_connections are not enough|[Tt]oo many open files", "connection-limit"),
    )
)


def sniff(start: bytes) -> bool:
    """Whether a file that begins so is an error log of nginx: time, level, process and thread."""
    return _SNIFF.search(start) is not None


def read(source: Source, options: Options) -> Trace:
    """Reads the log.

    Raises:
        ImportFailed: no line of it is one of nginx.
    """
    return _Reader(source, options).run()


class _Reader:
    def __init__(self, source: Source, options: Options) -> None:
        self._collector = Collector(source, FORMAT, NOT_VISIBLE, options)
        self._lines = Lines(self._collector, "a line such as 2026/11/24 08:02:54 [info] 7#7: *10 upstream timed out …")
        self._ids: dict[str, str] = {}
        self._info = False

    def run(self) -> Trace:
        for line in self._lines:
            match = _LINE.match(line.text)
            if match is None:
                self._lines.skip()
                continue
            self._lines.used()
            self._info = self._info or match["level"] in ("info", "debug")
            if match["number"] is None:
                self._process(line, match)
            else:
                self._connection(line, match)
        self._collector.warn("the log tells times to the second")
        if not self._info:
            self._collector.warn(
                "the log has no line of level info: that nginx ended an idle WebSocket would not stand in it "
                "(error_log … info; shows it)"
            )
        self._lines.finish()
        return self._collector.build()

    def _process(self, line: Line, match: re.Match[str]) -> None:
        text = match["text"].rstrip()
        what = next((what for pattern, what in _PROCESS if pattern.search(text)), None)
        if what is None and match["level"] in ("error", "crit", "alert", "emerg"):
            what = "error"
        if what is not None:
            self._collector.add(line.wall, Logged, by="proxy", what=what, text=shown(text))

    def _connection(self, line: Line, match: re.Match[str]) -> None:
        text = match["text"]
        said = text.partition(", client: ")[0]
        target = _REQUEST.search(text)
        upgraded = _UPGRADED in said
        socket = upgraded or (target is not None and is_socket(target[1]))
        found = next(((what, by) for pattern, what, by in _FACTS if pattern.search(said)), None)
        if found is None:
            if match["level"] not in ("warn", "error", "crit", "alert", "emerg"):
                return
            found = ("error", None)
        if found[0] == "client-closed" and target is None:
            return  # A connection that never asked for anything.
        what, by = self._side(said, *found)
        id = self._id(match) if socket else None
        if id is not None and not upgraded:
            self._asked(line, id, text, target)
        self._collector.add(line.wall, Logged, id, by="proxy", what=what, text=shown(text))
        if id is None:
            return
        if upgraded:
            self._collector.add(line.wall, EndReported, id, by=by, source="nginx")
        elif match["level"] != "warn" and what not in ("upstream-error", "error"):
            self._collector.add(line.wall, AttemptFailed, id, stage="upgrade", error=shown(said))

    def _side(self, said: str, what: str, by: str | None) -> tuple[str, str | None]:
        """Whose reset it was: once upgraded, nginx does not say which of the two it was reading from."""
        if what != "upstream-reset":
            return what, by
        if _UPGRADED in said:
            return "connection-reset", None
        return ("upstream-reset", "server") if "upstream" in said else ("client-reset", "client")

    def _asked(self, line: Line, id: str, text: str, target: re.Match[str] | None) -> None:
        if target is None:
            return
        host = _HOST.search(text)
        headers = [("Host", host[1])] if host else []
        path = self._collector.redactor.text(target[1])
        self._collector.add(line.wall, UpgradeRequested, id, target=path, headers=headers)

    def _id(self, match: re.Match[str]) -> str:
        # Numbers start anew with a new master: its workers have other process ids.
        key = f"{match['pid']}*{match['number']}"
        return self._ids.setdefault(key, str(len(self._ids) + 1))
