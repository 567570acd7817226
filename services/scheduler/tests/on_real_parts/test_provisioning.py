"""A resource made from a class: what it looks like, and that there is one of it."""

from __future__ import annotations

import pytest

from conductor_model.databases import MySQLInstance
from conductor_scheduler.template import name_for

pytestmark = pytest.mark.integration


def is_bound(claim):
    return claim.get("status", {}).get("phase") == "Bound"


async def test_the_resource_is_created_bound_with_finalizer_labels_and_trace(world):
    world.create_class("rds-performance")
    claim = world.create_claim("orders", masterUsername="boss")
    async with world.watching(), world.scheduling():
        bound = await world.bound_claim("orders")
    (made,) = world.all_rds()
    metadata, spec = made["metadata"], made["spec"]
    assert metadata["name"] == name_for(MySQLInstance.model_validate(claim))
    assert metadata["finalizers"] == [
        "provisioner.conductor.io/external-resource",
        "scheduler.conductor.io/in-use",
    ]
    assert metadata["labels"] == {
        "tier": "gold",
        "app.kubernetes.io/managed-by": "conductor",
        "conductor.io/resource-class": "rds-performance",
    }
    uid = claim["metadata"]["uid"].replace("-", "")
    assert metadata["annotations"]["conductor.io/traceparent"].split("-")[1] == uid[16:] + uid[:16]
    assert spec["claimRefs"][0]["uid"] == claim["metadata"]["uid"]
    assert (spec["masterUsername"], spec["rebindPolicy"], spec["resourceClass"]) == (
        "boss",
        "Delete",
        "rds-performance",
    )
    assert bound["status"]["boundResource"]["uid"] == metadata["uid"]
    assert bound["status"]["resourceClass"] == "rds-performance"
    assert world.condition(bound, "Scheduled").reason == "Provisioning"
    await world.remove_all_rds()


async def test_a_scheduler_that_died_after_the_create_has_made_one_resource_all_the_same(
    world, client_that_loses
):
    world.create_class()
    world.create_claim()
    async with world.watching():
        doomed = await client_that_loses("apply", takes_effect=False)
        async with world.scheduling(doomed):
            await world.until(world.all_rds)
        assert "phase" not in world.claim().get("status", {})
        async with world.scheduling():
            bound = await world.bound_claim()
    (made,) = world.all_rds()
    assert bound["status"]["boundResource"]["uid"] == made["metadata"]["uid"]
    await world.remove_all_rds()


async def test_a_lost_answer_to_the_create_makes_no_second_resource_and_takes_no_other(
    world, client_that_loses
):
    """The create took effect, its answer was lost, and before the next try an existing resource became free."""
    world.create_class()
    world.create_claim()
    client = await client_that_loses("create", times=1, then=lambda: world.create_rds("free"))
    async with world.watching(), world.scheduling(client) as scheduler:
        await world.bound_claim()
        await world.settled(scheduler)
    assert [each["spec"].get("claimRefs") is not None for each in world.all_rds()].count(True) == 1
    assert world.rds("free")["spec"].get("claimRefs") is None
    assert not [write for write in client.writes if write.startswith("delete")]
    await world.remove_all_rds()


async def test_a_template_that_the_api_server_refuses_is_reported_once_and_not_tried_again(world):
    """The template satisfies the model; iops without a storageType breaks a rule that only the API server checks."""
    world.create_class(iops=3000)
    world.create_claim()
    client = await world.client()
    async with world.watching(), world.scheduling(client) as scheduler:
        await world.waiting_claim(reason="ProvisioningRefused", message="iops needs storageType")
        await world.settled(scheduler)
        assert client.writes == ["create rdsinstances", "apply mysqlinstances db"]
        world.api.merge_patch(
            world.class_type, world.namespace, "rds", {"template": {"spec": {"storageType": "gp3"}}}
        )
        await world.bound_claim()
    await world.remove_all_rds()


async def test_a_class_whose_template_names_an_unknown_kind_is_a_reason_and_nothing_else(world):
    made = world.create_class()
    world.api.merge_patch(
        world.class_type, world.namespace, made["metadata"]["name"], {"template": {"kind": "Toaster"}}
    )
    world.create_claim()
    client = await world.client()
    async with world.watching(), world.scheduling(client) as scheduler:
        await world.waiting_claim(reason="NothingFits", message="Toaster")
        await world.settled(scheduler)
    assert client.writes == ["apply mysqlinstances db"]


async def test_a_name_that_is_taken_by_a_resource_of_somebody_else_is_reported(world):
    claim = MySQLInstance.model_validate(world.create_claim(requirements={"capacity": {"storage": "10Gi"}}))
    world.create_rds(name_for(claim), capabilities={"capacity": {"storage": "1Gi"}})
    world.create_class()
    async with world.watching(), world.scheduling():
        await world.waiting_claim(reason="ProvisioningRefused", message="already exists")
        world.remove_rds(name_for(claim))
        await world.bound_claim()
    world.remove_rds(name_for(claim))


async def test_a_claim_that_is_deleted_while_its_resource_is_created_leaves_nothing(world, client_that_loses):
    world.create_class()
    world.create_claim()
    client = await client_that_loses("create", times=0, then=world.delete_claim)
    async with world.watching(), world.scheduling(client):
        await world.until(lambda: any("deletionTimestamp" in each["metadata"] for each in world.all_rds()))
    await world.remove_all_rds()


async def test_a_burst_of_two_hundred_claims_is_bound_each_to_its_own(world):
    world.create_class()
    async with world.watching(), world.scheduling():
        await world.together(world.create_claim, [f"db-{number}" for number in range(200)])

        def all_bound():
            claims = world.api.list(world.claim_type, world.namespace)
            return claims if all(is_bound(claim) for claim in claims) else None

        claims = await world.until(all_bound)
    made = world.all_rds()
    assert len(made) == 200
    assert {claim["status"]["boundResource"]["uid"] for claim in claims} == {
        each["metadata"]["uid"] for each in made
    }
    await world.remove_all_rds()


async def test_when_the_api_server_refuses_the_best_classs_resource_the_next_best_is_tried(world):
    """As above; what the cheaper class makes is refused by the API server alone, so that it is known afterwards only."""
    best = world.create_class("best", storage="20Gi", iops=3000)
    world.create_class("second", storage="50Gi")
    world.create_claim(requirements={"capacity": {"storage": "20Gi"}})
    client = await world.client()
    async with world.watching(), world.scheduling(client) as scheduler:
        bound = await world.bound_claim()
        await world.settled(scheduler)
    assert bound["status"]["resourceClass"] == "second"
    scheduled = next(each for each in bound["status"]["conditions"] if each["type"] == "Scheduled")
    assert f"{best['metadata']['name']}: refused by the API server" in scheduled["message"]
    assert client.writes.count("create rdsinstances") == 2
    await world.remove_all_rds()
