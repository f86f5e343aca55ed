"""Which files are logs of gunicorn, and what its master says."""

from __future__ import annotations

import pytest

from chatkit.events import HealthChecked, Logged
from chatkit.formats import Options, gunicorn_log
from chatkit.formats.source import Source


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("Starting gunicorn 21.2.0", "start"),
        ("Booting worker with pid: 8", "worker-start"),
        ("WORKER TIMEOUT (pid:8)", "worker-timeout"),
        ("Worker (pid:8) was sent SIGKILL! Perhaps out of memory?", "worker-killed"),
        ("Worker (pid:8) was sent SIGTERM!", "worker-exit"),
        ("Worker exiting (pid: 8)", "worker-exit"),
        ("Worker (pid:8) exited with code 3.", "worker-exit"),
        ("Handling signal: term", "stop"),
        ("Handling signal: hup", "reload"),
        ("Handling signal: winch", "signal"),
        ("Autorestarting worker after current request.", "worker-recycled"),
        ("Shutting down: Master", "stop"),
    ],
)
def test_the_masters_words(line: str, what: str) -> None:
    """A fact each."""
    text = f"[2026-11-24 12:00:00 +0100] [7] [INFO] {line}\n"
    (logged,) = gunicorn_log.read(Source.of(text.encode()), Options())
    assert isinstance(logged, Logged)
    assert (logged.what, logged.text) == (what, line)


def test_its_access_log_has_times_of_its_own() -> None:
    """With their offset."""
    text = '[2026-11-24 12:00:00 +0000] [7] [INFO] Starting gunicorn 27\n1.2.3.4 - - [24/Nov/2026:13:00:05 +0100] "HEAD /health HTTP/1.1" 405 0 "-" "x"\n'
    trace = gunicorn_log.read(Source.of(text.encode()), Options())
    assert [event.at for event in trace if isinstance(event, HealthChecked)] == [5.0]


def test_what_is_gunicorns() -> None:
    """Also a log that begins in the middle."""
    assert gunicorn_log.sniff(b"[2026-11-24 12:00:00 +0000] [7] [INFO] Handling signal: term\n")
    assert not gunicorn_log.sniff(b"INFO:     Started server process [7]\n")
