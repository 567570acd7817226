"""``python -m conductor_aws_provisioner`` as a process of its own, with the chart's rights."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from conductor_dev.api import NAMESPACE
from conductor_telemetry.testing import SpanCollector

pytestmark = pytest.mark.integration

StartService = Callable[..., Any]


async def test_it_provisions_with_the_charts_rights_and_stops_when_told(
    real: Any, start_service: StartService
) -> None:
    real.moto.set_rds_delay(1)
    with SpanCollector() as collector:
        async with start_service(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as service:
            await service.becomes_ready()
            await real.apply(rebindPolicy="Delete")
            await real.until_ready()
            (instance,) = (await real.instances()).values()
            password = await real.password()
            _, metrics = await service.get("/metrics")
            await real.delete()
            await real.until_gone()

            assert await service.stops() == 0

        spans = {span.name: span for span in collector.spans()}
    cluster = await asyncio.to_thread(real.api.get, NAMESPACE, None, "kube-system")
    tags = {tag["Key"]: tag["Value"] for tag in instance["TagList"]}
    assert tags["conductor.io/cluster-id"] == cluster["metadata"]["uid"]
    assert await real.instances() == {}
    assert (
        'conductor_external_calls_total{account="ambient",action="CreateDBInstance",outcome="OK"} 1.0'
        in metrics
    )
    assert 'conductor_reconciles_total{kind="RDSInstance",result="Done"}' in metrics
    create = spans["aws CreateDBInstance"]
    assert create.attributes["conductor.external.name"] == instance["DBInstanceIdentifier"]
    assert create.parent_id, "it is part of the handling of a message"
    assert password not in service.log
    assert password not in metrics
    assert password not in str(spans)


async def test_it_waits_for_a_broker_that_is_not_there_yet_and_can_be_stopped_meanwhile(
    real: Any, start_service: StartService
) -> None:
    real.nats.kill()
    async with start_service() as service:

        async def listening() -> bool:
            return bool((await service.get("/healthz"))[0] == 200)

        await real.eventually("the service listens", listening)
        assert (await service.get("/readyz"))[0] == 503
        assert await service.stops() == 0


async def test_a_setting_that_cannot_be_read_is_named(start_service: StartService) -> None:
    async with start_service(CONDUCTOR_AWS_POLL_PENDING="often") as service:
        assert await asyncio.wait_for(service.process.wait(), 20) == 2
        assert "CONDUCTOR_AWS_POLL_PENDING: 'often' is not a duration" in service.log
