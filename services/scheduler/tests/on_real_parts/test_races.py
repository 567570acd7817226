"""One free resource and two claims, decided by two schedulers that both believe that they lead, or by one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from conductor_kube import Conflict
from conductor_model.annotations import IN_USE_FINALIZER
from conductor_model.databases import MySQLInstance
from conductor_model.rds import RDSInstance
from conductor_scheduler.commit import Committer, NotLeading
from conductor_scheduler.decide import committed
from conductor_scheduler.release import release
from conductor_scheduler.template import claim_ref
from conductor_scheduler.view import View

pytestmark = pytest.mark.integration

ROUNDS = 200


async def test_of_two_equally_stale_schedulers_only_one_commits(world):
    claims = [MySQLInstance.model_validate(world.create_claim(name)) for name in ("one", "two")]
    world.create_rds()
    clients = [await world.client(), await world.client()]
    winners = set()
    for _ in range(ROUNDS):
        free = RDSInstance.model_validate(
            world.api.merge_patch(world.rds_type, world.namespace, "rds", {"spec": {"claimRefs": None}})
        )
        committers = []
        for client in clients:
            view = View()
            view.put(free.key, free)
            committers.append(Committer(client, view, lambda: True))
        outcomes = await asyncio.gather(
            *(committer.bind(claim, free, None) for committer, claim in zip(committers, claims, strict=True)),
            return_exceptions=True,
        )
        (lost,) = (outcome for outcome in outcomes if isinstance(outcome, BaseException))
        assert isinstance(lost, Conflict)
        (ref,) = world.rds()["spec"]["claimRefs"]
        winners.add(ref["name"])
    assert winners <= {"one", "two"}


async def test_a_binding_upon_one_that_was_lost_protects_the_resource_too(world):
    """The second is decided on what the first leaves, and the first is never made."""
    lost, claim = (MySQLInstance.model_validate(world.create_claim(name)) for name in ("lost", "claim"))
    free = RDSInstance.model_validate(world.create_rds(maxClaims=2))
    view = View()
    view.put(free.key, free)
    view.assume(committed(lost, free))
    await Committer(await world.client(), view, lambda: True).bind(claim, view.concretes[free.key], None)
    assert IN_USE_FINALIZER in world.rds()["metadata"]["finalizers"]


@pytest.mark.parametrize("change", ["kept after all", "bound by another"])
async def test_a_resource_that_changed_after_the_decision_is_not_deleted(world, change):
    claim = MySQLInstance.model_validate(world.create_claim("former"))
    world.create_rds(rebindPolicy="Delete")
    view = View()
    committer = Committer(await world.client(), view, lambda: True)
    free = RDSInstance.model_validate(world.rds())
    view.put(free.key, free)
    decided_on = await committer.bind(claim, free, None)
    if change == "kept after all":
        spec = {"rebindPolicy": "Retain"}
    else:
        spec = {"claimRefs": [claim_ref(MySQLInstance.model_validate(world.create_claim("next")))]}
    changed = world.api.merge_patch(world.rds_type, world.namespace, "rds", {"spec": spec})
    action = release(decided_on, frozenset({claim.uid}))
    with pytest.raises(Conflict):
        await committer.carry_out(decided_on, action, datetime.now(UTC))
    assert world.rds() == changed
    # The next decision is made on what won.
    assert view.concretes[free.key].metadata.resource_version == changed["metadata"]["resourceVersion"]


async def test_one_scheduler_never_gives_a_free_resource_to_two_claims_that_race_for_it(world):
    async with world.watching(), world.scheduling():
        rounds = range(ROUNDS)
        await world.together(lambda number: world.create_rds(f"rds-{number}"), rounds)
        claims = [(f"{side}-{number}", f"rds-{number}") for number in rounds for side in "ab"]
        await world.together(lambda claim: world.create_claim(claim[0], resourceName=claim[1]), claims)

        def decided():
            phases = [
                claim.get("status", {}).get("phase")
                for claim in world.api.list(world.claim_type, world.namespace)
            ]
            return phases.count("Bound") == ROUNDS

        await world.until(decided)
    names = {ref["name"] for rds in world.all_rds() for ref in rds["spec"]["claimRefs"]}
    assert all(len(rds["spec"]["claimRefs"]) == 1 for rds in world.all_rds())
    bound = [
        claim
        for claim in world.api.list(world.claim_type, world.namespace)
        if claim.get("status", {}).get("phase") == "Bound"
    ]
    assert {claim["metadata"]["name"] for claim in bound} == names
    assert len(bound) == ROUNDS


async def test_two_schedulers_that_both_believe_to_lead_never_bind_a_claim_twice_for_long(world):
    """Both decide about every claim at once; whatever one of them did too much is undone."""
    world.create_class()
    for number in range(5):
        world.create_rds(f"rds-{number}")
    async with world.watching(), world.scheduling() as one, world.scheduling() as other:
        for number in range(20):
            world.create_claim(f"db-{number}")

        def at_rest():
            return (
                one.idle
                and other.idle
                and all(
                    claim.get("status", {}).get("phase") == "Bound"
                    for claim in world.api.list(world.claim_type, world.namespace)
                )
            )

        await world.until(at_rest)
        await world.settled(one)
        await world.settled(other)
    refs = [ref["uid"] for rds in world.all_rds() for ref in rds["spec"].get("claimRefs", [])]
    alive = [rds for rds in world.all_rds() if "deletionTimestamp" not in rds["metadata"]]
    held = [ref["uid"] for rds in alive for ref in rds["spec"].get("claimRefs", [])]
    assert len(held) == len(set(held)) == 20
    assert all(len(rds["spec"].get("claimRefs", [])) <= 1 for rds in alive), refs
    await world.remove_all_rds()


async def test_nothing_is_written_once_the_lease_may_have_passed(world):
    world.create_rds()
    world.create_claim("early")
    client = await world.client()
    leads = True
    async with world.watching():
        scheduler = world.scheduler(client, leading=lambda: leads)
        with pytest.raises(ExceptionGroup) as stepped_down:
            async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
                tasks.create_task(scheduler.run(world.follow()))
                await world.bound_claim("early")
                await world.settled(scheduler)
                written = len(client.writes)
                leads = False
                for number in range(5):
                    world.create_claim(f"late-{number}")
        assert stepped_down.group_contains(NotLeading, depth=2)
        assert len(client.writes) == written
    assert "phase" not in world.claim("late-0").get("status", {})


async def test_a_new_leader_does_not_bind_again_what_the_bus_does_not_show_yet(world):
    """The old leader committed, and the watcher stopped before it saw it."""
    world.create_class()
    world.create_rds("a")
    world.create_rds("b")
    claim = world.create_claim()
    async with world.watching():
        pass  # until the bus shows all of it
    old = View()
    for each in ("a", "b"):
        found = RDSInstance.model_validate(world.rds(each))
        old.put(found.key, found)
    # The last by name, which a decision from scratch would not choose.
    committer = Committer(await world.client(), old, lambda: True)
    await committer.bind(
        MySQLInstance.model_validate(claim), RDSInstance.model_validate(world.rds("b")), None
    )
    async with world.scheduling() as scheduler:
        bound = await world.bound_claim()
        await world.until(lambda: scheduler.idle)
    assert bound["status"]["boundResource"]["name"] == "b"
    assert world.rds("a")["spec"].get("claimRefs") is None
    assert len(world.all_rds()) == 2


async def test_a_new_leader_waits_for_the_api_server_rather_than_believe_the_bus(world):
    world.create_class()
    world.create_claim()
    client = await world.client()
    listing, refused = client.list, 0

    async def refuse(*args, **how):
        nonlocal refused
        refused += 1
        if refused <= 2:
            raise world.unavailable()
        async for page in listing(*args, **how):
            assert not client.writes
            yield page

    client.list = refuse
    async with world.watching(), world.scheduling(client):
        await world.bound_claim()
    assert refused > 2
    await world.remove_all_rds()
