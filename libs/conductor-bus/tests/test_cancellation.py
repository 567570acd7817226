"""Whoever is cancelled on the bus ends, at whatever moment that happens and whatever the broker does.

Python 3.11's ``asyncio.wait_for``, which nats-py is built on, loses a cancellation that arrives as the awaited comes
about. So each case repeats its call for ever and is cancelled at many moments of its life: where a cancellation is
lost, a task is left that goes on.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from itertools import count
from typing import Any, Protocol

import pytest

from conductor_bus import Bus, BusConfig, BusError, Done, Result, Work
from conductor_bus.cancellation import cancellable
from conductor_model.refs import GroupKind, ObjectKey

KIND = GroupKind("database.aws.conductor.io", "RDSInstance")
KEYS = [ObjectKey(KIND, "default", f"database-{number}") for number in range(8)]
ENDS_WITHIN = 2.0
IMPATIENT = BusConfig(request_timeout=0.5)
"""What is cancelled while the broker is away may still wait for the answer to one request: to give back its lock."""
RECONNECT_PAUSE = 0.3
TIMES = 60

Connect = Callable[..., Awaitable[Bus]]
Eventually = Callable[..., Awaitable[None]]
Forever = Callable[[Bus], Coroutine[Any, Any, None]]


class Broker(Protocol):
    @property
    def url(self) -> str: ...
    def kill(self) -> None: ...
    def restart(self) -> None: ...


async def publishing(bus: Bus) -> None:
    publisher = bus.publisher("test")
    for version in count():
        with suppress(BusError):
            await publisher.publish(KEYS[0], "uid", str(version), b"{}", expected_sequence=None)


async def reading(bus: Bus) -> None:
    while True:
        with suppress(BusError):
            await bus.latest(KEYS[0])


async def ensuring(bus: Bus) -> None:
    while True:
        await bus.ensure()


async def taking_snapshots(bus: Bus) -> None:
    while True:
        with suppress(BusError):
            async for _message in bus.snapshot([KIND]):
                pass


async def following(bus: Bus) -> None:
    async for _message in bus.follow([KIND]):
        pass


async def watching_for_loss(bus: Bus) -> None:
    async for _lost in bus.publisher("test").watch_for_loss():
        pass


async def working_without_work(bus: Bus) -> None:
    nothing = GroupKind("example.org", "Nothing")
    await bus.work_queue("idle", [nothing]).run(looked_at, asyncio.Event())


async def working(bus: Bus) -> None:
    """Under load: what is published while it works comes to it too."""
    publishing_too = asyncio.create_task(publishing(bus))
    try:
        await bus.work_queue("busy", [KIND]).run(looked_at, asyncio.Event())
    finally:
        publishing_too.cancel()
        await asyncio.wait({publishing_too})


async def looked_at(work: Work) -> Result:
    return Done()


EVERY_CALL = [
    publishing,
    reading,
    ensuring,
    taking_snapshots,
    following,
    watching_for_loss,
    working_without_work,
    working,
]


@pytest.fixture
async def nothing_left_behind(eventually: Eventually) -> AsyncIterator[None]:
    """Fails the test when a task outlives it. To be asked for before what makes connections."""
    before = asyncio.all_tasks()
    yield
    others = before | {asyncio.current_task()}
    # What is left of a connection makes new tasks when its broker goes away, as it does before this.
    await eventually(lambda: asyncio.all_tasks() <= others, within=ENDS_WITHIN)


@pytest.fixture
async def filled_bus(nothing_left_behind: None, connect: Connect) -> Bus:
    bus = await connect(IMPATIENT)
    await bus.ensure()
    publisher = bus.publisher("test")
    for key in KEYS:
        await publisher.publish(key, "uid", "1", b"{}", expected_sequence=None)
    return bus


async def turned(turns: int) -> None:
    """Turns of the event loop, not time: a busy loop passes every await within a few dozen."""
    for _turn in range(turns):
        await asyncio.sleep(0)


async def is_cancelled(task: asyncio.Task[Any]) -> None:
    assert not task.done(), f"ended before it was cancelled: {task}"
    task.cancel()
    await asyncio.wait({task}, timeout=ENDS_WITHIN)
    lost = not task.done()
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.1)
    assert not lost, f"went on after it was cancelled: {task}"
    assert task.cancelled(), f"ended otherwise: {task}"


@pytest.mark.parametrize("call", EVERY_CALL)
async def test_what_is_cancelled_ends(filled_bus: Bus, call: Forever) -> None:
    moments = random.Random(1)
    for _ in range(TIMES):
        task = asyncio.create_task(call(filled_bus))
        await turned(moments.randrange(1, 80))
        await is_cancelled(task)


async def test_what_is_cancelled_ends_while_the_broker_comes_and_goes(
    filled_bus: Bus, broker: Broker, eventually: Eventually
) -> None:
    moments = random.Random(2)
    for _ in range(5):
        running = [asyncio.create_task(call(filled_bus)) for call in EVERY_CALL]
        await asyncio.sleep(moments.uniform(0, 0.1))
        await asyncio.to_thread(broker.kill)
        first, second = running[::2], running[1::2]
        for task in first:
            await turned(moments.randrange(1, 80))
            await is_cancelled(task)
        await asyncio.to_thread(broker.restart)
        await asyncio.sleep(moments.uniform(0, 0.4))
        for task in second:
            await turned(moments.randrange(1, 80))
            await is_cancelled(task)
    # nats-py leaves tasks behind if it is closed with data unsent on a connection that was reset.
    await eventually(lambda: filled_bus.connected)


async def test_connecting_to_a_broker_that_is_away_can_be_cancelled(
    nothing_left_behind: None, broker: Broker
) -> None:
    broker.kill()
    moments = random.Random(3)
    for _ in range(TIMES):
        task = asyncio.create_task(Bus.connect(broker.url, name="test"))
        await turned(moments.randrange(1, 80))
        await is_cancelled(task)


async def test_a_connection_made_for_one_who_was_cancelled_is_closed(
    nothing_left_behind: None, broker: Broker
) -> None:
    for _ in range(5):
        for turns in count(1):
            task = asyncio.create_task(Bus.connect(broker.url, name="test"))
            await turned(turns)
            if task.done():
                await (await task).close()
                break
            await is_cancelled(task)


async def test_a_bus_that_is_closed_while_the_broker_is_away_stops_trying_to_reconnect(
    nothing_left_behind: None, broker: Broker
) -> None:
    buses = [await Bus.connect(broker.url, name="test") for _ in range(2 * TIMES)]
    # Once the pause between two attempts is over, the next attempt comes within a few turns of the loss.
    await asyncio.sleep(RECONNECT_PAUSE)

    async def close(bus: Bus, turns: int) -> None:
        while bus.connected:  # noqa: ASYNC110  # each turn counts
            await asyncio.sleep(0)
        await turned(turns)
        await bus.close()

    closing = [asyncio.create_task(close(bus, turns)) for turns, bus in enumerate(buses)]
    broker.kill()
    await asyncio.gather(*closing)


async def test_closing_that_is_cancelled_still_closes(
    nothing_left_behind: None, broker: Broker, eventually: Eventually
) -> None:
    before = asyncio.all_tasks()
    for _ in range(5):
        for turns in count(1):
            bus = await Bus.connect(broker.url, name="test")
            await bus.ensure()
            task = asyncio.create_task(bus.close())
            await turned(turns)
            if task.done():
                break
            await is_cancelled(task)
            await eventually(lambda: asyncio.all_tasks() <= before, within=ENDS_WITHIN)


async def test_a_handler_that_loses_its_cancellation_keeps_no_worker(filled_bus: Bus) -> None:
    handling = asyncio.Event()
    handled = 0

    async def stubborn(work: Work) -> Result:
        nonlocal handled
        handled += 1
        handling.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        return Done()

    queue = filled_bus.work_queue("stubborn", [KIND], key=lambda _message: [KEYS[0]])
    task = asyncio.create_task(queue.run(stubborn, asyncio.Event()))
    await handling.wait()
    publisher = filled_bus.publisher("test")
    await publisher.publish(KEYS[1], "uid", "2", b"{}", expected_sequence=None)
    async with asyncio.timeout(15):
        while (await queue.lag()).waiting:  # noqa: ASYNC110  # the broker tells only when asked
            await asyncio.sleep(0.02)
    await is_cancelled(task)
    assert handled == 1


async def test_a_call_that_loses_its_cancellation_is_cancelled_again() -> None:
    async def loses_one() -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)
        return "went on"

    task = asyncio.create_task(cancellable(loses_one()))
    await turned(3)
    await is_cancelled(task)


async def test_a_call_that_ends_as_it_is_cancelled_leaves_its_caller_cancelled() -> None:
    async def ends_anyway() -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        return "ended"

    task = asyncio.create_task(cancellable(ends_anyway()))
    await turned(3)
    await is_cancelled(task)
