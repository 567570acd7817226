"""How an application connects to the database behind a claim: pure functions over models.

The keys are those of the Service Binding specification for Kubernetes (servicebinding.io), "Well-known Secret
Entries", with ``database`` beside them. A ``Connection`` never shows its password in a repr.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from conductor_model.concrete import Endpoint
from conductor_model.kinds import ConnectionFormat


@dataclass(frozen=True, slots=True)
class MasterCredentials:
    """What the credentials Secret of a concrete resource holds."""

    username: str
    password: str = field(repr=False)
    certificates: str | None = None
    """The authorities to trust, as PEM; absent where the client's own trust store suffices."""


class CredentialsIncomplete(ValueError):
    """The credentials Secret lacks what a connection needs; the text names the key, never a value."""


def master_credentials(data: Mapping[str, bytes]) -> MasterCredentials:
    """From a Secret's decoded data: ``username``, ``password`` and, where there are any, ``certificates``."""

    def text(key: str) -> str:
        try:
            return data[key].decode()
        except KeyError:
            raise CredentialsIncomplete(f'it has no key "{key}"') from None
        except UnicodeDecodeError:
            raise CredentialsIncomplete(f'its key "{key}" is not UTF-8 text') from None

    certificates = text("certificates") if "certificates" in data else None
    return MasterCredentials(text("username"), text("password"), certificates)


@dataclass(frozen=True, slots=True)
class Connection:
    """Everything that an application needs in order to connect."""

    format: ConnectionFormat
    provider: str
    endpoint: Endpoint
    credentials: MasterCredentials

    @property
    def uri(self) -> str:
        """With user and password percent-encoded, as RFC 3986 section 3.2.1 wants them."""
        host = self.endpoint.host
        address = host_address(host)
        if address is not None and address.version == 6:
            host = f"[{host}]"
        user = quote(self.credentials.username, safe="")
        password = quote(self.credentials.password, safe="")
        database = quote(self.format.default_database, safe="")
        return f"{self.format.uri_scheme}://{user}:{password}@{host}:{self.endpoint.port}/{database}"

    def public(self) -> dict[str, str]:
        """What may be seen by whoever may read ConfigMaps: all but ``password`` and ``uri``, which contains it."""
        entries = {
            "type": self.format.type,
            "provider": self.provider,
            "host": self.endpoint.host,
            "port": str(self.endpoint.port),
            "username": self.credentials.username,
            "database": self.format.default_database,
        }
        if self.credentials.certificates is not None:
            entries["certificates"] = self.credentials.certificates
        return entries

    def secret(self) -> dict[str, str]:
        """Everything."""
        return {**self.public(), "password": self.credentials.password, "uri": self.uri}


def host_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that ``host`` is, or None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
