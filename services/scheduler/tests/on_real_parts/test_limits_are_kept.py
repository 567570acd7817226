"""Quotas, classes' limits and limit ranges, whoever races, whatever is lost, whoever leads."""

from __future__ import annotations

import pytest

from conductor_model.kinds import CLAIM_LIMIT_RANGE, CLAIM_QUOTA, WATCHED_KINDS

pytestmark = pytest.mark.integration

GI = {"requirements": {"capacity": {"storage": "1Gi"}}}
BOTH_WAYS = pytest.mark.parametrize(
    "existing", [True, False], ids=["bound to what exists", "made from a class"]
)


@BOTH_WAYS
async def test_claims_that_race_for_a_quota_never_exceed_it_and_the_others_follow_as_it_frees(
    world, existing
):
    world.create_quota(claims=4, capacity={"storage": "10Gi"})
    if existing:
        await world.together(lambda number: world.create_rds(f"rds-{number}"), range(12))
    else:
        world.create_class()
    async with world.watching(), world.scheduling() as scheduler:
        await world.together(lambda number: world.create_claim(f"db-{number}", **GI), range(12))
        await world.until(lambda: world.phases() == {"Bound": 4, "Pending": 8})
        assert bound_refs(world) == 4
        waiting = next(each for each in claims(world) if each["status"]["phase"] == "Pending")
        told = world.condition(waiting, "Scheduled")
        assert told.reason == "QuotaExceeded"
        assert "4 used + 1 asked > 4 hard" in told.message

        for claim in [each for each in claims(world) if each["status"]["phase"] == "Bound"][:2]:
            world.delete_claim(claim["metadata"]["name"])
        await world.until(lambda: world.phases() == {"Bound": 4, "Pending": 6})

        raised = {"spec": {"hard": {"claims": 7}}}
        world.api.merge_patch(CLAIM_QUOTA, world.namespace, "team", raised)
        await world.until(lambda: world.phases() == {"Bound": 7, "Pending": 3})
        await world.settled(scheduler)

        lowered = {"spec": {"hard": {"claims": 1}}}
        world.api.merge_patch(CLAIM_QUOTA, world.namespace, "team", lowered)
        await world.settled(scheduler)
        assert world.phases() == {"Bound": 7, "Pending": 3}
    await world.remove_all_rds()


async def test_a_resource_counts_while_nobody_knows_whether_it_was_made(world, client_that_loses):
    world.create_quota(claims=1)
    world.create_class()
    client = await client_that_loses("create", times=1, then=lambda: world.create_claim("second", **GI))
    async with world.watching(), world.scheduling(client) as scheduler:
        world.create_claim("first", **GI)
        await world.bound_claim("first")
        await world.waiting_claim(
            "second", reason="QuotaExceeded", message="claims: 1 used + 1 asked > 1 hard"
        )
        await world.settled(scheduler)
    assert len(world.all_rds()) == 1
    await world.remove_all_rds()


async def test_a_place_whose_resource_was_refused_goes_to_another_claim(world):
    """The first claim's class makes nothing that the API server accepts; the second may have what there is."""
    world.create_quota(claims=1)
    world.create_class("broken", iops=3000)
    world.create_class("sound", storage="60Gi")
    async with world.watching(), world.scheduling():
        world.create_claim("first", resourceClass="broken", **GI)
        await world.waiting_claim("first", reason="ProvisioningRefused")
        world.create_claim("second", resourceClass="sound", **GI)
        await world.bound_claim("second")
    await world.remove_all_rds()


async def test_a_quota_of_which_only_the_api_server_knows_is_kept(world):
    """The bus was wiped, and the watcher has not told of it again."""
    world.create_quota(claims=0)
    world.create_rds()
    world.create_claim(**GI)
    others = [kind for kind in WATCHED_KINDS if kind != CLAIM_QUOTA]
    async with world.watching(others), world.scheduling():
        await world.waiting_claim(
            reason="QuotaExceeded", message="quota team: claims: 0 used + 1 asked > 0 hard"
        )


async def test_the_next_leader_counts_the_same(world):
    world.create_quota(claims=1)
    world.create_class()
    async with world.watching():
        async with world.scheduling():
            world.create_claim("first", **GI)
            await world.bound_claim("first")
        async with world.scheduling():
            world.create_claim("second", **GI)
            await world.waiting_claim("second", reason="QuotaExceeded")
    assert len(world.all_rds()) == 1
    await world.remove_all_rds()


async def test_a_class_makes_no_more_than_its_limit_until_what_it_made_is_gone(world):
    world.create_class("rds")
    world.limit_class("rds", instances=2)
    async with world.watching(), world.scheduling() as scheduler:
        await world.together(lambda number: world.create_claim(f"db-{number}", **GI), range(5))
        await world.until(lambda: world.phases() == {"Bound": 2, "Pending": 3})
        waiting = next(each for each in claims(world) if each["status"]["phase"] == "Pending")
        assert (
            "rds: limit of 2 instances is reached: there are 2"
            in world.condition(waiting, "Scheduled").message
        )

        gone = next(each for each in claims(world) if each["status"]["phase"] == "Bound")
        world.delete_claim(gone["metadata"]["name"])
        leaving = gone["status"]["boundResource"]["name"]
        await world.rds_where(leaving, lambda rds: "deletionTimestamp" in rds["metadata"])
        await world.settled(scheduler)
        assert world.phases() == {"Bound": 1, "Pending": 3}
        world.remove_rds(leaving)
        await world.until(lambda: world.phases() == {"Bound": 2, "Pending": 2})
    await world.remove_all_rds()


async def test_a_limit_range_gives_a_default_and_holds_back_what_is_outside(world):
    head = {"apiVersion": CLAIM_LIMIT_RANGE.gvk.api_version, "kind": "ClaimLimitRange"}
    spec = {"default": {"capacity": {"storage": "40Gi"}}, "max": {"capacity": {"storage": "45Gi"}}}
    world.create_rds("small", capabilities={"capacity": {"storage": "30Gi"}})
    world.create_rds("large")
    async with world.watching(), world.scheduling() as scheduler:
        world.create_claim("too-much", requirements={"capacity": {"storage": "1Ti"}})
        await world.waiting_claim("too-much", reason="NothingFits")
        body = {**head, "metadata": {"name": "team"}, "spec": spec}
        world.api.create(CLAIM_LIMIT_RANGE, world.namespace, body)
        told = "requirements.capacity.storage 1Ti is more than the maximum 45Gi of team"
        await world.until(lambda: scheduler.view.limit_ranges)
        world.create_claim("silent")
        bound = await world.bound_claim("silent")
        assert bound["status"]["boundResource"]["name"] == "large"
        await world.waiting_claim("too-much", reason="LimitRangeViolated", message=told)
        assert "requirements" not in world.claim("silent")["spec"]


def claims(world):
    return world.api.list(world.claim_type, world.namespace)


def said_of_its_binding(world, claim):
    said = world.condition(claim, "Bound")
    return said.message if said is not None else ""


def bound_refs(world):
    return sum(len(rds["spec"].get("claimRefs", [])) for rds in world.all_rds())


async def test_a_claim_that_grows_while_it_is_being_bound_takes_what_it_was_granted(world):
    """The author changes the claim after the binding was written, and before the claim's status says so."""
    world.create_quota(capacity={"storage": "20Gi"})
    world.create_rds(maxClaims=3, capabilities={"capacity": {"storage": "20Gi"}})
    client = await world.client()
    bind, grown = client.merge_patch, []

    async def bind_and_see_it_grow(*args, **how):
        answer = await bind(*args, **how)
        if not grown:
            large = {"spec": {"requirements": {"capacity": {"storage": "20Gi"}}}}
            grown.append(world.api.merge_patch(world.claim_type, world.namespace, "grower", large))
        return answer

    client.merge_patch = bind_and_see_it_grow
    async with world.watching(), world.scheduling(client):
        world.create_claim("grower", requirements={"capacity": {"storage": "10Gi"}})
        told = "granted what it asked for then: capacity.storage 10Gi, not 20Gi"
        await world.claim_where("grower", lambda claim: told in said_of_its_binding(world, claim))
        world.create_claim("next", requirements={"capacity": {"storage": "10Gi"}})
        await world.bound_claim("next")
    assert [ref["capacity"] for ref in world.rds()["spec"]["claimRefs"]] == 2 * [{"storage": "10Gi"}]
