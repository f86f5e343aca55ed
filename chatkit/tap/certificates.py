"""Certificates made on demand, good ones and bad ones; needs the package ``cryptography`` (extra ``tls``)."""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from chatkit.errors import MissingDependency

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

Flaw = Literal["none", "expired", "wrong-name", "self-signed", "unknown-ca"]
_NAMES = ("localhost", "127.0.0.1", "::1")
_WRONG_NAMES = ("wrong-name.invalid",)
_LIFE = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A server's certificate, ready for use."""

    context: ssl.SSLContext
    """Of a server; it holds the key, which is nowhere else."""
    ca_pem: str
    """The CA to trust; empty where nobody can."""


def local_certificate(flaw: Flaw) -> Certificate:
    """A certificate for this machine's loopback names.

    Args:
        flaw: what is wrong with it. With ``none``, ``expired`` and ``wrong-name`` the CA may be trusted, so that the
            flaw is the only one.

    Raises:
        MissingDependency: ``cryptography`` is not installed.
    """
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise MissingDependency("a TLS certificate of its own", package="cryptography", extra="tls") from error
    now = datetime.now(UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _signed("chatkit local CA", ca_key, None, ca_key, now, ())
    names = _WRONG_NAMES if flaw == "wrong-name" else _NAMES
    if flaw == "self-signed":
        leaf = _signed("chatkit hop", key, None, key, now, names, ca=False)
    else:
        issued = now - 2 * _LIFE if flaw == "expired" else now
        leaf = _signed("chatkit hop", key, authority, ca_key, issued, names, ca=False)
    pem = serialization.Encoding.PEM
    chain = leaf.public_bytes(pem)
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # The ssl module reads keys from files only; this one is readable by nobody else and gone at once.
    with tempfile.TemporaryDirectory(prefix="chatkit-tls-") as folder:
        file = Path(folder) / "key-and-certificate.pem"
        file.write_bytes(secret + chain)
        context.load_cert_chain(file)
    trusted = flaw in ("none", "expired", "wrong-name")
    return Certificate(context=context, ca_pem=authority.public_bytes(pem).decode() if trusted else "")


def _signed(
    name: str,
    key: EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: EllipticCurvePrivateKey,
    since: datetime,
    names: tuple[str, ...],
    *,
    ca: bool = True,
) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks on the two sides may differ a little.
        .not_valid_before(since - timedelta(days=1))
        .not_valid_after(since + _LIFE)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if ca:
        usage = dict.fromkeys(
            ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
        )
        builder = builder.add_extension(
            x509.KeyUsage(**usage, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False),
            critical=True,
        )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_name(one) for one in names]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
