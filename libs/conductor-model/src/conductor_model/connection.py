"""How applications connect to what a claim is bound to: the entries of its Secret and its ConfigMap.

The keys that the Service Binding specification for Kubernetes (servicebinding.io, "Well-known Secret Entries") knows
are called as it calls them. Every claim kind has a ``ConnectionFormat``; what else is secret, a repr never shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from conductor_model.concrete import Endpoint


class CredentialsIncomplete(ValueError):
    """The credentials Secret, or the resource, lacks what a connection needs; the text names the key, never a value."""


@dataclass(frozen=True, slots=True)
class Connectable:
    """What is known of a concrete resource that can be connected to."""

    provider: str
    endpoint: Endpoint | None
    facts: Mapping[str, str] = field(default_factory=dict)
    """The resource's ``connection_facts``."""
    credentials: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """The decoded data of its credentials Secret."""

    def fact(self, key: str) -> str:
        """Raises CredentialsIncomplete."""
        try:
            return self.facts[key]
        except KeyError:
            raise CredentialsIncomplete(f'the resource does not say its "{key}"') from None

    def credential(self, key: str) -> str:
        """Raises CredentialsIncomplete."""
        try:
            return self.credentials[key].decode()
        except KeyError:
            raise CredentialsIncomplete(f'it has no key "{key}"') from None
        except UnicodeDecodeError:
            raise CredentialsIncomplete(f'its key "{key}" is not UTF-8 text') from None


@dataclass(frozen=True, slots=True)
class ConnectionKey:
    """One entry, for those who read the documentation of a kind."""

    name: str
    description: str
    secret: bool = False
    """Kept out of the ConfigMap."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Everything that an application needs in order to connect."""

    type: str
    endpoint: Endpoint | None
    public: Mapping[str, str]
    """What may be seen by whoever may read ConfigMaps."""
    secret: Mapping[str, str] = field(repr=False)
    """Everything."""


PROVIDER_KEYS = (
    ConnectionKey("type", "What it is, and how to talk to it."),
    ConnectionKey("provider", "Whose it is: aws, gcp, sql."),
)


@dataclass(frozen=True, slots=True)
class ConnectionFormat:
    """What the connection objects of a claim kind hold."""

    type: str
    """The servicebinding.io type: the entry ``type``, and the suffix of the Secret's type."""
    keys: tuple[ConnectionKey, ...]
    """Those beside ``PROVIDER_KEYS``."""
    values: Callable[[Connectable], Mapping[str, str]]
    """The entries by key; a key that does not apply is left out. Raises CredentialsIncomplete."""

    @property
    def has_secrets(self) -> bool:
        """Whether credentials belong to a connection; without, a resource can be connected to that has none."""
        return any(key.secret for key in self.keys)

    def connection(self, source: Connectable) -> Connection:
        """Raises CredentialsIncomplete."""
        entries = {"type": self.type, "provider": source.provider, **self.values(source)}
        known = {key.name: key for key in (*PROVIDER_KEYS, *self.keys)}
        public = {name: value for name, value in entries.items() if not known[name].secret}
        return Connection(self.type, source.endpoint, public, entries)
