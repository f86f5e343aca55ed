"""Which files are logs of uvicorn."""

from __future__ import annotations

import pytest

from chatkit.formats import uvicorn_log


@pytest.mark.parametrize(
    "start",
    [
        b'INFO:     127.0.0.1:1 - "WebSocket /ws" [accepted]\n',
        b'2026 uvicorn.error: 127.0.0.1:1 - "WebSocket /ws" 403\n',
        b'{"message": "h:1 - \\"WebSocket /ws\\" [accepted]"}\n',
        b"INFO:     Started server process [7]\n",
        b"INFO:     Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)\n",
        b'INFO:     127.0.0.1:1 - "GET /health HTTP/1.1" 200 OK\n',
    ],
)
def test_its_own(start: bytes) -> None:
    """With times or without."""
    assert uvicorn_log.sniff(start)


@pytest.mark.parametrize(
    "start",
    [
        b"[2026-11-24 08:02:56 +0000] [7] [INFO] Booting worker with pid: 8\nStarted server process [8]\n",
        b'127.0.0.1 - - [24/Nov/2026:08:02:52 +0000] "GET /health HTTP/1.1" 200 0 "-" "-"\n',
        b"INFO:     connection open\n",
    ],
)
def test_not_its_own(start: bytes) -> None:
    """gunicorn's, nginx's, and words that anybody may say."""
    assert not uvicorn_log.sniff(start)
