"""A scheduler on a real API server and a real broker, with a real watcher, in a namespace of the test's own."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from prometheus_client import CollectorRegistry

from conductor_bus import Bus, CaughtUp, ObjectMessage, Restarted
from conductor_dev.api import Json, KubeApi
from conductor_dev.broker import Nats
from conductor_dev.controlplane import ControlPlane
from conductor_dev.errors import ApiError
from conductor_kube import KubeClient, KubeError, Page, Throttled, Unavailable
from conductor_kube.builtin import LEASES
from conductor_model.conditions import Condition
from conductor_model.kinds import CLAIM_QUOTA, MYSQL_INSTANCE, RDS_INSTANCE, RESOURCE_CLASS, WATCHED_KINDS
from conductor_model.refs import ObjectKey, ResourceType
from conductor_scheduler import __main__ as service
from conductor_scheduler.config import SchedulerConfig
from conductor_scheduler.loop import KINDS, Scheduler
from conductor_scheduler.metrics import Metrics
from conductor_scheduler.policy import Policy
from conductor_watcher.loop import Watcher
from conductor_watcher.metrics import Metrics as WatcherMetrics

SECONDS = 60.0
Item = TypeVar("Item")


class NamespaceClient(KubeClient):
    """Lists one namespace only, so that tests that share an API server do not see each other; and counts writes."""

    namespace: str = ""
    writes: list[str]

    async def list(
        self,
        type: ResourceType,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        limit: int | None = 500,
    ) -> AsyncGenerator[Page, None]:
        async for page in super().list(type, self.namespace, label_selector=label_selector, limit=limit):
            yield page

    async def create(self, type: ResourceType, *args: Any, **how: Any) -> bytes:
        self.writes.append(f"create {type.plural}")
        return await super().create(type, *args, **how)

    async def merge_patch(
        self, type: ResourceType, namespace: str | None, name: str, *args: Any, **how: Any
    ) -> bytes:
        self.writes.append(f"patch {type.plural} {name}")
        return await super().merge_patch(type, namespace, name, *args, **how)

    async def apply(
        self, type: ResourceType, namespace: str | None, name: str, *args: Any, **how: Any
    ) -> bytes:
        self.writes.append(f"apply {type.plural} {name}")
        return await super().apply(type, namespace, name, *args, **how)

    async def delete(
        self, type: ResourceType, namespace: str | None, name: str, *args: Any, **how: Any
    ) -> None:
        self.writes.append(f"delete {type.plural} {name}")
        await super().delete(type, namespace, name, *args, **how)


class World:
    """What a test does as developer, administrator and provisioner, and how it starts what it tests."""

    rds_type = RDS_INSTANCE
    claim_type = MYSQL_INSTANCE
    class_type = RESOURCE_CLASS
    watched = WATCHED_KINDS

    def __init__(self, api: KubeApi, kubeconfig: str, bus: Bus, namespace: str) -> None:
        self.api = api
        self.kubeconfig = kubeconfig
        self.bus = bus
        self.namespace = namespace
        self._clients = AsyncExitStack()

    async def client(self, kind: type[NamespaceClient] = NamespaceClient) -> NamespaceClient:
        client = await kind.open(user_agent="scheduler-test", kubeconfig=self.kubeconfig)
        assert isinstance(client, kind)
        client.namespace, client.writes = self.namespace, []
        return await self._clients.enter_async_context(client)  # type: ignore[return-value]

    async def close(self) -> None:
        await self._clients.aclose()

    def client_kind(self) -> type[NamespaceClient]:
        """For services that open a client of their own."""
        return type("OwnClient", (NamespaceClient,), {"namespace": self.namespace, "writes": []})

    @staticmethod
    def running(work: Awaitable[None]) -> AbstractAsyncContextManager[asyncio.Future[None]]:
        return running(work)

    def lease_holder(self) -> str:
        lease = self.api.find(LEASES, self.namespace, "conductor-scheduler") or {"spec": {}}
        return str(lease["spec"].get("holderIdentity", ""))

    def steal_lease(self, holder: str) -> None:
        taken = {"spec": {"holderIdentity": holder, "leaseDurationSeconds": 1}}
        self.api.merge_patch(LEASES, self.namespace, "conductor-scheduler", taken)

    @asynccontextmanager
    async def watching(self, kinds: Sequence[ResourceType] = WATCHED_KINDS) -> AsyncIterator[Watcher]:
        watcher = Watcher(
            await self.client(),
            self.bus,
            WatcherMetrics(CollectorRegistry()),
            kinds,
            namespaces=[self.namespace],
            now=lambda: datetime.now(UTC),
        )
        async with running(watcher.run()):
            await until(lambda: watcher.synced)
            yield watcher

    @asynccontextmanager
    async def scheduling(
        self,
        client: NamespaceClient | None = None,
        *,
        leading: Callable[[], bool] = lambda: True,
        compare_every: float = 3600,
        told_within: float = 3600,
        config: SchedulerConfig | None = None,
    ) -> AsyncIterator[Scheduler]:
        scheduler = self.scheduler(
            client or await self.client(),
            leading=leading,
            compare_every=compare_every,
            told_within=told_within,
            config=config,
        )
        async with running(scheduler.run(self.bus.follow(KINDS))):
            await until(lambda: scheduler.caught_up)
            yield scheduler

    def scheduler(
        self,
        client: KubeClient,
        *,
        leading: Callable[[], bool] = lambda: True,
        compare_every: float = 3600,
        told_within: float = 3600,
        config: SchedulerConfig | None = None,
    ) -> Scheduler:
        return Scheduler(
            client,
            Policy(config or SchedulerConfig()),
            Metrics(CollectorRegistry()),
            leading=leading,
            now=lambda: datetime.now(UTC),
            compare_every=compare_every,
            told_within=told_within,
        )

    # The developer.

    def create_claim(self, name: str = "db", **spec: Any) -> Json:
        return self.api.create(
            MYSQL_INSTANCE,
            self.namespace,
            {**_head(MYSQL_INSTANCE), "metadata": {"name": name}, "spec": spec},
        )

    def claim(self, name: str = "db") -> Json:
        return self.api.get(MYSQL_INSTANCE, self.namespace, name)

    def delete_claim(self, name: str = "db") -> None:
        self.api.delete(MYSQL_INSTANCE, self.namespace, name)

    async def claim_where(self, name: str, predicate: Callable[[Json], object]) -> Json:
        return await self._object_where(MYSQL_INSTANCE, name, predicate)

    async def bound_claim(self, name: str = "db") -> Json:
        return await self.claim_where(name, lambda claim: claim.get("status", {}).get("phase") == "Bound")

    async def waiting_claim(self, name: str = "db", *, reason: str, message: str = "") -> Json:
        def waits(claim: Json) -> bool:
            scheduled = condition_of(claim, "Scheduled")
            return (
                scheduled is not None
                and (scheduled.status, scheduled.reason) == ("False", reason)
                and message in scheduled.message
            )

        return await self.claim_where(name, waits)

    async def bury(self, found: Json) -> None:
        """Says on the bus that the object is deleted, whether or not that is so."""
        type = next(each for each in WATCHED_KINDS if each.gvk.kind == found["kind"])
        meta = found["metadata"]
        key = ObjectKey(type.group_kind, meta["namespace"], meta["name"])
        await self.bus.publisher("/test").tombstone(
            key,
            meta["uid"],
            meta["resourceVersion"],
            api_version=found["apiVersion"],
            expected_sequence=None,
        )

    def follow(self) -> AsyncIterator[ObjectMessage | CaughtUp | Restarted]:
        return self.bus.follow(KINDS)

    async def together(self, do: Callable[[Item], object], items: Iterable[Item]) -> None:
        """Many requests, some at a time."""
        with ThreadPoolExecutor(4) as pool:
            loop = asyncio.get_running_loop()
            await asyncio.gather(*(loop.run_in_executor(pool, do, item) for item in items))

    async def remove_all_rds(self) -> None:
        """Without a provisioner nobody else takes the finalizers off when the namespace goes."""
        await self.together(self.remove_rds, [rds["metadata"]["name"] for rds in self.all_rds()])

    def remove(self, type: ResourceType, name: str) -> None:
        """Gone at once, finalizers or not. What is being deleted takes no new finalizers: nobody puts one back."""
        self.api.delete(type, self.namespace, name)
        with suppress(ApiError):
            self.api.merge_patch(type, self.namespace, name, {"metadata": {"finalizers": None}})

    @staticmethod
    def unavailable() -> Unavailable:
        return Unavailable("no answer", what="test")

    def phases(self) -> dict[str, int]:
        """How many claims are in which phase."""
        claims = self.api.list(MYSQL_INSTANCE, self.namespace)
        return Counter(claim.get("status", {}).get("phase", "") for claim in claims)

    # The administrator and the provisioner.

    def create_quota(self, name: str = "team", **hard: Any) -> Json:
        body = {**_head(CLAIM_QUOTA), "metadata": {"name": name}, "spec": {"hard": hard}}
        return self.api.create(CLAIM_QUOTA, self.namespace, body)

    def limit_class(self, name: str, **limits: Any) -> None:
        self.api.merge_patch(RESOURCE_CLASS, self.namespace, name, {"limits": limits})

    def create_class(self, name: str = "rds", *, storage: str = "50Gi", **template: Any) -> Json:
        return self.api.create(
            RESOURCE_CLASS,
            self.namespace,
            {
                **_head(RESOURCE_CLASS),
                "metadata": {"name": name},
                "capabilities": {"capacity": {"storage": storage}},
                "rebindPolicy": "Delete",
                "template": {
                    **_head(RDS_INSTANCE),
                    "metadata": {"labels": {"tier": "gold"}},
                    "spec": {"engine": "mysql", "version": 5.9, "instance-type": "db.m4.xlarge", **template},
                },
            },
        )

    def create_rds(self, name: str = "rds", *, ready: bool = True, **spec: Any) -> Json:
        made = self.api.create(
            RDS_INSTANCE,
            self.namespace,
            {
                **_head(RDS_INSTANCE),
                "metadata": {"name": name},
                "spec": {
                    "engine": "mysql",
                    "version": "5.7",
                    "instance-type": "db.m4.xlarge",
                    "capabilities": {"capacity": {"storage": "50Gi"}},
                    **spec,
                },
            },
        )
        return self.report(name) if ready else made

    def report(self, name: str, *, ready: bool = True, phase: str = "Available", **status: Any) -> Json:
        ready_condition = {
            "type": "Ready",
            "status": str(ready),
            "reason": phase,
            "message": "",
            "lastTransitionTime": "2026-11-21T12:00:00Z",
        }
        return self.api.merge_patch(
            RDS_INSTANCE,
            self.namespace,
            name,
            {"status": {"phase": phase, "conditions": [ready_condition], **status}},
            subresource="status",
        )

    def confirm_clean(self, name: str, uid: str) -> Json:
        annotations = {"conductor.io/available-again": uid}
        return self.api.merge_patch(
            RDS_INSTANCE, self.namespace, name, {"metadata": {"annotations": annotations}}
        )

    def rds(self, name: str = "rds") -> Json:
        return self.api.get(RDS_INSTANCE, self.namespace, name)

    def all_rds(self) -> list[Json]:
        return self.api.list(RDS_INSTANCE, self.namespace)

    def remove_rds(self, name: str) -> None:
        self.remove(RDS_INSTANCE, name)

    async def rds_where(self, name: str, predicate: Callable[[Json], object]) -> Json:
        return await self._object_where(RDS_INSTANCE, name, predicate)

    @staticmethod
    def condition(found: Json, type: str) -> Condition | None:
        return condition_of(found, type)

    @staticmethod
    async def until(condition: Callable[[], Any]) -> Any:
        return await until(condition)

    @staticmethod
    def holds(scheduler: Scheduler, found: Json) -> bool:
        """Whether the scheduler has heard of this version."""
        version = found["metadata"]["resourceVersion"]
        return any(each.metadata.resource_version == version for each in scheduler.view.concretes.values())

    async def settled(self, scheduler: Scheduler) -> None:
        """Nothing is being worked on, and the scheduler has heard of everything that the API server has."""
        types = (MYSQL_INSTANCE, RDS_INSTANCE, RESOURCE_CLASS)

        def as_new_as_the_api() -> bool:
            objects = [found for type in types for found in self.api.list(type, self.namespace)]
            held = [*scheduler.view.claims.values(), *scheduler.view.concretes.values()]
            held += scheduler.view.classes.values()
            return scheduler.idle and {
                (each["metadata"]["uid"], each["metadata"]["resourceVersion"]) for each in objects
            } == {(each.uid, each.metadata.resource_version) for each in held}

        await until(as_new_as_the_api)

    async def _object_where(self, type: ResourceType, name: str, predicate: Callable[[Json], object]) -> Json:
        last: Json | None = None

        def fits() -> Json | None:
            nonlocal last
            last = self.api.find(type, self.namespace, name)
            return last if last is not None and predicate(last) else None

        try:
            return await until(fits)
        except TimeoutError:
            raise AssertionError(f"{type.plural} {name} is not as expected: {last}") from None


def _head(type: ResourceType) -> Json:
    return {"apiVersion": type.gvk.api_version, "kind": type.gvk.kind}


def condition_of(found: Json, type: str) -> Condition | None:
    for entry in found.get("status", {}).get("conditions", []):
        if entry["type"] == type:
            return Condition.model_validate(entry)
    return None


async def until(condition: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """The first true value; TimeoutError after the deadline. The loop of what is tested runs in between."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError
        await asyncio.sleep(0.02)


@asynccontextmanager
async def running(work: Awaitable[None]) -> AsyncIterator[asyncio.Future[None]]:
    """In the background; what it raises fails the test."""
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        ended = task.done()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task})
            if ended:
                task.result()


@pytest.fixture
async def world(
    control_plane: ControlPlane, kube_api: KubeApi, nats_server: Nats, namespace: str
) -> AsyncIterator[World]:
    bus = await Bus.connect(nats_server.url, name="scheduler-test")
    await bus.ensure()
    world = World(kube_api, control_plane.kubeconfig, bus, namespace)
    yield world
    await world.remove_all_rds()
    await world.close()
    await bus.close()


@pytest.fixture
def configured(world: World, nats_server: Nats, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the service finds it in its environment; its client sees the test's namespace only."""
    monkeypatch.setenv("KUBECONFIG", world.kubeconfig)
    monkeypatch.setenv("NATS_URL", nats_server.url)
    monkeypatch.setenv("CONDUCTOR_NAMESPACE", world.namespace)
    monkeypatch.setenv("CONDUCTOR_HTTP_ADDRESS", "127.0.0.1:0")
    monkeypatch.setattr(service, "KubeClient", world.client_kind())


@pytest.fixture
def client_that_loses(world: World) -> Callable[..., Awaitable[NamespaceClient]]:
    """A client that loses the first ``times`` answers to requests of one kind, or the requests themselves.

    ``then`` is called once, after the first request took effect.
    """

    async def make(
        verb: str,
        *,
        times: int = 1_000_000,
        takes_effect: bool = True,
        then: Callable[[], object] = lambda: None,
    ) -> NamespaceClient:
        client = await world.client()
        ask = getattr(client, verb)
        asked = 0

        async def answer(*args: Any, **how: Any) -> bytes:
            nonlocal asked
            asked += 1
            if not takes_effect and asked <= times:
                raise Unavailable("the request was lost", what=verb)
            data: bytes = await ask(*args, **how)
            if asked == 1:
                then()
            if asked <= times:
                raise Unavailable("the answer was lost", what=verb)
            return data

        setattr(client, verb, answer)
        return client

    return make


class Failing:
    """Makes clients whose requests of one kind are answered with an error and take no effect."""

    retry_after = 0.6

    def __init__(self, world: World) -> None:
        self._world = world
        self.asked = 0

    async def __call__(self, verb: str, answer: type[KubeError], *, times: int) -> NamespaceClient:
        client = await self._world.client()
        self.make_fail(client, verb, answer, times=times)
        return client

    def make_fail(self, client: NamespaceClient, verb: str, answer: type[KubeError], *, times: int) -> None:
        ask = getattr(client, verb)

        async def fail(*args: Any, **how: Any) -> bytes:
            self.asked += 1
            if self.asked > times:
                data: bytes = await ask(*args, **how)
                return data
            client.writes.append(f"{verb} refused")
            if issubclass(answer, Throttled):
                raise answer("patience", what=verb, retry_after=self.retry_after)
            raise answer("refused by the test", what=verb)

        setattr(client, verb, fail)


@pytest.fixture
def failing(world: World) -> Failing:
    return Failing(world)


class UnreadableClaims:
    """Shows claims that the API server has with a spec that the models refuse, as a newer API could."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def client(self) -> NamespaceClient:
        client = await self._world.client()
        apply = client.apply

        async def spoilt(*args: Any, **how: Any) -> bytes:
            return self._spoil(json.loads(await apply(*args, **how)))

        client.apply = spoilt  # type: ignore[method-assign]
        return client

    async def __call__(self, name: str) -> None:
        self._world.create_claim(name)
        await self._publish(name)

    async def touch(self, name: str, label: str) -> None:
        self._world.api.merge_patch(
            MYSQL_INSTANCE, self._world.namespace, name, {"metadata": {"labels": {"touched": label}}}
        )
        await self._publish(name)

    async def _publish(self, name: str) -> None:
        claim = self._world.claim(name)
        meta = claim["metadata"]
        key = ObjectKey(MYSQL_INSTANCE.group_kind, meta["namespace"], name)
        await self._world.bus.publisher("/test").publish(
            key, meta["uid"], meta["resourceVersion"], self._spoil(claim), expected_sequence=None
        )

    @staticmethod
    def _spoil(claim: Json) -> bytes:
        return json.dumps({**claim, "spec": {"requirements": "everything"}}).encode()


@pytest.fixture
def unreadable(world: World) -> UnreadableClaims:
    return UnreadableClaims(world)
