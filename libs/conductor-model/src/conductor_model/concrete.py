"""Concrete resources: what exists, or is to exist, in a cloud, and the fields that all of them share.

``spec`` belongs to the administrator, but for ``claimRefs``: there the scheduler commits bindings. ``status``
belongs to the resource's provisioner alone; it derives the binding phases from ``claimRefs`` (docs/adr/0001).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import ConfigDict, Field

from conductor_model.admission import (
    ApiVersion,
    KindName,
    ObjectName,
    Rule,
    Text,
    Uid,
    Word,
    immutable_once_set,
    list_map,
)
from conductor_model.annotations import AVAILABLE_AGAIN, IN_USE_FINALIZER
from conductor_model.capacity import Capacity, RecordedCapacity
from conductor_model.conditions import Conditions
from conductor_model.meta import KubeObject, Model
from conductor_model.namespaces import AllowedNamespaces
from conductor_model.refs import GroupKind, ObjectKey
from conductor_model.version import EngineVersion


class RebindPolicy(StrEnum):
    """What becomes of a concrete resource when its last claim is gone."""

    RETAIN = "Retain"
    DELETE = "Delete"


class ManagementPolicy(StrEnum):
    """What Conductor may do to an external resource."""

    ALL = "*"
    OBSERVE = "Observe"
    CREATE = "Create"
    UPDATE = "Update"
    DELETE = "Delete"


class Capabilities(Model):
    """What a concrete resource, or one made from a class, offers: the answer to a claim's requirements."""

    model_config = ConfigDict(extra="allow")

    capacity: Capacity = Field(default_factory=dict, description="Named quantities: storage: 50Gi.")
    region: Word | None = Field(None, description="The region that it serves, in the administrator's words.")
    cost: Word | None = Field(None, description="Its cost tier.")
    performance: Word | None = Field(None, description="Its performance tier.")

    @property
    def further(self) -> Mapping[str, Any]:
        """The keys beyond these, as they were written; scheduler plugins may understand them."""
        return self.model_extra or {}


class ClaimRef(Model):
    """A claim's place in a concrete resource.

    With ``uid``: that claim is bound, until ``releasedAt`` says that it is gone. Without ``uid``: the place
    is kept for the claim of that name, as a PersistentVolume's claimRef keeps it.
    """

    api_version: ApiVersion = ""
    kind: KindName
    namespace: ObjectName
    name: ObjectName
    uid: Uid | None = Field(None, description="The claim's uid. Absent: reserved for the claim of this name.")
    capacity: RecordedCapacity | None = Field(
        None,
        description="What of the resource's capacity is the claim's: what it asked for when it was bound, whatever "
        "it asks for by now. Absent: what it asks for.",
    )
    released_at: datetime | None = Field(
        None,
        description="When the claim was found to be gone. An entry with this is never bound again; "
        "an administrator who has cleaned up makes the resource available by the annotation "
        f"{AVAILABLE_AGAIN} with the entry's uid.",
    )

    @property
    def bound(self) -> bool:
        return self.uid is not None and self.released_at is None


class SecretReference(Model):
    """A Secret in the same namespace."""

    name: ObjectName


class ProviderConfigReference(Model):
    """A ProviderConfig in the same namespace."""

    name: ObjectName


class ConcreteSpec(Model):
    """The fields that every concrete resource has, whatever its cloud."""

    admission_rules: ClassVar[tuple[Rule, ...]] = (immutable_once_set("providerConfigRef"),)

    rebind_policy: RebindPolicy = Field(
        RebindPolicy.RETAIN,
        description="What happens when its claim is deleted. Delete removes the external resource; "
        "Retain keeps it, Released, until an administrator decides.",
    )
    resource_class: ObjectName | None = Field(
        None, description="The class that it was made from, or the profile it offers."
    )
    capabilities: Capabilities = Field(default_factory=Capabilities, description="What it offers to claims.")
    claim_refs: tuple[ClaimRef, ...] = Field(
        (),
        max_length=200,
        json_schema_extra=list_map("kind", "namespace", "name"),
        description="The claims bound to it. Written by the scheduler.",
    )
    allowed_namespaces: AllowedNamespaces | None = Field(
        None, description="The namespaces whose claims may be bound to it. Absent: all."
    )
    max_claims: int = Field(1, ge=1, le=100, description="How many claims may share it.")
    credentials_secret_ref: SecretReference | None = Field(
        None,
        description="A Secret with keys username and password to use as master credentials. "
        "Absent: the provisioner generates one.",
    )
    provider_config_ref: ProviderConfigReference | None = Field(
        None,
        description="The account that it lives in. Absent: the namespace's default ProviderConfig of its provider, "
        "or else the provisioner's own environment.",
    )
    management_policies: tuple[ManagementPolicy, ...] = Field(
        (ManagementPolicy.ALL,),
        min_length=1,
        max_length=5,
        json_schema_extra={"x-kubernetes-list-type": "set"},
        description="What may be done to the external resource. Only Observe imports one that is managed elsewhere. "
        "Without Update, what differs is reported and left; without Delete, the resource outlives this object.",
    )

    def allows(self, policy: ManagementPolicy) -> bool:
        return policy in self.management_policies or ManagementPolicy.ALL in self.management_policies


class ConcretePhase(StrEnum):
    """A concrete resource's life in one word."""

    PENDING = "Pending"
    CREATING = "Creating"
    AVAILABLE = "Available"
    BOUND = "Bound"
    RELEASED = "Released"
    DELETING = "Deleting"
    FAILED = "Failed"


class ConcreteCondition(StrEnum):
    """``Ready``: it can be connected to. ``Synced``: the last reconciliation did what the spec asks.

    ``DeletionHeld``: it was deleted and stays, with its external resource, until the last bound claim is gone.
    """

    READY = "Ready"
    SYNCED = "Synced"
    DELETION_HELD = "DeletionHeld"


class Endpoint(Model):
    """Where to connect."""

    host: Text
    port: int = Field(ge=1, le=65535)


class Credentials(Model):
    """Where the master credentials are, and a mark that changes when they do. Never what they are."""

    secret_name: ObjectName
    revision: Text = Field(
        description="The Secret's resourceVersion when it was last applied to the external resource."
    )


class ConcreteStatus(Model):
    """What the provisioner observed."""

    phase: ConcretePhase | None = None
    conditions: Conditions = ()
    external_name: Text | None = Field(None, description="The external resource's identifier in its cloud.")
    account: Text | None = Field(
        None,
        description="Where the external resource was made: the ProviderConfig's name, or ambient for the "
        "provisioner's own environment.",
    )
    provisioned_at: datetime | None = Field(
        None, description="When the external resource was first seen ready."
    )
    endpoint: Endpoint | None = None
    credentials: Credentials | None = None
    engine_version: Text | None = Field(None, description="The engine version that runs.")
    capacity: Capacity = Field(default_factory=dict, description="Capacity as observed.")
    observed_generation: int | None = None


class Concrete(KubeObject):
    """Any concrete resource: the view that the scheduler and the secrets-writer have of it."""

    spec: ConcreteSpec = Field(default_factory=ConcreteSpec)
    status: ConcreteStatus = Field(default_factory=ConcreteStatus)

    provider: ClassVar[str] = "unknown"
    """The ``provider`` key of connection Secrets."""

    @property
    def implements(self) -> frozenset[GroupKind]:
        """The claim kinds that it can satisfy."""
        return frozenset()

    @property
    def offered_version(self) -> EngineVersion | None:
        """The engine version it has, or will have: as observed, else as its spec says."""
        return EngineVersion.parse(self.status.engine_version) if self.status.engine_version else None

    @property
    def master_username(self) -> str | None:
        return None

    @property
    def features(self) -> Mapping[str, frozenset[str]]:
        """What it has of what claims demand beyond the common requirements: by name, the values it satisfies."""
        return {}

    @property
    def connection_facts(self) -> Mapping[str, str]:
        """What applications are told of it besides endpoint and credentials, by key of the connection. No secrets."""
        return {}

    @property
    def bound_refs(self) -> tuple[ClaimRef, ...]:
        return tuple(ref for ref in self.spec.claim_refs if ref.bound)

    @property
    def deletion_held(self) -> bool:
        """It is to be deleted, but not before the scheduler has seen its bound claims go."""
        return self.being_deleted and IN_USE_FINALIZER in self.metadata.finalizers

    def ref_of(self, claim: ObjectKey) -> ClaimRef | None:
        """The claim's entry, by kind, namespace and name; whose uid it carries is the caller's to check."""
        for ref in self.spec.claim_refs:
            if (ref.kind, ref.namespace, ref.name) == (claim.group_kind.kind, claim.namespace, claim.name):
                return ref
        return None
