"""The catalogue: every incident of every stack, for as many seeds as wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tests.incidents.catalogue.hops import hop_incidents
from tests.incidents.catalogue.labs import lab_incidents
from tests.incidents.catalogue.proxies import haproxy_incidents, nginx_incidents
from tests.incidents.catalogue.servers import aiohttp_incidents, gunicorn_incidents, node_incidents, uvicorn_incidents
from tests.incidents.incident import RESERVED, Incident

STACKS: dict[str, Callable[[int], Iterator[Incident]]] = {
    "lab": lab_incidents,
    "hop": hop_incidents,
    "nginx": nginx_incidents,
    "haproxy": haproxy_incidents,
    "uvicorn": uvicorn_incidents,
    "gunicorn": gunicorn_incidents,
    "aiohttp": aiohttp_incidents,
    "node-ws": node_incidents,
}


def incidents(seeds: Iterable[int], stacks: Iterable[str] = STACKS) -> list[Incident]:
    """All incidents of these seeds and stacks, seed by seed."""
    return [incident for seed in seeds for stack in stacks for incident in STACKS[stack](seed)]


def seeds(count: int, *, reserved: bool = False) -> list[int]:
    """The first ``count`` seeds that are reserved, or that are not."""
    found = [seed for seed in range(RESERVED * count + RESERVED) if (seed % RESERVED == 0) == reserved]
    return found[:count]
