"""``python -m conductor_secrets_writer`` with its own rights: works, is observed, stops when told to."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from conductor_bus import BusConfig
from conductor_dev.broker import Nats
from conductor_dev.waiting import wait_until
from conductor_model.kinds import MYSQL_INSTANCE, RDS_INSTANCE
from conductor_telemetry.testing import SpanCollector

pytestmark = pytest.mark.integration


@dataclass
class Replica:
    process: subprocess.Popen[bytes]
    log: Path
    address_file: Path

    def get(self, path: str) -> str:
        address = wait_until("the service says where it listens", self._address)
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def _address(self) -> str | None:
        assert self.process.poll() is None, self.log.read_text()
        return self.address_file.read_text().strip() if self.address_file.exists() else None


@pytest.fixture
def spans() -> Iterator[SpanCollector]:
    with SpanCollector() as collector:
        yield collector


@pytest.fixture
def replica(
    service_kubeconfig: Path, nats_server: Nats, bus_config: BusConfig, spans: SpanCollector, tmp_path: Path
) -> Iterator[Replica]:
    log, address_file = tmp_path / "service.log", tmp_path / "address"
    environment = {
        "PATH": os.environ["PATH"],
        "KUBECONFIG": str(service_kubeconfig),
        "NATS_URL": nats_server.url,
        "CONDUCTOR_BUS_PREFIX": bus_config.prefix,
        "CONDUCTOR_HTTP_ADDRESS": "127.0.0.1:0",
        "CONDUCTOR_HTTP_ADDRESS_FILE": str(address_file),
        "CONDUCTOR_LOG_LEVEL": "debug",
        "OTEL_EXPORTER_OTLP_ENDPOINT": spans.url,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "conductor_secrets_writer"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    yield Replica(process, log, address_file)
    process.kill()
    process.wait()


async def until_ready(world, replica: Replica) -> None:
    deadline = time.monotonic() + 60
    while world.ready().get("status") != "True":
        assert replica.process.poll() is None, replica.log.read_text()
        assert time.monotonic() < deadline, world.ready()
        await asyncio.sleep(0.05)


async def test_a_message_of_the_resource_makes_its_claim_ready(world, make_database, replica, spans):
    """First the claim's message, when the resource is not known; then the resource's, which has to be enough."""
    database = make_database()
    claim = world.bound_claim(database)
    await world.tell(MYSQL_INSTANCE, "orders")
    await world.tell(RDS_INSTANCE, database.name)

    await until_ready(world, replica)

    assert world.secret()["password"] == database.password
    assert '"bus"' not in await asyncio.to_thread(replica.get, "/readyz")
    metrics = await asyncio.to_thread(replica.get, "/metrics")
    assert 'conductor_claim_time_to_ready_seconds_count{kind="MySQLInstance"} 1.0' in metrics
    assert 'conductor_connection_writes_total{kind="Secret",outcome="created"} 1.0' in metrics

    replica.process.terminate()
    assert await asyncio.to_thread(replica.process.wait, 20) == 0
    (published,) = [span for span in spans.spans() if span.name == "publish connection MySQLInstance"]
    assert published.attributes["conductor.uid"] == claim["metadata"]["uid"]
    everything = replica.log.read_text() + metrics + repr(spans.spans())
    assert database.password not in everything
    assert world.secret()["uri"] not in everything


def test_a_setting_that_makes_no_sense_stops_the_start():
    environment = {"PATH": os.environ["PATH"], "CONDUCTOR_SECRETS_WRITER_RESYNC": "soon"}
    done = subprocess.run(
        [sys.executable, "-m", "conductor_secrets_writer"],
        env=environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert b"CONDUCTOR_SECRETS_WRITER_RESYNC" in done.stderr
