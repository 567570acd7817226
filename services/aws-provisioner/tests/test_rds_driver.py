"""The driver against moto's RDS, and against answers that moto does not give."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry, generate_latest

from conductor_aws_provisioner.rds import RDSDriver, RDSDrivers
from conductor_aws_provisioner.session import CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS
from conductor_dev.aws import REGION, Moto
from conductor_provisioner import (
    Account,
    Ownership,
    Refused,
    Resource,
    Terminal,
    Throttled,
    Transient,
)
from conductor_provisioner.calls import AccountCalls, thread_pool
from conductor_provisioner.gate import Gate, Limits
from conductor_provisioner.metrics import Metrics
from conductor_provisioner.settings import SETTLE_DELETED_SECONDS

NAME = "conductor-0123456789abcdef01234567"
PASSWORD = "a-password-to-be-looked-for"
CLUSTER_ID = "cluster"
MakeResource = Callable[..., Resource[Any, Any]]


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


OpenDriver = Callable[..., Awaitable[RDSDriver]]


@pytest.fixture
def open_driver(
    monkeypatch: pytest.MonkeyPatch, spans: InMemorySpanExporter, registry: CollectorRegistry
) -> Iterator[OpenDriver]:
    """Of an endpoint, configured by the environment as the service is without a ProviderConfig."""
    metrics, threads = Metrics(registry), thread_pool()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    for name, value in {
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }.items():
        monkeypatch.setenv(name, value)

    async def open_at(url: str, **account: Any) -> RDSDriver:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        limits = Limits(rate=1000, burst=1000)
        gate = Gate(limits, time.monotonic, random.random)
        tracer = provider.get_tracer("test")
        calls = AccountCalls("ambient", "aws", gate, limits, threads=threads, metrics=metrics, tracer=tracer)
        return await RDSDrivers().open(Account(name="ambient", calls=calls, **account))

    yield open_at
    threads.shutdown(wait=False, cancel_futures=True)


@pytest.fixture
async def driver(open_driver: OpenDriver, moto: Moto) -> RDSDriver:
    return await open_driver(moto.url)


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


async def test_what_was_created_is_observed(driver: RDSDriver, resource: MakeResource) -> None:
    wanted = resource(
        version="8.0.35", multizone=True, securityGroups=["sg-1", "sg-2"], tags={"team": "billing"}
    )
    await driver.create(wanted)

    observed = await driver.observe(wanted)

    assert (observed.exists, observed.ownership, observed.busy) == (True, Ownership.OURS, False)
    assert observed.ready
    assert observed.drift == ()
    assert observed.engine_version == "8.0.35"
    assert observed.endpoint is not None
    assert observed.endpoint.port == 3306
    assert str(observed.capacity["storage"]) == "50Gi"
    assert observed.details["instance_status"] == "available"
    assert f":db:{NAME}" in observed.details["arn"]


async def test_nothing_is_observed_where_there_is_nothing(driver: RDSDriver, resource: MakeResource) -> None:
    assert not (await driver.observe(resource())).exists


async def test_an_instance_that_takes_its_time_is_seen_creating(
    driver: RDSDriver, moto: Moto, resource: MakeResource
) -> None:
    moto.set_rds_delay(60)
    await driver.create(resource())
    observed = await driver.observe(resource())
    assert (observed.busy, observed.ready) == (True, False)

    moto.set_rds_delay(0)

    observed = await driver.observe(resource())
    assert (observed.busy, observed.ready) == (False, True)


async def test_a_second_create_finds_the_first(driver: RDSDriver, resource: MakeResource) -> None:
    await driver.create(resource())

    with pytest.raises(Transient) as raised:
        await driver.create(resource())

    assert raised.value.code == "DBInstanceAlreadyExists"


async def test_every_field_that_can_change_is_changed_in_place(
    driver: RDSDriver, resource: MakeResource
) -> None:
    await driver.create(resource(version="8.0.35"))
    changed = resource(
        applied=True,
        allocatedStorage=80,
        multizone=False,
        backupRetentionPeriod=7,
        deletionProtection=True,
        securityGroups=["sg-3"],
        publiclyAccessible=True,
        storageType="gp3",
        iops=3000,
        version="8.4.1",
        tags={"team": "payments"},
        **{"instance-type": "db.m5.large"},
    )
    before = await driver.observe(changed)

    await driver.update(changed, before)

    assert len(before.drift) == 10
    assert (await driver.observe(changed)).drift == ()


async def test_a_password_counts_as_applied_only_when_it_was_set(
    driver: RDSDriver, moto: Moto, resource: MakeResource
) -> None:
    moto.set_rds_delay(60)
    created = await driver.create(resource())
    assert created.credentials_applied

    tagged = await driver.update(resource(tags={"team": "billing"}), await driver.observe(resource()))
    assert not tagged.credentials_applied, "it cannot be set while the instance is being created"

    moto.set_rds_delay(0)
    assert (await driver.update(resource(), await driver.observe(resource()))).credentials_applied


async def test_an_adopted_instance_gets_our_tags_beside_its_own(
    driver: RDSDriver, moto: Moto, resource: MakeResource
) -> None:
    await asyncio.to_thread(
        moto.rds().create_db_instance,
        DBInstanceIdentifier=NAME,
        Engine="mysql",
        DBInstanceClass="db.m4.xlarge",
        MasterUsername="conductor",
        MasterUserPassword="their-password",
        AllocatedStorage=50,
        Tags=[{"Key": "team", "Value": "billing"}],
    )
    found = await driver.observe(resource())
    assert found.ownership is Ownership.NOBODYS

    await driver.update(resource(), found)

    assert (await driver.observe(resource())).ownership is Ownership.OURS
    (instance,) = (await asyncio.to_thread(moto.rds().describe_db_instances))["DBInstances"]
    assert {"Key": "team", "Value": "billing"} in instance["TagList"]


async def test_the_final_snapshot_is_taken_when_it_is_asked_for(
    driver: RDSDriver, moto: Moto, resource: MakeResource
) -> None:
    for skip in (False, True):
        wanted = resource(skipFinalSnapshot=skip)
        await driver.create(wanted)
        await driver.delete(wanted, await driver.observe(wanted))

    assert not (await driver.observe(resource())).exists
    snapshots = await asyncio.to_thread(moto.rds().describe_db_snapshots, DBInstanceIdentifier=NAME)
    assert [each["DBSnapshotIdentifier"] for each in snapshots["DBSnapshots"]] == [f"{NAME}-final"]


async def test_a_sweep_finds_what_carries_our_clusters_tag_and_nothing_else(
    driver: RDSDriver, moto: Moto, resource: MakeResource
) -> None:
    await driver.create(resource())
    await asyncio.to_thread(
        moto.rds().create_db_instance,
        DBInstanceIdentifier="somebody-elses",
        Engine="mysql",
        DBInstanceClass="db.t3.small",
        MasterUsername="theirs",
        MasterUserPassword="their-password",
        AllocatedStorage=20,
    )

    found = [each async for each in driver.tagged(CLUSTER_ID)]

    assert [(each.external_name, each.uid) for each in found] == [(NAME, "uid")]
    assert [each async for each in driver.tagged("another")] == []


async def test_what_is_released_is_nobodys_and_keeps_its_users_tags(
    driver: RDSDriver, resource: MakeResource
) -> None:
    wanted = resource(tags={"team": "billing"})
    await driver.create(wanted)

    await driver.release(wanted, await driver.observe(wanted))

    observed = await driver.observe(wanted)
    assert observed.ownership is Ownership.NOBODYS
    assert [each.field for each in observed.drift if each.field == "tags.team"] == []
    assert [each async for each in driver.tagged(CLUSTER_ID)] == []


async def test_what_was_made_in_another_account_is_not_taken_for_gone(
    driver: RDSDriver, resource: MakeResource
) -> None:
    arn = f"arn:aws:rds:{REGION}:111111111111:db:{NAME}"

    with pytest.raises(Refused) as raised:
        await driver.observe(resource(status={"arn": arn}))

    assert raised.value.reason == "Elsewhere"


async def test_what_aws_finds_wrong_is_terminal_and_says_what(
    driver: RDSDriver, resource: MakeResource
) -> None:
    with pytest.raises(Terminal) as raised:
        await driver.create(resource(name="not--valid-"))

    assert "CreateDBInstance of not--valid-" in str(raised.value)


async def test_botocore_does_not_retry_behind_our_back(
    open_driver: OpenDriver, answering: Callable[..., Aws], resource: MakeResource
) -> None:
    aws = answering(503, "ServiceUnavailable", "later")
    driver = await open_driver(aws.url)

    with pytest.raises(Transient):
        await driver.observe(resource())

    assert aws.calls == 1


async def test_after_a_throttled_answer_no_call_leaves_for_any_object(
    open_driver: OpenDriver, answering: Callable[..., Aws], resource: MakeResource
) -> None:
    aws = answering(400, "Throttling", "Rate exceeded", **{"Retry-After": "30"})
    driver = await open_driver(aws.url)

    with pytest.raises(Throttled) as first:
        await driver.observe(resource())
    with pytest.raises(Throttled) as second:
        await driver.observe(resource(name="another"))

    assert first.value.retry_after == 30
    assert 0 < second.value.retry_after <= 30
    assert aws.calls == 1


async def test_an_endpoint_that_is_not_there_is_a_failure_that_passes(
    open_driver: OpenDriver, resource: MakeResource
) -> None:
    gone = Aws(200, "", {})
    gone.close()
    driver = await open_driver(gone.url)

    with pytest.raises(Transient):
        await driver.observe(resource())


async def test_the_password_is_in_no_log_span_metric_or_error(
    driver: RDSDriver,
    open_driver: OpenDriver,
    answering: Callable[..., Aws],
    resource: MakeResource,
    spans: InMemorySpanExporter,
    registry: CollectorRegistry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    rude = await open_driver(
        answering(400, "InvalidParameterValue", f"{PASSWORD} is not a good password").url
    )

    created = await driver.create(resource())
    updated = await driver.update(resource(), created)
    with pytest.raises(Terminal) as raised:
        await rude.create(resource())

    told = " ".join(
        [
            caplog.text,
            repr(resource()),
            repr((created, updated)),
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
    driver: RDSDriver, resource: MakeResource, spans: InMemorySpanExporter, registry: CollectorRegistry
) -> None:
    await driver.create(resource())
    with pytest.raises(Transient):
        await driver.create(resource())

    good, bad = spans.get_finished_spans()
    assert good.name == bad.name == "aws CreateDBInstance"
    assert dict(good.attributes or {}) == {"conductor.account": "ambient", "conductor.external.name": NAME}
    assert (bad.attributes or {})["error.type"] == "DBInstanceAlreadyExists"
    for outcome in ("OK", "DBInstanceAlreadyExists"):
        labels = {"account": "ambient", "action": "CreateDBInstance", "outcome": outcome}
        assert registry.get_sample_value("conductor_external_calls_total", labels) == 1


async def test_a_region_that_is_given_wins(open_driver: OpenDriver, moto: Moto) -> None:
    assert (await open_driver(moto.url)).region == REGION
    assert (await open_driver(moto.url, region="eu-west-3")).region == "eu-west-3"


def test_a_late_create_is_waited_for_longer_than_it_can_take() -> None:
    a_call = Limits().longest_wait + CONNECT_TIMEOUT_SECONDS + READ_TIMEOUT_SECONDS
    look_up_and_create = 2 * a_call

    assert look_up_and_create < SETTLE_DELETED_SECONDS
