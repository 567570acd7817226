"""What Google says of an instance and of an operation, parsed: a field that it leaves out has its documented default.

Source: Cloud SQL Admin API v1, DatabaseInstance, Settings and Operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conductor_model.version import EngineVersion

PENDING_CREATE = "PENDING_CREATE"
RUNNABLE = "RUNNABLE"
"""It runs, or was stopped by its owner: ``activationPolicy`` tells."""
SERVING = frozenset({RUNNABLE, "ONLINE_MAINTENANCE"})
"""Applications can connect."""
FAILED = frozenset({"FAILED", "SUSPENDED"})
"""It does not get better without a person."""

_PRIVATE, _PUBLIC = "PRIVATE", "PRIMARY"
_NOT_FOR_CLIENTS = frozenset({"OUTGOING"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A DB instance that exists."""

    name: str
    project: str | None
    region: str
    state: str
    database_version: str
    installed_version: str
    settings: Mapping[str, Any]
    addresses: Mapping[str, str] = field(default_factory=dict)
    """By their type, such as PRIMARY."""
    dns_name: str | None = None
    connection_name: str | None = None
    ca_certificate: str | None = None
    suspension_reasons: tuple[str, ...] = ()

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> Instance:
        version = answer.get("databaseVersion", "")
        addresses = {
            each.get("type", _PUBLIC): each["ipAddress"]
            for each in answer.get("ipAddresses") or ()
            if each.get("ipAddress")
        }
        return cls(
            name=answer.get("name", ""),
            project=answer.get("project"),
            region=answer.get("region", ""),
            state=answer.get("state", "SQL_INSTANCE_STATE_UNSPECIFIED"),
            database_version=version,
            installed_version=answer.get("databaseInstalledVersion") or version,
            settings=answer.get("settings") or {},
            addresses=addresses,
            dns_name=answer.get("dnsName") or None,
            connection_name=answer.get("connectionName"),
            ca_certificate=(answer.get("serverCaCert") or {}).get("cert"),
            suspension_reasons=tuple(answer.get("suspensionReason") or ()),
        )

    @property
    def labels(self) -> Mapping[str, str]:
        labels: Mapping[str, str] = self.settings.get("userLabels") or {}
        return labels

    @property
    def stopped(self) -> bool:
        return self.settings.get("activationPolicy") == "NEVER"

    @property
    def serving(self) -> bool:
        return self.state in SERVING and not self.stopped

    @property
    def busy(self) -> bool:
        """Something is under way that ends by itself."""
        return self.state != RUNNABLE and self.state not in FAILED

    @property
    def engine_version(self) -> str | None:
        """The version that runs, in numbers; None if what Google calls it cannot be read."""
        try:
            return str(EngineVersion.parse(self.installed_version))
        except ValueError:
            return None

    def host(self, *, private: bool) -> str | None:
        """The address to connect to: the private one if that is wanted, or if there is no other; else the DNS name."""
        order = (_PRIVATE, _PUBLIC) if private else (_PUBLIC, _PRIVATE)
        for type in (*order, *sorted(self.addresses)):
            if type in self.addresses and type not in _NOT_FOR_CLIENTS:
                return self.addresses[type]
        return self.dns_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A long-running operation."""

    name: str
    """The last part, where Google gives it with its project."""
    type: str
    done: bool
    error: str | None = None
    """Why it failed, in Google's words."""
    target: str | None = None
    """The instance that it is an operation of, where Google says so."""
    begun: str = ""
    """When, as Google writes it; empty where it does not say."""

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> Operation:
        failures = (answer.get("error") or {}).get("errors") or ()
        error = "; ".join(
            ": ".join(filter(None, (each.get("code"), each.get("message")))) for each in failures
        )
        if not error and answer.get("error"):
            error = str(answer["error"].get("message") or "unknown error")
        return cls(
            name=str(answer.get("name", "")).rpartition("/")[2],
            type=answer.get("operationType", ""),
            done=answer.get("status") == "DONE" or answer.get("done") is True,
            error=error or None,
            target=answer.get("targetId") or None,
            begun=answer.get("insertTime") or "",
        )
