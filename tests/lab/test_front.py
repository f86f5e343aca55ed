"""A lab with a hop in front of it, and one without."""

from __future__ import annotations

import sys

import httpx
import pytest

from chatkit.errors import InvalidInput, LabError, MissingDependency
from chatkit.lab import LabServer
from conftest import until

from .test_faults import ending


def test_a_lab_on_a_thread_with_a_hop_in_front() -> None:
    """URLs name the hop, the ready line both; faults of both kinds work together and change while it runs."""
    with LabServer(faults=["upstream-unavailable:what=upgrade", "health-down"], seed=3) as lab:
        ready = lab.ready()
        assert ready["url"] == lab.url != ready["direct_url"] == lab.direct_url
        assert ready["ws_url"] == lab.ws_url == lab.url.replace("http", "ws")
        assert sorted(ready["faults"]) == ["health-down", "upstream-unavailable:what=upgrade"]
        assert httpx.get(f"{lab.url}/health", trust_env=False).status_code == 503
        lab.set_faults(["upstream-unavailable:status=504"])
        assert [str(fault) for fault in lab.faults] == ["upstream-unavailable:status=504"]
        assert httpx.get(f"{lab.url}/health", trust_env=False).status_code == 504
        assert httpx.get(f"{lab.direct_url}/health", trust_env=False).status_code == 200
        with pytest.raises(InvalidInput, match="cannot change"):
            lab.set_faults(["tls-failure"])


def test_a_lab_without_a_hop() -> None:
    """Gets none later, and says nothing of one."""
    with LabServer() as lab:
        assert "direct_url" not in lab.ready()
        assert lab.direct_url == lab.url
        with pytest.raises(LabError, match="no hop"):
            lab.set_faults(["latency:delay=1"])


def test_a_taken_port_leaves_nothing_open() -> None:
    """The hop's port is the one that was asked for."""
    with LabServer(faults=["latency:delay=0"]) as lab:
        port = int(lab.url.rsplit(":", 1)[1])
        with pytest.raises(LabError, match=f"port {port} is taken"):
            LabServer(faults=["latency:delay=0"], port=port).start()


@pytest.mark.parametrize(("how", "seen"), [("fin", "fin"), ("rst", "rst"), ("close", "close 1012")])
async def test_what_the_backend_does_shows_in_front_of_the_hop(house, how, seen) -> None:
    """Each of its endings arrives as it was."""
    there = await house("latency:delay=0")
    ada = await there.enter()
    there.lab.cut(how)
    assert ending(await ada.end()) == seen


async def test_an_end_of_the_client_shows_behind_the_hop(house) -> None:
    """The backend counts it as gone."""
    there = await house("latency:delay=0")
    ada = await there.enter()
    ada.ws.transport.abort()
    await until(lambda: there.lab.stats.ended == 1)


def test_a_certificate_that_cannot_be_made_leaves_nothing_open(monkeypatch) -> None:
    """Neither the hop's port nor the backend's."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    lab = LabServer(faults=["tls-failure"])
    with pytest.raises(MissingDependency, match="cryptography"):
        lab.start()
