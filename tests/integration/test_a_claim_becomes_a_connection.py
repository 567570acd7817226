from __future__ import annotations

from pathlib import Path

import pytest
from stage import SYSTEM, Stage, condition

from conductor_dev.api import CONFIG_MAP, NAMESPACE, SECRET, SERVICE, objects_in
from conductor_model.kinds import MYSQL_INSTANCE, POSTGRESQL_INSTANCE, RDS_INSTANCE, RESOURCE_CLASS

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_static_claim_binds_to_the_resource_that_it_names(stage: Stage) -> None:
    wanted, other = stage.offer_rds("wanted"), stage.offer_rds("other")
    stage.claim("db", version=">= 5.6", resourceName=wanted)
    claim = stage.wait_ready("db")
    assert claim["status"]["boundResource"]["name"] == wanted
    assert claim["status"]["phase"] == "Bound"
    assert claim["status"]["binding"] == {"name": "db"}
    resource = stage.wait_resource(wanted, lambda found: found["status"]["phase"] == "Bound")
    assert [ref["uid"] for ref in resource["spec"]["claimRefs"]] == [claim["metadata"]["uid"]]
    assert stage.env.api.get(RDS_INSTANCE, SYSTEM, other)["status"]["phase"] == "Available"


def test_a_dynamic_claim_gets_an_instance_made_from_the_class(stage: Stage) -> None:
    source = stage.offer_class()
    stage.claim(
        "db", resourceClass=source, masterUsername="boss", requirements={"capacity": {"storage": "15Gi"}}
    )
    claim = stage.wait_ready("db")
    [resource] = stage.resources()
    assert resource["metadata"]["uid"] == claim["status"]["boundResource"]["uid"]
    assert claim["status"]["resourceClass"] == source
    assert stage.instances_of([resource]) == {
        resource["metadata"]["name"]: [resource["status"]["externalName"]]
    }
    secret = stage.secret("db")
    assert secret["username"] == "boss"
    assert secret["host"] == resource["status"]["endpoint"]["host"]


def test_a_postgresql_claim_gets_a_postgresql_secret(stage: Stage) -> None:
    source = stage.offer_class("pg", engine="postgres", version="16")
    stage.claim("pg", kind=POSTGRESQL_INSTANCE, resourceClass=source, version=">= 15")
    stage.wait_ready("pg", kind=POSTGRESQL_INSTANCE)
    secret = stage.env.api.get(SECRET, stage.namespace, "pg")
    assert secret["type"] == "servicebinding.io/postgresql"
    assert stage.secret("pg")["uri"].startswith("postgresql://")


def test_the_three_connection_objects_go_with_the_claim(stage: Stage) -> None:
    stage.claim("db", resourceClass=stage.offer_class())
    claim = stage.wait_ready("db")
    for kind in (SECRET, CONFIG_MAP, SERVICE):
        [owner] = stage.env.api.get(kind, stage.namespace, "db")["metadata"]["ownerReferences"]
        assert owner["uid"] == claim["metadata"]["uid"]
    stage.delete_claim("db")
    for kind in (SECRET, CONFIG_MAP, SERVICE):
        stage.env.api.wait_gone(kind, stage.namespace, "db", timeout=60)


def test_delete_removes_the_resource_and_the_instance(stage: Stage) -> None:
    stage.claim("db", resourceClass=stage.offer_class())
    stage.wait_ready("db")
    [resource] = stage.resources()
    stage.delete_claim("db")
    stage.env.api.wait_gone(RDS_INSTANCE, SYSTEM, resource["metadata"]["name"])
    assert resource["status"]["externalName"] not in stage.db_instances()


def test_waiting_for_the_cloud_is_shown_and_ends(stage: Stage) -> None:
    stage.env.moto.set_rds_delay(3)
    try:
        stage.claim("db", resourceClass=stage.offer_class())
        waiting = stage.wait_claim("db", lambda found: condition(found, "Ready")["status"] == "False")
        assert condition(waiting, "Ready")["reason"] == "WaitingForResource"
        assert condition(waiting, "Bound")["status"] == "True"
        stage.wait_ready("db")
    finally:
        stage.env.moto.set_rds_delay(0)


def test_retain_keeps_the_instance_released_until_an_administrator_clears_the_reference(stage: Stage) -> None:
    name = stage.offer_rds(policy="Retain")
    stage.claim("first", resourceName=name)
    stage.wait_ready("first")
    stage.delete_claim("first")
    released = stage.wait_resource(name, lambda found: found["status"]["phase"] == "Released")
    assert released["status"]["externalName"] in stage.db_instances()

    stage.claim("second", resourceName=name)
    waiting = stage.wait_claim("second", lambda found: condition(found, "Scheduled")["status"] == "False")
    assert (
        "is Released: its administrator has not confirmed yet that it is clean"
        in condition(waiting, "Scheduled")["message"]
    )

    stage.env.api.merge_patch(RDS_INSTANCE, SYSTEM, name, {"spec": {"claimRefs": []}})
    stage.wait_ready("second")


def test_a_claim_that_fits_nothing_says_why_and_binds_as_soon_as_something_fits(stage: Stage) -> None:
    small = stage.offer_rds("small", capabilities={"capacity": {"storage": "20Gi"}})
    stage.claim(
        "db",
        resourceClass=f"static-{stage.tag}",
        requirements={"capacity": {"storage": "25Gi"}},
        version=">= 8",
    )
    waiting = stage.wait_claim("db", lambda found: condition(found, "Scheduled")["status"] == "False")
    assert waiting["status"]["phase"] == "Pending"
    assert f"{small}: capacity.storage 20Gi < 25Gi" in condition(waiting, "Scheduled")["message"]
    large = stage.offer_rds("large", capabilities={"capacity": {"storage": "30Gi"}}, ready=False)
    assert stage.wait_ready("db")["status"]["boundResource"]["name"] == large


def test_a_claim_made_anew_under_the_same_name_inherits_nothing(stage: Stage) -> None:
    source = stage.offer_class()
    stage.claim("db", resourceClass=source)
    former = stage.wait_ready("db")
    old_password = stage.secret("db")["password"]
    stage.delete_claim("db")
    stage.claim("db", resourceClass=source)
    anew = stage.wait_ready("db")
    assert anew["metadata"]["uid"] != former["metadata"]["uid"]
    assert anew["status"]["boundResource"]["uid"] != former["status"]["boundResource"]["uid"]
    assert stage.secret("db")["password"] != old_password


def test_the_manifests_of_the_design_work_as_printed(stage: Stage) -> None:
    """The example files, with the namespace and the names of this test put in for isolation: nothing else differs."""
    api = stage.env.api
    static = objects_in(EXAMPLES / "mysql-claim-static.yaml")
    rds = objects_in(EXAMPLES / "rds-instance.yaml")
    source = objects_in(EXAMPLES / "resource-class-rds-performance.yaml")
    if api.find(NAMESPACE, None, "wordpress") is None:
        api.apply(EXAMPLES / "00-namespace.yaml")
    try:
        api.apply([*rds, *source, *static])
        claim = api.wait_for(
            MYSQL_INSTANCE,
            "wordpress",
            "wordpress-db",
            lambda found: condition(found, "Ready")["status"] == "True",
        )
        assert claim["status"]["boundResource"]["name"] == "rds-instance-445"
        api.apply(EXAMPLES / "mysql-claim-dynamic.yaml")
        dynamic = api.wait_for(
            MYSQL_INSTANCE,
            "wordpress",
            "wordpress-sessions",
            lambda found: condition(found, "Ready")["status"] == "True",
        )
        assert dynamic["status"]["resourceClass"] == "rds-performance"
    finally:
        for name in ("wordpress-db", "wordpress-sessions"):
            api.delete(MYSQL_INSTANCE, "wordpress", name)
        api.delete(RESOURCE_CLASS, SYSTEM, "rds-performance")
        api.delete(RDS_INSTANCE, SYSTEM, "rds-instance-445")
        api.wait_gone(RDS_INSTANCE, SYSTEM, "rds-instance-445")
