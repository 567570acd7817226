from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from conductor_bus import Bus, BusConfig, Done, Result, Work, WorkPolicy
from conductor_bus.locks import Locks
from conductor_model.refs import GroupKind, ObjectKey


async def test_a_lock_released_while_it_is_renewed_is_free_at_once(bus: Bus) -> None:
    """A renewal that outlived the release would keep everybody from the object until the lock ran out."""
    await bus.ensure()
    locks = Locks(bus._connection, "workers")
    kind = GroupKind("storage.conductor.io", "MySQLInstance")
    keys = [ObjectKey(kind, "team-a", f"db-{number}") for number in range(200)]
    held = [lock for key in keys if (lock := await locks.take(key)) is not None]
    assert len(held) == len(keys)

    renewing = asyncio.create_task(locks.refresh())
    await asyncio.sleep(0)
    await asyncio.gather(*(locks.release(lock) for lock in held))
    await renewing

    again = [await locks.take(key) for key in keys]
    assert None not in again


async def test_a_renewal_that_fails_unexpectedly_is_not_the_last(
    connect: Callable[..., Awaitable[Bus]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock of a handler that takes longer than it lives is kept, though the first renewal raises."""
    hold = 1.5
    bus = await connect(replace(BusConfig(), work=WorkPolicy(hold=hold)))
    await bus.ensure()
    renew, raised = Locks.refresh, []

    async def refresh(locks: Locks) -> bool:
        if locks._held and not raised:
            raised.append(True)
            raise RuntimeError
        return await renew(locks)

    monkeypatch.setattr(Locks, "refresh", refresh)
    key = ObjectKey(GroupKind("storage.conductor.io", "MySQLInstance"), "team-a", "db")
    await bus.publisher("/w").publish(key, "uid", "1", b"{}", expected_sequence=None)
    queue, stop = bus.work_queue("workers", [key.group_kind]), asyncio.Event()

    async def handle(work: Work) -> Result:
        await asyncio.sleep(2 * hold)
        stop.set()
        return Done()

    await asyncio.wait_for(queue.run(handle, stop), 20)
    assert raised
    assert (queue.statistics.handled, queue.statistics.locks_lost) == (1, 0)
