"""A kind of boxes, a cloud that makes them slowly, and a provisioner that can die between any two of its steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pydantic import Field

from conductor_bus import Done, ObjectMessage, RequeueAfter, Wake, Work
from conductor_model.annotations import PROVISIONER_FINALIZER
from conductor_model.concrete import Concrete, ConcreteSpec, ConcreteStatus, Endpoint
from conductor_model.quantity import Quantity
from conductor_model.refs import GroupKind, ObjectKey
from conductor_provisioner import (
    CredentialsFrom,
    Drift,
    Observation,
    Ownership,
    ProviderError,
    Resource,
    SecretData,
    Terminal,
    Transient,
)
from conductor_provisioner.managed import ManagedReconciler
from conductor_provisioner.metrics import Metrics
from conductor_provisioner.pacing import PollIntervals
from conductor_provisioner.testing import DirectCalls, MemoryCluster, OneDriver

NAMESPACE = "conductor-system"
CLUSTER_ID = "5a3e6a0e-0000-4000-8000-000000000001"
START = datetime(2026, 11, 21, tzinfo=UTC)
LONGEST_CALL = timedelta(seconds=30)
SETTLE_DELETED = timedelta(seconds=60)
KEY = ObjectKey(GroupKind("boxes.example.org", "Box"), NAMESPACE, "orders")
SECRET = "orders-credentials"


class BoxSpec(ConcreteSpec):
    size: int = 50
    fast: bool = False
    shape: str = "square"
    master_username: str | None = None
    locked: bool = False
    tags: dict[str, str] = Field(default_factory=dict)


class BoxStatus(ConcreteStatus):
    state: str | None = None


class Box(Concrete):
    spec: BoxSpec = Field(default_factory=BoxSpec)
    status: BoxStatus = Field(default_factory=BoxStatus)

    @property
    def master_username(self) -> str | None:
        return self.spec.master_username


class ProcessDied(BaseException):
    """As SIGKILL does it: nothing that runs afterwards can react."""


@dataclass
class Fate:
    """Lets the process die at its nth step, counted over cluster and cloud. ``None``: it lives."""

    dies_at: int | None = None
    steps: int = 0

    def passes(self, step: str) -> None:
        self.steps += 1
        if self.dies_at == self.steps:
            raise ProcessDied


@dataclass(frozen=True)
class Thing:
    """A box in the cloud."""

    name: str
    size: int
    fast: bool
    shape: str
    tags: Mapping[str, str]
    username: str
    locked: bool = False
    state: str = "creating"
    pending: Mapping[str, Any] = field(default_factory=dict)
    endpoint: Endpoint | None = None

    @property
    def expected(self) -> Thing:
        return replace(self, **self.pending)


@dataclass
class Cloud:
    """What is under way ends when ``progress`` is called."""

    calls: DirectCalls
    things: dict[str, Thing] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    creates: list[str] = field(default_factory=list)
    leftovers: set[str] = field(default_factory=set)
    """Names of things that are gone and have left something behind."""
    fails_next: dict[str, ProviderError] = field(default_factory=dict)
    """By call: what it raises, once, without having had an effect."""
    loses_next: set[str] = field(default_factory=set)
    """Calls that have their effect and whose answer is lost, once."""
    dies_in_create: bool = False
    """The process dies once the request of its next create has left: the effect comes later."""
    under_way: list[tuple[datetime, Thing, str]] = field(default_factory=list)
    """Creates that nobody waits for any more, and when each was sent."""
    now: Callable[[], datetime] = lambda: START
    answers_at_once: bool = False
    """Whether a box is there as soon as it is made, and gone as soon as it is deleted."""
    issued: count[int] = field(default_factory=lambda: count(1))

    @property
    def made(self) -> list[str]:
        """The actions of all calls."""
        return [action for action, _ in self.calls.made]

    async def call(self, action: str, target: str, effect: Callable[[], Any]) -> Any:
        async def request() -> Any:
            if action in self.fails_next:
                raise self.fails_next.pop(action)
            answer = effect()
            if action in self.loses_next:
                self.loses_next.remove(action)
                raise Transient(action, target, "ReadTimeoutError", "no answer")
            return answer

        return await self.calls.awaiting(action, target, request)

    def make(self, thing: Thing, password: str) -> None:
        if self.dies_in_create:
            self.dies_in_create = False
            self.under_way.append((self.now(), thing, password))
            raise ProcessDied
        self.arrives()
        self._make(thing, password)

    def _make(self, thing: Thing, password: str) -> None:
        if thing.name in self.things:
            raise Transient("create", thing.name, "AlreadyExists", "it is there")
        self.creates.append(thing.name)
        self.things[thing.name] = thing
        self.passwords[thing.name] = password
        if self.answers_at_once:
            self.progress()

    def arrives(self, *, after: timedelta = timedelta()) -> None:
        """What has been under way for so long has its effect."""
        for each in [each for each in self.under_way if each[0] + after <= self.now()]:
            self.under_way.remove(each)
            with suppress(Transient):
                self._make(each[1], each[2])

    def change(self, name: str, password: str | None, tags: Mapping[str, str], **pending: Any) -> None:
        there = self.things[name]
        if there.state != "available":
            raise Transient("update", name, "InvalidState", there.state)
        self.things[name] = replace(there, state="modifying", pending=pending, tags={**there.tags, **tags})
        if password is not None:
            self.passwords[name] = password

    def untag(self, name: str, keys: Iterable[str]) -> None:
        there = self.things[name]
        left = {key: value for key, value in there.tags.items() if key not in set(keys)}
        self.things[name] = replace(there, tags=left)

    def remove(self, name: str, *, unlock: bool) -> None:
        there = self.things[name]
        if there.locked and not unlock:
            raise Terminal("delete", name, "Locked", "it is locked", reason="DeletionProtected")
        self.things[name] = replace(there, state="deleting")
        if self.answers_at_once:
            self.progress()

    def progress(self) -> None:
        """All that is under way comes to its end, a call sooner than anything that the cloud does."""
        self.arrives()
        for name, there in list(self.things.items()):
            if there.state == "deleting":
                del self.things[name]
            else:
                endpoint = Endpoint(host=f"{name}.boxes.example", port=3306)
                self.things[name] = replace(there.expected, state="available", endpoint=endpoint, pending={})


@dataclass
class BoxDriver:
    """``driver.Driver`` for boxes. With ``CredentialsFrom.CLOUD`` the cloud issues a password at each asking."""

    cloud: Cloud
    credentials_from: CredentialsFrom = CredentialsFrom.CONDUCTOR
    recreates: bool = False

    async def observe(self, resource: Resource[BoxSpec, BoxStatus]) -> Observation[BoxStatus]:
        name = resource.external_name
        found = await self.cloud.call("observe", name, lambda: self.cloud.things.get(name))
        if found is None and name in self.cloud.leftovers:
            return Observation(exists=False, leftovers=True)
        return self._seen(resource, found)

    async def create(self, resource: Resource[BoxSpec, BoxStatus]) -> Observation[BoxStatus]:
        name, spec = resource.external_name, resource.spec
        username, password = self._credentials(resource)
        new = Thing(
            name=name,
            size=spec.size,
            fast=spec.fast,
            shape=spec.shape,
            tags={**spec.tags, **resource.owner.tags},
            username=username,
        )
        await self.cloud.call("create", name, lambda: self.cloud.make(new, password))
        return self._answer(resource, username, password)

    async def update(
        self, resource: Resource[BoxSpec, BoxStatus], observed: Observation[BoxStatus]
    ) -> Observation[BoxStatus]:
        name, spec = resource.external_name, resource.spec
        wanted = {"size": spec.size, "fast": spec.fast, "locked": spec.locked}
        username, password = self._credentials(resource)
        there = self.cloud.things[name]
        changed = {key: value for key, value in wanted.items() if getattr(there.expected, key) != value}
        tags = {**spec.tags, **resource.owner.tags}
        await self.cloud.call("update", name, lambda: self.cloud.change(name, password, tags, **changed))
        return self._answer(resource, username, password)

    async def delete(self, resource: Resource[BoxSpec, BoxStatus], observed: Observation[BoxStatus]) -> None:
        name, unlock = resource.external_name, not resource.spec.locked
        if observed.leftovers:
            self.cloud.leftovers.discard(name)
            return
        await self.cloud.call("delete", name, lambda: self.cloud.remove(name, unlock=unlock))

    async def release(self, resource: Resource[BoxSpec, BoxStatus], observed: Observation[BoxStatus]) -> None:
        name, tags = resource.external_name, resource.owner.tags
        if observed.leftovers:
            self.cloud.leftovers.discard(name)
            return
        await self.cloud.call("release", name, lambda: self.cloud.untag(name, tags))

    def _credentials(self, resource: Resource[BoxSpec, BoxStatus]) -> tuple[str, str]:
        if self.credentials_from is CredentialsFrom.CONDUCTOR:
            assert resource.credentials is not None
            return resource.credentials["username"], resource.credentials["password"]
        return "issued", f"issued-{next(self.cloud.issued)}"

    def _answer(
        self, resource: Resource[BoxSpec, BoxStatus], username: str, password: str
    ) -> Observation[BoxStatus]:
        seen = self._seen(resource, self.cloud.things[resource.external_name])
        issued = SecretData({"username": username, "password": password})
        from_cloud = self.credentials_from is CredentialsFrom.CLOUD
        return replace(
            seen,
            credentials_applied=True,
            credentials=issued if from_cloud else None,
            rotated=resource.rotation if from_cloud else None,
        )

    def _seen(self, resource: Resource[BoxSpec, BoxStatus], found: Thing | None) -> Observation[BoxStatus]:
        if found is None:
            return Observation(exists=False, details={"state": None})
        owner, spec = resource.owner, resource.spec
        owned = any(key.startswith("conductor.io/") for key in found.tags)
        foreign = Ownership.ANOTHERS if owned else Ownership.NOBODYS
        expected = found.expected
        drift = [
            Drift(name, str(wanted), str(there))
            for name, wanted, there in (
                ("size", spec.size, expected.size),
                ("fast", spec.fast, expected.fast),
                ("locked", spec.locked, expected.locked),
                *((f"tags.{key}", value, found.tags.get(key)) for key, value in spec.tags.items()),
            )
            if wanted != there
        ]
        if spec.shape != found.shape:
            drift.append(
                Drift("shape", spec.shape, found.shape, repairable=False, why="a box keeps its shape")
            )
        return Observation(
            exists=True,
            ownership=Ownership.OURS if owner.owns(found.tags) else foreign,
            busy=found.state in {"creating", "modifying", "deleting"},
            failed=found.state == "failed",
            ready=found.state in {"available", "modifying"},
            message=f"box {found.name} is {found.state}",
            endpoint=found.endpoint,
            drift=tuple(drift),
            engine_version="1.0",
            capacity={"storage": Quantity.parse(f"{found.size}Gi")},
            credentials_applied=resource.credentials_applied,
            details={"state": found.state},
        )


class World:
    """A cluster with one object, a cloud, and a provisioner that can be restarted."""

    def __init__(self) -> None:
        self.time = START
        self.fate = Fate()
        self.cloud = Cloud(DirectCalls(self.fate.passes), now=lambda: self.time)
        self.driver = BoxDriver(self.cloud)
        self.cluster: MemoryCluster[Box] = MemoryCluster(now=lambda: self.time, step=self.fate.passes)
        self.thing = Thing
        self.drivers: Any = OneDriver(self.driver)
        self.passwords = (f"generated-{number}" for number in count(1))
        self.registry = CollectorRegistry()
        self.restart()

    def restart(self) -> None:
        """Another process takes over: it knows nothing."""
        self.fate.dies_at = None
        self.registry = CollectorRegistry()
        self.reconciler = ManagedReconciler(
            Box,
            self.cluster,
            self.drivers,
            cluster_id=CLUSTER_ID,
            poll=PollIntervals(pending=10, settled=600),
            settle_deleted=SETTLE_DELETED.total_seconds(),
            metrics=Metrics(self.registry),
            now=lambda: self.time,
            monotonic=self.seconds,
            random=lambda: 0.5,
            new_password=lambda: next(self.passwords),
        )

    def seconds(self) -> float:
        return (self.time - START).total_seconds()

    def edit(self, **spec: Any) -> Box:
        return self.cluster.edit(KEY, **spec)

    def annotate(self, **annotations: str) -> Box:
        return self.cluster.annotate(KEY, **annotations)

    def delete(self) -> None:
        self.cluster.delete(KEY)

    @property
    def secrets(self) -> dict[str, Any]:
        """The Secrets, by name."""
        return {name: stored for (_, name), stored in self.cluster.secrets.items()}

    def put_secret(self, name: str, **entries: str) -> Any:
        return self.cluster.put_secret(NAMESPACE, name, **entries)

    def rotate(self, password: str) -> None:
        for name in self.secrets:
            self.put_secret(name, password=password)

    def message(self, box: Box | None = None) -> ObjectMessage:
        """Of the last version, or of the one given."""
        box = box or self.cluster.told[-1]
        gone = not self.cluster.objects and box is self.cluster.told[-1]
        return ObjectMessage(
            key=KEY,
            uid=box.uid,
            resource_version=box.metadata.resource_version,
            deleted=gone,
            data=b"{}" if gone else box.model_dump_json(by_alias=True, exclude_none=True).encode(),
            sequence=1,
            time=self.time,
            traceparent=None,
        )

    async def told(self, message: ObjectMessage | None = None) -> Done | RequeueAfter:
        """The bus hands over a change."""
        message = message or self.message()
        return await self.reconciler.handle(Work(KEY, message, message))

    async def woken(self, message: ObjectMessage | None = None) -> Done | RequeueAfter:
        """A timer comes due."""
        self.time += timedelta(seconds=10)
        self.cloud.arrives(after=LONGEST_CALL)
        wake = Wake(KEY, sequence=1, deliveries=1, traceparent=None)
        return await self.reconciler.handle(Work(KEY, message or self.message(), wake))

    async def comes_to_rest(self) -> None:
        """Looks and progress, until neither changes anything."""
        before = None
        while self.just_deleted or before != self._state():
            before = self._state()
            with suppress(Transient):  # the bus hands it over again
                await self.woken()
            self.cloud.progress()

    def _state(self) -> Any:
        return len(self.cluster.told), dict(self.cloud.things), dict(self.cloud.passwords), dict(self.secrets)

    @property
    def just_deleted(self) -> bool:
        """There is an object whose deletion is so young that a create may still be awaited."""
        box = self.cluster.objects.get(KEY)
        deleted = box.metadata.deletion_timestamp if box is not None else None
        return deleted is not None and self.time <= deleted + SETTLE_DELETED

    @property
    def gone(self) -> bool:
        return KEY not in self.cluster.objects

    @property
    def object(self) -> Box:
        return self.cluster.objects[KEY]

    def condition(self, type: str) -> tuple[str, str, str]:
        """Its status, reason and message."""
        found = next(each for each in self.object.status.conditions if each.type == type)
        return found.status, found.reason, found.message


BoxFactory = Callable[..., Box]


def make_box(
    *, status: Any = None, annotations: Any = None, finalizer: bool = True, generation: int = 1, **spec: Any
) -> Box:
    """A small box; ``spec`` in the words of a manifest."""
    return Box.model_validate(
        {
            "apiVersion": "boxes.example.org/v1alpha1",
            "kind": "Box",
            "metadata": {
                "name": "orders",
                "namespace": NAMESPACE,
                "uid": "0b1c8f4e-0000-4000-8000-000000000002",
                "resourceVersion": "1",
                "generation": generation,
                "annotations": annotations or {},
                "finalizers": [PROVISIONER_FINALIZER] if finalizer else [],
            },
            "spec": spec,
            "status": status or {},
        }
    )


@pytest.fixture
def build() -> BoxFactory:
    return make_box


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def new_world() -> Callable[[], World]:
    """For tests that need many."""
    return World


@pytest.fixture
def process_died() -> type[BaseException]:
    return ProcessDied
