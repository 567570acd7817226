"""Histories: what people do, and after each of it a number that says what happens in between."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.model.people import ACTS, LIMITS, Act, Limit
from tests.model.promises import at_every_step, at_rest
from tests.model.system import System

ROUNDS = 60
NUMBERS = st.integers(0, 2**32)


def live(limit: Limit | None, history: list[tuple[Act, int]], seed: int = 0) -> None:
    """One history, from an empty world to rest. Raises AssertionError for a promise that was broken."""
    system = System()
    try:
        if limit is not None:
            limit.carry_out(system.api)
            system.leader_is_deposed()
        for act, number in history:
            act.carry_out(system.api)
            _turn(system, Random(f"{seed} {number}"))
        _come_to_rest(system)
        at_rest(system)
    finally:
        system.close()


def explore(histories: int, *, shrink: bool = True) -> int:
    """Make up so many histories, and live each. Returns how many there were; raises for the first that breaks a promise."""
    lived = 0
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]

    @settings(
        max_examples=histories,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=phases,
        database=None,
    )
    @given(NUMBERS, LIMITS, st.lists(st.tuples(ACTS, NUMBERS), min_size=3, max_size=14))
    def one(seed: int, limit: Limit | None, history: list[tuple[Act, int]]) -> None:
        nonlocal lived
        live(limit, history, seed)
        lived += 1

    one()
    return lived


def _turn(system: System, chance: Random) -> None:
    """Some of what could happen happens, in some order, with some trouble."""
    system.losses = chance.choice([0.0, 0.0, 0.05, 0.3])
    for _ in range(chance.choice([0, 5, 20, 60])):
        if chance.random() < 0.04:
            chance.choice(_trouble(system, chance))()
        elif not system.step(chance):
            system.time_passes(chance.choice([1, 10, 30]))
        at_every_step(system)


def _trouble(system: System, chance: Random) -> list[Callable[[], None]]:
    return [
        system.watcher_dies,
        system.bus_is_wiped,
        system.leader_is_deposed,
        system.the_late_arrives,
        lambda: system.leader_dies(chance),
        lambda: system.provisioner_dies(chance),
        lambda: system.writer_dies(chance),
        lambda: system.time_passes(chance.choice([1, 10, 30])),
    ]


def _come_to_rest(system: System) -> None:
    """No more trouble; time passes. After some rounds nothing is written any more."""
    chance = Random(0)
    system.losses = 0.0
    quiet = 0
    for _ in range(ROUNDS):
        before = _written(system)
        system.the_late_arrives()
        _until_nothing_happens(system, chance)
        for key in system.leader.view.held():
            system.leader.look_up(key)
        _until_nothing_happens(system, chance)
        system.time_passes(30)
        quiet = quiet + 1 if before == _written(system) and not system.late else 0
        if quiet == 4:
            return
    raise AssertionError("it does not come to rest")


def _until_nothing_happens(system: System, chance: Random) -> None:
    for _ in range(5000):
        if not system.step(chance):
            return
        at_every_step(system)
    raise AssertionError("it goes on and on")


def _written(system: System) -> tuple[object, ...]:
    return system.api.writes, len(system.cloud.made), tuple(system.cloud.databases)
