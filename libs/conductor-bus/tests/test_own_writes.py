"""Messages that a handler's own write causes: not handled when all was done, and never lost when it was not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from conductor_bus import Bus, BusError, Done, RequeueAfter, Result, Transient, Wake, Work, WorkQueue
from conductor_model.refs import GroupKind, ObjectKey

CLAIMS = GroupKind("storage.conductor.io", "MySQLInstance")
KEY = ObjectKey(CLAIMS, "team-a", "orders")

Eventually = Callable[..., Awaitable[None]]
UntilIdle = Callable[[WorkQueue], Awaitable[None]]


class Handling:
    """Answers each version of the object as it is told, and notes what it was asked about."""

    def __init__(self, answers: dict[str, Result | Exception]) -> None:
        self._answers = answers
        self.versions: list[str] = []
        self.wakes = 0

    async def __call__(self, work: Work) -> Result:
        assert work.message is not None
        if isinstance(work.cause, Wake):
            self.wakes += 1
            return Done()
        version = work.message.resource_version
        self.versions.append(version)
        answer = self._answers.pop(version, Done())
        if isinstance(answer, Exception):
            raise answer
        return answer


async def publish(bus: Bus, version: str, key: ObjectKey = KEY) -> None:
    await bus.publisher("/w").publish(key, "uid", version, b"{}", expected_sequence=None)


@asynccontextmanager
async def working(queue: WorkQueue, handle: Handling) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(queue.run(handle, stop))
    try:
        yield
    finally:
        stop.set()
        await running


@pytest.mark.parametrize("answer", [Done(wrote="2"), RequeueAfter(60, wrote="2")])
async def test_the_message_of_a_handlers_own_write_is_not_handled_and_later_ones_are(
    bus: Bus, eventually: Eventually, until_idle: UntilIdle, answer: Result
) -> None:
    handle = Handling({"1": answer})
    queue = bus.work_queue("writer", [CLAIMS])
    async with working(queue, handle):
        await publish(bus, "1")
        await eventually(lambda: handle.versions == ["1"])
        await until_idle(queue)
        await publish(bus, "2")
        await until_idle(queue)
        await publish(bus, "3")
        await eventually(lambda: handle.versions[-1] == "3")
    assert handle.versions == ["1", "3"]


async def test_the_timer_of_the_handling_stands_when_its_message_is_passed_over(
    bus: Bus, eventually: Eventually, until_idle: UntilIdle
) -> None:
    handle = Handling({"1": RequeueAfter(1.5, wrote="2")})
    queue = bus.work_queue("writer", [CLAIMS])
    async with working(queue, handle):
        await publish(bus, "1")
        await eventually(lambda: handle.versions == ["1"])
        await until_idle(queue)
        await publish(bus, "2")
        await eventually(lambda: handle.wakes == 1)
    assert handle.versions == ["1"]


async def test_the_message_of_a_write_whose_handling_failed_afterwards_is_handled(
    bus: Bus, eventually: Eventually
) -> None:
    """The message that caused it may have been replaced by this very one, so nothing else would bring the object back."""
    handle = Handling({"1": Transient("the write was made, what follows was not")})
    async with working(bus.work_queue("writer", [CLAIMS]), handle):
        await publish(bus, "1")
        await eventually(lambda: handle.versions)
        await publish(bus, "2")
        await eventually(lambda: "2" in handle.versions)


async def test_a_write_is_forgotten_when_the_object_is_handled_again(
    bus: Bus, eventually: Eventually, until_idle: UntilIdle
) -> None:
    """Whatever that later handling leaves undone, its messages must not pass for done."""
    handle = Handling({"1": Done(wrote="3")})
    queue = bus.work_queue("writer", [CLAIMS])
    async with working(queue, handle):
        await publish(bus, "1")
        await eventually(lambda: handle.versions == ["1"])
        await until_idle(queue)
        await publish(bus, "2")
        await eventually(lambda: handle.versions == ["1", "2"])
        await until_idle(queue)
        await publish(bus, "3")
        await eventually(lambda: handle.versions == ["1", "2", "3"])


async def test_after_the_bus_was_wiped_the_version_is_handled_again(
    broker: Any, bus: Bus, eventually: Eventually, until_idle: UntilIdle
) -> None:
    """The timer of the handling is gone with the bus, and the watcher tells once more of all there is."""
    handle = Handling({"1": RequeueAfter(3600, wrote="2")})
    queue = bus.work_queue("writer", [CLAIMS])
    async with working(queue, handle):
        await publish(bus, "1")
        await eventually(lambda: handle.versions == ["1"])
        await until_idle(queue)
        broker.wipe()
        async with asyncio.timeout(60):
            while True:
                try:
                    await publish(bus, "2")
                    break
                except BusError:
                    await asyncio.sleep(0.05)
        await eventually(lambda: handle.versions == ["1", "2"])


async def test_a_write_below_a_second_before_the_next_look_is_no_reason_to_pass_over_anything(
    bus: Bus, eventually: Eventually
) -> None:
    """Such a look is a redelivery, which ends when another message takes the place of the one delivered."""
    handle = Handling({"1": RequeueAfter(0.5, wrote="2")})
    async with working(bus.work_queue("writer", [CLAIMS]), handle):
        await publish(bus, "1")
        await eventually(lambda: handle.versions)
        await publish(bus, "2")
        await eventually(lambda: "2" in handle.versions)
