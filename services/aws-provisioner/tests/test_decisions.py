"""What is decided about a DB instance, case by case."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from conductor_aws_provisioner.decide import (
    AddTags,
    Create,
    Delete,
    Gone,
    Look,
    Modify,
    Plan,
    WantedCredentials,
    decide,
    decide_deletion,
    seconds_until,
)
from conductor_aws_provisioner.external import (
    NOTHING,
    Configuration,
    FinalSnapshot,
    MasterCredentials,
    Observed,
)
from conductor_aws_provisioner.names import Owner
from conductor_aws_provisioner.settings import PollIntervals
from conductor_model.concrete import Endpoint

OWNER = Owner("cluster", "uid", "conductor-system", "orders")
APPLIED = WantedCredentials(MasterCredentials("conductor", "secret"), applied=True)
ROTATED = replace(APPLIED, applied=False)


def observed(status: str = "available", *, pending: Configuration = NOTHING, **fields: Any) -> Observed:
    """The instance that ``build()`` asks for, as it should be but for ``fields``."""
    current: dict[str, Any] = {
        "instance_type": "db.m4.xlarge",
        "allocated_storage": 50,
        "multizone": False,
        "deletion_protection": False,
        "security_groups": frozenset({"sg-default"}),
        "parameter_group": "default.mysql8.0",
        "publicly_accessible": False,
        "storage_type": "gp2",
        "backup_retention_period": 1,
        "engine_version": "8.0.35",
    }
    there = {key: fields.pop(key) for key in list(fields) if key in current}
    made: dict[str, Any] = {
        "identifier": OWNER.external_name,
        "arn": "arn:aws:rds:eu-west-1:1:db:x",
        "status": status,
        "engine": "mysql",
        "master_username": "conductor",
        "tags": OWNER.tags,
        "endpoint": Endpoint(host="x.rds.example", port=3306),
        "storage_encrypted": False,
        "subnet_group": None,
        "current": Configuration(**(current | there)),
        "pending": pending,
    }
    return Observed(**(made | fields))


def test_what_is_as_it_should_be_is_left_alone(build: Any) -> None:
    assert decide(build(), OWNER, APPLIED, observed()) == Plan(look=Look.LATER)


def test_what_is_not_there_is_created_with_all_that_the_spec_says(build: Any) -> None:
    instance = build(
        version=8.0,
        masterUsername="masteruser",
        vpc="vpc-223-551",
        securityGroups=["sg-2323-4445", "sg-2323-4445"],
        multizone=True,
        subnetGroup="private",
        storageEncrypted=True,
        kmsKeyId="alias/rds",
        tags={"team": "billing", "conductor.io/concrete-uid": "forged"},
    )

    (create,) = decide(instance, OWNER, APPLIED, None).actions

    assert isinstance(create, Create)
    new = create.new
    assert new.identifier == OWNER.external_name
    assert new.configuration.engine_version == "8.0"
    assert new.configuration.security_groups == frozenset({"sg-2323-4445"})
    assert new.configuration.multizone is True
    assert (new.subnet_group, new.storage_encrypted, new.kms_key_id) == ("private", True, "alias/rds")
    assert new.tags["team"] == "billing"
    assert new.tags["conductor.io/vpc"] == "vpc-223-551"
    assert OWNER.owns(new.tags), "a user's tags cannot replace ours"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"allocatedStorage": 100}, 100),
        ({"allocatedStorage": None, "capabilities": {"capacity": {"storage": "50Gi"}}}, 50),
        ({"allocatedStorage": None, "capabilities": {"capacity": {"storage": "50G"}}}, 47),
        ({"allocatedStorage": None, "capabilities": {"capacity": {"storage": "5Gi"}}}, 20),
        ({"allocatedStorage": 30, "capabilities": {"capacity": {"storage": "50Gi"}}}, 30),
    ],
)
def test_storage_is_what_the_spec_says_or_at_least_what_is_offered(
    build: Any, spec: Any, expected: int
) -> None:
    (create,) = decide(build(**spec), OWNER, APPLIED, None).actions

    assert isinstance(create, Create)
    assert create.new.configuration.allocated_storage == expected


def test_a_spec_without_a_storage_size_is_told(build: Any) -> None:
    plan = decide(build(allocatedStorage=None), OWNER, APPLIED, None)

    assert plan.actions == ()
    assert plan.synced.reason == "InvalidSpec"
    assert "allocatedStorage" in plan.synced.message


@pytest.mark.parametrize(
    ("spec", "changes"),
    [
        ({"instance-type": "db.m5.large"}, Configuration(instance_type="db.m5.large")),
        ({"allocatedStorage": 60}, Configuration(allocated_storage=60)),
        ({"multizone": True}, Configuration(multizone=True)),
        ({"backupRetentionPeriod": 0}, Configuration(backup_retention_period=0)),
        ({"deletionProtection": True}, Configuration(deletion_protection=True)),
        ({"securityGroups": ["sg-1", "sg-1"]}, Configuration(security_groups=frozenset({"sg-1"}))),
        ({"parameterGroup": "tuned"}, Configuration(parameter_group="tuned")),
        ({"publiclyAccessible": True}, Configuration(publicly_accessible=True)),
        ({"storageType": "gp3", "iops": 3000}, Configuration(storage_type="gp3", iops=3000)),
        ({"version": "8.0.36"}, Configuration(engine_version="8.0.36")),
        ({"version": "8.4"}, Configuration(engine_version="8.4")),
    ],
)
def test_what_differs_is_modified_and_nothing_else(build: Any, spec: Any, changes: Configuration) -> None:
    plan = decide(build(**spec), OWNER, APPLIED, observed())

    assert plan.actions == (Modify(changes),)
    assert plan.look is Look.SOON


def test_a_modification_under_way_is_not_asked_for_again(build: Any) -> None:
    pending = Configuration(allocated_storage=60, engine_version="8.4")

    plan = decide(build(allocatedStorage=60, version="8.4"), OWNER, APPLIED, observed(pending=pending))

    assert plan == Plan(look=Look.SOON)


@pytest.mark.parametrize("status", ["creating", "modifying", "rebooting", "backing-up", "stopped"])
def test_nothing_is_modified_while_rds_would_refuse(build: Any, status: str) -> None:
    assert decide(build(multizone=True), OWNER, ROTATED, observed(status)).actions == ()


@pytest.mark.parametrize("version", ["8", "8.0", 8.0, "8.0.35", "8.0.34"])
def test_a_version_that_runs_already_or_is_surpassed_by_a_minor_upgrade_is_left_alone(
    build: Any, version: Any
) -> None:
    assert decide(build(version=version), OWNER, APPLIED, observed()) == Plan(look=Look.LATER)


@pytest.mark.parametrize(
    ("spec", "there", "field"),
    [
        ({"engine": "postgres"}, {}, "engine"),
        ({"masterUsername": "other"}, {}, "masterUsername"),
        ({"storageEncrypted": True}, {}, "storageEncrypted"),
        ({"subnetGroup": "private"}, {"subnet_group": "public"}, "subnetGroup"),
        ({"allocatedStorage": 40}, {}, "allocatedStorage"),
        ({"allocatedStorage": 55}, {"pending": Configuration(allocated_storage=60)}, "allocatedStorage"),
        ({"version": "5.7"}, {}, "version"),
        ({"version": "8.0", "engine": "mysql"}, {"engine_version": "8.4.1"}, "version"),
    ],
)
def test_a_field_that_cannot_change_is_named(build: Any, spec: Any, there: Any, field: str) -> None:
    plan = decide(build(**spec), OWNER, APPLIED, observed(**there))

    assert plan.actions == ()
    assert plan.synced.reason == "ImmutableField"
    assert f"spec.{field} " in plan.synced.message


def test_a_new_password_is_set_together_with_what_else_differs(build: Any) -> None:
    plan = decide(build(multizone=True), OWNER, ROTATED, observed())

    assert plan.actions == (Modify(Configuration(multizone=True), ROTATED.credentials),)
    assert "secret" not in repr(plan)


def test_missing_tags_are_added_and_foreign_ones_kept(build: Any) -> None:
    there = observed(tags={**OWNER.tags, "team": "old", "aws:created-by": "x"})

    plan = decide(build(tags={"team": "billing"}), OWNER, APPLIED, there)

    assert plan.actions == (AddTags("arn:aws:rds:eu-west-1:1:db:x", {"team": "billing"}),)


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"conductor.io/cluster-id": "cluster"},
        {"conductor.io/cluster-id": "another", "conductor.io/concrete-uid": "uid"},
        {"conductor.io/cluster-id": "cluster", "conductor.io/concrete-uid": "another"},
    ],
)
def test_what_is_not_ours_is_never_touched(build: Any, tags: Any) -> None:
    plan = decide(build(multizone=True), OWNER, ROTATED, observed(tags=tags))

    assert plan.actions == ()
    assert plan.synced.reason == "NotOwned"
    gone = decide_deletion(build(), OWNER, observed(tags=tags))
    assert isinstance(gone, Gone)
    assert gone.foreign is not None
    assert gone.foreign.reason == "NotOwned"


@pytest.mark.parametrize(
    ("spec", "snapshot"),
    [
        ({}, FinalSnapshot(f"{OWNER.external_name}-final")),
        ({"finalSnapshotIdentifier": "last"}, FinalSnapshot("last")),
        ({"skipFinalSnapshot": True}, None),
    ],
)
def test_a_final_snapshot_is_taken_unless_told_otherwise(build: Any, spec: Any, snapshot: Any) -> None:
    assert decide_deletion(build(**spec), OWNER, observed()) == Plan((Delete(snapshot),))


def test_of_a_failed_instance_no_snapshot_can_be_taken(build: Any) -> None:
    assert decide_deletion(build(), OWNER, observed("failed")) == Plan((Delete(None),))


@pytest.mark.parametrize("status", ["creating", "modifying", "deleting"])
def test_deletion_waits_while_rds_is_busy(build: Any, status: str) -> None:
    assert decide_deletion(build(), OWNER, observed(status)) == Plan()


def test_protection_that_the_spec_does_not_ask_for_is_taken_off_before_the_deletion(build: Any) -> None:
    plan = decide_deletion(build(), OWNER, observed(deletion_protection=True))

    assert plan == Plan((Modify(Configuration(deletion_protection=False)),))


@pytest.mark.parametrize(
    ("look", "annotation", "random", "seconds"),
    [
        (Look.SOON, None, 0.9, 10),
        (Look.LATER, None, 0.5, 600),
        (Look.LATER, None, 0.0, 540),
        (Look.LATER, "1h", 0.5, 3600),
        (Look.LATER, "1s", 0.5, 10),
        (Look.LATER, "soon", 0.5, 600),
        (Look.NEVER, None, 0.5, None),
    ],
)
def test_looks_are_spread_and_follow_the_objects_own_interval(
    build: Any, look: Look, annotation: str | None, random: float, seconds: float | None
) -> None:
    annotations = {"conductor.io/poll-interval": annotation} if annotation else None

    delay = seconds_until(look, build(annotations=annotations), PollIntervals(), random)

    assert delay == seconds


def test_an_interval_that_cannot_be_read_is_told(build: Any) -> None:
    plan = decide(build(annotations={"conductor.io/poll-interval": "soon"}), OWNER, APPLIED, observed())

    assert plan.synced.ok
    assert "'soon' is not a duration" in plan.synced.message
