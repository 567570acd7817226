"""A claim that names its resource, from the API server through bus and scheduler and back."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.integration


async def test_the_named_resource_is_bound_in_both_directions(world):
    concrete = world.create_rds("rds-445")
    claim = world.create_claim(resourceName="rds-445", requirements={"capacity": {"storage": "25Gi"}})
    async with world.watching(), world.scheduling():
        bound = await world.bound_claim()
    assert world.rds("rds-445")["spec"]["claimRefs"] == [
        {
            "apiVersion": "storage.conductor.io/v1alpha1",
            "kind": "MySQLInstance",
            "namespace": world.namespace,
            "name": "db",
            "uid": claim["metadata"]["uid"],
            "capacity": {"storage": "25Gi"},
        }
    ]
    status = bound["status"]
    assert status["boundResource"] == {
        "apiVersion": "database.aws.conductor.io/v1alpha1",
        "kind": "RDSInstance",
        "namespace": world.namespace,
        "name": "rds-445",
        "uid": concrete["metadata"]["uid"],
    }
    assert status["observedGeneration"] == 1
    scheduled, bound_condition = world.condition(bound, "Scheduled"), world.condition(bound, "Bound")
    assert (scheduled.status, scheduled.reason) == ("True", "ResourceChosen")
    assert (bound_condition.status, bound_condition.reason) == ("True", "Bound")


async def test_a_named_resource_is_bound_as_soon_as_it_is_there_and_ready(world):
    world.create_claim(resourceName="later")
    async with world.watching(), world.scheduling():
        await world.waiting_claim(reason="ResourceNotFound", message="does not exist yet")
        world.create_rds("later", ready=False)
        await world.waiting_claim(reason="ResourceDoesNotFit", message="later: is not ready (Pending)")
        world.report("later")
        await world.bound_claim()


async def test_a_second_claim_waits_and_takes_a_retained_resource_once_its_entry_is_cleared(world):
    world.create_rds("rds", rebindPolicy="Retain")
    world.create_claim("first", resourceName="rds")
    async with world.watching(), world.scheduling():
        await world.bound_claim("first")
        world.create_claim("second", resourceName="rds")
        await world.waiting_claim("second", reason="ResourceDoesNotFit", message="rds: is bound to first")
        world.delete_claim("first")
        await world.waiting_claim("second", reason="ResourceDoesNotFit", message="rds: is Released")
        world.api.merge_patch(world.rds_type, world.namespace, "rds", {"spec": {"claimRefs": None}})
        await world.bound_claim("second")


async def test_a_second_claim_waits_for_the_successor_of_a_deleted_resource(world):
    world.create_rds("rds", rebindPolicy="Delete")
    world.create_claim("first", resourceName="rds")
    async with world.watching(), world.scheduling():
        await world.bound_claim("first")
        world.create_claim("second", resourceName="rds")
        await world.waiting_claim("second", reason="ResourceDoesNotFit")
        world.delete_claim("first")
        await world.waiting_claim("second", reason="ResourceNotFound")
        world.create_rds("rds")
        await world.bound_claim("second")


async def test_a_place_reserved_by_name_goes_to_the_claim_of_that_name_only(world):
    place = {"kind": "MySQLInstance", "namespace": world.namespace, "name": "expected"}
    world.create_rds("rds", claimRefs=[place])
    world.create_claim("other")
    async with world.watching(), world.scheduling():
        await world.waiting_claim("other", reason="NothingFits", message="is reserved for")
        expected = world.create_claim("expected")
        await world.bound_claim("expected")
    assert [ref["uid"] for ref in world.rds()["spec"]["claimRefs"]] == [expected["metadata"]["uid"]]
