"""Each check fails on a driver that is wrong in just the way that it looks for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from conductor_provisioner.conformance import world
from conductor_provisioner.conformance.checks import CHECKS, Effort
from conductor_provisioner.conformance.reference import (
    BoxObservation,
    BoxResource,
    ShelfDriver,
    ShelfStandIn,
    Stored,
    reference,
)
from conductor_provisioner.conformance.subject import Subject
from conductor_provisioner.driver import NOT_THERE, Drift, Owner, Ownership, Tagged
from conductor_provisioner.errors import Terminal, Throttled, Transient


class NeverReady(ShelfDriver):
    def _seen(self, resource: BoxResource, box: Stored, *, applied: bool = False) -> BoxObservation:
        return replace(super()._seen(resource, box, applied=applied), ready=False)


class LeavesItBehind(ShelfDriver):
    """Says that it is gone as soon as it is asked to be removed, and does not remove it."""

    async def observe(self, resource: BoxResource) -> BoxObservation:
        name = resource.external_name
        found = await self._call("Look", name, lambda: self._shelf.look(name))
        return NOT_THERE if found is None or "removed" in found.tags else self._seen(resource, found)

    async def delete(self, resource: BoxResource, observed: BoxObservation) -> None:
        name = resource.external_name
        await self._call("Tag", name, lambda: self._shelf.tag(name, {"removed": "yes"}))


class HasAPasswordOfItsOwn(ShelfDriver):
    @staticmethod
    def _password(resource: BoxResource) -> str:
        return "its-own"


class ShowsThePassword(ShelfDriver):
    def _seen(self, resource: BoxResource, box: Stored, *, applied: bool = False) -> BoxObservation:
        return replace(super()._seen(resource, box, applied=applied), message=f"opens with {box.password}")


class SeesNoDrift(ShelfDriver):
    def _seen(self, resource: BoxResource, box: Stored, *, applied: bool = False) -> BoxObservation:
        return replace(super()._seen(resource, box, applied=applied), drift=())


class NamesTheWrongField(ShelfDriver):
    def _seen(self, resource: BoxResource, box: Stored, *, applied: bool = False) -> BoxObservation:
        seen = super()._seen(resource, box, applied=applied)
        return replace(seen, drift=tuple(replace(each, field="something") for each in seen.drift))


class AlwaysSeesDrift(ShelfDriver):
    def _seen(self, resource: BoxResource, box: Stored, *, applied: bool = False) -> BoxObservation:
        seen = super()._seen(resource, box, applied=applied)
        return replace(seen, drift=(Drift("colour", "blue", "Blue"),))


class FailsOnWhatIsGone(ShelfDriver):
    async def delete(self, resource: BoxResource, observed: BoxObservation) -> None:
        name = resource.external_name
        await self._call("Remove", name, lambda: self._shelf.remove(name))


class IsNotIdempotent(ShelfDriver):
    """Takes the same wish a second time for another one."""

    async def create(self, resource: BoxResource) -> BoxObservation:
        try:
            return await super().create(resource)
        except Transient:
            return await super().create(replace(resource, external_name=f"{resource.external_name}-2"))


class LooksEmptyWhileMaking(ShelfDriver):
    async def observe(self, resource: BoxResource) -> BoxObservation:
        seen = await super().observe(resource)
        return seen if seen.ready else NOT_THERE


class Waits(ShelfDriver):
    async def create(self, resource: BoxResource) -> BoxObservation:
        await super().create(resource)
        while not (seen := await self.observe(resource)).ready:  # noqa: ASYNC110 - just what it must not do
            await asyncio.sleep(0)
        return seen


class MakesAnEmptyOne(ShelfDriver):
    """Takes part of what vanished for being there, and so hides the loss."""

    async def observe(self, resource: BoxResource) -> BoxObservation:
        seen = await super().observe(resource)
        if not seen.exists and resource.status.external_name is not None:
            return await self.create(resource)
        return seen


class SaysItRecreates(ShelfDriver):
    recreates = True

    async def create(self, resource: BoxResource) -> BoxObservation:
        if resource.status.external_name is not None:
            raise Terminal("Make", resource.external_name, "Used", "a name is used once")
        return await super().create(resource)


class OwnsEverything(ShelfDriver):
    @staticmethod
    def _ownership(owner: Owner, box: Stored) -> Ownership:
        return Ownership.OURS


class KnowsNoNobody(ShelfDriver):
    @staticmethod
    def _ownership(owner: Owner, box: Stored) -> Ownership:
        return Ownership.OURS if owner.owns(box.tags) else Ownership.ANOTHERS


class DoesNotTakeOver(ShelfDriver):
    async def update(self, resource: BoxResource, observed: BoxObservation) -> BoxObservation:
        return await super().update(resource, replace(observed, ownership=Ownership.OURS))


class SweepsOthers(ShelfDriver):
    async def tagged(self, cluster_id: str) -> AsyncIterator[Tagged]:
        for name, box in (await self._call("List", "shelf", self._shelf.listed)).items():
            yield Tagged(name, box.tags.get("conductor.io/concrete-uid", ""), name)


class SweepsNothing(ShelfDriver):
    async def tagged(self, cluster_id: str) -> AsyncIterator[Tagged]:
        for each in ():
            yield each


class _Sorts(ShelfDriver):
    """Raises other kinds of errors than the cloud's answers call for."""

    def sorted(self, error: Exception) -> Exception:
        return error

    async def _call(self, action: str, target: str, call: Any) -> Any:
        try:
            return await super()._call(action, target, call)
        except (Terminal, Throttled, Transient) as error:
            raise self.sorted(error) from error


class TriesForEver(_Sorts):
    def sorted(self, error: Exception) -> Exception:
        return Transient("Make", "box", "TooLarge", "try again") if isinstance(error, Terminal) else error


class IgnoresThrottling(_Sorts):
    def sorted(self, error: Exception) -> Exception:
        return Transient("Any", "box", "Slow", "slow down") if isinstance(error, Throttled) else error


class GivesUpInAnOutage(_Sorts):
    def sorted(self, error: Exception) -> Exception:
        down = isinstance(error, Transient) and error.code == "InternalError"
        return Terminal("Any", "box", "InternalError", "it is over") if down else error


class RaisesWhatItLikes(_Sorts):
    def sorted(self, error: Exception) -> Exception:
        return RuntimeError("down") if isinstance(error, Transient) else error


class TakesAnOutageForAbsence(ShelfDriver):
    async def observe(self, resource: BoxResource) -> BoxObservation:
        try:
            return await super().observe(resource)
        except Transient:
            return NOT_THERE


class GoesPastItsCalls(ShelfDriver):
    async def create(self, resource: BoxResource) -> BoxObservation:
        spec = resource.spec
        made = await self._shelf.make(
            resource.external_name, spec.size, spec.colour, self._password(resource), resource.owner.tags
        )
        return self._seen(resource, made, applied=True)


class TagsAfterwards(ShelfDriver):
    """Between its two calls there is a box that nobody owns."""

    async def create(self, resource: BoxResource) -> BoxObservation:
        name, spec, password = resource.external_name, resource.spec, self._password(resource)
        await self._call("Make", name, lambda: self._shelf.make(name, spec.size, spec.colour, password, {}))
        await self._call("Tag", name, lambda: self._shelf.tag(name, resource.owner.tags))
        return self._seen(resource, self._shelf.boxes[name], applied=True)


class KeepsALidNextToIt(ShelfDriver):
    """Makes a lid first, and thinks of it only when it removes a box that is there."""

    async def create(self, resource: BoxResource) -> BoxObservation:
        lid = f"{resource.external_name}-lid"
        if await self._call("Look", lid, lambda: self._shelf.look(lid)) is None:
            await self._call("Make", lid, lambda: self._shelf.make(lid, 1, "lid", "", {}))
        return await super().create(resource)

    async def delete(self, resource: BoxResource, observed: BoxObservation) -> None:
        lid = f"{resource.external_name}-lid"
        if await self._call("Look", lid, lambda: self._shelf.look(lid)) is not None:
            await self._call("Remove", lid, lambda: self._shelf.remove(lid))
        await super().delete(resource, observed)


def with_lids() -> Subject:
    """What belongs to a box is no box of its own, and must be gone with it."""
    subject = reference(KeepsALidNextToIt)
    stand_in = LidsAreResidue(subject.factory.shelf)  # type: ignore[attr-defined]
    return replace(subject, stand_in=stand_in)


class LidsAreResidue(ShelfStandIn):
    async def external(self) -> Sequence[str]:
        return [name for name in await super().external() if not name.endswith("-lid")]

    async def residue(self) -> Sequence[str]:
        return [name for name in await super().external() if name.endswith("-lid")]


class MakesAnotherWhenUnanswered(ShelfDriver):
    async def create(self, resource: BoxResource) -> BoxObservation:
        try:
            return await super().create(resource)
        except Transient as error:
            if error.code != "ConnectionReset":
                raise
            return await super().create(replace(resource, external_name=f"{resource.external_name}-again"))


class RemembersInItself(ShelfDriver):
    """Knows only by itself that its box has the password: the next process does not."""

    _applied = False

    async def create(self, resource: BoxResource) -> BoxObservation:
        self._applied = True
        return await super().create(resource)

    async def update(self, resource: BoxResource, observed: BoxObservation) -> BoxObservation:
        return observed

    def _seen(self, resource: BoxResource, box: Stored, *, applied: bool = False) -> BoxObservation:
        return replace(super()._seen(resource, box), credentials_applied=self._applied)


WRONG = [
    ("life cycle", NeverReady, "not ready"),
    ("life cycle", LeavesItBehind, "left behind"),
    ("credentials", HasAPasswordOfItsOwn, "are refused"),
    ("life cycle", ShowsThePassword, "a secret is shown"),
    ("change", SeesNoDrift, "no drift after the spec was changed"),
    ("rest", AlwaysSeesDrift, "not settled"),
    ("idempotency", IsNotIdempotent, "2 external resources"),
    ("slow creation", LooksEmptyWhileMaking, "create was called again|left behind"),
    ("slow creation", Waits, "steps in one look"),
    ("drift", SeesNoDrift, "colour was altered"),
    ("drift", NamesTheWrongField, "colour was altered"),
    ("disappearance", MakesAnEmptyOne, "is Ready|called again|left behind"),
    ("disappearance", SaysItRecreates, "not settled"),
    ("deletion of what is gone", FailsOnWhatIsGone, "NotThere"),
    ("names of others", OwnsEverything, "observe says"),
    ("names of others", KnowsNoNobody, "observe says"),
    ("adoption", KnowsNoNobody, "not settled"),
    ("adoption", DoesNotTakeOver, "not settled"),
    ("orphan sweep", SweepsOthers, "another cluster's"),
    ("orphan sweep", SweepsNothing, "is not among"),
    ("terminal errors", TriesForEver, "is Terminal"),
    ("throttling", IgnoresThrottling, "Throttled says it"),
    ("outage", GivesUpInAnOutage, "Transient says it"),
    ("outage", TakesAnOutageForAbsence, "observe raised None"),
    ("lost replies", RaisesWhatItLikes, "no ProviderError"),
    ("limited calls", GoesPastItsCalls, "create came back"),
    ("lost replies", MakesAnotherWhenUnanswered, "2 external resources"),
    ("crash points", TagsAfterwards, "left behind|not ready"),
    ("crash points", RemembersInItself, "not ready|not settled"),
    ("repeated crashes", TagsAfterwards, "left behind|not ready"),
    ("random kills", TagsAfterwards, "left behind|not ready"),
]


@pytest.mark.parametrize(
    ("check", "wrong", "told"), WRONG, ids=[f"{check}: {wrong.__name__}" for check, wrong, _ in WRONG]
)
async def test_a_wrong_driver_fails(check: str, wrong: type[ShelfDriver], told: str) -> None:
    with pytest.raises((AssertionError, Transient), match=told):
        await CHECKS[check](reference(wrong), Effort(kills=300))


async def test_what_is_left_of_a_creation_that_was_given_up_is_found() -> None:
    await CHECKS["life cycle"](with_lids(), Effort())
    with pytest.raises(AssertionError, match="-lid'] left behind"):
        await CHECKS["crash points"](with_lids(), Effort())


def test_every_check_is_failed_by_some_driver() -> None:
    assert {check for check, _, _ in WRONG} == set(CHECKS)


async def test_a_reconciler_that_does_not_wait_for_calls_under_way_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(world, "SETTLE_DELETED", 0.0)
    with pytest.raises(AssertionError, match="left behind"):
        await CHECKS["crash points"](reference(), Effort())
