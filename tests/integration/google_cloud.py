"""Google Cloud as an administrator offers it: a class of Cloud SQL instances, and what is there of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from stage import SYSTEM, Stage

from conductor_dev.api import Json
from conductor_dev.environment import Environment
from conductor_dev.gcp import PROJECT, CloudSql
from conductor_dev.services import ServiceProcess
from conductor_dev.waiting import wait_until
from conductor_model.kinds import CLOUDSQL_INSTANCE, RESOURCE_CLASS


@pytest.fixture(scope="module")
def gcp_provisioner(conductor: Environment) -> Iterator[ServiceProcess]:
    process = conductor.start_service("gcp-provisioner")
    process.wait_ready()
    yield process
    process.terminate()
    conductor.services.remove(process)


@dataclass
class Google:
    """What an administrator offers from Google Cloud, and what is there."""

    stage: Stage
    cloud: CloudSql
    provisioner: ServiceProcess
    source: str

    @property
    def instances(self) -> list[Json]:
        """The instances of this stage's resources, as Google shows them."""
        uids = {each["metadata"]["uid"] for each in self.resources}
        found: list[Json] = self.cloud.client("instances.list").get("items", [])
        return [each for each in found if each["settings"]["userLabels"]["conductor-concrete-uid"] in uids]

    @property
    def resources(self) -> list[Json]:
        return [
            each
            for each in self.stage.env.api.list(CLOUDSQL_INSTANCE, SYSTEM)
            if each["spec"].get("resourceClass") == self.source
        ]

    def opens(self, secret: dict[str, str], instance: str, host: str) -> bool:
        session = {"project": PROJECT, "instance": instance, "user": secret["username"], "host": host}
        answer: dict[str, bool] = self.cloud.client.steer(
            "sessions", {**session, "password": secret["password"]}
        )
        return answer["accepted"]


@pytest.fixture
def google(stage: Stage, gcp_provisioner: ServiceProcess, request: pytest.FixtureRequest) -> Iterator[Google]:
    """A class for the database version that the test is parametrized with."""
    cloud = stage.env.cloudsql
    cloud.set_operation_seconds(0)
    source = f"cloudsql-{stage.tag}"
    body = {
        "apiVersion": RESOURCE_CLASS.gvk.api_version,
        "kind": "ResourceClass",
        "metadata": {"name": source, "namespace": SYSTEM},
        "capabilities": {"capacity": {"storage": "20Gi"}},
        "rebindPolicy": "Delete",
        "template": {
            "apiVersion": CLOUDSQL_INSTANCE.gvk.api_version,
            "kind": "CloudSQLInstance",
            "spec": {
                "databaseVersion": getattr(request, "param", "MYSQL_8_0"),
                "tier": "db-n1-standard-1",
                "region": "us-west2",
            },
        },
    }
    stage.env.api.create(RESOURCE_CLASS, SYSTEM, body)
    google = Google(stage, cloud, gcp_provisioner, source)
    yield google
    cloud.set_operation_seconds(0)
    gcp_provisioner.start()
    stage.delete_all_claims()
    stage.env.api.delete(RESOURCE_CLASS, SYSTEM, source)
    wait_until("the resources of the test are gone", lambda: not google.resources, timeout=60)
