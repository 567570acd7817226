"""What of a ProviderConfig can be changed: nothing that would make it another account without anybody's word for it."""

from __future__ import annotations

from typing import Any

import pytest

from conductor_dev.api import KubeApi
from conductor_dev.errors import ApiError
from conductor_model.providerconfig import PROVIDER_CONFIG

pytestmark = pytest.mark.integration

SERVER = {"engine": "postgres", "host": "db-1.example.org"}


def made(api: KubeApi, namespace: str, **server: Any) -> None:
    manifest = {
        "apiVersion": PROVIDER_CONFIG.gvk.api_version,
        "kind": PROVIDER_CONFIG.gvk.kind,
        "metadata": {"name": "server"},
        "spec": {"provider": "sql", "server": {**SERVER, **server}},
    }
    api.create(PROVIDER_CONFIG, namespace, manifest)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"server": {"host": "db-2.example.org"}}, "add the former host to formerHosts"),
        ({"server": {"port": 6432}}, "add the former host to formerHosts"),
        ({"server": {"engine": "mysql"}}, "engine cannot be changed"),
        ({"server": None}, "server cannot be removed"),
        ({"provider": "aws"}, "provider cannot be changed"),
    ],
)
def test_it_does_not_become_another_server(
    kube_api: KubeApi, namespace: str, change: dict[str, Any], told: str
) -> None:
    made(kube_api, namespace)
    with pytest.raises(ApiError, match=told):
        kube_api.merge_patch(PROVIDER_CONFIG, namespace, "server", {"spec": change})


def test_a_server_whose_databases_have_moved_is_followed_on_the_administrator_s_word(
    kube_api: KubeApi, namespace: str
) -> None:
    made(kube_api, namespace, port=5433)
    moved = {"host": "db-2.example.org", "port": 5432, "formerHosts": ["db-1.example.org"]}
    kube_api.merge_patch(PROVIDER_CONFIG, namespace, "server", {"spec": {"server": moved}})
    found = kube_api.get(PROVIDER_CONFIG, namespace, "server")["spec"]["server"]
    assert (found["host"], found["port"]) == ("db-2.example.org", 5432)


def test_how_to_get_in_can_be_changed(kube_api: KubeApi, namespace: str) -> None:
    made(kube_api, namespace)
    auth = {"auth": {"source": "Secret", "secretRef": {"name": "other"}}, "default": True}
    kube_api.merge_patch(PROVIDER_CONFIG, namespace, "server", {"spec": auth})
