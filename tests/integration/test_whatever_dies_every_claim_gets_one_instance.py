"""Services killed with SIGKILL, the bus wiped, in the middle of a burst of claims."""

from __future__ import annotations

import pytest
from stage import SERVICES, Stage

from conductor_dev.waiting import wait_until

pytestmark = pytest.mark.integration

BURST = 50


def _make_burst(stage: Stage) -> None:
    source = stage.offer_class()
    for number in range(BURST):
        stage.claim(f"db-{number:02}", resourceClass=source)


def _wait_in_the_middle(stage: Stage) -> None:
    """Until some claims are bound, and before all are Ready."""
    wait_until("a few claims are bound", lambda: len(stage.resources()) >= 5, timeout=60)


def _assert_one_instance_each(stage: Stage) -> None:
    claims = stage.wait_all_ready(BURST)
    resources = stage.resources()
    assert {claim["status"]["boundResource"]["uid"] for claim in claims} == {
        resource["metadata"]["uid"] for resource in resources
    }
    assert len(resources) == BURST
    instances = stage.instances_of(resources)
    assert all(len(found) == 1 for found in instances.values()), instances
    assert len(stage.db_instances()) == BURST
    for claim in claims:
        assert stage.secret(claim["metadata"]["name"])["password"]


def _assert_nothing_left(stage: Stage) -> None:
    stage.delete_all_claims()
    wait_until("all resources are gone", lambda: not stage.resources(), timeout=120)
    assert stage.db_instances() == {}


@pytest.mark.parametrize("victim", SERVICES)
def test_a_service_is_killed_in_the_middle_of_a_burst(stage: Stage, victim: str) -> None:
    stage.env.moto.set_rds_delay(1)
    _make_burst(stage)
    _wait_in_the_middle(stage)
    service = stage.service(victim)
    service.kill()
    service.start()
    _assert_one_instance_each(stage)
    _assert_nothing_left(stage)


def test_the_bus_is_wiped_in_the_middle_of_a_burst(stage: Stage) -> None:
    stage.env.moto.set_rds_delay(1)
    _make_burst(stage)
    _wait_in_the_middle(stage)
    stage.env.nats.kill()
    stage.env.nats.wipe()
    stage.env.nats.start()
    _assert_one_instance_each(stage)
    _assert_nothing_left(stage)


def test_a_claim_deleted_while_the_watcher_was_down_is_released(stage: Stage) -> None:
    source = stage.offer_class()
    stage.claim("db", resourceClass=source)
    stage.wait_ready("db")
    watcher = stage.service("watcher")
    watcher.kill()
    stage.delete_claim("db")
    watcher.start()
    wait_until("the resource is gone", lambda: not stage.resources(), timeout=60)
    assert stage.db_instances() == {}
