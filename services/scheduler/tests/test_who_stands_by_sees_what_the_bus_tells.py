"""A replica that stands by: it shows what the bus tells, all of it or what was there before, and keeps nothing else."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from conductor_bus import CaughtUp, ObjectMessage, Restarted
from conductor_scheduler.config import SchedulerConfig
from conductor_scheduler.policy import Policy
from conductor_scheduler.standby import Bystander, StandingBy

POLICY = Policy(SchedulerConfig())


def told(found, *, deleted=False) -> ObjectMessage:
    data = found.model_dump_json(by_alias=True, exclude_none=True).encode()
    uid, now = found.metadata.uid, datetime.now(UTC)
    return ObjectMessage(found.key, uid, found.metadata.resource_version, deleted, data, 1, now, None)


async def telling(*messages):
    for message in messages:
        yield message


@pytest.fixture
def bystander() -> Bystander:
    return Bystander(lambda: POLICY)


async def test_nothing_is_shown_before_all_was_told(bystander, make_rds):
    await bystander.follow(telling(told(make_rds())))
    assert (bystander.caught_up, bystander.view.concretes) == (False, {})


async def test_what_is_deleted_is_gone_and_nothing_of_it_is_kept(bystander, make_rds):
    rds, another = make_rds("rds"), make_rds("rds")
    await bystander.follow(telling(CaughtUp(), told(rds), told(another, deleted=True)))
    assert [*bystander.view.concretes] == [rds.key]
    assert bystander.view.catalog.changes() == []
    await bystander.follow(telling(told(rds), told(rds, deleted=True), CaughtUp()))
    assert bystander.view.catalog.empty


async def test_a_bus_that_starts_over_takes_nothing_away_until_it_has_told_everything(bystander, make_rds):
    gone, stays = make_rds("gone"), make_rds("stays")
    seen = []

    async def bus():
        for message in (told(gone), told(stays), CaughtUp(), Restarted("wiped"), told(stays), CaughtUp()):
            yield message
            seen.append({key.name for key in bystander.view.concretes})

    await bystander.follow(bus())
    assert seen == [set(), set(), {"gone", "stays"}, {"gone", "stays"}, {"gone", "stays"}, {"stays"}]


async def test_who_leads_follows_for_itself_and_who_stops_leading_looks_again(make_rds):
    shown, follows = [], []

    async def bus():
        follows.append(True)
        try:
            yield told(make_rds())
            yield CaughtUp()
            await asyncio.Event().wait()
        finally:
            follows.pop()

    standing_by = StandingBy(bus, lambda: POLICY, shown.append)
    for _ in range(2):
        standing_by.begin()
        async with asyncio.timeout(30):
            while True:
                if shown[-1].caught_up:
                    break
                await asyncio.sleep(0)
        assert len(follows) == 1
        await standing_by.end()
        assert follows == []
    assert len({id(each) for each in shown}) == 2
