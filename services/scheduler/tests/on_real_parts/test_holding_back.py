"""Deleting a resource takes nothing away from the claims that are bound to it."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.integration

IN_USE = "scheduler.conductor.io/in-use"


def finalizers(rds):
    return rds["metadata"].get("finalizers", [])


def deletion_is_held(claim):
    bound = next((each for each in claim["status"]["conditions"] if each["type"] == "Bound"), None)
    return bound is not None and (bound["status"], bound["reason"]) == ("True", "DeletionHeld")


async def test_binding_protects_the_resource_in_the_write_that_binds(world):
    world.create_rds()
    world.create_claim()
    client = await world.client()
    async with world.watching(), world.scheduling(client) as scheduler:
        await world.bound_claim()
        await world.settled(scheduler)
    assert finalizers(world.rds()) == [IN_USE]
    assert client.writes == ["patch rdsinstances rds", "apply mysqlinstances db"]


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
async def test_a_bound_resource_that_is_deleted_stays_until_its_claim_is_gone(world, policy):
    world.create_rds(rebindPolicy=policy)
    world.create_claim()
    async with world.watching(), world.scheduling() as scheduler:
        await world.bound_claim()
        world.api.delete(world.rds_type, world.namespace, "rds")
        held = await world.claim_where("db", deletion_is_held)
        assert "stays until this claim is gone" in world.condition(held, "Bound").message
        assert held["status"]["phase"] == "Bound"
        await world.settled(scheduler)
        assert finalizers(world.rds()) == [IN_USE]
        world.delete_claim()
        await world.until(lambda: not world.all_rds())


async def test_a_shared_resource_that_is_deleted_takes_no_further_claim_and_stays_for_the_last(world):
    world.create_rds(rebindPolicy="Delete", maxClaims=3)
    world.create_claim("one")
    world.create_claim("two")
    async with world.watching(), world.scheduling() as scheduler:
        await world.bound_claim("one")
        await world.bound_claim("two")
        world.api.delete(world.rds_type, world.namespace, "rds")
        await world.claim_where("two", deletion_is_held)
        world.create_claim("three", resourceName="rds")
        await world.waiting_claim("three", reason="ResourceDoesNotFit", message="is being deleted")
        world.delete_claim("one")
        await world.rds_where("rds", lambda rds: len(rds["spec"]["claimRefs"]) == 1)
        await world.settled(scheduler)
        assert finalizers(world.rds()) == [IN_USE]
        world.delete_claim("two")
        await world.until(lambda: not world.all_rds())


async def test_a_claim_that_went_while_nobody_scheduled_holds_nothing_back(world):
    world.create_rds(rebindPolicy="Retain")
    world.create_claim()
    async with world.watching():
        async with world.scheduling():
            await world.bound_claim()
        world.api.delete(world.rds_type, world.namespace, "rds")
        world.delete_claim()
        async with world.scheduling():
            await world.until(lambda: not world.all_rds())


async def test_a_protection_that_was_taken_off_comes_back_while_claims_are_bound(world):
    world.create_rds()
    world.create_claim()
    async with world.watching(), world.scheduling():
        await world.bound_claim()
        world.api.merge_patch(
            world.rds_type, world.namespace, "rds", {"metadata": {"finalizers": ["example.com/other"]}}
        )
        await world.rds_where("rds", lambda rds: finalizers(rds) == ["example.com/other", IN_USE])


async def test_a_protection_without_a_claim_goes(world):
    world.create_rds()
    world.create_claim()
    async with world.watching(), world.scheduling():
        await world.bound_claim()
        world.api.merge_patch(world.rds_type, world.namespace, "rds", {"spec": {"claimRefs": None}})
        await world.rds_where("rds", lambda rds: not finalizers(rds))
