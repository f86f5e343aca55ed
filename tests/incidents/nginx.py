"""A real nginx in front of the lab."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.incidents import certificates
from tests.incidents.incident import Site
from tests.incidents.processes import Program, find_program, folder, free_port, meanwhile, running
from tests.incidents.stacks import BOT, lab_process, uvicorn_server

UPGRADE = """
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header Host $http_host;
"""
"""The lines without which no upgrade passes (nginx.org, "WebSocket proxying")."""

_CONFIGURATION = """
{user}
daemon off;
worker_processes 1;
worker_shutdown_timeout 200ms;
pid {place}/nginx.pid;
error_log {place}/error.log warn;
events {{ worker_connections 128; }}
http {{
  access_log off;
  client_body_temp_path {place}/body;
  proxy_temp_path {place}/proxy;
  fastcgi_temp_path {place}/fastcgi;
  uwsgi_temp_path {place}/uwsgi;
  scgi_temp_path {place}/scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
  upstream chat {{ server 127.0.0.1:{upstream}; }}
  {http}
  server {{
    listen 127.0.0.1:{port}{tls};
    {server}
    location /api/ws/ {{
      {socket}
    }}
    location / {{
      {web}
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nginx:
    """What differs from a good configuration."""

    socket: str = UPGRADE + "proxy_pass http://chat; proxy_read_timeout 3600s; proxy_send_timeout 3600s;"
    """The location of the sockets."""
    web: str = "proxy_pass http://chat;"
    """The location of everything else."""
    server: str = ""
    http: str = ""
    dead: bool = False
    """Whether nobody listens where the upstream should be."""
    certificate: certificates.Kind | None = None
    """TLS with this certificate; a client is told to trust its authority."""
    scheme: str = ""
    """What the client is told, where that is not what the port speaks."""
    reload_every: float | None = None
    """Seconds between two reloads; the old worker cuts its sockets 200 ms after each."""
    faults: tuple[str, ...] = ()
    """Of the lab behind."""
    pinging: bool = False
    """Whether not the lab but a uvicorn that pings every 2 s is behind."""


def with_upgrade(extra: str) -> str:
    """A good location for sockets, with more lines."""
    return UPGRADE + "proxy_pass http://chat;" + extra


@asynccontextmanager
async def _backend(setup: Nginx) -> AsyncIterator[tuple[Program, str]]:
    if setup.pinging:
        async with uvicorn_server("--ws-ping-interval", "2") as server:
            yield server.program, server.token()
    else:
        async with lab_process(*setup.faults) as found:
            yield found


@asynccontextmanager
async def nginx(setup: Nginx) -> AsyncIterator[Site]:
    """The site: nginx in front, the lab behind."""
    binary = find_program("nginx")
    async with _backend(setup) as (behind, token), folder() as place:
        port = free_port()
        configuration, pair = place / "nginx.conf", None
        tls = server = ""
        if setup.certificate is not None:
            pair = certificates.make(setup.certificate, place)
            tls, server = " ssl", f"ssl_certificate {pair.certificate}; ssl_certificate_key {pair.key};"
        configuration.write_text(
            _CONFIGURATION.format(
                # As root, nginx would otherwise serve as a user who may not enter the folder.
                user="user root;" if os.geteuid() == 0 else "",
                place=place,
                port=port,
                upstream=free_port() if setup.dead else behind.port,
                http=setup.http,
                tls=tls,
                server=server + setup.server,
                socket=setup.socket,
                web=setup.web,
            )
        )
        command = [binary, "-p", str(place), "-e", str(place / "error.log"), "-c", str(configuration)]
        async with running(Program(command, port=port, log=place / "log")) as front:
            scheme = setup.scheme or ("https" if pair else "http")
            site = Site(
                url=f"{scheme}://127.0.0.1:{port}",
                bot=BOT,
                token=token,
                direct_url=f"http://127.0.0.1:{behind.port}",
                environment={"SSL_CERT_FILE": str(pair.authority)} if pair else {},
                pids=(front.pid, behind.pid),
            )
            if setup.reload_every is None:
                yield site
                return
            async with meanwhile(lambda: _reload(front), first=setup.reload_every, period=setup.reload_every):
                yield site


async def _reload(front: Program) -> None:
    """``nginx -s reload``."""
    front.send(signal.SIGHUP)
