"""A claim that fits nothing costs nothing, says why, and is bound as soon as something fits."""

from __future__ import annotations

import pytest

from conductor_model.kinds import MYSQL_INSTANCE
from conductor_scheduler import settle

pytestmark = pytest.mark.integration


async def test_each_candidate_is_refused_with_its_reason(world):
    world.create_rds("small", capabilities={"capacity": {"storage": "20Gi"}})
    world.create_rds("starting", ready=False)
    world.create_class("tiny", storage="5Gi")
    world.create_claim(requirements={"capacity": {"storage": "25Gi"}})
    async with world.watching(), world.scheduling():
        await world.waiting_claim(
            reason="NothingFits",
            message="0/3 fit: small: capacity.storage 20Gi < 25Gi; starting: is not ready (Pending); "
            "tiny: capacity.storage 5Gi < 25Gi",
        )


async def test_it_is_bound_as_soon_as_a_class_appears(world):
    world.create_claim()
    async with world.watching(), world.scheduling():
        await world.waiting_claim(reason="NothingOffered")
        world.create_class()
        await world.bound_claim()
    await world.remove_all_rds()


async def test_it_is_bound_as_soon_as_a_resource_becomes_ready(world):
    world.create_claim()
    world.create_rds(ready=False)
    async with world.watching(), world.scheduling():
        await world.waiting_claim(reason="NothingFits", message="rds: is not ready")
        world.report("rds")
        await world.bound_claim()


async def test_it_is_bound_as_soon_as_a_shared_resource_has_capacity_left(world):
    world.create_rds(maxClaims=3, rebindPolicy="Delete")
    large = {"capacity": {"storage": "35Gi"}}
    world.create_claim("first", requirements=large)
    world.create_claim("small", requirements={"capacity": {"storage": "5Gi"}})
    async with world.watching(), world.scheduling():
        await world.bound_claim("first")
        await world.bound_claim("small")
        world.create_claim("second", requirements=large)
        await world.waiting_claim("second", reason="NothingFits", message="capacity.storage 10Gi < 35Gi")
        world.delete_claim("first")
        await world.bound_claim("second")


async def test_its_status_is_not_written_again_while_nothing_changes_for_it(world):
    world.create_rds("small", capabilities={"capacity": {"storage": "20Gi"}})
    world.create_claim(requirements={"capacity": {"storage": "25Gi"}})
    client = await world.client()
    async with world.watching(), world.scheduling(client) as scheduler:
        waiting = await world.waiting_claim(reason="NothingFits")
        for number in range(5):
            world.report("small", endpoint={"host": f"host-{number}.example.com", "port": 3306})
        world.api.merge_patch(
            world.claim_type, world.namespace, "db", {"metadata": {"labels": {"of": "no-interest"}}}
        )
        await world.settled(scheduler)
        assert client.writes == ["apply mysqlinstances db"]
    assert world.claim()["status"] == waiting["status"]


async def test_the_bindings_of_others_cost_a_waiting_claim_no_write(world):
    world.create_class(storage="50Gi")
    world.create_claim("huge", requirements={"capacity": {"storage": "1Ti"}})
    client = await world.client()
    async with world.watching(), world.scheduling(client) as scheduler:
        await world.waiting_claim("huge", reason="NothingFits")
        for number in range(10):
            world.create_claim(f"db-{number}")
            bound = await world.bound_claim(f"db-{number}")
            world.report(bound["status"]["boundResource"]["name"], phase="Bound")
        await world.settled(scheduler)
    assert client.writes.count("apply mysqlinstances huge") == 1
    await world.remove_all_rds()


async def test_bound_claims_cost_no_write_when_a_scheduler_starts(world):
    world.create_rds()
    world.create_claim()
    world.create_claim("waits", resourceName="never")
    async with world.watching():
        async with world.scheduling() as scheduler:
            await world.bound_claim()
            await world.waiting_claim("waits", reason="ResourceNotFound")
            await world.settled(scheduler)
        client = await world.client()
        async with world.scheduling(client) as scheduler:
            await world.settled(scheduler)
    assert client.writes == []


async def test_a_claim_that_only_the_models_refuse_says_so_once(world, unreadable):
    """What the API server admits and the models do not: a newer CRD, for one."""
    client = await unreadable.client()
    async with world.scheduling(client) as scheduler:
        await unreadable("db")
        said = await world.waiting_claim("db", reason="InvalidSpec", message="spec.requirements")
        for label in ("a", "b", "c"):
            await unreadable.touch("db", label)
            version = world.claim()["metadata"]["resourceVersion"]
            (held,) = scheduler.view.unreadable
            await world.until(
                lambda version=version, held=held: (
                    scheduler.idle
                    and scheduler.view.unreadable[held].object.metadata.resource_version == version
                )
            )
    assert client.writes == ["apply mysqlinstances db"]
    assert world.claim()["status"] == said["status"]


async def test_small_claims_that_come_later_do_not_keep_a_large_one_waiting_for_ever(world, monkeypatch):
    """Room of a shared resource is freed bit by bit: whoever has waited long gets all of it in the end."""
    monkeypatch.setattr(settle, "PATIENCE", 0.0)
    world.create_rds(
        "shared", maxClaims=10, rebindPolicy="Delete", capabilities={"capacity": {"storage": "50Gi"}}
    )

    def create(name, size, **spec):
        world.create_claim(name, requirements={"capacity": {"storage": size}}, **spec)

    async with world.watching(), world.scheduling():
        for name, size in (("stays", "1Gi"), ("holder", "40Gi")):
            create(name, size)
            await world.bound_claim(name)
        create("large", "40Gi", priority=1)
        await world.waiting_claim("large", reason="NothingFits")
        create("small", "5Gi")
        await world.waiting_claim("small", reason="NothingFits", message="kept for a claim")
        world.delete_claim("holder")
        await world.bound_claim("large")
        await world.bound_claim("small")


async def test_no_room_is_kept_for_a_claim_that_is_being_deleted(world, monkeypatch):
    """Somebody's finalizer may keep it there for as long as they like."""
    monkeypatch.setattr(settle, "PATIENCE", 0.0)
    world.create_rds(
        "shared", maxClaims=10, rebindPolicy="Delete", capabilities={"capacity": {"storage": "50Gi"}}
    )

    def create(name, size, **spec):
        world.create_claim(name, requirements={"capacity": {"storage": size}}, **spec)

    def keep(name, finalizers):
        patch = {"metadata": {"finalizers": finalizers}}
        world.api.merge_patch(MYSQL_INSTANCE, world.namespace, name, patch)

    async with world.watching(), world.scheduling():
        create("holder", "40Gi")
        await world.bound_claim("holder")
        create("large", "40Gi", priority=1)
        await world.waiting_claim("large", reason="NothingFits")
        create("small", "5Gi")
        await world.waiting_claim("small", reason="NothingFits", message="kept for a claim")
        keep("large", ["example.com/kept"])
        world.delete_claim("large")
        await world.bound_claim("small")
        keep("large", None)
