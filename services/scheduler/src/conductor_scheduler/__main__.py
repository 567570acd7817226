"""Runs the scheduler: ``python -m conductor_scheduler``. One replica leads, the others stand by."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from conductor_bus import Bus, BusConfig
from conductor_kube import KubeClient, LeaderElector, Leadership
from conductor_scheduler import VERSION
from conductor_scheduler.config import ConfigError, SchedulerConfig, load
from conductor_scheduler.loop import KINDS, NotLeading, Scheduler
from conductor_scheduler.metrics import Metrics
from conductor_scheduler.policy import Policy
from conductor_telemetry import Service, service

log = logging.getLogger("conductor_scheduler")
NAME = "conductor-scheduler"


def _now() -> datetime:
    return datetime.now(UTC)


async def run(config: SchedulerConfig) -> None:
    async with (
        service("scheduler", version=VERSION) as here,
        await KubeClient.open(user_agent=NAME) as kube,
    ):
        await here.until_stopped(_schedule(here, kube, config))


async def _schedule(here: Service, kube: KubeClient, config: SchedulerConfig) -> None:
    bus = await Bus.connect(
        os.environ.get("NATS_URL", "nats://127.0.0.1:4222"),
        name=NAME,
        config=BusConfig.from_environment(os.environ),
    )
    try:
        await bus.ensure()
        metrics = Metrics(here.registry)
        here.ready("bus", lambda: bus.connected)

        async def lead(leadership: Leadership) -> None:
            metrics.leading.set(1)
            try:
                scheduler = Scheduler(
                    kube, Policy(config), metrics, leading=leadership.still_leading, now=_now
                )
                here.ready("caught up", lambda: scheduler.caught_up)
                await scheduler.run(bus.follow(KINDS))
            except* NotLeading:
                log.warning("the lease may have passed on: standing by")
            finally:
                metrics.leading.set(0)
                here.ready("caught up", lambda: True)

        namespace = os.environ.get("CONDUCTOR_NAMESPACE", "conductor-system")
        elector = LeaderElector(kube, namespace=namespace, name=NAME)
        while True:
            await elector.run(lead)
    finally:
        await bus.close()


def main() -> int:
    path = os.environ.get("CONDUCTOR_SCHEDULER_CONFIG")
    try:
        config = load(Path(path) if path else None)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    asyncio.run(run(config))
    return 0


if __name__ == "__main__":
    sys.exit(main())
