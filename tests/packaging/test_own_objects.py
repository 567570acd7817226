"""Which objects a service may write and delete: its own, whatever RBAC grants. Asked with real requests of its account."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from conductor_dev.api import CONFIG_MAP, SECRET, SERVICE, Json, KubeApi
from conductor_dev.controlplane import ControlPlane
from conductor_dev.errors import ApiError
from conductor_dev.waiting import wait_until
from conductor_model.annotations import CLAIM_UID_LABEL, CONCRETE_UID_LABEL
from conductor_model.refs import ResourceType

pytestmark = pytest.mark.integration

OWN = "conductor-system"
LABELS = {
    "aws-provisioner": CONCRETE_UID_LABEL,
    "gcp-provisioner": CONCRETE_UID_LABEL,
    "sql-provisioner": CONCRETE_UID_LABEL,
    "secrets-writer": CLAIM_UID_LABEL,
}
TYPES = {
    "aws-provisioner": "Opaque",
    "gcp-provisioner": "Opaque",
    "sql-provisioner": "Opaque",
    "secrets-writer": "servicebinding.io/mysql",
}

Login = Callable[[str], KubeApi]


def body(type: ResourceType, name: str, /, *labels: str, **content: object) -> Json:
    head = {"apiVersion": type.gvk.api_version, "kind": type.gvk.kind}
    return {**head, "metadata": {"name": name, "labels": dict.fromkeys(labels, "uid-1")}, **content}


def refused(request: Callable[[], object]) -> bool:
    try:
        request()
    except ApiError as error:
        assert error.status == 403
        assert "ValidatingAdmissionPolicy" in str(error)
        return True
    return False


@pytest.fixture
def login(cluster: ControlPlane) -> Login:
    """As that service, from when the API server has heard of its policy."""

    def as_service(service: str) -> KubeApi:
        api = KubeApi(cluster.kubeconfig_for_service_account(OWN, f"conductor-{service}"))

        def in_force() -> bool:
            name = f"probe-of-{service}"
            cluster.api.delete(SECRET, OWN, name)
            return refused(lambda: api.create(SECRET, OWN, body(SECRET, name)))

        wait_until(f"the policy of {service} is in force", in_force)
        return api

    return as_service


@pytest.mark.parametrize("service", LABELS)
def test_a_service_writes_and_deletes_secrets_of_its_own_making(login: Login, service: str):
    api = login(service)
    own = body(SECRET, f"own-of-{service}", LABELS[service], type=TYPES[service])
    api.create(SECRET, OWN, own)
    if service == "secrets-writer":
        api.merge_patch(SECRET, OWN, f"own-of-{service}", {"stringData": {"a": "b"}})
    api.delete(SECRET, OWN, f"own-of-{service}")


@pytest.mark.parametrize("service", LABELS)
def test_the_passwords_of_the_bus_cannot_be_deleted(cluster: ControlPlane, login: Login, service: str):
    name = f"users-and-{service}"
    cluster.api.apply({**body(SECRET, name)}, namespace=OWN)
    api = login(service)
    assert refused(lambda: api.delete(SECRET, OWN, name))
    cluster.api.get(SECRET, OWN, name)
    cluster.api.delete(SECRET, OWN, name)


@pytest.mark.parametrize("service", LABELS)
def test_no_service_gets_itself_the_token_of_another(login: Login, service: str):
    token = body(SECRET, "token", LABELS[service], type="kubernetes.io/service-account-token")
    token["metadata"]["annotations"] = {"kubernetes.io/service-account.name": "conductor-scheduler"}
    assert refused(lambda: login(service).create(SECRET, OWN, token))


@pytest.mark.parametrize("type", [SECRET, CONFIG_MAP, SERVICE], ids=lambda type: type.plural)
def test_the_secrets_writer_changes_nothing_of_others(
    cluster: ControlPlane, login: Login, namespace: str, type: ResourceType
):
    content = {"spec": {"type": "ExternalName", "externalName": "db.example.com"}} if type is SERVICE else {}
    cluster.api.create(type, namespace, body(type, "theirs", **content))
    api = login("secrets-writer")
    labelled = {"metadata": {"labels": {CLAIM_UID_LABEL: "uid-1"}}}
    assert refused(lambda: api.merge_patch(type, namespace, "theirs", labelled))
    assert refused(lambda: api.delete(type, namespace, "theirs"))
    assert refused(lambda: api.create(type, namespace, body(type, "unlabelled", **content)))
