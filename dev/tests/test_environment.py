"""The whole environment: every service has its own identity, and sees nothing that is not for it."""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest
import requests

from conductor_dev import environment as environment_module
from conductor_dev.api import CUSTOM_RESOURCE_DEFINITION, SERVICE_ACCOUNT, KubeApi, objects_in
from conductor_dev.broker_users import make_users
from conductor_dev.checkout import CRDS, INSTALLATION
from conductor_dev.environment import NAMESPACE, Environment
from conductor_dev.errors import DevError, PartFailed
from conductor_dev.progress import Progress
from conductor_dev.services import SERVICES, Service, service_named
from conductor_model.refs import GroupVersionKind, ResourceType

DEPLOYMENT = ResourceType(GroupVersionKind("apps", "v1", "Deployment"), "deployments")

STUB = '''
"""A service that tells what it was given, and is ready when it is told to be."""
import http.server, json, os, pathlib, sys

if os.environ.get("BREAKS"):
    sys.exit("it breaks")

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ready = self.path != "/readyz" or not os.environ.get("NEVER_READY")
        self.send_response(200 if ready else 503)
        self.end_headers()
        self.wfile.write(json.dumps(dict(os.environ)).encode() if ready else b"its view is empty")
    def log_message(self, *arguments):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
address = pathlib.Path(os.environ["CONDUCTOR_HTTP_ADDRESS_FILE"])
address.with_suffix(".new").write_text(f"127.0.0.1:{server.server_port}")
address.with_suffix(".new").rename(address)
server.serve_forever()
'''
ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "stub", "namespace": NAMESPACE}}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    modules = tmp_path_factory.mktemp("modules")
    for name in ("a_stub", "a_cloud_stub"):
        (modules / f"{name}.py").write_text(STUB)
    environ = {
        **os.environ,
        "PYTHONPATH": str(modules),
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
        "AWS_SECRET_ACCESS_KEY": "of-the-caller",
        "SOMETHING_ELSE": "private",
    }
    folder = tmp_path_factory.mktemp("environment")
    with Environment.start(folder, environ=environ, progress=Progress(io.StringIO())) as environment:
        environment.api.apply(ACCOUNT)
        yield environment


@pytest.mark.integration
def test_crds_and_identities_are_installed_from_the_manifests_and_no_workload(
    environment: Environment,
) -> None:
    accounts = {each["metadata"]["name"] for each in environment.api.list(SERVICE_ACCOUNT, NAMESPACE)}
    assert accounts >= {service.service_account for service in SERVICES}
    served = {each["metadata"]["name"] for each in environment.api.list(CUSTOM_RESOURCE_DEFINITION)}
    assert served >= {each["metadata"]["name"] for each in objects_in(CRDS)}
    assert environment.api.list(DEPLOYMENT) == []


def told(environment: Environment, service: Service, replica: int) -> dict[str, str]:
    """What a replica sees of its environment; it is stopped again."""
    process = environment.start_service(service, replica)
    try:
        process.wait_ready()
        return json.loads(process.metrics())
    finally:
        process.terminate()


@pytest.mark.integration
def test_a_service_that_does_not_use_aws_sees_nothing_of_it_nor_of_the_caller(
    environment: Environment,
) -> None:
    seen = told(environment, Service("stub", "a_stub", "stub"), 0)
    assert not [name for name in seen if name.startswith("AWS_")]
    assert "of-the-caller" not in json.dumps(seen)
    assert "SOMETHING_ELSE" not in seen
    assert seen["CONDUCTOR_NAMESPACE"] == NAMESPACE
    assert seen["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:1"


@pytest.mark.integration
def test_a_service_that_uses_aws_is_led_to_the_stand_in(environment: Environment) -> None:
    seen = told(environment, Service("stub", "a_cloud_stub", "stub", uses_aws=True), 0)
    assert seen["AWS_ENDPOINT_URL"] == environment.moto.url
    assert seen["AWS_SECRET_ACCESS_KEY"] == "testing"


@pytest.mark.integration
def test_a_service_acts_as_its_own_service_account(environment: Environment) -> None:
    seen = told(environment, Service("stub", "a_stub", "stub"), 1)
    review = ResourceType(
        GroupVersionKind("authentication.k8s.io", "v1", "SelfSubjectReview"),
        "selfsubjectreviews",
        namespaced=False,
    )
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    who = KubeApi(seen["KUBECONFIG"]).create(review, None, body)
    assert who["status"]["userInfo"]["username"] == f"system:serviceaccount:{NAMESPACE}:stub"


@pytest.mark.integration
def test_a_replica_can_be_killed_and_restarted_and_answers_at_its_new_address(
    environment: Environment,
) -> None:
    process = environment.start_service(Service("stub", "a_stub", "stub"), 2)
    process.wait_ready()
    first = process.pid
    process.kill()
    assert not process.alive
    process.restart()
    assert process.pid not in (None, first)
    assert requests.get(f"{process.http_url}/healthz", timeout=5).ok
    process.terminate()


@pytest.mark.integration
def test_a_service_that_does_not_get_ready_says_why(environment: Environment) -> None:
    process = environment.start_service(Service("stub", "a_stub", "stub"), 3, {"NEVER_READY": "1"})
    with pytest.raises(PartFailed, match="its view is empty"):
        process.wait_ready(1)
    process.kill()


@pytest.mark.integration
def test_a_service_that_breaks_is_named_with_its_log(environment: Environment) -> None:
    process = environment.start_service(Service("stub", "a_stub", "stub"), 4, {"BREAKS": "1"})
    with pytest.raises(PartFailed) as failed:
        process.wait_ready()
    assert "stub-4 exited with 1" in str(failed.value)
    assert "it breaks" in str(failed.value)
    assert str(environment.logs) in str(failed.value)


@pytest.mark.integration
def test_a_replica_is_not_started_twice(environment: Environment) -> None:
    stub = Service("stub", "a_stub", "stub")
    process = environment.start_service(stub, 5)
    with pytest.raises(DevError, match="replica 5 of stub"):
        environment.start_service(stub, 5)
    process.kill()


def test_a_service_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(DevError, match="there is no service schedular; there are watcher, scheduler,"):
        service_named("schedular")


def password_in(file: Path) -> str:
    return file.read_text()


@pytest.mark.integration
async def test_a_service_may_publish_at_the_broker_what_the_manifests_allow_it(
    environment: Environment,
) -> None:
    (watcher,) = [service for service in SERVICES if service.name == "watcher"]
    given = environment.environment_of(watcher)
    password = environment.folder / "broker-users" / "conductor-watcher"
    assert given["NATS_PASSWORD_FILE"] == str(password)
    refusals = asyncio.Queue[Exception]()

    client = await nats.connect(
        given["NATS_URL"],
        user=given["NATS_USER"],
        password=password_in(password),
        error_cb=refusals.put,
    )
    try:
        await client.publish("conductor.objects.p00.x", b"")
        await client.publish("conductor.wake.x", b"")
        async with asyncio.timeout(30):
            refused = str(await refusals.get())
        # The broker answers in order: a refusal of the first would have come first.
        assert "permissions violation" in refused.lower()
        assert "conductor.wake.x" in refused
    finally:
        await client.close()


@pytest.mark.integration
async def test_people_and_tests_may_do_everything_at_the_broker_and_strangers_nothing(
    environment: Environment,
) -> None:
    client = await nats.connect(environment.nats_url)
    await client.jetstream().account_info()
    await client.close()
    with pytest.raises(nats.errors.Error):
        await nats.connect(environment.nats.url, allow_reconnect=False, connect_timeout=2)


def test_passwords_of_the_broker_are_in_files_of_the_owner_only(tmp_path: Path) -> None:
    users = make_users(objects_in(INSTALLATION), tmp_path)
    for service in SERVICES:
        variables = users.environment_of(service)
        file = Path(variables["NATS_PASSWORD_FILE"])
        assert file.stat().st_mode & 0o077 == 0
        assert file.read_text() not in variables.values()


def test_manifests_without_broker_users_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DevError, match="conductor-nats"):
        make_users([], tmp_path)


def test_manifests_that_were_not_rendered_are_told(tmp_path: Path) -> None:
    with pytest.raises(DevError, match="make manifests"):
        Environment.start(tmp_path / "environment", crds=tmp_path / "none.yaml")


@pytest.mark.integration
def test_when_one_part_fails_the_others_are_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []

    def fail(*_: object, **__: object) -> None:
        raise DevError("no cloud today")

    really = environment_module.start_nats

    def start_nats(*arguments: object, **named: object) -> object:
        started.append(really(*arguments, **named))
        return started[-1]

    monkeypatch.setattr(environment_module, "start_nats", start_nats)
    monkeypatch.setattr(environment_module, "start_aws", fail)
    with pytest.raises(DevError, match="no cloud today"):
        Environment.start(tmp_path, progress=Progress(io.StringIO()))
    assert not started[0].part.alive
