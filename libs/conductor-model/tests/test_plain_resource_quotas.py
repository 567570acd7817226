"""Kubernetes' own ResourceQuota counts claims as it counts any object: refused at once, by the API server."""

from __future__ import annotations

import pytest

from conductor_dev.api import Json, KubeApi
from conductor_dev.errors import ApiError
from conductor_dev.waiting import wait_until
from conductor_model.kinds import MYSQL_INSTANCE, POSTGRESQL_INSTANCE
from conductor_model.refs import GroupVersionKind, ResourceType

pytestmark = pytest.mark.integration

RESOURCE_QUOTA = ResourceType(GroupVersionKind("", "v1", "ResourceQuota"), "resourcequotas")
COUNT = "count/mysqlinstances.storage.conductor.io"


def claim(type: ResourceType, name: str) -> Json:
    head = {"apiVersion": type.gvk.api_version, "kind": type.gvk.kind}
    return {**head, "metadata": {"name": name}, "spec": {}}


def test_an_object_count_limits_the_claims_of_a_kind(api: KubeApi, namespace: str) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "objects"}}
    api.create(RESOURCE_QUOTA, namespace, {**quota, "spec": {"hard": {COUNT: "1"}}})

    def accounted(hard: str) -> bool:
        status = api.get(RESOURCE_QUOTA, namespace, "objects").get("status", {})
        return COUNT in status.get("used", {}) and status["hard"].get(COUNT) == hard

    # The controller learns of new kinds twice a minute.
    wait_until("the quota controller knows the kind", lambda: accounted("1"), timeout=120)
    api.create(MYSQL_INSTANCE, namespace, claim(MYSQL_INSTANCE, "first"))
    with pytest.raises(ApiError, match=r"exceeded quota: objects.*used:.*=1, limited:.*=1"):
        api.create(MYSQL_INSTANCE, namespace, claim(MYSQL_INSTANCE, "second"))
    api.create(POSTGRESQL_INSTANCE, namespace, claim(POSTGRESQL_INSTANCE, "second"))

    api.merge_patch(RESOURCE_QUOTA, namespace, "objects", {"spec": {"hard": {COUNT: "2"}}})
    wait_until("the raised quota is known", lambda: accounted("2"), timeout=120)
    wait_until("a second claim is let in", lambda: let_in(api, namespace, "second"), timeout=60)


def let_in(api: KubeApi, namespace: str, name: str) -> bool:
    try:
        api.create(MYSQL_INSTANCE, namespace, claim(MYSQL_INSTANCE, name))
    except ApiError as error:
        assert error.status == 403, error
        return False
    return True
