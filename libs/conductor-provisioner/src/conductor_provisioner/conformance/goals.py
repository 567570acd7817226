"""States of an object that a check waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from conductor_provisioner.conformance.world import World

Goal: TypeAlias = "Callable[[World], bool]"


def ready(world: World) -> bool:
    """Ready: it can be connected to."""
    return world.alive and world.condition("Ready") == "True" and world.told_of_last_change


def settled(world: World) -> bool:
    """Ready and synced, and the last look found nothing to do."""
    seen = world.seen.observed
    return (
        ready(world)
        and world.condition("Synced") == "True"
        and world.looked_without_change
        and seen is not None
        and seen.exists
        and not seen.busy
        and not seen.drift
    )


def gone(world: World) -> bool:
    """The object is gone from the API."""
    return not world.alive


def created(world: World) -> bool:
    """Its creation has begun."""
    return world.calls_of("create") > 0


def deleted(world: World) -> bool:
    """The user has deleted it."""
    return world.deleted


def either(one: Goal, other: Goal) -> Goal:
    def reached(world: World) -> bool:
        return one(world) or other(world)

    reached.__name__ = f"{one.__name__} or {other.__name__}"
    return reached
