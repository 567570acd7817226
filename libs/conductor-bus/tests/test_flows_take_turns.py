"""One team's thousands of objects do not hold up another team's one, in one replica and in several."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from conductor_bus import Bus, Done, RequeueAfter, Result, Work, WorkQueue
from conductor_model.refs import GroupKind, ObjectKey

RESOURCES = GroupKind("database.aws.conductor.io", "RDSInstance")
GROUP = "aws-provisioner"
PLACES = 8
MANY = 2000

Connect = Callable[..., Awaitable[Bus]]
Eventually = Callable[..., Awaitable[None]]


def resource(name: str) -> ObjectKey:
    """Resources of all teams lie in one namespace: whose they are, only the message says."""
    return ObjectKey(RESOURCES, "conductor-system", name)


async def publish(bus: Bus, name: str, team: str) -> None:
    await bus.publisher("/w").publish(
        resource(name), f"uid-{name}", "1", b"{}", expected_sequence=None, claim_namespace=team
    )


class SlowCloud:
    """Handlers wait until the test lets one go on; whose work began is recorded in order."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self._turns = asyncio.Semaphore(0)

    async def handle(self, work: Work) -> Result:
        self.begun.append(work.key.name)
        await self._turns.acquire()
        return Done()

    def finish_one(self) -> None:
        self._turns.release()

    def finish_all(self) -> None:
        for _ in range(10 * MANY):
            self._turns.release()


@asynccontextmanager
async def replicas(connect: Connect, cloud: SlowCloud, count: int) -> AsyncIterator[list[WorkQueue]]:
    stop = asyncio.Event()
    queues = [(await connect()).work_queue(GROUP, [RESOURCES], concurrency=PLACES) for _ in range(count)]
    running = [asyncio.create_task(queue.run(cloud.handle, stop)) for queue in queues]
    try:
        yield queues
    finally:
        stop.set()
        cloud.finish_all()
        await asyncio.gather(*running)


async def turns_until(cloud: SlowCloud, name: str, eventually: Eventually) -> int:
    """How many handlers had to end until the object's began."""
    turns = 0
    while name not in cloud.begun:
        begun = len(cloud.begun)
        cloud.finish_one()
        turns += 1
        await eventually(lambda begun=begun: len(cloud.begun) > begun)
    return turns


async def fill(bus: Bus) -> None:
    for start in range(0, MANY, 100):
        await asyncio.gather(
            *(publish(bus, f"large-{number}", "large") for number in range(start, start + 100))
        )


async def test_an_object_behind_thousands_of_another_teams_is_among_the_next_few(
    bus: Bus, connect: Connect, eventually: Eventually
) -> None:
    cloud = SlowCloud()
    async with replicas(connect, cloud, 1) as (queue,):
        await fill(bus)
        await eventually(lambda: len(cloud.begun) == PLACES)
        await publish(bus, "small-0", "small")
        await eventually(lambda: "small" in queue._share._in_hand)
        assert await turns_until(cloud, "small-0", eventually) <= 2


async def test_it_is_so_with_several_replicas_that_are_all_busy(
    bus: Bus, connect: Connect, eventually: Eventually
) -> None:
    cloud = SlowCloud()
    async with replicas(connect, cloud, 3) as queues:
        await fill(bus)
        await eventually(lambda: len(cloud.begun) == 3 * PLACES)
        await publish(bus, "small-0", "small")
        await eventually(lambda: any("small" in queue._share._in_hand for queue in queues))
        # The replica that has it is not always the one whose handler ends.
        assert await turns_until(cloud, "small-0", eventually) <= 3 * PLACES + 2


async def test_what_is_put_off_counts_as_lag_and_is_all_done_in_the_end(
    bus: Bus, connect: Connect, eventually: Eventually
) -> None:
    cloud = SlowCloud()
    async with replicas(connect, cloud, 1) as (queue,):
        await fill(bus)
        await eventually(lambda: queue.statistics.put_off >= MANY - 2 * PLACES)
        lag = await queue.lag()
        assert lag.waiting + lag.in_hand == MANY
        cloud.finish_all()
        await eventually(lambda: len(set(cloud.begun)) == MANY)
        assert len(cloud.begun) == MANY


async def test_being_put_off_is_no_failed_delivery(
    bus: Bus, connect: Connect, eventually: Eventually
) -> None:
    """Else an object's first failure would be answered with the pause of its tenth."""
    cloud = SlowCloud()
    deliveries: list[int] = []

    async def handle(work: Work) -> Result:
        deliveries.append(work.cause.deliveries)
        return await cloud.handle(work)

    stop = asyncio.Event()
    queue = (await connect()).work_queue(GROUP, [RESOURCES], concurrency=PLACES)
    running = asyncio.create_task(queue.run(handle, stop))
    await asyncio.gather(*(publish(bus, f"large-{number}", "large") for number in range(4 * PLACES)))
    await eventually(lambda: queue.statistics.put_off >= 2 * PLACES)
    cloud.finish_all()
    await eventually(lambda: len(deliveries) == 4 * PLACES)
    stop.set()
    await running
    assert set(deliveries) == {1}


async def test_a_timer_wakes_an_object_as_the_same_teams_work(
    bus: Bus, connect: Connect, eventually: Eventually
) -> None:
    causes: list[str] = []

    async def handle(work: Work) -> Result:
        causes.append(work.cause.flow)
        return RequeueAfter(timedelta(seconds=1).total_seconds()) if len(causes) == 1 else Done()

    stop = asyncio.Event()
    running = asyncio.create_task((await connect()).work_queue(GROUP, [RESOURCES]).run(handle, stop))
    await publish(bus, "db", "small")
    await eventually(lambda: len(causes) == 2)
    stop.set()
    await running
    assert causes == ["small", "small"]
