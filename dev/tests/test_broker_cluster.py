"""Three NATS servers that are one broker, of which each can be killed and started by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nats
import pytest
from nats.js.api import StreamConfig

from conductor_dev.broker_cluster import NatsCluster
from conductor_dev.waiting import wait_until


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[NatsCluster]:
    with NatsCluster.create(tmp_path, 3) as cluster:
        yield cluster


async def make_stream(cluster: NatsCluster) -> None:
    client = await nats.connect(cluster.url.split(","))
    config = StreamConfig(name="S", subjects=["s"], num_replicas=3)
    await client.jetstream().add_stream(config)
    await client.jetstream().publish("s", b"kept")
    await client.close()


async def stored(cluster: NatsCluster) -> list[str]:
    client = await nats.connect(cluster.url.split(","))
    try:
        return [info.config.name or "" for info in await client.jetstream().streams_info()]
    finally:
        await client.close()


async def test_a_stream_has_another_leader_when_its_leader_is_killed(cluster: NatsCluster) -> None:
    await make_stream(cluster)
    first = cluster.leader_of("S")
    assert first is not None
    first.kill()
    wait_until("another leads", lambda: cluster.leader_of("S") not in (None, first), timeout=60)
    first.start()
    assert all(server.part.alive for server in cluster.servers)
    assert await stored(cluster) == ["S"]


async def test_a_wipe_takes_what_all_of_them_have(cluster: NatsCluster) -> None:
    await make_stream(cluster)
    cluster.wipe()
    assert await stored(cluster) == []
