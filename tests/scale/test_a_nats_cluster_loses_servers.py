"""Services on a cluster of three nats-servers, of which each is lost once while claims flow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from installation import Installation

from conductor_bus import BusConfig
from conductor_dev.broker_cluster import NatsCluster

pytestmark = pytest.mark.integration

AT_A_TIME = 10


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[NatsCluster]:
    with NatsCluster.create(tmp_path / "nats", 3) as cluster:
        yield cluster


def test_each_server_is_lost_once_and_no_claim_is_lost_or_served_twice(
    install: Any, cluster: NatsCluster
) -> None:
    installation: Installation = install(cluster.url, "team", CONDUCTOR_BUS_REPLICAS="3")
    installation.start("watcher", "scheduler", "aws-provisioner", "secrets-writer")
    installation.start("aws-provisioner", "secrets-writer", replica=1)
    leader = cluster.leader_of(BusConfig().stream)
    assert leader is not None
    for number, lost in enumerate([leader, *(each for each in cluster.servers if each is not leader)], 1):
        for each in range(AT_A_TIME):
            installation.claim(f"db-{number}-{each}")
            if each == AT_A_TIME // 2:
                lost.kill()
        installation.wait_ready(installation.claims, number * AT_A_TIME)
        lost.start()
    claims = installation.claims()
    bound = Counter(each["status"]["boundResource"]["uid"] for each in claims)
    assert {each["metadata"]["uid"] for each in installation.resources()} == set(bound)
    assert len(bound) == len(installation.made) == 3 * AT_A_TIME
    assert installation.overlaps == []
