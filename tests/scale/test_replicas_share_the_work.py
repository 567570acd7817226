"""Provisioners as processes, on a cloud that notices when two are at one resource: they join, stop and die in the middle."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest
from installation import Installation

from conductor_bus import BusConfig
from conductor_dev.waiting import wait_until

pytestmark = pytest.mark.integration

MANY = 40


def test_a_dead_workers_objects_are_free_within_the_time_promised() -> None:
    """The broker takes a message, and a lock, for abandoned after this long; docs/scaling.md names it."""
    assert BusConfig().work.hold <= 5.0


@pytest.fixture
def shared(install: Any, nats_server: Any) -> Installation:
    installation: Installation = install(
        nats_server.url, RECORDING_CALL_SECONDS="0.3", CONDUCTOR_AWS_CONCURRENCY="2"
    )
    installation.start("watcher", "aws-provisioner")
    return installation


def workers(installation: Installation) -> set[int]:
    return {process for _, process, _, _ in installation.calls}


def test_replicas_join_stop_and_die_and_one_is_at_each_object(shared: Installation) -> None:
    first = shared.processes[-1]
    for number in range(MANY):
        shared.resource(f"db-{number}")
    second = shared.start("aws-provisioner", replica=1)
    third = shared.start("aws-provisioner", replica=2)
    # Work for those that have joined, too.
    for number in range(MANY, 2 * MANY):
        shared.resource(f"db-{number}")
    expected = {first.pid, second.pid, third.pid}
    wait_until("all three work", lambda: workers(shared) >= expected)
    first.terminate()
    second.kill()
    assert len(shared.made) < 2 * MANY, "nothing was left to do when they went"
    shared.wait_ready(shared.resources, 2 * MANY)
    assert shared.overlaps == []
    assert len(shared.made) == 2 * MANY
    # Whoever died in the middle of a call could not say how it went: one more look, and at most one more create.
    created = Counter(name for _, _, action, name in shared.calls if action == "create")
    assert max(created.values()) <= 2


@pytest.mark.parametrize("way", ["terminate", "kill"])
def test_another_replica_takes_over_what_one_had_in_hand(
    install: Any, nats_server: Any, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    installation: Installation = install(nats_server.url, RECORDING_CALL_SECONDS="3")
    installation.start("watcher")
    first = installation.start("aws-provisioner", replica=0)
    second = installation.start("aws-provisioner", replica=1)
    here, there = first.pid, second.pid
    for each in range(16):
        installation.resource(f"db-{each}")
    wait_until("both work", lambda: workers(installation) == {here, there})
    getattr(first, way)()
    gone = time.time()
    installation.wait_ready(installation.resources, 16)
    left = {name for at, process, _, name in installation.calls if process == here}
    taken: dict[str, float] = {}
    for at, process, _, name in installation.calls:
        if name in left and process == there and at > gone:
            taken.setdefault(name, at - gone)
    with capsys.disabled():
        last = max(taken.values(), default=0.0)
        print(f"\n{way} one of two provisioners: {len(taken)} objects in other hands within {last:.1f} s")
    assert installation.overlaps == []
    assert len(installation.made) == 16
    if way == "kill":
        assert taken, "it had nothing in hand"
