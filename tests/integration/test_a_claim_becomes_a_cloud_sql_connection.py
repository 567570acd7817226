"""The same claims on Google Cloud: from a class of Cloud SQL instances to a Secret that opens the database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from stage import SYSTEM, Stage, condition

from conductor_dev.api import Json, objects_in
from conductor_dev.environment import Environment
from conductor_dev.gcp import PROJECT, CloudSql
from conductor_dev.services import ServiceProcess
from conductor_dev.waiting import wait_until
from conductor_model.kinds import CLOUDSQL_INSTANCE, MYSQL_INSTANCE, POSTGRESQL_INSTANCE, RESOURCE_CLASS

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).parents[2] / "examples" / "cloudsql-instance.yaml"
FOREVER = 1_000_000


@pytest.fixture(scope="module")
def provisioner(conductor: Environment) -> Iterator[ServiceProcess]:
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
def google(stage: Stage, provisioner: ServiceProcess, request: pytest.FixtureRequest) -> Iterator[Google]:
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
    google = Google(stage, cloud, provisioner, source)
    yield google
    cloud.set_operation_seconds(0)
    provisioner.start()
    stage.delete_all_claims()
    stage.env.api.delete(RESOURCE_CLASS, SYSTEM, source)
    wait_until("the resources of the test are gone", lambda: not google.resources, timeout=60)


@pytest.mark.parametrize(
    ("google", "kind", "type", "port", "host"),
    [
        ("MYSQL_8_0", MYSQL_INSTANCE, "mysql", "3306", "%"),
        ("POSTGRES_16", POSTGRESQL_INSTANCE, "postgresql", "5432", ""),
    ],
    indirect=["google"],
)
def test_a_claim_gets_an_instance_and_a_secret_that_opens_it(
    google: Google, kind: Any, type: str, port: str, host: str
) -> None:
    stage = google.stage
    stage.claim("db", kind=kind, resourceClass=google.source, masterUsername="boss")
    stage.wait_ready("db", kind=kind)
    [resource], [instance] = google.resources, google.instances
    assert instance["name"] == resource["status"]["externalName"]
    assert instance["settings"]["dataDiskSizeGb"] == "20"
    secret = stage.secret("db")
    assert (secret["type"], secret["provider"]) == (type, "gcp")
    assert (secret["username"], secret["port"]) == ("boss", port)
    assert secret["host"] == instance["ipAddresses"][0]["ipAddress"]
    assert secret["certificates"] == instance["serverCaCert"]["cert"]
    assert google.opens(secret, instance["name"], host)
    stage.delete_claim("db", kind)
    wait_until("instance and resource are gone", lambda: not google.resources, timeout=60)
    wanted = google.cloud.client("instances.list").get("items", [])
    assert instance["name"] not in [each["name"] for each in wanted]


def test_a_provisioner_killed_during_the_insert_operation_leaves_one_instance(google: Google) -> None:
    before = google.cloud.client.calls("instances.insert")
    google.cloud.set_operation_seconds(FOREVER)
    google.stage.claim("db", resourceClass=google.source)
    wait_until("the instance is being created", lambda: google.instances, timeout=60)
    google.provisioner.kill()
    google.provisioner.start()
    google.provisioner.wait_ready()

    def shown() -> bool:
        [resource] = google.resources
        return resource.get("status", {}).get("phase") == "Creating"

    wait_until("the resource says that it is being created", shown, timeout=60)
    google.cloud.set_operation_seconds(0)
    google.stage.wait_ready("db")
    assert len(google.instances) == 1
    assert google.cloud.client.calls("instances.insert")["succeeded"] == before["succeeded"] + 1


def test_a_failed_operation_is_explained_on_the_resource(google: Google) -> None:
    failure = {
        "project": PROJECT,
        "operation_type": "CREATE",
        "code": "RESOURCE_EXHAUSTED",
        "message": "no zone",
    }
    google.cloud.client.steer("failures", [failure])
    google.stage.claim("db", resourceClass=google.source)

    def explained() -> bool:
        found = google.resources
        return bool(found) and "RESOURCE_EXHAUSTED: no zone" in condition(found[0], "Ready")["message"]

    wait_until("the resource says what Google said", explained, timeout=60)
    [resource] = google.resources
    assert resource["status"]["phase"] == "Failed"


def test_the_design_document_s_cloud_sql_instance_works_as_printed(google: Google) -> None:
    [manifest] = objects_in(EXAMPLE)
    api, name = google.stage.env.api, manifest["metadata"]["name"]
    api.apply([manifest], namespace=SYSTEM)
    try:
        google.stage.claim("db", resourceName=name, version=">= 5.6")
        google.stage.wait_ready("db")
        found = api.get(CLOUDSQL_INSTANCE, SYSTEM, name)
        instance = google.cloud.client("instances.get", instance=found["status"]["externalName"])
        assert (instance["region"], instance["settings"]["tier"]) == ("us-west2", "db-n1-standard-1")
        assert google.stage.secret("db")["username"] == "masteruser"
    finally:
        google.stage.delete_claim("db")
        api.delete(CLOUDSQL_INSTANCE, SYSTEM, name)
        api.wait_gone(CLOUDSQL_INSTANCE, SYSTEM, name, timeout=60)
