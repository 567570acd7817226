"""The registry of kinds: which there are, what each is to Conductor, and which model reads it.

A further kind is one module with a model and a ``Kind``. Conductor's own are listed here. An installed package adds
its own by entry points of the group ``conductor.kinds``, each of which names a ``Kind`` or a tuple of them:

    [project.entry-points."conductor.kinds"]
    filesystem = "my_provisioner.model:KINDS"

Every service in whose environment the package is installed then knows them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points

from conductor_model import (
    bucket,
    cloudsql,
    databases,
    limitrange,
    namespaces,
    providerconfig,
    quota,
    rds,
    resourceclass,
    s3bucket,
    sqldatabase,
)
from conductor_model.bucket import BUCKET
from conductor_model.claims import Claim
from conductor_model.cloudsql import CLOUDSQL_INSTANCE
from conductor_model.concrete import Concrete
from conductor_model.databases import MYSQL_INSTANCE, POSTGRESQL_INSTANCE
from conductor_model.kind import Kind
from conductor_model.limitrange import CLAIM_LIMIT_RANGE
from conductor_model.providerconfig import PROVIDER_CONFIG
from conductor_model.quota import CLAIM_QUOTA
from conductor_model.rds import RDS_INSTANCE
from conductor_model.refs import GroupKind, ResourceType
from conductor_model.resourceclass import RESOURCE_CLASS
from conductor_model.s3bucket import S3_BUCKET
from conductor_model.sqldatabase import SQL_DATABASE

__all__ = [
    "BUCKET",
    "BY_GROUP_KIND",
    "CLAIM_LIMIT_RANGE",
    "CLAIM_MODELS",
    "CLAIM_QUOTA",
    "CLOUDSQL_INSTANCE",
    "CONCRETE_MODELS",
    "ENTRY_POINTS",
    "KINDS",
    "MYSQL_INSTANCE",
    "OWN_KINDS",
    "POSTGRESQL_INSTANCE",
    "PROVIDER_CONFIG",
    "RDS_INSTANCE",
    "RESOURCE_CLASS",
    "S3_BUCKET",
    "SQL_DATABASE",
    "WATCHED_KINDS",
    "KindsConflict",
    "installed",
    "registered",
]

ENTRY_POINTS = "conductor.kinds"


class KindsConflict(Exception):
    """Two packages, or a package and Conductor, define one kind; or what a package adds is no kind at all."""


def installed(found: Iterable[EntryPoint]) -> Iterator[Kind]:
    """The kinds that the entry points name, in the order of the entry points' names. Raises KindsConflict."""
    for entry_point in sorted(found, key=lambda each: (each.name, each.value)):
        loaded = entry_point.load()
        for kind in loaded if isinstance(loaded, tuple) else (loaded,):
            if not isinstance(kind, Kind):
                raise KindsConflict(
                    f"{entry_point.value} ({entry_point.group}) is no Kind, nor a tuple of them"
                )
            yield kind


def registered(kinds: Iterable[Kind]) -> dict[GroupKind, Kind]:
    """The kinds by what they are called. Raises KindsConflict for one that is there twice."""
    by_group_kind: dict[GroupKind, Kind] = {}
    for kind in kinds:
        if by_group_kind.setdefault(kind.group_kind, kind) is not kind:
            raise KindsConflict(f"{kind.group_kind} is defined twice")
    return by_group_kind


OWN_KINDS: tuple[Kind, ...] = (
    *databases.KINDS,
    bucket.KIND,
    rds.KIND,
    s3bucket.KIND,
    sqldatabase.KIND,
    cloudsql.KIND,
    resourceclass.KIND,
    quota.KIND,
    limitrange.KIND,
    providerconfig.KIND,
)
"""Conductor's own, whose CRDs are in its chart."""

BY_GROUP_KIND: dict[GroupKind, Kind] = registered(
    (*OWN_KINDS, namespaces.KIND, *installed(entry_points(group=ENTRY_POINTS)))
)
KINDS: tuple[Kind, ...] = tuple(BY_GROUP_KIND.values())
WATCHED_KINDS: tuple[ResourceType, ...] = tuple(kind.type for kind in KINDS)

CLAIM_MODELS: dict[GroupKind, type[Claim]] = {
    kind.group_kind: kind.model for kind in KINDS if issubclass(kind.model, Claim)
}
CONCRETE_MODELS: dict[GroupKind, type[Concrete]] = {
    kind.group_kind: kind.model for kind in KINDS if issubclass(kind.model, Concrete)
}
