"""A watcher of the test's own: it watches the test's namespace only, and publishes to the test's own broker."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from conductor_bus import Bus, ObjectMessage
from conductor_dev.services import ServiceProcess, service_named
from conductor_kube import KubeClient
from conductor_model.kinds import MYSQL_INSTANCE, WATCHED_KINDS
from conductor_model.refs import ObjectKey, ResourceType
from conductor_watcher.loop import Watcher
from conductor_watcher.metrics import Metrics

MANAGER = "watcher-tests"


async def until(condition: Callable[[], Any], *, seconds: float = 30) -> Any:
    """What ``condition`` returns, as soon as that is true."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        found = await answer if inspect.isawaitable(answer) else answer
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s"
        await asyncio.sleep(0.02)


@dataclass(frozen=True)
class Claims:
    """Claims in the test's namespace."""

    kube: KubeClient
    namespace: str

    def key(self, name: str) -> ObjectKey:
        return ObjectKey(MYSQL_INSTANCE.group_kind, self.namespace, name)

    async def create(self, name: str, region: str = "eu") -> str:
        """Its resourceVersion."""
        body = {
            "apiVersion": MYSQL_INSTANCE.gvk.api_version,
            "kind": MYSQL_INSTANCE.gvk.kind,
            "metadata": {"name": name},
            "spec": {"requirements": {"region": region}},
        }
        return _version(await self.kube.create(MYSQL_INSTANCE, self.namespace, body, field_manager=MANAGER))

    async def change(self, name: str, region: str) -> str:
        patch = {"spec": {"requirements": {"region": region}}}
        return _version(
            await self.kube.merge_patch(MYSQL_INSTANCE, self.namespace, name, patch, field_manager=MANAGER)
        )

    async def delete(self, name: str) -> None:
        await self.kube.delete(MYSQL_INSTANCE, self.namespace, name)

    async def versions(self) -> dict[str, str]:
        """What the API server has: resourceVersion by name."""
        pages = self.kube.list(MYSQL_INSTANCE, self.namespace)
        return {item.key.name: item.resource_version async for page in pages for item in page.items}


def _version(data: bytes) -> str:
    version: str = json.loads(data)["metadata"]["resourceVersion"]
    return version


@dataclass(frozen=True)
class Stream:
    """What the broker holds of the claims, however often it was restarted."""

    url: str

    async def messages(self) -> dict[str, ObjectMessage]:
        """The last message of each claim, by name."""
        bus = await Bus.connect(self.url, name="watcher-tests")
        try:
            await bus.ensure()
            kinds = [MYSQL_INSTANCE.group_kind]
            return {message.key.name: message async for message in bus.snapshot(kinds)}
        finally:
            await bus.close()

    async def versions(self) -> dict[str, str]:
        """resourceVersion by name of what the stream shows as present."""
        return {
            name: message.resource_version
            for name, message in (await self.messages()).items()
            if not message.deleted
        }


@dataclass(frozen=True)
class Running:
    """A watcher in this process."""

    watcher: Watcher
    registry: CollectorRegistry

    def resyncs(self) -> float:
        return self.registry.get_sample_value("conductor_stream_resyncs_total") or 0.0


@pytest.fixture
async def kube(control_plane: Any) -> AsyncIterator[KubeClient]:
    async with await KubeClient.open(user_agent=MANAGER, kubeconfig=control_plane.kubeconfig) as client:
        yield client


@pytest.fixture
def claims(kube: KubeClient, namespace: str) -> Claims:
    return Claims(kube, namespace)


@pytest.fixture
def stream(nats_server: Any) -> Stream:
    return Stream(nats_server.url)


@pytest.fixture
def watching(kube: KubeClient, nats_server: Any, namespace: str) -> Any:
    """``async with watching() as running``: a watcher that leads; left as one that is killed leaves."""

    @asynccontextmanager
    async def run(
        kinds: Sequence[ResourceType] = WATCHED_KINDS, look_for_others_after: float = 60
    ) -> AsyncIterator[Running]:
        bus = await Bus.connect(nats_server.url, name="watcher")
        registry = CollectorRegistry()
        watcher = Watcher(
            kube,
            bus,
            Metrics(registry),
            kinds,
            namespaces=[namespace],
            now=lambda: datetime.now(UTC),
            look_for_others_after=look_for_others_after,
            look_for_others_every=look_for_others_after,
        )
        task = asyncio.create_task(watcher.run())
        try:
            await until(lambda: watcher.synced)
            yield Running(watcher, registry)
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await bus.close()

    return run


@pytest.fixture
def replica(control_plane: Any, nats_server: Any, namespace: str, tmp_path: Path) -> Iterator[Any]:
    """``replica(n)``: the watcher as a process, started."""
    started: list[ServiceProcess] = []

    def start(number: int) -> ServiceProcess:
        environment = {
            "KUBECONFIG": control_plane.kubeconfig,
            "NATS_URL": nats_server.url,
            "CONDUCTOR_NAMESPACE": namespace,
            "CONDUCTOR_WATCH_NAMESPACES": namespace,
        }
        process = ServiceProcess(
            service_named("watcher"),
            number,
            command=[sys.executable, "-m", "conductor_watcher"],
            environment=environment,
            address_file=tmp_path / f"watcher-{number}.address",
            log=tmp_path / f"watcher-{number}.log",
        )
        started.append(process)
        process.start()
        return process

    yield start
    for process in started:
        process.kill()


@pytest.fixture(name="until")
def until_fixture() -> Any:
    return until
