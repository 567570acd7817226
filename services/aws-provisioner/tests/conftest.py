"""A cluster and a cloud in memory, in which a process can die between any two calls; and builders of objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from conductor_aws_provisioner.cluster import Overtaken, StoredCredentials
from conductor_aws_provisioner.errors import AwsError, Transient
from conductor_aws_provisioner.external import (
    NOTHING,
    Configuration,
    FinalSnapshot,
    MasterCredentials,
    NewInstance,
    Observed,
)
from conductor_aws_provisioner.metrics import Metrics
from conductor_aws_provisioner.reconcile import Reconciler
from conductor_aws_provisioner.settings import PollIntervals
from conductor_bus import Done, ObjectMessage, RequeueAfter, Wake, Work
from conductor_kube import Forbidden
from conductor_model.annotations import PROVISIONER_FINALIZER
from conductor_model.concrete import Endpoint
from conductor_model.kinds import RDS_INSTANCE
from conductor_model.meta import ObjectMeta
from conductor_model.rds import RDSInstance, RDSInstanceStatus
from conductor_model.refs import ObjectKey

NAMESPACE = "conductor-system"
CLUSTER_ID = "5a3e6a0e-0000-4000-8000-000000000001"
START = datetime(2026, 11, 21, tzinfo=UTC)
LONGEST_CALL = timedelta(seconds=30)
SETTLE_DELETED = timedelta(seconds=60)
KEY = ObjectKey(RDS_INSTANCE.group_kind, NAMESPACE, "orders")


class ProcessDied(BaseException):
    """As SIGKILL does it: nothing that runs afterwards can react."""


@dataclass
class Fate:
    """Lets the process die before or after its nth call, counted over cluster and cloud. ``None``: it lives."""

    dies_at: int | None = None
    calls: int = 0

    def passes(self) -> None:
        self.calls += 1
        if self.dies_at == self.calls:
            raise ProcessDied


@dataclass
class Cloud:
    """RDS in memory. What is under way ends when ``progress`` is called."""

    fate: Fate
    instances: dict[str, Observed] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    creates: list[str] = field(default_factory=list)
    snapshots: list[str] = field(default_factory=list)
    fails_next: dict[str, AwsError] = field(default_factory=dict)
    """By call: what it raises, once, without having had an effect."""
    dies_in_create: bool = False
    """The process dies once the request of its next create has left: the effect comes later."""
    under_way: list[tuple[datetime, NewInstance, MasterCredentials]] = field(default_factory=list)
    """Creates that nobody waits for any more, and when each was sent."""
    now: Callable[[], datetime] = lambda: START
    answers_at_once: bool = False
    """Whether an instance is available as soon as it is created."""
    region: str = "eu-west-1"
    account: str | None = None

    def _called(self, action: str) -> None:
        self.fate.passes()
        self.calls.append(action)
        if action in self.fails_next:
            raise self.fails_next.pop(action)

    def _needs(self, action: str, identifier: str, *states: str) -> Observed:
        there = self.instances.get(identifier)
        if there is None:
            raise Transient(action, identifier, "DBInstanceNotFound", "no such instance")
        if there.status not in states:
            raise Transient(action, identifier, "InvalidDBInstanceState", f"instance is {there.status}")
        return there

    async def observe(self, identifier: str) -> Observed | None:
        self._called("observe")
        return self.instances.get(identifier)

    async def create(self, new: NewInstance, credentials: MasterCredentials) -> Observed:
        self._called("create")
        if self.dies_in_create:
            self.dies_in_create = False
            self.under_way.append((self.now(), new, credentials))
            raise ProcessDied
        self.arrives()
        self._make(new, credentials)
        self.fate.passes()
        return self.instances[new.identifier]

    def arrives(self, *, after: timedelta = timedelta()) -> None:
        """What has been under way for so long has its effect."""
        for each in [each for each in self.under_way if each[0] + after <= self.now()]:
            self.under_way.remove(each)
            with suppress(Transient):
                self._make(each[1], each[2])

    def _make(self, new: NewInstance, credentials: MasterCredentials) -> None:
        if new.identifier in self.instances:
            raise Transient("create", new.identifier, "DBInstanceAlreadyExists", "it is there")
        self.creates.append(new.identifier)
        status = "available" if self.answers_at_once else "creating"
        self.instances[new.identifier] = Observed(
            identifier=new.identifier,
            arn=f"arn:aws:rds:{self.region}:1:db:{new.identifier}",
            status=status,
            engine=new.engine,
            master_username=credentials.username,
            tags=new.tags,
            endpoint=_endpoint(new.identifier) if self.answers_at_once else None,
            storage_encrypted=new.storage_encrypted,
            subnet_group=new.subnet_group,
            current=replace(new.configuration, engine_version=new.configuration.engine_version or "8.0.35"),
        )
        self.passwords[new.identifier] = credentials.password

    async def modify(
        self, identifier: str, changes: Configuration, credentials: MasterCredentials | None
    ) -> Observed:
        self._called("modify")
        there = self._needs("modify", identifier, "available")
        self.instances[identifier] = replace(there, status="modifying", pending=changes)
        if credentials is not None:
            self.passwords[identifier] = credentials.password
        self.fate.passes()
        return self.instances[identifier]

    async def add_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        self._called("add_tags")
        identifier = arn.rsplit(":", 1)[1]
        there = self.instances[identifier]
        self.instances[identifier] = replace(there, tags={**there.tags, **tags})
        self.fate.passes()

    async def delete(self, identifier: str, snapshot: FinalSnapshot | None) -> None:
        self._called("delete")
        there = self._needs("delete", identifier, "available")
        self.instances[identifier] = replace(there, status="deleting")
        if snapshot is not None:
            self.snapshots.append(snapshot.identifier)
        self.fate.passes()

    def progress(self) -> None:
        """All that is under way comes to its end, a call sooner than anything that RDS does."""
        self.arrives()
        for identifier, there in list(self.instances.items()):
            if there.status == "deleting":
                del self.instances[identifier]
            else:
                self.instances[identifier] = replace(
                    there,
                    status="available",
                    endpoint=_endpoint(identifier),
                    current=there.expected,
                    pending=NOTHING,
                )


def _endpoint(identifier: str) -> Endpoint:
    return Endpoint(host=f"{identifier}.rds.example", port=3306)


@dataclass
class Cluster:
    """The API server in memory, for one object and its Secrets."""

    fate: Fate
    now: Callable[[], datetime] = lambda: START
    instance: RDSInstance | None = None
    secrets: dict[str, StoredCredentials] = field(default_factory=dict)
    told: list[RDSInstance] = field(default_factory=list)
    """Every version of the object there ever was: what messages are made of."""
    status_writes: int = 0
    warnings: list[tuple[str, str]] = field(default_factory=list)
    forbidden: frozenset[str] = frozenset()
    """Of ``secrets`` and ``status``: what the provisioner has no rights on."""
    versions: count[int] = field(default_factory=lambda: count(1))

    def put(self, instance: RDSInstance, **metadata: Any) -> RDSInstance:
        """Store it as a new version."""
        changed = {**metadata, "resource_version": str(next(self.versions))}
        new = instance.model_copy(update={"metadata": instance.metadata.model_copy(update=changed)})
        self.told.append(new)
        gone = new.being_deleted and not new.metadata.finalizers
        self.instance = None if gone else new
        return new

    def delete(self) -> None:
        if self.instance is not None and not self.instance.being_deleted:
            self.put(self.instance, deletion_timestamp=self.now())

    def edit(self, **spec: Any) -> RDSInstance:
        assert self.instance is not None
        document = self.instance.model_dump(mode="json", by_alias=True, exclude_none=True)
        document["spec"] |= spec
        generation = self.instance.metadata.generation + 1
        return self.put(RDSInstance.model_validate(document), generation=generation)

    def rotate(self, password: str) -> None:
        for name, stored in self.secrets.items():
            assert stored.credentials is not None
            new = MasterCredentials(stored.credentials.username, password)
            self.secrets[name] = replace(stored, revision=str(next(self.versions)), credentials=new)

    def _needs_right(self, resource: str) -> None:
        if resource in self.forbidden:
            raise Forbidden("", what=f"GET {resource} {NAMESPACE}/orders", status=403)

    async def confirm(self, instance: RDSInstance) -> None:
        self.fate.passes()
        self._same(instance)

    def _same(self, instance: RDSInstance) -> RDSInstance:
        now = self.instance
        if now is None or now.uid != instance.uid:
            raise Overtaken("gone")
        if now.metadata.resource_version != instance.metadata.resource_version:
            raise Overtaken("changed")
        return now

    async def add_finalizer(self, instance: RDSInstance) -> RDSInstance:
        self.fate.passes()
        now = self._same(instance)
        new = self.put(now, finalizers=(*now.metadata.finalizers, PROVISIONER_FINALIZER))
        self.fate.passes()
        return new

    async def remove_finalizer(self, instance: RDSInstance) -> None:
        self.fate.passes()
        now = self._same(instance)
        self.put(
            now, finalizers=tuple(each for each in now.metadata.finalizers if each != PROVISIONER_FINALIZER)
        )
        self.fate.passes()

    async def credentials(self, namespace: str, secret_name: str) -> StoredCredentials | None:
        self.fate.passes()
        self._needs_right("secrets")
        return self.secrets.get(secret_name)

    async def store_credentials(
        self, instance: RDSInstance, secret_name: str, credentials: MasterCredentials
    ) -> StoredCredentials:
        self.fate.passes()
        self._needs_right("secrets")
        if secret_name not in self.secrets:
            version = str(next(self.versions))
            self.secrets[secret_name] = StoredCredentials(
                secret_name, f"uid-{version}", version, instance.uid, credentials
            )
        self.fate.passes()
        return self.secrets[secret_name]

    async def delete_credentials(self, namespace: str, stored: StoredCredentials) -> None:
        self.fate.passes()
        self._needs_right("secrets")
        if self.secrets[stored.secret_name].secret_uid == stored.secret_uid:
            del self.secrets[stored.secret_name]
        self.fate.passes()

    async def write_status(self, instance: RDSInstance, status: RDSInstanceStatus) -> ObjectMeta | None:
        self.fate.passes()
        self._needs_right("status")
        now = self.instance
        if now is None or now.uid != instance.uid:
            raise Overtaken("gone")
        if status == instance.status:
            return None
        self.status_writes += 1
        new = self.put(now.model_copy(update={"status": status}))
        self.fate.passes()
        return new.metadata

    def warn(self, instance: RDSInstance, reason: str, note: str) -> None:
        self.warnings.append((reason, note))


class World:
    """A cluster, a cloud, and a provisioner that can be restarted."""

    def __init__(self) -> None:
        self.fate = Fate()
        self.cloud = Cloud(self.fate, now=lambda: self.time)
        self.cluster = Cluster(self.fate, lambda: self.time)
        self.time = START
        self.passwords = (f"generated-{number}" for number in count(1))
        self.restart()

    def restart(self) -> None:
        """Another process takes over: it knows nothing."""
        self.fate.dies_at = None
        self.reconciler = Reconciler(
            self.cluster,
            self.cloud,
            cluster_id=CLUSTER_ID,
            poll=PollIntervals(pending=10, settled=600),
            settle_deleted=SETTLE_DELETED.total_seconds(),
            metrics=Metrics(CollectorRegistry()),
            now=lambda: self.time,
            monotonic=self.seconds,
            random=lambda: 0.5,
            new_password=lambda: next(self.passwords),
        )

    def seconds(self) -> float:
        return (self.time - START).total_seconds()

    def message(self, instance: RDSInstance | None = None) -> ObjectMessage:
        """Of the last version, or of the one given."""
        instance = instance or self.cluster.told[-1]
        gone = self.cluster.instance is None and instance is self.cluster.told[-1]
        return ObjectMessage(
            key=KEY,
            uid=instance.uid,
            resource_version=instance.metadata.resource_version,
            deleted=gone,
            data=b"{}" if gone else instance.model_dump_json(by_alias=True, exclude_none=True).encode(),
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
        while self.just_deleted or before != (
            len(self.cluster.told),
            dict(self.cloud.instances),
            dict(self.cloud.passwords),
        ):
            before = (len(self.cluster.told), dict(self.cloud.instances), dict(self.cloud.passwords))
            with suppress(Transient):  # the bus hands it over again
                await self.woken()
            self.cloud.progress()

    @property
    def just_deleted(self) -> bool:
        """There is an object whose deletion is so young that a create may still be awaited."""
        instance = self.cluster.instance
        deleted = instance.metadata.deletion_timestamp if instance is not None else None
        return deleted is not None and self.time <= deleted + SETTLE_DELETED

    @property
    def object(self) -> RDSInstance:
        assert self.cluster.instance is not None
        return self.cluster.instance

    def condition(self, type: str) -> tuple[str, str, str]:
        """Its status, reason and message."""
        found = next(each for each in self.object.status.conditions if each.type == type)
        return found.status, found.reason, found.message


InstanceFactory = Callable[..., RDSInstance]


def make_instance(
    *, status: Any = None, annotations: Any = None, finalizer: bool = True, **spec: Any
) -> RDSInstance:
    """A small MySQL; ``spec`` in the words of a manifest."""
    wanted = {"engine": "mysql", "instance-type": "db.m4.xlarge", "allocatedStorage": 50, **spec}
    return RDSInstance.model_validate(
        {
            "apiVersion": "database.aws.conductor.io/v1alpha1",
            "kind": "RDSInstance",
            "metadata": {
                "name": "orders",
                "namespace": NAMESPACE,
                "uid": "0b1c8f4e-0000-4000-8000-000000000002",
                "resourceVersion": "1",
                "generation": 1,
                "annotations": annotations or {},
                "finalizers": [PROVISIONER_FINALIZER] if finalizer else [],
            },
            "spec": {key: value for key, value in wanted.items() if value is not None},
            "status": status or {},
        }
    )


@pytest.fixture
def build() -> InstanceFactory:
    return make_instance


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
