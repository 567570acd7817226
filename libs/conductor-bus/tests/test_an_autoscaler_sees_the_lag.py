"""KEDA's ``nats-jetstream`` scaler reads how much work there is, from the monitoring endpoint of a real nats-server.

What it does (pkg/scalers/nats_jetstream_scaler.go of KEDA 2): GET ``/jsz?acc=<account>&consumers=true&config=true``, finds
the account, the stream and the consumer by name, and adds ``num_pending`` and ``num_ack_pending``. In a cluster it asks
the servers of ``/varz`` for the one that leads the consumer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from conductor_bus import Bus, BusConfig, Done, RequeueAfter, Result, Work
from conductor_dev.broker import BinaryNats
from conductor_dev.broker_cluster import NatsCluster
from conductor_model.refs import GroupKind, ObjectKey

RESOURCES = GroupKind("database.aws.conductor.io", "RDSInstance")
ACCOUNT, STREAM, CONSUMER = "$G", "CONDUCTOR_OBJECTS", "aws-provisioner"
"""As docs/scaling.md has them."""
MANY = 200

Eventually = Callable[..., Awaitable[None]]


def consumer_at(endpoint: str) -> dict[str, Any]:
    url = f"{endpoint}/jsz?acc={ACCOUNT}&consumers=true&config=true"
    answer = requests.get(url, timeout=10).json()
    for account in answer.get("account_details", []):
        for stream in account.get("stream_detail", []):
            for consumer in stream.get("consumer_detail", []):
                if (account["name"], stream["name"], consumer["name"]) == (ACCOUNT, STREAM, CONSUMER):
                    return dict(consumer)
    return {}


async def publish_all(bus: Bus) -> None:
    await asyncio.gather(
        *(
            bus.publisher("/w").publish(
                ObjectKey(RESOURCES, "conductor-system", f"db-{number}"),
                "uid",
                "1",
                b"{}",
                expected_sequence=None,
                claim_namespace="team-a",
            )
            for number in range(MANY)
        )
    )


@pytest.mark.parametrize("servers", [1, 3])
async def test_the_lag_rises_with_work_falls_with_its_end_and_does_not_count_what_waits_for_its_time(
    tmp_path: Path, eventually: Eventually, servers: int
) -> None:
    with BinaryNats.create(tmp_path) if servers == 1 else NatsCluster.create(tmp_path, servers) as nats:
        bus = await Bus.connect(nats.url, name="t", config=replace(BusConfig(), replicas=servers))
        stop, go_on = asyncio.Event(), asyncio.Event()
        asked: set[ObjectKey] = set()

        async def handle(work: Work) -> Result:
            await go_on.wait()
            if work.key in asked:
                return Done()
            asked.add(work.key)
            return RequeueAfter(600)

        await bus.ensure()
        running = asyncio.create_task(bus.work_queue(CONSUMER, [RESOURCES], concurrency=4).run(handle, stop))
        endpoints = [each.monitoring_url for each in nats.servers] if isinstance(nats, NatsCluster) else []
        if isinstance(nats, BinaryNats):
            endpoints = [nats.monitoring_url]

        async def lag() -> int:
            """By the server that leads the consumer, as KEDA finds it."""
            for endpoint in endpoints:
                consumer = await asyncio.to_thread(consumer_at, endpoint)
                leader = consumer.get("cluster", {}).get("leader")
                if consumer and (leader is None or endpoints.index(endpoint) == int(leader[-1])):
                    return int(consumer["num_pending"] + consumer["num_ack_pending"])
            return -1

        async def lag_becomes(expected: int) -> None:
            async with asyncio.timeout(60):
                while await lag() != expected:  # noqa: ASYNC110  # the broker tells only when asked
                    await asyncio.sleep(0.05)

        try:
            await lag_becomes(0)
            await publish_all(bus)
            await lag_becomes(MANY)
            go_on.set()
            # Each object has a timer now, which is nobody's work yet.
            await lag_becomes(0)
            await eventually(lambda: len(asked) == MANY)
        finally:
            stop.set()
            go_on.set()
            await running
            await bus.close()
