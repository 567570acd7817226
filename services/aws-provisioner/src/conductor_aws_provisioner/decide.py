"""What to do about a DB instance: pure functions from what is wanted and what is there to the next actions.

Promises: the same input gives the same actions; actions that were carried out are not asked for again, not even while
RDS is still busy with them; what does not carry our ownership tags is never acted upon.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from math import ceil

from conductor_aws_provisioner import db_states
from conductor_aws_provisioner.duration import parse_duration
from conductor_aws_provisioner.external import (
    NOTHING,
    Configuration,
    FinalSnapshot,
    MasterCredentials,
    NewInstance,
    Observed,
)
from conductor_aws_provisioner.names import Owner, final_snapshot_name, tags_of
from conductor_aws_provisioner.outcome import IN_SYNC, Reason, Synced, out_of_sync
from conductor_aws_provisioner.settings import PollIntervals
from conductor_model.annotations import POLL_INTERVAL
from conductor_model.quantity import Quantity
from conductor_model.rds import RDSEngine, RDSInstance, RDSInstanceSpec
from conductor_model.version import EngineVersion

DEFAULT_MASTER_USERNAME = "conductor"
MIN_STORAGE_GIB = 20
"""Amazon RDS User Guide, "DB instance storage": the smallest of the general purpose types."""

_GIB = 2**30
_REGION_AND_ACCOUNT_IN_ARN = slice(3, 5)
_SERIES_LENGTH: Mapping[RDSEngine, int] = {RDSEngine.MYSQL: 2, RDSEngine.POSTGRES: 1}
"""How many numbers of a version tell its major version, by RDS's rules for upgrades."""


@dataclass(frozen=True, slots=True)
class Create:
    new: NewInstance
    credentials: MasterCredentials


@dataclass(frozen=True, slots=True)
class Modify:
    changes: Configuration
    credentials: MasterCredentials | None = None
    """Given: their password is set, too."""


@dataclass(frozen=True, slots=True)
class AddTags:
    arn: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Delete:
    snapshot: FinalSnapshot | None


Action = Create | Modify | AddTags | Delete


class Look(Enum):
    """When to look at the external resource again."""

    SOON = auto()
    LATER = auto()
    NEVER = auto()
    """Not before the object changes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, what to say about it, and when to look again."""

    actions: tuple[Action, ...] = ()
    synced: Synced = IN_SYNC
    look: Look = Look.SOON


@dataclass(frozen=True, slots=True)
class Gone:
    """Nothing of the external resource is left: the object may go, too."""

    foreign: Synced | None = None
    """What is there under our name, and stays, because it is not ours."""


@dataclass(frozen=True, slots=True)
class WantedCredentials:
    """The credentials that the instance is to have."""

    credentials: MasterCredentials
    applied: bool
    """Whether it is known to have them already."""


def decide(instance: RDSInstance, owner: Owner, master: WantedCredentials, observed: Observed | None) -> Plan:
    """The plan for an object that is to exist."""
    wanted = wanted_configuration(instance.spec)
    if isinstance(wanted, Synced):
        return Plan(synced=wanted, look=Look.LATER)
    if observed is None:
        return _decide_absent(instance, owner, wanted, master)
    if not owner.owns(observed.tags):
        return Plan(synced=_not_owned(observed), look=Look.LATER)
    refusal = _unchangeable(instance.spec, wanted, observed)
    if refusal is not None:
        return Plan(synced=refusal, look=next_look(observed))
    actions = _corrections(instance.spec, owner, wanted, master, observed)
    return Plan(actions, _in_sync(instance), Look.SOON if actions else next_look(observed))


def decide_deletion(instance: RDSInstance, owner: Owner, observed: Observed | None) -> Plan | Gone:
    """The plan for an object that is being deleted and whose policy is to take the external resource along."""
    if observed is None:
        return Gone()
    if not owner.owns(observed.tags):
        message = (
            f"DB instance {observed.identifier} lacks this object's ownership tags, so it is not deleted"
        )
        return Gone(out_of_sync(Reason.NOT_OWNED, message))
    if observed.status not in db_states.SETTLED:
        return Plan()  # busy, with its deletion perhaps
    if instance.spec.deletion_protection:
        message = (
            f"DB instance {observed.identifier} is not deleted while spec.deletionProtection is true: "
            "set it to false to let it go"
        )
        return Plan(synced=out_of_sync(Reason.DELETION_PROTECTED, message), look=Look.LATER)
    if observed.expected.deletion_protection:
        return Plan((Modify(Configuration(deletion_protection=False)),))
    return Plan((Delete(_final_snapshot(instance.spec, observed)),))


def create_awaited(instance: RDSInstance, owner: Owner, settle: float, now: datetime) -> Synced | None:
    """Whether a create, if one was tried, may still make a DB instance that was just not found.

    A killed process's request is under way on its own, and so is a drained one's thread. None is sent once there is an
    endpoint, nor on the word of a version that the deletion has overtaken: so ``settle`` seconds after it, all have ended.
    """
    deleted = instance.metadata.deletion_timestamp
    if deleted is None or instance.status.endpoint is not None:
        return None
    until = deleted + timedelta(seconds=settle)
    if now >= until:
        return None
    return out_of_sync(
        Reason.WAITING_FOR_CALLS,
        f"DB instance {owner.external_name} is not there, but a create begun before the deletion may still make it: "
        f"this object stays until {until:%Y-%m-%dT%H:%M:%SZ} to take it along",
    )


def elsewhere(instance: RDSInstance, region: str, account: str | None) -> Synced | None:
    """Whether the DB instance was made where nobody looks now: not finding it would prove nothing.

    While ``account`` is not known, only the region tells.
    """
    if instance.status.arn is None:
        return None
    made_in, made_by = instance.status.arn.split(":")[_REGION_AND_ACCOUNT_IN_ARN]
    if made_in == region and account in (None, made_by):
        return None
    here = f"{region} of {account or 'an account not known yet'}"
    return out_of_sync(
        Reason.ELSEWHERE,
        f"DB instance {instance.status.external_name} is in region {made_in} of account {made_by}, and this "
        f"aws-provisioner works in {here}: run one for there. Nothing is changed or deleted meanwhile",
    )


def wanted_configuration(spec: RDSInstanceSpec) -> Configuration | Synced:
    """What the spec asks for, or what is wrong with it."""
    storage = spec.allocated_storage or _storage_of(spec.capabilities.capacity.get("storage"))
    if storage is None:
        return out_of_sync(
            Reason.INVALID_SPEC,
            "the storage's size is not given: set spec.allocatedStorage (GiB) or spec.capabilities.capacity.storage",
        )
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


def seconds_until(look: Look, instance: RDSInstance, poll: PollIntervals, random: float) -> float | None:
    """The delay of the next look; ``random`` in [0, 1). The object's own interval replaces the settled one."""
    if look is Look.NEVER:
        return None
    if look is Look.SOON:
        return poll.pending
    try:
        settled = _own_poll_interval(instance) or poll.settled
    except ValueError:
        settled = poll.settled
    return max(poll.pending, settled * (1 + poll.jitter * (2 * random - 1)))


def _own_poll_interval(instance: RDSInstance) -> float | None:
    text = instance.metadata.annotations.get(POLL_INTERVAL)
    return parse_duration(text) if text is not None else None


def _in_sync(instance: RDSInstance) -> Synced:
    """Success, and a word on an annotation that cannot be obeyed."""
    try:
        _own_poll_interval(instance)
    except ValueError as error:
        return replace(IN_SYNC, message=f"annotation {POLL_INTERVAL} is ignored: {error}")
    return IN_SYNC


def _decide_absent(
    instance: RDSInstance, owner: Owner, wanted: Configuration, master: WantedCredentials
) -> Plan:
    if instance.status.endpoint is not None:
        message = (
            f"DB instance {owner.external_name} was there and is gone. Conductor does not replace a database by an "
            "empty one: restore it under this identifier with its tags, or delete this object"
        )
        return Plan(synced=out_of_sync(Reason.EXTERNAL_RESOURCE_MISSING, message), look=Look.LATER)
    spec = instance.spec
    new = NewInstance(
        identifier=owner.external_name,
        engine=spec.engine,
        configuration=wanted,
        storage_encrypted=spec.storage_encrypted,
        tags=tags_of(owner, vpc=spec.vpc, wanted=spec.tags),
        subnet_group=spec.subnet_group,
        kms_key_id=spec.kms_key_id,
    )
    return Plan((Create(new, master.credentials),), _in_sync(instance))


def _corrections(
    spec: RDSInstanceSpec,
    owner: Owner,
    wanted: Configuration,
    master: WantedCredentials,
    observed: Observed,
) -> tuple[Action, ...]:
    actions: list[Action] = []
    tags = tags_of(owner, vpc=spec.vpc, wanted=spec.tags)
    missing = {key: value for key, value in tags.items() if observed.tags.get(key) != value}
    if missing:
        actions.append(AddTags(observed.arn, missing))
    if observed.status in db_states.MODIFIABLE:
        changes = _to_upgrade(spec, wanted, observed).differing_from(observed.expected)
        if changes != NOTHING or not master.applied:
            actions.append(Modify(changes, None if master.applied else master.credentials))
    return tuple(actions)


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


def _unchangeable(spec: RDSInstanceSpec, wanted: Configuration, observed: Observed) -> Synced | None:
    """What the spec asks for although it cannot be changed any more."""
    username = spec.master_username
    expected = observed.expected
    if spec.engine != observed.engine:
        return _immutable("engine", observed.engine, spec.engine)
    if username is not None and username != observed.master_username:
        return _immutable("masterUsername", observed.master_username, username)
    if spec.storage_encrypted != observed.storage_encrypted:
        return _immutable("storageEncrypted", observed.storage_encrypted, spec.storage_encrypted)
    if spec.subnet_group is not None and spec.subnet_group != observed.subnet_group:
        return _immutable("subnetGroup", observed.subnet_group, spec.subnet_group)
    if (wanted.allocated_storage or 0) < (expected.allocated_storage or 0):
        return _immutable(
            "allocatedStorage", expected.allocated_storage, wanted.allocated_storage, "storage can only grow"
        )
    if spec.version is not None and expected.engine_version is not None:
        series = _SERIES_LENGTH[spec.engine]
        asked = EngineVersion.parse(spec.version).release[:series]
        if asked < EngineVersion.parse(expected.engine_version).release[: len(asked)]:
            return _immutable(
                "version",
                expected.engine_version,
                spec.version,
                "RDS does not go back to an older major version",
            )
    return None


def _immutable(
    field: str, is_now: object, asked: object, why: str = "RDS cannot change it in place"
) -> Synced:
    return out_of_sync(
        Reason.IMMUTABLE_FIELD,
        f"spec.{field} asks for {asked}, the DB instance has {is_now}: {why}. "
        "Set it back, or make another resource",
    )


def _not_owned(observed: Observed) -> Synced:
    return out_of_sync(
        Reason.NOT_OWNED,
        f"DB instance {observed.identifier} exists without this object's ownership tags, so Conductor does not touch "
        "it: remove or rename that instance",
    )


def next_look(observed: Observed) -> Look:
    """When an instance that nothing is to be done about is looked at again."""
    at_rest = observed.status in db_states.SETTLED and observed.pending == NOTHING
    return Look.LATER if at_rest else Look.SOON


def _final_snapshot(spec: RDSInstanceSpec, observed: Observed) -> FinalSnapshot | None:
    if spec.skip_final_snapshot or observed.status in db_states.BEYOND_SNAPSHOT:
        return None
    return FinalSnapshot(spec.final_snapshot_identifier or final_snapshot_name(observed.identifier))


def _storage_of(capacity: Quantity | None) -> int | None:
    """In whole GiB that are at least the capacity offered, and at least what RDS makes."""
    return max(MIN_STORAGE_GIB, ceil(capacity.value / _GIB)) if capacity is not None else None
