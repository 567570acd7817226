"""What becomes of a resource whose claim is gone, and that nothing less than the API server's word makes it gone."""

from __future__ import annotations

import pytest

from conductor_kube import Forbidden, NotServed
from conductor_model.refs import ObjectKey

pytestmark = pytest.mark.integration


async def test_retain_marks_the_entry_and_binds_nobody_until_it_is_cleared(world):
    world.create_rds(rebindPolicy="Retain")
    first = world.create_claim("first")
    async with world.watching(), world.scheduling() as scheduler:
        await world.bound_claim("first")
        world.delete_claim("first")
        released = await world.rds_where(
            "rds", lambda rds: rds["spec"]["claimRefs"][0].get("releasedAt") is not None
        )
        assert released["spec"]["claimRefs"][0]["uid"] == first["metadata"]["uid"]
        assert "deletionTimestamp" not in released["metadata"]
        world.create_claim("next")
        await world.waiting_claim("next", reason="NothingFits", message="is Released")
        await world.settled(scheduler)
        world.api.merge_patch(world.rds_type, world.namespace, "rds", {"spec": {"claimRefs": None}})
        await world.bound_claim("next")


async def test_a_released_resource_is_available_again_by_one_annotation(world):
    world.create_rds(rebindPolicy="Retain")
    first = world.create_claim("first", resourceName="rds")
    async with world.watching(), world.scheduling():
        await world.bound_claim("first")
        world.delete_claim("first")
        await world.rds_where("rds", lambda rds: rds["spec"]["claimRefs"][0].get("releasedAt"))
        next_claim = world.create_claim("next")
        await world.waiting_claim("next", reason="NothingFits", message="is Released")
        world.confirm_clean("rds", first["metadata"]["uid"])
        await world.bound_claim("next")
    rds = world.rds()
    assert [ref["uid"] for ref in rds["spec"]["claimRefs"]] == [next_claim["metadata"]["uid"]]
    assert "conductor.io/available-again" not in rds["metadata"].get("annotations", {})


async def test_a_confirmation_for_anybody_else_makes_nothing_available(world):
    world.create_rds(rebindPolicy="Retain")
    world.create_claim("first", resourceName="rds")
    async with world.watching(), world.scheduling() as scheduler:
        await world.bound_claim("first")
        world.delete_claim("first")
        await world.rds_where("rds", lambda rds: rds["spec"]["claimRefs"][0].get("releasedAt"))
        world.confirm_clean("rds", "true")
        await world.settled(scheduler)
    assert world.rds()["spec"]["claimRefs"][0]["releasedAt"]


async def test_a_confirmation_given_while_the_claim_was_bound_is_taken_back(world):
    world.create_rds(rebindPolicy="Retain")
    first = world.create_claim("first", resourceName="rds")
    async with world.watching(), world.scheduling() as scheduler:
        await world.bound_claim("first")
        world.confirm_clean("rds", first["metadata"]["uid"])
        await world.settled(scheduler)
        world.delete_claim("first")
        await world.rds_where("rds", lambda rds: rds["spec"]["claimRefs"][0].get("releasedAt"))
        await world.settled(scheduler)
    rds = world.rds()
    assert [ref["uid"] for ref in rds["spec"]["claimRefs"]] == [first["metadata"]["uid"]]
    assert "conductor.io/available-again" not in rds["metadata"].get("annotations", {})


async def test_delete_goes_on_where_a_scheduler_died_between_release_and_delete(world, client_that_loses):
    world.create_rds(rebindPolicy="Delete")
    world.create_claim()
    async with world.watching():
        async with world.scheduling():
            await world.bound_claim()
        world.delete_claim()
        async with world.scheduling(await client_that_loses("delete", takes_effect=False)):
            await world.rds_where("rds", lambda rds: rds["spec"]["claimRefs"][0].get("releasedAt"))
        assert "deletionTimestamp" not in world.rds()["metadata"]
        async with world.scheduling():
            await world.until(lambda: not world.all_rds())


async def test_a_released_resource_whose_policy_becomes_delete_is_deleted(world):
    world.create_rds(rebindPolicy="Retain")
    world.create_claim()
    async with world.watching(), world.scheduling():
        await world.bound_claim()
        world.delete_claim()
        await world.rds_where("rds", lambda rds: rds["spec"]["claimRefs"][0].get("releasedAt"))
        world.api.merge_patch(world.rds_type, world.namespace, "rds", {"spec": {"rebindPolicy": "Delete"}})
        await world.until(lambda: not world.all_rds())


async def test_delete_removes_the_resource_once(world):
    world.create_rds(rebindPolicy="Delete")
    world.api.merge_patch(
        world.rds_type, world.namespace, "rds", {"metadata": {"finalizers": ["test.conductor.io/keep"]}}
    )
    world.create_claim()
    client = await world.client()
    async with world.watching(), world.scheduling(client) as scheduler:
        await world.bound_claim()
        world.delete_claim()
        await world.rds_where("rds", lambda rds: "deletionTimestamp" in rds["metadata"])
        await world.settled(scheduler)
    assert client.writes.count("delete rdsinstances rds") == 1
    world.remove_rds("rds")


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
async def test_a_claim_of_the_same_name_inherits_nothing(world, policy):
    """Deleted and created anew while nobody watched: the bus shows one object that changed its uid."""
    world.create_rds(rebindPolicy=policy)
    former = world.create_claim()
    async with world.scheduling():
        async with world.watching():
            await world.bound_claim()
        world.delete_claim()
        world.create_claim()
        async with world.watching():
            waiting = await world.waiting_claim(
                reason="NothingFits" if policy == "Retain" else "NothingOffered"
            )
    assert waiting["metadata"]["uid"] != former["metadata"]["uid"]
    assert waiting["status"].get("boundResource") is None
    if policy == "Retain":
        assert world.rds()["spec"]["claimRefs"][0]["uid"] == former["metadata"]["uid"]


async def test_a_tombstone_of_a_claim_that_exists_releases_nothing(world):
    world.create_rds(rebindPolicy="Delete")
    claim = world.create_claim()
    client = await world.client()
    asked = 0
    get = client.get

    async def count(type, namespace, name):
        nonlocal asked
        asked += type == world.claim_type
        return await get(type, namespace, name)

    async with world.watching(), world.scheduling(client) as scheduler:
        await world.bound_claim()
        await world.settled(scheduler)
        written = len(client.writes)
        client.get = count
        await world.bury(claim)
        await world.until(lambda: asked and len(scheduler.view.claims) == 1 and scheduler.idle)
        assert len(client.writes) == written
    assert "deletionTimestamp" not in world.rds()["metadata"]


@pytest.mark.parametrize("refusal", [NotServed, Forbidden])
async def test_an_api_server_that_does_not_tell_is_no_proof(world, refusal):
    world.create_rds(rebindPolicy="Delete")
    claim = world.create_claim()
    client = await world.client()
    asked = 0
    get = client.get

    async def refuse(type, namespace, name):
        nonlocal asked
        if type == world.claim_type:
            asked += 1
            raise refusal("nothing is said about claims", what="GET")
        return await get(type, namespace, name)

    async with world.watching(), world.scheduling(client) as scheduler:
        await world.bound_claim()
        await world.settled(scheduler)
        client.get = refuse
        await world.bury(claim)
        await world.until(lambda: asked >= 3)
        assert not [write for write in client.writes if write.startswith("delete")]
        client.get = get
        await world.until(lambda: len(scheduler.view.claims) == 1 and scheduler.idle)
    assert world.rds()["spec"]["claimRefs"][0]["uid"] == claim["metadata"]["uid"]
    assert not [write for write in client.writes if write.startswith("delete")]


async def test_a_resource_that_was_removed_by_force_leaves_its_claim_lost(world):
    world.create_rds()
    world.create_claim()
    async with world.watching(), world.scheduling():
        await world.bound_claim()
        world.remove_rds("rds")
        lost = await world.claim_where("db", lambda claim: claim["status"]["phase"] == "Lost")
    assert world.condition(lost, "Bound").reason == "ResourceGone"
    assert "no longer exists" in world.condition(lost, "Bound").message
    assert lost["status"]["boundResource"]["name"] == "rds"


async def test_a_lost_claim_is_bound_to_nothing_else_not_even_a_successor_of_that_name(world):
    world.create_rds()
    world.create_claim()
    async with world.watching(), world.scheduling() as scheduler:
        await world.bound_claim()
        world.remove_rds("rds")
        await world.claim_where("db", lambda claim: claim["status"]["phase"] == "Lost")
        world.create_rds()
        world.create_rds("another")
        world.create_class()
        await world.settled(scheduler)
    assert world.claim()["status"]["phase"] == "Lost"
    assert {rds["metadata"]["name"]: rds["spec"].get("claimRefs") for rds in world.all_rds()} == {
        "rds": None,
        "another": None,
    }


async def test_a_lost_claim_is_bound_again_when_its_reference_is_put_back(world):
    world.create_rds()
    world.create_claim()
    async with world.watching(), world.scheduling():
        await world.bound_claim()
        refs = world.rds()["spec"]["claimRefs"]
        world.api.merge_patch(world.rds_type, world.namespace, "rds", {"spec": {"claimRefs": None}})
        lost = await world.claim_where("db", lambda claim: claim["status"]["phase"] == "Lost")
        assert world.condition(lost, "Bound").reason == "ReferenceRemoved"
        world.api.merge_patch(world.rds_type, world.namespace, "rds", {"spec": {"claimRefs": refs}})
        await world.bound_claim()


async def test_a_claim_that_went_while_bus_and_watcher_were_away_is_noticed_in_the_end(world):
    """No tombstone was ever published: a stream that was wiped shows nothing of the claim."""
    world.create_rds(rebindPolicy="Retain")
    world.create_claim()
    async with world.scheduling(compare_every=0.2):
        async with world.watching():
            await world.bound_claim()
        world.delete_claim()
        await world.rds_where("rds", lambda rds: rds["spec"]["claimRefs"][0].get("releasedAt") is not None)


async def test_a_claim_that_came_and_went_while_nobody_watched_is_released_soon(world):
    """The scheduler has it from the API server alone: whoever watches next finds nothing to tell of it."""
    world.create_rds(rebindPolicy="Retain")
    world.create_claim()
    async with world.scheduling(told_within=0.2):
        await world.bound_claim()
        world.delete_claim()
        await world.rds_where("rds", lambda rds: rds["spec"]["claimRefs"][0].get("releasedAt") is not None)


async def test_a_wiped_bus_releases_nothing(world, nats_server):
    world.create_rds(rebindPolicy="Delete")
    world.create_claim()
    async with world.watching(), world.scheduling() as scheduler:
        await world.bound_claim()
        nats_server.wipe()
        key = ObjectKey(world.claim_type.group_kind, world.namespace, "later")
        world.create_claim("later")
        await world.until(lambda: key in scheduler.view.claims)
        await world.until(lambda: scheduler.idle)
    assert "deletionTimestamp" not in world.rds()["metadata"]
