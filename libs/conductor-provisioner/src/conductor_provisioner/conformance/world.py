"""An API server in memory with one object in it, the stand-in of a cloud, and provisioner processes that die and follow.

Only the driver and its cloud are on trial: the reconciler is the one that runs in production, and the clock is ours.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry

from conductor_bus import ObjectMessage, Wake, Work
from conductor_model.annotations import EXTERNAL_NAME
from conductor_model.concrete import Concrete, ConcreteCondition, ConcreteSpec
from conductor_model.conditions import Condition, condition
from conductor_model.refs import ObjectKey
from conductor_provisioner.conformance.goals import Goal
from conductor_provisioner.conformance.steps import Calls, Cut, Effect, Process, ProcessDied
from conductor_provisioner.conformance.subject import Fault, Subject
from conductor_provisioner.conformance.watched import (
    AnyObservation,
    AnyResource,
    Change,
    Seen,
    WatchedCluster,
    WatchedDriver,
)
from conductor_provisioner.driver import Account, CredentialsFrom, Driver, Owner
from conductor_provisioner.errors import ProviderError, Retryable
from conductor_provisioner.managed import ManagedReconciler, default_name
from conductor_provisioner.metrics import Metrics
from conductor_provisioner.pacing import PollIntervals
from conductor_provisioner.testing import MemoryCluster, OneDriver

T = TypeVar("T")

NAMESPACE, NAME = "conformance", "subject"
START = datetime(2026, 1, 1, tzinfo=UTC)
BETWEEN_LOOKS = timedelta(seconds=10)
SETTLE_DELETED = 60.0
MOST_LOOKS = 60
"""On the way to one goal: ten minutes of the world's time."""
SECRET_ENTRIES = ("password", "secret", "token", "private")
"""An entry of a credentials Secret whose key holds one of these words is never to be shown."""


class World:
    """One object's life. ``cuts``: how its first processes end, in order; those that follow them live.

    ``deleted_after``: as soon as so many have died, the user deletes the object.
    """

    def __init__(
        self,
        subject: Subject,
        cuts: Iterable[Cut],
        spec: Mapping[str, Any],
        *,
        adopts: bool,
        deleted_after: int | None,
    ) -> None:
        self.subject = subject
        self.cluster_id, self.uid = str(uuid.uuid4()), str(uuid.uuid4())
        self.seen = Seen()
        self.errors: list[BaseException] = []
        """What was raised into the work queue, to come back later."""
        self.processes: list[Process] = []
        self.looked_without_change = False
        self.deleted = False
        self._deleted_after = deleted_after
        self._cuts = list(cuts)
        self._time = START
        self._under_way: list[tuple[datetime, Effect]] = []
        self._drivers: list[Driver[Any, Any]] = []
        self._before: frozenset[str] = frozenset()
        self._residue_before: frozenset[str] = frozenset()
        self._key = ObjectKey(subject.kind.group_kind, NAMESPACE, NAME)
        self._cluster: MemoryCluster[Any] = MemoryCluster(lambda: self._time)
        annotations = {EXTERNAL_NAME: f"given-{self.uid[:8]}"} if adopts else {}
        self._cluster.put(
            subject.kind.model.model_validate(
                {
                    "apiVersion": subject.kind.type.gvk.api_version,
                    "kind": subject.kind.type.gvk.kind,
                    "metadata": {
                        "name": NAME,
                        "namespace": NAMESPACE,
                        "uid": self.uid,
                        "generation": 1,
                        "annotations": annotations,
                    },
                    "spec": {"rebindPolicy": "Delete", **spec},
                }
            )
        )

    @classmethod
    @asynccontextmanager
    async def of(
        cls,
        subject: Subject,
        *,
        cuts: Iterable[Cut] = (),
        spec: Mapping[str, Any] | None = None,
        adopts: bool = False,
        deleted_after: int | None = None,
    ) -> AsyncIterator[World]:
        """A world whose object is new. At its end nobody has seen a secret, and what it made is removed."""
        world = cls(
            subject,
            cuts,
            subject.spec if spec is None else spec,
            adopts=adopts,
            deleted_after=deleted_after,
        )
        world._before = frozenset(await subject.stand_in.external())
        world._residue_before = frozenset(await subject.stand_in.residue())
        try:
            await world._start_process()
            yield world
            world._shows_no_secret()
            world._sorts_its_errors()
        finally:
            await world._clean_up()

    # What is there to see.

    @property
    def process(self) -> Process:
        return self.processes[-1]

    @property
    def driver(self) -> WatchedDriver:
        """Of the present process."""
        return self._watched

    @property
    def raw_driver(self) -> Driver[Any, Any]:
        return self._drivers[-1]

    @property
    def alive(self) -> bool:
        """Whether the object is still there."""
        return self._key in self._cluster.objects

    @property
    def object(self) -> Concrete:
        assert self.alive, "the object is gone"
        found: Concrete = self._cluster.objects[self._key]
        return found

    @property
    def version(self) -> str:
        """Changes with every write."""
        return self.object.metadata.resource_version

    @property
    def name(self) -> str:
        """The external name."""
        last = self._cluster.told[-1]
        given = last.metadata.annotations.get(EXTERNAL_NAME)
        return last.status.external_name or given or default_name(self.raw_driver, self._owner, last.spec)

    @property
    def deaths(self) -> int:
        return sum(process.dead for process in self.processes)

    def condition(self, type: str) -> str:
        """Its status; Unknown where there is none."""
        found = condition(self.object.status.conditions, ConcreteCondition(type))
        return found.status if found is not None else "Unknown"

    @property
    def told_of_last_change(self) -> bool:
        return self.object.status.observed_generation == self.object.metadata.generation

    def changes(self) -> list[Change]:
        return list(self.seen.changes)

    def calls_of(self, method: str) -> int:
        return sum(change.method == method for change in self.seen.changes)

    def resource(self) -> AnyResource:
        """As the reconciler would hand it to the driver now."""
        assert self.seen.resource is not None, "nothing was looked at yet"
        return replace(self.seen.resource, spec=self.object.spec)

    async def observed(self) -> AnyObservation:
        """What the driver sees now."""
        return await self.driver.observe(self.resource())

    def spec_with(self, fields: Mapping[str, Any]) -> ConcreteSpec:
        spec = self.object.spec
        document = {**spec.model_dump(mode="json", by_alias=True, exclude_none=True), **fields}
        return type(spec).model_validate(document)

    def story(self) -> str:
        """The steps of all processes, for people."""
        lines = []
        for number, process in enumerate(self.processes, start=1):
            lines.append(f"process {number}{' dies' if process.dead else ''}:")
            lines += [f"  {step}" for step in process.steps]
        return "\n".join(lines)

    # What happens.

    def edit(self, fields: Mapping[str, Any]) -> None:
        """The user changes the spec; None removes a field."""
        self.looked_without_change = False
        old = self.object
        document = old.model_dump(mode="json", by_alias=True, exclude_none=True)
        spec = {**document["spec"], **fields}
        document["spec"] = {name: value for name, value in spec.items() if value is not None}
        self._cluster.put(type(old).model_validate(document), generation=old.metadata.generation + 1)

    def delete(self) -> None:
        """The user deletes the object."""
        self.deleted = True
        self._cluster.delete(self._key)

    async def settle(self) -> None:
        """The cloud goes on."""
        await self.subject.stand_in.settle()

    async def vanish(self) -> None:
        """The external resource disappears behind our back."""
        self.looked_without_change = False
        await self.subject.stand_in.vanish(self.name)

    @asynccontextmanager
    async def fault(self, fault: Fault) -> AsyncIterator[None]:
        await self.subject.stand_in.fault(fault)
        try:
            yield
        finally:
            await self.subject.stand_in.fault(None)

    async def look(self) -> None:
        """Time passes, and the process looks at the object, or dies on the way and is followed by another."""
        self._time += BETWEEN_LOOKS
        await self._arrivals()
        if not self.alive:
            return
        self.process.begins_look()
        changes, self.looked_without_change = len(self.seen.changes), False
        try:
            await self._reconciler.handle(self._work())
            self.looked_without_change = len(self.seen.changes) == changes
            self._failures = 0
        except ProcessDied:
            pass
        except Exception as error:
            if not self.process.dead:
                self._back_to_the_queue(error)
        if self.process.dead:
            if self.deaths == self._deleted_after:
                self.delete()
            await self._start_process()

    async def until(self, goal: Goal, *, settling: bool = True) -> None:
        """Look until it is reached. Raises AssertionError when that takes too long."""
        for _ in range(MOST_LOOKS):
            if goal(self):
                return
            await self.look()
            if settling:
                await self.settle()
        told = [f"{each.type}={each.status} {each.reason}: {each.message}" for each in self._conditions()]
        last = f"; the last error: {self.errors[-1]!r}" if self.errors else ""
        raise AssertionError(f"not {goal.__name__} after {MOST_LOOKS} looks; {', '.join(told)}{last}")

    async def outlasts_all_calls(self) -> None:
        """Time passes until no dead process has a call under way."""
        while self._under_way:
            self._time += BETWEEN_LOOKS
            await self._arrivals()

    async def tolerates(self, call: Awaitable[T]) -> T | None:
        """The result of a call that may ask to be made again later; None if it did."""
        try:
            return await call
        except Retryable:
            return None

    # What must hold.

    async def holds_exactly_one(self) -> None:
        """There is one external resource, under the name that the object tells."""
        found = await self._ours()
        assert found == [self.name], (
            f"there are {len(found)} external resources, {found}, instead of the one, {self.name}"
        )

    async def holds_none(self) -> None:
        """There is no external resource. Something that belongs to one may be, for the object can still remove it."""
        found = await self._ours()
        assert not found, f"{found} left behind"

    async def holds_nothing(self) -> None:
        """There is neither an external resource nor anything that belongs to one."""
        await self.holds_none()
        residue = set(await self.subject.stand_in.residue()) - self._residue_before
        assert not residue, f"{sorted(residue)} left behind"
        assert self.alive or not self._cluster.secrets, (
            f"the Secrets {list(self._cluster.secrets)} left behind"
        )

    async def its_credentials_open_it(self) -> None:
        """What the credentials Secret says is what the external resource takes. Raises NotSimulated."""
        if self.raw_driver.credentials_from is CredentialsFrom.NOBODY:
            return
        assert len(self._cluster.secrets) == 1, f"there are {len(self._cluster.secrets)} credentials Secrets"
        (stored,) = self._cluster.secrets.values()
        accepted = await self.subject.stand_in.accepts(self.name, stored.data)
        assert accepted, "the object is Ready, and the credentials in its Secret are refused"

    # How it works.

    @property
    def _owner(self) -> Owner:
        return Owner(self.cluster_id, self.uid, NAMESPACE, NAME)

    def _seconds(self) -> float:
        return (self._time - START).total_seconds()

    def _conditions(self) -> Iterable[Condition]:
        last: Concrete = self._cluster.told[-1]
        return last.status.conditions

    async def _ours(self) -> list[str]:
        return [name for name in await self.subject.stand_in.external() if name not in self._before]

    async def _start_process(self) -> None:
        """Another process takes over: it knows nothing."""
        while True:
            if self.processes:
                self._left_behind()
            process = Process(self._cuts.pop(0) if self._cuts else None)
            self.processes.append(process)
            account = Account(name="conformance", calls=Calls(process), **self.subject.account)
            try:
                self._drivers.append(await self.subject.factory.open(account))
            except ProcessDied:
                continue
            break
        self._failures = 0
        self._watched = WatchedDriver(self.raw_driver, process, self.seen)
        model: type[Any] = self.subject.kind.model
        self._reconciler: ManagedReconciler[Any] = ManagedReconciler(
            model,
            WatchedCluster(self._cluster, process, self.seen),
            OneDriver(self._watched),
            cluster_id=self.cluster_id,
            poll=PollIntervals(pending=BETWEEN_LOOKS.total_seconds(), settled=600),
            settle_deleted=SETTLE_DELETED,
            metrics=Metrics(CollectorRegistry()),
            now=lambda: self._time,
            monotonic=self._seconds,
            random=lambda: 0.5,
            new_password=lambda: f"generated-{uuid.uuid4().hex}",
        )

    def _left_behind(self) -> None:
        """What the process that died had under way has its effect when its cut says."""
        process = self.process
        if process.cut is not None:
            due = self._time + process.cut.arrives_after * BETWEEN_LOOKS
            self._under_way += [(due, effect) for effect in process.left_behind]
            process.left_behind.clear()

    async def _arrivals(self) -> None:
        for due, effect in list(self._under_way):
            if due <= self._time:
                self._under_way.remove((due, effect))
                with suppress(ProviderError):
                    await effect()

    def _work(self) -> Work:
        last: Concrete = self._cluster.told[-1]
        message = ObjectMessage(
            key=self._key,
            uid=self.uid,
            resource_version=last.metadata.resource_version,
            deleted=False,
            data=last.model_dump_json(by_alias=True, exclude_none=True).encode(),
            sequence=1,
            time=self._time,
            traceparent=None,
        )
        wake = Wake(self._key, sequence=1, deliveries=self._failures + 1, traceparent=None)
        return Work(self._key, message, wake)

    def _back_to_the_queue(self, error: Exception) -> None:
        if isinstance(error, AssertionError):
            raise error
        if getattr(error, "retryable", False) is not True:
            self._sorts_its_errors()
            raise AssertionError(f"the reconciler was left with {error!r}") from error
        self.errors.append(error)
        self._failures += 1

    def _shows_no_secret(self) -> None:
        told = [each.model_dump_json(by_alias=True, exclude={"spec"}) for each in self._cluster.told]
        told += [note for _, note in self._cluster.warnings]
        told += [str(error) for error in self.errors]
        for secret in self.seen.secrets:
            hidden = [
                value
                for key, value in secret.items()
                if value and any(word in key.lower() for word in SECRET_ENTRIES)
            ]
            shown = [text for text in told for value in hidden if value in text]
            assert not shown, f"a secret is shown in {shown[0][:40]}…"

    def _sorts_its_errors(self) -> None:
        for method, error in self.seen.not_sorted:
            raise AssertionError(f"{method} raised {error!r}, which is no ProviderError") from error

    async def _clean_up(self) -> None:
        """Whatever came of it, the next world finds the cloud as this one did."""
        await self.subject.stand_in.fault(None)
        await self.outlasts_all_calls()
        for name in await self._ours():
            await self.subject.stand_in.vanish(name)
        for driver in self._drivers:
            await self.subject.factory.close(driver)
