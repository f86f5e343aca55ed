"""Connections that never open: groups 1 and 2 of the taxonomy."""

from __future__ import annotations

from email.utils import formatdate

from chatkit.events import AttemptFailed, Logged, UpgradeAnswered
from tests.builders import EPOCH
from tests.diagnosis.stories import story
from tests.diagnosis.stories.telling import CAPTURE, URL, Tale

HTML = "<html><head><title>404 Not Found</title></head><body><center>nginx</center></body></html>"
EXPIRES = URL.replace("***", f"[jwt exp={int(EPOCH) + 900} iat={int(EPOCH)}]")
"""A token that was just issued and is good for a quarter of an hour."""


@story("dns-failure")
def nobody_knows_the_name() -> Tale:
    """The resolver says no, three times."""
    tale = Tale()
    for n in range(3):
        tale.failed(1 + 3 * n, str(n + 1), "dns", "[Errno -2] Name or service not known")
    return tale


@story("connection-refused")
def nothing_listens() -> Tale:
    """The port refuses, and has always refused."""
    tale = Tale()
    for n in range(3):
        tale.failed(1 + 3 * n, str(n + 1), "tcp", "[Errno 111] Connection refused")
    return tale


@story("connect-timeout")
def the_firewall_drops() -> Tale:
    """A SYN that nobody answers."""
    tale = Tale()
    for n in range(2):
        tale.failed(1 + 15 * n, str(n + 1), "tcp", "no answer within 10 s", after=10.0)
    return tale


@story("tls-failure")
def the_certificate_has_expired() -> Tale:
    """Verification fails."""
    tale = Tale()
    tale.failed(1, "1", "tls", "[SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired", url=URL.replace("ws", "wss"))
    return tale


@story("tls-failure")
def the_name_is_missing_in_the_certificate() -> Tale:
    """Hostname mismatch, twice."""
    tale = Tale()
    for n in range(2):
        tale.failed(1 + n, str(n), "tls", "Hostname mismatch, certificate is not valid for 'chat.example'")
    return tale


@story("scheme-mismatch")
def wss_on_a_plain_port() -> Tale:
    """Plain text answers the client hello."""
    tale = Tale()
    tale.failed(1, "1", "tls", "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)")
    return tale


@story("scheme-mismatch")
def ws_on_a_tls_port() -> Tale:
    """nginx says it in its page."""
    tale = Tale()
    body = "<html><h1>400 Bad Request</h1><center>The plain HTTP request was sent to HTTPS port</center></html>"
    tale.refused(1, "1", 400, body=body, server="nginx/1.24.0", content_type="text/html")
    return tale


@story("upgrade-stripped")
def the_proxy_forgets_to_upgrade() -> Tale:
    """404 by the backend's router for a plain GET, signed by nginx; the API works through the same proxy."""
    tale = Tale()
    tale.api(0.5)
    for n in range(3):
        tale.refused(
            *(1 + 2 * n, str(n + 1), 426),
            body="Upgrade Required: this is a WebSocket endpoint",
            server="nginx/1.24.0",
            content_type="text/plain",
        )
    return tale


@story("upgrade-stripped")
def the_page_instead_of_the_socket() -> Tale:
    """200 with a page: the proxy serves the single-page application for anything."""
    tale = Tale()
    tale.api(0.5)
    tale.refused(1, "1", 200, body="<!doctype html><div id=root>", server="nginx", content_type="text/html")
    return tale


@story("not-found")
def a_path_that_is_not_there() -> Tale:
    """The backend itself says so, the API works."""
    tale = Tale()
    tale.api(0.5)
    for n in range(2):
        body = '{"detail":"Not Found"}'
        tale.refused(1 + n, str(n), 404, body=body, server="uvicorn", content_type="application/json")
    return tale


@story("redirected")
def http_sends_to_https() -> Tale:
    """301 with a Location."""
    tale = Tale()
    tale.refused(1, "1", 301, server="nginx", location="https://chat.example/api/ws/chat/storyteller")
    return tale


@story("auth-rejected")
def the_token_is_refused() -> Tale:
    """403 by the socket, 401 by the API."""
    tale = Tale()
    for n in range(3):
        tale.refused(1 + 2 * n, str(n + 1), 403, server="uvicorn")
        tale.api(1.2 + 2 * n, 401)
    return tale


@story("auth-rejected")
def no_token_is_sent() -> Tale:
    """401 and nothing in the request that looks like a token."""
    tale = Tale()
    bare = "ws://127.0.0.1:8000/api/ws/chat/storyteller"
    body = '{"detail":"Not authenticated"}'
    tale.refused(1, "1", 401, body=body, url=bare, server="uvicorn", content_type="application/json")
    return tale


@story("auth-rejected")
def accepted_and_turned_away() -> Tale:
    """101, then close 4001 at once, again and again; the API says 401."""
    tale = Tale()
    for n in range(3):
        tale.opens(1 + 3 * n, str(n + 1), greets=False)
        tale.closed(1.05 + 3 * n, str(n + 1), 4001, "invalid token")
    tale.api(2, 401)
    return tale


@story("bot-access-denied")
def the_bot_is_not_for_this_user() -> Tale:
    """403 by the socket, and 403 by the API for this bot."""
    tale = Tale()
    tale.api(0.3, 200, purpose="session")
    for n in range(3):
        tale.refused(1 + 2 * n, str(n + 1), 403, server="uvicorn")
        tale.api(1.2 + 2 * n, 403)
    return tale


@story("bot-access-denied")
def there_is_no_such_bot() -> Tale:
    """Accepted, then close 4003; the API does not know the bot."""
    tale = Tale()
    for n in range(2):
        tale.opens(1 + 3 * n, str(n + 1), greets=False)
        tale.closed(1.05 + 3 * n, str(n + 1), 4003, "no access to this bot")
        tale.api(1.2 + 3 * n, 404)
    return tale


@story("origin-rejected")
def a_page_from_elsewhere() -> Tale:
    """403 that speaks of the origin; the API accepts the token."""
    tale = Tale()
    tale.api(0.5)
    tale.refused(
        *(1, "1", 403),
        body="Cross-origin request denied: origin not allowed",
        asked=[("Origin", "https://other.example")],
        url=EXPIRES,
    )
    return tale


@story("subprotocol-mismatch")
def no_subprotocol_in_common() -> Tale:
    """101 without the protocol that was asked for; the client refuses."""
    tale = Tale()
    tale.attempt(1, "1", headers=[("Sec-WebSocket-Protocol", "chat.v2")])
    tale.put(1.02, UpgradeAnswered, "1", status=101, reason="", headers=[])
    tale.put(1.021, AttemptFailed, "1", stage="upgrade", error="no subprotocols supported", status=101)
    return tale


@story("rate-limited")
def too_many_attempts() -> Tale:
    """429 with Retry-After after a burst."""
    tale = Tale()
    for n in range(5):
        tale.opens(1 + 0.3 * n, str(n))
        tale.closed(1.2 + 0.3 * n, str(n), 1000, by="client")
    for n in range(5, 8):
        tale.refused(1 + 0.3 * n, str(n), 429, body="rate limit exceeded", retry_after="30", server="cloudflare")
    return tale


@story("rate-limited")
def overloaded_with_retry_after() -> Tale:
    """503 by the backend itself, which says when to come back; the API works."""
    tale = Tale()
    tale.api(0.5)
    for n in range(4):
        tale.refused(1 + 5 * n, str(n), 503, body="too many requests", retry_after="5", server="uvicorn")
    return tale


@story("rate-limited")
def too_many_messages() -> Tale:
    """Close 4429 while we write fast."""
    tale = Tale()
    tale.opens(1, "1")
    for n in range(30):
        tale.says(2 + 0.05 * n, "1")
    tale.closed(3.5, "1", 4429, "rate limit: 20 messages per second")
    tale.opens(8, "2")
    tale.closed(12, "2", 1000, by="client")
    return tale


@story("rate-limited")
def too_many_messages_as_a_policy() -> Tale:
    """Close 1008 with a reason that speaks of the rate."""
    tale = Tale()
    tale.opens(1, "1")
    for n in range(30):
        tale.says(2 + 0.05 * n, "1")
    tale.closed(3.5, "1", 1008, "too many messages")
    return tale


@story("connection-limit")
def the_fourth_is_one_too_many() -> Tale:
    """Three live on, every further one is refused with 503."""
    tale = Tale()
    for n in range(3):
        tale.opens(1 + 5 * n, str(n))
        tale.pings(6 + 5 * n, 60, 20, str(n))
    for n in range(3, 6):
        tale.refused(5 * n + 2, str(n), 503, body="too many connections", server="uvicorn")
    tale.notified(60, "0")
    return tale


@story("connection-limit")
def let_in_and_put_out() -> Tale:
    """The fourth is accepted and closed with 1013 at once."""
    tale = Tale()
    for n in range(3):
        tale.opens(1 + 5 * n, str(n))
        tale.pings(6 + 5 * n, 60, 20, str(n))
    for n in range(3, 6):
        tale.opens(5 * n + 2, str(n), greets=False)
        tale.closed(5 * n + 2.02, str(n), 1013, "connection limit reached")
    tale.notified(60, "0")
    return tale


@story("upstream-unavailable")
def bad_gateway() -> Tale:
    """502 by nginx for everything."""
    tale = Tale()
    for n in range(3):
        body = "<html><title>502 Bad Gateway</title></html>"
        tale.refused(1 + 3 * n, str(n), 502, body=body, server="nginx/1.24.0", content_type="text/html")
        tale.health(1.5 + 3 * n, 502)
    return tale


@story("upstream-unavailable", CAPTURE)
def the_proxy_logs_a_refused_upstream() -> Tale:
    """504 and the proxy's own log."""
    tale = Tale()
    tale.refused(1, "1", 503, body="no server is available to handle this request", server="haproxy")
    tale.put(1.02, Logged, by="proxy", what="upstream-refused", text="connect() failed (111: Connection refused)")
    return tale


@story("handshake-timeout")
def the_upgrade_stays_unanswered() -> Tale:
    """The request went out, health is fine, nothing comes for 10 s."""
    tale = Tale()
    tale.attempt(1, "1")
    tale.put(11, AttemptFailed, "1", stage="upgrade", error="no answer to the upgrade within 10 s")
    tale.health(5)
    return tale


@story("handshake-invalid")
def the_accept_is_wrong() -> Tale:
    """101 with a Sec-WebSocket-Accept of another key."""
    tale = Tale()
    tale.attempt(1, "1")
    tale.put(1.02, UpgradeAnswered, "1", status=101, reason="", headers=[("Sec-WebSocket-Accept", "x3JJ")])
    tale.put(1.021, AttemptFailed, "1", stage="upgrade", error="invalid Sec-WebSocket-Accept header: x3JJ", status=101)
    return tale


@story("clock-skew")
def the_server_lives_in_the_future() -> Tale:
    """A token that was just issued is refused, and Date is half an hour ahead."""
    tale = Tale()
    for n in range(2):
        date = formatdate(EPOCH + 1 + n + 1800, usegmt=True)
        tale.refused(1 + n, str(n), 401, body="token expired", url=EXPIRES, date=date, server="uvicorn")
        tale.api(1.3 + n, 401)
    return tale
