"""The certificate of an instance's own authority, by which its clients know the server."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

LIFE = timedelta(days=3650)


def server_ca(instance: str, now: datetime) -> dict[str, Any]:
    """A new one, as an ``SslCert`` of the API."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Google, Inc"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Google Cloud SQL Server CA"),
        ]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    return {
        "kind": "sql#sslCert",
        "instance": instance,
        "certSerialNumber": "0",
        "commonName": "C=US,O=Google\\, Inc,CN=Google Cloud SQL Server CA",
        "cert": certificate.public_bytes(Encoding.PEM).decode(),
        "createTime": _text(now),
        "expirationTime": _text(now + LIFE),
        "sha1Fingerprint": hashlib.sha1(  # noqa: S324 - Google's name of the certificate, not a protection
            certificate.public_bytes(Encoding.DER)
        ).hexdigest(),
    }


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
