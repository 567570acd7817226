"""The password is in two Secrets, and nowhere else that anybody could read: at debug level, plain and encoded."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from stage import SYSTEM, Stage

from conductor_bus import Bus, BusConfig
from conductor_dev.api import CONFIG_MAP
from conductor_dev.environment import Environment
from conductor_dev.waiting import wait_until
from conductor_model.kinds import MYSQL_INSTANCE, WATCHED_KINDS
from conductor_model.refs import GroupVersionKind, ResourceType
from conductor_telemetry.testing import SpanCollector

pytestmark = pytest.mark.integration

EVENT = ResourceType(GroupVersionKind("events.k8s.io", "v1", "Event"), "events")


@pytest.fixture
def verbose(conductor: Environment) -> Iterator[Environment]:
    """The same services, telling everything."""
    before = {service.name: service.part.environment for service in conductor.services}
    for service in conductor.services:
        service.terminate()
        service.part.environment = {**before[service.name], "CONDUCTOR_LOG_LEVEL": "debug"}
        service.start()
    for service in conductor.services:
        service.wait_ready()
    yield conductor
    for service in conductor.services:
        service.part.environment = before[service.name]
        service.restart()


def test_the_password_is_in_secrets_only(verbose: Environment, stage: Stage, spans: SpanCollector) -> None:
    stage.claim("db", resourceClass=stage.offer_class())
    stage.wait_ready("db")
    [resource] = stage.resources()
    password = stage.secret("db")["password"]
    wait_until("spans have arrived", lambda: any("publish connection" in s.name for s in spans.spans()))

    api = stage.env.api
    told = {
        "spans": str(spans.spans()),
        "claim": json.dumps(api.get(MYSQL_INSTANCE, stage.namespace, "db")),
        "resource": json.dumps(resource),
        "config map": json.dumps(api.get(CONFIG_MAP, stage.namespace, "db")),
        "events": json.dumps([*api.list(EVENT, stage.namespace), *api.list(EVENT, SYSTEM)]),
        "bus": asyncio.run(_everything_on(stage.env.nats_url)),
        **{f"metrics of {service.name}": service.metrics() for service in verbose.services},
        **{log.name: log.read_text(errors="replace") for log in _logs(verbose)},
    }
    encoded = base64.b64encode(password.encode()).decode()
    assert len(password) >= 16
    assert [where for where, text in told.items() if password in text or encoded in text] == []
    assert '"level": "debug"' in told["secrets-writer-0.log"]
    assert "MySQLInstance" in told["bus"]


def _logs(environment: Environment) -> list[Path]:
    """Of our own services and of the broker; moto is the cloud, which must be told the password."""
    return [log for log in environment.logs.iterdir() if log.name != "moto.log"]


async def _everything_on(url: str) -> str:
    bus = await Bus.connect(url, name="test", config=BusConfig())
    try:
        kinds = [kind.group_kind for kind in WATCHED_KINDS]
        return "".join([message.data.decode() async for message in bus.snapshot(kinds)])
    finally:
        await bus.close()
