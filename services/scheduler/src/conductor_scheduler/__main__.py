"""Runs the scheduler: ``python -m conductor_scheduler``. One replica leads, the others stand by."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from conductor_bus import Bus, BusConfig
from conductor_kube import KubeClient, LeaderElector, Leadership
from conductor_scheduler import VERSION
from conductor_scheduler.config import ConfigError
from conductor_scheduler.explain_http import (
    Authorize,
    ByReviews,
    Explainer,
    anybody,
    lease_holder,
    serve,
)
from conductor_scheduler.loop import KINDS, NotLeading, Scheduler
from conductor_scheduler.metrics import Metrics
from conductor_scheduler.reload import PolicyFile
from conductor_telemetry import Service, service

log = logging.getLogger("conductor_scheduler")
NAME = "conductor-scheduler"


def _now() -> datetime:
    return datetime.now(UTC)


async def run(policies: PolicyFile) -> None:
    async with (
        service("scheduler", version=VERSION) as here,
        await KubeClient.open(user_agent=NAME) as kube,
    ):
        await here.until_stopped(_schedule(here, kube, policies))


async def _schedule(here: Service, kube: KubeClient, policies: PolicyFile) -> None:
    bus = await Bus.connect(
        os.environ.get("NATS_URL", "nats://127.0.0.1:4222"),
        name=NAME,
        config=BusConfig.from_environment(os.environ),
    )
    try:
        await bus.ensure()
        metrics = Metrics(here.registry)
        here.ready("bus", lambda: bus.connected)
        namespace = os.environ.get("CONDUCTOR_NAMESPACE", "conductor-system")
        elector = LeaderElector(kube, namespace=namespace, name=NAME)
        async with _explaining(kube, namespace) as explainer, asyncio.TaskGroup() as tasks:

            async def lead(leadership: Leadership) -> None:
                await _lead(here, kube, bus, policies, metrics, explainer, leadership)

            tasks.create_task(policies.follow(metrics))
            while True:
                await elector.run(lead)
    finally:
        await bus.close()


async def _lead(
    here: Service,
    kube: KubeClient,
    bus: Bus,
    policies: PolicyFile,
    metrics: Metrics,
    explainer: Explainer,
    leadership: Leadership,
) -> None:
    metrics.leading.set(1)
    scheduler = Scheduler(kube, policies.policy, metrics, leading=leadership.still_leading, now=_now)
    stop_telling = policies.tell(scheduler.adopt)
    explainer.lead(scheduler)
    here.ready("caught up", lambda: scheduler.caught_up)
    try:
        await scheduler.run(bus.follow(KINDS))
    except* NotLeading:
        log.warning("the lease may have passed on: standing by")
    finally:
        explainer.stand_by()
        stop_telling()
        metrics.leading.set(0)
        here.ready("caught up", lambda: True)


@asynccontextmanager
async def _explaining(kube: KubeClient, namespace: str) -> AsyncIterator[Explainer]:
    """The explanations, served if there is an address for them."""
    address = os.environ.get("CONDUCTOR_EXPLAIN_ADDRESS")
    authorize: Authorize = ByReviews(kube)
    if os.environ.get("CONDUCTOR_EXPLAIN_AUTHENTICATION") == "none":
        if address is not None and not address.startswith(("127.0.0.1:", "localhost:", "[::1]:")):
            raise ValueError("CONDUCTOR_EXPLAIN_AUTHENTICATION=none is for addresses of this machine alone")
        authorize = anybody
    explainer = Explainer(authorize, lease_holder(kube, namespace, NAME))
    if address is None:
        yield explainer
        return
    runner = await serve(explainer.application(), address)
    log.info("explanations are served at %s", runner.addresses[0][:2])
    try:
        yield explainer
    finally:
        await runner.cleanup()


def main() -> int:
    path = os.environ.get("CONDUCTOR_SCHEDULER_CONFIG")
    try:
        policies = PolicyFile(Path(path) if path else None)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    asyncio.run(run(policies))
    return 0


if __name__ == "__main__":
    sys.exit(main())
