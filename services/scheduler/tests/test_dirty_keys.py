from __future__ import annotations

import asyncio

import pytest

from conductor_model.kinds import MYSQL_INSTANCE
from conductor_model.refs import ObjectKey
from conductor_scheduler.dirty import DirtyKeys

A, B = (ObjectKey(MYSQL_INSTANCE.group_kind, "team-a", name) for name in "ab")


def nothing_to_take(keys: DirtyKeys) -> bool:
    taking = keys.take()
    try:
        taking.send(None)
    except StopIteration:
        return False
    taking.close()
    return True


async def test_a_key_that_is_marked_often_is_taken_once():
    keys = DirtyKeys()
    for key in (A, B, A):
        keys.mark(key)
    assert [await keys.take(), await keys.take()] == [A, B]
    assert nothing_to_take(keys)


async def test_a_key_is_never_worked_on_twice_at_once_and_its_mark_is_not_lost():
    keys = DirtyKeys()
    keys.mark(A)
    await keys.take()
    keys.mark(A)
    assert nothing_to_take(keys)
    keys.done(A)
    assert await keys.take() == A


async def test_a_failed_key_rests_whatever_marks_it_and_comes_back_by_itself():
    keys = DirtyKeys()
    keys.mark(A)
    keys.failed(await keys.take())
    keys.mark(A)
    assert nothing_to_take(keys)
    async with asyncio.timeout(5):
        assert await keys.take() == A


async def test_pauses_grow_to_a_limit_and_start_anew_after_success():
    keys = DirtyKeys(spread=lambda: 1.0)
    pauses = []
    for _ in range(10):
        keys.mark(A)
        pauses.append(keys.failed(await keys.take()))
        keys.close()
    assert pauses[:3] == pytest.approx([0.2, 0.4, 0.8])
    assert pauses[-1] == 10.0
    keys.mark(A)
    keys.done(await keys.take())
    keys.mark(A)
    assert keys.failed(await keys.take()) == pytest.approx(0.2)
    keys.close()


async def test_a_server_that_asks_for_patience_gets_it():
    keys = DirtyKeys()
    keys.mark(A)
    assert keys.failed(await keys.take(), at_least=7.5) == 7.5
    keys.close()


async def test_a_lost_race_is_tried_again_at_once_but_only_the_first_time():
    keys = DirtyKeys()
    keys.mark(A)
    assert keys.failed(await keys.take(), at_once=True) == 0.0
    assert keys.failed(await keys.take(), at_once=True) > 0.0
    keys.close()


async def test_nothing_is_remembered_of_a_key_that_is_done():
    keys = DirtyKeys()
    keys.mark(A)
    keys.failed(await keys.take(), at_once=True)
    keys.done(await keys.take())
    assert keys.idle
    assert not keys._failures


async def test_a_key_that_rests_is_looked_at_once_afterwards_however_often_it_is_marked():
    keys = DirtyKeys()
    keys.mark(A)
    assert await keys.take() == A
    keys.mark(A)
    keys.rest(A, 0.2)
    keys.mark(A)
    assert nothing_to_take(keys)
    assert not keys.idle
    assert await asyncio.wait_for(keys.take(), 20) == A
    keys.done(A)
    assert keys.idle


async def test_a_claim_of_another_namespace_is_taken_next_however_many_of_one_wait():
    keys = DirtyKeys(flow=lambda key: key.namespace)
    for number in range(10_000):
        keys.mark(ObjectKey(MYSQL_INSTANCE.group_kind, "large", f"c{number}"))
    late = ObjectKey(MYSQL_INSTANCE.group_kind, "small", "late")
    keys.mark(late)
    assert late in [await keys.take(), await keys.take()]
