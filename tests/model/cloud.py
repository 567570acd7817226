"""A model of a cloud, and the driver for it: databases that are found by name and take their time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from conductor_model.concrete import Concrete, Endpoint
from conductor_provisioner.driver import NOT_THERE, CredentialsFrom, Observation, Ownership, Resource
from conductor_provisioner.errors import Transient
from conductor_provisioner.managed import Opened
from tests.model.process import Process


class State(Enum):
    MAKING = auto()
    THERE = auto()
    REMOVING = auto()


@dataclass(slots=True)
class Database:
    tags: Mapping[str, str]
    uid: str
    password: str
    state: State = State.MAKING


@dataclass(slots=True)
class Cloud:
    databases: dict[str, Database] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    """The uid of the object of every database that was ever made."""

    def look(self, name: str) -> Database | None:
        return self.databases.get(name)

    def make(self, name: str, uid: str, tags: Mapping[str, str], password: str) -> Database:
        if name in self.databases:
            raise Transient("Make", name, "AlreadyThere", "taken")
        self.made.append(uid)
        self.databases[name] = Database(dict(tags), uid, password)
        return self.databases[name]

    def change(self, name: str, password: str) -> Database:
        self._there(name).password = password
        return self.databases[name]

    def remove(self, name: str) -> None:
        self._there(name).state = State.REMOVING

    def goes_on(self) -> None:
        for name, found in list(self.databases.items()):
            if found.state is State.REMOVING:
                del self.databases[name]
            found.state = State.THERE

    def _there(self, name: str) -> Database:
        found = self.databases.get(name)
        if found is None or found.state is not State.THERE:
            raise Transient("Change", name, "Busy", "not now")
        return found


class Driver:
    """``conductor_provisioner.Driver`` of a process."""

    credentials_from = CredentialsFrom.CONDUCTOR
    recreates = False

    def __init__(self, cloud: Cloud, process: Process) -> None:
        self._cloud, self._process = cloud, process

    async def of(self, concrete: Concrete) -> Opened:
        return Opened(self)

    async def observe(self, resource: Resource[Any, Any]) -> Observation[Any]:
        found = await self._call(lambda: self._cloud.look(resource.external_name))
        return NOT_THERE if found is None else self._seen(resource, found)

    async def create(self, resource: Resource[Any, Any]) -> Observation[Any]:
        owner, password = resource.owner, _password(resource)
        made = await self._call(
            lambda: self._cloud.make(resource.external_name, owner.uid, owner.tags, password)
        )
        return self._seen(resource, made)

    async def update(self, resource: Resource[Any, Any], observed: Observation[Any]) -> Observation[Any]:
        password = _password(resource)
        changed = await self._call(lambda: self._cloud.change(resource.external_name, password))
        return self._seen(resource, changed)

    async def delete(self, resource: Resource[Any, Any], observed: Observation[Any]) -> None:
        await self._call(lambda: self._cloud.remove(resource.external_name))

    async def _call(self, make: Any) -> Any:
        lost = Transient("Call", "cloud", "NoAnswer", "no answer")
        return await self._process.ask(make, external=True, lost=lost)

    @staticmethod
    def _seen(resource: Resource[Any, Any], found: Database) -> Observation[Any]:
        known = resource.credentials
        return Observation(
            exists=True,
            ownership=Ownership.OURS if resource.owner.owns(found.tags) else Ownership.ANOTHERS,
            busy=found.state is not State.THERE,
            ready=found.state is State.THERE,
            endpoint=Endpoint(host=f"{resource.external_name}.example", port=3306),
            credentials_applied=known is not None and known["password"] == found.password,
        )


def _password(resource: Resource[Any, Any]) -> str:
    assert resource.credentials is not None, "credentials are made before anything else"
    return resource.credentials["password"]
