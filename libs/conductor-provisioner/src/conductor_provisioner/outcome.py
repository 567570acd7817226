"""What a reconciliation says about itself in the ``Synced`` condition."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Reasons of ``Synced`` that the reconciler gives. A driver's error may bring one of its own."""

    SUCCESS = "ReconcileSuccess"
    ERROR = "ReconcileError"
    PAUSED = "ReconcilePaused"
    INVALID_SPEC = "InvalidSpec"
    IMMUTABLE_FIELD = "ImmutableField"
    DRIFTED = "Drifted"
    NOT_OWNED = "NotOwned"
    REFUSED = "RefusedByCloud"
    CREDENTIALS_MISSING = "CredentialsMissing"
    CREDENTIALS_CONFLICT = "CredentialsConflict"
    EXTERNAL_RESOURCE_MISSING = "ExternalResourceMissing"
    NAME_RETIRED = "NameRetired"
    WAITING_FOR_CALLS = "WaitingForCalls"
    PROVIDER_CONFIG_MISSING = "ProviderConfigMissing"
    FORBIDDEN = "Forbidden"


@dataclass(frozen=True, slots=True)
class Synced:
    """Whether the external resource is, or is on its way to be, what the spec asks for; if not, why and what to do."""

    ok: bool
    reason: str
    message: str = ""
    hopeless: bool = False
    """Of a resource that is not there: it is not going to be, before a person acts."""


IN_SYNC = Synced(True, Reason.SUCCESS)

_HOPELESS = frozenset(
    {
        Reason.INVALID_SPEC,
        Reason.NOT_OWNED,
        Reason.REFUSED,
        Reason.CREDENTIALS_CONFLICT,
        Reason.EXTERNAL_RESOURCE_MISSING,
    }
)


def out_of_sync(reason: Reason, message: str) -> Synced:
    return Synced(False, reason, message, hopeless=reason in _HOPELESS)
