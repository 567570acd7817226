"""What an operator can set by environment variables."""

from __future__ import annotations

import pytest

from conductor_provisioner.duration import parse_duration
from conductor_provisioner.gate import Limits
from conductor_provisioner.pacing import PollIntervals
from conductor_provisioner.settings import Settings


def test_without_variables_the_documented_defaults_hold() -> None:
    assert Settings.from_environment({}, "aws") == Settings(
        nats_url="nats://127.0.0.1:4222", cluster_id=None, poll=PollIntervals(pending=10, settled=600)
    )


def test_every_variable_is_read() -> None:
    settings = Settings.from_environment(
        {
            "NATS_URL": "nats://bus:4222",
            "CONDUCTOR_CLUSTER_ID": "east",
            "CONDUCTOR_AWS_POLL_PENDING": "1",
            "CONDUCTOR_AWS_POLL_SETTLED": "1h30m",
            "CONDUCTOR_AWS_SETTLE_DELETED": "2m",
            "CONDUCTOR_AWS_CONCURRENCY": "4",
            "CONDUCTOR_AWS_RATE": "2.5",
            "CONDUCTOR_AWS_BURST": "10",
            "CONDUCTOR_AWS_SWEEP": "5m",
        },
        "aws",
    )

    assert settings == Settings(
        nats_url="nats://bus:4222",
        cluster_id="east",
        poll=PollIntervals(pending=1, settled=5400),
        settle_deleted=120,
        limits=Limits(concurrency=4, rate=2.5, burst=10),
        sweep=300,
    )


def test_a_variable_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ValueError, match="CONDUCTOR_AWS_POLL_PENDING: 'often' is not a duration"):
        Settings.from_environment({"CONDUCTOR_AWS_POLL_PENDING": "often"}, "aws")
    with pytest.raises(ValueError, match="CONDUCTOR_AWS_RATE: '0' is not a number of at least 1"):
        Settings.from_environment({"CONDUCTOR_AWS_RATE": "0"}, "aws")


@pytest.mark.parametrize(
    ("text", "seconds"), [("10", 10), ("0.5", 0.5), ("90s", 90), ("5m", 300), ("1h", 3600), ("1h1m1s", 3661)]
)
def test_durations_are_read_as_kubernetes_users_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-5s", "5d", "m", "1m1h", "five"])
def test_what_is_no_positive_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)
