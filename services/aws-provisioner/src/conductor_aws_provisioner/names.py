"""Names and tags of what is in RDS: pure functions of who owns it."""

from __future__ import annotations

from collections.abc import Mapping

from conductor_provisioner import Owner, Ownership
from conductor_provisioner.driver import CLUSTER_TAG, UID_TAG

VPC_TAG = "conductor.io/vpc"
MAX_TAG_VALUE = 256
"""Amazon RDS API Reference, Tag."""


def tags_of(owner: Owner, *, vpc: str | None, wanted: Mapping[str, str]) -> Mapping[str, str]:
    """All tags of an external resource: the user's, which cannot replace those of the owner."""
    recorded = {VPC_TAG: vpc} if vpc is not None else {}
    ours = {key: value[:MAX_TAG_VALUE] for key, value in owner.tags.items()}
    return {**wanted, **recorded, **ours}


def ownership_of(owner: Owner, tags: Mapping[str, str]) -> Ownership:
    """Whose something with these tags is."""
    if owner.owns(tags):
        return Ownership.OURS
    return Ownership.ANOTHERS if tags.keys() & {CLUSTER_TAG, UID_TAG} else Ownership.NOBODYS


def final_snapshot_name(external_name: str) -> str:
    return f"{external_name}-final"
