"""New credentials on request: the old ones go on working for a stated time, and connections in use notice nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from conductor_provisioner.driver import SecretData

if TYPE_CHECKING:
    from .conftest import SQLResource, Stage

pytestmark = pytest.mark.integration


async def rotated(stage: Stage, resource: SQLResource, request: str = "1") -> SQLResource:
    return await stage.settle(replace(resource, rotation=request))


def credentials_of(resource: SQLResource) -> SecretData:
    assert resource.credentials is not None
    return resource.credentials


async def test_an_open_connection_survives_a_rotation_and_both_see_the_same_data(stage: Stage) -> None:
    before = await stage.settle(stage.resource())
    with stage.opened(before) as connection:
        stage.engine.read(connection, "CREATE TABLE t (a INT)")
        after = await rotated(stage, before)
        assert credentials_of(after) != credentials_of(before)
        with stage.opened(after) as other:
            stage.engine.read(other, "INSERT INTO t VALUES (1)")
            stage.engine.read(other, "ALTER TABLE t ADD COLUMN b INT")
        assert stage.engine.read(connection, "SELECT a FROM t") == [(1,)]


async def test_the_old_password_works_for_the_stated_time_and_then_no_longer(stage: Stage) -> None:
    before = await stage.settle(stage.resource(rotationGraceSeconds=3600))
    after = await rotated(stage, before)
    assert stage.lets_in(before) and stage.lets_in(after)
    observed = await stage.driver.observe(after)
    assert observed.poll_after is not None and 3500 < observed.poll_after <= 3600
    stage.engine.age(credentials_of(before)["username"])
    await stage.settle(after)
    assert not stage.lets_in(before)
    assert stage.lets_in(after)
    assert (await stage.driver.observe(after)).poll_after is None


async def test_without_a_grace_the_old_password_stops_working_once_the_new_one_is_stored(
    stage: Stage,
) -> None:
    before = await stage.settle(stage.resource(rotationGraceSeconds=0))
    asked = replace(before, rotation="1")
    observed = await stage.driver.update(asked, await stage.driver.observe(asked))
    assert observed.rotated == "1" and observed.credentials_applied
    assert stage.lets_in(before), "nobody knows the new password yet"
    after = await stage.settle(
        before if observed.credentials is None else _stored(before, observed.credentials)
    )
    assert not stage.lets_in(before)
    assert stage.lets_in(after)


async def test_two_users_take_turns(stage: Stage) -> None:
    first = await stage.settle(stage.resource(rotationGraceSeconds=0))
    second = await rotated(stage, first, "1")
    third = await rotated(stage, second, "2")
    names = [credentials_of(each)["username"] for each in (first, second, third)]
    assert names[0] == names[2] != names[1]
    passwords = {credentials_of(each)["password"] for each in (first, second, third)}
    assert len(passwords) == 3
    assert not stage.lets_in(first)


async def test_a_second_rotation_waits_until_nobody_can_be_using_the_other_user(stage: Stage) -> None:
    first = await stage.settle(stage.resource())
    second = await rotated(stage, first, "1")
    asked = replace(second, rotation="2")
    observed = await stage.driver.update(asked, await stage.driver.observe(asked))
    assert observed.rotated is None
    assert observed.poll_after is not None and observed.poll_after > 3500
    assert stage.lets_in(first) and stage.lets_in(second)
    stage.engine.age(credentials_of(first)["username"])
    third = await stage.settle(asked)
    assert third.rotation is None
    assert stage.lets_in(third) and not stage.lets_in(first)


async def test_a_rotation_whose_answer_was_lost_is_made_again_at_once(stage: Stage) -> None:
    before = await stage.settle(stage.resource())
    asked = replace(before, rotation="1")
    lost = await stage.driver.update(asked, await stage.driver.observe(asked))
    await stage.reborn()
    again = await stage.driver.update(asked, await stage.driver.observe(asked))
    assert again.rotated == "1" and again.credentials is not None and lost.credentials is not None
    assert again.credentials["password"] != lost.credentials["password"]
    assert not stage.lets_in(before, lost.credentials)
    assert stage.lets_in(before, again.credentials) and stage.lets_in(before)


def _stored(resource: SQLResource, credentials: SecretData) -> SQLResource:
    return replace(resource, credentials=SecretData(credentials))
