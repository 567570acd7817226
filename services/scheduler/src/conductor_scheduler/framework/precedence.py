"""Who comes first among claims that wait: the highest priority, then the oldest, then by namespace and name."""

from __future__ import annotations

from conductor_model.claims import Claim

Precedence = tuple[int, str, str, str]


def precedence(claim: Claim) -> Precedence:
    """Sorts first what comes first."""
    created = claim.metadata.creation_timestamp
    return (
        -claim.priority,
        created.isoformat() if created else "",
        claim.metadata.namespace,
        claim.metadata.name,
    )
