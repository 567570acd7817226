"""A cloud in memory and a driver for it that passes the whole suite: the smallest example, and the suite's own subject.

The cloud keeps boxes. It finds them by name, carries tags that are set in the call that makes one, takes its time for
everything, refuses a name that is taken and boxes that are too large, and can be throttled or out of order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Literal, TypeVar

from pydantic import Field

from conductor_model.concrete import Concrete, ConcreteSpec, ConcreteStatus, Endpoint
from conductor_model.kind import Kind, Role
from conductor_model.refs import GroupVersionKind, ResourceType
from conductor_provisioner.conformance.subject import Fault, StandIn, Subject
from conductor_provisioner.driver import (
    CLUSTER_TAG,
    NOT_THERE,
    UID_TAG,
    Account,
    CredentialsFrom,
    Drift,
    Observation,
    Owner,
    Ownership,
    Resource,
    SecretData,
    Tagged,
)
from conductor_provisioner.errors import ProviderError, Terminal, Throttled, Transient

LARGEST = 100
T = TypeVar("T")


class BoxSpec(ConcreteSpec):
    size: int = Field(1, ge=1)
    colour: str = "brown"


class Box(Concrete):
    """A box on a shelf."""

    api_version: Literal["reference.conductor.io/v1alpha1"] = "reference.conductor.io/v1alpha1"
    kind: Literal["Box"] = "Box"
    spec: BoxSpec = Field(default_factory=BoxSpec)
    status: ConcreteStatus = Field(default_factory=ConcreteStatus)


BOX = Kind(
    ResourceType(GroupVersionKind("reference.conductor.io", "v1alpha1", "Box"), "boxes"), Role.CONCRETE, Box
)


class State(Enum):
    MAKING = auto()
    THERE = auto()
    CHANGING = auto()
    REMOVING = auto()


@dataclass(slots=True)
class Stored:
    size: int
    colour: str
    password: str
    tags: dict[str, str]
    state: State = State.THERE


class ShelfError(Exception):
    """An answer that is none."""

    def __init__(self, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after


@dataclass(slots=True)
class Shelf:
    """The cloud's API, one method for each call."""

    boxes: dict[str, Stored] = field(default_factory=dict)
    fault: Fault | None = None

    async def look(self, name: str) -> Stored | None:
        self._answers()
        return self.boxes.get(name)

    async def listed(self) -> Mapping[str, Stored]:
        self._answers()
        return dict(self.boxes)

    async def make(self, name: str, size: int, colour: str, password: str, tags: Mapping[str, str]) -> Stored:
        self._answers()
        self._fits(size)
        if name in self.boxes:
            raise ShelfError("AlreadyThere", f"{name} is taken")
        self.boxes[name] = Stored(size, colour, password, dict(tags), State.MAKING)
        return self.boxes[name]

    async def change(self, name: str, size: int, colour: str, password: str) -> Stored:
        self._answers()
        self._fits(size)
        box = self._idle(name)
        box.size, box.colour, box.password, box.state = size, colour, password, State.CHANGING
        return box

    async def tag(self, name: str, tags: Mapping[str, str]) -> None:
        self._answers()
        if name not in self.boxes:
            raise ShelfError("NotThere", f"{name} is not there")
        self.boxes[name].tags.update(tags)

    async def untag(self, name: str, keys: Iterable[str]) -> None:
        self._answers()
        if name not in self.boxes:
            raise ShelfError("NotThere", f"{name} is not there")
        for key in keys:
            self.boxes[name].tags.pop(key, None)

    async def remove(self, name: str) -> None:
        self._answers()
        self._idle(name).state = State.REMOVING

    def _answers(self) -> None:
        match self.fault:
            case Fault.THROTTLED:
                raise ShelfError("TooManyCalls", "come back later", retry_after=7)
            case Fault.OUTAGE:
                raise ShelfError("InternalError", "we are looking into it")

    @staticmethod
    def _fits(size: int) -> None:
        if size > LARGEST:
            raise ShelfError("TooLarge", f"size {size} is more than {LARGEST}")

    def _idle(self, name: str) -> Stored:
        if name not in self.boxes:
            raise ShelfError("NotThere", f"{name} is not there")
        if self.boxes[name].state is not State.THERE:
            raise ShelfError("Busy", f"{name} is {self.boxes[name].state.name.lower()}")
        return self.boxes[name]


class ShelfStandIn(StandIn):
    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def settle(self) -> None:
        for name, box in list(self._shelf.boxes.items()):
            if box.state is State.REMOVING:
                del self._shelf.boxes[name]
            box.state = State.THERE

    async def external(self) -> Sequence[str]:
        return tuple(self._shelf.boxes)

    async def vanish(self, name: str) -> None:
        del self._shelf.boxes[name]

    async def alter(self, name: str) -> str:
        self._shelf.boxes[name].colour = "altered"
        return "colour"

    async def foreign(self, name: str, owner: Owner | None) -> None:
        self._shelf.boxes[name] = Stored(9, "foreign", "theirs", dict(owner.tags) if owner else {})

    async def fault(self, fault: Fault | None) -> None:
        self._shelf.fault = fault

    async def accepts(self, name: str, credentials: SecretData) -> bool:
        return self._shelf.boxes[name].password == credentials["password"]


BoxResource = Resource[BoxSpec, ConcreteStatus]
BoxObservation = Observation[ConcreteStatus]


class ShelfDriver:
    """``driver.Driver`` for boxes."""

    credentials_from = CredentialsFrom.CONDUCTOR
    recreates = False

    def __init__(self, shelf: Shelf, account: Account) -> None:
        self._shelf = shelf
        self._account = account

    async def observe(self, resource: BoxResource) -> BoxObservation:
        name = resource.external_name
        found = await self._call("Look", name, lambda: self._shelf.look(name))
        return NOT_THERE if found is None else self._seen(resource, found)

    async def create(self, resource: BoxResource) -> BoxObservation:
        name, spec, password = resource.external_name, resource.spec, self._password(resource)
        made = await self._call(
            "Make",
            name,
            lambda: self._shelf.make(name, spec.size, spec.colour, password, resource.owner.tags),
        )
        return self._seen(resource, made, applied=True)

    async def update(self, resource: BoxResource, observed: BoxObservation) -> BoxObservation:
        name, spec, password = resource.external_name, resource.spec, self._password(resource)
        if observed.ownership is Ownership.NOBODYS:
            await self._call("Tag", name, lambda: self._shelf.tag(name, resource.owner.tags))
        changed = await self._call(
            "Change", name, lambda: self._shelf.change(name, spec.size, spec.colour, password)
        )
        return self._seen(resource, changed, applied=True)

    async def delete(self, resource: BoxResource, observed: BoxObservation) -> None:
        name = resource.external_name
        try:
            await self._call("Remove", name, lambda: self._shelf.remove(name))
        except Transient as error:
            if error.code != "NotThere":
                raise

    async def release(self, resource: BoxResource, observed: BoxObservation) -> None:
        name = resource.external_name
        await self._call("Untag", name, lambda: self._shelf.untag(name, resource.owner.tags))

    async def tagged(self, cluster_id: str) -> AsyncIterator[Tagged]:
        for name, box in (await self._call("List", "shelf", self._shelf.listed)).items():
            if box.tags.get(CLUSTER_TAG) == cluster_id:
                yield Tagged(name, box.tags.get(UID_TAG, ""), f"box {name}")

    @staticmethod
    def _password(resource: BoxResource) -> str:
        assert resource.credentials is not None, "the reconciler makes them before anything else"
        return resource.credentials["password"]

    def _seen(self, resource: BoxResource, box: Stored, *, applied: bool = False) -> BoxObservation:
        spec = resource.spec
        return Observation(
            exists=True,
            ownership=self._ownership(resource.owner, box),
            busy=box.state is not State.THERE,
            ready=box.state in (State.THERE, State.CHANGING),
            message=f"box {resource.external_name} is {box.state.name.lower()}",
            endpoint=Endpoint(host=f"{resource.external_name}.shelf.example", port=1),
            drift=tuple(
                Drift(name, str(wanted), str(found))
                for name, wanted, found in (
                    ("size", spec.size, box.size),
                    ("colour", spec.colour, box.colour),
                )
                if wanted != found
            ),
            credentials_applied=applied or resource.credentials_applied,
        )

    @staticmethod
    def _ownership(owner: Owner, box: Stored) -> Ownership:
        if owner.owns(box.tags):
            return Ownership.OURS
        return Ownership.ANOTHERS if UID_TAG in box.tags else Ownership.NOBODYS

    async def _call(self, action: str, target: str, call: Callable[[], Awaitable[T]]) -> T:
        async def sorted_call() -> T:
            try:
                return await call()
            except ShelfError as error:
                raise _sorted(action, target, error) from error

        return await self._account.calls.awaiting(action, target, sorted_call)


def _sorted(action: str, target: str, error: ShelfError) -> ProviderError:
    if error.retry_after is not None:
        return Throttled(action, target, error.code, str(error), retry_after=error.retry_after)
    if error.code == "TooLarge":
        return Terminal(action, target, error.code, str(error))
    return Transient(action, target, error.code, str(error))


@dataclass(frozen=True, slots=True)
class ShelfDrivers:
    """``driver.DriverFactory``: of the right drivers, or of others for the same cloud."""

    shelf: Shelf
    make: Callable[[Shelf, Account], Any] = ShelfDriver

    async def open(self, account: Account) -> Any:
        return self.make(self.shelf, account)

    async def close(self, driver: Any) -> None:
        """There is nothing to close."""


def reference(make: Callable[[Shelf, Account], Any] = ShelfDriver, name: str = "reference") -> Subject:
    """The subject of a new cloud, with the right driver or another."""
    shelf = Shelf()
    return Subject(
        driver=name,
        kind=BOX,
        factory=ShelfDrivers(shelf, make),
        stand_in=ShelfStandIn(shelf),
        spec={"size": 3, "colour": "blue"},
        changed={"size": 5},
        invalid={"size": LARGEST + 1},
    )
