"""The same claims on Google Cloud: from a class of Cloud SQL instances to a Secret that opens the database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google_cloud import Google
from stage import SYSTEM, condition

from conductor_dev.api import objects_in
from conductor_dev.gcp import PROJECT
from conductor_dev.waiting import wait_until
from conductor_model.kinds import CLOUDSQL_INSTANCE, MYSQL_INSTANCE, POSTGRESQL_INSTANCE

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).parents[2] / "examples" / "cloudsql-instance.yaml"
FOREVER = 1_000_000


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
