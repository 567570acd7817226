"""Two schedulers as processes, and the one that leads stops, dies, or sleeps through its Lease in the middle of a burst."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from installation import Installation, is_ready, seconds_until

from conductor_dev.api import Json
from conductor_dev.services import ServiceProcess
from conductor_dev.waiting import wait_until
from conductor_kube import LeaseTiming

pytestmark = pytest.mark.integration

BURST = 30
LEADS = "conductor_scheduler_leading 1.0"


def test_the_lease_of_a_leader_that_died_is_taken_within_five_seconds() -> None:
    """It runs out, and the standby looks every ``retry`` seconds, up to a quarter more by chance."""
    timing = LeaseTiming()
    assert timing.lease + 3 * timing.retry * 1.25 <= 5.0


@pytest.fixture
def installation(install: Any, nats_server: Any) -> Installation:
    installed: Installation = install(nats_server.url, "team", RECORDING_CALL_SECONDS="0.01")
    installed.start("watcher", "aws-provisioner", "secrets-writer")
    return installed


def leads(process: ServiceProcess) -> bool:
    return process.http_url is not None and LEADS in process.metrics()


def pair(installation: Installation) -> tuple[ServiceProcess, ServiceProcess]:
    """The leader and its standby."""
    first = installation.start("scheduler", replica=0)
    wait_until("the first leads", lambda: leads(first))
    return first, installation.start("scheduler", replica=1)


def burst(installation: Installation) -> None:
    for number in range(BURST):
        installation.claim(f"db-{number}")


def bindings(claims: list[Json]) -> dict[str, str]:
    return {each["metadata"]["name"]: each["status"]["boundResource"]["uid"] for each in claims}


@pytest.mark.parametrize("way", ["terminate", "kill"])
def test_a_standby_goes_on_in_the_middle_of_a_burst(
    installation: Installation, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = pair(installation)
    burst(installation)
    wait_until("some are bound", installation.resources)
    getattr(first, way)()
    took = seconds_until("the standby leads", lambda: leads(second))
    with capsys.disabled():
        print(f"\n{way} the scheduler that leads: the standby leads {took:.1f} s later")
    claims = installation.wait_ready(installation.claims, BURST)
    assert {each["metadata"]["uid"] for each in installation.resources()} == set(bindings(claims).values())
    assert len(set(bindings(claims).values())) == len(installation.made) == BURST


def test_a_leader_that_slept_through_its_lease_in_a_burst_does_no_harm_when_it_wakes(
    installation: Installation,
) -> None:
    first, second = pair(installation)
    burst(installation)
    wait_until("some are bound", installation.resources)
    first.part.signal(signal.SIGSTOP)
    wait_until("the standby leads", lambda: leads(second))
    before = bindings(installation.wait_ready(installation.claims, BURST))
    first.part.signal(signal.SIGCONT)
    wait_until("the first knows that it was deposed", lambda: not leads(first))
    installation.claim("late")
    wait_until("a late claim is Ready", lambda: len([*filter(is_ready, installation.claims())]) == BURST + 1)
    after = bindings(installation.claims())
    assert {name: uid for name, uid in after.items() if name != "late"} == before
    assert {each["metadata"]["uid"] for each in installation.resources()} == set(after.values())
    assert len(installation.made) == BURST + 1
    assert leads(second)
