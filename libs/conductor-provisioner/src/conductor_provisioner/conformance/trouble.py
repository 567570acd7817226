"""Checks of what a driver makes of a cloud that refuses, is out of order, or belongs to others, too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeAlias

from conductor_provisioner.conformance.goals import gone, ready, settled
from conductor_provisioner.conformance.subject import Fault, NotSimulated, Subject
from conductor_provisioner.conformance.world import World
from conductor_provisioner.driver import Owner, Ownership, Resource
from conductor_provisioner.errors import ProviderError, Terminal, Throttled, Transient

Attempts: TypeAlias = dict[str, Callable[[], Awaitable[object]]]
ANOTHER = Owner(cluster_id="another-cluster", uid="another-uid", namespace="theirs", name="theirs")


async def throttling(subject: Subject) -> str:
    """Every method says Throttled, with a delay, when the cloud does; afterwards all goes on."""
    async with World.of(subject) as world:
        raised = await _raised_by_all_methods(world, Fault.THROTTLED)
        for method, error in raised.items():
            assert isinstance(error, Throttled), (
                f"{method} raised {error!r} while the cloud throttled: Throttled says it"
            )
            assert error.retry_after > 0, f"{method} asks to come back after {error.retry_after} s"
        await _goes_on_after(world, Fault.THROTTLED)
    return ""


async def outage(subject: Subject) -> str:
    """A cloud out of order is Transient to every method: nothing is taken to be gone, and all goes on afterwards."""
    async with World.of(subject) as world:
        for method, error in (await _raised_by_all_methods(world, Fault.OUTAGE)).items():
            assert isinstance(error, Transient), (
                f"{method} raised {error!r} during an outage: Transient says it"
            )
        await _goes_on_after(world, Fault.OUTAGE)
    return ""


async def limited_calls(subject: Subject) -> str:
    """Every request goes through ``Account.calls``: where those refuse, nothing reaches the cloud."""
    async with World.of(subject) as world:
        await world.until(settled)
        driver, resource = world.driver, world.resource()
        observed = await driver.observe(resource)
        elsewhere = replace(resource, external_name=f"{resource.external_name}x")
        world.process.unreachable = True
        attempts: Attempts = {
            "observe": lambda: driver.observe(resource),
            "create": lambda: driver.create(elsewhere),
            "delete": lambda: driver.delete(resource, observed),
        }
        for method, attempt in attempts.items():
            try:
                await attempt()
            except ProviderError:
                continue
            raise AssertionError(
                f"{method} came back without an error, though no call could leave the process"
            )
        world.process.unreachable = False
        await world.settle()
        await world.holds_exactly_one()
    return ""


async def terminal_errors(subject: Subject) -> str:
    """A spec that the cloud refuses is Terminal: a person is told, nothing is made, and a corrected spec heals it."""
    async with World.of(subject, spec={**subject.spec, **subject.invalid}) as world:
        for _ in range(3):
            await world.look()
            await world.settle()
        errors = [error for error in world.errors if not isinstance(error, Terminal)]
        assert not errors, f"raised {errors[0]!r}: what the spec must change for is Terminal"
        assert world.condition("Synced") == "False", "Synced does not say that the spec is refused"
        await world.holds_none()
        world.edit({name: subject.spec.get(name) for name in subject.invalid})
        await world.until(ready)
        await world.holds_exactly_one()
    return ""


async def names_of_others(subject: Subject) -> str:
    """What has our name and another's tags, or none, is seen as such, never touched, and survives our deletion."""
    for owner, ownership in ((ANOTHER, Ownership.ANOTHERS), (None, Ownership.NOBODYS)):
        async with World.of(subject) as world:
            await subject.stand_in.foreign(world.name, owner)
            await world.look()
            observed = await world.observed()
            assert observed.exists, "observe does not see what has our name"
            assert observed.ownership is ownership, (
                f"observe says {observed.ownership}, and it is {ownership}"
            )
            for _ in range(3):
                await world.look()
                await world.settle()
            assert world.changes() == [], f"{world.changes()} called on what is not ours"
            assert world.condition("Synced") == "False", "Synced does not say that the name is taken"
            world.delete()
            await world.until(gone)
            assert world.name in await subject.stand_in.external(), "what was not ours is gone"
            await subject.stand_in.vanish(world.name)
    return ""


async def adoption(subject: Subject) -> str:
    """What is nobody's is taken over by the annotation that names it, and is ours from then on."""
    async with World.of(subject, adopts=True) as world:
        await subject.stand_in.foreign(world.name, None)
        await world.until(settled)
        assert not world.calls_of("create"), "create was called for what is there"
        ownership = (await world.observed()).ownership
        assert ownership is Ownership.OURS, f"observe says {ownership} of what update took over"
        await world.holds_exactly_one()
    return ""


async def orphan_sweep(subject: Subject) -> str:
    """``tagged`` lists what carries our cluster's tag, with the uid of its object, and nothing else."""
    async with World.of(subject) as world:
        await world.until(settled)
        sweeper: Any = world.raw_driver
        if not hasattr(sweeper, "tagged"):
            raise NotSimulated("the driver does not sweep")
        theirs = f"{world.name}x"
        await subject.stand_in.foreign(theirs, ANOTHER)
        found = {each.external_name: each.uid async for each in sweeper.tagged(world.cluster_id)}
        await subject.stand_in.vanish(theirs)
        assert found.get(world.name) == world.uid, f"{world.name} is not among {sorted(found)} with its uid"
        assert theirs not in found, "what carries another cluster's tag is listed as ours"
    return ""


async def _raised_by_all_methods(world: World, fault: Fault) -> dict[str, BaseException | None]:
    """What each method raises while the fault lasts, called as the reconciler would; None: nothing."""
    await world.until(settled)
    driver, resource = world.driver, world.resource()
    observed = await driver.observe(resource)
    drifted: Resource[Any, Any] = replace(
        resource, spec=world.spec_with(world.subject.changed), credentials_applied=False
    )
    seen = await driver.observe(drifted)
    new = replace(resource, external_name=f"{resource.external_name}x")
    attempts: Attempts = {
        "observe": lambda: driver.observe(resource),
        "create": lambda: driver.create(new),
        "update": lambda: driver.update(drifted, seen),
        "delete": lambda: driver.delete(resource, observed),
    }
    raised: dict[str, BaseException | None] = {}
    async with world.fault(fault):
        for method, attempt in attempts.items():
            try:
                await attempt()
                raised[method] = None
            except ProviderError as error:
                raised[method] = error
    return raised


async def _goes_on_after(world: World, fault: Fault) -> None:
    world.edit(world.subject.changed)
    async with world.fault(fault):
        before = world.changes()
        for _ in range(3):
            await world.look()
        made = [change for change in world.changes()[len(before) :] if change.method == "create"]
        assert not made, "create was called while the cloud answered nothing"
    await world.until(settled)
    assert not (await world.observed()).drift
    await world.holds_exactly_one()
    world.delete()
    async with world.fault(fault):
        for _ in range(3):
            await world.look()
        assert world.alive, "the object was let go while the cloud answered nothing"
    await world.until(gone)
    await world.holds_nothing()
