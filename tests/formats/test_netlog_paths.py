"""From a request to its socket."""

from __future__ import annotations

import pytest

from chatkit.formats import netlog_paths
from chatkit.formats.netlog_paths import (
    ConnectJob,
    Lookup,
    Remembered,
    Socket,
    StreamJob,
    addresses,
    cipher_name,
    proxy_url,
    without_port,
)


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("192.0.2.1:80", "192.0.2.1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("192.0.2.1", "192.0.2.1"),
        ("", ""),
        ("[", ""),
    ],
)
def test_without_port(address: str, host: str) -> None:
    """IPv4 and IPv6, with and without."""
    assert without_port(address) == host


def test_addresses_of_old_and_new_resolvers() -> None:
    """A list of texts, or nested results."""
    new = [{"domain_name": "h", "endpoints": [{"address": "192.0.2.1", "port": 0}, {"address": "2001:db8::1"}]}]
    assert list(addresses(["192.0.2.1:0", "192.0.2.2:0"])) == ["192.0.2.1", "192.0.2.2"]
    assert list(addresses(new)) == ["192.0.2.1", "2001:db8::1"]
    assert list(addresses({"endpoints": 5})) == list(addresses(None)) == []
    assert len(list(addresses([f"192.0.2.{n}" for n in range(100)]))) == 20
    nested: object = "192.0.2.1"
    for _ in range(10_000):
        nested = [nested]
    assert list(addresses(nested)) == ["192.0.2.1"]


def test_proxies_and_ciphers() -> None:
    """As a person reads them."""
    assert [proxy_url(info) for info in ("DIRECT", "", "PROXY p:1;DIRECT", "HTTPS p:2", "SOCKS5 p:3")] == [
        None,
        None,
        "http://p:1",
        "https://p:2",
        "socks5://p:3",
    ]
    assert (cipher_name(0x1301), cipher_name(0x1234)) == ("TLS_AES_128_GCM_SHA256", "0x1234")


def test_the_socket_of_a_job() -> None:
    """The one it got, else the last that was tried."""
    first, second, lookup = Socket(), Socket(), Lookup()
    job = StreamJob(connect=ConnectJob(lookup=lookup, sockets=[first, second]))
    assert (job.last_socket, job.lookup) == (second, lookup)
    job.socket = first
    assert job.last_socket is first
    assert (StreamJob().last_socket, StreamJob().lookup) == (None, None)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The older half goes."""
    monkeypatch.setattr(netlog_paths, "MOST_SOURCES", 4)
    sockets = Remembered(Socket)
    for id in range(10):
        sockets[id].error = id
    assert sorted(sockets) == [6, 7, 8, 9]
    assert sockets[9].error == 9
