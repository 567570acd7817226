"""What a reconciliation says about itself in the ``Synced`` condition."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Reasons of ``Synced``."""

    SUCCESS = "ReconcileSuccess"
    ERROR = "ReconcileError"
    PAUSED = "ReconcilePaused"
    INVALID_SPEC = "InvalidSpec"
    IMMUTABLE_FIELD = "ImmutableField"
    NOT_OWNED = "NotOwned"
    REFUSED = "RefusedByCloud"
    CREDENTIALS_MISSING = "CredentialsMissing"
    CREDENTIALS_CONFLICT = "CredentialsConflict"
    EXTERNAL_RESOURCE_MISSING = "ExternalResourceMissing"
    DELETION_PROTECTED = "DeletionProtected"
    ELSEWHERE = "Elsewhere"
    WAITING_FOR_CALLS = "WaitingForCalls"
    FORBIDDEN = "Forbidden"


@dataclass(frozen=True, slots=True)
class Synced:
    """Whether the external resource is, or is on its way to be, what the spec asks for; if not, why and what to do."""

    ok: bool
    reason: Reason
    message: str = ""


IN_SYNC = Synced(True, Reason.SUCCESS)


def out_of_sync(reason: Reason, message: str) -> Synced:
    return Synced(False, reason, message)


TERMINAL = frozenset(
    {
        Reason.INVALID_SPEC,
        Reason.NOT_OWNED,
        Reason.REFUSED,
        Reason.CREDENTIALS_CONFLICT,
        Reason.EXTERNAL_RESOURCE_MISSING,
    }
)
"""Reasons for which a resource that is not there is not going to be, before a person acts."""
