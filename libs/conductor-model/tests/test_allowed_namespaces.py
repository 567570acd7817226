"""Whose claims a class or a concrete resource is for, and what the API server says where that makes no sense."""

from __future__ import annotations

from typing import Any

import pytest

from conductor_dev.api import KubeApi
from conductor_dev.errors import ApiError
from conductor_model.kinds import RDS_INSTANCE, RESOURCE_CLASS
from conductor_model.namespaces import AllowedNamespaces

HOME, OTHER = "conductor-system", "team-a"
BY_LABEL = {"from": "Selector", "selector": {"matchLabels": {"tier": "production"}}}


def refusal(said: dict[str, Any], claimant: str, labels: dict[str, str] | None) -> str | None:
    return AllowedNamespaces.model_validate(said).refusal(HOME, claimant, labels)


def test_all_admits_every_namespace_of_whatever_labels() -> None:
    assert refusal({}, OTHER, None) is None
    assert refusal({"from": "All"}, OTHER, None) is None


def test_same_admits_its_own_namespace_only() -> None:
    assert refusal({"from": "Same"}, HOME, None) is None
    assert refusal({"from": "Same"}, OTHER, {}) == "is not for claims of namespace team-a"


def test_a_selector_admits_by_the_labels_of_the_claims_namespace() -> None:
    assert refusal(BY_LABEL, OTHER, {"tier": "production"}) is None
    assert refusal(BY_LABEL, OTHER, {"tier": "test"}) == "is not for claims of namespace team-a"
    assert refusal(BY_LABEL, HOME, {}) is not None


def test_labels_that_are_not_known_admit_nobody_who_must_show_them() -> None:
    refused = refusal({"from": "Selector", "selector": {}}, OTHER, None)
    assert refused is not None
    assert "those of team-a are not known" in refused


@pytest.mark.integration
@pytest.mark.parametrize("said", [{"from": "Same", "selector": {}}, {"selector": {}}, {"from": "Selector"}])
def test_the_api_server_refuses_a_selector_without_its_from_and_a_from_without_its_selector(
    kube_api: KubeApi, namespace: str, said: dict[str, Any]
) -> None:
    template = {"apiVersion": RDS_INSTANCE.gvk.api_version, "kind": "RDSInstance", "spec": {}}
    source = {"allowedNamespaces": said, "template": template}
    rds = {"spec": {"engine": "mysql", "instance-type": "db.t3.small", "allowedNamespaces": said}}
    for type, body in ((RESOURCE_CLASS, source), (RDS_INSTANCE, rds)):
        head = {
            "apiVersion": type.gvk.api_version,
            "kind": type.gvk.kind,
            "metadata": {"name": "x", "namespace": namespace},
        }
        with pytest.raises(ApiError, match="selector goes with from: Selector"):
            kube_api.create(type, namespace, {**head, **body})
