"""Headers that give a product away: weights, never facts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.diagnosis.fingerprints import KNOWN, fingerprints
from chatkit.diagnosis.limits import limits


@pytest.mark.parametrize(
    ("headers", "products"),
    [
        ([("Server", "nginx/1.22.1")], ["nginx"]),
        ([("server", "cloudflare"), ("CF-RAY", "8f1-FRA")], ["Cloudflare"]),
        ([("Via", "1.1 google")], ["Google Cloud"]),
        ([("Via", "1.1 vegur")], ["Heroku router"]),
        ([("Via", "1.1 abc.cloudfront.net (CloudFront)"), ("X-Amz-Cf-Id", "x")], ["AWS CloudFront"]),
        ([("x-amzn-RequestId", "x")], ["AWS API Gateway"]),
        ([("X-Amzn-Trace-Id", "x"), ("Set-Cookie", "AWSALB=x")], ["AWS Application Load Balancer"]),
        ([("x-azure-ref", "x")], ["Azure Front Door"]),
        ([("Set-Cookie", "ARRAffinity=x; Path=/")], ["Azure App Service"]),
        ([("server", "istio-envoy"), ("x-envoy-upstream-service-time", "3")], ["Envoy"]),
        ([("Server", "nginx"), ("Via", "1.1 varnish")], ["nginx", "Varnish"]),
        ([("Server", "Python/3.11 websockets/17.4")], ["websockets (Python)"]),
        ([("Server", "Python/3.11 aiohttp/3.14.5")], ["aiohttp"]),
        ([("Server", "TornadoServer/6.6.1")], ["Tornado"]),
        ([("Upgrade", "websocket"), ("X-Forwarded-Via", "google")], []),
        ([], []),
    ],
)
def test_headers_speak_of_products(headers: list[tuple[str, str]], products: list[str]) -> None:
    """Names in any case; of a field that says nothing nothing is made."""
    assert list(fingerprints(headers)) == products


@pytest.mark.parametrize("product", KNOWN)
def test_every_fingerprint_belongs_to_a_row(product: str) -> None:
    """A word that begins no product's name could never weigh anything."""
    assert any(limit.product.startswith(product) for limit in limits())


@given(st.lists(st.tuples(st.text(max_size=40), st.text(max_size=2000)), max_size=5))
def test_any_headers_do(headers: list[tuple[str, str]]) -> None:
    """They are hostile text: products that are known, each once, or none."""
    found = fingerprints(headers)
    assert set(found) <= set(KNOWN)
    assert len(set(found)) == len(found)


def test_the_end_of_an_endless_value_is_not_read() -> None:
    """The first half kilobyte says it or it is not said."""
    assert fingerprints([("Server", "x" * 10_000 + "nginx")]) == ()
