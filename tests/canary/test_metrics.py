"""Prometheus, scraped over loopback."""

from __future__ import annotations

import sys
import threading
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from chatkit.canary.facts import Answered, Batch, Counted, Diagnosed, Healthy, RunBegan
from chatkit.canary.metrics import Metrics
from chatkit.canary.state import State
from chatkit.errors import InvalidInput, MissingDependency

from .facts import died, opened, refused


def scrape(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample, by name and labels."""
    with urllib.request.urlopen(metrics.url, timeout=5) as answer:
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def at(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return f"chatkit_watch_{name}", frozenset(labels.items())


@pytest.fixture
def state() -> State:
    """A life that goes on, one that died, a refusal, a ping, a look at health."""
    state = State()
    state.apply(Batch(at=0.0, facts=[RunBegan(targets={"t": "http://h", "u": "http://i"})]))
    state.apply(Batch(at=10.0, facts=[opened(1, 0.0), opened(2, 0.0), refused(3, 1.0)]))
    cause = Diagnosed(target="t", connection="t/1-1", verdict="fault", cause="idle-timeout", probability=0.9)
    health = Healthy(target="t", at=1.0, healthy=True, seconds=0.1)
    trips = Answered(target="t", samples=[(1.0, 0.02), (2.0, 0.2)])
    state.apply(Batch(at=20.0, facts=[died(1, 0.0, 20.0), cause, health, trips, Counted(what="line-torn")]))
    return state


def test_everything_is_there(state) -> None:
    """Counters, gauges, the histogram."""
    metrics = Metrics(state, threading.Lock(), lambda: True, "127.0.0.1", 0)
    metrics.open()
    try:
        found = scrape(metrics)
        assert found[at("connections", target="t")] == 1
        assert found[at("connects_total", target="t")] == 2
        assert found[at("refused_total", target="t")] == 1
        assert found[at("deaths_total", target="t", ending="rst")] == 1
        assert found[at("causes_total", target="t", cause="idle-timeout")] == 1
        assert found[at("lived_seconds_total", target="t")] == 40
        assert found[at("round_trip_seconds_count", target="t")] == 2
        assert found[at("round_trip_seconds_bucket", target="t", le="0.025")] == 1
        assert found[at("round_trip_seconds_sum", target="t")] == pytest.approx(0.22)
        assert found[at("healthy", target="t")] == 1
        assert found[at("connects_total", target="u")] == 0
        assert at("healthy", target="u") not in found
        assert found[at("notices_total", what="line-torn")] == 1
        assert found[at("folder_ok")] == 1
        state.apply(Batch(at=30.0, facts=[died(2, 0.0, 30.0)]))
        assert scrape(metrics)[at("connections", target="t")] == 0
    finally:
        metrics.close()
        metrics.close()
    with pytest.raises(OSError, match=r"refused|111"):
        urllib.request.urlopen(metrics.url, timeout=1)


def test_a_port_that_is_taken(state) -> None:
    """Said with its key."""
    first = Metrics(state, threading.Lock(), lambda: True, "127.0.0.1", 0)
    first.open()
    try:
        with pytest.raises(InvalidInput, match=f"metrics_port {first.port}"):
            Metrics(state, threading.Lock(), lambda: True, "127.0.0.1", first.port).open()
    finally:
        first.close()


def test_without_the_library(state, monkeypatch) -> None:
    """How to get it."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingDependency, match="prometheus-client"):
        Metrics(state, threading.Lock(), lambda: True, "127.0.0.1", 0)
