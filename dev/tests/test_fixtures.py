"""The fixtures that tests of Conductor and of other people's provisioners stand on."""

from __future__ import annotations

import pytest

from conductor_dev.api import CONFIG_MAP, NAMESPACE, KubeApi
from conductor_dev.aws import Moto
from conductor_dev.broker import Nats

pytestmark = pytest.mark.integration


def test_a_namespace_is_there_and_empty(kube_api: KubeApi, namespace: str) -> None:
    assert kube_api.get(NAMESPACE, None, namespace)["status"]["phase"] == "Active"
    assert kube_api.list(CONFIG_MAP, namespace) == []


def test_nats_and_moto_answer(nats_server: Nats, moto: Moto) -> None:
    assert nats_server.url.startswith("nats://")
    assert moto.rds().describe_db_instances()["DBInstances"] == []
