"""Dead letters: what cannot be handled is set aside, readable, without secrets, and may be tried again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import nats
import pytest
from prometheus_client import CollectorRegistry

from conductor_bus import (
    Bus,
    BusConfig,
    DeadLetter,
    Done,
    MalformedMessage,
    Result,
    Work,
    WorkMetrics,
    WorkPolicy,
    WorkQueue,
)
from conductor_model.refs import GroupKind, ObjectKey

CLAIMS = GroupKind("storage.conductor.io", "MySQLInstance")
GROUP = "aws-provisioner"
BAD, GOOD = ObjectKey(CLAIMS, "team-a", "bad"), ObjectKey(CLAIMS, "team-a", "good")

Eventually = Callable[..., Awaitable[None]]
UntilIdle = Callable[[WorkQueue], Awaitable[None]]


@pytest.fixture
async def hasty(connect: Callable[..., Awaitable[Bus]]) -> Bus:
    """Gives up after three failures, quickly."""
    bus = await connect(replace(BusConfig(), work=WorkPolicy(backoff_base=0.02, dead_letter_after=3)))
    await bus.ensure()
    return bus


@asynccontextmanager
async def working(queue: WorkQueue, handle: Callable[[Work], Awaitable[Result]]) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(queue.run(handle, stop))
    try:
        yield
    finally:
        stop.set()
        await running


async def letters(bus: Bus, group: str | None = None) -> list[DeadLetter]:
    return [letter async for letter in bus.dead_letters(group)]


async def publish(bus: Bus, key: ObjectKey, version: str = "1") -> None:
    await bus.publisher("/w").publish(key, "uid", version, b'{"spec":1}', expected_sequence=None)


async def test_a_message_whose_handler_keeps_crashing_is_set_aside_and_blocks_nobody(
    hasty: Bus, eventually: Eventually, until_idle: UntilIdle
) -> None:
    calls: list[ObjectKey] = []

    async def handle(work: Work) -> Result:
        calls.append(work.key)
        if work.key == BAD:
            raise ValueError("password=hunter2 in mysql://admin:hunter2@db:3306/")
        return Done()

    queue = hasty.work_queue(GROUP, [CLAIMS], concurrency=1)
    async with working(queue, handle):
        await publish(hasty, BAD)
        await publish(hasty, GOOD)
        await eventually(lambda: queue.statistics.dead_letters == 1)
        await eventually(lambda: GOOD in calls)
    registry = CollectorRegistry()
    registry.register(WorkMetrics(queue))
    assert registry.get_sample_value("conductor_work_dead_letters_total", {"group": GROUP}) == 1
    assert registry.get_sample_value("conductor_work_unexpected_failures_total", {"group": GROUP}) == 3
    assert registry.get_sample_value("conductor_work_active", {"group": GROUP}) == 0
    (letter,) = await letters(hasty)
    assert calls.count(BAD) == 3
    assert (letter.consumer, letter.key, letter.error, letter.data) == (
        GROUP,
        BAD,
        "ValueError",
        b'{"spec":1}',
    )
    assert letter.deliveries == 3
    assert letter.subject == BusConfig().subjects.object(BAD)
    assert "hunter2" not in letter.text
    assert "password=" in letter.text
    await until_idle(queue)


async def test_a_change_of_the_object_gives_it_another_chance(hasty: Bus, eventually: Eventually) -> None:
    handled: list[str] = []

    async def handle(work: Work) -> Result:
        assert work.message is not None
        if work.message.resource_version == "1":
            raise ValueError
        handled.append(work.message.resource_version)
        return Done()

    queue = hasty.work_queue(GROUP, [CLAIMS])
    async with working(queue, handle):
        await publish(hasty, BAD, "1")
        await eventually(lambda: queue.statistics.dead_letters == 1)
        await publish(hasty, BAD, "2")
        await eventually(lambda: handled == ["2"])


async def test_a_replayed_letter_has_the_object_handled_in_its_present_state(
    hasty: Bus, eventually: Eventually
) -> None:
    mended = False
    handled: list[Work] = []

    async def handle(work: Work) -> Result:
        if not mended:
            raise ValueError
        handled.append(work)
        return Done()

    queue = hasty.work_queue(GROUP, [CLAIMS])
    async with working(queue, handle):
        await publish(hasty, BAD)
        await eventually(lambda: queue.statistics.dead_letters == 1)
        mended = True
        (letter,) = await letters(hasty)
        await hasty.replay(letter)
        await eventually(lambda: handled)
    assert handled[0].key == BAD
    assert handled[0].message is not None
    assert await letters(hasty) == []


async def test_a_message_that_nobody_can_read_is_set_aside_at_once(
    hasty: Bus, eventually: Eventually
) -> None:
    calls: list[Work] = []

    async def handle(work: Work) -> Result:
        calls.append(work)
        return Done()

    client = await nats.connect(hasty._connection._url)
    await client.jetstream().publish(BusConfig().subjects.object(BAD), b"what is this?")
    await client.close()
    queue = hasty.work_queue(GROUP, [CLAIMS])
    async with working(queue, handle):
        await publish(hasty, GOOD)
        await eventually(lambda: calls and queue.statistics.dead_letters == 1)
    (letter,) = await letters(hasty, GROUP)
    assert (letter.key, letter.error, letter.deliveries) == (None, "MalformedMessage", 1)
    assert [work.key for work in calls] == [GOOD]
    with pytest.raises(MalformedMessage):
        await hasty.replay(letter)
    await hasty.discard(letter)
    assert await letters(hasty) == []


async def test_a_message_that_does_not_even_fit_among_the_dead_letters_blocks_nobody(
    hasty: Bus, eventually: Eventually
) -> None:
    calls: list[Work] = []

    async def handle(work: Work) -> Result:
        calls.append(work)
        return Done()

    client = await nats.connect(hasty._connection._url)
    await client.jetstream().publish(BusConfig().subjects.object(BAD), b"x" * client.max_payload)
    await client.close()
    queue = hasty.work_queue(GROUP, [CLAIMS])
    async with working(queue, handle):
        await publish(hasty, GOOD)
        await eventually(lambda: calls and queue.statistics.dead_letters == 1)
        await publish(hasty, GOOD, "2")
        await eventually(lambda: len(calls) == 2)
    assert queue.statistics.dead_letters == 1
    assert await letters(hasty) == []


async def test_letters_of_one_consumer_are_told_from_anothers(hasty: Bus, eventually: Eventually) -> None:
    async def handle(work: Work) -> Result:
        raise ValueError

    queue = hasty.work_queue(GROUP, [CLAIMS])
    async with working(queue, handle):
        await publish(hasty, BAD)
        await eventually(lambda: queue.statistics.dead_letters == 1)
    assert await letters(hasty, "another") == []
    assert len(await letters(hasty, GROUP)) == 1
