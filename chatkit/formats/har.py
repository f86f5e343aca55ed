"""HAR 1.2 with WebSocket messages, as Chrome, Firefox, Playwright, mitmproxy, HTTP Toolkit and chatkit write it.

They differ in what an entry's time covers, in the unit of a message's time, and in how they tell a refusal and an end;
``creator.name`` says who wrote the file. None of them shows pings; an end is read only where the dialect shows one.
"""

from __future__ import annotations

import base64
import operator
import re
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from chatkit.errors import ImportFailed
from chatkit.events import (
    KIND_BY_NAME,
    KIND_CODE,
    KINDS,
    AttemptFailed,
    AttemptStarted,
    CloseReceived,
    CloseSent,
    EndReported,
    Event,
    FrameReceived,
    FrameSent,
    HealthChecked,
    HttpAnswered,
    HttpFailed,
    HttpRequested,
    Logged,
    Opened,
    PingReceived,
    PingSent,
    PongReceived,
    PongSent,
    UpgradeAnswered,
    UpgradeRequested,
)
from chatkit.formats.collector import Collector
from chatkit.formats.har_entry import Entry, headers, number, table, text, unix, whole
from chatkit.formats.har_rest import entries_of
from chatkit.formats.har_stream import Message, decode_lines, split
from chatkit.formats.purposes import purpose
from chatkit.trace import Trace
from chatkit.visibility import NOT_VISIBLE as WORDS

if TYPE_CHECKING:
    from chatkit.formats.source import Options, Source

FORMAT = "har"
TITLE = "HAR (browser, Playwright, mitmproxy, HTTP Toolkit)"
NOT_VISIBLE: tuple[str, ...] = (
    "pings",
    "close-code",
    "closed-by",
    "transport-end",
    "tcp",
    "compression",
    "client-side",
    "server-side",
)
"""A file that has no messages, or that has close codes, says so itself."""
UNSEEN = ("frames", "payloads", "sizes", "sent", "received")
SAID = 500
"""Characters of an error or a body that are kept."""
LAST = 1 << 60
"""Rank of what ends a connection."""
AT_ONCE = 2000
"""Messages that are looked at for secrets together."""

_LOG = re.compile(rb'"log"\s*:\s*\{')
_CODE = re.compile(r"response code: (\d{3})")
_DIALECTS = {
    "webinspector": "chrome",
    "firefox": "firefox",
    "playwright": "playwright",
    "mitmproxy": "mitmproxy",
    "http toolkit": "http-toolkit",
    "chatkit": "chatkit",
}
_NAMES = {"chrome": "browser", "firefox": "browser", "playwright": "browser", "http-toolkit": "HTTP Toolkit"}
_CONTROL: dict[int, tuple[type[Event], type[Event]]] = {
    8: (CloseSent, CloseReceived),
    9: (PingSent, PingReceived),
    10: (PongSent, PongReceived),
}
_STAGES = (
    ("dns", ("NAME_NOT_RESOLVED", "NAME_RESOLUTION", "DNS_")),
    ("tcp", ("CONNECTION_REFUSED", "CONNECTION_TIMED_OUT", "ADDRESS_", "INTERNET_DISCONNECTED", "NETWORK_")),
    ("tls", ("SSL", "CERT", "TLS")),
)


def sniff(start: bytes) -> bool:
    """Whether a file that begins so is a HAR."""
    head = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head.startswith(b"{") or not _LOG.search(head) or b'"constants"' in head[:200]:
        return False
    return b'"entries"' in head or b'"creator"' in head


def read(source: Source, options: Options) -> Trace:
    """Reads a HAR.

    Raises:
        ImportFailed: no entry can be found in it.
    """
    return _Reader(source, options).run()


class _Reader:
    def __init__(self, source: Source, options: Options) -> None:
        self.source, self.options = source, options
        self.collector = Collector(source, FORMAT, NOT_VISIBLE, options)
        self.parts: dict[int, _Part] = {}
        self.sockets = 0
        self.opened = 0
        self.exchanges = 0
        self.closes = self.controls = self.lossless = self.ours = False
        self.last = 0.0
        self.dialect = "other"

    def run(self) -> Trace:
        with self.source.open() as stream:
            rest = split(stream, self._take, self.collector.warn)
        log, found = entries_of(rest, self.source.name, self.collector.warn)
        creator = text(table(log, "creator"), "name").lower()
        self.dialect = next((word for name, word in _DIALECTS.items() if creator.startswith(name)), "other")
        self.ours = self.dialect == "chatkit" and isinstance(log.get("_chatkit"), dict)
        for place, plain in enumerate(found, 1):
            self._entry(Entry(plain), place)
        for part in [part for part in self.parts.values() if not part.used]:
            self._orphan(part)
        self._ours(log)
        self._visibility(bool(found))
        if not len(self.collector) and not found:
            raise ImportFailed(
                "the HAR has no entry",
                source=self.source.name,
                expected="log.entries with at least one request",
                remedy="export it once more, with the network panel open before the page connects",
            )
        return self.collector.build()

    def _take(self, number: int, messages: list[Message]) -> None:
        part = self.parts.setdefault(number, _Part(number, len(self.collector)))
        for start in range(0, len(messages), AT_ONCE):
            self._add(part, messages[start : start + AT_ONCE])
        part.stop = len(self.collector)

    def _add(self, part: _Part, messages: list[Message]) -> None:
        times, data, types, opcodes, extras = zip(*map(_COLUMNS, messages), strict=True)
        if set(types) <= _KIND.keys() and set(opcodes) == {1} and not any(extras):
            told = np.array(times)
            walls = np.where(told > 1e14, told / 1e6, np.where(told > 1e11, told / 1e3, told))
            walls = np.where((walls > 1e8) & (walls < 1e11), walls, 0.0)
            part.saw(walls)
            kinds = bytes(map(_CODE_OF.__getitem__, types))
            self.collector.texts(walls, kinds, part.name, data, rank=2 * part.count + 1)
            part.count += len(messages)
            return
        for message in messages:
            self._one(part, message)

    def _one(self, part: _Part, message: Message) -> None:
        wall = unix(message.time) or 0.0
        if message.type not in _KIND:
            part.said.append((wall, message.data)) if message.type == "error" else None
            if message.type != "error":
                self.collector.warn(f"a WebSocket message has the unknown type {message.type[:40]!r} and was left out")
            return
        part.saw(np.array([wall]))
        part.count += 1
        rank = 2 * part.count - 1
        kind = _KIND[message.type]
        if message.opcode in _CONTROL:
            self._control(part, message, wall, rank)
        elif isinstance(message.extra, dict) and _is_frame(message.extra):
            self.collector.add(wall, kind, part.name, rank=rank, **_frame(message))
        elif message.opcode == 2 and (data := _bytes(message.data)) is not None:
            self.collector.message(wall, kind, part.name, data, rank=rank)
        else:
            clean = not self.options.redactor.suspicious(message.data.encode("utf-8", "replace"))
            self.collector.message(wall, kind, part.name, message.data, clean=clean, rank=rank)

    def _control(self, part: _Part, message: Message, wall: float, rank: int) -> None:
        data = _bytes(message.data) or b""
        kind: type[Event] = _CONTROL[message.opcode][message.type == "receive"]
        if message.opcode == 8:
            self.closes = True
            code = int.from_bytes(data[:2], "big") if len(data) >= 2 else None
            reason = data[2:].decode("utf-8", "replace")
            self.collector.add(wall, kind, part.name, rank=rank, code=code, reason=reason)
        else:
            self.controls = True
            self.collector.add(wall, kind, part.name, rank=rank, payload=data[:125].hex())

    def _entry(self, entry: Entry, place: int) -> None:
        if entry.start is None:
            self.collector.warn(f"entry {place} says no time at which it began; that of the one before is taken")
        start = entry.start if entry.start is not None else self.last
        self.last = start
        if entry.is_socket:
            self._socket(entry, start)
        elif self.ours and isinstance(entry.plain.get("_chatkit"), dict):
            pass  # its events stand beside the entries
        elif entry.url.startswith(("http://", "https://")):
            self._exchange(entry, start)

    def _socket(self, entry: Entry, start: float) -> None:
        self.sockets += 1
        name = str(self.sockets)
        part = self._part(entry)
        if part is not None:
            part.used = True
            self.collector.rename({part.name: name})
            if part.untimed:
                self.collector.retime(part.first, part.stop, start)
        told = entry.plain.get("_chatkit")
        if isinstance(told, dict) and isinstance(told.get("events"), list):
            self._told(told["events"], name)
            return
        self._opening(entry, start, name, part)

    def _part(self, entry: Entry) -> _Part | None:
        number = entry.messages
        if number is not None:
            return self.parts.get(number)
        attached = text(table(entry.response, "content"), "_file")
        if not attached or not attached.endswith((".jsonl", ".json")):
            return None
        data = self.source.attached(attached)
        if data is None:
            self.collector.warn(f"the file {attached} with the messages of a WebSocket is not there")
            return None
        if data.lstrip().startswith(b"["):
            data = b"\n".join(_raws(data))
        messages, bad = decode_lines(data)
        if bad:
            self.collector.warn(f"{bad} lines of {attached} are no WebSocket messages")
        number = max(self.parts, default=-1) + 1
        self._take(number, messages)
        return self.parts.get(number)

    def _opening(self, entry: Entry, start: float, name: str, part: _Part | None) -> None:
        add = self.collector.add
        first = part.begin if part is not None and part.begin else float("inf")
        last = part.end if part is not None and part.end else start
        error = next((said for _, said in part.said), "") if part is not None else ""
        error = error or entry.error
        add(min(start, first), AttemptStarted, name, url=entry.socket_url)
        fields = headers(entry.request)
        key = entry.header("sec-websocket-key")
        if key or entry.status > 0:
            add(min(start, first), UpgradeRequested, name, target=entry.target, headers=fields, key=key)
        # Chrome's "wait" runs to the last message; Playwright and HTTP Toolkit tell no time of the answer.
        shaking = (
            entry.shaking(connected=self.dialect == "mitmproxy")
            if part is None or self.dialect not in ("chrome", "playwright")
            else 0.0
        )
        opened = min(start + shaking, first)
        status = entry.status if entry.status > 0 else int(m.group(1)) if (m := _CODE.search(error)) else None
        if status is None and part is not None and part.count:
            status = 101  # messages flowed
        if status is not None:
            add(
                opened,
                UpgradeAnswered,
                name,
                status=status,
                reason=text(entry.response, "statusText"),
                headers=headers(entry.response),
                seconds=round(shaking, 6) if shaking else None,
                body=(entry.body or "")[:SAID] or None if status != 101 else None,
            )
        if status == 101:
            extensions = entry.header("sec-websocket-extensions", answer=True)
            self.opened += 1
            protocol = entry.header("sec-websocket-protocol", answer=True)
            add(opened, Opened, name, extensions=extensions, subprotocol=protocol)
            self._end(entry, start, name, last, part)
        elif status is not None or error:
            failed = error or f"the upgrade was refused with HTTP {status}"
            at = max(opened, *(wall for wall, _ in part.said), 0.0) if part is not None and part.said else opened
            stage = "upgrade" if status is not None else _stage(failed)
            add(at, AttemptFailed, name, rank=LAST, stage=stage, error=failed[:SAID], status=status)

    def _end(self, entry: Entry, start: float, name: str, last: float, part: _Part | None) -> None:
        add = self.collector.add
        source = _NAMES.get(self.dialect, self.dialect if self.dialect != "other" else "HAR")
        for wall, said in (part.said if part is not None else [])[:10]:
            add(wall or last, Logged, name, rank=LAST - 1, by="client", what="error", text=said[:SAID])
        if entry.error and self.dialect == "playwright":
            add(last, Logged, name, rank=LAST - 1, by="client", what="error", text=entry.error[:SAID])
        close = entry.plain.get("_webSocketClose")
        if isinstance(close, dict) or close == "aborted":
            self.closes = True
            told = close if isinstance(close, dict) else {}
            code = whole(told, "code") if isinstance(close, dict) else 1006
            known = code if 1000 <= code <= 4999 else None
            reason = text(told, "reason")[:SAID]
            at = unix(told.get("timestamp")) or start + entry.seconds
            # A connection does not end before its last message: then the time is none of its end.
            timed = at > last
            at = max(at, last)
            add(at, EndReported, name, rank=LAST, code=known, reason=reason, source=source, timed=timed)
        elif self.dialect == "chrome" and entry.receiving > 0 and start + entry.seconds >= last - 0.001:
            add(max(start + entry.seconds, last), EndReported, name, rank=LAST, source=source)

    def _exchange(self, entry: Entry, start: float) -> None:
        add = self.collector.add
        what = purpose(entry.method, entry.target)
        end, seconds, status = start + entry.seconds, round(entry.seconds, 6), entry.status
        error = (entry.error or "no answer")[:SAID]
        if what == "health":
            healthy = 200 <= status < 300
            failed = None if status > 0 else error
            answered = status if status > 0 else None
            add(
                end,
                HealthChecked,
                method=entry.method,
                healthy=healthy,
                seconds=seconds,
                status=answered,
                error=failed,
            )
            return
        self.exchanges += 1
        common: dict[str, Any] = {"exchange": f"h{self.exchanges}", "method": entry.method, "purpose": what}
        add(start, HttpRequested, url=entry.url, **common)
        if status <= 0:
            add(end, HttpFailed, error=error, seconds=seconds, **common)
            return
        wire = whole(entry.response, "_transferSize")
        add(
            end,
            HttpAnswered,
            status=status,
            seconds=seconds,
            sent=entry.bytes_of(entry.request),
            received=wire if wire > 0 else entry.bytes_of(entry.response),
            retry_after=_seconds(entry.header("retry-after", answer=True)),
            detail=(entry.body or "")[:SAID] or None if status >= 400 else None,
            **common,
        )

    def _orphan(self, part: _Part) -> None:
        """Messages whose entry was lost."""
        self.sockets += 1
        self.collector.rename({part.name: str(self.sockets)})
        self.collector.warn(f"the entry around {part.count:,} messages is damaged; they are connection {self.sockets}")
        if part.untimed:
            self.collector.retime(part.first, part.stop, self.last)

    def _ours(self, log: dict[str, Any]) -> None:
        """What an export of chatkit says beside the entries."""
        if not self.ours:
            return
        told = table(log, "_chatkit")
        epoch = number(told, "epoch")
        if epoch is not None and 0 <= epoch < 1e11:
            self.collector.epoch = epoch
        if isinstance(told.get("events"), list):
            self._told(told["events"], None)
        hidden = told.get("not_visible")
        if isinstance(hidden, list):
            words = {word for word in hidden if isinstance(word, str)} & set(WORDS)
            self.collector.not_visible = words
            self.lossless = True

    def _told(self, events: list[Any], name: str | None) -> None:
        bad = 0
        for row in events:
            if not isinstance(row, dict):
                bad += 1
                continue
            wall, after = number(row, "wall"), number(row, "after")
            try:
                event = msgspec.convert(
                    {**row, "id": "0", "at": 0.0, "connection": None}, KINDS[KIND_BY_NAME[row.get("type", "")]]
                )
                plain = msgspec.structs.asdict(event)
            except (msgspec.ValidationError, KeyError, TypeError, RecursionError):
                bad += 1
                continue
            for key in ("id", "at", "connection"):
                del plain[key]
            self.collector.add(wall or 0.0, type(event), name, rank=int(2 * (after or 0)), **plain)
        if bad:
            self.collector.warn(f"{bad} events under _chatkit are none and were left out")

    def _visibility(self, any_entry: bool) -> None:
        if self.lossless:
            return
        hidden = self.collector.not_visible
        if self.closes:
            hidden.discard("close-code")
        if self.controls:
            hidden.discard("pings")
        if self.dialect in ("mitmproxy", "http-toolkit"):
            hidden.add("client-side")
        if self.opened and not self.parts:
            hidden.update(UNSEEN)
        if self.opened and self.dialect in ("playwright", "mitmproxy"):
            self.collector.warn(f"{self.dialect} does not write into a HAR whether and when a WebSocket ended")


class _Part:
    """What is known of one array of messages before its entry is read."""

    def __init__(self, number: int, first: int) -> None:
        self.number, self.first, self.stop = number, first, first
        self.count = 0
        self.begin = self.end = 0.0
        self.untimed = self.used = False
        self.said: list[tuple[float, str]] = []

    @property
    def name(self) -> str:
        return f"array {self.number}"

    def saw(self, walls: np.ndarray[Any, np.dtype[np.float64]]) -> None:
        told = walls[walls > 0]
        self.untimed |= len(told) < len(walls)
        if len(told):
            low, high = float(told.min()), float(told.max())
            self.begin, self.end = min(self.begin or low, low), max(self.end, high)


_KIND: dict[str, type[FrameSent] | type[FrameReceived]] = {"send": FrameSent, "receive": FrameReceived}

_CODE_OF = {name: KIND_CODE[kind] for name, kind in _KIND.items()}
_COLUMNS = operator.attrgetter("time", "data", "type", "opcode", "extra")


def _stage(error: str) -> str:
    return next((stage for stage, words in _STAGES if any(word in error for word in words)), "upgrade")


def _seconds(value: str | None) -> float | None:
    return float(value) if value is not None and value.strip().isascii() and value.strip().isdigit() else None


def _bytes(data: str) -> bytes | None:
    try:
        return base64.b64decode(data, validate=True)
    except ValueError:
        return None


def _raws(data: bytes) -> list[bytes]:
    try:
        return [bytes(raw) for raw in msgspec.json.decode(data, type=list[msgspec.Raw])]
    except (msgspec.DecodeError, RecursionError):
        return [data]


def _is_frame(extra: dict[str, Any]) -> bool:
    return "size" in extra


def _frame(message: Message) -> dict[str, Any]:
    """What our own export says of a frame beside its message."""
    extra = message.extra
    fields: dict[str, Any] = {"size": max(whole(extra, "size"), 0)}
    if message.opcode == 2:
        fields |= {"opcode": "binary", "data": message.data}
    else:
        fields["text"] = message.data.encode("utf-8", "replace").decode()
    if extra.get("compressed") is True:
        fields["compressed"] = True
    if isinstance(extra.get("opcode"), str):
        fields["opcode"] = text(extra, "opcode")[:20]
    if number(extra, "length") is not None:
        fields["length"] = whole(extra, "length")
    if isinstance(extra.get("digest"), str):
        fields["digest"] = text(extra, "digest")[:64]
    return fields
