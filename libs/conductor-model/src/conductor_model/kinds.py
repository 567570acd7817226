"""The registry of kinds: which there are, what each is to Conductor, and which model reads it.

A further kind is a model and an entry here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from conductor_model.claims import DatabaseClaim, MySQLInstance, PostgreSQLInstance
from conductor_model.cloudsql import CloudSQLInstance
from conductor_model.concrete import Concrete
from conductor_model.limitrange import ClaimLimitRange
from conductor_model.meta import KubeObject
from conductor_model.quota import ClaimQuota
from conductor_model.rds import RDSInstance
from conductor_model.refs import GroupKind, GroupVersionKind, ResourceType
from conductor_model.resourceclass import ResourceClass


class Role(StrEnum):
    """What a kind is to Conductor."""

    CLAIM = "claim"
    CONCRETE = "concrete"
    CLASS = "class"
    QUOTA = "quota"
    LIMIT_RANGE = "limit range"


KubeModel = type[KubeObject]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of ``kubectl get``; one with priority 1 is shown by ``-o wide`` only."""

    name: str
    json_path: str
    type: str = "string"
    priority: int = 0


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


@dataclass(frozen=True, slots=True)
class ConnectionFormat:
    """How applications connect to what a claim kind stands for."""

    type: str
    """The servicebinding.io type: the Secret's ``type`` key and the suffix of its type."""
    uri_scheme: str
    default_database: str


def _type(group: str, kind: str, plural: str) -> ResourceType:
    return ResourceType(GroupVersionKind(group, "v1alpha1", kind), plural)


MYSQL_INSTANCE = _type("storage.conductor.io", "MySQLInstance", "mysqlinstances")
POSTGRESQL_INSTANCE = _type("storage.conductor.io", "PostgreSQLInstance", "postgresqlinstances")
RDS_INSTANCE = _type("database.aws.conductor.io", "RDSInstance", "rdsinstances")
CLOUDSQL_INSTANCE = _type("database.gcp.conductor.io", "CloudSQLInstance", "cloudsqlinstances")
RESOURCE_CLASS = _type("core.conductor.io", "ResourceClass", "resourceclasses")
CLAIM_QUOTA = _type("core.conductor.io", "ClaimQuota", "claimquotas")
CLAIM_LIMIT_RANGE = _type("core.conductor.io", "ClaimLimitRange", "claimlimitranges")

_READY = Column("Ready", '.status.conditions[?(@.type=="Ready")].status')
_AGE = Column("Age", ".metadata.creationTimestamp", "date")
_CLAIM_COLUMNS = (
    Column("Version", ".spec.version"),
    Column("Phase", ".status.phase"),
    _READY,
    Column("Resource", ".status.boundResource.name"),
    Column("Secret", ".status.binding.name", priority=1),
    Column("Reason", '.status.conditions[?(@.type=="Scheduled")].message', priority=1),
    _AGE,
)
_RDS_COLUMNS = (
    Column("Engine", ".spec.engine"),
    Column("Running", ".status.engineVersion"),
    Column("Type", ".spec.instance-type"),
    Column("Phase", ".status.phase"),
    _READY,
    Column("Claim", ".spec.claimRefs[0].name"),
    Column("Class", ".spec.resourceClass", priority=1),
    Column("External-Name", ".status.externalName", priority=1),
    Column("Host", ".status.endpoint.host", priority=1),
    Column("Synced", '.status.conditions[?(@.type=="Synced")].message', priority=1),
    _AGE,
)
_CLOUDSQL_COLUMNS = (
    Column("Version", ".spec.databaseVersion"),
    Column("Running", ".status.engineVersion"),
    Column("Tier", ".spec.tier"),
    Column("Phase", ".status.phase"),
    _READY,
    Column("Claim", ".spec.claimRefs[0].name"),
    Column("Class", ".spec.resourceClass", priority=1),
    Column("Region", ".spec.region", priority=1),
    Column("External-Name", ".status.externalName", priority=1),
    Column("Host", ".status.endpoint.host", priority=1),
    Column("Synced", '.status.conditions[?(@.type=="Synced")].message', priority=1),
    _AGE,
)
_CLASS_COLUMNS = (
    Column("Makes", ".template.kind"),
    Column("Profile", ".profile"),
    Column("Rebind", ".rebindPolicy"),
    Column("Storage", ".capabilities.capacity.storage"),
    Column("Region", ".capabilities.region"),
    Column("Cost", ".capabilities.cost"),
    Column("Instances", ".status.used.instances", "integer"),
    Column("Limit", ".limits.instances", "integer"),
    _AGE,
)
_QUOTA_COLUMNS = (
    Column("Claims", ".status.used.claims", "integer"),
    Column("Max-Claims", ".spec.hard.claims", "integer"),
    Column("Storage", ".status.used.capacity.storage"),
    Column("Max-Storage", ".spec.hard.capacity.storage"),
    Column("Cost", ".status.used.cost"),
    Column("Max-Cost", ".spec.hard.cost"),
    _AGE,
)
_LIMIT_RANGE_COLUMNS = (
    Column("Default-Storage", ".spec.default.capacity.storage"),
    Column("Min-Storage", ".spec.min.capacity.storage"),
    Column("Max-Storage", ".spec.max.capacity.storage"),
    Column("Max-Cost", ".spec.max.cost"),
    _AGE,
)

KINDS: tuple[Kind, ...] = (
    Kind(MYSQL_INSTANCE, Role.CLAIM, MySQLInstance, ("mysql",), ("claim", "conductor"), _CLAIM_COLUMNS),
    Kind(
        POSTGRESQL_INSTANCE,
        Role.CLAIM,
        PostgreSQLInstance,
        ("postgresql",),
        ("claim", "conductor"),
        _CLAIM_COLUMNS,
    ),
    Kind(RDS_INSTANCE, Role.CONCRETE, RDSInstance, ("rds",), ("managed", "conductor", "aws"), _RDS_COLUMNS),
    Kind(
        CLOUDSQL_INSTANCE,
        Role.CONCRETE,
        CloudSQLInstance,
        ("cloudsql",),
        ("managed", "conductor", "gcp"),
        _CLOUDSQL_COLUMNS,
    ),
    Kind(RESOURCE_CLASS, Role.CLASS, ResourceClass, ("rclass",), ("conductor",), _CLASS_COLUMNS),
    Kind(CLAIM_QUOTA, Role.QUOTA, ClaimQuota, ("cquota",), ("conductor",), _QUOTA_COLUMNS),
    Kind(
        CLAIM_LIMIT_RANGE,
        Role.LIMIT_RANGE,
        ClaimLimitRange,
        ("climits",),
        ("conductor",),
        _LIMIT_RANGE_COLUMNS,
    ),
)

BY_GROUP_KIND: dict[GroupKind, Kind] = {kind.group_kind: kind for kind in KINDS}
WATCHED_KINDS: tuple[ResourceType, ...] = tuple(kind.type for kind in KINDS)

CLAIM_MODELS: dict[GroupKind, type[DatabaseClaim]] = {
    kind.group_kind: kind.model for kind in KINDS if issubclass(kind.model, DatabaseClaim)
}
CONCRETE_MODELS: dict[GroupKind, type[Concrete]] = {
    kind.group_kind: kind.model for kind in KINDS if issubclass(kind.model, Concrete)
}
CONNECTION_FORMATS: dict[GroupKind, ConnectionFormat] = {
    MYSQL_INSTANCE.group_kind: ConnectionFormat("mysql", "mysql", "mysql"),
    POSTGRESQL_INSTANCE.group_kind: ConnectionFormat("postgresql", "postgresql", "postgres"),
}
