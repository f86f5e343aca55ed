"""No secret survives: planted in every field of every format, looked for in everything that leaves a trace."""

from __future__ import annotations

import base64
import html
import importlib
import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import chatkit
from chatkit.errors import ImportFailed
from chatkit.formats import IMPORTERS, jsonl, load
from chatkit.merging import merge
from chatkit.redact import Redactor
from chatkit.trace import Trace
from chatkit.views.report import report
from formats.templates import TEMPLATES, harmless
from stories import make_jwt

ANNOUNCED = "op/aque+t0ken=for&tests"
"""Looks like nothing; the redactor is told."""
JWT = make_jwt(exp=1_795_453_325, iat=1_795_449_725, scope="chat")
PASSWORD, BEARER, COOKIE, QUERY = (
    "pa55-w0rd-planted",
    "bearer.planted.0123456789",
    "sid-planted-987654",
    "query-planted-4711",
)

PHRASES = {
    "text": [
        JWT,
        f"before {JWT} after",
        ANNOUNCED,
        f"before {ANNOUNCED} after",
        quote(ANNOUNCED, safe=""),
        f'{{"type": "auth", "password": "{PASSWORD}"}}',
        json.dumps({"deep": json.dumps({"token": PASSWORD, "n": 1})}),
        f"Authorization: Bearer {BEARER}",
        f"Cookie: sid={COOKIE}",
        f"see wss://h/p?access_token={QUERY}&x=1",
        f"see wss://ada:{PASSWORD}@h/p",
    ],
    "query": [
        f"token={JWT}",
        f"token={QUERY}",
        f"a=1&access_token={QUERY}",
        f"x={quote(ANNOUNCED, safe='')}",
        f"x={JWT}",
    ],
    "header": [f"Bearer {BEARER}", f"Bearer {JWT}", f"sid={COOKIE}", ANNOUNCED],
    "word": [JWT, ANNOUNCED],
}
"""What may be planted: each is recognised wherever it stands."""
PLANTED = [ANNOUNCED, PASSWORD, BEARER, COOKIE, QUERY, *JWT.split(".")[1:]]
EXPORTS = {
    "chatkit.formats.perfetto": "dump",
    "chatkit.formats.har_out": "dump",
}
"""Rooms that write a trace into a file, and the function that does: ``function(trace, path)``."""

_PRESENT = [name for name in TEMPLATES if name in IMPORTERS]
_SETTINGS = settings(
    derandomize=True,
    deadline=None,
    max_examples=6,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


def spellings(secret: str) -> set[str]:
    """As it may come out of an export."""
    return {
        secret,
        quote(secret),
        quote(secret, safe=""),
        html.escape(secret),
        json.dumps(secret)[1:-1],
        html.escape(quote(secret, safe="")),
        secret.replace("&", "\\u0026"),
    }


BANNED = [spelling.encode() for secret in PLANTED for spelling in sorted(spellings(secret))]


def leaks(data: bytes) -> list[bytes]:
    return [secret for secret in BANNED if secret in data]


def hidden(trace: Trace) -> Iterator[bytes]:
    """What stands in rows in another alphabet."""
    for event in trace:
        data, payload = getattr(event, "data", None), getattr(event, "payload", None)
        if data:
            yield base64.b64decode(data + "=" * (-len(data) % 4))
        if payload:
            yield bytes.fromhex(payload)


def outputs(trace: Trace, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Everything that leaves a trace, by name."""
    yield "rows", b"\n".join(trace.rows)
    yield "header", msgspec.json.encode(trace.header)
    yield "hidden in rows", b"\n".join(hidden(trace))
    yield "names", " ".join(trace.names).encode()
    yield "warnings", "\n".join(trace.warnings).encode()
    yield "str", str(trace).encode()
    yield "repr", repr(trace).encode()
    yield "events", "\n".join(map(str, trace)).encode()
    yield "event reprs", "\n".join(map(repr, trace)).encode()
    yield "connections", repr(trace.connections).encode()
    yield "html", (trace._repr_html_() or "").encode()
    yield "timeline", trace.timeline().to_json().encode()
    yield "traffic", str(trace.traffic()).encode()
    yield "table", trace.to_pandas().to_csv().encode()
    jsonl.dump(trace, folder / "out.jsonl")
    yield "jsonl", (folder / "out.jsonl").read_bytes()
    for module, function in EXPORTS.items():
        if importlib.util.find_spec(module) is not None:
            path = folder / "export"
            getattr(importlib.import_module(module), function)(trace, path)
            yield module, path.read_bytes()
    diagnosis = chatkit.diagnose(trace)
    yield "diagnosis", str(diagnosis).encode()
    yield "diagnosis as JSON", msgspec.json.encode(diagnosis.to_dict())
    yield "ticket", diagnosis.ticket().encode()
    yield "report", report(trace, diagnosis).encode()
    merged = merge(trace, trace)
    yield "merged", b"\n".join(merged.rows) + msgspec.json.encode(merged.header) + "\n".join(merged.warnings).encode()


def test_what_is_planted_is_looked_for() -> None:
    """Every phrase holds something that is banned, and the template of every format has its slots."""
    for phrases in PHRASES.values():
        assert all(leaks(phrase.encode()) for phrase in phrases)
    assert set(IMPORTERS) <= set(TEMPLATES), "a format without a template: see formats/templates.py"


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_are_files_of_their_format(name: str, tmp_path: Path) -> None:
    """Known by their content, with something in them; otherwise this file would prove nothing."""
    path = tmp_path / "evidence"
    path.write_bytes(TEMPLATES[name](harmless))
    trace = load(path)
    assert trace.origin.format == name or name in ("chatkit", "parquet")  # those keep the origin
    assert len(trace) > 0
    assert trace.connections


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_secret_survives_import_and_export(name: str, tmp_path: Path) -> None:
    """Whatever is planted wherever."""

    @_SETTINGS
    @given(st.data())
    def plant(data: st.DataObject) -> None:
        def slot(place: str, kind: str) -> str:
            phrase: str = data.draw(st.sampled_from(PHRASES[kind]), label=place)
            return phrase

        path = tmp_path / "evidence"
        path.write_bytes(TEMPLATES[name](slot))
        trace = load(path, redactor=Redactor([ANNOUNCED]))
        assert len(trace) > 0
        for where, shown in outputs(trace, tmp_path):
            assert leaks(shown) == [], where

    plant()


@pytest.mark.parametrize("kind", ["text", "query", "header", "word"])
@pytest.mark.parametrize("name", TEMPLATES)
def test_each_phrase_in_all_places_at_once(name: str, kind: str, tmp_path: Path) -> None:
    """What random choice may have missed: every phrase in every slot of its kind."""
    for phrase in PHRASES[kind]:
        path = tmp_path / "evidence"
        path.write_bytes(TEMPLATES[name](lambda place, k, phrase=phrase: phrase if k == kind else harmless(place, k)))  # type: ignore[misc]
        trace = load(path, redactor=Redactor([ANNOUNCED]))
        jsonl.dump(trace, tmp_path / "out.jsonl")
        shown = (tmp_path / "out.jsonl").read_bytes() + str(trace).encode() + b"\n".join(hidden(trace))
        assert leaks(shown) == [], phrase


DAMAGE: dict[str, Callable[[bytes, int], bytes]] = {
    "cut": lambda data, at: data[:at],
    "beheaded": lambda data, at: data[at:],
    "flipped": lambda data, at: data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :],
    "NUL bytes": lambda data, at: data[:at] + b"\0" * 9 + data[at:],
    "a quotation mark": lambda data, at: data[:at] + b'"' + data[at:],
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_secret_in_what_is_said_of_damage(name: str, tmp_path: Path) -> None:
    """Warnings, and the text of a refusal, also where the format is given and the content denies it."""

    @_SETTINGS
    @given(st.data())
    def damage(data: st.DataObject) -> None:
        def slot(place: str, kind: str) -> str:
            phrase: str = data.draw(st.sampled_from(PHRASES[kind]), label=place)
            return phrase

        whole = TEMPLATES[name](slot)
        how = data.draw(st.sampled_from(sorted(DAMAGE)))
        # A secret that the damage itself goes through is no secret of the file any more.
        spans = [(at, at + len(secret)) for secret in BANNED for at in places(whole, secret)]
        spans += [(at, at + len(JWT)) for at in places(whole, JWT.encode())]
        at = data.draw(st.integers(0, len(whole) - 1).filter(lambda at: not any(a - 12 <= at < b for a, b in spans)))
        path = tmp_path / "evidence"
        path.write_bytes(DAMAGE[how](whole, at))
        for given_format in (name, None):
            try:
                trace = load(path, format=given_format, redactor=Redactor([ANNOUNCED]))
            except ImportFailed as refused:
                for shown in (str(refused), repr(refused), repr(vars(refused)), "".join(refused._render_traceback_())):
                    assert leaks(shown.encode()) == []
                assert refused.__cause__ is None
            else:
                assert leaks("\n".join(trace.warnings).encode()) == []
                if how in ("cut", "NUL bytes"):
                    assert leaks(b"\n".join(trace.rows)) == []

    damage()


def places(data: bytes, secret: bytes) -> Iterator[int]:
    at = data.find(secret)
    while at >= 0:
        yield at
        at = data.find(secret, at + 1)


def test_a_foreign_file_shows_no_secret(tmp_path: Path) -> None:
    """Its beginning is quoted when it is refused."""
    for phrase in PHRASES["text"]:
        path = tmp_path / "x"
        path.write_bytes(b"# " + phrase.encode())
        with pytest.raises(ImportFailed) as refused:
            load(path, redactor=Redactor([ANNOUNCED]))
        assert leaks(str(refused.value).encode()) == []
