"""Instances live in the stand-in as they do in Cloud SQL."""

from __future__ import annotations

from typing import Any

import pytest
from googleapiclient.errors import HttpError

from conductor_dev.cloudsql.client import CloudSqlClient
from conductor_dev.cloudsql.refusals import ErrorStyle
from conductor_dev.cloudsql.server import CloudSqlApi

WEEK = 7 * 24 * 3600
FOREVER = 1_000_000.0


def new(name: str = "db", version: str = "MYSQL_8_0", **settings: Any) -> dict[str, Any]:
    return {
        "name": name,
        "region": "us-west2",
        "databaseVersion": version,
        "rootPassword": "first-password",
        "settings": {"tier": "db-n1-standard-1", **settings},
    }


def refusal(client: CloudSqlClient, method: str, **parameters: Any) -> tuple[int, str]:
    """The status, and what Google calls the reason."""
    with pytest.raises(HttpError) as caught:
        client(method, **parameters)
    details: Any = caught.value.error_details
    return caught.value.status_code, details[0]["reason"]


def test_an_instance_is_pending_until_its_operation_is_done(
    stand_in: CloudSqlApi, client: CloudSqlClient
) -> None:
    stand_in.behaviour.operation_seconds = FOREVER
    operation = client("instances.insert", body=new())
    assert (operation["operationType"], operation["status"], operation["targetId"]) == (
        "CREATE",
        "PENDING",
        "db",
    )
    assert client("instances.get", instance="db")["state"] == "PENDING_CREATE"
    assert client("operations.get", operation=operation["name"])["status"] == "RUNNING"
    stand_in.behaviour.operation_seconds = 0
    instance = client("instances.get", instance="db")
    assert instance["state"] == "RUNNABLE"
    assert instance["connectionName"] == "project-1:us-west2:db"
    assert [each["type"] for each in instance["ipAddresses"]] == ["PRIMARY"]
    assert instance["serverCaCert"]["cert"].startswith("-----BEGIN CERTIFICATE-----")
    assert client("operations.get", operation=operation["name"])["status"] == "DONE"


def test_a_busy_instance_refuses_a_second_operation(stand_in: CloudSqlApi, client: CloudSqlClient) -> None:
    client("instances.insert", body=new())
    assert client("instances.get", instance="db")["state"] == "RUNNABLE"
    stand_in.behaviour.operation_seconds = FOREVER
    client("instances.patch", instance="db", body={"settings": {"tier": "db-n1-standard-2"}})
    again = {"settings": {"tier": "db-n1-standard-4"}}
    assert refusal(client, "instances.patch", instance="db", body=again) == (409, "operationInProgress")
    assert refusal(client, "instances.delete", instance="db") == (409, "operationInProgress")
    assert client("instances.get", instance="db")["settings"]["tier"] == "db-n1-standard-1"


def test_a_name_is_taken_for_a_week_beyond_the_deletion(
    stand_in: CloudSqlApi, client: CloudSqlClient
) -> None:
    client("instances.insert", body=new())
    assert refusal(client, "instances.insert", body=new()) == (409, "instanceAlreadyExists")
    client("instances.delete", instance="db")
    assert refusal(client, "instances.get", instance="db") == (404, "instanceDoesNotExist")
    assert refusal(client, "instances.insert", body=new()) == (409, "instanceAlreadyExists")
    stand_in.clock.advance(WEEK + 1)
    client("instances.insert", body=new())
    assert client("instances.get", instance="db")["name"] == "db"


def test_names_are_as_long_as_google_allows(client: CloudSqlClient) -> None:
    longest = "d" * (98 - len("project-1:"))
    client("instances.insert", body=new(longest))
    assert refusal(client, "instances.insert", body=new(longest + "d")) == (400, "invalid")
    assert refusal(client, "instances.insert", body=new("Db")) == (400, "invalid")


def test_a_protected_instance_is_not_deleted(client: CloudSqlClient) -> None:
    client("instances.insert", body=new(deletionProtectionEnabled=True))
    assert refusal(client, "instances.delete", instance="db")[0] == 400
    client("instances.patch", instance="db", body={"settings": {"deletionProtectionEnabled": False}})
    client("instances.delete", instance="db")
    assert client("instances.list").get("items", []) == []


def test_a_patch_changes_what_it_names_and_nothing_else(client: CloudSqlClient) -> None:
    client("instances.insert", body=new(userLabels={"team": "web"}, dataDiskSizeGb="20"))
    body = {"settings": {"backupConfiguration": {"enabled": True}, "userLabels": {"stage": "test"}}}
    client("instances.patch", instance="db", body=body)
    settings = client("instances.get", instance="db")["settings"]
    assert settings["userLabels"] == {"team": "web", "stage": "test"}
    assert settings["backupConfiguration"]["enabled"] is True
    assert settings["backupConfiguration"]["startTime"] == "04:00"
    assert settings["dataDiskSizeGb"] == "20"
    assert settings["settingsVersion"] == "2"
    removal = {"settings": {"userLabels": {"team": None}}}
    client("instances.patch", instance="db", body=removal)
    assert client("instances.get", instance="db")["settings"]["userLabels"] == {"stage": "test"}


def test_an_update_replaces_all_settings_and_needs_their_version(client: CloudSqlClient) -> None:
    client("instances.insert", body=new(userLabels={"team": "web"}))
    body: dict[str, Any] = {"settings": {"tier": "db-f1-micro"}}
    assert refusal(client, "instances.update", instance="db", body=body) == (400, "invalid")
    body["settings"]["settingsVersion"] = "1"
    client("instances.update", instance="db", body=body)
    assert "userLabels" not in client("instances.get", instance="db")["settings"]
    assert refusal(client, "instances.update", instance="db", body=body) == (412, "staleData")


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"dataDiskSizeGb": "10"}},
        {"settings": {"dataDiskType": "PD_HDD"}},
        {"settings": {"tier": "huge"}},
        {"settings": {"userLabels": {"Team": "web"}}},
        {"settings": {"availabilityType": "REGIONAL"}},
        {"settings": {"backupConfiguration": {"enabled": True, "pointInTimeRecoveryEnabled": True}}},
        {"settings": {"ipConfiguration": {"ipv4Enabled": False}}},
        {"region": "us-east1"},
        {"databaseVersion": "MYSQL_5_7"},
        {"databaseVersion": "POSTGRES_16"},
    ],
)
def test_what_google_does_not_do_is_refused(client: CloudSqlClient, change: dict[str, Any]) -> None:
    client("instances.insert", body=new(dataDiskSizeGb="20"))
    assert refusal(client, "instances.patch", instance="db", body=change) == (400, "invalid")


def test_an_operation_can_end_in_an_error(stand_in: CloudSqlApi, client: CloudSqlClient) -> None:
    failure = {"project": "project-1", "operation_type": "CREATE", "code": "INTERNAL_ERROR", "message": "no"}
    client.steer("failures", [failure])
    name = client("instances.insert", body=new())["name"]
    assert client("instances.get", instance="db")["state"] == "FAILED"
    assert client("operations.get", operation=name)["error"]["errors"][0]["code"] == "INTERNAL_ERROR"
    client("instances.delete", instance="db")


def test_lists_are_filtered_and_come_in_pages(client: CloudSqlClient) -> None:
    for number in range(5):
        client("instances.insert", body=new(f"db-{number}", userLabels={"odd": str(number % 2)}))
    odd = client("instances.list", filter="state:RUNNABLE settings.userLabels.odd:1")
    assert [each["name"] for each in odd["items"]] == ["db-1", "db-3"]
    seen, token = [], None
    while True:
        page = client("instances.list", maxResults=2, pageToken=token)
        seen += [each["name"] for each in page["items"]]
        token = page.get("nextPageToken")
        if token is None:
            break
    assert seen == [f"db-{number}" for number in range(5)]
    latest = client("operations.list", instance="db-3", maxResults=1)["items"]
    assert [each["targetId"] for each in latest] == ["db-3"]


def test_a_project_has_room_for_so_many_instances(client: CloudSqlClient) -> None:
    client.steer("behaviour", {"max_instances": 1})
    client("instances.insert", body=new())
    assert refusal(client, "instances.insert", body=new("db-2")) == (403, "errorMaxInstancePerLabel")


def test_users_have_passwords_that_nobody_is_shown(client: CloudSqlClient) -> None:
    client("instances.insert", body=new())
    client("users.insert", instance="db", body={"name": "app", "host": "%", "password": "secret-1"})
    listed = client("users.list", instance="db")["items"]
    assert [(each["name"], each["host"]) for each in listed] == [("root", "%"), ("app", "%")]
    assert "secret-1" not in str(listed)
    client("users.update", instance="db", name="app", host="%", body={"password": "secret-2"})
    session = {"project": "project-1", "instance": "db", "user": "app", "host": "%"}
    assert client.steer("sessions", {**session, "password": "secret-2"}) == {"accepted": True}
    assert client.steer("sessions", {**session, "password": "secret-1"}) == {"accepted": False}
    client("users.delete", instance="db", name="app", host="%")
    assert len(client("users.list", instance="db")["items"]) == 1


def test_users_are_of_a_running_instance(stand_in: CloudSqlApi, client: CloudSqlClient) -> None:
    stand_in.behaviour.operation_seconds = FOREVER
    client("instances.insert", body=new())
    assert refusal(client, "users.list", instance="db") == (400, "invalid")


def test_databases_are_made_and_dropped(client: CloudSqlClient) -> None:
    client("instances.insert", body=new(version="POSTGRES_16"))
    client("databases.insert", instance="db", body={"name": "shop"})
    assert client("databases.get", instance="db", database="shop")["charset"] == "UTF8"
    client("databases.delete", instance="db", database="shop")
    assert client("databases.list", instance="db").get("items", []) == []


def test_tiers_and_flags_are_listed(client: CloudSqlClient) -> None:
    assert "db-f1-micro" in [each["tier"] for each in client("tiers.list")["items"]]
    assert "max_connections" in [each["name"] for each in client("flags.list")["items"]]


def test_errors_come_in_either_of_google_s_forms(stand_in: CloudSqlApi, client: CloudSqlClient) -> None:
    stand_in.behaviour.error_style = ErrorStyle.DETAILS
    assert refusal(client, "instances.get", instance="db") == (404, "instanceDoesNotExist")
