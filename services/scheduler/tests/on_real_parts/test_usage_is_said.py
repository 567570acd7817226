"""What is used of quotas and of classes' limits, as the API shows it."""

from __future__ import annotations

import time

import pytest

from conductor_model.kinds import CLAIM_QUOTA, RESOURCE_CLASS
from conductor_scheduler.usage import EVERY

pytestmark = pytest.mark.integration

GI = {"requirements": {"capacity": {"storage": "1Gi"}}}


def used(world, type=CLAIM_QUOTA, name="team"):
    return world.api.get(type, world.namespace, name).get("status", {}).get("used")


async def test_a_quota_shows_what_is_used_while_it_is_used(world):
    world.create_quota(claims=5, capacity={"storage": "10Gi"})
    async with world.watching(), world.scheduling():
        await world.until(lambda: used(world) == {"claims": 0, "capacity": {"storage": "0"}})
        world.create_rds()
        world.create_claim(**GI)
        await world.until(lambda: used(world) == {"claims": 1, "capacity": {"storage": "1Gi"}})
        world.delete_claim()
        await world.until(lambda: used(world) == {"claims": 0, "capacity": {"storage": "0"}})
        world.api.merge_patch(CLAIM_QUOTA, world.namespace, "team", {"spec": {"hard": {"capacity": None}}})
        await world.until(lambda: used(world) == {"claims": 0})
    quota = world.api.get(CLAIM_QUOTA, world.namespace, "team")
    assert quota["status"]["hard"] == {"claims": 5}
    assert quota["status"]["observedGeneration"] == quota["metadata"]["generation"]


async def test_a_class_with_limits_shows_what_was_made_from_it_until_it_is_gone(world):
    world.create_class("rds")
    limits = {"limits": {"instances": 5, "capacity": {"storage": "1Ti"}}}
    world.api.merge_patch(RESOURCE_CLASS, world.namespace, "rds", limits)
    async with world.watching(), world.scheduling():
        world.create_claim(**GI)
        await world.bound_claim()
        await world.until(
            lambda: used(world, RESOURCE_CLASS, "rds") == {"instances": 1, "capacity": {"storage": "50Gi"}}
        )
        world.delete_claim()
        await world.until(lambda: "deletionTimestamp" in world.all_rds()[0]["metadata"])
        assert used(world, RESOURCE_CLASS, "rds")["instances"] == 1
        await world.remove_all_rds()
        await world.until(
            lambda: used(world, RESOURCE_CLASS, "rds") == {"instances": 0, "capacity": {"storage": "0"}}
        )
        world.api.merge_patch(RESOURCE_CLASS, world.namespace, "rds", {"limits": None})
        await world.until(lambda: used(world, RESOURCE_CLASS, "rds") is None)


async def test_a_burst_of_bindings_costs_a_quota_a_write_per_second(world):
    world.create_quota(claims=100)
    client = await world.client()
    started = time.monotonic()
    async with world.watching(), world.scheduling(client):
        world.create_class()
        await world.together(lambda number: world.create_claim(f"db-{number}", **GI), range(40))
        await world.until(lambda: used(world) == {"claims": 40})
        elapsed = time.monotonic() - started
    writes = [each for each in client.writes if each == "apply claimquotas team"]
    assert 1 <= len(writes) <= elapsed / EVERY + 2
    await world.remove_all_rds()


async def test_a_quota_that_says_what_is_so_is_not_written(world):
    world.create_quota(claims=5)
    async with world.watching(), world.scheduling():
        await world.until(lambda: used(world) == {"claims": 0})
    said = world.api.get(CLAIM_QUOTA, world.namespace, "team")
    client = await world.client()
    async with world.watching(), world.scheduling(client) as scheduler:
        world.create_claim()
        await world.waiting_claim(reason="NothingOffered")
        await world.until(lambda: scheduler.idle)
    assert "apply claimquotas team" not in client.writes
    assert world.api.get(CLAIM_QUOTA, world.namespace, "team") == said
