"""The whole service: it leads, loses its lease or its belief in it, stands by, and leads again without dying."""

from __future__ import annotations

import pytest

from conductor_kube import Leadership
from conductor_scheduler import __main__ as service
from conductor_scheduler.reload import PolicyFile

pytestmark = pytest.mark.integration


async def test_a_scheduler_that_must_not_write_any_more_stands_by_and_leads_again(
    world, configured, monkeypatch
):
    still_leading, doubts = Leadership.still_leading, 0

    def doubting(leadership):
        nonlocal doubts
        doubts += 1
        return doubts > 1 and still_leading(leadership)

    world.create_rds()
    world.create_claim()
    async with world.watching():
        monkeypatch.setattr(Leadership, "still_leading", doubting)
        async with world.running(service.run(PolicyFile(None))) as process:
            await world.bound_claim()
            assert not process.done()
    assert doubts > 1


async def test_a_scheduler_whose_lease_was_taken_writes_nothing_until_it_leads_again(world, configured):
    world.create_claim("early")
    async with world.watching(), world.running(service.run(PolicyFile(None))) as process:
        await world.waiting_claim("early", reason="NothingOffered")
        world.steal_lease("thief")
        await world.until(lambda: world.lease_holder() != "thief")
        world.create_claim("late")
        await world.waiting_claim("late", reason="NothingOffered")
        assert not process.done()
