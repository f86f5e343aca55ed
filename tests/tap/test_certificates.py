"""What a client says of each certificate, without a socket."""

from __future__ import annotations

import ssl
import sys
import tempfile
from pathlib import Path

import pytest

from chatkit.errors import MissingDependency
from chatkit.tap.certificates import Certificate, local_certificate


def shake(certificate: Certificate, name: str = "localhost") -> None:
    """A TLS handshake in memory; raises what the client raises."""
    trust = ssl.create_default_context(cadata=certificate.ca_pem or None)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trust.wrap_bio(to_client, to_server, server_hostname=name)
    server = certificate.context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_a_good_one(name) -> None:
    """For each name of this machine."""
    shake(local_certificate("none"), name)


@pytest.mark.parametrize(
    ("flaw", "words"),
    [
        ("expired", "certificate has expired"),
        ("wrong-name", "Hostname mismatch"),
        ("self-signed", "self-signed certificate"),
        ("unknown-ca", "unable to get local issuer"),
    ],
)
def test_a_bad_one(flaw, words) -> None:
    """For its own reason and no other."""
    with pytest.raises(ssl.SSLCertVerificationError, match=words):
        shake(local_certificate(flaw))


def test_the_key_is_left_nowhere(monkeypatch, tmp_path) -> None:
    """The file that the ssl module reads is gone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    local_certificate("none")
    assert list(Path(tmp_path).iterdir()) == []


def test_without_the_package(monkeypatch) -> None:
    """Said with the way to get it."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    with pytest.raises(MissingDependency, match="cryptography"):
        local_certificate("none")
