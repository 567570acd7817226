"""The driver against moto's RDS, and against answers that moto does not give."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry, generate_latest

from conductor_aws_provisioner.errors import Terminal, Throttled, Transient
from conductor_aws_provisioner.external import (
    NOTHING,
    Configuration,
    FinalSnapshot,
    MasterCredentials,
    NewInstance,
)
from conductor_aws_provisioner.metrics import Metrics
from conductor_aws_provisioner.rds import RDSDriver
from conductor_dev.aws import REGION, Moto

NAME = "conductor-0123456789abcdef01234567"
PASSWORD = "a-password-to-be-looked-for"
MASTER = MasterCredentials("masteruser", PASSWORD)
NEW = NewInstance(
    identifier=NAME,
    engine="mysql",
    configuration=Configuration(
        instance_type="db.m4.xlarge",
        allocated_storage=50,
        multizone=True,
        deletion_protection=False,
        security_groups=frozenset({"sg-1", "sg-2"}),
        publicly_accessible=False,
        engine_version="8.0.35",
    ),
    storage_encrypted=False,
    tags={"conductor.io/concrete-uid": "7", "team": "billing"},
)


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


OpenDriver = Callable[[str], RDSDriver]


@pytest.fixture
def open_driver(
    monkeypatch: pytest.MonkeyPatch, spans: InMemorySpanExporter, registry: CollectorRegistry
) -> Iterator[OpenDriver]:
    """Of an endpoint, configured by the environment as the service is."""
    opened: list[RDSDriver] = []
    metrics = Metrics(registry)

    def open_at(url: str) -> RDSDriver:
        for name, value in {
            "AWS_ENDPOINT_URL": url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }.items():
            monkeypatch.setenv(name, value)
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(spans))
        opened.append(RDSDriver.open(metrics, provider.get_tracer("test")))
        return opened[-1]

    yield open_at
    for driver in opened:
        driver.close()


@pytest.fixture
async def driver(open_driver: OpenDriver, moto: Moto) -> AsyncIterator[RDSDriver]:
    yield open_driver(moto.url)


class Aws:
    """An endpoint that gives one answer to everything, and counts."""

    def __init__(self, status: int, body: str, headers: dict[str, str]) -> None:
        self.calls = 0
        aws = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                aws.calls += 1
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body.encode()))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def answering() -> Iterator[Callable[..., Aws]]:
    """An AWS that answers every call with one error."""
    started: list[Aws] = []

    def start(status: int, code: str, message: str, **headers: str) -> Aws:
        body = (
            '<ErrorResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/">'
            f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
            "<RequestId>1</RequestId></ErrorResponse>"
        )
        started.append(Aws(status, body, headers))
        return started[-1]

    yield start
    for aws in started:
        aws.close()


async def test_what_was_created_is_observed_with_its_tags(driver: RDSDriver) -> None:
    await driver.create(NEW, MASTER)

    observed = await driver.observe(NAME)

    assert observed is not None
    assert observed.status == "available"
    assert observed.engine == "mysql"
    assert observed.master_username == "masteruser"
    assert observed.tags == NEW.tags
    assert observed.endpoint is not None
    assert observed.endpoint.port == 3306
    assert NEW.configuration.differing_from(observed.expected) == NOTHING


async def test_nothing_is_observed_where_there_is_nothing(driver: RDSDriver) -> None:
    assert await driver.observe(NAME) is None


async def test_an_instance_that_takes_its_time_is_seen_creating(driver: RDSDriver, moto: Moto) -> None:
    moto.set_rds_delay(60)
    await driver.create(NEW, MASTER)
    observed = await driver.observe(NAME)
    assert observed is not None
    assert observed.status == "creating"

    moto.set_rds_delay(0)

    observed = await driver.observe(NAME)
    assert observed is not None
    assert observed.status == "available"


async def test_a_second_create_finds_the_first(driver: RDSDriver) -> None:
    await driver.create(NEW, MASTER)

    with pytest.raises(Transient) as raised:
        await driver.create(NEW, MASTER)

    assert raised.value.code == "DBInstanceAlreadyExists"


async def test_the_account_is_known_from_the_first_instance_seen(driver: RDSDriver) -> None:
    assert await driver.observe(NAME) is None
    assert driver.account is None

    made = await driver.create(NEW, MASTER)

    assert driver.account is not None
    assert f":{driver.account}:db:{NAME}" in made.arn


async def test_every_field_that_can_change_is_changed_in_place(driver: RDSDriver) -> None:
    await driver.create(NEW, MASTER)
    changes = Configuration(
        instance_type="db.m5.large",
        allocated_storage=80,
        multizone=False,
        backup_retention_period=7,
        deletion_protection=True,
        security_groups=frozenset({"sg-3"}),
        publicly_accessible=True,
        storage_type="gp3",
        iops=3000,
        engine_version="8.4.1",
    )

    await driver.modify(NAME, changes, None)

    observed = await driver.observe(NAME)
    assert observed is not None
    assert changes.differing_from(observed.expected) == NOTHING


async def test_tags_are_added_to_those_that_are_there(driver: RDSDriver) -> None:
    made = await driver.create(NEW, MASTER)

    await driver.add_tags(made.arn, {"team": "payments", "cost-center": "12"})

    observed = await driver.observe(NAME)
    assert observed is not None
    assert observed.tags == {**NEW.tags, "team": "payments", "cost-center": "12"}


async def test_the_final_snapshot_is_taken_when_it_is_asked_for(driver: RDSDriver, moto: Moto) -> None:
    await driver.create(NEW, MASTER)
    await driver.delete(NAME, FinalSnapshot(f"{NAME}-final"))
    await driver.create(NEW, MASTER)
    await driver.delete(NAME, None)

    assert await driver.observe(NAME) is None
    snapshots = await asyncio.to_thread(moto.rds().describe_db_snapshots, DBInstanceIdentifier=NAME)
    assert [each["DBSnapshotIdentifier"] for each in snapshots["DBSnapshots"]] == [f"{NAME}-final"]


async def test_what_aws_finds_wrong_is_terminal_and_says_what(driver: RDSDriver) -> None:
    bad = replace(NEW, identifier="not--valid-")

    with pytest.raises(Terminal) as raised:
        await driver.create(bad, MASTER)

    assert "CreateDBInstance of not--valid-" in str(raised.value)
    assert not raised.value.retryable


async def test_no_call_leaves_while_aws_asks_for_quiet(
    open_driver: OpenDriver, answering: Callable[..., Aws]
) -> None:
    aws = answering(400, "Throttling", "Rate exceeded", **{"Retry-After": "30"})
    driver = open_driver(aws.url)

    with pytest.raises(Throttled) as first:
        await driver.observe(NAME)
    with pytest.raises(Throttled) as second:
        await driver.observe("another")

    assert first.value.retry_after == 30
    assert 25 < second.value.retry_after <= 30
    assert aws.calls == 1


async def test_botocore_does_not_retry_behind_our_back(
    open_driver: OpenDriver, answering: Callable[..., Aws]
) -> None:
    aws = answering(503, "ServiceUnavailable", "later")
    driver = open_driver(aws.url)

    with pytest.raises(Transient):
        await driver.observe(NAME)

    assert aws.calls == 1


async def test_an_endpoint_that_is_not_there_is_a_failure_that_passes(open_driver: OpenDriver) -> None:
    gone = Aws(200, "", {})
    gone.close()

    with pytest.raises(Transient):
        await open_driver(gone.url).observe(NAME)


async def test_the_password_is_in_no_log_span_metric_or_error(
    driver: RDSDriver,
    open_driver: OpenDriver,
    answering: Callable[..., Aws],
    spans: InMemorySpanExporter,
    registry: CollectorRegistry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    rude = open_driver(answering(400, "InvalidParameterValue", f"{PASSWORD} is not a good password").url)

    await driver.create(NEW, MASTER)
    await driver.modify(NAME, NOTHING, MASTER)
    with pytest.raises(Terminal) as raised:
        await rude.create(NEW, MASTER)

    told = " ".join(
        [
            caplog.text,
            repr(MASTER),
            str(raised.value),
            repr(raised.value),
            repr(raised.value.__cause__),
            generate_latest(registry).decode(),
            *(span.to_json() for span in spans.get_finished_spans()),
        ]
    )
    assert PASSWORD not in told
    assert "***" in str(raised.value)


async def test_each_call_is_a_span_and_counted_by_its_outcome(
    driver: RDSDriver, spans: InMemorySpanExporter, registry: CollectorRegistry
) -> None:
    await driver.create(NEW, MASTER)
    with pytest.raises(Transient):
        await driver.create(NEW, MASTER)

    good, bad = spans.get_finished_spans()
    assert good.name == bad.name == "rds CreateDBInstance"
    assert dict(good.attributes or {}) == {"aws.region": REGION, "aws.rds.db_identifier": NAME}
    assert (bad.attributes or {})["error.type"] == "DBInstanceAlreadyExists"
    for outcome in ("OK", "DBInstanceAlreadyExists"):
        labels = {"action": "CreateDBInstance", "outcome": outcome}
        assert registry.get_sample_value("conductor_external_calls_total", labels) == 1


async def test_calls_share_sixteen_threads_however_many_wait(driver: RDSDriver) -> None:
    observed: list[Any] = await asyncio.gather(*(driver.observe(f"{NAME}-{n}") for n in range(60)))

    assert observed == [None] * 60
    assert len([each for each in threading.enumerate() if each.name.startswith("rds_")]) <= 16


def test_a_region_that_is_given_wins(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    driver = RDSDriver.open(Metrics(registry), TracerProvider().get_tracer("test"), region="eu-west-3")
    assert driver._client.meta.region_name == "eu-west-3"
    driver.close()
