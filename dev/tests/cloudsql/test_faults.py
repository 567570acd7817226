"""The stand-in misbehaves as it is told to, and no more."""

from __future__ import annotations

import http.client
from typing import Any

import pytest
import requests
from googleapiclient.errors import HttpError

from conductor_dev.cloudsql.client import CloudSqlClient
from conductor_dev.cloudsql.faults import Fault, Faults, Trouble, throttling
from conductor_dev.cloudsql.refusals import Refusal
from conductor_dev.cloudsql.server import CloudSqlApi

NEW: dict[str, Any] = {
    "name": "db",
    "databaseVersion": "POSTGRES_16",
    "settings": {"tier": "db-f1-micro"},
}


@pytest.mark.parametrize("retry_after", [None, 7.0])
def test_it_throttles_with_and_without_saying_for_how_long(
    stand_in: CloudSqlApi, client: CloudSqlClient, retry_after: float | None
) -> None:
    stand_in.faults.faults.append(throttling("instances.get", retry_after=retry_after))
    with pytest.raises(HttpError) as caught:
        client("instances.get", instance="db")
    assert caught.value.status_code == 429
    assert caught.value.resp.get("retry-after") == (None if retry_after is None else "7")
    assert client("instances.list")["kind"] == "sql#instancesList"


def test_an_outage_lasts_until_it_is_cleared(client: CloudSqlClient) -> None:
    client.steer("faults", [{"trouble": "refuse", "times": None, "code": 503}])
    for _ in range(3):
        with pytest.raises(HttpError, match="503"):
            client("instances.list")
    client.steer("faults", method="DELETE")
    client("instances.list")


@pytest.mark.parametrize(("trouble", "there"), [(Trouble.LOSE, 200), (Trouble.DROP, 404)])
def test_a_connection_ends_before_or_after_the_effect(
    stand_in: CloudSqlApi, client: CloudSqlClient, trouble: Trouble, there: int
) -> None:
    stand_in.faults.faults.append(Fault(trouble, "instances.insert"))
    url = f"{client.url}/v1/projects/{client.project}/instances"
    with pytest.raises((requests.ConnectionError, http.client.HTTPException)):
        requests.post(url, json=NEW, timeout=30)
    assert requests.get(f"{url}/db", timeout=30).status_code == there


def test_calls_that_come_faster_than_the_quota_are_throttled() -> None:
    time = 0.0
    faults = Faults(requests_per_second=2, monotonic=lambda: time)
    assert [faults.of("instances.get") for _ in range(2)] == [None, None]
    with pytest.raises(Refusal, match="429"):
        faults.of("instances.get")
    time = 0.5
    assert faults.of("instances.get") is None


def test_calls_are_counted_by_what_came_of_them(client: CloudSqlClient) -> None:
    client("instances.insert", body=NEW)
    with pytest.raises(HttpError):
        client("instances.insert", body=NEW)
    assert client.calls("instances.insert") == {"succeeded": 1, "refused": 1}


def test_a_misspelt_wish_for_its_behaviour_is_refused(client: CloudSqlClient) -> None:
    with pytest.raises(requests.HTTPError):
        client.steer("behaviour", {"operation_second": 0})
