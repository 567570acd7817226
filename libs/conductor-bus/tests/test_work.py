"""Work queues: what a handler gets, what its answers bring about, and that nothing is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import nats
import pytest

from conductor_bus import (
    Bus,
    BusConfig,
    Done,
    ObjectMessage,
    RequeueAfter,
    Result,
    StreamLost,
    Throttled,
    Transient,
    Unavailable,
    Wake,
    Work,
    WorkPolicy,
    WorkQueue,
    workqueue,
)
from conductor_model.refs import GroupKind, ObjectKey

CLAIMS = GroupKind("storage.conductor.io", "MySQLInstance")
CONCRETES = GroupKind("database.aws.conductor.io", "RDSInstance")
GROUP = "aws-provisioner"

Eventually = Callable[..., Awaitable[None]]
UntilIdle = Callable[[WorkQueue], Awaitable[None]]
Connect = Callable[..., Awaitable[Bus]]
Handler = Callable[[Work], Awaitable[Result]]


def claim(name: str) -> ObjectKey:
    return ObjectKey(CLAIMS, "team-a", name)


async def publish(bus: Bus, key: ObjectKey, version: str = "1") -> int:
    """Publishes, again while the broker or the stream is not there."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await bus.publisher("/w").publish(key, "uid", version, b"{}", expected_sequence=None)
            except (Unavailable, StreamLost):
                await asyncio.sleep(0.02)


@asynccontextmanager
async def working(queue: WorkQueue, handle: Handler) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    running = asyncio.create_task(queue.run(handle, stop))
    try:
        yield stop
    finally:
        stop.set()
        await running


def recorder(seen: list[Work], result: Result | None = None) -> Handler:
    async def handle(work: Work) -> Result:
        seen.append(work)
        return result or Done()

    return handle


async def test_a_worker_gets_what_was_published_before_it_started_and_after(
    bus: Bus, eventually: Eventually
) -> None:
    seen: list[Work] = []
    await publish(bus, claim("before"))
    async with working(bus.work_queue(GROUP, [CLAIMS]), recorder(seen)):
        await eventually(lambda: [work.key for work in seen] == [claim("before")])
        await publish(bus, claim("after"))
        await eventually(lambda: [work.key for work in seen] == [claim("before"), claim("after")])
    assert all(work.message is not None and work.message.key == work.key for work in seen)


async def test_a_worker_gets_only_its_kinds(bus: Bus, eventually: Eventually) -> None:
    seen: list[Work] = []
    async with working(bus.work_queue(GROUP, [CLAIMS]), recorder(seen)):
        await publish(bus, ObjectKey(CONCRETES, "x", "not-mine"))
        await publish(bus, claim("mine"))
        await eventually(lambda: seen)
    assert [work.key for work in seen] == [claim("mine")]


async def test_two_versions_of_a_service_run_beside_each_other_without_making_the_consumer_anew(
    bus: Bus, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workqueue, "_FOR_ANOTHER_VERSION", 0.05)
    old, new, later = list[Work](), list[Work](), list[Work]()
    seen_by_old = bus.work_queue(GROUP, [CLAIMS])
    async with working(seen_by_old, recorder(old)):
        await eventually(lambda: seen_by_old.receiving)
        async with working(bus.work_queue(GROUP, [CLAIMS, CONCRETES]), recorder(new)):
            await publish(bus, ObjectKey(CONCRETES, "x", "of-the-new-kind"))
            await eventually(lambda: new)
            made = await bus._connection.consumer_info(bus._connection.config.stream, GROUP)
            async with working(bus.work_queue(GROUP, [CLAIMS]), recorder(later)):
                for number in range(20):
                    await publish(bus, claim(f"of-both-{number}"))
                await publish(bus, ObjectKey(CONCRETES, "x", "another"))
                await eventually(lambda: len({work.key for work in [*old, *new, *later]}) == 22)
            now = await bus._connection.consumer_info(bus._connection.config.stream, GROUP)
    assert now.created == made.created
    assert {work.key.group_kind for work in [*old, *later]} <= {CLAIMS}


async def test_changes_during_a_handlers_run_are_handled_once_more_with_the_last_state(
    bus: Bus, eventually: Eventually
) -> None:
    versions: list[str] = []
    go_on = asyncio.Event()

    async def handle(work: Work) -> Result:
        assert work.message is not None
        versions.append(work.message.resource_version)
        await go_on.wait()
        return Done()

    async with working(bus.work_queue(GROUP, [CLAIMS]), handle):
        await publish(bus, claim("a"), "1")
        await eventually(lambda: versions)
        for version in range(2, 30):
            await publish(bus, claim("a"), str(version))
        go_on.set()
        await eventually(lambda: versions[-1] == "29")
    assert versions[0] == "1"
    assert len(versions) <= 3


async def test_a_tombstone_is_handed_to_the_worker(bus: Bus, eventually: Eventually) -> None:
    seen: list[Work] = []
    async with working(bus.work_queue(GROUP, [CLAIMS]), recorder(seen)):
        await bus.publisher("/w").tombstone(claim("a"), "u", "2", api_version="v1", expected_sequence=0)
        await eventually(lambda: seen)
    assert seen[0].message is not None
    assert seen[0].message.deleted


async def test_lag_is_what_nobody_has_taken_and_falls_to_nothing(
    bus: Bus, eventually: Eventually, until_idle: UntilIdle
) -> None:
    queue = bus.work_queue(GROUP, [CLAIMS])
    with pytest.raises(StreamLost):
        await queue.lag()
    go_on = asyncio.Event()
    running: list[Work] = []

    async def handle(work: Work) -> Result:
        running.append(work)
        await go_on.wait()
        return Done()

    few = bus.work_queue(GROUP, [CLAIMS], concurrency=2)
    async with working(few, handle):
        for number in range(10):
            await publish(bus, claim(f"db-{number}"))
        await eventually(lambda: len(running) == 2)
        lag = await queue.lag()
        # Those that nobody has taken, those that wait in hand, and those put off: all that is to be done.
        assert lag.waiting + lag.in_hand == 10
        go_on.set()
        await eventually(lambda: len(running) == 10)
    await until_idle(queue)


async def test_an_object_is_looked_at_again_after_the_time_its_handler_asked_for(
    bus: Bus, eventually: Eventually
) -> None:
    times: list[float] = []

    async def handle(work: Work) -> Result:
        times.append(time.monotonic())
        return RequeueAfter(1.2) if len(times) == 1 else Done()

    async with working(bus.work_queue(GROUP, [CLAIMS]), handle):
        await publish(bus, claim("a"))
        await eventually(lambda: len(times) == 2)
    assert times[1] - times[0] >= 1.1


async def test_a_wake_comes_with_the_objects_last_state(bus: Bus, eventually: Eventually) -> None:
    seen: list[Work] = []

    async def handle(work: Work) -> Result:
        seen.append(work)
        return RequeueAfter(1) if len(seen) == 1 else Done()

    async with working(bus.work_queue(GROUP, [CLAIMS]), handle):
        await publish(bus, claim("a"), "5")
        await eventually(lambda: len(seen) == 2)
    assert isinstance(seen[1].cause, Wake)
    assert seen[1].message is not None
    assert seen[1].message.resource_version == "5"


async def test_a_wait_below_a_second_is_kept_too(bus: Bus, eventually: Eventually) -> None:
    times: list[float] = []

    async def handle(work: Work) -> Result:
        times.append(time.monotonic())
        return RequeueAfter(0.2) if len(times) == 1 else Done()

    async with working(bus.work_queue(GROUP, [CLAIMS]), handle):
        await publish(bus, claim("a"))
        await eventually(lambda: len(times) == 2)
    assert times[1] - times[0] >= 0.19


async def test_done_cancels_the_timer_that_was_set_before(bus: Bus, eventually: Eventually) -> None:
    answers: list[Result] = [RequeueAfter(2), Done()]
    seen: list[Work] = []

    async def handle(work: Work) -> Result:
        seen.append(work)
        if work.key == claim("later"):
            return RequeueAfter(3) if len(seen) < 4 else Done()
        return answers.pop(0)

    async with working(bus.work_queue(GROUP, [CLAIMS]), handle):
        await publish(bus, claim("a"), "1")
        await eventually(lambda: len(seen) == 1)
        await publish(bus, claim("a"), "2")
        await eventually(lambda: len(seen) == 2)
        # Another object's later timer marks the time by which the cancelled one would have fired.
        await publish(bus, claim("later"))
        await eventually(lambda: any(isinstance(work.cause, Wake) for work in seen))
    assert [work.key for work in seen if isinstance(work.cause, Wake)] == [claim("later")]


async def test_a_later_timer_replaces_an_earlier_one(bus: Bus, eventually: Eventually) -> None:
    asked = [1.0, 2.5]
    times: list[float] = []

    async def handle(work: Work) -> Result:
        times.append(time.monotonic())
        return RequeueAfter(asked.pop(0)) if asked else Done()

    async with working(bus.work_queue(GROUP, [CLAIMS]), handle):
        await publish(bus, claim("a"), "1")
        await eventually(lambda: len(times) == 1)
        await publish(bus, claim("a"), "2")
        await eventually(lambda: len(times) == 3)
    assert times[2] - times[1] >= 2.3


async def test_a_timer_outlives_worker_and_broker(
    bus: Bus, connect: Connect, broker: Any, eventually: Eventually
) -> None:
    seen: list[Work] = []
    async with working(bus.work_queue(GROUP, [CLAIMS]), recorder(seen, RequeueAfter(1.5))):
        await publish(bus, claim("a"))
        await eventually(lambda: seen)
    await bus.close()
    broker.restart()
    again: list[Work] = []
    other = await connect()
    async with working(other.work_queue(GROUP, [CLAIMS]), recorder(again)):
        await eventually(lambda: any(isinstance(work.cause, Wake) for work in again))


async def test_a_wake_for_an_object_that_the_stream_does_not_hold_is_dropped(
    bus: Bus, broker: Any, eventually: Eventually, until_idle: UntilIdle
) -> None:
    seen: list[Work] = []
    queue = bus.work_queue(GROUP, [CLAIMS])
    client = await nats.connect(broker.url)
    await client.jetstream().publish(BusConfig().subjects.wake(GROUP, claim("unheard-of")), b"")
    await client.close()
    async with working(queue, recorder(seen)):
        await publish(bus, claim("a"))
        await eventually(lambda: seen)
    assert [work.key for work in seen] == [claim("a")]
    await until_idle(queue)


async def test_a_transient_failure_is_tried_again_with_growing_pauses(
    connect: Connect, eventually: Eventually
) -> None:
    bus = await connect(replace(BusConfig(), work=WorkPolicy(backoff_base=0.1)))
    await bus.ensure()
    times: list[float] = []

    async def handle(work: Work) -> Result:
        times.append(time.monotonic())
        if len(times) < 4:
            raise Transient("the cloud is not answering")
        return Done()

    queue = bus.work_queue(GROUP, [CLAIMS])
    queue.chance = lambda: 0.9
    async with working(queue, handle):
        await publish(bus, claim("a"))
        await eventually(lambda: queue.statistics.handled == 1)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses[0] >= 0.09
    assert pauses[1] >= 0.18
    assert pauses[2] >= 0.36


async def test_a_throttled_object_waits_as_long_as_the_provider_asked(
    bus: Bus, eventually: Eventually
) -> None:
    times: list[float] = []

    async def handle(work: Work) -> Result:
        times.append(time.monotonic())
        if len(times) == 1:
            raise Throttled("slow down", retry_after=1.5)
        return Done()

    async with working(bus.work_queue(GROUP, [CLAIMS]), handle):
        await publish(bus, claim("a"))
        await eventually(lambda: len(times) == 2)
    assert times[1] - times[0] >= 1.5


async def test_a_failing_object_does_not_keep_others_waiting(bus: Bus, eventually: Eventually) -> None:
    handled: list[ObjectKey] = []

    async def handle(work: Work) -> Result:
        if work.key == claim("bad"):
            raise Transient("again")
        handled.append(work.key)
        return Done()

    async with working(bus.work_queue(GROUP, [CLAIMS], concurrency=1), handle):
        await publish(bus, claim("bad"))
        for number in range(20):
            await publish(bus, claim(f"good-{number}"))
        await eventually(lambda: len(handled) == 20)


async def test_messages_of_one_object_may_be_work_on_another(bus: Bus, eventually: Eventually) -> None:
    """As the secrets-writer handles claims, and looks at a claim also when its concrete changed."""
    seen: list[Work] = []

    def bound_claims(message: ObjectMessage) -> Iterable[ObjectKey]:
        if message.key.group_kind == CONCRETES:
            return [claim("a"), claim("b")]
        return [message.key]

    rds = ObjectKey(CONCRETES, "conductor-system", "rds-1")
    await publish(bus, claim("a"), "7")
    async with working(
        bus.work_queue("secrets-writer", [CLAIMS, CONCRETES], key=bound_claims), recorder(seen)
    ):
        await eventually(lambda: len(seen) == 1)
        await publish(bus, rds, "8")
        await eventually(lambda: len(seen) == 3)
    by_key = {work.key: work for work in seen[1:]}
    assert by_key.keys() == {claim("a"), claim("b")}
    known = by_key[claim("a")].message
    assert known is not None
    assert (known.key, known.resource_version) == (claim("a"), "7")
    assert by_key[claim("b")].message is None
    cause = by_key[claim("a")].cause
    assert isinstance(cause, ObjectMessage)
    assert cause.key == rds


async def test_a_message_for_several_objects_is_acknowledged_when_all_are_handled(
    connect: Connect, eventually: Eventually, until_idle: UntilIdle
) -> None:
    bus = await connect(replace(BusConfig(), work=WorkPolicy(backoff_base=0.1)))
    await bus.ensure()
    calls: list[ObjectKey] = []

    async def handle(work: Work) -> Result:
        calls.append(work.key)
        if work.key == claim("b") and calls.count(claim("b")) < 3:
            raise Transient("not yet")
        return Done()

    queue = bus.work_queue("w", [CONCRETES], key=lambda message: [claim("a"), claim("b")])
    async with working(queue, handle):
        await publish(bus, ObjectKey(CONCRETES, "x", "rds"))
        await eventually(lambda: calls.count(claim("b")) == 3)
    await until_idle(queue)


async def test_a_message_that_is_about_nothing_is_passed_over(
    bus: Bus, eventually: Eventually, until_idle: UntilIdle
) -> None:
    queue = bus.work_queue("w", [CLAIMS], key=lambda message: [])
    async with working(queue, recorder([])):
        await publish(bus, claim("a"))
        await eventually(lambda: queue.receiving)
        await until_idle(queue)


async def test_a_consumer_that_gets_a_further_kind_sees_what_was_there_before(
    bus: Bus, eventually: Eventually
) -> None:
    rds = ObjectKey(CONCRETES, "x", "rds")
    await publish(bus, rds)
    first: list[Work] = []
    async with working(bus.work_queue(GROUP, [CLAIMS]), recorder(first)):
        await publish(bus, claim("a"))
        await eventually(lambda: first)
    second: list[Work] = []
    async with working(bus.work_queue(GROUP, [CLAIMS, CONCRETES]), recorder(second)):
        await eventually(lambda: rds in {work.key for work in second})
