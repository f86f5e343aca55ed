"""Log of uvicorn, as it comes by default (without times) or with times put in front, also as JSON lines."""

from __future__ import annotations

import re

from chatkit.formats import asgi_log, gunicorn_log
from chatkit.formats.source import Options, Source
from chatkit.trace import Trace

FORMAT = "uvicorn-log"
TITLE = "log of uvicorn"
NOT_VISIBLE = asgi_log.NOT_VISIBLE

_SNIFF = re.compile(
    rb'\\?"WebSocket [^"\s\\]{1,8192}\\?" (?:\[accepted\]|\d{3})'
    rb"|Uvicorn running on (?:http|socket|unix)|Started (?:server|reloader|parent) process \["
    rb'|(?:^|\n)INFO: {5}\S{1,80} - "[A-Z]{3,10} \S{1,8192} HTTP/[\d.]{1,3}" \d{3}'
)


def sniff(start: bytes) -> bool:
    """Whether a file that begins so is a log of uvicorn, and not of gunicorn with uvicorn in it."""
    return _SNIFF.search(start) is not None and not gunicorn_log.sniff(start)


def read(source: Source, options: Options) -> Trace:
    """Reads the log.

    Raises:
        ImportFailed: no line of it is one of uvicorn.
    """
    return asgi_log.read(source, options, FORMAT, "uvicorn")
