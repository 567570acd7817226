"""What a kind is to Conductor: its names in the API, its role, its model, and how ``kubectl get`` shows it.

A kind is declared once, beside its model, and registered in ``kinds``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from conductor_model.meta import KubeObject
from conductor_model.refs import GroupKind, GroupVersionKind, ResourceType


class Role(StrEnum):
    """What a kind is to Conductor."""

    CLAIM = "claim"
    CONCRETE = "concrete"
    CLASS = "class"
    QUOTA = "quota"
    LIMIT_RANGE = "limit range"
    NAMESPACE = "namespace"
    """Kubernetes' own: watched for its labels."""
    PROVIDER_CONFIG = "provider config"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of ``kubectl get``; one with priority 1 is shown by ``-o wide`` only."""

    name: str
    json_path: str
    type: str = "string"
    priority: int = 0


READY = Column("Ready", '.status.conditions[?(@.type=="Ready")].status')
AGE = Column("Age", ".metadata.creationTimestamp", "date")

KubeModel = type[KubeObject]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind with its names, its role and its model."""

    type: ResourceType
    role: Role
    model: KubeModel
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()

    @property
    def group_kind(self) -> GroupKind:
        return self.type.group_kind


def v1alpha1(group: str, kind: str, plural: str) -> ResourceType:
    return ResourceType(GroupVersionKind(group, "v1alpha1", kind), plural)


def claim_kind(type: ResourceType, model: type[KubeObject], short_name: str, *columns: Column) -> Kind:
    """A claim kind; ``columns`` stand before those that all claims have."""
    common = (
        Column("Phase", ".status.phase"),
        READY,
        Column("Resource", ".status.boundResource.name"),
        Column("Secret", ".status.binding.name", priority=1),
        Column("Reason", '.status.conditions[?(@.type=="Scheduled")].message', priority=1),
        AGE,
    )
    return Kind(type, Role.CLAIM, model, (short_name,), ("claim", "conductor"), (*columns, *common))


def concrete_kind(
    type: ResourceType, model: type[KubeObject], short_name: str, provider: str, *columns: Column
) -> Kind:
    """A concrete kind; ``columns`` stand before those that all concrete resources have."""
    common = (
        Column("Phase", ".status.phase"),
        READY,
        Column("Claim", ".spec.claimRefs[0].name"),
        Column("Class", ".spec.resourceClass", priority=1),
        Column("External-Name", ".status.externalName", priority=1),
        Column("Host", ".status.endpoint.host", priority=1),
        Column("Synced", '.status.conditions[?(@.type=="Synced")].message', priority=1),
        AGE,
    )
    return Kind(
        type, Role.CONCRETE, model, (short_name,), ("managed", "conductor", provider), (*columns, *common)
    )
