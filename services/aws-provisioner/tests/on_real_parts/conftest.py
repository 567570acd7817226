"""Provisioners on a real API server (with the service's own rights), a real broker, and moto."""

from __future__ import annotations

import asyncio
import base64
import os
import random
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from prometheus_client import CollectorRegistry

from conductor_aws_provisioner.rds import RDSDriver, RDSDrivers
from conductor_bus import Bus, ObjectMessage, Work
from conductor_dev.api import SECRET, Json, KubeApi, objects_in
from conductor_dev.aws import Moto
from conductor_dev.broker import Nats
from conductor_dev.checkout import INSTALLATION
from conductor_dev.controlplane import ControlPlane
from conductor_dev.errors import ApiError
from conductor_kube import (
    Changed,
    Deleted,
    EventRecorder,
    Forbidden,
    KubeClient,
    NotFound,
    Reflector,
)
from conductor_kube.builtin import SECRETS
from conductor_model.annotations import PROVISIONER_FINALIZER
from conductor_model.kinds import PROVIDER_CONFIG, RDS_INSTANCE
from conductor_model.rds import RDSInstance
from conductor_model.refs import ObjectKey, ResourceType
from conductor_provisioner import Account, Driver, Owner
from conductor_provisioner.calls import AccountCalls, thread_pool
from conductor_provisioner.credentials import new_password
from conductor_provisioner.gate import Gate, Limits
from conductor_provisioner.kube import KubeCluster
from conductor_provisioner.managed import ManagedReconciler
from conductor_provisioner.metrics import Metrics
from conductor_provisioner.names import external_name
from conductor_provisioner.pacing import PollIntervals
from conductor_provisioner.testing import OneDriver

CLUSTER_ID = "cluster-of-the-test"
NAME = "orders"
ACCESS = {"Namespace", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
SERVICE_ACCOUNT = FIELD_MANAGER = "conductor-aws-provisioner"
DEADLINE_SECONDS = 60.0


@pytest.fixture(scope="session")
def provisioner_kubeconfig(control_plane: ControlPlane) -> Path:
    """With the rights that the chart gives the service."""
    control_plane.api.apply([each for each in objects_in(INSTALLATION) if each["kind"] in ACCESS])
    return control_plane.kubeconfig_for_service_account("conductor-system", SERVICE_ACCOUNT)


def rights_on_secrets(namespace: str) -> list[Json]:
    """What the chart makes for each of its concreteNamespaces."""
    rights = []
    for each in objects_in(INSTALLATION):
        if each["metadata"]["name"] == f"{SERVICE_ACCOUNT}-credentials":
            there = {**each, "metadata": {"name": SERVICE_ACCOUNT, "namespace": namespace}}
            if there["kind"] == "RoleBinding":
                there["roleRef"] = {**there["roleRef"], "name": SERVICE_ACCOUNT}
            rights.append(there)
    return rights


@dataclass
class RealWorld:
    """One namespace, and what the tests do in it and see of it."""

    api: KubeApi
    namespace: str
    moto: Moto
    nats: Nats
    bus: Bus
    administrator: KubeClient
    client: KubeClient
    """As the service."""
    driver: RDSDriver
    settle_deleted: float = 1
    replicas: list[asyncio.Task[None]] = field(default_factory=list)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    told: list[ObjectMessage] = field(default_factory=list)
    """Every message that was published."""

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(RDS_INSTANCE.group_kind, self.namespace, NAME)

    async def start_replica(self, driver: Driver[Any, Any] | None = None) -> asyncio.Task[None]:
        """A provisioner of its own; cancel the task to kill it."""
        bus = await Bus.connect(self.nats.url, name=f"replica-{len(self.replicas)}")
        self.stack.push_async_callback(bus.close)
        events = EventRecorder(self.client, controller=FIELD_MANAGER)
        self.stack.push_async_callback(events.close)
        reconciler = self.reconciler(driver, events)
        queue = bus.work_queue("aws-provisioner", [RDS_INSTANCE.group_kind])
        replica = asyncio.create_task(queue.run(reconciler.handle, asyncio.Event()))
        self.replicas.append(replica)
        return replica

    def reconciler(
        self, driver: Driver[Any, Any] | None = None, events: EventRecorder | None = None
    ) -> ManagedReconciler[RDSInstance]:
        events = events or EventRecorder(self.client, controller=FIELD_MANAGER)
        return ManagedReconciler(
            RDSInstance,
            KubeCluster(RDS_INSTANCE, RDSInstance, self.client, events, field_manager=FIELD_MANAGER),
            OneDriver(driver or self.driver),
            cluster_id=CLUSTER_ID,
            poll=PollIntervals(pending=0.2, settled=1),
            settle_deleted=self.settle_deleted,
            metrics=Metrics(CollectorRegistry()),
            now=lambda: datetime.now(UTC),
            monotonic=time.monotonic,
            random=random.random,
            new_password=new_password,
        )

    async def watch(self, type: ResourceType) -> None:
        """Publishes what happens to the namespace's objects of a kind, as the watcher does."""
        publisher = self.bus.publisher("tests")
        reflector = Reflector(self.administrator, type, namespace=self.namespace)
        async with aclosing(aiter(reflector)) as events:
            async for event in events:
                match event:
                    case Changed():
                        await publisher.publish(
                            event.key, event.uid, event.resource_version, event.raw, expected_sequence=None
                        )
                    case Deleted():
                        await publisher.tombstone(
                            event.key,
                            event.uid,
                            event.resource_version or "",
                            api_version=type.gvk.api_version,
                            expected_sequence=None,
                        )
                    case _:
                        continue
                message = await self.bus.latest(event.key)
                if message is not None:
                    self.told.append(message)

    async def apply(self, *, finalizer: bool = True, **spec: Any) -> Json:
        wanted = {"engine": "mysql", "instance-type": "db.m4.xlarge", "allocatedStorage": 50, **spec}
        manifest = {
            "apiVersion": RDS_INSTANCE.gvk.api_version,
            "kind": RDS_INSTANCE.gvk.kind,
            "metadata": {
                "name": NAME,
                "namespace": self.namespace,
                **({"finalizers": [PROVISIONER_FINALIZER]} if finalizer else {}),
            },
            "spec": wanted,
        }
        (applied,) = await asyncio.to_thread(self.api.apply, manifest)
        return applied

    async def patch(self, patch: Json) -> Json:
        return await asyncio.to_thread(self.api.merge_patch, RDS_INSTANCE, self.namespace, NAME, patch)

    async def take_rights_on_secrets(self) -> None:
        """As in a namespace that is not among the chart's concreteNamespaces."""
        await asyncio.to_thread(self.api.delete_manifests, rights_on_secrets(self.namespace))

        async def taken() -> bool:
            try:
                await self.client.get(SECRETS, self.namespace, "none")
            except Forbidden:
                return True
            except NotFound:
                return False
            raise AssertionError("there is a Secret of this name")

        await self.eventually("the rights are taken", taken)

    async def delete(self) -> None:
        await asyncio.to_thread(self.api.delete, RDS_INSTANCE, self.namespace, NAME)

    async def find(self) -> Json | None:
        return await asyncio.to_thread(self.api.find, RDS_INSTANCE, self.namespace, NAME)

    async def secret(self, name: str = f"{NAME}-credentials") -> Json | None:
        return await asyncio.to_thread(self.api.find, SECRET, self.namespace, name)

    async def password(self) -> str:
        secret = await self.secret()
        assert secret is not None
        return base64.b64decode(secret["data"]["password"]).decode()

    async def until(self, what: str, predicate: Callable[[Json], object]) -> Json:
        """The object, as soon as it is so."""

        async def look() -> Json | None:
            found = await self.find()
            return found if found is not None and predicate(found) else None

        found: Json = await self.eventually(what, look)
        return found

    async def until_ready(self) -> Json:
        return await self.until("Ready", lambda found: condition(found, "Ready")[0] == "True")

    async def until_synced(self, reason: str) -> Json:
        return await self.until(f"Synced is {reason}", lambda found: condition(found, "Synced")[1] == reason)

    async def until_gone(self) -> None:
        async def gone() -> bool:
            return await self.find() is None

        await self.eventually("the object is gone", gone)

    async def eventually(self, what: str, look: Callable[[], Any]) -> Any:
        """The first true answer."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not (found := await look()):
            state = await self.find()
            assert time.monotonic() < deadline, f"not in time: {what}; the object is {state}"
            await asyncio.sleep(0.02)
        return found

    async def instances(self) -> dict[str, Any]:
        """All DB instances there are, by identifier."""
        answer: Any = await asyncio.to_thread(self.moto.rds().describe_db_instances)
        return {each["DBInstanceIdentifier"]: each for each in answer["DBInstances"]}

    def external_name(self, found: Json) -> str:
        return external_name(Owner(CLUSTER_ID, found["metadata"]["uid"], self.namespace, NAME))

    async def handle(self, message: ObjectMessage, *, driver: Driver[Any, Any] | None = None) -> Any:
        """One handling of one message by a process that knows nothing."""
        return await self.reconciler(driver).handle(Work(message.key, message, message))


def condition(found: Json, type: str) -> tuple[str, str, str]:
    for each in found.get("status", {}).get("conditions", ()):
        if each["type"] == type:
            return each["status"], each["reason"], each.get("message", "")
    return "", "", ""


def calls_of(stack: AsyncExitStack) -> AccountCalls:
    """Of an account that allows as much as the tests want."""
    threads = thread_pool()
    stack.callback(threads.shutdown, wait=False, cancel_futures=True)
    limits = Limits(rate=1000, burst=1000)
    return AccountCalls(
        "ambient",
        "aws",
        Gate(limits, time.monotonic, random.random),
        limits,
        threads=threads,
        metrics=Metrics(CollectorRegistry()),
        tracer=trace.get_tracer("tests"),
    )


@pytest.fixture
def condition_of() -> Callable[[Json, str], tuple[str, str, str]]:
    return condition


@pytest.fixture
async def real(
    control_plane: ControlPlane,
    provisioner_kubeconfig: Path,
    namespace: str,
    nats_server: Nats,
    moto: Moto,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[RealWorld]:
    for name, value in moto.service_environment.items():
        monkeypatch.setenv(name, value)
    await asyncio.to_thread(control_plane.api.apply, rights_on_secrets(namespace))
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            await KubeClient.open(user_agent="tests", kubeconfig=str(provisioner_kubeconfig))
        )
        administrator = await stack.enter_async_context(
            await KubeClient.open(user_agent="tests", kubeconfig=str(control_plane.kubeconfig))
        )
        bus = await Bus.connect(nats_server.url, name="tests")
        stack.push_async_callback(bus.close)
        await bus.ensure()
        driver = await RDSDrivers().open(Account(name="ambient", calls=calls_of(stack)))
        world = RealWorld(control_plane.api, namespace, moto, nats_server, bus, administrator, client, driver)
        await stack.enter_async_context(world.stack)
        watching = [asyncio.create_task(world.watch(type)) for type in (RDS_INSTANCE, PROVIDER_CONFIG)]
        try:
            yield world
        finally:
            for task in (*watching, *world.replicas):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            # A finalizer without its provisioner would hold the namespace for ever.
            for type in (RDS_INSTANCE, PROVIDER_CONFIG):
                for left in await asyncio.to_thread(world.api.list, type, namespace):
                    freed = {"metadata": {"finalizers": []}}
                    with suppress(ApiError):
                        await asyncio.to_thread(
                            world.api.merge_patch, type, namespace, left["metadata"]["name"], freed
                        )


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
        deadline = time.monotonic() + DEADLINE_SECONDS
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
