"""Processes are killed and frozen, connections break, the bus is wiped: in the end everything is as it was asked for.

``CONDUCTOR_FAULT_KILLS`` (6) and ``CONDUCTOR_FAULT_SEED`` (6) set how long it goes on, and replay a run.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

import psycopg
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from checker import State, dead_letters, leaks, left_on_the_server, locked_out, never_broken, unrest
from googleapiclient.errors import HttpError
from plan import draw
from world import World

from conductor_dev.errors import ApiError, NotReadyInTime
from conductor_dev.waiting import wait_until

KILLS = int(os.environ.get("CONDUCTOR_FAULT_KILLS", "6"))
SEED = int(os.environ.get("CONDUCTOR_FAULT_SEED", "6"))
REPLAY = f"make test-faults KILLS={KILLS} SEED={SEED}"
REST_WITHIN = 180
LOOK_EVERY = 0.5
CANNOT_LOOK = (ApiError, OSError, psycopg.Error, BotoCoreError, ClientError, HttpError)
"""What is looked at is being broken."""


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
            except CANNOT_LOOK:
                continue
            self.broken += never_broken(state)
            self.checks += 1


@pytest.mark.integration
@pytest.mark.timeout(KILLS * 60 + 300)
def test_whatever_happens_the_world_comes_to_rest(tmp_path: Path) -> None:
    with World.start(tmp_path) as world:
        watchdog = Watchdog(world)
        recoveries: list[float] = []
        with watchdog.watching():
            for number, episode in enumerate(draw(SEED, kills=KILLS)):
                when = f"episode {number}: {episode}; again with {REPLAY}"
                world.play(episode)
                began = time.monotonic()
                world.mend()
                held_up_by = _wait_for_rest(world, when)
                recoveries.append(time.monotonic() - began)
                print(f"episode {number}: at rest after {recoveries[-1]:.1f} s; last was {held_up_by}")
                assert watchdog.broken == [], when
                assert world.kubelet.restarts == [], when
        state = State.of(world)
        assert locked_out(world, state) == [], REPLAY
        assert left_on_the_server(world, state) == 0, REPLAY
        assert leaks(world, state) == [], REPLAY
        assert dead_letters(world) == 0, REPLAY
        assert watchdog.checks > 0
        print(
            f"\nseed {SEED}: {world.kills} kills, {world.claims} claims made, {len(world.wanted)} at the end, "
            f"{watchdog.checks} checks, time to recover p50 {median(recoveries):.1f} s, p99 {_p99(recoveries):.1f} s"
        )


def _wait_for_rest(world: World, when: str) -> str:
    """What was out of order until the last moment."""
    told = "nothing"

    def at_rest() -> bool:
        nonlocal told
        try:
            unresting = unrest(world, State.of(world))
        except CANNOT_LOOK as error:
            unresting = f"that it could not be looked at: {error}"
        told = unresting or told
        return unresting is None

    try:
        wait_until("the world comes to rest", at_rest, timeout=REST_WITHIN, interval=0.2)
    except NotReadyInTime as error:
        raise AssertionError(f"{when}: {told}") from error
    return told


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100, method="inclusive")[98] if len(values) > 1 else values[0]
