"""From the claim to the Secret: one team's hundreds on a slow cloud, and another team's one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from installation import Installation, is_ready

from conductor_dev.waiting import wait_until

pytestmark = pytest.mark.integration

MANY = 200
A_FEW = 40


def test_a_claim_behind_hundreds_of_another_teams_is_ready_among_the_next_few(
    install: Any, nats_server: Any
) -> None:
    installation: Installation = install(
        nats_server.url,
        "large",
        "small",
        RECORDING_CALL_SECONDS="0.5",
        CONDUCTOR_AWS_CONCURRENCY="2",
    )
    large, small = installation.teams
    installation.start("watcher", "scheduler", "aws-provisioner", "secrets-writer")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: installation.claim(f"db-{number}", large), range(MANY)))
    wait_until("the cloud is at work", lambda: len(installation.made) >= 2, timeout=120)
    before = len(installation.made)
    installation.claim("db", small)
    wait_until("the claim is Ready", lambda: all(map(is_ready, installation.claims(small))), timeout=240)
    made_meanwhile = len(installation.made) - before
    assert made_meanwhile <= A_FEW
    # It was not alone: there was still plenty to do for the others.
    assert len(installation.made) < MANY
