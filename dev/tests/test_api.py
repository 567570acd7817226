"""The small client: strict where kubectl is strict, and clear when it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from conductor_dev.api import CONFIG_MAP, KubeApi, objects_in
from conductor_dev.errors import ApiError, ApiUnreachable, KubeconfigUnusable, NotReadyInTime
from conductor_dev.kubeconfig import Server, write_kubeconfig
from conductor_model.refs import GroupVersionKind

TWO = """
apiVersion: v1
kind: ConfigMap
metadata: {name: one}
data: {a: "1"}
---
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: two}}
"""


def test_documents_and_lists_become_objects(tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text(TWO)
    for manifests in (TWO, tmp_path / "two.yaml", objects_in(TWO)):
        assert [each["metadata"]["name"] for each in objects_in(manifests)] == ["one", "two"]


@pytest.mark.integration
def test_manifests_are_applied_changed_and_deleted(kube_api: KubeApi, namespace: str) -> None:
    kube_api.apply(TWO, namespace=namespace)
    kube_api.apply(TWO.replace('"1"', '"2"'), namespace=namespace)
    assert kube_api.get(CONFIG_MAP, namespace, "one")["data"] == {"a": "2"}
    assert {each["metadata"]["name"] for each in kube_api.list(CONFIG_MAP, namespace)} >= {"one", "two"}
    kube_api.delete_manifests(TWO, namespace=namespace)
    kube_api.delete_manifests(TWO, namespace=namespace)
    assert kube_api.find(CONFIG_MAP, namespace, "one") is None


@pytest.mark.integration
def test_unknown_fields_are_refused(kube_api: KubeApi, namespace: str) -> None:
    wrong = {**objects_in(TWO)[0], "dtaa": {}}
    with pytest.raises(ApiError, match="dtaa"):
        kube_api.apply(wrong, namespace=namespace)
    with pytest.raises(ApiError, match="dtaa"):
        kube_api.create(CONFIG_MAP, namespace, wrong)


@pytest.mark.integration
def test_a_dry_run_changes_nothing(kube_api: KubeApi, namespace: str) -> None:
    kube_api.apply(TWO, namespace=namespace, dry_run=True)
    assert kube_api.find(CONFIG_MAP, namespace, "one") is None


@pytest.mark.integration
def test_a_patch_changes_only_what_it_names(kube_api: KubeApi, namespace: str) -> None:
    kube_api.apply(TWO, namespace=namespace)
    kube_api.merge_patch(CONFIG_MAP, namespace, "one", {"data": {"b": "3"}})
    assert kube_api.get(CONFIG_MAP, namespace, "one")["data"] == {"a": "1", "b": "3"}


@pytest.mark.integration
def test_waiting_ends_with_what_was_waited_for(kube_api: KubeApi, namespace: str) -> None:
    with pytest.raises(NotReadyInTime, match=r"ConfigMap .*/one is as expected: not so after 0.1 s"):
        kube_api.wait_for(CONFIG_MAP, namespace, "one", lambda _: True, timeout=0.1)
    kube_api.apply(TWO, namespace=namespace)
    found = kube_api.wait_for(CONFIG_MAP, namespace, "one", lambda each: each["data"]["a"] == "1")
    assert found["metadata"]["namespace"] == namespace


@pytest.mark.integration
def test_a_kind_that_is_not_served_is_named(kube_api: KubeApi) -> None:
    with pytest.raises(ApiError, match="Nonsense"):
        kube_api.resource_type(GroupVersionKind("", "v1", "Nonsense"))


def test_a_server_that_is_not_there_is_named_with_what_happened(tmp_path: Path) -> None:
    absent = write_kubeconfig(tmp_path / "k", Server("https://127.0.0.1:9"), "nobody", "token")
    with pytest.raises(ApiUnreachable) as unreachable:
        KubeApi(absent).list(CONFIG_MAP)
    said = str(unreachable.value)
    assert said.startswith("GET /api/v1/configmaps: no answer from the API server https://127.0.0.1:9: ")
    assert said.endswith("Connection refused")
    assert "object at" not in said


@pytest.mark.parametrize("content", [None, "", "no: kubeconfig", "}{"])
def test_a_kubeconfig_that_cannot_be_used_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "kubeconfig"
    if content is not None:
        file.write_text(content)
    with pytest.raises(KubeconfigUnusable, match=str(file)):
        KubeApi(file)
