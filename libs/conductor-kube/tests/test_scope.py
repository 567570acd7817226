"""Which namespaces an installation sees."""

from __future__ import annotations

from typing import Any

import pytest

from conductor_dev.api import CONFIG_MAP, NAMESPACE
from conductor_kube import Forbidden, KubeClient, watched_namespaces
from conductor_model.refs import GroupVersionKind, ResourceType

ROLE, ROLE_BINDING = (
    ResourceType(GroupVersionKind("rbac.authorization.k8s.io", "v1", kind), f"{kind.lower()}s")
    for kind in ("Role", "RoleBinding")
)
SERVICE_ACCOUNT = ResourceType(GroupVersionKind("", "v1", "ServiceAccount"), "serviceaccounts")


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, None), ("", None), (" , ", None), ("a", ("a",)), ("a, b,a", ("a", "b"))],
)
def test_namespaces_are_named_with_commas_between_them(given: Any, expected: Any) -> None:
    environ = {} if given == {} else {"CONDUCTOR_WATCH_NAMESPACES": given}
    assert watched_namespaces(environ) == expected


@pytest.fixture
def second_namespace(kube_api: Any, namespace: str) -> Any:
    name = f"{namespace}-2"
    kube_api.create(NAMESPACE, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    kube_api.delete(NAMESPACE, None, name)


@pytest.mark.integration
async def test_who_sees_certain_namespaces_lists_them_with_rights_in_them_alone(
    control_plane: Any, kube_api: Any, namespace: str, second_namespace: str
) -> None:
    seen = (namespace, second_namespace)
    kube_api.create(
        SERVICE_ACCOUNT,
        namespace,
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "lister"}},
    )
    for each in seen:
        metadata = {"name": "lister"}
        group = "rbac.authorization.k8s.io"
        rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]
        kube_api.create(
            ROLE, each, {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules}
        )
        kube_api.create(
            ROLE_BINDING,
            each,
            {
                "apiVersion": f"{group}/v1",
                "kind": "RoleBinding",
                "metadata": metadata,
                "roleRef": {"apiGroup": group, "kind": "Role", "name": "lister"},
                "subjects": [{"kind": "ServiceAccount", "name": "lister", "namespace": namespace}],
            },
        )
        kube_api.create(
            CONFIG_MAP, each, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"}}
        )
    kubeconfig = str(control_plane.kubeconfig_for_service_account(namespace, "lister"))
    async with await KubeClient.open(user_agent="t", kubeconfig=kubeconfig, namespaces=seen) as client:
        found = [item.key async for page in client.list(CONFIG_MAP) for item in page.items]
    assert {key.namespace for key in found if key.name == "mine"} == set(seen)
    async with await KubeClient.open(user_agent="t", kubeconfig=kubeconfig) as client:
        with pytest.raises(Forbidden):
            async for _ in client.list(CONFIG_MAP):
                pass
