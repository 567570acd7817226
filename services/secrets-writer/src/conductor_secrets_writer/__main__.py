"""Runs the secrets-writer: ``python -m conductor_secrets_writer``. Any number of replicas share the work."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from datetime import UTC, datetime

from conductor_bus import Bus, BusConfig, WorkMetrics
from conductor_kube import EventRecorder, KubeClient, StatusWriter
from conductor_secrets_writer import VERSION
from conductor_secrets_writer.config import Settings
from conductor_secrets_writer.handle import ClaimHandler, Parts
from conductor_secrets_writer.instruments import Instruments
from conductor_secrets_writer.memory import RecentWrites
from conductor_secrets_writer.publish import FIELD_MANAGER, ConnectionPublisher
from conductor_secrets_writer.related import HANDLED_KINDS, related
from conductor_telemetry import Service, service

GROUP = "secrets-writer"


async def run(settings: Settings, bus_config: BusConfig) -> None:
    async with (
        service(GROUP, version=VERSION) as here,
        await KubeClient.open(user_agent=FIELD_MANAGER) as client,
    ):
        connected: Bus | None = None

        async def connect() -> None:
            nonlocal connected
            url = os.environ.get("NATS_URL", "nats://127.0.0.1:4222")
            bus = await Bus.connect(url, name=FIELD_MANAGER, config=bus_config)
            connected = bus
            await bus.ensure()

        here.ready("connected", lambda: connected is not None)
        try:
            await here.until_stopped(connect())
            if connected is not None and not here.stop.is_set():
                await _work(here, settings, client, connected)
        finally:
            if connected is not None:
                await connected.close()


async def _work(here: Service, settings: Settings, client: KubeClient, bus: Bus) -> None:
    instruments = Instruments(here.registry)
    events = EventRecorder(client, controller=FIELD_MANAGER)
    queue = bus.work_queue(GROUP, HANDLED_KINDS, key=related)
    here.registry.register(WorkMetrics(queue))
    here.ready("work queue", lambda: queue.receiving)
    handler = ClaimHandler(
        Parts(
            bus=bus,
            client=client,
            status=StatusWriter(client, field_manager=FIELD_MANAGER),
            events=events,
            publisher=ConnectionPublisher(client, instruments),
            instruments=instruments,
            recent=RecentWrites(time.monotonic),
            settings=settings,
            now=lambda: datetime.now(UTC),
            spread=lambda: random.uniform(-1, 1),  # noqa: S311
        )
    )
    try:
        await queue.run(handler, here.stop)
    finally:
        await events.close()


def main() -> int:
    try:
        settings = Settings.from_environment(os.environ)
        bus_config = BusConfig.from_environment(os.environ)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    asyncio.run(run(settings, bus_config))
    return 0


if __name__ == "__main__":
    sys.exit(main())
