"""Who holds a resource, for how long, and what becomes of it: the whole of Conductor on real parts."""

from __future__ import annotations

import json

import pytest
from stage import SYSTEM, Stage, condition

from conductor_dev.api import SECRET, Json
from conductor_model.kinds import RDS_INSTANCE

pytestmark = pytest.mark.integration


def phase_of(found: Json) -> str:
    return str(found.get("status", {}).get("phase", ""))


def annotate(stage: Stage, name: str, **annotations: str) -> None:
    named = {f"conductor.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
    stage.env.api.merge_patch(RDS_INSTANCE, SYSTEM, name, {"metadata": {"annotations": named}})


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_a_bound_resource_that_is_deleted_serves_its_claim_until_that_is_gone(
    stage: Stage, policy: str
) -> None:
    name = stage.offer_rds(policy=policy)
    stage.claim("db", resourceName=name)
    stage.wait_ready("db")
    stage.env.api.delete(RDS_INSTANCE, SYSTEM, name)

    held = stage.wait_resource(name, lambda found: condition(found, "DeletionHeld")["status"] == "True")
    assert f"MySQLInstance {stage.namespace}/db" in condition(held, "DeletionHeld")["message"]
    assert (phase_of(held), condition(held, "Ready")["status"]) == ("Bound", "True")
    told = stage.wait_claim("db", lambda found: condition(found, "Bound")["reason"] == "DeletionHeld")
    assert condition(told, "Ready")["status"] == "True"
    identifier = held["status"]["externalName"]
    assert identifier in stage.db_instances()
    assert stage.secret("db")["host"] == held["status"]["endpoint"]["host"]

    stage.delete_claim("db")
    stage.env.api.wait_gone(RDS_INSTANCE, SYSTEM, name, timeout=60)
    assert (identifier in stage.db_instances()) is (policy == "Retain")


def test_a_claim_whose_resource_was_removed_by_force_is_lost_and_gets_no_other(stage: Stage) -> None:
    name = stage.offer_rds(policy="Retain")
    stage.claim("db", resourceName=name)
    stage.wait_ready("db")
    stage.env.api.delete(RDS_INSTANCE, SYSTEM, name)
    stage.env.api.merge_patch(RDS_INSTANCE, SYSTEM, name, {"metadata": {"finalizers": None}})

    lost = stage.wait_claim("db", lambda found: phase_of(found) == "Lost")
    assert condition(lost, "Bound")["reason"] == "ResourceGone"
    stage.wait_claim("db", lambda found: condition(found, "Ready")["status"] == "False")
    another = stage.offer_rds("another")
    stage.claim("other", resourceName=another)
    stage.wait_ready("other")
    assert phase_of(stage.wait_claim("db", lambda _: True)) == "Lost"


def test_one_annotation_makes_a_released_resource_available_again(stage: Stage) -> None:
    name = stage.offer_rds(policy="Retain")
    former = stage.claim("first", resourceName=name)
    stage.wait_ready("first")
    stage.delete_claim("first")
    released = stage.wait_resource(name, lambda found: phase_of(found) == "Released")

    annotate(stage, name, available_again=former["metadata"]["uid"])
    available = stage.wait_resource(name, lambda found: phase_of(found) == "Available")
    assert available["spec"].get("claimRefs", []) == []
    stage.claim("second", resourceName=name)
    stage.wait_ready("second")
    again = stage.wait_resource(name, lambda found: phase_of(found) == "Bound")
    assert again["status"]["externalName"] == released["status"]["externalName"]


def test_many_claims_share_one_resource_as_far_as_its_places_and_its_capacity_go(stage: Stage) -> None:
    name = stage.offer_rds(maxClaims=3)
    wanted = {"capacity": {"storage": "8Gi"}}
    for claim in ("one", "two"):
        stage.claim(claim, resourceName=name, requirements=wanted)
        stage.wait_ready(claim)
    assert stage.secret("one")["host"] == stage.secret("two")["host"]
    stage.claim("three", resourceName=name, requirements=wanted)
    waiting = stage.wait_claim("three", lambda found: condition(found, "Scheduled")["status"] == "False")
    assert "capacity.storage 4Gi < 8Gi" in condition(waiting, "Scheduled")["message"]
    stage.delete_claim("one")
    stage.wait_resource(name, lambda found: any("releasedAt" in ref for ref in found["spec"]["claimRefs"]))


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_a_claim_made_anew_while_nobody_watched_inherits_neither_binding_nor_secret(
    stage: Stage, policy: str
) -> None:
    source = stage.offer_class(policy=policy)
    stage.claim("db", resourceClass=source)
    former = stage.wait_ready("db")
    old = stage.secret("db")
    down = [stage.service(name) for name in ("watcher", "scheduler", "secrets-writer")]
    for service in down:
        service.kill()
    stage.delete_claim("db")
    stage.claim("db", resourceClass=source)
    for service in down:
        service.start()
    anew = stage.wait_ready("db")
    assert anew["metadata"]["uid"] != former["metadata"]["uid"]
    assert anew["status"]["boundResource"]["uid"] != former["status"]["boundResource"]["uid"]
    new = stage.secret("db")
    assert new["password"] != old["password"]
    assert new["host"] != old["host"]
    [owner] = stage.env.api.get(SECRET, stage.namespace, "db")["metadata"]["ownerReferences"]
    assert owner["uid"] == anew["metadata"]["uid"]


@pytest.mark.parametrize("way", ["by name", "by a reserved place", "by choice"])
def test_a_claim_learns_nothing_of_what_its_namespace_may_not_use(stage: Stage, way: str) -> None:
    place = {"kind": "MySQLInstance", "namespace": stage.namespace, "name": "db"}
    name = stage.offer_rds(
        allowedNamespaces={"from": "Same"}, claimRefs=[place] if way == "by a reserved place" else []
    )
    host = stage.wait_resource(name, lambda _: True)["status"]["endpoint"]["host"]
    spec = {"resourceName": name} if way == "by name" else {"resourceClass": f"static-{stage.tag}"}
    stage.claim("db", **spec)
    waiting = stage.wait_claim("db", lambda found: condition(found, "Scheduled")["status"] == "False")
    # Of a name that it says itself it is told no more than of one that nobody has.
    reason = (
        "it does not exist yet, or is not for them"
        if way == "by name"
        else f"is not for claims of namespace {stage.namespace}"
    )
    assert reason in condition(waiting, "Scheduled")["message"]
    told = json.dumps(waiting["status"])
    assert host not in told
    assert (name in told) is (way == "by name")
    assert stage.env.api.find(SECRET, stage.namespace, "db") is None
    refs = stage.wait_resource(name, lambda _: True)["spec"].get("claimRefs", [])
    assert not any("uid" in ref for ref in refs)


def test_the_three_steps_of_reuse_lead_to_a_resource_with_the_same_external_resource(stage: Stage) -> None:
    former = stage.offer_rds("former", policy="Retain")
    stage.claim("first", resourceName=former)
    stage.wait_ready("first")
    stage.delete_claim("first")
    released = stage.wait_resource(former, lambda found: phase_of(found) == "Released")
    identifier = released["status"]["externalName"]

    # 1. Delete the concrete resource: what it stands for stays, and is nobody's.
    stage.env.api.delete(RDS_INSTANCE, SYSTEM, former)
    stage.env.api.wait_gone(RDS_INSTANCE, SYSTEM, former, timeout=60)
    assert not [key for key in stage.db_instances()[identifier] if key.startswith("conductor.io/")]
    # 2. Clean up the data: nothing that Conductor takes part in.
    # 3. Make a concrete resource that points at it.
    heir = stage.offer_rds(
        "heir",
        ready=False,
        credentialsSecretRef={"name": f"{former}-credentials"},
        annotations={"conductor.io/external-name": identifier},
    )
    adopted = stage.wait_resource(heir, lambda found: condition(found, "Ready")["status"] == "True")
    assert adopted["status"]["externalName"] == identifier
    assert stage.instances_of([adopted]) == {heir: [identifier]}

    stage.claim("second", resourceName=heir)
    stage.wait_ready("second")
    assert stage.secret("second")["host"] == released["status"]["endpoint"]["host"]
