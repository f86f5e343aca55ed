"""Console of a browser: what the page and the browser itself wrote there.

Read are DevTools' "Save as" (``chat.js:42 message``, without times), the same with times shown
(``18:02:11.402 chat.js:42 message``), and Chromium's stderr (``[pid:tid:MMDD/hhmmss.uuuuuu:INFO:CONSOLE:42] "message",
source: URL (42)``). What an application's lines mean is data: see ``chatkit.formats.console_patterns`` for the shape of
a team's own file (``--pattern FILE``).

A page tells what its API tells: a close code without direction, 1006 for whatever was no close frame.
"""

from __future__ import annotations

import re

from chatkit.events import (
    AttemptFailed,
    AttemptStarted,
    EndReported,
    FrameReceived,
    FrameSent,
    HealthChecked,
    HttpAnswered,
    HttpFailed,
    HttpRequested,
    Logged,
    Opened,
    RetryScheduled,
)
from chatkit.formats.collector import Collector
from chatkit.formats.console_patterns import HEAD, load
from chatkit.formats.loglines import Line, Lines, record, shown
from chatkit.formats.purposes import purpose
from chatkit.formats.source import Options, Source
from chatkit.trace import Trace

FORMAT = "console-log"
TITLE = "console of a browser"
NOT_VISIBLE = (
    "handshake",
    "frames",
    "payloads",
    "sent",
    "received",
    "pings",
    "closed-by",
    "transport-end",
    "tcp",
    "compression",
    "server-side",
)
MOST_LINES = 64
"""Lines of one message in Chromium's stderr."""

_CHROME = re.compile(r"^(?:[A-Z]{4,8}\d?):CONSOLE[:(]\d{1,9}\)?\] \"(.*)$", re.DOTALL)
_CHROME_END = re.compile(r"\", source: (\S{0,4096}) \(\d{1,9}\)$")
_OTHER = re.compile(r"^(?:INFO|WARNING|ERROR|FATAL|VERBOSE\d?):[\w./-]{1,200}[:(]\d{1,9}\)?\] ")
_PLACE = re.compile(
    r"^(?P<file>(?:[\w.@()?=&%/~+\[\]-]|:(?!\d{1,7}[\s:])){1,300}):\d{1,7}(?::\d{1,7})? {1,4}(?P<text>.*)$"
)
_LABEL = re.compile(r"^\[(?:log|info|warn|warning|error|debug)\] ", re.IGNORECASE)
_DECORATION = re.compile(r"^(?:[^\x00-\x7f\w]|\s){1,16}")
_SNIFF = re.compile(
    rb":CONSOLE[:(]\d{1,9}\)?\] \""
    rb"|WebSocket connection to '[^'\n]{1,4096}' failed"
    rb"|Chat WebSocket (?:connected|disconnected)|WebSocket message (?:received|sent): ?\{"
)
_FILES = re.compile(
    rb"^(?:\d\d:\d\d:\d\d\.\d{3} )?\S{1,300}\.(?:m?jsx?|tsx?|vue|svelte|html?)(?:\?\S{0,200})?:\d{1,7}(?::\d{1,7})? ",
    re.MULTILINE,
)
_CUT = ("…", "...")


def sniff(start: bytes) -> bool:
    """Whether a file that begins so is such a console: Chromium's mark, known words, or lines that name scripts."""
    return _SNIFF.search(start) is not None or len(_FILES.findall(start[:8192])) >= 2


def read(source: Source, options: Options) -> Trace:
    """Reads the console.

    Raises:
        ImportFailed: no line of it says anything about a WebSocket.
        InvalidInput: the file of patterns cannot be used.
    """
    return _Reader(source, options).run()


class _Life:
    def __init__(self, id: str) -> None:
        self.id = id
        self.opened = self.failed = False
        self.sending: list[str] = []
        """Texts that were said to be on their way, and not yet to be sent."""


class _Reader:
    def __init__(self, source: Source, options: Options) -> None:
        self._patterns = load(options.patterns)
        self._collector = Collector(source, FORMAT, NOT_VISIBLE, options)
        self._lines = Lines(self._collector, "a line of the page or browser about a WebSocket (--pattern names others)")
        self._life: _Life | None = None
        self._open: list[_Life] = []
        self._count = self._exchanges = self._cut = self._guessed = 0
        self._seen: set[str] = set()
        self._unsure = self._untimed = False
        self._part: tuple[Line, list[str]] | None = None

    def run(self) -> Trace:
        for line in self._lines:
            message = self._message(line)
            if message is None:
                continue
            first, text, place = message
            if self._one(first, text, place):
                self._lines.used()
            else:
                self._lines.skip()
        self._say()
        self._lines.finish()
        return self._collector.build()

    def _say(self) -> None:
        seen = self._seen
        self._collector.not_visible -= {word for word in ("sent", "received") if word in seen}
        if seen & {"sent", "received"}:
            self._collector.not_visible -= {"frames"} | (set() if self._cut else {"payloads"})
        if self._cut:
            self._collector.not_visible.add("sizes")
            self._collector.warn(f"messages that the console shows in part only: {self._cut:,}")
        if "uncoded" in seen:
            self._collector.not_visible.add("close-code")
        if self._guessed:
            self._collector.warn(
                f"several connections were open at once and lines do not say whose they are: {self._guessed:,} were "
                "given to the one opened last"
            )
        if self._unsure:
            self._collector.warn("the console begins with an end: connection 1 may have been open before")
        if self._untimed:
            self._collector.warn("the console does not say how long HTTP requests took: 0 s stands for it")

    # Lines

    def _message(self, line: Line) -> tuple[Line, str, str] | None:
        """A whole message with its first line and the place that wrote it; ``None`` while it is not whole."""
        text = line.text
        if self._part is not None and not line.dated:
            self._part[1].append(text)
            if _CHROME_END.search(text[-4200:]) is None and len(self._part[1]) < MOST_LINES:
                return None
            first, parts = self._part
            self._part = None
            return self._whole(first, "\n".join(parts))
        self._part = None
        chrome = _CHROME.match(text)
        if chrome is None:
            place = _PLACE.match(text)
            return (line, place["text"], place["file"]) if place else (line, _LABEL.sub("", text), "")
        if _CHROME_END.search(text[-4200:]) is None:
            self._part = (line, [chrome[1]])
            return None
        return self._whole(line, chrome[1])

    def _whole(self, line: Line, text: str) -> tuple[Line, str, str]:
        end = _CHROME_END.search(text, max(0, len(text) - 4200))
        return (line, text[: end.start()], end[1]) if end else (line, text, "")

    def _one(self, line: Line, text: str, place: str) -> bool:
        if _OTHER.match(text):
            return False
        text = _DECORATION.sub("", text)
        head = text[:HEAD]
        for pattern in self._patterns:
            if (match := pattern.match.match(head)) is not None:
                groups = {name: value for name, value in match.groupdict().items() if value is not None}
                for name in groups:
                    if match.end(name) == HEAD and len(text) > HEAD:
                        groups[name] += text[HEAD:]
                getattr(self, "_" + pattern.event.replace("-", "_"))(line.wall, groups, text, place)
                return True
        return False

    # One method per event: wall time, named groups, the whole text, the place that wrote it.

    def _ignored(self, wall: float, groups: dict[str, str], text: str, place: str) -> None:
        pass

    def _attempt(self, wall: float, groups: dict[str, str], text: str, place: str) -> None:
        life = self._new()
        url = self._collector.redactor.text(groups.get("url", ""))
        self._collector.add(wall, AttemptStarted, life.id, url=url)

    def _opened(self, wall: float, groups: dict[str, str], text: str, place: str) -> None:
        life = self._pending() or self._new()
        if "url" in groups:
            self._collector.add(wall, AttemptStarted, life.id, url=self._collector.redactor.text(groups["url"]))
        life.opened = True
        self._open.append(life)
        self._collector.add(wall, Opened, life.id)

    def _closed(self, wall: float, groups: dict[str, str], text: str, place: str) -> None:
        code = _whole(groups.get("code"))
        reason = groups.get("reason", "").strip()
        if reason in ("Unknown reason", "No reason provided", "No reason"):
            reason = ""  # The application's word for none.
        if not self._open and (pending := self._pending(failed=True)) is not None:
            self._never_opened(wall, pending, code)
            self._life = None
            return
        if not self._open and code in (None, 1006):
            self._unsure = self._unsure or self._count == 0
            self._never_opened(wall, self._new(), code)
            self._life = None
            return
        life = self._current()
        if code is None:
            self._seen.add("uncoded")
        self._collector.add(wall, EndReported, life.id, code=code, reason=reason[:1000], source="browser")
        self._open = [one for one in self._open if one is not life]

    def _never_opened(self, wall: float, life: _Life, code: int | None) -> None:
        if not life.failed:
            life.failed = True
            error = f"closed {code or 'without code'} before it opened: the browser tells no reason"
            self._collector.add(wall, AttemptFailed, life.id, stage="upgrade", error=error)

    def _failed(self, wall: float, groups: dict[str, str], text: str, place: str) -> None:
        error = groups.get("error", "").strip() or "the browser tells no reason"
        status = _whole(groups.get("status"))
        if self._open and status is None and "net::ERR" not in error:
            # On a live connection the same words tell of a broken frame.
            self._collector.add(wall, Logged, self._current().id, by="client", what="error", text=shown(text))
            return
        life = self._pending() or self._new()
        if "url" in groups:
            self._collector.add(wall, AttemptStarted, life.id, url=self._collector.redactor.text(groups["url"]))
        life.failed = True
        if status is not None:
            error = f"HTTP {status}"
        self._collector.add(wall, AttemptFailed, life.id, stage=_stage(error), error=shown(error), status=status)

    def _retry(self, wall: float, groups: dict[str, str], text: str, place: str) -> None:
        milliseconds, seconds = groups.get("delay_ms"), groups.get("delay_s")
        delay = _number(milliseconds) / 1000 if milliseconds else _number(seconds)
        attempt = int(_number(groups.get("attempt")))
        self._collector.add(wall, RetryScheduled, self._latest(), attempt=attempt, delay=delay)

    def _gave_up(self, wall: float, groups: dict[str, str], text: str, place: str) -> None:
        self._collector.add(wall, Logged, self._latest(), by="client", what="gave-up", text=shown(text))

    def _error(self, wall: float, groups: dict[str, str], text: str, place: str) -> None:
        life = self._open[-1].id if self._open else None
        self._collector.add(wall, Logged, life, by="client", what="error", text=shown(text))

    def _sending(self, wall: float, groups: dict[str, str], text: str, place: str) -> None:
        life = self._frame(wall, FrameSent, groups["payload"])
        life.sending = [*life.sending[-99:], groups["payload"]]

    def _sent(self, wall: float, groups: dict[str, str], text: str, place: str) -> None:
        waiting = self._open[-1].sending if self._open else []
        if groups["payload"] in waiting:
            waiting.remove(groups["payload"])  # Its "sending" told it already.
            return
        self._frame(wall, FrameSent, groups["payload"])

    def _received(self, wall: float, groups: dict[str, str], text: str, place: str) -> None:
        self._frame(wall, FrameReceived, groups["payload"])

    def _frame(self, wall: float, kind: type[FrameSent] | type[FrameReceived], payload: str) -> _Life:
        payload = payload.strip()
        life = self._current()
        if (
            payload.endswith(_CUT)
            or (payload.startswith("{") and record(payload) is None)
            or payload.startswith("[object")
        ):
            self._cut += 1
        self._seen.add("sent" if kind is FrameSent else "received")
        self._collector.message(wall, kind, life.id, payload)
        return life

    def _health(self, wall: float, groups: dict[str, str], text: str, place: str) -> None:
        self._checked(wall, groups.get("method", "?"), groups.get("status"), shown(text))

    def _http(self, wall: float, groups: dict[str, str], text: str, place: str) -> None:
        url, method, error = groups.get("url", place), groups.get("method", "?"), groups.get("error")
        path = re.sub(r"^https?://[^/\s]{0,300}", "", url)
        path = path if path.startswith("/") else f"/{path}"
        what = purpose(method, path)
        if what == "health":
            self._checked(wall, method, groups.get("status"), error)
            return
        self._exchanges += 1
        self._untimed = True
        exchange, url = str(self._exchanges), self._collector.redactor.text(url)
        add = self._collector.add
        add(wall, HttpRequested, None, exchange=exchange, method=method, url=url, purpose=what)
        status = _whole(groups.get("status"))
        if status is None:
            add(wall, HttpFailed, None, exchange=exchange, error=error or "", seconds=0.0, purpose=what, method=method)
        else:
            add(wall, HttpAnswered, None, exchange=exchange, status=status, seconds=0.0, purpose=what, method=method)

    def _checked(self, wall: float, method: str, status: str | None, error: str | None) -> None:
        self._untimed = True
        code = _whole(status)
        healthy = code is not None and 200 <= code < 400
        told = None if code is not None else error
        self._collector.add(
            wall, HealthChecked, None, method=method, healthy=healthy, seconds=0.0, status=code, error=told
        )

    # Which connection

    def _new(self) -> _Life:
        self._count += 1
        self._life = _Life(str(self._count))
        return self._life

    def _pending(self, *, failed: bool = False) -> _Life | None:
        """The attempt that has not come to anything yet; also one that failed, where that is asked for."""
        life = self._life
        return life if life is not None and not life.opened and (failed or not life.failed) else None

    def _current(self) -> _Life:
        """The open connection; a console that begins in the middle has one already."""
        if len(self._open) > 1:
            self._guessed += 1
        if not self._open:
            life = self._pending() or self._new()
            life.opened = True
            self._open.append(life)
        return self._open[-1]

    def _latest(self) -> str | None:
        return str(self._count) if self._count else None


def _stage(error: str) -> str:
    """The step that failed, by Chromium's name of the error."""
    if "ERR_NAME" in error:
        return "dns"
    if "ERR_CERT" in error or "ERR_SSL" in error:
        return "tls"
    return "tcp" if re.search(r"ERR_(?:CONNECTION|ADDRESS|TIMED|NETWORK|INTERNET|PROXY|TUNNEL)", error) else "upgrade"


def _number(text: str | None) -> float:
    """A number of a retry, within reason; 0 for anything else."""
    try:
        value = float(text or 0)
    except ValueError:
        return 0.0
    return value if 0 <= value <= 1e9 else 0.0


def _whole(text: str | None) -> int | None:
    """A status or close code."""
    return int(text) if text is not None and text.isdecimal() and len(text) <= 5 else None
