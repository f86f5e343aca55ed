"""Which products a response's headers speak of. Known from use, not from a manual: a weight, never a fact.

Products are named by the start of their names in ``limits.csv``. Hops hide or overwrite headers, so nothing follows
from a header that is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_MARKS: tuple[tuple[str, str, str], ...] = (
    # name of the field, pattern within its value, product
    ("server", r"nginx|openresty", "nginx"),
    ("server", r"apache", "Apache httpd"),
    ("server", r"cloudflare", "Cloudflare"),
    ("server", r"envoy", "Envoy"),
    ("server", r"awselb", "AWS Application Load Balancer"),
    ("server", r"cloudfront", "AWS CloudFront"),
    ("server", r"google frontend", "Google Cloud Run"),
    ("server", r"heroku", "Heroku router"),
    ("server", r"fly/", "Fly.io"),
    ("server", r"vercel", "Vercel"),
    ("server", r"railway", "Railway"),
    ("server", r"caddy", "Caddy"),
    ("server", r"varnish", "Varnish"),
    ("server", r"squid", "Squid"),
    ("server", r"kong", "Kong"),
    ("server", r"gunicorn", "gunicorn"),
    ("server", r"uvicorn", "uvicorn"),
    ("server", r"hypercorn", "hypercorn"),
    ("server", r"daphne", "daphne"),
    ("server", r"tornado", "Tornado"),
    ("server", r"websockets/", "websockets (Python)"),
    ("server", r"aiohttp", "aiohttp"),
    ("server", r"jetty", "Jetty"),
    ("server", r"cowboy", "Cowboy"),
    ("server", r"kestrel", "ASP.NET Core SignalR"),
    ("server", r"uwebsockets", "uWebSockets"),
    ("uwebsockets", r"", "uWebSockets"),
    ("via", r"google", "Google Cloud"),
    ("via", r"vegur|heroku-router", "Heroku router"),
    ("via", r"cloudfront", "AWS CloudFront"),
    ("via", r"caddy", "Caddy"),
    ("via", r"varnish", "Varnish"),
    ("via", r"kong", "Kong"),
    ("via", r"fly\.io", "Fly.io"),
    ("via", r"squid", "Squid"),
    ("cf-ray", r"", "Cloudflare"),
    ("x-amz-cf-id", r"", "AWS CloudFront"),
    ("x-amz-apigw-id", r"", "AWS API Gateway"),
    ("apigw-requestid", r"", "AWS API Gateway"),
    ("x-amzn-requestid", r"", "AWS API Gateway"),
    ("x-amzn-trace-id", r"", "AWS Application Load Balancer"),
    ("set-cookie", r"awsalb", "AWS Application Load Balancer"),
    ("set-cookie", r"arraffinity", "Azure App Service"),
    ("set-cookie", r"applicationgatewayaffinity", "Azure Application Gateway"),
    ("x-azure-ref", r"", "Azure Front Door"),
    ("x-envoy-", r"", "Envoy"),
    ("x-cloud-trace-context", r"", "Google Cloud"),
    ("x-vercel-id", r"", "Vercel"),
    ("fly-request-id", r"", "Fly.io"),
    ("x-railway-", r"", "Railway"),
    ("x-kong-", r"", "Kong"),
    ("x-varnish", r"", "Varnish"),
    ("heroku-", r"", "Heroku router"),
)
"""A field's name that ends in a hyphen stands for all fields that begin so."""
_LONGEST = 512
"""Characters of a header's value that are looked at: it is hostile text."""

KNOWN = tuple(dict.fromkeys(product for _, _, product in _MARKS))
"""Products that a header may give away; of others, silence says nothing."""


def fingerprints(headers: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Products that the headers of an upgrade's response speak of, in the order of ``KNOWN``.

    Args:
        headers: names and values, in any case.
    """
    found = set()
    for name, value in headers:
        field, text = name.lower(), value[:_LONGEST].lower()
        found |= {product for mark, pattern, product in _MARKS if _named(field, mark) and re.search(pattern, text)}
    return tuple(product for product in KNOWN if product in found)


def _named(field: str, mark: str) -> bool:
    return field.startswith(mark) if mark.endswith("-") else field == mark
