"""What an instance is to be and what of it is drift: rules that hold for any spec."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor_dev.cloudsql.discovery import Discovery
from conductor_dev.cloudsql.settings import merged, new_settings
from conductor_gcp_provisioner.decide import (
    MAX_NAME,
    changes_of,
    drift_of,
    new_instance,
    successor_of,
    unfit_name,
)
from conductor_gcp_provisioner.instance import Instance
from conductor_model.cloudsql import CloudSQLInstanceSpec
from conductor_provisioner.driver import Owner

OWNER = Owner("cluster-1", "1b4e28ba-2fa1-11d2-883f-0016d3cca427", "conductor-system", "db")
LEAST = {"databaseVersion": "MYSQL_8_0", "tier": "db-n1-standard-1", "region": "us-west2"}

networks = st.sampled_from(["192.0.2.1", "192.0.2.1/32", "198.51.100.0/24", "203.0.113.7/24"])
specs = st.fixed_dictionaries(
    {
        "databaseVersion": st.sampled_from(["MYSQL_5_7", "MYSQL_8_0", "POSTGRES_9_6", "POSTGRES_16"]),
        "tier": st.sampled_from(["db-n1-standard-1", "db-custom-2-7680"]),
        "region": st.just("us-west2"),
    },
    optional={
        "availabilityType": st.sampled_from(["ZONAL", "REGIONAL"]),
        "edition": st.sampled_from(["ENTERPRISE", "ENTERPRISE_PLUS"]),
        "storageType": st.sampled_from(["PD_SSD", "PD_HDD"]),
        "diskSize": st.integers(10, 500),
        "diskAutoresize": st.booleans(),
        "backup": st.fixed_dictionaries(
            {"enabled": st.just(True), "pointInTimeRecovery": st.just(True)},
            optional={
                "startTime": st.just("02:30"),
                "retainedBackups": st.integers(1, 30),
                "transactionLogRetentionDays": st.integers(1, 7),
            },
        ),
        "ipConfiguration": st.fixed_dictionaries(
            {"privateNetwork": st.just("projects/p/global/networks/n")},
            optional={
                "ipv4Enabled": st.booleans(),
                "sslMode": st.sampled_from(["ENCRYPTED_ONLY", "ALLOW_UNENCRYPTED_AND_ENCRYPTED"]),
                "authorizedNetworks": st.lists(
                    st.builds(lambda value: {"value": value}, networks),
                    unique_by=lambda each: each["value"],
                    max_size=3,
                ),
            },
        ),
        "databaseFlags": st.lists(
            st.sampled_from([{"name": "max_connections", "value": "100"}, {"name": "x.y", "value": "on"}]),
            unique_by=lambda each: each["name"],
        ),
        "labels": st.dictionaries(st.sampled_from(["team", "stage"]), st.sampled_from(["a", "b_1"])),
        "maintenanceWindow": st.just({"day": 7, "hour": 3, "updateTrack": "stable"}),
        "deletionProtection": st.booleans(),
    },
).map(CloudSQLInstanceSpec.model_validate)


def made(spec: CloudSQLInstanceSpec) -> dict[str, Any]:
    """What Google makes of the insert, by the stand-in's rules."""
    body = new_instance("db", spec, OWNER, "password")
    mysql = spec.database_version.startswith("MYSQL")
    return {**body, "state": "RUNNABLE", "settings": new_settings(body["settings"], mysql=mysql)}


def spec(**fields: Any) -> CloudSQLInstanceSpec:
    return CloudSQLInstanceSpec.model_validate({**LEAST, **fields})


def found(wanted: CloudSQLInstanceSpec, version: str | None = None, **settings: Any) -> Instance:
    there = made(wanted)
    there["settings"] = merged(there["settings"], settings)
    if version is not None:
        there |= {"databaseVersion": version, "databaseInstalledVersion": version}
    return Instance.parse(there)


@settings(deadline=None)
@given(specs)
def test_a_request_has_the_shape_that_google_publishes(wanted: CloudSQLInstanceSpec) -> None:
    body = new_instance("db", wanted, OWNER, "password")
    assert Discovery.load().shapes.problems(body, "DatabaseInstance") == []


@settings(deadline=None)
@given(specs)
def test_what_was_made_as_asked_has_no_drift(wanted: CloudSQLInstanceSpec) -> None:
    instance = Instance.parse(made(wanted))
    assert drift_of(wanted, OWNER, instance) == ()
    assert changes_of(wanted, OWNER, instance) == {}


@settings(deadline=None)
@given(specs, specs)
def test_changes_leave_only_drift_that_cannot_be_repaired(
    old: CloudSQLInstanceSpec, new: CloudSQLInstanceSpec
) -> None:
    there = made(old)
    changes = changes_of(new, OWNER, Instance.parse(there))
    assert Discovery.load().shapes.problems(changes, "DatabaseInstance") == []
    after = Instance.parse(
        {
            **there,
            "databaseVersion": changes.get("databaseVersion", there["databaseVersion"]),
            "settings": merged(there["settings"], changes.get("settings", {})),
        }
    )
    assert [each for each in drift_of(new, OWNER, after) if each.repairable] == []
    assert bool(changes) == any(each.repairable for each in drift_of(new, OWNER, Instance.parse(there)))


@settings(deadline=None)
@given(specs, specs)
def test_changes_mean_the_same_whether_a_patch_merges_or_replaces_what_is_nested(
    old: CloudSQLInstanceSpec, new: CloudSQLInstanceSpec
) -> None:
    there = made(old)
    changes = changes_of(new, OWNER, Instance.parse(there)).get("settings", {})
    replaced = Instance.parse({**there, "settings": {**there["settings"], **changes}})
    merging = Instance.parse({**there, "settings": merged(there["settings"], changes)})
    assert drift_of(new, OWNER, replaced) == drift_of(new, OWNER, merging)


@settings(deadline=None)
@given(specs)
def test_a_patch_is_for_the_settings_that_were_looked_at(wanted: CloudSQLInstanceSpec) -> None:
    instance = found(wanted, tier="db-f1-micro", settingsVersion="41")
    assert changes_of(wanted, OWNER, instance)["settings"]["settingsVersion"] == "41"


def test_deciding_leaves_what_was_observed_as_it_was() -> None:
    old = spec(backup={"retainedBackups": 2, "startTime": "02:30"})
    instance = found(old)
    before = copy.deepcopy(instance)
    assert changes_of(spec(backup={"retainedBackups": 1}), OWNER, instance) != {}
    assert instance == before


def test_a_disk_that_google_grew_is_no_drift() -> None:
    wanted = spec(diskSize=20)
    assert drift_of(wanted, OWNER, found(wanted, dataDiskSizeGb="25")) == ()


def test_a_disk_is_grown_and_never_shrunk() -> None:
    [grows] = drift_of(spec(diskSize=30), OWNER, found(spec(diskSize=20)))
    assert (grows.field, grows.wanted, grows.found, grows.repairable) == ("diskSize", "30", "20", True)
    fixed = spec(diskSize=20, diskAutoresize=False)
    [shrinks] = drift_of(fixed, OWNER, found(fixed, dataDiskSizeGb="25"))
    assert not shrinks.repairable
    assert changes_of(fixed, OWNER, found(fixed, dataDiskSizeGb="25")) == {}


def test_the_disk_is_as_large_as_what_is_offered() -> None:
    wanted = spec(capabilities={"capacity": {"storage": "20.5Gi"}})
    assert new_instance("db", wanted, OWNER, None)["settings"]["dataDiskSizeGb"] == "21"
    small = spec(capabilities={"capacity": {"storage": "1Gi"}})
    assert new_instance("db", small, OWNER, None)["settings"]["dataDiskSizeGb"] == "10"


@pytest.mark.parametrize(
    ("asked", "runs", "drift"),
    [
        ("MYSQL_8_0", "MYSQL_8_0_41", None),
        ("MYSQL_8_0_31", "MYSQL_8_0_41", None),
        ("MYSQL_8_4", "MYSQL_8_0_41", True),
        ("MYSQL_5_7", "MYSQL_8_0_41", False),
        ("POSTGRES_16", "POSTGRES_15", True),
        ("POSTGRES_15", "POSTGRES_16", False),
        ("POSTGRES_16", "MYSQL_8_0", False),
    ],
)
def test_versions_are_raised_and_google_s_own_patches_are_no_drift(
    asked: str, runs: str, drift: bool | None
) -> None:
    wanted = spec(databaseVersion=asked)
    seen = drift_of(wanted, OWNER, found(wanted, runs))
    assert [each.repairable for each in seen if each.field == "databaseVersion"] == (
        [] if drift is None else [drift]
    )
    assert changes_of(wanted, OWNER, found(wanted, runs)).get("databaseVersion") == (asked if drift else None)


@pytest.mark.parametrize(
    ("version", "field"), [("MYSQL_8_0", "binaryLogEnabled"), ("POSTGRES_16", "pointInTimeRecoveryEnabled")]
)
def test_each_engine_recovers_to_a_point_in_time_in_its_own_way(version: str, field: str) -> None:
    wanted = spec(databaseVersion=version, backup={"pointInTimeRecovery": True})
    backups = new_instance("db", wanted, OWNER, None)["settings"]["backupConfiguration"]
    assert backups == {"enabled": True, field: True}


def test_a_standby_brings_the_backups_that_google_makes_it_from() -> None:
    wanted = spec(availabilityType="REGIONAL")
    backups = new_instance("db", wanted, OWNER, None)["settings"]["backupConfiguration"]
    assert backups == {"enabled": True, "binaryLogEnabled": True}


def test_what_the_spec_leaves_open_is_left_as_it_is() -> None:
    wanted = spec()
    others = {
        "databaseFlags": [{"name": "max_connections", "value": "7"}],
        "ipConfiguration": {"authorizedNetworks": [{"value": "192.0.2.1"}], "requireSsl": True},
        "backupConfiguration": {"enabled": True},
        "maintenanceWindow": {"day": 1, "hour": 2},
        "userLabels": {"somebody": "else"},
    }
    assert drift_of(wanted, OWNER, found(wanted, **others)) == ()


def test_labels_of_others_stay_when_ours_are_put_back() -> None:
    wanted = spec(labels={"team": "web"})
    instance = found(wanted, userLabels={"team": "shop", "somebody": "else"})
    labels = changes_of(wanted, OWNER, instance)["settings"]["userLabels"]
    assert (labels["team"], labels["somebody"]) == ("web", "else")


def test_a_network_is_the_same_with_and_without_google_s_address_before_it() -> None:
    wanted = spec(ipConfiguration={"privateNetwork": "projects/p/global/networks/n"})
    full = "https://www.googleapis.com/compute/v1/projects/p/global/networks/n"
    assert drift_of(wanted, OWNER, found(wanted, ipConfiguration={"privateNetwork": full})) == ()
    other = found(wanted, ipConfiguration={"privateNetwork": "projects/p/global/networks/m"})
    [drift] = drift_of(wanted, OWNER, other)
    assert not drift.repairable


def test_an_answer_that_leaves_out_what_is_as_usual_shows_no_drift() -> None:
    wanted = spec(diskAutoresize=True, ipConfiguration={"ipv4Enabled": True}, deletionProtection=False)
    bare = {
        "name": "db",
        "region": "us-west2",
        "databaseVersion": "MYSQL_8_0",
        "settings": {
            "tier": "db-n1-standard-1",
            "userLabels": new_instance("db", wanted, OWNER, None)["settings"]["userLabels"],
        },
    }
    assert drift_of(wanted, OWNER, Instance.parse(bare)) == ()


@settings(deadline=None)
@given(st.from_regex(r"[a-z]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True), st.integers(1, 30))
def test_each_retired_name_has_a_further_one(name: str, times: int) -> None:
    used = {name}
    for _ in range(times):
        name = successor_of(name)
        assert name not in used
        used.add(name)
    assert unfit_name("project-1", name) is None


def test_names_that_google_does_not_take_are_known_before_they_are_sent() -> None:
    assert unfit_name("project-1", "d" * (MAX_NAME - len("project-1:"))) is None
    assert unfit_name("project-1", "d" * (MAX_NAME - len("project-1:") + 1)) is not None
    assert unfit_name("project-1", "My_Database") is not None
