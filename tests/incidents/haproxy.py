"""A real HAProxy in front of the lab."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.incidents.incident import Site
from tests.incidents.processes import Program, find_program, folder, free_port, meanwhile, running
from tests.incidents.stacks import BOT, lab_process

_CONFIGURATION = """
global
  hard-stop-after 200ms
  {global_}
defaults
  mode http
  timeout connect 2s
  timeout client {client}
  timeout server {server}
  {tunnel}
frontend front
  bind 127.0.0.1:{port}
  {front}
  default_backend chat
backend chat
  {back}
  server lab 127.0.0.1:{upstream} {options}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Haproxy:
    """What differs from a good configuration; times as HAProxy writes them."""

    client: str = "1h"
    server: str = "1h"
    tunnel: str | None = "1h"
    """``None`` leaves the line out: the other two then count in a tunnel, too."""
    global_: str = ""
    front: str = ""
    back: str = ""
    options: str = ""
    """Of the server line."""
    dead: bool = False
    """Whether nobody listens where the server should be."""
    reload_every: float | None = None
    """Seconds between two reloads in master-worker mode; the old worker stops hard 200 ms after each."""
    faults: tuple[str, ...] = ()
    """Of the lab behind."""


@asynccontextmanager
async def haproxy(setup: Haproxy) -> AsyncIterator[Site]:
    """The site: HAProxy in front, the lab behind."""
    binary = find_program("haproxy")
    async with lab_process(*setup.faults) as (behind, token), folder() as place:
        port = free_port()
        configuration = place / "haproxy.cfg"
        configuration.write_text(
            _CONFIGURATION.format(
                global_=setup.global_,
                client=setup.client,
                server=setup.server,
                tunnel=f"timeout tunnel {setup.tunnel}" if setup.tunnel else "",
                port=port,
                front=setup.front,
                back=setup.back,
                upstream=free_port() if setup.dead else behind.port,
                options=setup.options,
            )
        )
        mode = ["-W"] if setup.reload_every is not None else ["-db"]
        async with running(Program([binary, *mode, "-f", str(configuration)], port=port, log=place / "log")) as front:
            site = Site(
                url=f"http://127.0.0.1:{port}",
                bot=BOT,
                token=token,
                direct_url=f"http://127.0.0.1:{behind.port}",
                pids=(front.pid, behind.pid),
            )
            if setup.reload_every is None:
                yield site
                return
            async with meanwhile(lambda: _reload(front), first=setup.reload_every, period=setup.reload_every):
                yield site


async def _reload(front: Program) -> None:
    """In master-worker mode the master starts a new worker on SIGUSR2."""
    front.send(signal.SIGUSR2)
