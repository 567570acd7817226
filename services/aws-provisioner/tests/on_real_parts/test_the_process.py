"""``python -m conductor_aws_provisioner`` as a process of its own, with the chart's rights."""

from __future__ import annotations

import asyncio
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from conductor_dev.api import NAMESPACE
from conductor_telemetry.testing import SpanCollector

pytestmark = pytest.mark.integration

StartService = Callable[..., Any]


class Running:
    """A process of the service, and what it says over HTTP."""

    def __init__(self, process: asyncio.subprocess.Process, address_file: Path, log: Path) -> None:
        self.process = process
        self._address_file = address_file
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    async def get(self, path: str) -> tuple[int, str]:
        """Status 0: it does not listen (yet)."""

        def ask() -> tuple[int, str]:
            try:
                address = self._address_file.read_text().strip()
                with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()
            except OSError:
                return 0, ""

        return await asyncio.to_thread(ask)

    async def becomes_ready(self) -> None:
        deadline = time.monotonic() + 30
        while (await self.get("/readyz"))[0] != 200:
            assert self.process.returncode is None, self.log
            assert time.monotonic() < deadline, self.log
            await asyncio.sleep(0.05)

    async def stops(self) -> int:
        self.process.terminate()
        try:
            return await asyncio.wait_for(self.process.wait(), 20)
        except TimeoutError:
            raise AssertionError(f"it does not stop: {self.log}") from None


@pytest.fixture
def start_service(real: Any, provisioner_kubeconfig: Path, tmp_path: Path) -> Callable[..., Any]:
    @asynccontextmanager
    async def start(**extra: str) -> AsyncIterator[Running]:
        address_file, log = tmp_path / "address", tmp_path / "log"
        environment = {
            "PATH": os.environ["PATH"],
            **real.moto.service_environment,
            "KUBECONFIG": str(provisioner_kubeconfig),
            "NATS_URL": real.nats.url,
            "CONDUCTOR_HTTP_ADDRESS": "127.0.0.1:0",
            "CONDUCTOR_HTTP_ADDRESS_FILE": str(address_file),
            "CONDUCTOR_LOG_FORMAT": "json",
            "CONDUCTOR_LOG_LEVEL": "debug",
            "CONDUCTOR_AWS_POLL_PENDING": "1s",
            "CONDUCTOR_AWS_SETTLE_DELETED": "1s",
            **extra,
        }
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "conductor_aws_provisioner",
                env=environment,
                stdout=output,
                stderr=output,
            )
        try:
            yield Running(process, address_file, log)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    return start


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
