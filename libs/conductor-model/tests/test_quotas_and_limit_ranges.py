"""Which claims a quota or a limit range is about, and what the API server says to one that makes no sense."""

from __future__ import annotations

from typing import Any

import pytest

from conductor_dev.api import KubeApi
from conductor_dev.errors import ApiError
from conductor_model.claimscope import ClaimScope
from conductor_model.kinds import (
    CLAIM_LIMIT_RANGE,
    CLAIM_QUOTA,
    MYSQL_INSTANCE,
    POSTGRESQL_INSTANCE,
    RESOURCE_CLASS,
)
from conductor_model.refs import ResourceType


@pytest.mark.parametrize(
    "entry",
    [
        "MySQLInstance.storage.conductor.io",
        "mysqlinstance.storage.conductor.io",
        "MySqlInstance.v1beta1.storage.conductor.io",
    ],
)
def test_scope_covers_the_kinds_that_it_names_in_any_letter_case_and_version(entry: str) -> None:
    scope = ClaimScope(kinds=(entry,))
    assert scope.covers_kind(MYSQL_INSTANCE.group_kind)
    assert not scope.covers_kind(POSTGRESQL_INSTANCE.group_kind)


def test_scope_that_names_classes_does_not_cover_resources_of_no_class() -> None:
    scope = ClaimScope(classes=("fast",))
    assert scope.covers_class(frozenset({"rds-fast", "fast"}))
    assert not scope.covers_class(frozenset())


def test_empty_scope_covers_everything() -> None:
    assert ClaimScope().covers_kind(POSTGRESQL_INSTANCE.group_kind)
    assert ClaimScope().covers_class(frozenset())


def applied(api: KubeApi, type: ResourceType, namespace: str, **body: Any) -> None:
    head = {"apiVersion": type.gvk.api_version, "kind": type.gvk.kind, "metadata": {"name": "example"}}
    api.apply([{**head, **body}], namespace=namespace)


def storage(amount: object) -> dict[str, Any]:
    return {"capacity": {"storage": amount}}


TEMPLATE = {"apiVersion": "database.aws.conductor.io/v1alpha1", "kind": "RDSInstance"}


@pytest.mark.integration
@pytest.mark.parametrize(
    ("type", "body", "told"),
    [
        pytest.param(CLAIM_QUOTA, {"spec": {"hard": {}}}, "hard limits nothing", id="no limit"),
        pytest.param(CLAIM_QUOTA, {"spec": {}}, "spec.hard: Required value", id="no hard"),
        pytest.param(
            CLAIM_QUOTA, {"spec": {"hard": {"claims": -1}}}, "greater than or equal to 0", id="negative count"
        ),
        pytest.param(
            CLAIM_QUOTA, {"spec": {"hard": {"cost": "dear"}}}, "must be a quantity", id="cost as a word"
        ),
        pytest.param(
            CLAIM_QUOTA, {"spec": {"hard": storage("-1Gi")}}, "must not be negative", id="negative capacity"
        ),
        pytest.param(
            CLAIM_QUOTA,
            {"spec": {"hard": {"claims": 1}, "scope": {"kinds": ["MySQLInstance"]}}},
            "spec.scope.kinds[0]",
            id="kind without a group",
        ),
        pytest.param(CLAIM_LIMIT_RANGE, {"spec": {}}, "the range says nothing", id="no limits"),
        pytest.param(
            CLAIM_LIMIT_RANGE,
            {"spec": {"min": storage("2Ti"), "max": storage("1024Gi")}},
            "a capacity in min is greater than the one in max",
            id="min above max",
        ),
        pytest.param(
            CLAIM_LIMIT_RANGE,
            {"spec": {"default": storage(2000), "max": storage("1k")}},
            "a capacity in default is greater than the one in max",
            id="default above max",
        ),
        pytest.param(
            CLAIM_LIMIT_RANGE,
            {"spec": {"min": storage("10Gi"), "default": storage("9Gi")}},
            "a capacity in min is greater than the one in default",
            id="default below min",
        ),
        pytest.param(
            CLAIM_LIMIT_RANGE,
            {"spec": {"max": storage("much"), "min": storage("1Gi")}},
            "must be a quantity",
            id="no quantity",
        ),
        pytest.param(
            RESOURCE_CLASS,
            {"template": TEMPLATE, "limits": {"instances": -1}},
            "greater than or equal to 0",
            id="negative instances",
        ),
    ],
)
def test_nonsense_is_refused_with_the_reason(
    api: KubeApi, namespace: str, type: ResourceType, body: dict[str, Any], told: str
) -> None:
    with pytest.raises(ApiError) as caught:
        applied(api, type, namespace, **body)
    assert caught.value.status in {400, 422}
    assert told in caught.value.message


@pytest.mark.integration
def test_sensible_ones_are_accepted_and_kept(api: KubeApi, namespace: str) -> None:
    quota = {
        "scope": {"kinds": ["MySQLInstance.storage.conductor.io"], "classes": ["performance"]},
        "hard": {"claims": 3, "cost": 12, **storage("500Gi")},
    }
    limits = {
        "default": {**storage("1024Mi"), "region": "europe"},
        "min": storage("1Gi"),
        "max": {**storage("1Gi"), "cost": "medium"},
    }
    applied(api, CLAIM_QUOTA, namespace, spec=quota)
    applied(api, CLAIM_LIMIT_RANGE, namespace, spec=limits)
    assert api.get(CLAIM_QUOTA, namespace, "example")["spec"] == quota
    assert api.get(CLAIM_LIMIT_RANGE, namespace, "example")["spec"] == limits
