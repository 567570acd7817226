"""What a cloud author writes: a ``Driver``. It knows nothing of Kubernetes, of the bus, or of other replicas.

The managed reconciler calls it, one call at a time for one resource, and promises:

- ``observe`` is called first, in every round, and what it returned is handed to whatever follows;
- ``create`` is called only after ``observe`` found nothing, and after everything that a second process needs to go on
  with it (finalizer, external name, generated credentials) is durable;
- ``update`` and ``delete`` are called only for what is ours, or was given to us by ``conductor.io/external-name``.

A driver promises in return:

- the external resource is found by ``Resource.external_name`` alone, and is tagged with ``Resource.owner`` in the same
  call that creates it, or created in such an order that what is left by a crash is found, and recognised, by ``observe``;
- each method may be called again after it was interrupted anywhere, or after its answer was lost, and then goes on;
- every request to the outside goes through ``Account.calls``, which limits, times, traces and counts it;
- it raises ``errors.ProviderError`` and nothing else, and does not wait: what takes long is reported as ``busy``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from conductor_model.concrete import ConcreteSpec, ConcreteStatus, Endpoint
from conductor_model.quantity import Quantity

SpecT = TypeVar("SpecT", bound=ConcreteSpec)
StatusT = TypeVar("StatusT", bound=ConcreteStatus)
T = TypeVar("T")

CLUSTER_TAG = "conductor.io/cluster-id"
UID_TAG = "conductor.io/concrete-uid"
OBJECT_TAG = "conductor.io/concrete"


class Ownership(Enum):
    """Whose an external resource is, by the tags that it carries."""

    OURS = auto()
    NOBODYS = auto()
    """No owner's tags: it may be adopted, by annotation only."""
    ANOTHERS = auto()
    """Another object's, or another cluster's: never touched."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The concrete resource that an external resource belongs to."""

    cluster_id: str
    uid: str
    namespace: str
    name: str

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags that say so. The object's name is for people; the two ids are the proof.

        A cloud with narrower rules for tags is given a fixed function of these by its driver.
        """
        return {
            CLUSTER_TAG: self.cluster_id,
            UID_TAG: self.uid,
            OBJECT_TAG: f"{self.namespace}/{self.name}",
        }

    def owns(self, tags: Mapping[str, str]) -> bool:
        return tags.get(CLUSTER_TAG) == self.cluster_id and tags.get(UID_TAG) == self.uid

    @property
    def mark(self) -> str:
        """The proof in one string, for what has room for no more."""
        return f"{self.cluster_id}:{self.uid}"

    def whose(self, mark: str | None) -> Ownership:
        """Whose something with this mark is; None: it has none."""
        if mark is None:
            return Ownership.NOBODYS
        return Ownership.OURS if mark == self.mark else Ownership.ANOTHERS


class SecretData(Mapping[str, str]):
    """The entries of a credentials Secret, such as ``username`` and ``password``. Never shown in a repr."""

    __slots__ = ("_entries",)

    def __init__(self, entries: Mapping[str, str]) -> None:
        self._entries = dict(entries)

    def __getitem__(self, key: str) -> str:
        return self._entries[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"SecretData({', '.join(sorted(self._entries))})"


class CredentialsFrom(Enum):
    """Who comes up with the credentials of an external resource."""

    CONDUCTOR = auto()
    """The reconciler makes a user name and a password, or reads the administrator's Secret, before ``create``."""
    CLOUD = auto()
    """The driver returns them in ``Observation.credentials``; the reconciler stores them.

    Until they are stored, ``Resource.credentials`` is None: whatever was issued before and lost, is issued anew.
    """
    NOBODY = auto()
    """There are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource(Generic[SpecT, StatusT]):
    """One external resource as it is wanted, and what is known of it so far."""

    external_name: str
    """By which it is found: a fixed function of the owner, or what the administrator's annotation says."""
    owner: Owner
    spec: SpecT
    status: StatusT
    """As it was last written: the place for what a driver must know again after a crash, see ``Observation.details``."""
    credentials: SecretData | None = None
    credentials_applied: bool = False
    """Whether the external resource is known to have these very credentials."""
    rotation: str | None = None
    """An unanswered request for new credentials: its value changes with each. Answered when a write of
    ``Observation.credentials`` with ``Observation.rotated`` equal to it is durable."""


@dataclass(frozen=True, slots=True)
class Drift:
    """A field of the external resource that is not as the spec wants it. Values are shown: no secrets."""

    field: str
    wanted: str
    found: str
    repairable: bool = True
    """False: the cloud cannot change it in place; ``why`` tells a person what can be done."""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation(Generic[StatusT]):
    """The external resource as it is, and as calls under way will leave it."""

    exists: bool
    ownership: Ownership = Ownership.OURS
    leftovers: bool = False
    """It is not there, or is another's, but parts of ours that go with it are there, such as a user: a deletion takes them
    along, once no create can be under way any more."""
    busy: bool = False
    """An operation is under way: it is neither updated nor deleted now, and looked at again soon."""
    failed: bool = False
    """It is there and will never be ready by itself; ``message`` says why."""
    ready: bool = False
    """It can be connected to."""
    message: str = ""
    """The state in the cloud's words, for people: "DB instance db-1 is rebooting"."""
    endpoint: Endpoint | None = None
    drift: tuple[Drift, ...] = ()
    engine_version: str | None = None
    capacity: Mapping[str, Quantity] = field(default_factory=dict)
    credentials: SecretData | None = None
    """Entries to be stored in the credentials Secret: issued ones, or certificates beside generated ones."""
    credentials_applied: bool = False
    """Whether the external resource now has ``Resource.credentials``."""
    rotated: str | None = None
    """The ``Resource.rotation`` that ``credentials`` answer."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the kind's own status, by their Python names: an ARN, an operation's name."""
    poll_after: float | None = None
    """Seconds after which to look again, at most the settled interval; None: soon while busy or neither ready nor failed,
    else at the settled interval."""


NOT_THERE: Observation[Any] = Observation(exists=False)


class Driver(Protocol[SpecT, StatusT]):
    """The external resources of one kind in one account. See the module for what each side promises."""

    credentials_from: CredentialsFrom
    recreates: bool
    """Whether what vanished behind our back is made again. False for whatever holds data: an empty database in place
    of a full one helps nobody, so a person is told."""

    async def observe(self, resource: Resource[SpecT, StatusT]) -> Observation[StatusT]:
        """What is there under the resource's name; ``NOT_THERE`` only if the cloud itself says that nothing is."""
        ...

    async def create(self, resource: Resource[SpecT, StatusT]) -> Observation[StatusT]: ...

    async def update(
        self, resource: Resource[SpecT, StatusT], observed: Observation[StatusT]
    ) -> Observation[StatusT]:
        """Repair what ``observed`` names as drift, apply credentials that are not applied, answer a rotation."""
        ...

    async def delete(self, resource: Resource[SpecT, StatusT], observed: Observation[StatusT]) -> None:
        """Begin to remove it. The reconciler observes until it is gone. Raises Terminal while it is protected.

        What shows that an external resource is ours before it has tags goes as leftovers, by a call of its own: a create
        of a process that died may have its effect in between.
        """
        ...


@dataclass(frozen=True, slots=True)
class Tagged:
    """An external resource that carries our cluster's tag, found by a sweep of an account."""

    external_name: str
    uid: str
    """Of the concrete resource that it was made for."""
    description: str
    """Kind and place in the cloud's words, for people."""


class Sweeps(Protocol):
    """Of a driver whose cloud can list what carries a tag: what the orphan sweep asks."""

    def tagged(self, cluster_id: str) -> AsyncIterator[Tagged]: ...


@runtime_checkable
class Releases(Protocol):
    """Of a driver that can take its owner's tags off what outlives its object.

    It is nobody's from then on: another object may be given it by ``conductor.io/external-name``, and the orphan sweep does
    not count it. Without this, an administrator takes the tags off by hand.
    """

    async def release(self, resource: Resource[Any, Any], observed: Observation[Any]) -> None:
        """Called, once or more often, before an object is let go whose external resource stays."""
        ...


@runtime_checkable
class SlowCalls(Protocol):
    """Of a driver whose calls may have their effect later than ``settings.CALL_SECONDS`` after they were begun."""

    call_seconds: float
    """By then the longest has ended, one way or the other: connecting and its time-out together."""


class Calls(Protocol):
    """How a driver reaches its cloud: limits, timing, spans, metrics, and in tests crashes and lost answers.

    At most so many calls of an account run at once, and none while the account is throttled.
    """

    async def awaiting(self, action: str, target: str, call: Callable[[], Awaitable[T]]) -> T:
        """``call`` does one request, and raises a ProviderError if that fails."""
        ...

    async def blocking(self, action: str, target: str, call: Callable[[], T]) -> T:
        """The same for a call that blocks: it runs in one of a fixed number of threads."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where a driver works, resolved from a ProviderConfig, or from the environment where there is none."""

    name: str
    """Of the ProviderConfig, as ``namespace/name``; ``ambient`` without one. The label of metrics and limits."""
    calls: Calls
    account: str | None = None
    """The account, project or tenant that is expected there; another one found is refused."""
    region: str | None = None
    endpoint: str | None = None
    """The URL of the cloud's API, or of the server, where it is not the cloud's own."""
    secret: SecretData | None = None
    """The referenced credentials; None: ambient or workload identity."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The ProviderConfig's part that only this family of drivers understands."""


class DriverFactory(Protocol[SpecT, StatusT]):
    """Opens the driver of an account. Called again when the ProviderConfig or its Secret has changed."""

    async def open(self, account: Account) -> Driver[SpecT, StatusT]: ...

    async def close(self, driver: Driver[SpecT, StatusT]) -> None: ...
