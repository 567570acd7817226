"""What is decided about a DB instance, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from conductor_aws_provisioner.decide import (
    Corrections,
    Delete,
    Modify,
    corrections_of,
    deletion_of,
    drift_of,
    elsewhere,
    field_of,
    new_instance,
)
from conductor_aws_provisioner.external import (
    NOTHING,
    Configuration,
    FinalSnapshot,
    MasterCredentials,
    Observed,
)
from conductor_model.concrete import Endpoint
from conductor_model.rds import RDSInstanceSpec
from conductor_provisioner import Drift, Owner, SecretData, Terminal

OWNER = Owner("cluster", "uid", "conductor-system", "orders")
NAME = "conductor-1"
ROTATED = MasterCredentials("conductor", "secret")


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
        "identifier": NAME,
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


def drift(build: Any, there: Observed, **spec: Any) -> tuple[Drift, ...]:
    return drift_of(build(**spec).spec, OWNER, None, there)


def corrections(build: Any, there: Observed, **spec: Any) -> Corrections:
    return corrections_of(build(**spec).spec, OWNER, None, there)


def test_what_is_as_it_should_be_is_left_alone(build: Any) -> None:
    assert drift(build, observed()) == ()
    assert corrections(build, observed()) == Corrections({}, None)


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

    new = new_instance(NAME, instance.spec, OWNER)

    assert new.identifier == NAME
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
    new = new_instance(NAME, build(**spec).spec, OWNER)

    assert new.configuration.allocated_storage == expected


def test_a_spec_without_a_storage_size_is_told(build: Any) -> None:
    with pytest.raises(Terminal, match="allocatedStorage"):
        new_instance(NAME, build(allocatedStorage=None).spec, OWNER)

    (told,) = drift(build, observed(), allocatedStorage=None)
    assert (told.field, told.repairable) == ("allocatedStorage", False)


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
    assert corrections(build, observed(), **spec) == Corrections({}, Modify(changes))
    assert {each.field for each in drift(build, observed(), **spec)} == set(map(field_of, changes.asked_for))


def test_every_field_that_can_drift_is_called_as_in_the_spec() -> None:
    written = {field.alias or name for name, field in RDSInstanceSpec.model_fields.items()}

    assert {field_of(name) for name in Configuration.__dataclass_fields__} <= written


def test_a_modification_under_way_is_not_asked_for_again(build: Any) -> None:
    there = observed(pending=Configuration(allocated_storage=60, engine_version="8.4"))

    assert drift(build, there, allocatedStorage=60, version="8.4") == ()


@pytest.mark.parametrize("status", ["creating", "modifying", "rebooting", "backing-up", "stopped"])
def test_nothing_is_modified_while_rds_would_refuse(build: Any, status: str) -> None:
    spec = build(multizone=True).spec

    assert drift(build, observed(status), multizone=True) == ()
    assert corrections_of(spec, OWNER, ROTATED, observed(status)) == Corrections({}, None)


@pytest.mark.parametrize("version", ["8", "8.0", 8.0, "8.0.35", "8.0.34"])
def test_a_version_that_runs_already_or_is_surpassed_by_a_minor_upgrade_is_left_alone(
    build: Any, version: Any
) -> None:
    assert drift(build, observed(), version=version) == ()


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
    (told,) = drift(build, observed(**there), **spec)

    assert (told.field, told.repairable) == (field, False)


def test_a_secret_with_another_user_than_the_instances_is_told(build: Any) -> None:
    theirs = SecretData({"username": "admin", "password": "x"})

    (told,) = drift_of(build().spec, OWNER, theirs, observed())

    assert (told.field, told.wanted, told.found) == ("masterUsername", "admin", "conductor")


def test_a_new_password_is_set_together_with_what_else_differs(build: Any) -> None:
    plan = corrections_of(build(multizone=True).spec, OWNER, ROTATED, observed())

    assert plan == Corrections({}, Modify(Configuration(multizone=True), ROTATED))
    assert "secret" not in repr(plan)


def test_missing_tags_are_added_and_foreign_ones_kept(build: Any) -> None:
    there = observed(tags={**OWNER.tags, "team": "old", "aws:created-by": "x"})

    assert corrections(build, there, tags={"team": "billing"}) == Corrections({"team": "billing"}, None)
    assert drift(build, there, tags={"team": "billing"}) == (Drift("tags.team", "billing", "old"),)


@pytest.mark.parametrize(
    ("spec", "snapshot"),
    [
        ({}, FinalSnapshot(f"{NAME}-final")),
        ({"finalSnapshotIdentifier": "last"}, FinalSnapshot("last")),
        ({"skipFinalSnapshot": True}, None),
    ],
)
def test_a_final_snapshot_is_taken_unless_told_otherwise(build: Any, spec: Any, snapshot: Any) -> None:
    assert deletion_of(build(**spec).spec, observed()) == Delete(snapshot)


def test_of_a_failed_instance_no_snapshot_can_be_taken(build: Any) -> None:
    assert deletion_of(build().spec, observed("failed")) == Delete(None)


def test_a_protected_instance_is_not_deleted(build: Any) -> None:
    with pytest.raises(Terminal) as raised:
        deletion_of(build(deletionProtection=True).spec, observed())

    assert raised.value.reason == "DeletionProtected"


def test_protection_that_the_spec_does_not_ask_for_is_taken_off_before_the_deletion(build: Any) -> None:
    there = observed(deletion_protection=True)

    assert deletion_of(build().spec, there) == Modify(Configuration(deletion_protection=False))


@pytest.mark.parametrize(
    ("region", "account", "told"),
    [
        ("eu-west-1", "1", False),
        ("eu-west-1", None, False),
        ("us-east-2", None, True),
        ("us-east-2", "1", True),
        ("eu-west-1", "2", True),
    ],
)
def test_what_was_made_in_another_region_or_account_is_elsewhere(
    region: str, account: str | None, told: bool
) -> None:
    problem = elsewhere(NAME, "arn:aws:rds:eu-west-1:1:db:x", region, account)

    assert (problem is not None) is told
    if problem is not None:
        assert "region eu-west-1 of account 1" in problem


def test_what_was_never_made_is_nowhere_else() -> None:
    assert elsewhere(NAME, None, "eu-west-1", "1") is None


def test_a_status_that_somebody_spoilt_is_no_proof_that_an_instance_is_gone():
    problem = elsewhere(NAME, "nonsense", "eu-west-1", "1")
    assert problem is not None
    assert "status.arn" in problem
