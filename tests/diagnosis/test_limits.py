"""The table of limits, and which of them fit what was measured."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections import Counter
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields

from chatkit.diagnosis.limits import Limit, Suspect, limits, suspects
from chatkit.errors import InvalidInput

KINDS = [
    "idle", "age", "handshake", "message-bytes", "keepalive-ping", "header-bytes", "shutdown-grace", "connections",
    "request", "timer",
]  # fmt: skip
ENDINGS = [None, "fin", "rst", "silence", "abort", "close:1000", "close:1001", "close:1006", "close:1009", "http:400"]
COUNTS = [None, "any", "inbound", "outbound", "data-frames", "app-ping", "protocol-ping"]


def products(*found: Suspect) -> list[str]:
    return [suspect.limit.product for suspect in found]


def texts(name: str) -> list[dict[str, Any]]:
    return list(csv.DictReader(files("chatkit.diagnosis").joinpath(name).read_text("utf-8").splitlines()))


def test_the_table_is_whole() -> None:
    """Rows and columns as they were gathered: nobody drops or adds one unnoticed."""
    rows = texts("limits.csv")
    assert len(rows) == len(limits()) == 110
    assert list(rows[0]) == [field.name for field in fields(Limit)]
    assert Counter(limit.confidence for limit in limits()) == {
        "from source": 58,
        "documented": 36,
        "known, unsourced": 11,
        "folklore": 5,
    }
    assert {limit.unit for limit in limits()} == {"s", "B", "count"}
    assert {limit.kind for limit in limits()} == set(KINDS) - {"timer"}


def test_every_sourced_row_has_a_source() -> None:
    """What is told has somebody who says it, and a fix."""
    assert [limit.words for limit in limits() if limit.sourced and not limit.source.strip()] == []
    assert [limit.words for limit in limits() if not limit.fix.strip()] == []
    assert sum(limit.sourced for limit in limits()) == 98


def test_every_check_belongs_to_a_row_that_is_told() -> None:
    """By product, kind and number, each once."""
    keys = [(row["product"], row["kind"], float(row["default"])) for row in texts("checks.csv")]
    told = {(limit.product, limit.kind, limit.default) for limit in limits() if limit.sourced}
    assert set(keys) <= told
    assert len(set(keys)) == len(keys)
    assert all(row["check"].strip() for row in texts("checks.csv"))


def test_limits_are_read_when_somebody_asks() -> None:
    """Once."""
    code = "from chatkit.diagnosis import limits as m; assert m.limits.cache_info().currsize == 0"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert limits() is limits()


def test_a_minute_of_quiet_and_a_bare_fin() -> None:
    """nginx and those that behave alike; Cowboy would have said 1000, and unsourced rows are silent."""
    found = suspects("idle", 60.02, error=0.05, ending="fin", counts="any")
    assert found[0].words == "nginx proxy_read_timeout (default)"
    assert (found[0].fix, found[0].confidence) == ("proxy_read_timeout 3600s;", "from source")
    assert found[0].off == pytest.approx(0.02)
    assert "Cowboy" not in products(*found)
    assert found[0].check is not None
    assert str(found[0]) == found[0].words


def test_a_header_decides_between_equal_numbers() -> None:
    """It raises its product and lowers those that would have shown themselves."""
    ingress, apache = (
        suspects("idle", 60, ending="fin", fingerprints=marks)[0] for marks in (["Kong"], ["Apache httpd"])
    )
    assert ingress.limit.product == "Kong Gateway"
    assert apache.limit.product.startswith("Apache httpd")
    assert apache.fingerprinted
    cloudflare = suspects("idle", 100, fingerprints=["Cloudflare"])[0]
    assert cloudflare.words == "Cloudflare proxy WebSocket idle timeout (users report)"
    assert cloudflare.confidence == "users report"


def test_only_the_client_counts_and_ticks_are_late() -> None:
    """Phoenix and Cowboy fire between 60 and 66 s after the client's last byte, with a close frame."""
    for seconds in (60.0, 63.0, 66.0):
        found = suspects("idle", seconds, ending="close:1000", counts="outbound")
        assert set(products(*found[:2])) == {"Cowboy", "Phoenix sockets"}
        assert sum(suspect.weight for suspect in found[:2]) > 0.9
    assert suspects("idle", 57.0, ending="close:1000", counts="outbound") == ()
    assert "Cowboy" not in products(*suspects("idle", 68.0))


def test_traffic_clears_idle_limits() -> None:
    """What dies of age dies under traffic; a timer of which nothing is known may be either."""
    busy = suspects("timer", 300, traffic=True)
    assert set(products(*busy)) == {"Google Cloud Run", "Vercel Functions"}
    assert {"Envoy", "Google Cloud Run"} <= set(products(*suspects("timer", 300)))
    assert suspects("timer", 30, traffic=True, fingerprints=["Google Cloud"])[0].limit.kind == "age"
    assert "ws_ping_interval (default)" not in " ".join(one.words for one in suspects("timer", 20))


@pytest.mark.parametrize(
    ("ending", "product"),
    [("close:1009", "websockets (Python), server and client"), ("rst", "daphne"), ("close:1006", "daphne")],
)
def test_who_says_too_big(ending: str, product: str) -> None:
    """websockets with 1009, Daphne by an RST; an RST may have overtaken a close frame."""
    found = suspects("message-bytes", 1_048_576, ending=ending)
    assert found[0].limit.product == product
    assert "websockets (Python), server and client" in products(*found)


def test_a_decimal_limit_is_not_a_binary_one() -> None:
    """1,000,000 B is Socket.IO, 2^20 B is not."""
    assert products(*suspects("message-bytes", 1_000_000)) == ["Socket.IO / Engine.IO"]
    assert "Socket.IO / Engine.IO" not in products(*suspects("message-bytes", 2**20))
    assert len(suspects("message-bytes", 1_020_000, error=40_000)) >= 3


def test_silence_is_noticed_as_an_rst() -> None:
    """A forgotten flow answers the next packet so; it sends no FIN."""
    assert "AWS Network Load Balancer" in products(*suspects("idle", 350, ending="rst"))
    assert suspects("idle", 350, ending="fin") == ()
    assert "AWS NAT gateway" not in products(*suspects("idle", 350))


def test_who_ended_it_tells_whose_limit() -> None:
    """A client's limit is the client's to end; one library serves both ends."""
    mine = products(*suspects("keepalive-ping", 40, by="client"))
    theirs = products(*suspects("keepalive-ping", 40, by="server"))
    assert mine == ["websockets (Python), server and client", "httpx-ws client"]
    assert theirs == ["uvicorn", "websockets (Python), server and client"]


def test_at_once_and_never() -> None:
    """A limit of 0 matches what came at once; a number that is nobody's matches nothing."""
    assert "uvicorn" in products(*suspects("shutdown-grace", 0.1, ending="close:1012"))
    assert suspects("idle", 1500) == ()
    assert suspects("connections", 0) == ()


@pytest.mark.parametrize(
    ("limit", "standing"),
    [("Heroku router", "fixed"), ("HAProxy", "example's value"), ("NAT conforming to RFC 5382", "least allowed")],
)
def test_what_is_no_default_is_not_called_one(limit: str, standing: str) -> None:
    """A number of an example, of a standard, or that nobody can change."""
    one = next(one for one in limits() if one.product == limit)
    assert one.words.endswith(f"({standing})")


@given(
    kind=st.sampled_from(KINDS),
    value=st.one_of(st.floats(0, 1e9), st.sampled_from([limit.default for limit in limits()])),
    error=st.floats(0, 1e9),
    ending=st.sampled_from(ENDINGS),
    counts=st.sampled_from(COUNTS),
    traffic=st.sampled_from([None, False, True]),
    by=st.sampled_from([None, "client", "server"]),
)
def test_whatever_is_asked(kind: str, value: float, **rest: Any) -> None:
    """Never a row without a source, the likeliest first, weights that add up to 1."""
    found = suspects(kind, value, **rest)
    assert all(suspect.limit.sourced and suspect.source for suspect in found)
    weights = [suspect.weight for suspect in found]
    assert weights == sorted(weights, reverse=True)
    assert not found or sum(weights) == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "sulking"}, "no such kind"),
        ({"value": float("nan")}, "no such measure"),
        ({"value": -1.0}, "no such measure"),
        ({"error": float("inf")}, "no such measure"),
        ({"ending": "boom"}, "no such ending"),
        ({"counts": "sheep"}, "no such counts"),
        ({"by": "proxy"}, "no such by"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], words: str) -> None:
    """With what would fit."""
    with pytest.raises(InvalidInput, match=words):
        suspects(**({"kind": "idle", "value": 60.0} | options))
