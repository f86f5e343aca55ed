"""Debug log of the Python library ``websockets``, of a client or a server, with whatever stands in front of a line.

Today's dialect marks lines: ``=`` state, ``<`` and ``>`` HTTP and frames, ``%`` keepalive, ``-`` its time-out, ``x``
TCP, ``!`` trouble. Before version 10 they began with the side: ``client > Frame(fin=True, opcode=9, …)``.

Sizes are those before compression. A log names no connection unless the program put an id in front of the line.
"""

from __future__ import annotations

import re
from typing import Any

from chatkit.events import (
    FrameReceived,
    FrameSent,
    Logged,
    PingReceived,
    PingSent,
    PongReceived,
    PongSent,
    RetryScheduled,
)
from chatkit.formats.collector import Collector
from chatkit.formats.loglines import Line, Lines, shown
from chatkit.formats.source import Options, Source
from chatkit.formats.tracebacks import Traceback
from chatkit.formats.websockets_lives import Life, Lives
from chatkit.trace import Trace

FORMAT = "websockets-log"
TITLE = "debug log of the Python library websockets"
NOT_VISIBLE = ("transport-end", "tcp", "compression", "http")

_FRONT = r"^(?P<front>(?:.{0,300}?[\s:\]|)>-])??)"
_OLD = r"(?:(?P<side>client|server) )?"
_SHAPES: dict[str, re.Pattern[str]] = {
    name: re.compile(_FRONT + _OLD + shape)
    for name, shape in {
        "state": r"(?:= connection is|- state =) (?P<state>CONNECTING|OPEN|CLOSING|CLOSED)"
        r"(?:, code = (?P<code>\d{1,5}), reason = (?P<reason>.*))?$",
        "request": r"(?P<mark>[<>]) (?P<method>[A-Z]{3,10}) (?P<target>\S+) HTTP/1\.\d$",
        "response": r"(?P<mark>[<>]) HTTP/1\.\d (?P<status>\d{3})(?: (?P<reason>.*))?$",
        "headers": r"(?P<mark>[<>]) Headers\(\[?(?P<headers>.*)\]?\)$",
        "frame": r"(?P<mark>[<>]) (?P<opcode>TEXT|BINARY|CONT|PING|PONG|CLOSE) (?P<data>.*) "
        r"\[(?:(?P<type>text|binary), )?(?P<size>\d{1,12}) bytes?(?P<more>, continued)?\]$",
        "old": r"(?P<mark>[<>]) Frame\(fin=(?P<fin>True|False), "
        r"opcode=(?:<?Opcode\.?)?(?P<opcode>\w+)(?:: (?P<number>\d+)>)?, data=(?P<data>b(?:'.*'|\".*\")), "
        r"rsv1=(?:True|False), rsv2=(?:True|False), rsv3=(?:True|False)\)$",
        "eof": r"(?P<mark>[<>]) EOF$",
        "event": r"- event = (?P<event>eof_received|connection_lost|connection_made|data_received)\((?P<detail>.*)\)$",
        "body": r"(?P<mark>[<>]) \[body\] \(\d+ bytes\)$",
        "header": r"(?P<mark>[<>]) (?P<name>[A-Za-z0-9!#$&'*+.^_`|~-]{1,100}): (?P<value>.*)$",
        "keepalive": r"% (?:sent|received|sending) keepalive (?:ping|pong)$"
        r"|- received (?:solicited|unsolicited) pong.*$",
        "timeout": r"[-!] timed out waiting for (?:keepalive )?pong$",
        "tcp": r"x (?P<how>half-closing|closing|aborting) TCP connection$",
        "trouble": r"! (?P<text>\S.*)$",
        "retry": r"connect failed; reconnecting in (?P<delay>\d{1,7}(?:\.\d{1,6})?) seconds: (?P<text>.*)$",
        "failed": r"(?P<text>connection handler failed|opening handshake failed|parser failed|data transfer failed|"
        r"unexpected internal error|keepalive ping failed|unexpected exception in connection handler|"
        r"Exception in ASGI application|Error in connection handler|Error in data transfer)$",
        "news": r"(?P<text>server listening on .{1,200}|server closing|server closed|"
        r"Started server process \[\d+\]|Shutting down|"
        r"connection (?:open|closed|rejected \(\d{3} [\w -]*\)))$",
    }.items()
}  # fmt: skip
_SNIFF = re.compile(
    rb"= connection is (?:CONNECTING|OPEN|CLOSING|CLOSED)\r?$"
    rb"|[<>] (?:TEXT|BINARY|CONT|PING|PONG|CLOSE) .{0,2000} \[(?:\w+, )?\d+ bytes?(?:, continued)?\]\r?$"
    rb"|(?:client|server) (?:[<>] Frame\(fin=|- state = (?:CONNECTING|OPEN|CLOSING|CLOSED))",
    re.MULTILINE,
)
_ID = re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b")
_LOGGER = re.compile(r"websockets\.(?:\w+\.)?(client|server)\b")
_CLOSE = re.compile(r"(\d{3,5})(?: \([^)]{0,60}\))? ?(.*)$", re.DOTALL)
_PAIR = re.compile(r"\('((?:[^'\\]|\\.)*)', [\"']((?:[^'\"\\]|\\.)*)[\"']\)")
_OPCODES = {"0": "CONT", "1": "TEXT", "2": "BINARY", "8": "CLOSE", "9": "PING", "10": "PONG"}
_SHORTENED = "..."
_ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|.)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "'": "'", '"': '"'}


def sniff(start: bytes) -> bool:
    """Whether a file that begins so is such a log: a state or a frame as the library writes them."""
    return _SNIFF.search(start) is not None


def read(source: Source, options: Options) -> Trace:
    """Reads the log.

    Raises:
        ImportFailed: no line of it is one of the library.
    """
    return _Reader(source, options).run()


class _Reader:
    def __init__(self, source: Source, options: Options) -> None:
        self._collector = Collector(source, FORMAT, NOT_VISIBLE, options)
        self._lines = Lines(self._collector, "lines such as “= connection is OPEN” or “> PING … [4 bytes]”")
        self._lives = Lives(self._collector)
        self._traceback: tuple[Traceback, Line, Life | None, str, str] | None = None
        self._shortened = 0

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
        self._lives.finish(timed="timing" not in self._collector.not_visible)
        self._lines.finish()
        if len(self._lives.sides) == 1:
            other = {"client": "server-side", "server": "client-side"}
            self._collector.not_visible.add(other[next(iter(self._lives.sides))])
        if self._shortened:
            self._collector.not_visible.add("payloads")
            self._collector.warn(
                f"messages shortened in the log itself: {self._shortened:,}; their beginning and end are shown "
                "(WEBSOCKETS_MAX_LOG_SIZE in the program's environment makes it longer)"
            )
        return self._collector.build()

    def _one(self, line: Line) -> bool:
        for name, shape in _SHAPES.items():
            if (match := shape.match(line.text)) is not None:
                front = line.front + match["front"]
                key, side = _ID.search(front), _LOGGER.search(front)
                who = match["side"] or (side[1] if side else None)
                self._lives.turn(key[0] if key else None, who)
                return bool(getattr(self, f"_{name}")(line, match))
        return False

    # One method per shape: whether the line was understood.

    def _state(self, line: Line, match: re.Match[str]) -> bool:
        code = int(match["code"]) if match["code"] else None
        self._lives.state(line.wall, match["state"], code)
        return True

    def _request(self, line: Line, match: re.Match[str]) -> bool:
        self._lives.request(line.wall, match["mark"], match["target"])
        return True

    def _response(self, line: Line, match: re.Match[str]) -> bool:
        self._lives.response(line.wall, match["mark"], int(match["status"]), match["reason"] or "")
        return True

    def _headers(self, line: Line, match: re.Match[str]) -> bool:
        pairs = [self._lives.header(match["mark"], pair[1], pair[2]) for pair in _PAIR.finditer(match["headers"])]
        return any(pairs)

    def _header(self, line: Line, match: re.Match[str]) -> bool:
        return self._lives.header(match["mark"], match["name"], match["value"])

    def _body(self, line: Line, match: re.Match[str]) -> bool:
        return True

    def _keepalive(self, line: Line, match: re.Match[str]) -> bool:
        return True

    def _tcp(self, line: Line, match: re.Match[str]) -> bool:
        self._lives.leaving(line.wall)
        return True

    def _eof(self, line: Line, match: re.Match[str]) -> bool:
        self._lives.eof(line.wall, match["mark"])
        return True

    def _event(self, line: Line, match: re.Match[str]) -> bool:
        if match["event"] == "eof_received":
            self._lives.eof(line.wall, "<")
        elif match["event"] == "connection_lost":
            self._lives.lost(line.wall, match["detail"])
        return True

    def _timeout(self, line: Line, match: re.Match[str]) -> bool:
        return self._log(line, self._lives.active(), "keepalive-timeout", match.string[match.end("front") :])

    def _trouble(self, line: Line, match: re.Match[str]) -> bool:
        self._traceback = (Traceback(), line, self._lives.active(), "error", match["text"])
        return True

    def _failed(self, line: Line, match: re.Match[str]) -> bool:
        self._traceback = (Traceback(), line, self._lives.latest(), "exception", match["text"])
        return True

    def _news(self, line: Line, match: re.Match[str]) -> bool:
        what = {"server listening": "start", "Started": "start", "server closing": "stop", "Shutting": "stop"}
        found = next((word for text, word in what.items() if match["text"].startswith(text)), None)
        if found:
            self._collector.add(line.wall, Logged, by="server", what=found, text=shown(match["text"]))
        return True

    def _retry(self, line: Line, match: re.Match[str]) -> bool:
        life = self._lives.failed(line.wall, match["text"])
        because = shown(match["text"])
        count = self._lives.retries = self._lives.retries + 1
        self._collector.add(
            line.wall, RetryScheduled, life.id, attempt=count, delay=float(match["delay"]), because=because
        )
        return True

    def _old(self, line: Line, match: re.Match[str]) -> bool:
        opcode = _OPCODES.get(match["number"] or match["opcode"], match["opcode"])
        payload = _literal(match["data"])
        if opcode not in _OPCODES.values() or not isinstance(payload, bytes):
            return False
        if opcode == "CLOSE":
            code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else None
            self._lives.close(line.wall, match["mark"], code, payload[2:].decode("utf-8", "replace"))
        elif opcode in ("PING", "PONG"):
            self._control(line, match["mark"], opcode, payload)
        else:
            text = payload.decode("utf-8", "replace") if opcode != "BINARY" else None
            self._data(line, match["mark"], opcode, text, payload, len(payload), match["fin"] == "True")
        return True

    def _frame(self, line: Line, match: re.Match[str]) -> bool:
        opcode, data, size = match["opcode"], match["data"], int(match["size"])
        if opcode == "CLOSE":
            found = _CLOSE.match(data)
            self._lives.close(line.wall, match["mark"], int(found[1]) if found else None, found[2] if found else "")
            return True
        text = _literal(data) if data[:1] in ("'", '"') else None
        raw = _hex(data) if text is None else str(text).encode("utf-8")
        if opcode in ("PING", "PONG"):
            self._control(line, match["mark"], opcode, raw)
            return True
        if size > len(raw) and _SHORTENED in data:
            self._shortened += 1
        self._data(line, match["mark"], opcode, None if text is None else str(text), raw, size, match["more"] is None)
        return True

    def _data(self, line: Line, mark: str, opcode: str, text: str | None, raw: bytes, size: int, fin: bool) -> None:
        life = self._lives.frame(line.wall, mark)
        kind = FrameSent if life.sent(mark) else FrameReceived
        if fin and opcode != "CONT" and size == len(raw) and not life.echo:
            self._collector.message(line.wall, kind, life.id, raw if opcode == "BINARY" else text or "")
            return
        names = {"TEXT": "text", "BINARY": "binary", "CONT": "continuation"}
        fields: dict[str, Any] = {"opcode": names[opcode], "size": size, "fin": fin}
        # A piece of a message is not the message: only what was cut by the log shows its beginning.
        if fin and opcode != "CONT" and text is not None:
            fields["text"] = self._collector.redactor.prefix(text.encode("utf-8", "replace")).decode("utf-8", "replace")
        life.add(self._collector, line.wall, kind, **fields)

    def _control(self, line: Line, mark: str, opcode: str, payload: bytes) -> None:
        life = self._lives.control(line.wall, mark, opcode, payload)
        sent = life.sent(mark)
        shown_payload = self._collector.redactor.clean(payload).hex()
        if opcode == "PING":
            life.pings[sent][payload] = line.wall
            life.add(self._collector, line.wall, PingSent if sent else PingReceived, payload=shown_payload)
            return
        asked = life.pings[not sent].pop(payload, None)
        took = None if asked is None or "timing" in self._collector.not_visible else round(line.wall - asked, 6)
        if sent:
            life.add(self._collector, line.wall, PongSent, payload=shown_payload, delay=took)
        else:
            life.add(self._collector, line.wall, PongReceived, payload=shown_payload, rtt=took)

    def _log(self, line: Line, life: Life | None, what: str, text: str) -> bool:
        by = (life.side if life is not None else None) or self._lives.side or "client"
        if life is None or not life.echo:
            self._collector.add(
                line.wall, Logged, None if life is None else life.id, by=by, what=what, text=shown(text)
            )
        return True

    def _end_traceback(self) -> None:
        if self._traceback is None:
            return
        traceback, line, life, what, text = self._traceback
        self._traceback = None
        raised = traceback.raised
        self._log(line, life, what, f"{text}: {raised}" if raised else text)


def _literal(text: str) -> str | bytes | None:
    """A text or bytes as Python writes them; ``None`` for anything else, a cut one included."""
    raw = text.startswith("b")
    inner = text[1:] if raw else text
    if len(inner) < 2 or inner[0] not in "'\"" or inner[-1] != inner[0]:
        return None
    plain = _ESCAPE.sub(_unescape, inner[1:-1])
    return plain.encode("latin-1", "replace") if raw else plain


def _unescape(match: re.Match[str]) -> str:
    word = match[1]
    if len(word) > 1:
        number = int(word[1:], 16)
        return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
    return _ESCAPES.get(word, match[0])


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text.partition(_SHORTENED)[0])
    except ValueError:
        return b""
