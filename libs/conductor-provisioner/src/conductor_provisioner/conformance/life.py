"""Checks of an undisturbed life: what every round promises while nothing goes wrong."""

from __future__ import annotations

from conductor_provisioner.conformance.goals import created, gone, ready, settled
from conductor_provisioner.conformance.subject import Subject
from conductor_provisioner.conformance.world import World
from conductor_provisioner.driver import CredentialsFrom


async def life_cycle(subject: Subject) -> str:
    """An object becomes Ready with exactly one external resource, and leaves none when it is deleted."""
    async with World.of(subject) as world:
        await world.until(ready)
        await world.holds_exactly_one()
        world.delete()
        await world.until(gone)
        await world.holds_nothing()
    return ""


async def credentials(subject: Subject) -> str:
    """What the credentials Secret holds opens the external resource, also after a change."""
    async with World.of(subject) as world:
        if world.driver.credentials_from is CredentialsFrom.NOBODY:
            return "there are none"
        await world.until(ready)
        await world.its_credentials_open_it()
        world.edit(subject.changed)
        await world.until(settled)
        await world.its_credentials_open_it()
    return ""


async def change(subject: Subject) -> str:
    """A changed spec is drift until ``update`` has applied it, and the resource stays the same one."""
    async with World.of(subject) as world:
        await world.until(ready)
        world.edit(subject.changed)
        assert (await world.observed()).drift, "observe names no drift after the spec was changed"
        await world.until(settled)
        assert world.calls_of("update"), "update was not called after the spec was changed"
        assert not (await world.observed()).drift, "there is drift after the update"
        await world.holds_exactly_one()
    return ""


async def rest(subject: Subject) -> str:
    """What is as it should be is looked at and not touched."""
    async with World.of(subject) as world:
        await world.until(settled)
        before, version = world.changes(), world.version
        for _ in range(3):
            await world.look()
        assert world.changes() == before, (
            f"{world.changes()[len(before) :]} were called though nothing changed"
        )
        assert world.version == version, "the object was written though nothing changed"
    return ""


async def idempotency(subject: Subject) -> str:
    """Each method, called again with the same arguments, makes nothing twice and does not fail for good."""
    async with World.of(subject) as world:
        await world.until(settled)
        driver, resource = world.driver, world.resource()
        again = await world.tolerates(driver.create(resource))
        await world.settle()
        await world.holds_exactly_one()
        observed = await driver.observe(resource)
        assert again is None or observed.exists
        assert await driver.observe(resource) == observed, "two looks at the same see different things"
        for _ in range(2):
            await world.tolerates(driver.update(resource, observed))
            await world.settle()
        await world.holds_exactly_one()
        for _ in range(2):
            await world.tolerates(driver.delete(resource, observed))
            await world.settle()
        assert not (await driver.observe(resource)).exists, "it is still there after delete"
        await world.holds_nothing()
    return ""


async def deletion_of_what_is_gone(subject: Subject) -> str:
    """Deleting what somebody else deleted is success, for the driver and for the object."""
    async with World.of(subject) as world:
        await world.until(settled)
        driver, resource = world.driver, world.resource()
        observed = await driver.observe(resource)
        await world.vanish()
        await driver.delete(resource, observed)
        assert not (await driver.observe(resource)).exists, "observe still sees what is gone"
        world.delete()
        await world.until(gone)
        await world.holds_nothing()
    return ""


async def slow_creation(subject: Subject) -> str:
    """While it is being made nothing is made, changed or awaited a second time; deletion then still leaves nothing."""
    async with World.of(subject) as world:
        await world.until(created, settling=False)
        for _ in range(4):
            await world.look()
        assert world.calls_of("create") == 1, "create was called again while the first was under way"
        await world.holds_exactly_one()
        await world.until(ready)
    async with World.of(subject) as world:
        await world.until(created, settling=False)
        world.delete()
        for _ in range(3):
            await world.look()
        await world.until(gone)
        await world.holds_nothing()
    return ""


async def drift(subject: Subject) -> str:
    """A field that somebody changed is named, and repaired."""
    async with World.of(subject) as world:
        await world.until(settled)
        altered = await subject.stand_in.alter(world.name)
        found = [each.field for each in (await world.observed()).drift]
        assert altered in found, f"{altered} was altered, and the drift that observe names is {found}"
        await world.until(settled)
        assert not (await world.observed()).drift, "the drift is still there after the update"
        await world.holds_exactly_one()
    return ""


async def disappearance(subject: Subject) -> str:
    """What vanished is made again if the driver says so, else a person is told and nothing is made."""
    async with World.of(subject) as world:
        await world.until(settled)
        await world.vanish()
        if world.driver.recreates:
            await world.look()
            await world.until(settled)
            assert world.calls_of("create") == 2, "create was not called again, though the driver recreates"
            await world.holds_exactly_one()
            return "made again"
        for _ in range(3):
            await world.look()
            await world.settle()
        assert world.calls_of("create") == 1, "create was called again, though the driver does not recreate"
        assert world.condition("Ready") != "True", "the object is Ready though nothing is there"
        await world.holds_none()
        return "told"
