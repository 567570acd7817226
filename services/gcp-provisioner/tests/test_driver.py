"""The driver against the stand-in, call by call: operations that are followed, names that are retired, calls that fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from conductor_dev.cloudsql.client import CloudSqlClient
from conductor_dev.cloudsql.faults import Fault, Trouble, throttling
from conductor_dev.cloudsql.project import OperationFailure
from conductor_dev.cloudsql.refusals import ErrorStyle
from conductor_dev.cloudsql.server import CloudSqlApi
from conductor_gcp_provisioner.driver import CloudSQLDriver, CloudSQLDriverFactory
from conductor_gcp_provisioner.settings import GoogleSettings
from conductor_model.cloudsql import CloudSQLInstanceSpec, CloudSQLInstanceStatus
from conductor_provisioner.driver import Account, Observation, Owner, Ownership, Resource, SecretData
from conductor_provisioner.errors import NameRetired, Refused, Terminal, Throttled, Transient
from conductor_provisioner.testing.calls import DirectCalls

OWNER = Owner("cluster-1", "1b4e28ba-2fa1-11d2-883f-0016d3cca427", "conductor-system", "db")
NAME = "conductor-db"
PASSWORD = "s3cret-password"
LEAST = {"databaseVersion": "MYSQL_8_0", "tier": "db-n1-standard-1", "region": "us-west2"}

Wanted = Resource[CloudSQLInstanceSpec, CloudSQLInstanceStatus]
Seen = Observation[CloudSQLInstanceStatus]


@dataclass
class Story:
    """One resource, as a reconciler carries it from one look to the next."""

    driver: CloudSQLDriver
    cloud: CloudSqlApi
    calls: DirectCalls
    resource: Wanted

    async def observe(self) -> Seen:
        return self.note(await self.driver.observe(self.resource))

    async def create(self) -> Seen:
        return self.note(await self.driver.create(self.resource))

    async def update(self) -> Seen:
        observed = await self.observe()
        return self.note(await self.driver.update(self.resource, observed))

    async def delete(self) -> None:
        await self.driver.delete(self.resource, await self.observe())

    def note(self, seen: Seen) -> Seen:
        status = self.resource.status.model_copy(update=dict(seen.details))
        applied = seen.credentials_applied
        self.resource = replace(self.resource, status=status, credentials_applied=applied)
        return seen

    def wish(self, **fields: Any) -> None:
        spec = CloudSQLInstanceSpec.model_validate({**LEAST, **fields})
        self.resource = replace(self.resource, spec=spec)

    def forget(self) -> None:
        """The process dies before the status was written."""
        self.resource = replace(self.resource, status=CloudSQLInstanceStatus())

    def settle(self) -> None:
        self.cloud.project("project-1").settle(0)

    async def running(self) -> Seen:
        await self.create()
        self.settle()
        await self.update()
        self.settle()
        return await self.observe()

    @property
    def actions(self) -> list[str]:
        return [action for action, _ in self.calls.made]

    def count(self, method: str) -> int:
        return self.cloud.calls[method, "succeeded"]


def resource(**fields: Any) -> Wanted:
    return Resource(
        external_name=NAME,
        owner=OWNER,
        spec=CloudSQLInstanceSpec.model_validate({**LEAST, **fields}),
        status=CloudSQLInstanceStatus(),
        credentials=SecretData({"username": "boss", "password": PASSWORD}),
    )


@pytest.fixture
async def story(cloud: CloudSqlApi, google: CloudSqlClient) -> AsyncIterator[Story]:
    calls = DirectCalls()
    account = Account(name="ambient", calls=calls, account=google.project, endpoint=google.url)
    factory = CloudSQLDriverFactory(GoogleSettings())
    driver = await factory.open(account)
    yield Story(driver, cloud, calls, resource())
    await factory.close(driver)


async def test_a_new_instance_is_followed_until_its_user_can_connect(story: Story) -> None:
    assert await story.observe() == Observation(exists=False)
    created = await story.create()
    assert (created.busy, created.ready, created.credentials_applied) == (True, False, False)
    pending = await story.observe()
    assert (pending.busy, pending.ready) == (True, False)
    assert story.resource.status.operation is not None
    story.settle()
    runs = await story.observe()
    assert (runs.busy, runs.ready, runs.credentials_applied) == (False, True, False)
    given = await story.update()
    assert (given.busy, given.ready, given.credentials_applied) == (True, False, True)
    story.settle()
    done = await story.observe()
    assert (done.busy, done.ready, done.drift) == (False, True, ())
    assert done.endpoint is not None
    assert done.endpoint.port == 3306
    assert done.engine_version == "8.0.31"
    assert done.credentials is not None
    assert done.credentials["certificates"].startswith("-----BEGIN CERTIFICATE-----")
    assert done.details["operation"] is None
    assert done.details["connection_name"] == f"project-1:us-west2:{NAME}"


async def test_an_instance_at_rest_costs_one_call_to_look_at(story: Story) -> None:
    await story.running()
    story.calls.made.clear()
    await story.observe()
    assert story.actions == ["GetInstance"]


async def test_nobody_knows_the_password_of_the_user_that_google_makes(story: Story) -> None:
    await story.running()
    passwords = story.cloud.project("project-1").instance(NAME).passwords
    assert passwords["boss", "%"] == PASSWORD
    assert len(passwords["root", "%"]) > 30
    assert passwords["root", "%"] != PASSWORD


@pytest.mark.parametrize(
    ("version", "user"), [("MYSQL_8_0", ("root", "%")), ("POSTGRES_16", ("postgres", ""))]
)
async def test_the_engine_s_own_user_can_be_the_master(
    story: Story, version: str, user: tuple[str, str]
) -> None:
    story.wish(databaseVersion=version, masterUsername=user[0])
    credentials = SecretData({"username": user[0], "password": PASSWORD})
    story.resource = replace(story.resource, credentials=credentials)
    assert (await story.create()).credentials_applied
    story.settle()
    assert (await story.observe()).credentials_applied
    assert story.cloud.project("project-1").instance(NAME).passwords == {user: PASSWORD}
    assert story.count("users.insert") == 0


async def test_a_new_password_is_given_to_the_user_that_is_there(story: Story) -> None:
    await story.running()
    credentials = SecretData({"username": "boss", "password": "another"})
    story.resource = replace(story.resource, credentials=credentials, credentials_applied=False)
    await story.update()
    story.settle()
    assert (await story.observe()).credentials_applied
    assert story.cloud.project("project-1").instance(NAME).passwords["boss", "%"] == "another"
    assert story.count("users.insert") == 1


async def test_a_password_whose_operation_failed_is_given_again(story: Story) -> None:
    story.cloud.project("project-1").failures.append(
        OperationFailure("CREATE_USER", "INTERNAL_ERROR", "oops")
    )
    await story.create()
    story.settle()
    await story.update()
    story.settle()
    before = story.resource
    observed = await story.driver.observe(before)
    assert not observed.credentials_applied
    with pytest.raises(Terminal, match="INTERNAL_ERROR: oops"):
        await story.driver.update(before, observed)
    story.note(observed)
    await story.update()
    story.settle()
    assert (await story.observe()).credentials_applied


async def test_a_second_insert_after_a_lost_answer_finds_the_first(story: Story) -> None:
    story.cloud.faults.faults.append(Fault(Trouble.LOSE, "instances.insert"))
    with pytest.raises(Transient, match="ended before the answer"):
        await story.create()
    assert story.cloud.calls["instances.insert", "refused"] == 0  # it was sent once
    found = await story.create()
    assert (found.exists, found.busy, found.ownership) == (True, True, Ownership.OURS)
    assert story.count("instances.insert") == 1


@pytest.mark.parametrize("style", ErrorStyle)
async def test_a_name_that_is_retired_has_a_successor(story: Story, style: ErrorStyle) -> None:
    story.cloud.behaviour.error_style = style
    await story.create()
    story.settle()
    await story.delete()
    story.settle()
    story.forget()
    with pytest.raises(NameRetired) as caught:
        await story.create()
    assert caught.value.successor == f"{NAME}-r2"
    story.resource = replace(story.resource, external_name=caught.value.successor)
    await story.create()
    assert list(story.cloud.project("project-1").instances) == [f"{NAME}-r2"]


async def test_a_name_is_not_given_up_while_a_create_of_it_may_not_be_shown_yet(story: Story) -> None:
    await story.create()
    story.cloud.project("project-1").instances.clear()
    story.forget()
    with pytest.raises(Transient, match="instanceAlreadyExists") as caught:
        story.cloud.faults.faults.append(
            Fault(Trouble.REFUSE, "instances.insert", 1, 409, "instanceAlreadyExists", "It exists.")
        )
        await story.create()
    assert not isinstance(caught.value, NameRetired)


async def test_an_instance_that_is_not_shown_yet_is_known_by_its_operation(story: Story) -> None:
    await story.create()
    story.cloud.project("project-1").instances.clear()
    seen = await story.observe()
    assert (seen.exists, seen.busy) == (False, True)


async def test_a_creation_that_failed_is_explained_to_whoever_looks(story: Story) -> None:
    story.cloud.project("project-1").failures.append(
        OperationFailure("CREATE", "RESOURCE_EXHAUSTED", "no zone has room")
    )
    await story.create()
    story.settle()
    seen = await story.observe()
    assert (seen.failed, seen.busy, seen.ready) == (True, False, False)
    assert "RESOURCE_EXHAUSTED: no zone has room" in seen.message
    assert "no zone has room" in (await story.observe()).message
    story.forget()
    assert "no zone has room" in (await story.observe()).message


async def test_a_failed_creation_that_left_nothing_is_told_before_it_is_tried_again(story: Story) -> None:
    story.cloud.project("project-1").failures.append(OperationFailure("CREATE", "INTERNAL_ERROR", "oops"))
    await story.create()
    story.settle()
    story.cloud.project("project-1").instances.clear()
    before = story.resource
    observed = await story.driver.observe(before)
    assert not observed.exists
    with pytest.raises(Terminal, match="oops"):
        await story.driver.create(before)
    story.note(observed)
    await story.create()
    assert story.count("instances.insert") == 2


async def test_a_change_that_failed_is_told_before_it_is_tried_again(story: Story) -> None:
    await story.running()
    story.cloud.project("project-1").failures.append(OperationFailure("UPDATE", "INTERNAL_ERROR", "oops"))
    story.wish(tier="db-n1-standard-2")
    await story.update()
    story.settle()
    before = story.resource
    observed = await story.driver.observe(before)
    assert [each.field for each in observed.drift] == ["tier"]
    with pytest.raises(Terminal, match="INTERNAL_ERROR: oops") as caught:
        await story.driver.update(before, observed)
    assert caught.value.reason == "OperationFailed"
    story.note(observed)
    await story.update()
    story.settle()
    done = await story.observe()
    assert (done.drift, done.details["operation_error"]) == ((), None)


async def test_a_change_whose_name_was_not_written_down_is_not_begun_again(story: Story) -> None:
    await story.running()
    story.wish(tier="db-n1-standard-2")
    before = story.resource
    await story.update()
    story.resource = before
    seen = await story.observe()
    assert (seen.busy, seen.ready) == (True, True)
    assert story.resource.status.operation is not None
    story.settle()
    assert (await story.observe()).drift == ()
    assert story.count("instances.patch") == 1


async def test_a_busy_instance_is_tried_again_and_not_given_up(story: Story) -> None:
    await story.running()
    story.wish(tier="db-n1-standard-2")
    observed = await story.observe()
    story.cloud.project("project-1").begin("BACKUP_VOLUME", NAME, lambda: None)
    with pytest.raises(Transient, match="operationInProgress"):
        await story.driver.update(story.resource, observed)
    assert (await story.observe()).busy


async def test_deletion_goes_on_whoever_begins_it_again(story: Story) -> None:
    await story.running()
    await story.delete()
    await story.delete()
    assert story.count("instances.delete") == 1
    story.settle()
    assert not (await story.observe()).exists
    await story.delete()


async def test_what_is_released_is_nobodys_and_keeps_its_users_labels(story: Story) -> None:
    story.wish(labels={"team": "billing"})
    await story.running()

    with pytest.raises(Transient, match="being taken off"):
        await story.driver.release(story.resource, await story.observe())
    with pytest.raises(Transient, match="operationInProgress"):
        await story.driver.release(story.resource, await story.observe())
    story.settle()
    await story.driver.release(story.resource, await story.observe())

    assert (await story.observe()).ownership is Ownership.NOBODYS
    assert story.cloud.project("project-1").instance(NAME).settings["userLabels"] == {"team": "billing"}
    assert [each async for each in story.driver.tagged("cluster-1")] == []
    assert story.count("instances.patch") == 1


async def test_a_failed_instance_does_not_keep_its_object_by_its_labels(story: Story) -> None:
    await story.running()
    story.cloud.project("project-1").instance(NAME).resource["state"] = "FAILED"
    with pytest.raises(Terminal):
        await story.driver.release(story.resource, await story.observe())


async def test_an_instance_without_labels_yet_is_not_let_go_while_it_is_made(story: Story) -> None:
    await story.create()
    story.forget()
    there = story.cloud.project("project-1").instance(NAME).settings
    labels = there.pop("userLabels")
    seen = await story.observe()
    assert (seen.ownership, seen.busy) == (Ownership.OURS, True)
    story.settle()
    assert (await story.observe()).ownership is Ownership.NOBODYS
    there["userLabels"] = labels
    assert (await story.observe()).ownership is Ownership.OURS


@pytest.mark.parametrize("content", [[], "gone", 7, None])
async def test_an_answer_that_is_no_object_is_no_answer(
    story: Story, monkeypatch: pytest.MonkeyPatch, content: Any
) -> None:
    monkeypatch.setattr(story.cloud, "_answer", lambda *_: (200, content, {}))
    with pytest.raises(Transient, match="no JSON object"):
        await story.observe()


async def test_operations_of_others_and_of_long_ago_are_not_taken_for_the_latest_of_this(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    def operation(name: str, target: str, minute: int, **more: Any) -> dict[str, Any]:
        begun = f"2026-01-01T00:{minute:02}:00Z"
        return {"name": name, "targetId": target, "insertTime": begun, "status": "DONE", **more}

    failure = {"errors": [{"code": "X", "message": "the latest failure"}]}
    items = [
        operation("old", NAME, 1, error={"errors": [{"code": "X", "message": "an old failure"}]}),
        operation("new", NAME, 3, error=failure),
        operation("other", "another", 5, error={"errors": [{"code": "X", "message": "another's"}]}),
    ]
    await story.running()
    story.cloud.project("project-1").instance(NAME).resource["state"] = "FAILED"
    answer = story.cloud._answer

    def listing(*request: Any) -> Any:
        answered = answer(*request)
        listed = answered is not None and answered[1].get("kind") == "sql#operationsList"
        return (200, {"items": items}, {}) if listed else answered

    monkeypatch.setattr(story.cloud, "_answer", listing)
    assert "the latest failure" in (await story.observe()).message


async def test_protection_is_lifted_by_the_spec_alone(story: Story) -> None:
    story.wish(deletionProtection=True)
    await story.running()
    with pytest.raises(Terminal, match=r"spec\.deletionProtection") as caught:
        await story.delete()
    assert caught.value.reason == "DeletionProtected"
    story.wish(deletionProtection=False)
    await story.delete()
    story.settle()
    await story.delete()
    story.settle()
    assert not (await story.observe()).exists


async def test_a_last_backup_is_asked_for_by_its_days(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    story.wish(finalBackupRetentionDays=30)
    await story.running()
    asked: list[dict[str, str]] = []
    answer = story.cloud._answer

    def noting(method: str, path: str, query: dict[str, str], body: bytes) -> Any:
        if method == "DELETE":
            asked.append(query)
        return answer(method, path, query, body)

    monkeypatch.setattr(story.cloud, "_answer", noting)
    await story.delete()
    assert [(each["enableFinalBackup"], each["finalBackupTtlDays"]) for each in asked] == [("true", "30")]


async def test_an_answer_that_may_mean_absence_is_checked_against_all_instances(story: Story) -> None:
    denied = Fault(
        Trouble.REFUSE, "instances.get", 1, 403, "notAuthorized", "The client is not authorized to make this."
    )
    story.cloud.faults.faults.append(replace(denied))
    assert not (await story.observe()).exists
    await story.create()
    story.cloud.faults.faults.append(replace(denied))
    with pytest.raises(Refused, match="notAuthorized"):
        await story.observe()
    unknown = Fault(Trouble.REFUSE, "instances.get", 1, 404, "notFound", "Not Found")
    story.cloud.faults.faults.append(unknown)
    with pytest.raises(Transient):
        await story.observe()


async def test_absence_is_not_believed_where_nobody_may_look(story: Story) -> None:
    denied = Fault(Trouble.REFUSE, "instances.*", None, 403, "forbidden", "Permission denied.")
    story.cloud.faults.faults.append(denied)
    with pytest.raises(Refused):
        await story.observe()


async def test_an_instance_made_in_another_project_is_not_looked_for_here(story: Story) -> None:
    status = CloudSQLInstanceStatus(project="another-project")
    story.resource = replace(story.resource, status=status)
    with pytest.raises(Refused, match="another-project") as caught:
        await story.observe()
    assert caught.value.reason == "Elsewhere"
    assert story.calls.made == []


async def test_a_stopped_instance_is_neither_ready_nor_busy(story: Story) -> None:
    await story.running()
    story.cloud.project("project-1").instance(NAME).settings["activationPolicy"] = "NEVER"
    seen = await story.observe()
    assert (seen.ready, seen.busy, seen.failed) == (False, False, False)
    assert "stopped by its owner" in seen.message


@pytest.mark.parametrize(
    ("state", "busy", "ready", "failed"),
    [
        ("MAINTENANCE", True, False, False),
        ("ONLINE_MAINTENANCE", True, True, False),
        ("PENDING_DELETE", True, False, False),
        ("SUSPENDED", False, False, True),
        ("FAILED", False, False, True),
    ],
)
async def test_google_s_states_are_told_apart(
    story: Story, state: str, busy: bool, ready: bool, failed: bool
) -> None:
    await story.running()
    story.cloud.project("project-1").instance(NAME).resource["state"] = state
    seen = await story.observe()
    assert (seen.busy, seen.ready, seen.failed) == (busy, ready, failed)
    assert state in seen.message


async def test_the_private_address_is_given_where_a_network_is_named(story: Story) -> None:
    story.wish(ipConfiguration={"privateNetwork": "projects/p/global/networks/n"})
    seen = await story.running()
    assert seen.endpoint is not None
    assert seen.endpoint.host.startswith("10.")


async def test_throttling_is_passed_on_with_google_s_delay(story: Story) -> None:
    story.cloud.faults.faults.append(throttling("instances.get", retry_after=17))
    with pytest.raises(Throttled) as caught:
        await story.observe()
    assert caught.value.retry_after == 17


async def test_no_secret_is_in_an_error(story: Story) -> None:
    await story.create()
    story.settle()
    quoting = Fault(Trouble.REFUSE, "users.*", 1, 400, "invalid", f"Password {PASSWORD} is too weak.")
    story.cloud.faults.faults.append(replace(quoting, method="users.insert"))
    with pytest.raises(Terminal) as caught:
        await story.update()
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_sweep_finds_what_is_labelled_as_ours_on_every_page(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conductor_gcp_provisioner.admin.PAGE", 2)
    for number in range(5):
        owner = replace(OWNER, uid=f"uid-{number}")
        story.resource = replace(resource(), external_name=f"db-{number}", owner=owner)
        await story.create()
    story.resource = replace(resource(), external_name="other", owner=replace(OWNER, cluster_id="cluster-2"))
    await story.create()
    found = [each async for each in story.driver.tagged("cluster-1")]
    assert [(each.external_name, each.uid) for each in found] == [(f"db-{n}", f"uid-{n}") for n in range(5)]


async def test_a_list_that_leaves_out_a_region_is_no_list(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    warning = {"code": "REGION_UNREACHABLE", "message": "us-west2 does not answer", "region": "us-west2"}
    answer = story.cloud._answer

    def warned(*request: Any) -> Any:
        status, body, headers = answer(*request) or (500, {}, {})
        return status, {**body, "warnings": [warning]}, headers

    monkeypatch.setattr(story.cloud, "_answer", warned)
    with pytest.raises(Transient, match="us-west2 does not answer"):
        [each async for each in story.driver.tagged("cluster-1")]


@pytest.mark.parametrize(
    "rewritten",
    [
        {"name": "projects/project-1/operations/{name}"},
        {"status": None, "done": True},
        {"operationType": None, "kind": None, "user": None, "insertTime": None},
    ],
)
async def test_operations_are_followed_in_other_dialects_of_the_api(
    story: Story, monkeypatch: pytest.MonkeyPatch, rewritten: dict[str, Any]
) -> None:
    answer = story.cloud._answer

    def spoken(operation: dict[str, Any]) -> dict[str, Any]:
        written = dict(operation)
        for key, value in rewritten.items():
            if key == "done":
                written["done"] = operation["status"] == "DONE"
            elif value is None:
                written.pop(key, None)
            else:
                written[key] = value.format(name=operation["name"])
        return written

    def in_dialect(*request: Any) -> Any:
        answered = answer(*request)
        if answered is None or answered[1].get("kind") != "sql#operation":
            return answered
        return answered[0], spoken(answered[1]), answered[2]

    monkeypatch.setattr(story.cloud, "_answer", in_dialect)
    done = await story.running()
    assert (done.busy, done.ready, done.credentials_applied) == (False, True, True)
    assert story.count("instances.insert") == 1


async def test_an_instance_that_says_little_of_itself_is_understood(story: Story) -> None:
    await story.running()
    there = story.cloud.project("project-1").instance(NAME).resource
    for key in _optional(there):
        del there[key]
    there["ipAddresses"] = [{"ipAddress": "192.0.2.9"}]
    seen = await story.observe()
    assert (seen.ready, seen.busy, seen.drift) == (True, False, ())
    assert seen.endpoint is not None
    assert seen.endpoint.host == "192.0.2.9"
    assert seen.engine_version == "8.0"


def _optional(instance: dict[str, Any]) -> Iterable[str]:
    needed = {"name", "region", "state", "databaseVersion", "settings", "ipAddresses"}
    return [key for key in instance if key not in needed]


async def test_a_project_must_be_known(cloud: CloudSqlApi, google: CloudSqlClient) -> None:
    account = Account(name="ambient", calls=DirectCalls(), endpoint=google.url)
    with pytest.raises(Refused, match="CONDUCTOR_GCP_PROJECT"):
        await CloudSQLDriverFactory(GoogleSettings()).open(account)


async def test_requests_say_nothing_of_the_caller_to_an_api_that_is_not_google_s(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")
    heads: list[dict[str, Any]] = []
    call = CloudSqlApi.__call__

    def noting(self: CloudSqlApi, environ: dict[str, Any], start: Any) -> Any:
        heads.append(environ)
        return call(self, environ, start)

    monkeypatch.setattr(CloudSqlApi, "__call__", noting)
    await story.observe()
    assert heads
    assert not [each for each in heads if "HTTP_AUTHORIZATION" in each]
