"""What to do about a DB instance: pure functions from what is wanted and what is there to what differs, and to requests.

Promises: the same input gives the same requests; what was asked for is not asked for again, not even while RDS is still
busy with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from conductor_aws_provisioner import db_states
from conductor_aws_provisioner.external import (
    NOTHING,
    Configuration,
    FinalSnapshot,
    MasterCredentials,
    NewInstance,
    Observed,
)
from conductor_aws_provisioner.names import final_snapshot_name, tags_of
from conductor_model.quantity import Quantity
from conductor_model.rds import RDSEngine, RDSInstanceSpec
from conductor_model.version import EngineVersion
from conductor_provisioner import Drift, Owner, SecretData, Terminal

MIN_STORAGE_GIB = 20
"""Amazon RDS User Guide, "DB instance storage": the smallest of the general purpose types."""

_GIB = 2**30
_REGION_AND_ACCOUNT_IN_ARN = slice(3, 5)
_SERIES_LENGTH: Mapping[RDSEngine, int] = {RDSEngine.MYSQL: 2, RDSEngine.POSTGRES: 1}
"""How many numbers of a version tell its major version, by RDS's rules for upgrades."""

_FIELDS: Mapping[str, str] = {"instance_type": "instance-type", "engine_version": "version"}
"""Of the spec, where they are not called as in the configuration."""


@dataclass(frozen=True, slots=True)
class Modify:
    """A request to ModifyDBInstance."""

    changes: Configuration
    credentials: MasterCredentials | None = None
    """Given: their password is set, too."""


@dataclass(frozen=True, slots=True)
class Delete:
    """A request to DeleteDBInstance."""

    snapshot: FinalSnapshot | None


@dataclass(frozen=True, slots=True)
class Corrections:
    """The requests that bring an instance to what its spec asks for."""

    tags: Mapping[str, str]
    """Those to be added."""
    modify: Modify | None


def new_instance(name: str, spec: RDSInstanceSpec, owner: Owner) -> NewInstance:
    """Raises Terminal for a spec that does not say all that is needed."""
    wanted = wanted_configuration(spec)
    if wanted.allocated_storage is None:
        raise Terminal("CreateDBInstance", name, "InvalidSpec", _NO_SIZE)
    return NewInstance(
        identifier=name,
        engine=spec.engine,
        configuration=wanted,
        storage_encrypted=spec.storage_encrypted,
        tags=tags_of(owner, vpc=spec.vpc, wanted=spec.tags),
        subnet_group=spec.subnet_group,
        kms_key_id=spec.kms_key_id,
    )


def drift_of(
    spec: RDSInstanceSpec, owner: Owner, credentials: SecretData | None, observed: Observed
) -> tuple[Drift, ...]:
    """What is not as the spec asks. Of what can be changed, nothing while RDS would refuse to."""
    fixed = _unchangeable(spec, credentials, observed)
    if fixed:
        return fixed
    corrections = corrections_of(spec, owner, None, observed)
    drift = [
        Drift(f"tags.{key}", value, observed.tags.get(key, "absent"))
        for key, value in corrections.tags.items()
    ]
    if corrections.modify is not None:
        there = observed.expected.asked_for
        drift += [
            Drift(field_of(name), _shown(value), _shown(there.get(name)))
            for name, value in corrections.modify.changes.asked_for.items()
        ]
    return tuple(drift)


def corrections_of(
    spec: RDSInstanceSpec, owner: Owner, credentials: MasterCredentials | None, observed: Observed
) -> Corrections:
    """``credentials``: those to be set, if the instance may not have them yet."""
    tags = tags_of(owner, vpc=spec.vpc, wanted=spec.tags)
    missing = {key: value for key, value in tags.items() if observed.tags.get(key) != value}
    if observed.status not in db_states.MODIFIABLE:
        return Corrections(missing, None)
    wanted = _to_upgrade(spec, wanted_configuration(spec), observed)
    changes = wanted.differing_from(observed.expected)
    changed = changes != NOTHING or credentials is not None
    return Corrections(missing, Modify(changes, credentials) if changed else None)


def deletion_of(spec: RDSInstanceSpec, observed: Observed) -> Modify | Delete:
    """The next request on the way to nothing. Raises Terminal while the spec protects the instance."""
    if spec.deletion_protection:
        raise Terminal(
            "DeleteDBInstance",
            observed.identifier,
            "DeletionProtected",
            f"DB instance {observed.identifier} is not deleted while spec.deletionProtection is true: "
            "set it to false to let it go",
            reason="DeletionProtected",
        )
    if observed.expected.deletion_protection:
        return Modify(Configuration(deletion_protection=False))
    return Delete(_final_snapshot(spec, observed))


def elsewhere(name: str, arn: str | None, region: str, account: str | None) -> str | None:
    """Whether the DB instance was made where nobody looks now: not finding it would prove nothing.

    While ``account`` is not known, only the region tells.
    """
    if arn is None:
        return None
    parts = arn.split(":")[_REGION_AND_ACCOUNT_IN_ARN]
    if len(parts) != 2:
        return (
            f"status.arn of DB instance {name} is no ARN: nothing is changed or deleted until it is corrected"
        )
    made_in, made_by = parts
    if made_in == region and account in (None, made_by):
        return None
    here = f"{region} of {account or 'an account not known yet'}"
    return (
        f"DB instance {name} is in region {made_in} of account {made_by}, and this one is {here}: "
        "nothing is changed or deleted meanwhile"
    )


def field_of(name: str) -> str:
    """What a field of the configuration is called in the spec."""
    first, *rest = name.split("_")
    return _FIELDS.get(name) or first + "".join(each.capitalize() for each in rest)


def wanted_configuration(spec: RDSInstanceSpec) -> Configuration:
    """What the spec asks for. Without a storage size, it is not said how large."""
    storage = spec.allocated_storage or _storage_of(spec.capabilities.capacity.get("storage"))
    return Configuration(
        instance_type=spec.instance_type,
        allocated_storage=storage,
        multizone=spec.multizone,
        backup_retention_period=spec.backup_retention_period,
        deletion_protection=spec.deletion_protection,
        security_groups=frozenset(spec.security_groups) or None,
        parameter_group=spec.parameter_group,
        publicly_accessible=spec.publicly_accessible,
        storage_type=spec.storage_type,
        iops=spec.iops,
        engine_version=spec.version,
    )


def _to_upgrade(spec: RDSInstanceSpec, wanted: Configuration, observed: Observed) -> Configuration:
    """Without the version where the one that runs, or will, is what the spec asks for or newer.

    RDS upgrades minor versions by itself, and does not downgrade.
    """
    there = observed.expected.engine_version
    if spec.version is None or there is None:
        return wanted
    asked, runs = EngineVersion.parse(spec.version).release, EngineVersion.parse(there).release
    if runs[: len(asked)] >= asked:
        return wanted.overlaid_by(Configuration(engine_version=there))
    return wanted


def _unchangeable(
    spec: RDSInstanceSpec, credentials: SecretData | None, observed: Observed
) -> tuple[Drift, ...]:
    """What the spec asks for although it cannot be changed any more."""
    expected, wanted = observed.expected, wanted_configuration(spec)
    found: list[Drift] = []

    def fixed(field: str, asked: object, there: object, why: str = "RDS cannot change it in place") -> None:
        found.append(Drift(field, _shown(asked), _shown(there), repairable=False, why=why))

    username = spec.master_username or (credentials.get("username") if credentials is not None else None)
    if spec.engine != observed.engine:
        fixed("engine", spec.engine, observed.engine)
    if username is not None and observed.master_username and username != observed.master_username:
        fixed("masterUsername", username, observed.master_username)
    if spec.storage_encrypted != observed.storage_encrypted:
        fixed("storageEncrypted", spec.storage_encrypted, observed.storage_encrypted)
    if spec.subnet_group is not None and spec.subnet_group != observed.subnet_group:
        fixed("subnetGroup", spec.subnet_group, observed.subnet_group)
    if wanted.allocated_storage is None:
        fixed("allocatedStorage", "nothing", expected.allocated_storage, _NO_SIZE)
    elif wanted.allocated_storage < (expected.allocated_storage or 0):
        there = expected.allocated_storage
        fixed("allocatedStorage", wanted.allocated_storage, there, "storage can only grow")
    if spec.engine == observed.engine and _goes_back(spec, expected.engine_version):
        why = "RDS does not go back to an older major version"
        fixed("version", spec.version, expected.engine_version, why)
    return tuple(found)


def _goes_back(spec: RDSInstanceSpec, there: str | None) -> bool:
    if spec.version is None or there is None:
        return False
    asked = EngineVersion.parse(spec.version).release[: _SERIES_LENGTH[spec.engine]]
    return asked < EngineVersion.parse(there).release[: len(asked)]


_NO_SIZE = (
    "the storage's size is not given: set spec.allocatedStorage (GiB) or spec.capabilities.capacity.storage"
)


def _shown(value: object) -> str:
    return ", ".join(sorted(value)) if isinstance(value, frozenset) else str(value)


def _final_snapshot(spec: RDSInstanceSpec, observed: Observed) -> FinalSnapshot | None:
    if spec.skip_final_snapshot or observed.status in db_states.BEYOND_SNAPSHOT:
        return None
    return FinalSnapshot(spec.final_snapshot_identifier or final_snapshot_name(observed.identifier))


def _storage_of(capacity: Quantity | None) -> int | None:
    """In whole GiB that are at least the capacity offered, and at least what RDS makes."""
    return max(MIN_STORAGE_GIB, ceil(capacity.value / _GIB)) if capacity is not None else None
