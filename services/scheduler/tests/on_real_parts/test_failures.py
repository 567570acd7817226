"""Whatever an API server may answer: the claim gets there in the end, the others are not held up, nothing spins."""

from __future__ import annotations

import time

import pytest

from conductor_kube import Conflict, Forbidden, Invalid, Throttled, Unavailable
from conductor_scheduler import settle
from conductor_scheduler.plugins.namespaces import Namespaces

pytestmark = pytest.mark.integration

ANSWERS = [Conflict, Forbidden, Unavailable, Invalid]


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("verb", ["merge_patch", "apply"])
async def test_a_static_binding_survives_every_answer(world, failing, verb, answer):
    world.create_rds()
    world.create_claim()
    client = await failing(verb, answer, times=2)
    async with world.watching(), world.scheduling(client) as scheduler:
        bound = await world.bound_claim()
        await world.settled(scheduler)
    assert bound["status"]["boundResource"]["name"] == "rds"
    assert len(client.writes) <= 8


@pytest.mark.parametrize("answer", [Conflict, Forbidden, Unavailable])
async def test_a_provisioned_binding_survives_every_answer(world, failing, answer):
    world.create_class()
    world.create_claim()
    client = await failing("create", answer, times=2)
    async with world.watching(), world.scheduling(client) as scheduler:
        await world.bound_claim()
        await world.settled(scheduler)
    assert len(world.all_rds()) == 1
    await world.remove_all_rds()


async def test_a_release_survives_every_answer(world, failing):
    world.create_rds(rebindPolicy="Retain")
    world.create_claim()
    client = await world.client()
    async with world.watching(), world.scheduling(client) as scheduler:
        await world.bound_claim()
        await world.settled(scheduler)
        failing.make_fail(client, "merge_patch", Conflict, times=2)
        world.delete_claim()
        await world.rds_where("rds", lambda rds: rds["spec"]["claimRefs"][0].get("releasedAt") is not None)


async def test_a_lost_answer_to_a_binding_keeps_the_place_until_its_outcome_is_known(
    world, client_that_loses
):
    world.create_rds("rds")
    world.create_claim("first")
    client = await client_that_loses("merge_patch", times=1, then=lambda: world.create_claim("second"))
    async with world.watching(), world.scheduling(client) as scheduler:
        await world.bound_claim("first")
        await world.waiting_claim("second", reason="NothingFits")
        await world.settled(scheduler)
    assert [ref["name"] for ref in world.rds()["spec"]["claimRefs"]] == ["first"]
    assert client.writes.count("patch rdsinstances rds") == 1


async def test_what_cannot_be_written_is_tried_less_and_less_often(world, failing):
    world.create_rds()
    world.create_claim()
    client = await failing("merge_patch", Forbidden, times=1_000)
    async with world.watching(), world.scheduling(client) as scheduler:
        await world.until(lambda: failing.asked >= 2)
        for number in range(30):
            changed = world.report("rds", endpoint={"host": f"host-{number}.example.com", "port": 3306})
            await world.until(lambda changed=changed: world.holds(scheduler, changed))
    # By the clock there are nine tries in the first 30 seconds.
    assert failing.asked <= 9


async def test_an_unexpected_error_about_one_claim_stops_no_other(world, monkeypatch, caplog):
    """A mistake of ours in one claim's work: logged with its traceback, tried again, and nobody else waits for it."""
    decide, failed = settle.decide, 0

    def mistaken(claim, view, policy, refused, *, now):
        nonlocal failed
        if claim.metadata.name == "unlucky" and failed < 3:
            failed += 1
            raise ZeroDivisionError("nobody thought of this")
        return decide(claim, view, policy, refused, now=now)

    monkeypatch.setattr(settle, "decide", mistaken)
    world.create_class()
    async with world.watching(), world.scheduling():
        world.create_claim("unlucky")
        world.create_claim("other")
        await world.bound_claim("other")
        await world.bound_claim("unlucky")
    assert failed == 3
    assert "ZeroDivisionError: nobody thought of this" in caplog.text
    await world.remove_all_rds()


async def test_a_plugin_that_fails_is_named_on_the_claim_and_asked_again(world, monkeypatch):
    """Without its traceback, and without holding up anybody else."""
    mended = False

    def bar_offer(_, request):
        if request.claim.metadata.name == "unlucky" and not mended:
            raise ZeroDivisionError("password=hunter2")

    monkeypatch.setattr(Namespaces, "bar_offer", bar_offer)
    world.create_class()
    async with world.watching(), world.scheduling():
        world.create_claim("unlucky")
        world.create_claim("other")
        await world.bound_claim("other")
        waits = await world.waiting_claim(
            "unlucky", reason="PluginFailed", message="plugin namespaces failed (ZeroDivisionError)"
        )
        assert "hunter2" not in str(waits["status"])
        mended = True
        await world.bound_claim("unlucky")
    await world.remove_all_rds()


async def test_a_version_that_is_none_is_a_reason_and_stops_nobody(world):
    world.create_rds("odd")
    world.report("odd", engineVersion="!?")
    world.create_rds("sound")
    world.create_claim("by-name", resourceName="odd")
    world.create_claim("any")
    async with world.watching(), world.scheduling():
        await world.waiting_claim("by-name", reason="ResourceDoesNotFit", message="odd: cannot be judged")
        await world.bound_claim("any")


async def test_a_reference_that_an_administrator_wrote_without_api_version_is_understood(world):
    claim = world.create_claim()
    ref = {"kind": "MySQLInstance", "namespace": world.namespace, "name": "db"}
    world.create_rds(claimRefs=[{**ref, "uid": claim["metadata"]["uid"]}], rebindPolicy="Retain")
    async with world.watching(), world.scheduling():
        await world.bound_claim()
        world.delete_claim()
        await world.rds_where("rds", lambda rds: rds["spec"]["claimRefs"][0].get("releasedAt") is not None)


async def test_a_throttled_write_comes_after_the_pause_that_the_server_asked_for(world, failing):
    world.create_rds()
    world.create_claim()
    client = await failing("apply", Throttled, times=1)
    async with world.watching():
        began = time.monotonic()
        async with world.scheduling(client):
            await world.bound_claim()
    assert time.monotonic() - began >= failing.retry_after
