"""Certificates for loopback, made for one run: good, expired, for another name, self-signed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Kind = Literal["good", "expired", "wrong-name", "self-signed"]


@dataclass(frozen=True, slots=True)
class Pair:
    """Files for a server, and the authority that a client may trust."""

    certificate: Path
    key: Path
    authority: Path


def make(kind: Kind, place: Path) -> Pair:
    """Writes a certificate with its key, and the authority that signed it."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    authority = _build("Test authority", "Test authority", authority_key, authority_key, now, days=30, ca=True)
    key = ec.generate_private_key(ec.SECP256R1())
    days = -1 if kind == "expired" else 30
    host = "chat.example.org" if kind == "wrong-name" else "127.0.0.1"
    if kind == "self-signed":
        certificate = _build(host, host, key, key, now, days=days, ca=False)
    else:
        certificate = _build(host, "Test authority", key, authority_key, now, days=days, ca=False)
    pair = Pair(certificate=place / "server.pem", key=place / "server.key", authority=place / "authority.pem")
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pair.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8
    pair.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()))
    return pair


def _build(
    subject: str,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    now: datetime,
    *,
    days: int,
    ca: bool,
) -> x509.Certificate:
    building = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if ca:
        building = building.add_extension(_signing(), critical=True)
    else:
        named = x509.IPAddress(ip_address(subject)) if subject[0].isdigit() else x509.DNSName(subject)
        building = building.add_extension(x509.SubjectAlternativeName([named]), critical=False)
    return building.sign(signer, hashes.SHA256())


def _signing() -> x509.KeyUsage:
    fields = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "crl_sign", "encipher_only", "decipher_only"), False,
    )  # fmt: skip
    return x509.KeyUsage(key_cert_sign=True, **fields)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
