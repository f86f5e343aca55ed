"""A span a connection."""

from __future__ import annotations

import sys
import threading
import time

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from chatkit.canary.spans import NAME, Spans
from chatkit.errors import MissingDependency
from conftest import until_sync

from .facts import row


def test_a_death_a_goodbye_and_a_refusal() -> None:
    """With their times, and in error where something was wrong."""
    exporter = InMemorySpanExporter()
    spans = Spans(exporter=exporter)
    dead = row(1, 100.5, 110.0, state="ended", ended=True, close_code=1006, cause="idle-timeout", probability=0.9)
    spans.ended("eu", dead)
    spans.ended("eu", row(2, 100.0, 101.0, state="ended", close_code=1000))
    spans.ended("eu", row(3, None, 102.0, state="refused", http_status=503))
    spans.ended("eu", row(4, None, None, state="unknown"))
    spans.close()
    first, second, third = exporter.get_finished_spans()
    assert (first.name, first.start_time, first.end_time) == (NAME, 100_500_000_000, 110_000_000_000)
    assert (first.status.status_code, first.status.description) == (StatusCode.ERROR, "idle-timeout")
    assert first.attributes["chatkit.target"] == "eu"
    assert first.attributes["websocket.close_code"] == 1006
    assert "http.response.status_code" not in first.attributes
    assert second.status.status_code is StatusCode.UNSET
    assert (third.status.status_code, third.start_time == third.end_time) == (StatusCode.ERROR, True)
    assert first.resource.attributes["service.name"] == "chatkit-watch"


def test_a_collector_that_is_not_there() -> None:
    """Costs a moment at the end, and no exception."""
    spans = Spans("http://127.0.0.1:9/v1/traces")
    spans.ended("eu", row(1, 100.0, 101.0, state="ended"))
    spans.close()
    # Its thread draws random waits: no later test shall share them.
    until_sync(lambda: not [one for one in threading.enumerate() if "otel" in one.name.lower()], 20)


def test_without_the_library(monkeypatch) -> None:
    """How to get it."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(MissingDependency, match="the extra 'watch'"):
        Spans("http://127.0.0.1:9/v1/traces")


def test_an_end_does_not_wait_for_a_collector_that_hangs() -> None:
    """The exporter never returns; close does."""

    class Hangs(InMemorySpanExporter):
        def export(self, spans: object) -> object:
            time.sleep(3)
            return super().export(spans)  # type: ignore[arg-type]

    exporter = Hangs()
    spans = Spans(exporter=exporter)
    spans.ended("eu", row(1, 100.0, 101.0, state="ended"))
    spans.close()
    assert exporter.get_finished_spans() == ()
