"""A span a connection for OpenTelemetry: from its opening to its end, in error where it died or never opened."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import Any

from chatkit.canary.rows import Row
from chatkit.errors import MissingDependency

NAME = "websocket connection"
CLOSING = 0.25
"""Seconds that the end waits for a collector."""


class Spans:
    """Hands rows over as spans.

    Args:
        endpoint: of a collector, OTLP over HTTP; headers for it come from ``OTEL_EXPORTER_OTLP_HEADERS``, as the
            library reads them.
        exporter: takes the place of that, an ``opentelemetry.sdk.trace.export.SpanExporter``.

    Raises:
        MissingDependency: the SDK or its exporter is not installed.
    """

    def __init__(self, endpoint: str | None = None, exporter: Any = None) -> None:
        try:
            from opentelemetry import trace
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor

            if exporter is None:
                from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

                exporter = OTLPSpanExporter(endpoint=endpoint, timeout=5)
        except ImportError:
            raise MissingDependency("spans", package="opentelemetry-exporter-otlp-proto-http", extra="watch") from None
        self._trace = trace
        resource = Resource.create({"service.name": "chatkit-watch"})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("chatkit.canary")
        # A collector that is down is said once by the library's logger for each batch; not a traceback each.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)

    def ended(self, target: str, row: Row) -> None:
        """The span of a connection that ended. Must not block: the library's own thread sends it."""
        end = row.ended_at if row.ended_at is not None else row.opened_at
        if end is None:
            return
        start = row.opened_at if row.opened_at is not None else end
        span = self._tracer.start_span(
            NAME, kind=self._trace.SpanKind.CLIENT, start_time=_nano(start), attributes=_attributes(target, row)
        )
        if row.ended or row.state == "refused":
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, row.cause or row.state))
        span.end(end_time=_nano(end))

    def close(self) -> None:
        """Sends what waits, for a moment; what a collector does not take by then is lost."""
        thread = threading.Thread(target=self._shut, name="otel shutdown", daemon=True)
        thread.start()
        thread.join(CLOSING)

    def _shut(self) -> None:
        with contextlib.suppress(Exception):
            self._provider.shutdown()


def _nano(seconds: float) -> int:
    return int(seconds * 1e9)


def _attributes(target: str, row: Row) -> dict[str, Any]:
    told = {
        "url.full": row.target,
        "chatkit.target": target,
        "chatkit.connection": row.connection,
        "chatkit.recording": row.source,
        "chatkit.state": row.state,
        "chatkit.died": row.ended,
        "chatkit.lifetime_s": row.lifetime_s,
        "chatkit.bot": row.who,
        "chatkit.cause": row.cause,
        "chatkit.probability": row.probability,
        "chatkit.transport_end": row.transport_how,
        "chatkit.closed_by": row.closed_by,
        "websocket.close_code": row.close_code,
        "http.response.status_code": row.http_status,
        "service.version": row.version,
        "cloud.region": row.region,
    }
    return {name: value for name, value in told.items() if value is not None}
