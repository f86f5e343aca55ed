"""Log of gunicorn with uvicorn's workers: the master's word on its workers, and what each of them logs."""

from __future__ import annotations

import re

from chatkit.formats import asgi_log
from chatkit.formats.source import Options, Source
from chatkit.trace import Trace

FORMAT = "gunicorn-log"
TITLE = "log of gunicorn"
NOT_VISIBLE = asgi_log.NOT_VISIBLE

_SNIFF = re.compile(
    rb"Starting gunicorn \d|Booting worker with pid: \d|WORKER TIMEOUT \(pid: ?\d|Worker exiting \(pid: ?\d"
    rb"|Worker \(pid: ?\d{1,10}\) (?:was sent SIG|exited|killed)|\[\d{1,10}\] \[[A-Z]{4,8}\] Handling signal: "
)


def sniff(start: bytes) -> bool:
    """Whether a file that begins so is a log of gunicorn."""
    return _SNIFF.search(start) is not None


def read(source: Source, options: Options) -> Trace:
    """Reads the log.

    Raises:
        ImportFailed: no line of it is one of gunicorn or its workers.
    """
    return asgi_log.read(source, options, FORMAT, "gunicorn")
