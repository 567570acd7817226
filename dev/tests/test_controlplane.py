"""The embedded control plane: real, complete enough, and able to lose any of its parts."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from conductor_dev.api import CONFIG_MAP, NAMESPACE, SECRET, SERVICE_ACCOUNT, KubeApi
from conductor_dev.binaries import ControlPlaneBinaries, Finder
from conductor_dev.controlplane import ControlPlane, EmbeddedControlPlane
from conductor_dev.errors import ApiError, PartFailed
from conductor_dev.kubeconfig import write_kubeconfig
from conductor_dev.processes import Part
from conductor_dev.versions import KUBERNETES
from conductor_dev.waiting import wait_until
from conductor_model.refs import GroupVersionKind, ResourceType

pytestmark = pytest.mark.integration

CLUSTER_ROLE = ResourceType(
    GroupVersionKind("rbac.authorization.k8s.io", "v1", "ClusterRole"), "clusterroles", namespaced=False
)
RESOURCE_QUOTA = ResourceType(GroupVersionKind("", "v1", "ResourceQuota"), "resourcequotas")

READS_CONFIG_MAPS = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reads-config-maps}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reads-config-maps}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reads-config-maps}
subjects: [{kind: ServiceAccount, name: reader}]
"""


def a_config_map(name: str, **metadata: object) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, **metadata},
        "data": {"a": "b"},
    }


def test_a_service_accounts_kubeconfig_has_its_rights_and_no_others(
    control_plane: ControlPlane, namespace: str
) -> None:
    control_plane.api.apply(READS_CONFIG_MAPS, namespace=namespace)
    file = control_plane.kubeconfig_for_service_account(namespace, "reader")
    assert file.stat().st_mode & 0o077 == 0
    limited = KubeApi(file)
    assert limited.list(CONFIG_MAP, namespace) == []
    for refused in (
        lambda: limited.list(SECRET, namespace),
        lambda: limited.list(CONFIG_MAP),
        lambda: limited.create(CONFIG_MAP, namespace, a_config_map("mine")),
    ):
        with pytest.raises(ApiError) as error:
            refused()
        assert error.value.status == 403
        assert f"system:serviceaccount:{namespace}:reader" in str(error.value)


def test_a_token_of_nobody_is_refused(control_plane: ControlPlane, tmp_path: Path) -> None:
    forged = write_kubeconfig(tmp_path / "forged", control_plane.api.server, "admin", "forged")
    with pytest.raises(ApiError) as error:
        KubeApi(forged).list(NAMESPACE)
    assert error.value.status == 401


def test_the_server_says_its_version(kube_api: KubeApi) -> None:
    assert f'"gitVersion": "{KUBERNETES}"' in kube_api.request("GET", "/version").decode()


def test_the_administrator_reads_the_servers_metrics(kube_api: KubeApi) -> None:
    metrics = kube_api.request("GET", "/metrics").decode()
    assert "apiserver_request_total" in metrics
    assert "process_cpu_seconds_total" in metrics


def test_what_an_absent_owner_owned_is_collected(kube_api: KubeApi, namespace: str) -> None:
    owner = kube_api.create(CONFIG_MAP, namespace, a_config_map("owner"))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    kube_api.create(CONFIG_MAP, namespace, a_config_map("owned", ownerReferences=[reference]))
    kube_api.delete(CONFIG_MAP, namespace, "owner")
    kube_api.wait_gone(CONFIG_MAP, namespace, "owned")


def test_a_namespace_goes_away_with_what_is_in_it(kube_api: KubeApi, namespace: str) -> None:
    kube_api.create(CONFIG_MAP, namespace, a_config_map("inside"))
    kube_api.delete(NAMESPACE, None, namespace)
    kube_api.wait_gone(NAMESPACE, None, namespace)


def test_cluster_roles_are_aggregated(kube_api: KubeApi, namespace: str) -> None:
    rules = [{"apiGroups": [f"{namespace}.example"], "resources": ["things"], "verbs": ["get"]}]
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": namespace, "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
        "rules": rules,
    }
    kube_api.create(CLUSTER_ROLE, None, role)
    try:
        kube_api.wait_for(CLUSTER_ROLE, None, "view", lambda view: rules[0] in view["rules"])
    finally:
        kube_api.delete(CLUSTER_ROLE, None, namespace)


def test_quotas_are_counted_and_kept(kube_api: KubeApi, namespace: str) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few"},
        "spec": {"hard": {"count/secrets": "0"}},
    }
    kube_api.create(RESOURCE_QUOTA, namespace, quota)
    kube_api.wait_for(RESOURCE_QUOTA, namespace, "few", lambda found: found.get("status", {}).get("used"))

    def refused() -> bool:
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"one-{uuid.uuid4().hex[:8]}"}}
        try:
            kube_api.create(SECRET, namespace, body)
        except ApiError as error:
            assert "exceeded quota" in str(error)
            return True
        return False

    # The server learns of the quota from a watch of its own, a moment after the controller has counted.
    wait_until("the quota is kept", refused)


@pytest.fixture(scope="module")
def own_control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedControlPlane]:
    folder = tmp_path_factory.mktemp("own")
    with EmbeddedControlPlane.start(folder, Finder.here().control_plane(), fsync=True) as control_plane:
        yield control_plane


def test_etcd_survives_a_crash_of_the_machine_only_where_that_is_asked_for(
    own_control_plane: EmbeddedControlPlane, control_plane: ControlPlane
) -> None:
    assert "--unsafe-no-fsync" not in own_control_plane.etcd.command
    if isinstance(control_plane, EmbeddedControlPlane):
        assert "--unsafe-no-fsync" in control_plane.etcd.command


def parts_by_name(control_plane: EmbeddedControlPlane) -> dict[str, Part]:
    return {part.name: part for part in control_plane.parts}


@pytest.mark.parametrize("name", ["etcd", "kube-apiserver", "kube-controller-manager"])
def test_a_part_that_was_killed_comes_back_on_its_data_and_port(
    own_control_plane: EmbeddedControlPlane, name: str
) -> None:
    api = own_control_plane.api
    api.create(CONFIG_MAP, "default", a_config_map(f"before-{name}"))
    parts_by_name(own_control_plane)[name].restart()
    wait_until("the server answers again", lambda: _answers(api))
    assert api.get(CONFIG_MAP, "default", f"before-{name}")["data"] == {"a": "b"}
    # Tokens that were issued before stay valid: the signing key is part of the data.
    assert KubeApi(own_control_plane.kubeconfig_for_service_account("default", "default"))


def _answers(api: KubeApi) -> bool:
    try:
        api.list(SERVICE_ACCOUNT, "default")
    except ApiError:
        return False
    return True


def test_a_part_that_cannot_start_is_named_with_its_log_and_the_others_are_stopped(tmp_path: Path) -> None:
    real = Finder.here().control_plane()
    broken = tmp_path / "kube-apiserver"
    broken.write_text("#!/bin/sh\necho 'this server is broken'\nexit 7\n")
    broken.chmod(0o755)
    binaries = ControlPlaneBinaries(real.etcd, broken, real.kube_controller_manager, "a test")
    with pytest.raises(PartFailed) as failed:
        EmbeddedControlPlane.start(tmp_path / "cp", binaries)
    assert "kube-apiserver exited with 7" in str(failed.value)
    assert "this server is broken" in str(failed.value)
    assert str(tmp_path / "cp" / "logs") in str(failed.value)
    # etcd locks its data while it lives.
    again = EmbeddedControlPlane.start(tmp_path / "cp", real)
    again.stop()
