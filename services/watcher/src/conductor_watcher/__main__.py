"""Runs the watcher: ``python -m conductor_watcher``. One replica leads, the others stand by."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime

from conductor_bus import Bus, BusConfig
from conductor_kube import KubeClient, LeaderElector, Leadership, NoCluster, watched_namespaces
from conductor_model.kinds import WATCHED_KINDS
from conductor_telemetry import Service, service
from conductor_watcher import VERSION
from conductor_watcher.loop import Watcher
from conductor_watcher.metrics import Metrics

NAME = "conductor-watcher"


def _now() -> datetime:
    return datetime.now(UTC)


async def run() -> None:
    async with (
        service("watcher", version=VERSION) as here,
        await KubeClient.open(user_agent=NAME) as kube,
    ):
        await here.until_stopped(_watch(here, kube))


async def _watch(here: Service, kube: KubeClient) -> None:
    bus = await Bus.connect(
        os.environ.get("NATS_URL", "nats://127.0.0.1:4222"),
        name=NAME,
        config=BusConfig.from_environment(os.environ),
    )
    try:
        watcher = Watcher(
            kube,
            bus,
            Metrics(here.registry),
            WATCHED_KINDS,
            namespaces=watched_namespaces(os.environ),
            now=_now,
        )
        here.ready("bus", lambda: bus.connected)
        here.ready("first sync", lambda: not watcher.leading or watcher.synced)

        async def lead(leadership: Leadership) -> None:
            await watcher.run(leadership.still_leading)

        namespace = os.environ.get("CONDUCTOR_NAMESPACE", "conductor-system")
        await LeaderElector(kube, namespace=namespace, name=NAME).run(lead)
    finally:
        await bus.close()


def main() -> int:
    try:
        asyncio.run(run())
    except NoCluster as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
