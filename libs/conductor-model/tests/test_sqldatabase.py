"""What an SQLDatabase may say, and what claims can be told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from conductor_dev.api import KubeApi
from conductor_dev.errors import ApiError
from conductor_model.kinds import MYSQL_INSTANCE, POSTGRESQL_INSTANCE, SQL_DATABASE
from conductor_model.sqldatabase import SQLDatabase
from conductor_model.version import EngineVersion


def manifest(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": SQL_DATABASE.gvk.api_version,
        "kind": SQL_DATABASE.gvk.kind,
        "metadata": {"name": "example"},
        "spec": {"engine": "postgres", **spec},
    }


def database(status: Mapping[str, Any] | None = None, **spec: Any) -> SQLDatabase:
    return SQLDatabase.model_validate({**manifest(**spec), "status": status or {}})


def test_the_engine_says_which_claims_it_satisfies() -> None:
    assert database().implements == {POSTGRESQL_INSTANCE.group_kind}
    assert database(engine="mysql").implements == {MYSQL_INSTANCE.group_kind}


def test_the_servers_version_is_offered_and_before_it_is_known_the_one_asked_for() -> None:
    assert database().offered_version is None
    assert database(version=16).offered_version == EngineVersion.parse("16")
    assert database({"engineVersion": "18.4"}, version="16").offered_version == EngineVersion.parse("18.4")


def test_applications_are_told_the_databases_own_name() -> None:
    assert database({"externalName": "orders_1a2b"}).connection_facts == {"database": "orders_1a2b"}
    assert database().connection_facts == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("engine", "oracle"),
        ("databaseName", 'x"; DROP DATABASE y'),
        ("databaseName", "x" * 64),
        ("connectionLimit", 0),
        ("extensions", ["a b"]),
        ("characterSet", "UTF8'"),
        ("rotationGraceSeconds", -1),
        ("onDelete", "Explode"),
    ],
)
def test_nonsense_is_refused_before_it_reaches_a_server(field: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        database(**{field: value})


@pytest.mark.integration
@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"engine": "mysql", "extensions": ["vector"]}, "extensions are PostgreSQL's"),
        ({"credentialsSecretRef": {"name": "mine"}}, "are made for it"),
        ({"databaseName": "x" * 64}, "63"),
    ],
)
def test_the_api_server_refuses_what_cannot_be_and_says_why(
    kube_api: KubeApi, namespace: str, spec: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(ApiError, match=said):
        kube_api.create(SQL_DATABASE, namespace, manifest(**spec))


@pytest.mark.integration
def test_what_a_database_was_made_with_cannot_change_and_what_can_may(
    kube_api: KubeApi, namespace: str
) -> None:
    kube_api.create(SQL_DATABASE, namespace, manifest(connectionLimit=5, characterSet="UTF8"))
    kube_api.merge_patch(SQL_DATABASE, namespace, "example", {"spec": {"connectionLimit": 9}})
    for field, value in (("engine", "mysql"), ("characterSet", "LATIN1"), ("databaseName", "other")):
        with pytest.raises(ApiError, match=f"{field} cannot be changed"):
            kube_api.merge_patch(SQL_DATABASE, namespace, "example", {"spec": {field: value}})
