"""Provisioners as processes, on a cloud that notices when two are at one resource: they join, stop and die in the middle."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from installation import Installation, is_ready, seconds_until

from conductor_bus import BusConfig
from conductor_dev.waiting import wait_until

pytestmark = pytest.mark.integration

MANY = 40


def test_a_dead_workers_objects_are_free_within_the_time_promised() -> None:
    """The broker takes a message, and a lock, for abandoned after this long; docs/scaling.md names it."""
    assert BusConfig().work.hold <= 5.0


@pytest.fixture
def shared(install: Any, nats_server: Any) -> Installation:
    installation: Installation = install(nats_server.url, RECORDING_CALL_SECONDS="0.3")
    installation.start("watcher", "aws-provisioner")
    return installation


def test_replicas_join_stop_and_die_and_one_is_at_each_object(
    shared: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    first = shared.processes[-1]
    for number in range(MANY):
        shared.resource(f"db-{number}")
    second = shared.start("aws-provisioner", replica=1)
    third = shared.start("aws-provisioner", replica=2)
    # Work for those that have joined, too.
    for number in range(MANY, 2 * MANY):
        shared.resource(f"db-{number}")
    workers = {first.pid, second.pid, third.pid}
    wait_until("all three work", lambda: {process for _, process, _, _ in shared.calls} >= workers)
    first.terminate()
    assert second.pid is not None
    second.kill()
    took = seconds_until(
        "all resources are Ready",
        lambda: len([each for each in shared.resources() if is_ready(each)]) == 2 * MANY,
        timeout=240,
    )
    with capsys.disabled():
        print(
            f"\n{2 * MANY} resources, of three replicas one stopped and one killed: Ready {took:.1f} s later"
        )
    assert shared.overlaps == []
    assert len(shared.made) == 2 * MANY
    created = Counter(name for _, _, action, name in shared.calls if action == "create")
    # One that died in the middle of a call may have to be called again; it was not both.
    assert all(times <= 2 for times in created.values())


@pytest.mark.parametrize("way", ["terminate", "kill"])
def test_another_replica_takes_over_what_one_had_in_hand(
    install: Any, nats_server: Any, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    installation: Installation = install(nats_server.url, RECORDING_CALL_SECONDS="0.3")
    installation.start("watcher")
    first = installation.start("aws-provisioner", replica=0)
    for each in range(8):
        installation.resource(f"db-{each}")
    wait_until("the first one works", lambda: installation.calls)
    second = installation.start("aws-provisioner", replica=1)
    getattr(first, way)()
    took = seconds_until(
        "the second has all to itself",
        lambda: len([each for each in installation.resources() if is_ready(each)]) == 8,
        timeout=120,
    )
    with capsys.disabled():
        print(f"\n{way} one of two provisioners: all is Ready {took:.1f} s later")
    assert second.alive
    assert installation.overlaps == []
    assert len(installation.made) == 8
