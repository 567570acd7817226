"""Processes are killed and frozen, connections break, the bus is wiped: in the end everything is as it was asked for.

``CONDUCTOR_FAULT_KILLS`` (6) and ``CONDUCTOR_FAULT_SEED`` (1) set how long it goes on, and replay a run.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

import pytest
from checker import State, dead_letters, leaks, never_broken, unrest
from plan import draw
from world import World

from conductor_dev.errors import ApiError
from conductor_dev.waiting import wait_until

KILLS = int(os.environ.get("CONDUCTOR_FAULT_KILLS", "6"))
SEED = int(os.environ.get("CONDUCTOR_FAULT_SEED", "1"))
REST_WITHIN = 120
LOOK_EVERY = 0.5


class Watchdog:
    """Looks again and again, while trouble strikes, whether anything is so that must never be."""

    def __init__(self, world: World) -> None:
        self.checks = 0
        self.broken: list[str] = []
        self._world = world
        self._over = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self._watch, name="watchdog")
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _watch(self) -> None:
        while not self._over.wait(LOOK_EVERY):
            try:
                state = State.of(self._world)
            except (ApiError, OSError):
                continue
            self.broken += never_broken(state)
            self.checks += 1


@pytest.mark.integration
@pytest.mark.timeout(KILLS * 60 + 300)
def test_whatever_happens_the_world_comes_to_rest(tmp_path: Path, record_property: object) -> None:
    with World.start(tmp_path) as world:
        watchdog = Watchdog(world)
        recoveries: list[float] = []
        with watchdog.watching():
            for number, episode in enumerate(draw(SEED, kills=KILLS)):
                world.play(episode)
                began = time.monotonic()
                world.mend()
                _wait_for_rest(world, f"seed {SEED}, episode {number}: {episode}")
                recoveries.append(time.monotonic() - began)
                assert watchdog.broken == [], f"seed {SEED}, episode {number}"
        state = State.of(world)
        assert leaks(world, state) == []
        assert dead_letters(world) == 0
        assert watchdog.checks > 0
        print(
            f"\nseed {SEED}: {world.kills} kills, {len(world.wanted)} claims at the end, {watchdog.checks} checks, "
            f"time to recover p50 {median(recoveries):.1f} s, p99 {_p99(recoveries):.1f} s"
        )


def _wait_for_rest(world: World, when: str) -> None:
    told = ""

    def at_rest() -> bool:
        nonlocal told
        told = unrest(world, State.of(world)) or ""
        return not told

    try:
        wait_until("the world comes to rest", at_rest, timeout=REST_WITHIN, interval=0.2)
    except Exception as error:
        raise AssertionError(f"{when}: {told}") from error


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100)[98] if len(values) > 1 else values[0]
