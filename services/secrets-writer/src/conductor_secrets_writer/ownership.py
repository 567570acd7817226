"""Whose an object is that already has the name of a connection object. Only a claim's own are ever changed."""

from __future__ import annotations

from enum import Enum, auto

from conductor_model.annotations import CLAIM_UID_LABEL, MANAGED_BY, MANAGED_BY_LABEL
from conductor_model.claims import Claim
from conductor_model.meta import ObjectMeta, OwnerReference


class Ownership(Enum):
    """The relation of an existing object to a claim."""

    OURS = auto()
    """Conductor made it for this very claim."""
    EARLIER_CLAIM = auto()
    """Conductor made it for a claim of the same name that is gone; the garbage collector will remove it."""
    FOREIGN = auto()
    """Somebody else's, another claim's included."""


def ownership(existing: ObjectMeta, claim: Claim) -> Ownership:
    """Decided by the label with the claim's uid *and* the ownerReference: either alone could be a copy or a typo."""
    made_by_conductor = existing.labels.get(MANAGED_BY_LABEL) == MANAGED_BY
    labelled_for = existing.labels.get(CLAIM_UID_LABEL)
    owner = owner_of(existing)
    if not made_by_conductor or labelled_for is None or owner is None or owner.uid != labelled_for:
        return Ownership.FOREIGN
    if owner.uid == claim.uid:
        return Ownership.OURS
    if (owner.kind, owner.name) == (claim.kind, claim.metadata.name):
        return Ownership.EARLIER_CLAIM
    return Ownership.FOREIGN


def owner_of(existing: ObjectMeta) -> OwnerReference | None:
    """The controlling owner, if it has one."""
    return next((reference for reference in existing.owner_references if reference.controller), None)
