"""Names and tags of external resources: pure functions of who owns them.

Whoever computes them, whenever, gets the same: that is what makes a look-up before a create, and a second create
after a lost answer, safe.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

CLUSTER_TAG = "conductor.io/cluster-id"
UID_TAG = "conductor.io/concrete-uid"
OBJECT_TAG = "conductor.io/concrete"
VPC_TAG = "conductor.io/vpc"

MAX_TAG_VALUE = 256
"""Amazon RDS API Reference, Tag."""
MAX_OBJECT_NAME = 253
"""Kubernetes: names of objects are DNS subdomains, RFC 1123."""

_HASH_DIGITS = 24
_SHORT_HASH_DIGITS = 10
_CREDENTIALS_SUFFIX = "-credentials"


@dataclass(frozen=True, slots=True)
class Owner:
    """The concrete resource that an external resource belongs to."""

    cluster_id: str
    uid: str
    namespace: str
    name: str

    @property
    def external_name(self) -> str:
        """A valid identifier of a DB instance: a letter first, at most 63 letters, digits and single hyphens."""
        digest = hashlib.sha256(f"{self.cluster_id}/{self.uid}".encode()).hexdigest()
        return f"conductor-{digest[:_HASH_DIGITS]}"

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags that say so. The object's name is for people; the two ids are the proof."""
        return {
            CLUSTER_TAG: self.cluster_id,
            UID_TAG: self.uid,
            OBJECT_TAG: f"{self.namespace}/{self.name}"[:MAX_TAG_VALUE],
        }

    def owns(self, tags: Mapping[str, str]) -> bool:
        return tags.get(CLUSTER_TAG) == self.cluster_id and tags.get(UID_TAG) == self.uid


def tags_of(owner: Owner, *, vpc: str | None, wanted: Mapping[str, str]) -> Mapping[str, str]:
    """All tags of an external resource: the user's, which cannot replace those of the owner."""
    recorded = {VPC_TAG: vpc} if vpc is not None else {}
    return {**wanted, **recorded, **owner.tags}


def credentials_secret_name(concrete_name: str) -> str:
    """``<concrete>-credentials``; of a name too long for that, its beginning and a hash of all of it."""
    name = f"{concrete_name}{_CREDENTIALS_SUFFIX}"
    if len(name) <= MAX_OBJECT_NAME:
        return name
    digest = hashlib.sha256(concrete_name.encode()).hexdigest()[:_SHORT_HASH_DIGITS]
    kept = MAX_OBJECT_NAME - len(_CREDENTIALS_SUFFIX) - len(digest) - 1
    return f"{concrete_name[:kept].rstrip('-.')}-{digest}{_CREDENTIALS_SUFFIX}"


def final_snapshot_name(external_name: str) -> str:
    return f"{external_name}-final"
