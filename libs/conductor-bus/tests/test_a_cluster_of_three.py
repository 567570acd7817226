"""Three real nats-servers with streams on all of them: any one may be lost, and nothing is, and nothing is done by two."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conductor_bus import Bus, BusConfig, Done, Lag, Result, StreamLost, Superseded, Unavailable, Work
from conductor_bus.connection import Connection, NotThere
from conductor_dev.broker_cluster import NatsCluster
from conductor_model.refs import GroupKind, ObjectKey

CLAIMS = GroupKind("storage.conductor.io", "MySQLInstance")
GROUP = "aws-provisioner"
CLUSTERED = replace(BusConfig(), replicas=3)
OBJECTS = 10

Eventually = Callable[..., Awaitable[None]]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[NatsCluster]:
    with NatsCluster.create(tmp_path, 3) as cluster:
        yield cluster


def claim(number: int) -> ObjectKey:
    return ObjectKey(CLAIMS, "team-a", f"db-{number}")


async def publish(bus: Bus, key: ObjectKey, version: int, sequence: int) -> int:
    """As the watcher does: over the message that it knows, until that is stored; the new sequence."""
    async with asyncio.timeout(120):
        while True:
            try:
                return await bus.publisher("/w").publish(
                    key, "uid", str(version), b"{}", expected_sequence=sequence
                )
            except Superseded:
                # Only another of our own can have been there first: its answer was lost.
                present = await bus.latest(key)
                assert present is not None
                sequence = present.sequence
            except (Unavailable, StreamLost):
                await asyncio.sleep(0.05)


class Overlaps:
    """Handlers of all replicas say when they begin and end; versions must not go back."""

    def __init__(self) -> None:
        self.at_work: Counter[ObjectKey] = Counter()
        self.together: list[ObjectKey] = []
        self.seen: dict[ObjectKey, int] = {}

    async def handle(self, work: Work) -> Result:
        if self.at_work[work.key]:
            self.together.append(work.key)
        self.at_work[work.key] += 1
        try:
            await asyncio.sleep(0.01)
            if work.message is not None:
                self.seen[work.key] = int(work.message.resource_version)
        finally:
            self.at_work[work.key] -= 1
        return Done()


async def test_any_server_may_be_lost_while_work_flows(cluster: NatsCluster, eventually: Eventually) -> None:
    overlaps, stop = Overlaps(), asyncio.Event()
    async with AsyncExitStack() as stack:

        async def connect() -> Bus:
            bus = await Bus.connect(cluster.url, name="test", config=CLUSTERED)
            stack.push_async_callback(bus.close)
            return bus

        watcher = await connect()
        await watcher.ensure()
        running = [
            asyncio.create_task((await connect()).work_queue(GROUP, [CLAIMS]).run(overlaps.handle, stop))
            for _ in range(2)
        ]
        sequences, version = dict.fromkeys(range(OBJECTS), 0), 0

        async def change_all() -> None:
            nonlocal version
            version += 1
            published = await asyncio.gather(
                *(publish(watcher, claim(number), version, sequences[number]) for number in range(OBJECTS))
            )
            sequences.update(enumerate(published))

        leader = await asyncio.to_thread(cluster.leader_of, CLUSTERED.stream)
        assert leader is not None
        followers = [server for server in cluster.servers if server is not leader]
        for lost in (leader, *followers):
            await change_all()
            lost.kill()
            for _ in range(3):
                await change_all()
            # With one of three lost, all work is done by the other two.
            await eventually(
                lambda: overlaps.seen == {claim(number): version for number in range(OBJECTS)}, within=120
            )
            await asyncio.to_thread(lost.start)
        queue = watcher.work_queue(GROUP, [CLAIMS])
        async with asyncio.timeout(120):
            while await queue.lag() != Lag(0, 0):  # noqa: ASYNC110  # the broker tells only when asked
                await asyncio.sleep(0.05)
        for number in range(OBJECTS):
            message = await watcher.latest(claim(number))
            assert message is not None
            assert int(message.resource_version) == version
        stop.set()
        await asyncio.gather(*running)
    assert overlaps.together == []


async def test_a_stream_that_another_is_making_is_waited_for(
    cluster: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster refuses its name a moment before any of its servers serves it."""
    made = await Bus.connect(cluster.url, name="first", config=CLUSTERED)
    await made.ensure()
    late = await Bus.connect(cluster.url, name="late", config=CLUSTERED)
    asked, stream_info = 0, Connection.stream_info

    async def not_there_yet(connection: Connection, stream: str) -> Any:
        nonlocal asked
        asked += 1
        if asked <= 2:
            raise NotThere("not served yet")
        return await stream_info(connection, stream)

    monkeypatch.setattr(Connection, "stream_info", not_there_yet)
    async with asyncio.timeout(60):
        await late.ensure()
    assert asked > 2
    await made.close()
    await late.close()
