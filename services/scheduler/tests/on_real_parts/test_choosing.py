"""What a claim may say about what it gets, and what a class hands down, on the API server."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.integration


def requirement(operator, *values):
    key = {"Gt": "weight", "Lt": "weight", "Exists": "retired", "DoesNotExist": "retired"}.get(
        operator, "tier"
    )
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


async def test_each_of_the_six_operators_chooses_by_labels(world):
    for name, labels in (
        ("new", {"tier": "gold", "weight": "5"}),
        ("old", {"tier": "iron", "weight": "20", "retired": "yes"}),
    ):
        world.create_rds(name, maxClaims=10)
        world.api.merge_patch(world.rds_type, world.namespace, name, {"metadata": {"labels": labels}})
    wanted = {
        "in": (requirement("In", "gold", "silver"), "new"),
        "not-in": (requirement("NotIn", "gold"), "old"),
        "exists": (requirement("Exists"), "old"),
        "does-not-exist": (requirement("DoesNotExist"), "new"),
        "gt": (requirement("Gt", "10"), "old"),
        "lt": (requirement("Lt", "10"), "new"),
        "labels": ({"matchLabels": {"tier": "iron"}}, "old"),
    }
    for name, (selector, _) in wanted.items():
        world.create_claim(name, resourceSelector=selector)
    async with world.watching(), world.scheduling():
        bound = {name: await world.bound_claim(name) for name in wanted}
    chosen = {name: claim["status"]["boundResource"]["name"] for name, claim in bound.items()}
    assert chosen == {name: expected for name, (_, expected) in wanted.items()}


async def test_a_class_is_asked_for_by_its_name_or_by_its_profile(world):
    for name, profile in (("rds-fast", "performance"), ("rds-cheap", "economy")):
        world.create_class(name)
        world.api.merge_patch(world.class_type, world.namespace, name, {"profile": profile})
    world.create_claim("by-profile", resourceClass="performance")
    world.create_claim("by-name", resourceClass="rds-cheap")
    async with world.watching(), world.scheduling():
        by_profile, by_name = await world.bound_claim("by-profile"), await world.bound_claim("by-name")
    assert by_profile["status"]["resourceClass"] == "rds-fast"
    assert by_name["status"]["resourceClass"] == "rds-cheap"


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
async def test_a_resource_inherits_the_policy_of_its_class(world, policy):
    world.create_class()
    world.api.merge_patch(world.class_type, world.namespace, "rds", {"rebindPolicy": policy})
    world.create_claim()
    async with world.watching(), world.scheduling():
        await world.bound_claim()
    (made,) = world.all_rds()
    assert made["spec"]["rebindPolicy"] == policy


async def test_a_claim_overrides_the_user_name_and_a_version_that_the_template_leaves_open(world):
    world.create_class("open", masterUsername="admin")
    without = {"template": {"spec": {"version": None}}}
    world.api.merge_patch(world.class_type, world.namespace, "open", without)
    world.create_claim(masterUsername="boss", version="8.0")
    async with world.watching(), world.scheduling():
        await world.bound_claim()
    (made,) = world.all_rds()
    assert (made["spec"]["masterUsername"], made["spec"]["version"]) == ("boss", "8.0")


async def test_what_the_template_says_otherwise_is_what_is_made(world):
    world.create_class("fixed", masterUsername="admin")
    world.create_claim("fits", version=">= 5.6", requirements={"capacity": {"storage": "25Gi"}})
    world.create_claim("fits-not", version="8.0")
    async with world.watching(), world.scheduling():
        await world.bound_claim("fits")
        await world.waiting_claim("fits-not", reason="NothingFits", message="fixed: version 5.9 is not 8.0")
    (made,) = world.all_rds()
    spec = made["spec"]
    assert (spec["masterUsername"], spec["version"]) == ("admin", 5.9)
    assert spec["capabilities"] == {"capacity": {"storage": "50Gi"}}


async def test_a_free_resource_is_taken_before_one_is_made_and_the_smallest_that_does_before_larger_ones(
    world,
):
    world.create_class()
    for name, storage in (("large", "100Gi"), ("right", "30Gi"), ("small", "10Gi")):
        world.create_rds(name, capabilities={"capacity": {"storage": storage}})
    world.create_claim(requirements={"capacity": {"storage": "25Gi"}})
    async with world.watching(), world.scheduling():
        bound = await world.bound_claim()
    assert bound["status"]["boundResource"]["name"] == "right"
    assert len(world.all_rds()) == 3


async def test_a_reserved_place_waits_for_its_claim_in_the_namespace_that_it_names(world):
    place = {"kind": "MySQLInstance", "namespace": "another-team", "name": "db"}
    world.create_rds(claimRefs=[place])
    world.create_claim("db")
    async with world.watching(), world.scheduling():
        waiting = await world.waiting_claim(
            reason="NothingFits", message="is reserved for a claim of another"
        )
    assert "another-team" not in world.condition(waiting, "Scheduled").message


async def test_performance_is_asked_for_as_the_least_that_will_do(world):
    for name, performance in (("slow", "low"), ("fast", "high")):
        world.create_rds(name, capabilities={"performance": performance}, maxClaims=2)
    world.create_claim("demanding", requirements={"performance": "medium"})
    world.create_claim("content", resourceName="slow", requirements={"performance": "low"})
    async with world.watching(), world.scheduling():
        demanding = await world.bound_claim("demanding")
        await world.bound_claim("content")
    assert demanding["status"]["boundResource"]["name"] == "fast"
