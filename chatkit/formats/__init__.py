"""One module per file format, bytes ↔ ``Trace``; ``load`` tells by content which one it is, never by name alone.

An importer's module has ``FORMAT`` (its name), ``TITLE``, ``NOT_VISIBLE`` (what the format cannot show, words of
``chatkit.visibility``), ``sniff(start: bytes) -> bool`` for the first 64 KiB of a file, and
``read(source: Source, options: Options) -> Trace``.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from chatkit.errors import ImportFailed, InvalidInput
from chatkit.formats.source import Options, Source, open_sources
from chatkit.profile import Profile
from chatkit.profile import load as load_profile
from chatkit.redact import Redactor
from chatkit.trace import Trace

IMPORTERS: dict[str, str] = {
    "chatkit": "jsonl",
    "har": "har",
    "netlog": "netlog",
    "mitmproxy": "flows",
    "pcap": "pcap",
    "pcapng": "pcapng",
    "cloudflare": "cloudflare",
    "websockets-log": "websockets_log",
    "console-log": "console_log",
    "uvicorn-log": "uvicorn_log",
    "gunicorn-log": "gunicorn_log",
    "nginx-error": "nginx_error",
    "nginx-access": "nginx_access",
    "parquet": "parquet",
}
"""Name of each format, and the module that reads it; the order is that in which a file is tried."""


def load(
    path: str | Path,
    *,
    format: str | None = None,
    profile: str | Path | Profile | None = None,
    keylog: str | Path | None = None,
    pattern: str | Path | None = None,
    redactor: Redactor | None = None,
) -> Trace:
    """A trace from a file: a recording, a HAR, a NetLog, a capture, a log; also gzipped, or in a zip archive.

    Args:
        path: the file.
        format: name of its format (a key of ``IMPORTERS``), where the content should not decide.
        profile: the backend's contract, a ``Profile`` or a TOML file; its message types are those of the trace.
        keylog: TLS keys of a capture (the file that ``SSLKEYLOGFILE`` names).
        pattern: TOML file with the patterns of an application's own console lines.
        redactor: knows secrets beyond those that are known by their looks.

    An archive with several pieces of evidence becomes one trace, merged as by :func:`chatkit.merge`.

    Raises:
        ImportFailed: the file cannot be read, or is of no format that chatkit knows; it names file and place.
        InvalidInput: there is no such format.

    >>> import chatkit
    >>> trace = chatkit.load("incident.har")
    >>> len(trace.connections)
    3
    """
    options = make_options(profile=profile, keylog=keylog, pattern=pattern, redactor=redactor)
    traces = load_all(path, options, format=format)
    if len(traces) == 1:
        return traces[0]
    from chatkit.merging import merge

    return merge(*traces)


def make_options(
    *,
    profile: str | Path | Profile | None = None,
    keylog: str | Path | None = None,
    pattern: str | Path | None = None,
    redactor: Redactor | None = None,
) -> Options:
    """How evidence is read, from what a user gives; see :func:`load`."""
    options = Options() if redactor is None else Options(redactor=redactor)
    if profile is not None:
        options.types = load_profile(profile).types
    options.keylog = _content(keylog, "keylog")
    options.patterns = _content(pattern, "pattern")
    return options


def load_all(path: str | Path, options: Options | None = None, *, format: str | None = None) -> list[Trace]:
    """One trace for a file; one for each piece of evidence in a zip archive. Errors as for :func:`load`."""
    if format is not None and format not in IMPORTERS:
        raise InvalidInput("no such format", expected="one of " + ", ".join(IMPORTERS), got=format, where="format")
    options = options or Options()
    sources = open_sources(path)
    found = [(source, format or sniff(source.start)) for source in sources]
    known = [(source, name) for source, name in found if name is not None]
    if not known:
        raise _unknown(str(path), sources, options.redactor)
    return [_read(source, name, options) for source, name in known]


def _read(source: Source, name: str, options: Options) -> Trace:
    try:
        trace: Trace = importer(name).read(source, options)
    except ImportFailed as error:
        # What an importer quotes of a file is hostile, and may hold a secret.
        raise _cleaned(error, options.redactor) from None
    if source.remarks:
        trace.warnings = (*source.remarks, *trace.warnings)
    return trace


def _cleaned(error: ImportFailed, redactor: Redactor) -> ImportFailed:
    def clean(value: object) -> str | None:
        return None if value is None else redactor.text(value if isinstance(value, str) else repr(value))

    return ImportFailed(
        clean(error.what) or "",
        source=clean(error.source) or "",
        entry=error.entry,
        field=clean(error.field),
        expected=clean(error.expected),
        got=clean(error.got),
        remedy=clean(error.remedy),
    )


def sniff(start: bytes) -> str | None:
    """The format of a file that begins so; ``None`` for one that chatkit does not know."""
    return next((name for name in IMPORTERS if importer(name).sniff(start)), None)


def importer(name: str) -> Any:
    """The module that reads a format."""
    return importlib.import_module(f"chatkit.formats.{IMPORTERS[name]}")


def _content(path: str | Path | None, what: str) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidInput(f"the file cannot be read: {error.strerror or error}", where=f"{what} {path}") from None


def _unknown(path: str, sources: list[Source], redactor: Redactor) -> ImportFailed:
    path = redactor.text(path)
    start = next((source.start for source in sources if source.start.strip()), b"")
    if not start:
        return ImportFailed("the file is empty", source=path, expected="evidence of one of the known formats")
    return ImportFailed(
        "the file is of no format that chatkit knows" if len(sources) == 1 else "the archive holds no known evidence",
        source=path,
        expected="one of " + ", ".join(IMPORTERS),
        got=redactor.prefix(start[:60]),
        remedy="name the format with --input-format (format=…) if you know it",
    )


__all__ = ["IMPORTERS", "Options", "Source", "load", "load_all", "make_options", "sniff"]
