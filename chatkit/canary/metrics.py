"""The canary's state for Prometheus: read when somebody scrapes, so that a connection costs nothing for it.

chatkit_watch_connections{target}                     open right now
chatkit_watch_connects_total, _refused_total, _deaths_total{target,ending}, _causes_total{target,cause}
chatkit_watch_lived_seconds_total{target}             deaths per lived second are the hazard
chatkit_watch_round_trip_seconds{target}              histogram of the application ping
chatkit_watch_healthy{target}, _health_checks_total, _health_failures_total
chatkit_watch_changes_total{target}                   change points of survival and latency
chatkit_watch_notices_total{what}, chatkit_watch_folder_ok
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from chatkit.canary.state import BUCKETS, State, TargetState
from chatkit.errors import InvalidInput, MissingDependency

_PREFIX = "chatkit_watch_"
_COUNTERS: tuple[tuple[str, str, Callable[[TargetState], float]], ...] = (
    ("connects", "Connections that opened.", lambda one: one.opened),
    ("refused", "Attempts that did not open.", lambda one: one.refused),
    ("lived_seconds", "Seconds that connections were open, all together.", lambda one: one.lived),
    ("health_checks", "Looks at the health endpoint.", lambda one: one.health_checks),
    ("health_failures", "Looks at the health endpoint that failed.", lambda one: one.health_failures),
    ("changes", "Change points of survival and latency.", lambda one: one.changed),
)


class Metrics:
    """The endpoint; :meth:`open` listens, :meth:`close` ends.

    Args:
        state: what is told; read under ``lock``.
        lock: held while the state changes.
        folder_ok: whether the folder can be written.
        host, port: where to listen; port 0 takes any free one.

    Raises:
        MissingDependency: prometheus-client is not installed.
    """

    def __init__(self, state: State, lock: threading.Lock, folder_ok: Callable[[], bool], host: str, port: int) -> None:
        try:
            import prometheus_client
            from prometheus_client import core
        except ImportError:
            raise MissingDependency("a Prometheus endpoint", package="prometheus-client", extra="watch") from None
        self._prometheus, self._core = prometheus_client, core
        self._state, self._lock, self._folder_ok = state, lock, folder_ok
        self.host, self.port = host, port
        self._server: Any = None
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Listens.

        Raises:
            InvalidInput: the port is taken, or may not be used.
        """
        registry = self._prometheus.CollectorRegistry()
        registry.register(self)
        try:
            self._server, self._thread = self._prometheus.start_http_server(self.port, self.host, registry)
        except OSError as error:
            raise InvalidInput(
                f"the Prometheus endpoint cannot listen: {error.strerror or error}",
                where=f"metrics_host {self.host}, metrics_port {self.port}",
                remedy="another port, or 0 for any free one",
            ) from None
        self.port = self._server.server_port

    @property
    def url(self) -> str:
        """Where it can be scraped."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/metrics"

    def close(self) -> None:
        """Ends; twice is fine."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            assert self._thread is not None
            self._thread.join(1.0)
            self._server = None

    def collect(self) -> Iterator[Any]:
        """Called by the library for each scrape."""
        with self._lock:
            return iter(self._families(self._state))

    def _families(self, state: State) -> list[Any]:
        core = self._core
        found = []
        for name, words, value in _COUNTERS:
            family = core.CounterMetricFamily(_PREFIX + name, words, labels=["target"])
            for target, one in state.targets.items():
                family.add_metric([target], value(one))
            found.append(family)
        for name, words, label, values in (
            ("deaths", "Connections that ended against our will.", "ending", "endings"),
            ("causes", "Deaths by their diagnosed cause.", "cause", "causes"),
        ):
            family = core.CounterMetricFamily(_PREFIX + name, words, labels=["target", label])
            for target, one in state.targets.items():
                for what, n in getattr(one, values).items():
                    family.add_metric([target, what], n)
            found.append(family)
        return [*found, *self._gauges(state), self._round_trips(state), self._notices(state)]

    def _gauges(self, state: State) -> list[Any]:
        core = self._core
        now_open = core.GaugeMetricFamily(_PREFIX + "connections", "Connections that are open.", labels=["target"])
        healthy = core.GaugeMetricFamily(_PREFIX + "healthy", "Whether the last look was good.", labels=["target"])
        for target, one in state.targets.items():
            now_open.add_metric([target], len(one.open))
            if one.healthy is not None:
                healthy.add_metric([target], float(one.healthy))
        folder = core.GaugeMetricFamily(_PREFIX + "folder_ok", "Whether the folder can be written.")
        folder.add_metric([], float(self._folder_ok()))
        return [now_open, healthy, folder]

    def _round_trips(self, state: State) -> Any:
        family = self._core.HistogramMetricFamily(
            _PREFIX + "round_trip_seconds", "Round trips of the application ping.", labels=["target"]
        )
        for target, one in state.targets.items():
            total, buckets = 0, []
            for end, n in zip([*map(str, BUCKETS), "+Inf"], one.round_trips, strict=True):
                total += n
                buckets.append((end, total))
            family.add_metric([target], buckets, one.round_trip_s)
        return family

    def _notices(self, state: State) -> Any:
        family = self._core.CounterMetricFamily(
            _PREFIX + "notices", "What was left out or went wrong.", labels=["what"]
        )
        for what, n in state.counts.items():
            family.add_metric([what], n)
        return family
