"""Runs the scheduler: ``python -m conductor_scheduler``. One replica leads, the others stand by."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

from conductor_bus import Bus, BusConfig
from conductor_kube import KubeClient, LeaderElector, Leadership, watched_namespaces
from conductor_scheduler import VERSION
from conductor_scheduler.config import ConfigError
from conductor_scheduler.explain_access import AUDIENCE, Authorize, ByReviews, anybody
from conductor_scheduler.explain_http import Explainer
from conductor_scheduler.explain_server import Certificate, is_loopback, serve
from conductor_scheduler.loop import KINDS, NotLeading, Scheduler
from conductor_scheduler.metrics import Metrics
from conductor_scheduler.reload import PolicyFile
from conductor_scheduler.standby import StandingBy
from conductor_telemetry import Service, service

log = logging.getLogger("conductor_scheduler")
NAME = "conductor-scheduler"

Explained = Callable[[Scheduler], AbstractAsyncContextManager[object]]
"""What is entered while this replica leads: explanations are then given by what the scheduler itself sees."""


def _now() -> datetime:
    return datetime.now(UTC)


async def run(policies: PolicyFile) -> None:
    async with (
        service("scheduler", version=VERSION) as here,
        await KubeClient.open(user_agent=NAME, namespaces=watched_namespaces(os.environ)) as kube,
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
        namespace = os.environ.get("CONDUCTOR_NAMESPACE", "conductor-system")
        elector = LeaderElector(kube, namespace=namespace, name=NAME)
        async with _explaining(kube, bus, policies) as explained, asyncio.TaskGroup() as tasks:
            # Not before it listens to those who ask: what waits for it to be ready may be one of them.
            here.ready("bus", lambda: bus.connected)

            async def lead(leadership: Leadership) -> None:
                await _lead(here, kube, bus, policies, metrics, explained, leadership)

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
    explained: Explained,
    leadership: Leadership,
) -> None:
    metrics.leading.set(1)
    scheduler = Scheduler(kube, policies.policy, metrics, leading=leadership.still_leading, now=_now)
    stop_telling = policies.tell(scheduler.adopt)
    here.ready("caught up", lambda: scheduler.caught_up)
    try:
        async with explained(scheduler):
            await scheduler.run(bus.follow(KINDS))
    except* NotLeading:
        log.warning("the lease may have passed on: standing by")
    finally:
        stop_telling()
        metrics.leading.set(0)
        here.ready("caught up", lambda: True)


@asynccontextmanager
async def _explaining(kube: KubeClient, bus: Bus, policies: PolicyFile) -> AsyncIterator[Explained]:
    """Explanations, served if there is an address for them, by what this replica sees as it stands by."""
    address = os.environ.get("CONDUCTOR_EXPLAIN_ADDRESS")
    if address is None:
        yield lambda _: nullcontext()
        return
    explainer = Explainer(_authorize(kube, address))
    folder = os.environ.get("CONDUCTOR_EXPLAIN_TLS_DIR")
    certificate = Certificate(Path(folder)) if folder else None
    runner = await serve(explainer.application(), address, certificate.context if certificate else None)
    _announce(*runner.addresses[0][:2])
    standing_by = StandingBy(lambda: bus.follow(KINDS), lambda: policies.policy, explainer.look_through)

    @asynccontextmanager
    async def explained(scheduler: Scheduler) -> AsyncIterator[None]:
        await standing_by.end()
        explainer.look_through(scheduler)
        try:
            yield
        finally:
            standing_by.begin()

    standing_by.begin()
    renewal = asyncio.create_task(certificate.follow()) if certificate else None
    try:
        yield explained
    finally:
        if renewal is not None:
            renewal.cancel()
        await standing_by.end()
        await runner.cleanup()


def _announce(host: str, port: int) -> None:
    log.info("explanations are served at %s:%d", host, port)
    if file := os.environ.get("CONDUCTOR_EXPLAIN_ADDRESS_FILE"):
        Path(file).write_text(f"{host}:{port}\n", encoding="utf-8")


def _authorize(kube: KubeClient, address: str) -> Authorize:
    if os.environ.get("CONDUCTOR_EXPLAIN_AUTHENTICATION") == "none":
        if not is_loopback(address.rpartition(":")[0].strip("[]")):
            raise ValueError("CONDUCTOR_EXPLAIN_AUTHENTICATION=none is for addresses of this machine alone")
        return anybody
    audiences = os.environ.get("CONDUCTOR_EXPLAIN_AUDIENCES", AUDIENCE)
    return ByReviews(kube, [each.strip() for each in audiences.split(",") if each.strip()])


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
