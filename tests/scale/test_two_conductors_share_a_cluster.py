"""Two Conductors on one API server, one broker and one account: what is of one does not exist for the other."""

from __future__ import annotations

from typing import Any

import pytest
from installation import Installation

from conductor_dev.api import NAMESPACE
from conductor_model.kinds import MYSQL_INSTANCE
from conductor_provisioner.driver import Owner
from conductor_provisioner.names import external_name

pytestmark = pytest.mark.integration

SERVICES = ("watcher", "scheduler", "aws-provisioner", "secrets-writer")


def test_two_conductors_do_not_meet(install: Any, nats_server: Any) -> None:
    both: list[Installation] = [
        install(nats_server.url, "team", CONDUCTOR_BUS_PREFIX=prefix) for prefix in ("payments", "search")
    ]
    for each in both:
        each.start(*SERVICES)
        # The same names in both: only their namespaces differ.
        for number in range(5):
            each.claim(f"db-{number}")
    for each in both:
        claims = each.wait_ready(each.claims, 5)
        resources = each.resources()
        assert len(resources) == len(each.made) == 5
        assert {one["status"]["boundResource"]["namespace"] for one in claims} == {each.own}
        assert {ref["namespace"] for one in resources for ref in one["spec"]["claimRefs"]} == set(each.teams)
    for each in both:
        assert each.overlaps == []
        # Neither finds the other's by its identity.
        identity = each.control_plane.api.get(NAMESPACE, None, each.own)["metadata"]["uid"]
        assert each.made == {
            external_name(Owner(identity, one["metadata"]["uid"], each.own, one["metadata"]["name"]))
            for one in each.resources()
        }

    first, second = both
    # What one does without, the other keeps.
    for process in first.processes:
        process.kill()
    first.control_plane.api.delete(MYSQL_INSTANCE, first.teams[0], "db-0")
    second.control_plane.api.delete(MYSQL_INSTANCE, second.teams[0], "db-1")
    second.claim("db-5")
    second.wait_ready(lambda: [each for each in second.claims() if each["metadata"]["name"] == "db-5"], 1)
    assert len(first.resources()) == len(first.made) == 5


def test_a_claim_that_no_conductor_sees_is_nobodys(install: Any, nats_server: Any) -> None:
    seen: Installation = install(nats_server.url, "team")
    unseen: Installation = install(nats_server.url, "stranger")
    seen.start(*SERVICES)
    unseen.claim("db")
    seen.claim("db")
    seen.wait_ready(seen.claims, 1)
    (found,) = unseen.claims()
    assert "status" not in found
    assert len(seen.resources()) == 1
