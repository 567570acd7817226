"""Several replicas on one consumer: they share the work, never an object at once, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from conductor_bus import (
    Bus,
    BusConfig,
    Done,
    RequeueAfter,
    Result,
    StreamLost,
    Unavailable,
    Work,
    WorkPolicy,
    WorkQueue,
)
from conductor_bus.connection import Connection
from conductor_bus.credentials import Credentials
from conductor_bus.locks import Locks
from conductor_model.refs import GroupKind, ObjectKey

CLAIMS = GroupKind("storage.conductor.io", "MySQLInstance")
GROUP = "aws-provisioner"

Eventually = Callable[..., Awaitable[None]]
UntilIdle = Callable[[WorkQueue], Awaitable[None]]
Connect = Callable[..., Awaitable[Bus]]

IMPATIENT = replace(BusConfig(), work=WorkPolicy(hold=1.5, settle_after_reconnect=0.5, drain=0.5))


def claim(number: int) -> ObjectKey:
    return ObjectKey(CLAIMS, "team-a", f"db-{number}")


async def publish(bus: Bus, key: ObjectKey, version: int) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await bus.publisher("/w").publish(key, "uid", str(version), b"{}", expected_sequence=None)
                return
            except (Unavailable, StreamLost):
                await asyncio.sleep(0.02)


class Register:
    """What the handlers of all replicas do: who is at which object, and which version was seen last."""

    def __init__(self) -> None:
        self.at_work: dict[ObjectKey, int] = {}
        self.together: list[ObjectKey] = []
        self.last_version: dict[ObjectKey, int] = {}
        self.by_replica: Counter[int] = Counter()

    def handler(self, replica: int, pause: Callable[[], float]) -> Callable[[Work], Awaitable[Result]]:
        async def handle(work: Work) -> Result:
            if work.key in self.at_work:
                self.together.append(work.key)
            self.at_work[work.key] = replica
            try:
                self.by_replica[replica] += 1
                await asyncio.sleep(pause())
                if work.message is not None:
                    self.last_version[work.key] = int(work.message.resource_version)
            finally:
                self.at_work.pop(work.key, None)
            return Done()

        return handle


class Replicas:
    """Work queues over connections of their own, as separate processes have them."""

    def __init__(self, connect: Connect, config: BusConfig = IMPATIENT) -> None:
        self._connect = connect
        self._config = config
        self.stop = asyncio.Event()
        self.running: list[asyncio.Task[None]] = []

    async def start(self, handler: Callable[[Work], Awaitable[Result]], concurrency: int = 16) -> WorkQueue:
        bus = await self._connect(self._config)
        queue = bus.work_queue(GROUP, [CLAIMS], concurrency=concurrency)
        self.running.append(asyncio.create_task(queue.run(handler, self.stop)))
        return queue

    async def end(self) -> None:
        self.stop.set()
        await asyncio.gather(*self.running)


async def test_under_load_no_object_is_ever_handled_by_two_at_once(
    bus: Bus, connect: Connect, eventually: Eventually
) -> None:
    register, replicas = Register(), Replicas(connect)
    dice = random.Random(1)
    for replica in range(2):
        await replicas.start(register.handler(replica, lambda: dice.random() * 0.02))
    for version in range(1, 41):
        await asyncio.gather(*(publish(bus, claim(number), version) for number in range(10)))
    await eventually(lambda: register.last_version == {claim(number): 40 for number in range(10)})
    await replicas.end()
    assert register.together == []
    assert set(register.by_replica) == {0, 1}


async def test_a_handler_gets_the_state_as_of_after_its_lock(
    bus: Bus, connect: Connect, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a state that waited for its lock could be handled after a newer one that another replica has dealt with."""
    seen: list[str] = []
    waiting, go_on = asyncio.Event(), asyncio.Event()

    async def handle(work: Work) -> Result:
        assert work.message is not None
        seen.append(work.message.resource_version)
        return Done()

    async def wait_for_the_test(locks: Locks) -> None:
        waiting.set()
        await go_on.wait()

    monkeypatch.setattr(Locks, "_wait_until_quiet", wait_for_the_test)
    replicas = Replicas(connect)
    await replicas.start(handle)
    await publish(bus, claim(1), 1)
    await waiting.wait()
    await publish(bus, claim(1), 2)
    go_on.set()
    await eventually(lambda: seen)
    await replicas.end()
    assert seen[0] == "2"


async def test_a_handler_may_take_longer_than_its_hold_without_the_message_coming_again(
    bus: Bus, connect: Connect, eventually: Eventually, until_idle: UntilIdle
) -> None:
    register, replicas = Register(), Replicas(connect)
    for replica in range(2):
        await replicas.start(register.handler(replica, lambda: 2.5 * IMPATIENT.work.hold))
    await publish(bus, claim(1), 1)
    await eventually(lambda: register.last_version)
    await until_idle(bus.work_queue(GROUP, [CLAIMS]))
    await replicas.end()
    assert register.by_replica.total() == 1


async def test_a_replica_that_stops_hands_back_what_it_has_at_once(
    bus: Bus, connect: Connect, eventually: Eventually
) -> None:
    config = replace(BusConfig(), work=WorkPolicy(hold=30.0, drain=0.2))
    stuck: list[ObjectKey] = []

    async def hang(work: Work) -> Result:
        stuck.append(work.key)
        await asyncio.Event().wait()
        return Done()

    first = Replicas(connect, config)
    queue = await first.start(hang, concurrency=3)
    await publish(bus, claim(0), 1)
    await publish(bus, claim(1), 1)
    await eventually(lambda: len(stuck) == 2)
    # In hand, but not begun: its object is being worked on.
    await publish(bus, claim(0), 2)
    await eventually(lambda: len(queue._in_hand) == 3)
    await first.end()

    register, second = Register(), Replicas(connect, config)
    await second.start(register.handler(2, lambda: 0.0))
    # Within far less than the 30 s after which the broker would have noticed by itself.
    await eventually(lambda: register.last_version == {claim(0): 2, claim(1): 1}, within=10)
    await second.end()


async def test_a_replica_that_stops_lets_its_running_handlers_finish(
    bus: Bus, connect: Connect, eventually: Eventually, until_idle: UntilIdle
) -> None:
    finished: list[ObjectKey] = []
    started: list[ObjectKey] = []

    async def handle(work: Work) -> Result:
        started.append(work.key)
        await asyncio.sleep(0.3)
        finished.append(work.key)
        return Done()

    replicas = Replicas(connect)
    await replicas.start(handle)
    await publish(bus, claim(1), 1)
    await eventually(lambda: started)
    await replicas.end()
    assert finished == [claim(1)]
    await until_idle(bus.work_queue(GROUP, [CLAIMS]))


async def test_work_of_a_replica_that_vanished_is_taken_up_by_another(
    bus: Bus, connect: Connect, eventually: Eventually
) -> None:
    stuck: list[ObjectKey] = []

    async def hang(work: Work) -> Result:
        stuck.append(work.key)
        await asyncio.Event().wait()
        return Done()

    victim = Bus(Connection(bus._connection._url, "victim", IMPATIENT, Credentials()))
    await victim._connection.open()
    running = asyncio.create_task(victim.work_queue(GROUP, [CLAIMS]).run(hang, asyncio.Event()))
    await publish(bus, claim(1), 1)
    await eventually(lambda: stuck)
    # As a SIGKILL does: the connection is gone, and nobody says goodbye.
    await victim._connection.close()
    running.cancel()

    register, replicas = Register(), Replicas(connect)
    await replicas.start(register.handler(2, lambda: 0.0))
    await eventually(lambda: claim(1) in register.last_version)
    await replicas.end()


async def test_a_broker_killed_in_mid_work_costs_nothing(
    bus: Bus, connect: Connect, broker: Any, eventually: Eventually
) -> None:
    register, replicas = Register(), Replicas(connect)
    for replica in range(2):
        await replicas.start(register.handler(replica, lambda: 0.02))
    for number in range(50):
        await publish(bus, claim(number), 1)
        if number in (15, 35):
            broker.restart()
    await eventually(lambda: len(register.last_version) == 50)
    await publish(bus, claim(0), 2)
    await eventually(lambda: register.last_version[claim(0)] == 2)
    await replicas.end()
    assert register.together == []


async def test_workers_go_on_after_the_broker_lost_everything(
    bus: Bus, connect: Connect, broker: Any, eventually: Eventually
) -> None:
    register, replicas = Register(), Replicas(connect)
    for replica in range(2):
        await replicas.start(register.handler(replica, lambda: 0.02))
    for number in range(30):
        await publish(bus, claim(number), 1)
        if number == 15:
            broker.wipe()
    # What the watcher does after a wipe: everything is published again.
    await asyncio.gather(*(publish(bus, claim(number), 2) for number in range(30)))
    await eventually(lambda: register.last_version == {claim(number): 2 for number in range(30)})
    await replicas.end()
    assert register.together == []


async def test_a_handler_that_runs_while_the_broker_loses_its_locks_keeps_its_object(
    bus: Bus, connect: Connect, broker: Any, eventually: Eventually
) -> None:
    register, replicas = Register(), Replicas(connect)
    for replica in range(2):
        await replicas.start(register.handler(replica, lambda: 4.0))
    await publish(bus, claim(1), 1)
    await eventually(lambda: register.at_work)
    broker.wipe()
    await publish(bus, claim(1), 2)
    await eventually(lambda: register.last_version.get(claim(1)) == 2)
    await replicas.end()
    assert register.together == []


async def test_a_lock_that_cannot_be_renewed_is_given_up_and_its_handler_cancelled(
    bus: Bus, broker: Any
) -> None:
    now = 100.0
    locks = Locks(bus._connection, GROUP, clock=lambda: now)
    lock = await locks.take(claim(1))
    assert lock is not None
    handler: asyncio.Task[object] = asyncio.create_task(asyncio.sleep(60))
    lock.handler = handler
    hold = bus._connection.config.work.hold
    now += hold * 0.7
    locks.give_up_stale()
    assert not lock.lost
    now += hold * 0.2
    locks.give_up_stale()
    assert lock.lost
    await asyncio.wait([handler])
    assert handler.cancelled()


async def test_a_lock_is_one_holders_until_it_is_released(bus: Bus, connect: Connect) -> None:
    mine, theirs = Locks(bus._connection, GROUP), Locks((await connect())._connection, GROUP)
    lock = await mine.take(claim(1))
    assert lock is not None
    assert await theirs.take(claim(1)) is None
    await mine.refresh()
    assert await theirs.take(claim(1)) is None
    await mine.release(lock)
    assert await theirs.take(claim(1)) is not None


async def test_a_lock_taken_by_another_meanwhile_is_noticed_at_the_next_renewal(
    connect: Connect, eventually: Eventually
) -> None:
    bus = await connect(replace(BusConfig(), work=WorkPolicy(hold=1.0)))
    await bus.ensure()
    mine, theirs = Locks(bus._connection, GROUP), Locks((await connect())._connection, GROUP)
    lock = await mine.take(claim(1))
    assert lock is not None
    async with asyncio.timeout(10):
        while await theirs.take(claim(1)) is None:  # noqa: ASYNC110  # nobody is told when a lock runs out
            await asyncio.sleep(0.05)
    await mine.refresh()
    assert lock.lost


async def test_many_waiting_objects_cost_no_worker(
    bus: Bus, connect: Connect, eventually: Eventually, until_idle: UntilIdle
) -> None:
    """A poll in the future holds neither a slot nor an acknowledgement."""
    seen: set[ObjectKey] = set()

    async def handle(work: Work) -> Result:
        seen.add(work.key)
        return RequeueAfter(600)

    replicas = Replicas(connect)
    await replicas.start(handle, concurrency=2)
    await asyncio.gather(*(publish(bus, claim(number), 1) for number in range(200)))
    await eventually(lambda: len(seen) == 200)
    await replicas.end()
    await until_idle(bus.work_queue(GROUP, [CLAIMS]))


async def test_no_lock_is_taken_while_others_put_theirs_back_after_a_reconnect(bus: Bus) -> None:
    locks = Locks(bus._connection, GROUP)
    locks.after_reconnect()
    began = time.monotonic()
    assert await locks.take(claim(1)) is not None
    assert time.monotonic() - began >= bus._connection.config.work.settle_after_reconnect


async def test_a_handler_never_sees_less_than_what_was_delivered(
    bus: Bus, connect: Connect, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a cluster, a leader that was just elected may answer with an older state; the newer would be lost if it counted."""
    await publish(bus, claim(1), 1)
    older = await bus.latest(claim(1))
    await publish(bus, claim(1), 2)

    async def lagging(*_: Any) -> Any:
        return older

    monkeypatch.setattr("conductor_bus.workqueue.latest", lagging)
    register, replicas = Register(), Replicas(connect)
    await replicas.start(register.handler(0, lambda: 0.0))
    await eventually(lambda: register.last_version)
    await replicas.end()
    assert register.last_version == {claim(1): 2}
