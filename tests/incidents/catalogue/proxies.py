"""Incidents of nginx and HAProxy, in front of the lab."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.incidents.certificates import Kind
from tests.incidents.haproxy import Haproxy, haproxy
from tests.incidents.incident import NONE, Expected, Incident, Near, among, drawn
from tests.incidents.nginx import UPGRADE, Nginx, nginx, with_upgrade

PROXY = ("proxy",)
COUNTED = among("any", "inbound")
"""Both proxies renew their timer on traffic of either direction; a client that is always answered sees no more."""


def nginx_incidents(seed: int) -> Iterator[Incident]:
    """All of one seed."""

    def one(name: str, label: str, setup: Nginx, who: tuple[str, ...] = PROXY, **more: object) -> Incident:
        id = f"nginx/{name}"
        who = () if label == NONE else who
        return Incident(
            id=id, stack="nginx", seed=seed, label=label, who=who, start=lambda: nginx(setup), **more  # type: ignore[arg-type]
        )  # fmt: skip

    chance = drawn("nginx", seed)
    idle = round(chance.uniform(3, 6), 1)
    setup = setup_of(idle)
    yield one("read-timeout", "idle-timeout", setup, expected=_timer(idle), minimum_s=idle)
    yield one("read-timeout-also", "idle-timeout", setup, expected=_timer(idle), minimum_s=idle, also=True)
    yield one(
        "read-timeout-default", "idle-timeout", Nginx(socket=with_upgrade("")),
        expected=_timer(60), minimum_s=60, options=("--budget", "180"),
    )  # fmt: skip
    yield one("no-upgrade-lines", "upgrade-stripped", Nginx(socket="proxy_pass http://chat;"))
    keepalive = 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://chat;'
    yield one("keepalive-without-upgrade", "upgrade-stripped", Nginx(socket=keepalive), also=True)
    yield one("dead-upstream", "upstream-unavailable", Nginx(dead=True), expected={"status": among(502)})
    dead = Nginx(socket=UPGRADE + "proxy_pass http://127.0.0.1:1;")
    yield one("dead-upstream-for-sockets", "upstream-unavailable", dead, expected={"status": among(502)})
    limit = chance.randint(2, 4)
    yield one(
        "limit-conn", "connection-limit",
        Nginx(http="limit_conn_zone $binary_remote_addr zone=all:1m;", socket=with_upgrade(f"limit_conn all {limit};proxy_read_timeout 1h;")),
        expected={"limit_connections": among(limit)},
    )  # fmt: skip
    status = chance.choice([429, 503])
    rate = chance.choice([6, 10])
    yield one(
        "limit-req", "rate-limited",
        Nginx(
            http=f"limit_req_zone $binary_remote_addr zone=rate:1m rate={rate}r/m; limit_req_status {status};",
            socket=with_upgrade("limit_req zone=rate burst=2 nodelay; proxy_read_timeout 1h;"),
        ),
        expected={"status": among(status)},
    )  # fmt: skip
    every = round(chance.uniform(6, 9), 1)
    yield one("reload", "server-restart", Nginx(reload_every=every), minimum_s=every)
    to = chance.choice(["https://chat.example.org$request_uri", "https://$host$request_uri", "/login"])
    yield one("redirect", "redirected", Nginx(socket=f"return {chance.choice([301, 302, 307, 308])} {to};"))
    prefix = Nginx(socket=UPGRADE + "proxy_pass http://chat/ws/;")
    yield one("wrong-prefix", "not-found", prefix, ("proxy", "client"), expected={"status": among(403, 404)})
    yield one("no-location", "not-found", Nginx(socket="return 404;"), ("proxy", "client"))
    bad: tuple[Kind, ...] = ("expired", "wrong-name", "self-signed")
    for kind in bad:
        setup = Nginx(certificate=kind)
        yield one(f"tls-{kind}", "tls-failure", setup, ("proxy", "server"))
    yield one("plain-to-tls", "scheme-mismatch", Nginx(certificate="good", scheme="http"), ("client",))
    yield one("tls-to-plain", "scheme-mismatch", Nginx(scheme="https"), ("client",))
    own = with_upgrade('proxy_read_timeout 1h; if ($http_origin != "http://$http_host") { return 403; }')
    yield one("own-origin-only", "origin-rejected", Nginx(socket=own), ("client", "server"))
    wrong = (
        'proxy_hide_header Sec-WebSocket-Accept; add_header Sec-WebSocket-Accept "AAAAAAAAAAAAAAAAAAAAAAAAAAA=" always;'
    )
    yield one("wrong-accept", "handshake-invalid", Nginx(socket=with_upgrade(wrong)), ("proxy", "server"))
    # The fault is behind: the way past the proxy shows it as well.
    behind = Nginx(faults=(f"idle-timeout:timeout={idle}",))
    yield one(
        "backend-idle-also",
        "idle-timeout",
        behind,
        ("server",),
        expected={"timeout_s": Near(idle)},
        minimum_s=idle,
        also=True,
    )
    early = Nginx(faults=(f"early-ping-abort:window={idle / 2:.1f}",))
    window: dict[str, Expected] = {"window_s": Near(round(idle / 2, 1)), "ping": among("both")}
    yield one("backend-early-ping", "early-ping-abort", early, ("server",), expected=window, minimum_s=idle / 2)
    yield one("health-503", "health-lies", Nginx(server="location = /health { return 503; }"), ("server",))
    yield one("healthy", NONE, Nginx())
    yield one("healthy-also", NONE, Nginx(), also=True)
    yield one("healthy-tls", NONE, Nginx(certificate="good"))
    # The server's own pings keep every connection from being idle for so long.
    yield one("healthy-short-timeout-but-pinged", NONE, replace(setup_of(idle), pinging=True))
    foreign = with_upgrade('proxy_read_timeout 1h; if ($http_origin !~ "^(|http://127.0.0.1.*)$") { return 403; }')
    yield one("healthy-foreign-origin-refused", NONE, Nginx(socket=foreign))


def haproxy_incidents(seed: int) -> Iterator[Incident]:
    """All of one seed."""

    def one(name: str, label: str, setup: Haproxy, who: tuple[str, ...] = PROXY, **more: object) -> Incident:
        id = f"haproxy/{name}"
        who = () if label == NONE else who
        return Incident(
            id=id, stack="haproxy", seed=seed, label=label, who=who, start=lambda: haproxy(setup), **more  # type: ignore[arg-type]
        )  # fmt: skip

    chance = drawn("haproxy", seed)
    idle = round(chance.uniform(3, 5), 1)
    time = f"{idle * 1000:.0f}ms"
    yield one("timeout-tunnel", "idle-timeout", Haproxy(tunnel=time), expected=_timer(idle), minimum_s=idle)
    client = Haproxy(tunnel=None, client=time, server="30s")
    yield one("timeout-client", "idle-timeout", client, expected=_timer(idle), minimum_s=idle)
    server = Haproxy(tunnel=None, client="30s", server=time)
    yield one("timeout-server", "idle-timeout", server, expected=_timer(idle), minimum_s=idle, also=True)
    yield one("dead-server", "upstream-unavailable", Haproxy(dead=True), expected={"status": among(503)})
    limit = chance.randint(3, 5)
    full = Haproxy(back="timeout queue 300ms", options=f"maxconn {limit}")
    yield one("server-maxconn", "connection-limit", full, expected={"limit_connections": among(limit)})
    most = chance.randint(2, 4)
    rate = Haproxy(
        front=f"""stick-table type ip size 1k expire 1m store http_req_rate(20s)
  http-request track-sc0 src if {{ path_beg /api/ws/ }}
  http-request deny deny_status 429 if {{ path_beg /api/ws/ }} {{ sc_http_req_rate(0) gt {most} }}"""
    )
    yield one("rate", "rate-limited", rate, expected={"status": among(429)})
    every = round(chance.uniform(6, 9), 1)
    yield one("reload", "server-restart", Haproxy(reload_every=every), minimum_s=every)
    own = "http-request deny deny_status 403 if { path_beg /api/ws/ } !{ hdr_beg(origin) http://127.0.0.1 }"
    yield one("own-origin-only", "origin-rejected", Haproxy(front=own), ("client", "server"))
    yield one("scheme-redirect", "redirected", Haproxy(front="http-request redirect scheme https"))
    plain = "http-request del-header Upgrade\n  http-request del-header Connection"
    yield one("no-upgrade-header", "upgrade-stripped", Haproxy(front=plain))
    yield one("healthy", NONE, Haproxy())
    # The time-outs of requests are short, that of tunnels is not: no fault.
    yield one("healthy-short-requests", NONE, Haproxy(client="3s", server="3s"))
    refused = "http-request deny deny_status 403 if { hdr(origin) -m found } !{ hdr_beg(origin) http://127.0.0.1 }"
    yield one("healthy-foreign-origin-refused", NONE, Haproxy(front=refused))


def setup_of(idle: float) -> Nginx:
    """The classic: no time-out was set for the upgraded connection, or a short one."""
    return Nginx(socket=with_upgrade(f"proxy_read_timeout {idle * 1000:.0f}ms;"))


def _timer(seconds: float) -> dict[str, Expected]:
    return {"timeout_s": Near(seconds), "counts": COUNTED}
