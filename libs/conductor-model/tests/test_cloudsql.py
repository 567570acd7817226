"""What a CloudSQLInstance may say, and what claims can be told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from conductor_dev.api import KubeApi
from conductor_dev.errors import ApiError
from conductor_model.cloudsql import MYSQL, POSTGRESQL, CloudSQLInstance, CloudSQLInstanceSpec
from conductor_model.databases import MySQLInstance
from conductor_model.kinds import CLOUDSQL_INSTANCE, MYSQL_INSTANCE
from conductor_model.version import EngineVersion

LEAST = {"databaseVersion": "POSTGRES_16", "tier": "db-custom-2-7680", "region": "europe-west1"}


def manifest(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": CLOUDSQL_INSTANCE.gvk.api_version,
        "kind": CLOUDSQL_INSTANCE.gvk.kind,
        "metadata": {"name": "example"},
        "spec": {**LEAST, **spec},
    }


def instance(status: Mapping[str, Any] | None = None, **spec: Any) -> CloudSQLInstance:
    return CloudSQLInstance.model_validate({**manifest(**spec), "status": status or {}})


@pytest.mark.parametrize(
    ("database_version", "claims", "version"),
    [
        ("MYSQL_5_7", MYSQL, "5.7"),
        ("MYSQL_8_0_36", MYSQL, "8.0.36"),
        ("MYSQL_8_4", MYSQL, "8.4"),
        ("POSTGRES_9_6", POSTGRESQL, "9.6"),
        ("POSTGRES_17", POSTGRESQL, "17"),
    ],
)
def test_a_database_version_says_which_claims_it_satisfies(
    database_version: str, claims: object, version: str
) -> None:
    concrete = instance(databaseVersion=database_version)
    assert concrete.implements == {claims}
    assert concrete.offered_version == EngineVersion.parse(version)


def test_the_version_that_runs_is_offered_rather_than_the_one_asked_for() -> None:
    concrete = instance({"engineVersion": "MYSQL_8_0_41"}, databaseVersion="MYSQL_8_0")
    assert concrete.offered_version == EngineVersion.parse("8.0.41")


def test_a_claim_s_version_does_not_get_beside_the_one_that_a_template_says() -> None:
    written = {
        "apiVersion": MYSQL_INSTANCE.gvk.api_version,
        "kind": "MySQLInstance",
        "metadata": {"name": "db"},
        "spec": {"version": "8.0", "masterUsername": "boss"},
    }
    claim = MySQLInstance.model_validate(written)
    assert claim.overrides({"databaseVersion"}) == {"masterUsername": "boss"}
    assert claim.overrides({"engine"}) == {"masterUsername": "boss", "version": "8.0"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("databaseVersion", "SQLSERVER_2022_WEB"),
        ("databaseVersion", "mysql-8"),
        ("tier", "standard"),
        ("region", "Europe"),
        ("diskSize", 5),
        ("labels", {"Team": "a"}),
        ("labels", {"team": "A team"}),
        ("availabilityType", "GLOBAL"),
        ("maintenanceWindow", {"day": 8, "hour": 1}),
    ],
)
def test_a_spec_that_google_would_refuse_is_refused_by_its_field(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        CloudSQLInstanceSpec.model_validate({**LEAST, field: value})
    assert {error["loc"][0] for error in caught.value.errors()} == {field}


@pytest.mark.integration
@pytest.mark.parametrize(
    ("first", "then", "told"),
    [
        ({}, {"region": "us-west2"}, "region cannot be changed"),
        ({}, {"databaseVersion": "MYSQL_8_0"}, "from one engine to another"),
        ({"diskSize": 50}, {"diskSize": 20}, "cannot shrink"),
        ({"storageType": "PD_SSD"}, {"storageType": "PD_HDD"}, "storageType cannot be changed"),
        ({"masterUsername": "a"}, {"masterUsername": "b"}, "masterUsername cannot be changed"),
    ],
)
def test_what_cannot_change_in_place_is_refused_with_a_word_on_why(
    api: KubeApi, namespace: str, first: dict[str, Any], then: dict[str, Any], told: str
) -> None:
    api.apply([manifest(**first)], namespace=namespace)
    with pytest.raises(ApiError, match=told):
        api.apply([manifest(**{**first, **then})], namespace=namespace)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"labels": {"Team": "a"}}, "lower-case letters"),
        ({"ipConfiguration": {"ipv4Enabled": False}}, "needs a privateNetwork"),
        ({"backup": {"enabled": False, "pointInTimeRecovery": True}}, "needs backups"),
        ({"availabilityType": "REGIONAL", "backup": {"enabled": True}}, "needs a backup"),
        ({"diskAutoresize": False, "diskAutoresizeLimit": 100}, "needs diskAutoresize"),
    ],
)
def test_fields_that_exclude_each_other_are_refused(
    api: KubeApi, namespace: str, spec: dict[str, Any], told: str
) -> None:
    with pytest.raises(ApiError, match=told):
        api.apply([manifest(**spec)], namespace=namespace)


@pytest.mark.integration
def test_a_major_version_can_be_raised(api: KubeApi, namespace: str) -> None:
    api.apply([manifest(databaseVersion="POSTGRES_15")], namespace=namespace)
    (stored,) = api.apply([manifest(databaseVersion="POSTGRES_16")], namespace=namespace)
    assert stored["spec"]["databaseVersion"] == "POSTGRES_16"
