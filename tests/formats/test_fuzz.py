"""Damaged evidence has two outcomes: a trace, or one error that says what is wrong. Nothing else, whatever comes."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatkit.errors import ImportFailed
from chatkit.formats import IMPORTERS, load
from chatkit.formats.collector import MOST_WARNINGS
from chatkit.trace import EVENT_DECODER, Trace
from formats.templates import TEMPLATES, frame, harmless, tnetstring
from tests.formats.golden import evidence

LONGEST = 1 << 19
"""Bytes of a golden file that are taken into the fuzz."""
ROOM = 64
"""Events that may come out for each byte that went in: none is made out of nothing."""
DEEP = 1_000_000

_FUZZ = settings(
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


class File(NamedTuple):
    """Bytes, and what is needed to read them: keys of a capture, patterns of a console log."""

    data: bytes
    keylog: Path | None = None
    pattern: Path | None = None


def _files() -> dict[str, list[File]]:
    """By format: what the template makes, and the golden files."""
    found = {name: [File(TEMPLATES[name](harmless))] for name in IMPORTERS}
    for path in evidence():
        keys, pattern = (path.with_name(path.name.split(".")[0] + ending) for ending in (".keys", ".toml"))
        file = File(path.read_bytes()[:LONGEST], keys if keys.exists() else None, pattern if pattern.exists() else None)
        found.setdefault(path.parent.name, []).append(file)
    return found


FILES = _files()


def two_outcomes(data: bytes, folder: Path, *, format: str | None = None, like: File | None = None) -> Trace | None:
    """The trace, checked, or ``None`` where the file was refused as it should be."""
    path = folder / "evidence"
    path.write_bytes(data)
    beside = {} if like is None else {"keylog": like.keylog, "pattern": like.pattern}
    try:
        trace = load(path, format=format, **beside)
    except ImportFailed as refused:
        said = str(refused)
        assert refused.what
        assert refused.source
        assert len(said) < 3000
        said.encode()
        return None
    sound(trace, len(data))
    return trace


def sound(trace: Trace, size: int) -> None:
    """Whatever was read is a trace like any other."""
    assert len(trace) <= ROOM * (size + 16)
    assert len(trace.at) == len(trace.kind) == len(trace.size) == len(trace.connection_code) == len(trace.rows)
    assert np.isfinite(trace.at).all()
    assert np.isfinite(trace.epoch)
    if trace.origin.kind == "file":
        assert (np.diff(trace.at) >= 0).all()
    for row in list(trace.rows)[:200]:
        EVENT_DECODER.decode(row)
    str(trace).encode()
    msgspec.json.encode(trace.header)
    assert len(trace.warnings) <= MOST_WARNINGS + 20
    assert all(len(warning) < 3000 for warning in trace.warnings)


@pytest.mark.parametrize("name", IMPORTERS)
def test_whole(name: str, tmp_path: Path) -> None:
    """What the damage starts from is sound, and is known by its content."""
    trace = two_outcomes(FILES[name][0].data, tmp_path)
    assert trace is not None
    assert trace.origin.format == name or name in ("chatkit", "parquet")  # those keep the origin


@pytest.mark.parametrize("name", FILES)
def test_damage(name: str, tmp_path: Path) -> None:
    """Cut, flipped, spliced with another file, with parts repeated, swapped or blanked; also packed and cut."""
    others = [file.data for files in FILES.values() for file in files]

    def cut(data: st.DataObject, raw: bytes) -> bytes:
        return raw[: data.draw(st.integers(0, len(raw)))]

    def behead(data: st.DataObject, raw: bytes) -> bytes:
        return raw[data.draw(st.integers(0, len(raw))) :]

    def flip(data: st.DataObject, raw: bytes) -> bytes:
        changed = bytearray(raw)
        for _ in range(data.draw(st.integers(1, 8))):
            if changed:
                changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
        return bytes(changed)

    def splice(data: st.DataObject, raw: bytes) -> bytes:
        other = data.draw(st.sampled_from(others))
        return cut(data, raw) + behead(data, other)

    def repeat(data: st.DataObject, raw: bytes) -> bytes:
        a, b = sorted(data.draw(st.integers(0, len(raw))) for _ in range(2))
        return raw[:b] + raw[a : min(b, a + 5000)] * data.draw(st.integers(1, 6)) + raw[b:]

    def swap(data: st.DataObject, raw: bytes) -> bytes:
        a, b, c = sorted(data.draw(st.integers(0, len(raw))) for _ in range(3))
        return raw[:a] + raw[b:c] + raw[a:b] + raw[c:]

    def blank(data: st.DataObject, raw: bytes) -> bytes:
        a = data.draw(st.integers(0, len(raw)))
        length = data.draw(st.integers(1, 64))
        return (
            raw[:a] + data.draw(st.sampled_from([b"\0", b"\xff", b"9", b'"', b"[", b"\n"])) * length + raw[a + length :]
        )

    ways: list[Callable[[st.DataObject, bytes], bytes]] = [cut, behead, flip, splice, repeat, swap, blank]

    @settings(_FUZZ, max_examples=20)
    @given(st.data())
    def damage(data: st.DataObject) -> None:
        file = data.draw(st.sampled_from(FILES[name]))
        raw = file.data
        for way in data.draw(st.lists(st.sampled_from(ways), min_size=1, max_size=3)):
            raw = way(data, raw)
        if data.draw(st.integers(0, 4)) == 0:
            packed = gzip.compress(raw, mtime=0)
            raw = packed[: len(packed) - data.draw(st.integers(0, 9))]
        two_outcomes(raw, tmp_path, like=file)

    damage()


@pytest.mark.parametrize("name", IMPORTERS)
def test_any_file_as_any_format(name: str, tmp_path: Path) -> None:
    """The user named the wrong one."""
    for other in IMPORTERS:
        two_outcomes(FILES[other][0].data, tmp_path, format=name)
    for data in (
        b"",
        b"\n",
        b"\0" * 100,
        b"\xff\xfe" * 50,
        b"[]",
        b"{}",
        b"null",
        b'""',
        b"1e999",
        b"0:~",
        "ü".encode("utf-16"),
    ):
        two_outcomes(data, tmp_path, format=name)


@pytest.mark.parametrize("name", IMPORTERS)
def test_random_bytes_behind_the_beginning(name: str, tmp_path: Path) -> None:
    """Known by its first bytes, and rubbish after them."""
    start = FILES[name][0].data

    @settings(_FUZZ, max_examples=10)
    @given(st.integers(4, 400), st.binary(max_size=600), st.booleans())
    def rubbish(kept: int, rest: bytes, named: bool) -> None:
        two_outcomes(start[:kept] + rest, tmp_path, format=name if named else None)

    rubbish()


NESTED = {
    "lists": b"[" * DEEP,
    "objects": b'{"a":' * DEEP,
    "closed": b"[" * DEEP + b"]" * DEEP,
    "in a header": b'{"schema": "chatkit.trace/1", "x": ' + b"[" * DEEP,
    "in a row": b'{"schema":"chatkit.trace/1","origin":{"kind":"live"},"epoch":1}\n{"type":"Noted","id":"0","at":0,"text":"x","y":' + b"[" * DEEP + b"]" * DEEP + b"}\n",
    "in a HAR": b'{"log": {"version": "1.2", "creator": {"name": "x"}, "entries": [' + b"[" * DEEP,
    "in a HAR's entry": b'{"log":{"version":"1.2","entries":[{"_resourceType":"websocket","request":' + b'{"a":' * DEEP,
    "in a HAR's message": b'{"log":{"version":"1.2","entries":[{"_resourceType":"websocket","_webSocketMessages":[' + b"[" * DEEP + b"]" * DEEP + b"]}]}}",
    "in a NetLog": b'{"constants": {"logEventTypes": {}}, "events": [' + b'{"params":' * DEEP,
    "in NetLog's constants": b'{"constants": {"logEventTypes": ' + b'{"a":' * DEEP,
    "in a Cloudflare record": b'{"ConnectionCloseSource":"me","x":' + b"[" * DEEP + b"]" * DEEP + b"}\n",
    "in a flow": b"".join(b"%d:" % (20 * n) for n in range(20_000, 0, -1)),
    "in a console line": b"chat.js:1 WebSocket message received: " + b"[" * DEEP + b"\n",
}  # fmt: skip


@pytest.mark.parametrize("what", NESTED)
def test_a_million_deep(what: str, tmp_path: Path) -> None:
    """Neither recursion nor a wait; as what it looks like, and as every format that reads such text."""
    two_outcomes(NESTED[what], tmp_path)
    for name in ("chatkit", "har", "netlog", "mitmproxy", "cloudflare", "console-log"):
        if name in IMPORTERS:
            two_outcomes(NESTED[what], tmp_path, format=name)


def _deep_flow() -> bytes:
    """A list in a list in a list, lengths right."""
    made = b"0:~"
    for _ in range(3000):
        made = b"%d:%s]" % (len(made), made)
    return made


LENGTHS = {
    "a flow of 10^18 bytes": b"1000000000000000000:x",
    "a flow whose length never ends": b"9" * 100_000,
    "a negative flow": b"-5:hello,",
    "flows within flows": _deep_flow(),
    "a flow that is a number": tnetstring(5),
    "a number of a million digits": tnetstring({"version": 21, "type": "http", "x": 1})[:-1] + b"1000000:" + b"7" * 1_000_000 + b"#}",
    "a pcap packet of 4 GiB": struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + struct.pack("<IIII", 1, 1, 0xFFFFFFFF, 0xFFFFFFFF) + b"x" * 40,
    "a pcap packet of no bytes": struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0, 1) + struct.pack("<IIII", 1, 1, 0, 0) * 500,
    "a pcapng block of 4 GiB": struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28) + struct.pack("<II", 6, 0xFFFFFFFC),
    "a pcapng block of no bytes": struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28) + struct.pack("<III", 6, 0, 0) * 50,
    "a number beyond floats": b'{"schema":"chatkit.trace/1","origin":{"kind":"live"},"epoch":1e999}\n',
    "times beyond floats": b'{"schema":"chatkit.trace/1","origin":{"kind":"live"},"epoch":1}\n{"type":"Noted","id":"0","at":1e999,"text":"x"}\n',
    "a size beyond its column": b'{"schema":"chatkit.trace/1","origin":{"kind":"live"},"epoch":1}\n{"type":"FrameSent","id":"0","at":1,"size":99999999999999999999}\n',
    "a negative size": b'{"schema":"chatkit.trace/1","origin":{"kind":"live"},"epoch":1}\n{"type":"FrameSent","id":"0","at":1,"size":-99999999999}\n',
    "an epoch beyond the calendar": b'{"schema":"chatkit.trace/1","origin":{"kind":"live"},"epoch":1e300}\n{"type":"Noted","id":"0","at":1,"text":"x"}\n',
    "NaN": b'{"schema":"chatkit.trace/1","origin":{"kind":"live"},"epoch":NaN}\n',
}  # fmt: skip


@pytest.mark.parametrize("what", LENGTHS)
def test_absurd_lengths_and_numbers(what: str, tmp_path: Path) -> None:
    """What a file claims of itself is not reserved, not waited for, not believed."""
    two_outcomes(LENGTHS[what], tmp_path)
    for name in ("mitmproxy", "pcap", "pcapng", "chatkit"):
        if name in IMPORTERS:
            two_outcomes(LENGTHS[what], tmp_path, format=name)


NUMBERS = [1e308, -1e308, 1e18, -1, 0, 10**400, True, None, "x", "\ud800", "\0", [], {}, [[[]]], 1.5, "9" * 5000]


@pytest.mark.parametrize("name", [name for name in IMPORTERS if name in ("chatkit", "har", "netlog", "cloudflare")])
def test_any_value_anywhere_in_json(name: str, tmp_path: Path) -> None:
    """Every value of the file is replaced by one of another kind, in turn."""
    text = FILES[name][0].data.decode()
    documents = (
        [json.loads(line) for line in text.splitlines()] if name in ("chatkit", "cloudflare") else [json.loads(text)]
    )

    def spots(value: object) -> list[tuple[object, object]]:
        here = (
            list(value.items())
            if isinstance(value, dict)
            else list(enumerate(value))
            if isinstance(value, list)
            else []
        )
        return [(value, key) for key, _ in here] + [spot for _, inner in here for spot in spots(inner)]

    every = [spot for document in documents for spot in spots(document)]

    @settings(_FUZZ, max_examples=40)
    @given(st.integers(0, len(every) - 1), st.sampled_from(range(len(NUMBERS))))
    def replace(where: int, what: int) -> None:
        holder, key = every[where]
        kept = holder[key]  # type: ignore[index]
        holder[key] = NUMBERS[what]  # type: ignore[index]
        try:
            data = "\n".join(map(json.dumps, documents)).encode() + b"\n"
        finally:
            holder[key] = kept  # type: ignore[index]
        two_outcomes(data, tmp_path, format=name)

    replace()


def test_frames_of_absurd_lengths(tmp_path: Path) -> None:
    """In the bytes of a capture: lengths, opcodes and masks that cannot be, after a handshake that is right."""
    whole = FILES["pcap"][0].data
    plain = frame(b"received text")
    assert plain in whole
    for odd in (
        b"\x81\x7f" + b"\xff" * 8,
        b"\x81\x7f" + b"\0" * 8,
        b"\x8f\x00",
        b"\xf1\x05hello",
        b"\x88\x01x",
        b"\x89\x7e\xff\xff",
    ):
        two_outcomes(whole.replace(plain, (odd + b"\0" * len(plain))[: len(plain)]), tmp_path)
