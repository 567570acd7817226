"""Which Google Cloud the environment works against, and what a service is told of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from conductor_dev.errors import DevError
from conductor_dev.gcp import PROJECT, CloudSql, ExternalGcp, GcpChoice, choose_gcp, start_gcp

CALLER = {"GOOGLE_APPLICATION_CREDENTIALS": "/keys/mine.json", "HOME": "/home", "AWS_REGION": "x"}


@pytest.mark.parametrize(
    ("environ", "choice"),
    [
        ({}, GcpChoice.STAND_IN),
        (CALLER, GcpChoice.STAND_IN),
        ({"CONDUCTOR_GCP_ENDPOINT": "http://127.0.0.1:1"}, GcpChoice.ENDPOINT),
        ({"CONDUCTOR_GCP": "stand-in", "CONDUCTOR_GCP_ENDPOINT": "http://127.0.0.1:1"}, GcpChoice.STAND_IN),
        ({"CONDUCTOR_GCP": "real"}, GcpChoice.REAL),
    ],
)
def test_google_itself_must_be_asked_for(environ: dict[str, str], choice: GcpChoice) -> None:
    assert choose_gcp(environ) is choice


def test_a_choice_that_is_none_is_refused() -> None:
    with pytest.raises(DevError, match="CONDUCTOR_GCP=yes"):
        choose_gcp({"CONDUCTOR_GCP": "yes"})


def test_an_endpoint_of_the_user_s_is_shown_no_google_credentials() -> None:
    environ = {**CALLER, "CONDUCTOR_GCP_ENDPOINT": "http://127.0.0.1:1"}
    assert ExternalGcp(environ).service_environment == {
        "CONDUCTOR_GCP_ENDPOINT": "http://127.0.0.1:1",
        "CONDUCTOR_GCP_PROJECT": PROJECT,
    }


def test_the_real_google_is_reached_as_the_caller_would() -> None:
    environ = {**CALLER, "CONDUCTOR_GCP": "real"}
    told = ExternalGcp(environ).service_environment
    assert told["GOOGLE_APPLICATION_CREDENTIALS"] == "/keys/mine.json"
    assert "AWS_REGION" not in told


@pytest.mark.integration
def test_the_stand_in_is_ready_when_it_has_started(tmp_path: Path) -> None:
    with start_gcp(tmp_path, environ={}, operation_seconds=1000) as gcp:
        assert isinstance(gcp, CloudSql)
        body = {"name": "db", "settings": {"tier": "db-f1-micro"}}
        gcp.client("instances.insert", body=body)
        assert gcp.client("instances.get", instance="db")["state"] == "PENDING_CREATE"
        gcp.set_operation_seconds(0)
        assert gcp.client("instances.get", instance="db")["state"] == "RUNNABLE"
