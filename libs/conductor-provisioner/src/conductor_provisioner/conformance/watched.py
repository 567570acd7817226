"""The driver and the API as one process has them: each request is a step of it, and each call of the driver is noted."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from conductor_model.concrete import Concrete, ConcreteStatus
from conductor_model.meta import ObjectMeta
from conductor_provisioner.cluster import Cluster, StoredCredentials
from conductor_provisioner.conformance.steps import Process
from conductor_provisioner.driver import Driver, Observation, Resource, SecretData, SlowCalls
from conductor_provisioner.errors import ProviderError
from conductor_provisioner.managed import NamesItself

T = TypeVar("T")
AnyResource = Resource[Any, Any]
AnyObservation = Observation[Any]


@dataclass(frozen=True, slots=True)
class Change:
    """A call of ``create``, ``update`` or ``delete``."""

    method: str
    name: str


@dataclass(slots=True)
class Seen:
    """What all processes of a world did with their drivers."""

    changes: list[Change] = field(default_factory=list)
    resource: AnyResource | None = None
    """What the driver was asked about last."""
    observed: AnyObservation | None = None
    """What it said last."""
    secrets: list[SecretData] = field(default_factory=list)
    """The content of every credentials Secret that was written."""
    not_sorted: list[tuple[str, BaseException]] = field(default_factory=list)
    """By method: what was raised and is no ProviderError."""


class WatchedDriver:
    """``driver.Driver``."""

    def __init__(self, driver: Driver[Any, Any], process: Process, seen: Seen) -> None:
        self._driver = driver
        self._process = process
        self._seen = seen
        self.credentials_from = driver.credentials_from
        self.recreates = driver.recreates
        if isinstance(driver, NamesItself):
            self.external_name = driver.external_name
        if isinstance(driver, SlowCalls):
            self.call_seconds = driver.call_seconds

    async def observe(self, resource: AnyResource) -> AnyObservation:
        return self._told(await self._called("observe", resource, self._driver.observe(resource)))

    async def create(self, resource: AnyResource) -> AnyObservation:
        return self._told(await self._called("create", resource, self._driver.create(resource)))

    async def update(self, resource: AnyResource, observed: AnyObservation) -> AnyObservation:
        return self._told(await self._called("update", resource, self._driver.update(resource, observed)))

    async def delete(self, resource: AnyResource, observed: AnyObservation) -> None:
        await self._called("delete", resource, self._driver.delete(resource, observed))

    def _told(self, observed: AnyObservation) -> AnyObservation:
        self._seen.observed = observed
        return observed

    async def _called(self, method: str, resource: AnyResource, call: Awaitable[T]) -> T:
        if method != "observe":
            self._seen.changes.append(Change(method, resource.external_name))
        self._seen.resource = resource
        self._process.method = method
        try:
            return await call
        except ProviderError:
            raise
        except Exception as error:
            if not self._process.dead:
                self._seen.not_sorted.append((method, error))
            raise
        finally:
            self._process.method = ""


class WatchedCluster:
    """``cluster.Cluster``."""

    def __init__(self, cluster: Cluster[Any], process: Process, seen: Seen) -> None:
        self._cluster = cluster
        self._process = process
        self._seen = seen

    async def confirm(self, concrete: Concrete) -> None:
        await self._process.api("confirm", lambda: self._cluster.confirm(concrete))

    async def add_finalizer(self, concrete: Concrete) -> Concrete:
        added: Concrete = await self._process.api(
            "add finalizer", lambda: self._cluster.add_finalizer(concrete)
        )
        return added

    async def remove_finalizer(self, concrete: Concrete) -> None:
        await self._process.api("remove finalizer", lambda: self._cluster.remove_finalizer(concrete))

    async def credentials(self, namespace: str, secret_name: str) -> StoredCredentials | None:
        return await self._process.api(
            "read credentials", lambda: self._cluster.credentials(namespace, secret_name)
        )

    async def store_credentials(
        self, concrete: Concrete, secret_name: str, data: SecretData, rotated: str | None, account: str
    ) -> StoredCredentials:
        self._seen.secrets.append(data)
        return await self._process.api(
            "store credentials",
            lambda: self._cluster.store_credentials(concrete, secret_name, data, rotated, account),
        )

    async def replace_credentials(
        self, concrete: Concrete, stored: StoredCredentials, data: SecretData, rotated: str | None
    ) -> StoredCredentials:
        self._seen.secrets.append(data)
        return await self._process.api(
            "replace credentials",
            lambda: self._cluster.replace_credentials(concrete, stored, data, rotated),
        )

    async def delete_credentials(self, namespace: str, stored: StoredCredentials) -> None:
        await self._process.api(
            "delete credentials", lambda: self._cluster.delete_credentials(namespace, stored)
        )

    async def write_status(self, concrete: Concrete, status: ConcreteStatus) -> ObjectMeta | None:
        return await self._process.api("write status", lambda: self._cluster.write_status(concrete, status))

    def warn(self, concrete: Concrete, reason: str, note: str) -> None:
        if not self._process.dead:
            self._cluster.warn(concrete, reason, note)
