"""Routes, requests and answers are held against the discovery document that Google publishes."""

from __future__ import annotations

import pytest
import requests

from conductor_dev.cloudsql.client import CloudSqlClient
from conductor_dev.cloudsql.discovery import Discovery
from conductor_dev.cloudsql.server import HANDLERS, CloudSqlApi

PROJECT = "project-1"
NEW = {"name": "db", "databaseVersion": "POSTGRES_16", "settings": {"tier": "db-f1-micro"}}


def test_every_method_that_google_publishes_has_a_route() -> None:
    discovery = Discovery.load()
    assert len(discovery.methods) > 60
    for method in discovery.methods:
        named = {name: f"some-{name.lower()}" for name in method.path.groupindex}
        path = method.path.pattern.replace("\\", "")
        for name, value in named.items():
            path = path.replace(f"(?P<{name}>[^/:]+)", value)
        route = discovery.route(method.http_method, path)
        assert route is not None
        assert (route.method.id, dict(route.path)) == (method.id, named)


def test_every_handler_is_of_a_method_that_google_publishes() -> None:
    assert set(HANDLERS) <= {method.id for method in Discovery.load().methods}


def test_a_published_method_without_a_handler_says_that_it_is_not_implemented(client: CloudSqlClient) -> None:
    answer = requests.post(f"{client.url}/v1/projects/{PROJECT}/instances/db/failover", json={}, timeout=30)
    assert answer.status_code == 501


def test_what_is_not_published_is_not_found(client: CloudSqlClient) -> None:
    assert requests.get(f"{client.url}/v1/projects/{PROJECT}/clusters", timeout=30).status_code == 404


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"invented": 1}, 'Unknown name "invented"'),
        ({"settings": {"tier": "db-f1-micro", "ipConfiguration": {"open": True}}}, 'Unknown name "open"'),
        ({"state": "SLEEPING"}, "none of its names"),
        ({"settings": {"tier": 7}}, "settings.tier: is not text"),
        ({"settings": {"storageAutoResize": "yes"}}, "is not a boolean"),
        ({"settings": {"dataDiskSizeGb": "big"}}, "no int64"),
        ({"settings": []}, "is not an object"),
        ({"settings": {"databaseFlags": {}}}, "is not a list"),
    ],
)
def test_a_request_that_google_would_not_understand_is_refused(
    client: CloudSqlClient, change: dict[str, object], told: str
) -> None:
    url = f"{client.url}/v1/projects/{PROJECT}/instances"
    answer = requests.post(url, json={**NEW, **change}, timeout=30)
    assert answer.status_code == 400
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert told in answer.json()["error"]["message"]
    assert requests.get(f"{url}/db", timeout=30).status_code == 404


def test_a_query_parameter_that_google_does_not_know_is_refused(client: CloudSqlClient) -> None:
    url = f"{client.url}/v1/projects/{PROJECT}/instances"
    assert requests.get(url, params={"maxResult": 1}, timeout=30).status_code == 400
    assert requests.get(url, params={"maxResults": "many"}, timeout=30).status_code == 400
    assert requests.get(url, params={"maxResults": 1, "prettyPrint": "false"}, timeout=30).ok


def test_what_only_google_says_is_ignored_in_a_request(client: CloudSqlClient) -> None:
    client("instances.insert", body={**NEW, "createTime": "2001-01-01T00:00:00Z"})
    assert not client("instances.get", instance="db")["createTime"].startswith("2001")


def test_an_answer_that_google_could_not_give_is_never_sent() -> None:
    shapes = Discovery.load().shapes
    assert shapes.problems({"name": "db", "settings": {"tier": "db-f1-micro"}}, "DatabaseInstance") == []
    wrong = {"name": 1, "settings": {"settingsVersion": "v2"}, "operation": "x", "createTime": "yesterday"}
    assert len(shapes.problems(wrong, "DatabaseInstance")) == 4


def test_the_check_of_answers_holds_in_the_server(
    stand_in: CloudSqlApi, client: CloudSqlClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client("instances.insert", body=NEW)
    stand_in.project(PROJECT).instance("db").resource["color"] = "red"
    answer = requests.get(f"{client.url}/v1/projects/{PROJECT}/instances/db", timeout=30)
    assert answer.status_code == 500
    assert stand_in.unfaithful == ['instances.get: body: Unknown name "color": Cannot find field.']
    stand_in.unfaithful.clear()
