"""How a service proves to the broker who it is, from the environment.

``NATS_URL`` may carry ``user:password@``. Otherwise ``NATS_CREDS`` names a credentials file, ``NATS_NKEY_SEED_FILE``
an nkey seed, and ``NATS_USER`` with ``NATS_PASSWORD_FILE`` a user whose password is mounted as a file. TLS:
``NATS_CA_FILE``, and ``NATS_CERT_FILE`` with ``NATS_KEY_FILE`` for a client certificate.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files only: a rotated secret is read again at the next connect, and no secret sits in this object."""

    creds_file: Path | None = None
    nkey_seed_file: Path | None = None
    user: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Credentials:
        def path(name: str) -> Path | None:
            value = environment.get(name)
            return Path(value) if value else None

        return cls(
            creds_file=path("NATS_CREDS"),
            nkey_seed_file=path("NATS_NKEY_SEED_FILE"),
            user=environment.get("NATS_USER") or None,
            password_file=path("NATS_PASSWORD_FILE"),
            ca_file=path("NATS_CA_FILE"),
            cert_file=path("NATS_CERT_FILE"),
            key_file=path("NATS_KEY_FILE"),
        )

    def password(self) -> Callable[[], str] | None:
        """Reads the password, each time that it is asked for."""
        file = self.password_file
        return (lambda: file.read_text().strip()) if file else None

    def tls(self) -> ssl.SSLContext | None:
        if self.ca_file is None and self.cert_file is None:
            return None
        context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        if self.cert_file is not None:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context
