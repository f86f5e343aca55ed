"""A file of evidence, whatever it is wrapped in: its bytes, or one sentence about why not."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import zipfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatkit.errors import ImportFailed
from chatkit.formats import jsonl, load
from chatkit.formats import source as module
from chatkit.formats.source import LONGEST_LINE, START, Source, open_sources
from stories import STORY_OF_A_PING, make_jwt

DATA = b"".join(b"line %d of something\n" % n for n in range(20_000))


def whole(source: Source) -> bytes:
    with source.open() as stream:
        return stream.read()


def drain(source: Source, sizes: list[int]) -> None:
    with source.open() as stream:
        while part := stream.read(1 << 16):
            sizes.append(len(part))


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def written(tmp_path: Path, data: bytes, name: str = "evidence.bin") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "packed",
    [
        DATA,
        gzip.compress(DATA),
        gzip.compress(DATA[:999]) + gzip.compress(DATA[999:]),
        zipped({"a.log": DATA}),
        zipped({"a.log.gz": gzip.compress(DATA)}),
        zipped({"a.log": DATA}, zipfile.ZIP_STORED),
        zipped({"a.log": DATA}, zipfile.ZIP_BZIP2),
        zipped({"a.log": DATA}, zipfile.ZIP_LZMA),
    ],
    ids=["plain", "gzip", "two gzip members", "zip", "gzip in zip", "stored", "bzip2", "lzma"],
)
def test_the_same_bytes_however_wrapped(tmp_path: Path, packed: bytes) -> None:
    """Start, all of it, lines; as often as one likes."""
    (source,) = open_sources(written(tmp_path, packed))
    assert source.start == DATA[:START]
    assert whole(source) == whole(source) == DATA
    assert list(source.lines()) == DATA.splitlines()
    with source.open() as stream:
        assert stream.read(7) + stream.readline() + stream.read(5) == DATA[: DATA.index(b"\n") + 6]


def test_a_source_in_memory() -> None:
    """Plain and packed."""
    assert whole(Source.of(DATA)) == whole(Source.of(gzip.compress(DATA))) == DATA
    assert Source.of(b"").start == b""


def test_members_of_an_archive(tmp_path: Path) -> None:
    """One source each, folders left out; names say where they were."""
    path = written(tmp_path, zipped({"a.log": b"one", "folder/": b"", "folder/b.log": b"two"}))
    assert [(source.name, whole(source)) for source in open_sources(path)] == [
        (f"{path}/a.log", b"one"),
        (f"{path}/folder/b.log", b"two"),
    ]
    with pytest.raises(ImportFailed, match="archive is empty"):
        open_sources(written(tmp_path, zipped({"only/": b""})))


def encrypted() -> bytes:
    """An archive whose only member says that it is encrypted."""
    data = bytearray(zipped({"a.log": b"secret" * 10}))
    data[6] |= 1
    central = data.index(b"PK\x01\x02")
    data[central + 8] |= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (encrypted(), "cannot be unpacked"),
        (zipped({"a": DATA})[:-30], "archive is damaged"),
        (zipped({"a": DATA})[:500], "archive is damaged"),
        (b"PK\x03\x04", "archive is damaged"),
        (gzip.compress(DATA)[:40], "cut or damaged"),
        (gzip.compress(DATA)[:-4], "cut or damaged"),
        (b"\x1f\x8b", "cut or damaged"),
        (gzip.compress(DATA) + b"rubbish", "cannot be read"),
        (b"\x1f\x8b" + b"\0" * 50, "cannot be read"),
        (zipped({str(n): b"" for n in range(module.MOST_MEMBERS + 1)}), "too many members"),
    ],
    ids=[str(n) for n in range(10)],  # the time stands in an archive, and would in its name
)
def test_what_cannot_be_unpacked(tmp_path: Path, data: bytes, says: str) -> None:
    """One sentence that names the file, when it is opened or while it is read."""
    path = written(tmp_path, data)
    with pytest.raises(ImportFailed, match=says) as caught:
        [whole(source) for source in open_sources(path)]
    assert str(path) in str(caught.value)


@cache
def _archive(method: int) -> bytes:
    """Made once: the time stands in it, and what is drawn must not depend on that."""
    return zipped({"a.log": DATA[:3000], "b.log": gzip.compress(DATA[:3000], mtime=0)}, method)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.data())
def test_any_damage_has_two_outcomes(tmp_path: Path, method: int, data: st.DataObject) -> None:
    """Bytes, or the documented error, wherever it is cut or flipped, also in an attached file."""
    packed = bytearray(_archive(method))
    for _ in range(data.draw(st.integers(0, 3))):
        packed[data.draw(st.integers(0, len(packed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    packed = packed[: data.draw(st.integers(0, len(packed)))]
    try:
        for source in open_sources(written(tmp_path, bytes(packed))):
            whole(source)
            source.attached("a.log")
    except ImportFailed:
        pass


@pytest.mark.parametrize(
    "wrap", [gzip.compress, lambda data: zipped({"a": data}), lambda data: zipped({"a": gzip.compress(data)})]
)
def test_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrap: object) -> None:
    """Refused while it unpacks, long before its end."""
    monkeypatch.setattr(module, "BOMB", 1 << 20)
    (source,) = open_sources(written(tmp_path, wrap(b"\0" * (1 << 24))))  # type: ignore[operator]
    sizes: list[int] = []
    with pytest.raises(ImportFailed, match="more than 200 times its size"):
        drain(source, sizes)
    assert sum(sizes) <= 1 << 22


def test_a_bomb_that_lies_about_its_packed_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an archive claims of itself is no excuse."""
    monkeypatch.setattr(module, "BOMB", 1 << 20)
    data = bytearray(zipped({"a": b"\0" * (1 << 24)}))
    central = data.index(b"PK\x01\x02")
    data[central + 20 : central + 24] = (0x7FFFFFFF).to_bytes(4, "little")
    with pytest.raises(ImportFailed):
        [whole(source) for source in open_sources(written(tmp_path, bytes(data)))]


@pytest.mark.parametrize("wrap", [gzip.compress, lambda data: zipped({"a": data})])
def test_what_packs_well_is_no_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrap: object) -> None:
    """Below the ratio, or below the size from which the ratio counts."""
    monkeypatch.setattr(module, "BOMB", 1 << 16)
    repeated = os.urandom(1 << 12) + b"\0" * (1 << 18)
    (source,) = open_sources(written(tmp_path, wrap(repeated)))  # type: ignore[operator]
    assert whole(source) == repeated
    monkeypatch.setattr(module, "BOMB", 1 << 22)
    (source,) = open_sources(written(tmp_path, wrap(b"\0" * (1 << 21))))  # type: ignore[operator]
    assert len(whole(source)) == 1 << 21


def test_files_that_another_one_points_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same archive, or beside it; never elsewhere, never too large."""
    inner = zipped({"a.har": b"{}", "x/more.json": b"more"})
    (source, _) = open_sources(written(tmp_path, inner, "a.zip"))
    assert source.attached("x/more.json") == b"more"
    (beside,) = open_sources(written(tmp_path, b"{}", "b.har"))
    written(tmp_path, b"payload", "more.json")
    (tmp_path / "folder").mkdir()
    assert beside.attached("more.json") == b"payload"
    monkeypatch.setattr(module, "MOST_ATTACHED", 3)
    assert source.attached("x/more.json") is None
    assert beside.attached("more.json") is None
    assert Source.of(b"").attached("more.json") is None


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "/etc/passwd",
        "folder/../../secret",
        ".",
        "..",
        "",
        "a\0b",
        "x" * 5000,
        "\ud800",
        "folder",
        "nothing",
    ],
)
def test_hostile_names(tmp_path: Path, name: str) -> None:
    """Lead nowhere."""
    written(tmp_path, b"secret", "secret")
    inside = tmp_path / "in"
    (inside / "folder").mkdir(parents=True)
    for packed in (b"{}", zipped({"a": b"{}"})):
        (source,) = open_sources(written(inside, packed, "a.har"))
        assert source.attached(name) is None


def test_a_damaged_attachment_is_not_there(tmp_path: Path) -> None:
    """Its checksum does not fit."""
    data = bytearray(zipped({"a.har": b"{}", "more.json": b"payload"}, zipfile.ZIP_STORED))
    data[data.index(b"payload")] ^= 1
    assert open_sources(written(tmp_path, bytes(data)))[0].attached("more.json") is None


def test_lines() -> None:
    """Without their ends; the last one needs none."""
    assert list(Source.of(b"a\r\nb\n\nc").lines()) == [b"a", b"b", b"", b"c"]
    assert list(Source.of(b"").lines()) == []


def test_a_line_without_end() -> None:
    """Refused at its number."""
    exact = b"x" * LONGEST_LINE
    assert [len(line) for line in Source.of(b"a\n" + exact).lines()] == [1, LONGEST_LINE]
    with pytest.raises(ImportFailed, match="line is longer than 16 MiB") as caught:
        list(Source.of(b"a\n" + exact + b"y").lines())
    assert caught.value.entry == 2


@pytest.mark.parametrize("name", ["missing", ".", "a\0b"])
def test_what_cannot_be_opened(tmp_path: Path, name: str) -> None:
    """No file, a folder, no name at all."""
    with pytest.raises(ImportFailed, match="cannot be opened"):
        open_sources(f"{tmp_path}/{name}")


def test_a_file_that_goes_away(tmp_path: Path) -> None:
    """Between two looks at it."""
    path = written(tmp_path, DATA)
    (source,) = open_sources(path)
    path.unlink()
    with pytest.raises(ImportFailed, match="cannot be read"):
        whole(source)


def test_a_damaged_member_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    """One bad picture does not take the evidence with it."""
    recording = tmp_path / "r.jsonl"
    jsonl.dump(STORY_OF_A_PING, recording)
    data = bytearray(zipped({"shot.png": b"payload", "r.jsonl": recording.read_bytes()}, zipfile.ZIP_STORED))
    data[data.index(b"payload")] ^= 1
    trace = load(written(tmp_path, bytes(data)))
    assert trace.rows == STORY_OF_A_PING.rows
    assert len(trace.warnings) == 1
    assert trace.warnings[0].startswith("left out: the archive is damaged")
    assert "shot.png" in trace.warnings[0]


def test_no_token_in_a_name(tmp_path: Path) -> None:
    """Names of files and members are shown."""
    token = make_jwt(exp=1_795_453_325)
    (source,) = open_sources(written(tmp_path, zipped({f"a?token={token}": b"x"}), f"{token[:60]}.zip"))
    assert token[:40] not in source.name
    assert token[-20:] not in source.name
    with pytest.raises(ImportFailed) as caught:
        open_sources(tmp_path / token)
    assert token[-20:] not in str(caught.value)


def test_a_program_that_reads_slowly_gets_all(tmp_path: Path) -> None:
    """However few bytes come at a time."""

    class Trickle(io.RawIOBase):
        def __init__(self) -> None:
            self.rest = DATA

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: object) -> int:
            view = memoryview(buffer)  # type: ignore[arg-type]
            part, self.rest = self.rest[: min(7, len(view))], self.rest[min(7, len(view)) :]
            view[: len(part)] = part
            return len(part)

        def seek(self, offset: int, whence: int = 0) -> int:
            self.rest = DATA
            return 0

    assert Source("trickle", Trickle).start == DATA[:START]  # type: ignore[arg-type]
    assert bz2.decompress(bz2.compress(DATA)) == DATA
