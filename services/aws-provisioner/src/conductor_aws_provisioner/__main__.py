"""Runs the service: ``python -m conductor_aws_provisioner``. Any number of replicas may run; they share the work.

| variable | meaning | default |
|---|---|---|
| ``NATS_URL`` | the bus | ``nats://127.0.0.1:4222`` |
| ``KUBECONFIG`` | the cluster | the one that the pod runs in |
| ``AWS_REGION`` | the region | ``AWS_DEFAULT_REGION``, the AWS configuration file |
| ``AWS_ENDPOINT_URL``, credentials | as boto3 reads them | boto3's default chain |
| ``CONDUCTOR_CLUSTER_ID`` | what tells this cluster's DB instances from others' | uid of the namespace kube-system |
| ``CONDUCTOR_AWS_POLL_PENDING`` | between looks while RDS is busy | ``10s`` |
| ``CONDUCTOR_AWS_POLL_SETTLED`` | between looks otherwise | ``10m`` |
| ``CONDUCTOR_AWS_SETTLE_DELETED`` | after a deletion, a late create is waited for | ``90s`` |

Those of ``conductor_telemetry.service`` come on top.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from conductor_aws_provisioner import VERSION
from conductor_aws_provisioner.credentials import new_password
from conductor_aws_provisioner.errors import AwsError
from conductor_aws_provisioner.kube import FIELD_MANAGER, KubeCluster
from conductor_aws_provisioner.metrics import Metrics
from conductor_aws_provisioner.rds import RDSDriver
from conductor_aws_provisioner.reconcile import Reconciler
from conductor_aws_provisioner.settings import Settings
from conductor_bus import Bus, BusConfig, BusError, WorkMetrics
from conductor_kube import EventRecorder, KubeClient, KubeError, RetryableError, StatusWriter
from conductor_kube.backoff import Backoff
from conductor_kube.builtin import NAMESPACES
from conductor_model.kinds import RDS_INSTANCE
from conductor_model.meta import KubeObject
from conductor_telemetry import Service, service

NAME = "aws-provisioner"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Connections:
    """What the service waits for before it works."""

    bus: Bus
    cluster_id: str


async def run(settings: Settings) -> None:
    """Works until told to stop."""
    async with (
        service(NAME, version=VERSION) as here,
        await KubeClient.open(user_agent=FIELD_MANAGER) as client,
    ):
        connections: Connections | None = None

        async def connect() -> None:
            nonlocal connections
            cluster_id = settings.cluster_id or await _cluster_id(client)
            config = BusConfig.from_environment(os.environ)
            bus = await Bus.connect(settings.nats_url, name=FIELD_MANAGER, config=config)
            connections = Connections(bus, cluster_id)

        here.ready("connected", lambda: connections is not None)
        await here.until_stopped(connect())
        if connections is not None:
            await _work(here, settings, client, connections)


async def _work(here: Service, settings: Settings, client: KubeClient, connections: Connections) -> None:
    metrics = Metrics(here.registry)
    driver = RDSDriver.open(metrics, here.tracer, region=settings.region)
    queue = connections.bus.work_queue(NAME, [RDS_INSTANCE.group_kind])
    here.registry.register(WorkMetrics(queue))
    here.ready("work queue", lambda: queue.receiving)
    events = EventRecorder(client, controller=FIELD_MANAGER)
    reconciler = Reconciler(
        KubeCluster(client, StatusWriter(client, field_manager=FIELD_MANAGER), events),
        driver,
        cluster_id=connections.cluster_id,
        poll=settings.poll,
        settle_deleted=settings.settle_deleted,
        metrics=metrics,
        now=lambda: datetime.now(UTC),
        monotonic=time.monotonic,
        random=random.random,
        new_password=new_password,
    )
    try:
        await queue.run(reconciler.handle, here.stop)
    finally:
        await events.close()
        await connections.bus.close()
        driver.close()


async def _cluster_id(client: KubeClient) -> str:
    """However long the API server takes to answer."""
    backoff = Backoff()
    while True:
        try:
            return KubeObject.model_validate_json(await client.get(NAMESPACES, None, "kube-system")).uid
        except RetryableError as error:
            log.warning("the cluster's id is not known yet: %s", error)
            await asyncio.sleep(backoff.next())


def main() -> int:
    try:
        asyncio.run(run(Settings.from_environment(os.environ)))
    except (ValueError, AwsError, BusError, KubeError) as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
