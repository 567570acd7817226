"""The connection objects of a claim, on the real API server with the service's own rights."""

from __future__ import annotations

import asyncio
import ipaddress

import pytest

from conductor_bus import Done, RequeueAfter, Work
from conductor_dev.api import CONFIG_MAP, SECRET, SERVICE
from conductor_kube.builtin import ENDPOINT_SLICES, EVENTS
from conductor_model.kinds import MYSQL_INSTANCE, RDS_INSTANCE
from conductor_model.refs import ObjectKey

pytestmark = pytest.mark.integration


async def test_a_bound_claim_gets_secret_config_map_and_service(world, make_database):
    database = make_database()
    claim = world.bound_claim(database)

    result = await world.handle()

    assert result == RequeueAfter(world.settings.resync)
    secret = world.secret()
    assert secret["password"] == database.password
    assert (secret["type"], secret["provider"], secret["host"]) == ("mysql", "aws", database.host)
    assert secret["uri"].endswith("@rds-1.example.com:3306/mysql")
    assert world.api.get(SECRET, world.namespace, "orders")["type"] == "servicebinding.io/mysql"
    assert world.config_map() == {
        key: value for key, value in secret.items() if key not in ("password", "uri")
    }
    assert world.service()["spec"]["externalName"] == database.host
    for type in (SECRET, CONFIG_MAP, SERVICE):
        (owner,) = world.api.get(type, world.namespace, "orders")["metadata"]["ownerReferences"]
        assert owner["uid"] == claim["metadata"]["uid"]
        assert owner["controller"] is True


async def test_the_claim_says_that_it_is_ready_and_where_its_secret_is(world, make_database):
    claim = world.bound_claim(make_database())
    await world.handle()
    ready = world.ready()
    assert (ready["status"], ready["reason"]) == ("True", "Available")
    assert ready["observedGeneration"] == claim["metadata"]["generation"]
    assert world.claim()["status"]["binding"] == {"name": "orders"}


async def test_the_schedulers_part_of_the_status_is_left_alone(world, make_database):
    world.bound_claim(make_database())
    before = world.claim()["status"]
    await world.handle()
    after = world.claim()["status"]
    assert {key: after[key] for key in before} == before


async def test_a_claim_costs_four_writes_and_its_echo_none(world, make_database):
    world.bound_claim(make_database())
    before = world.versions()
    await world.handle()
    written = world.versions()
    assert len(written.items() - before.items()) == 4

    await world.handle()
    world.restart()
    await world.handle()

    assert world.versions() == written


async def test_the_echo_of_its_own_write_costs_the_service_no_request(world, make_database):
    world.bound_claim(make_database())
    world.handler = world.make_handler(world.client)
    await world.handle()
    await world.client.close()
    assert await world.handle() == RequeueAfter(world.settings.resync)


async def test_a_second_handling_that_has_not_seen_the_first_writes_nothing(world, make_database):
    world.bound_claim(make_database())
    await world.handle()
    written = world.versions()
    await world.handle_untold()
    assert world.versions() == written


@pytest.mark.parametrize("address", ["10.1.2.3", "2001:db8::7"])
async def test_an_address_gets_a_headless_service_with_an_endpoint_slice(world, make_database, address):
    world.bound_claim(make_database(host=address))
    await world.handle()
    assert world.service()["spec"]["clusterIP"] == "None"
    version = ipaddress.ip_address(address).version
    endpoints = world.api.get(ENDPOINT_SLICES, world.namespace, f"orders-ipv{version}")
    assert endpoints["endpoints"][0]["addresses"] == [address]
    assert endpoints["metadata"]["labels"]["kubernetes.io/service-name"] == "orders"

    written = world.versions()
    world.restart()
    await world.handle()
    assert world.versions() == written


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("old.example.com", "new.example.com"),
        ("old.example.com", "10.1.2.3"),
        ("10.1.2.3", "10.1.2.4"),
        ("10.1.2.3", "2001:db8::7"),
        ("10.1.2.3", "new.example.com"),
    ],
)
async def test_a_new_endpoint_reaches_all_objects(world, make_database, before, after):
    database = make_database(host=before)
    world.bound_claim(database)
    await world.handle()

    database.host = after
    world.write_database_status(database)
    await world.handle()

    assert world.secret()["host"] == after
    assert world.config_map()["host"] == after
    slices = {name for kind, name in world.connection_objects() if kind == "EndpointSlice"}
    if after.endswith(".com"):
        assert world.service()["spec"]["externalName"] == after
        assert "clusterIP" not in world.service()["spec"]
        assert slices == set()
    else:
        version = ipaddress.ip_address(after).version
        assert "externalName" not in world.service()["spec"]
        assert slices == {f"orders-ipv{version}"}
        (name,) = slices
        found = world.api.get(ENDPOINT_SLICES, world.namespace, name)
        assert found["endpoints"][0]["addresses"] == [after]
    assert world.ready()["status"] == "True"


async def test_a_new_password_reaches_the_secret(world, make_database):
    database = make_database()
    world.bound_claim(database)
    await world.handle()

    database.password = "rotated"
    world.write_credentials(database)
    world.write_database_status(database)
    await world.handle()

    assert world.secret()["password"] == "rotated"
    assert ":rotated@" in world.secret()["uri"]


async def test_a_secret_that_was_deleted_by_hand_comes_back_with_the_next_look(world, make_database):
    world.bound_claim(make_database())
    await world.handle()
    world.api.delete(SECRET, world.namespace, "orders")
    world.restart()
    await world.handle()
    assert world.secret()["type"] == "mysql"


async def test_a_person_can_ask_for_a_look_at_once(world, make_database):
    world.bound_claim(make_database())
    await world.handle()
    world.api.delete(SECRET, world.namespace, "orders")
    asked = {"metadata": {"annotations": {"conductor.io/reconcile-requested-at": "2026-11-21T12:00:00Z"}}}
    world.api.merge_patch(MYSQL_INSTANCE, world.namespace, "orders", asked)
    await world.handle()
    assert world.secret()["type"] == "mysql"


async def test_a_secret_that_was_changed_by_hand_is_put_right(world, make_database):
    database = make_database()
    world.bound_claim(database)
    await world.handle()
    world.api.merge_patch(SECRET, world.namespace, "orders", {"stringData": {"host": "evil", "extra": "x"}})
    world.restart()
    await world.handle()
    assert world.secret()["host"] == database.host
    assert "extra" not in world.secret()


async def test_renamed_connection_objects_replace_the_old_ones(world, make_database):
    world.bound_claim(make_database(host="10.1.2.3"))
    await world.handle()
    names = {"secretName": "s", "configMapName": "c", "serviceName": "v"}
    world.api.merge_patch(MYSQL_INSTANCE, world.namespace, "orders", {"spec": {"connection": names}})

    await world.handle()

    assert world.connection_objects() == {
        ("Secret", "s"),
        ("ConfigMap", "c"),
        ("Service", "v"),
        ("EndpointSlice", "v-ipv4"),
    }
    assert world.claim()["status"]["binding"] == {"name": "s"}


async def test_a_renamed_service_alone_is_replaced_too(world, make_database):
    world.bound_claim(make_database())
    await world.handle()
    world.api.merge_patch(
        MYSQL_INSTANCE, world.namespace, "orders", {"spec": {"connection": {"serviceName": "v"}}}
    )
    await world.handle()
    assert world.connection_objects() == {("Secret", "orders"), ("ConfigMap", "orders"), ("Service", "v")}


async def test_renaming_never_removes_somebody_elses_object(world, make_database):
    world.bound_claim(make_database())
    await world.handle()
    world.api.delete(CONFIG_MAP, world.namespace, "orders")
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "orders"}, "data": {"a": "b"}}
    world.api.create(CONFIG_MAP, world.namespace, theirs)
    world.api.merge_patch(
        MYSQL_INSTANCE, world.namespace, "orders", {"spec": {"connection": {"configMapName": "c"}}}
    )
    await world.handle()
    assert world.config_map("orders") == {"a": "b"}
    assert world.ready()["status"] == "True"


async def test_somebody_elses_objects_are_left_untouched_and_named(world, make_database):
    world.bound_claim(make_database())
    for type, content in (
        (SECRET, {"stringData": {"password": "theirs"}}),
        (CONFIG_MAP, {"data": {"a": "b"}}),
        (SERVICE, {"spec": {"ports": [{"port": 80}]}}),
    ):
        body = {"apiVersion": "v1", "kind": type.gvk.kind, "metadata": {"name": "orders"}, **content}
        world.api.create(type, world.namespace, body)
    before = {key: version for key, version in world.versions().items() if key[0] != "MySQLInstance"}

    result = await world.handle()

    after = {key: version for key, version in world.versions().items() if key[0] != "MySQLInstance"}
    assert after == before
    assert result == RequeueAfter(world.settings.conflict_poll)
    ready = world.ready()
    assert (ready["status"], ready["reason"]) == ("False", "NameConflict")
    for kind in ("Secret", "ConfigMap", "Service"):
        assert f'{kind} "orders"' in ready["message"]
    assert "spec.connection" in ready["message"]
    assert "binding" not in world.claim()["status"]


async def test_a_name_conflict_is_an_event_once(world, make_database):
    world.bound_claim(make_database())
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "orders"}}
    world.api.create(SECRET, world.namespace, body)
    for _ in range(3):
        world.restart()
        await world.handle()
    await world.events.close()
    (event,) = world.api.list(EVENTS, world.namespace)
    assert (event["type"], event["reason"], event["regarding"]["name"]) == (
        "Warning",
        "NameConflict",
        "orders",
    )


async def test_a_name_that_becomes_free_is_taken_at_the_next_look(world, make_database):
    world.bound_claim(make_database())
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "orders"}}
    world.api.create(SECRET, world.namespace, body)
    await world.handle()
    world.api.delete(SECRET, world.namespace, "orders")
    await world.handle()
    assert world.ready()["status"] == "True"


async def test_another_claims_secret_is_somebody_elses(world, make_database):
    world.bound_claim(make_database(name="rds-a"), "first", connection={"secretName": "shared"})
    world.bound_claim(make_database(name="rds-b"), "second", connection={"secretName": "shared"})
    await world.handle("first")
    await world.handle("second")
    assert world.ready("first")["status"] == "True"
    assert 'Secret "shared" (of MySQLInstance "first")' in world.ready("second")["message"]


async def test_a_deleted_claims_objects_are_collected(world, make_database):
    world.bound_claim(make_database(host="10.1.2.3"))
    await world.handle()
    world.api.delete(MYSQL_INSTANCE, world.namespace, "orders")
    for type, name in (
        (SECRET, "orders"),
        (CONFIG_MAP, "orders"),
        (SERVICE, "orders"),
        (ENDPOINT_SLICES, "orders-ipv4"),
    ):
        await asyncio.to_thread(world.api.wait_gone, type, world.namespace, name, timeout=90)


async def test_a_new_claim_of_the_same_name_does_not_inherit_the_old_secret(world, make_database):
    old, new = make_database(name="rds-old"), make_database(name="rds-new")
    world.bound_claim(old)
    await world.handle()
    held = {"metadata": {"finalizers": ["test.conductor.io/hold"]}}
    world.api.merge_patch(SECRET, world.namespace, "orders", held)
    world.api.delete(MYSQL_INSTANCE, world.namespace, "orders")
    world.bound_claim(new)

    assert await world.handle() == RequeueAfter(world.settings.collection_poll)
    assert world.ready().get("status") != "True"
    assert world.secret()["password"] == old.password

    world.api.merge_patch(SECRET, world.namespace, "orders", {"metadata": {"finalizers": None}})
    for type in (SECRET, CONFIG_MAP, SERVICE):
        await asyncio.to_thread(_wait_for_successor, world, type)
        await world.handle()
    assert world.ready()["status"] == "True"
    assert world.secret()["password"] == new.password


async def test_a_new_claim_of_the_same_name_need_not_wait_for_the_garbage_collector(world, make_database):
    old, new = make_database(name="rds-old"), make_database(name="rds-new")
    world.bound_claim(old)
    await world.handle()
    world.api.delete(MYSQL_INSTANCE, world.namespace, "orders")
    world.bound_claim(new)
    await world.handle()
    assert world.ready()["status"] == "True"
    assert world.secret()["password"] == new.password


async def test_a_late_message_of_the_earlier_claim_takes_nothing_from_its_successor(world, make_database):
    old, new = make_database(name="rds-old"), make_database(name="rds-new")
    world.bound_claim(old)
    await world.handle()
    key = ObjectKey(MYSQL_INSTANCE.group_kind, world.namespace, "orders")
    late = await world.bus.latest(key)
    world.api.delete(MYSQL_INSTANCE, world.namespace, "orders")
    world.bound_claim(new)
    await world.handle()
    before = world.versions()
    world.restart()
    await world.handler(Work(key, late, late))
    assert world.versions() == before
    assert world.secret()["password"] == new.password


def _wait_for_successor(world, type):
    """Until the earlier claim's object is collected."""
    uid = world.claim()["metadata"]["uid"]
    deadline = 90.0
    if world.api.find(type, world.namespace, "orders") is None:
        return
    labels = world.api.get(type, world.namespace, "orders")["metadata"]["labels"]
    if labels["conductor.io/claim-uid"] != uid:
        world.api.wait_gone(type, world.namespace, "orders", timeout=deadline)


async def test_a_forged_binding_yields_nothing(world, make_database):
    victim = make_database(name="rds-victim")
    world.bound_claim(victim, "honest")
    forger = world.create_claim("forger")
    world.mirror_binding(forger, world.api.get(RDS_INSTANCE, world.namespace, "rds-victim"))

    await world.handle("forger")

    assert world.connection_objects() == set()
    assert world.ready("forger") == {}


async def test_a_released_claim_gets_nothing(world, make_database):
    claim = world.bound_claim(make_database())
    released = {**world.reference(claim), "releasedAt": "2026-11-21T12:00:00Z"}
    world.api.merge_patch(RDS_INSTANCE, world.namespace, "rds-1", {"spec": {"claimRefs": [released]}})
    await world.handle()
    assert world.connection_objects() == set()


async def test_a_resource_that_is_unknown_to_the_bus_is_waited_for(world, make_database):
    world.bound_claim(make_database())
    await world.tell(MYSQL_INSTANCE, "orders")
    assert await world.handle_untold() == RequeueAfter(world.settings.unconfirmed)
    assert world.connection_objects() == set()


async def test_a_bus_that_forgot_the_resource_takes_nothing_from_a_ready_claim(world, make_database):
    world.bound_claim(make_database())
    await world.handle()
    world.restart()
    await world.bus.publisher("/test").tombstone(
        ObjectKey(RDS_INSTANCE.group_kind, world.namespace, "rds-1"),
        world.api.get(RDS_INSTANCE, world.namespace, "rds-1")["metadata"]["uid"],
        "999999999",
        api_version=RDS_INSTANCE.gvk.api_version,
        expected_sequence=None,
    )
    await world.tell(MYSQL_INSTANCE, "orders")
    await world.handle_untold()
    assert world.ready()["status"] == "True"


async def test_a_resource_that_the_api_server_does_not_have_is_told(world, make_database):
    world.bound_claim(make_database())
    await world.handle()
    world.api.delete(RDS_INSTANCE, world.namespace, "rds-1")
    await world.bus.publisher("/test").tombstone(
        ObjectKey(RDS_INSTANCE.group_kind, world.namespace, "rds-1"),
        "whatever",
        "999999999",
        api_version=RDS_INSTANCE.gvk.api_version,
        expected_sequence=None,
    )
    world.restart()
    await world.tell(MYSQL_INSTANCE, "orders")
    assert await world.handle_untold() == Done()
    assert (world.ready()["status"], world.ready()["reason"]) == ("False", "NotBound")
    assert "binding" not in world.claim()["status"]
    assert ("Secret", "orders") in world.connection_objects()


async def test_a_resource_that_is_not_ready_is_told_and_told_again_when_it_is(world, make_database):
    database = make_database()
    world.bound_claim(database)
    world.write_database_status(database, ready="False", reason="Creating")
    await world.handle()
    assert world.ready()["reason"] == "WaitingForResource"
    assert world.connection_objects() == set()

    world.write_database_status(database)
    await world.handle()
    assert world.ready()["status"] == "True"

    world.write_database_status(database, ready="False", reason="Rebooting")
    await world.handle()
    ready = world.ready()
    assert (ready["status"], ready["reason"]) == ("False", "ResourceUnavailable")
    assert "Rebooting" in ready["message"]
    assert world.claim()["status"]["binding"] == {"name": "orders"}


async def test_missing_credentials_are_told_by_name(world, make_database):
    world.bound_claim(make_database())
    world.api.delete(SECRET, world.namespace, "rds-1-credentials")
    assert await world.handle() == RequeueAfter(world.settings.unconfirmed)
    assert world.ready()["reason"] == "CredentialsMissing"
    assert "rds-1-credentials" in world.ready()["message"]


async def test_a_quota_that_stands_in_the_way_is_told(world, make_database):
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": world.namespace},
        "spec": {"hard": {"count/configmaps": "0"}},
    }
    world.api.apply(quota)
    world.bound_claim(make_database())
    await world.handle()
    ready = world.ready()
    assert (ready["status"], ready["reason"]) == ("False", "WriteRefused")
    assert 'ConfigMap "orders"' in ready["message"]


async def test_a_claim_that_vanished_meanwhile_is_no_error(world, make_database):
    world.bound_claim(make_database())
    for type, name in ((RDS_INSTANCE, "rds-1"), (MYSQL_INSTANCE, "orders")):
        await world.tell(type, name)
    world.api.delete(MYSQL_INSTANCE, world.namespace, "orders")
    assert await world.handle_untold() == Done()


async def test_no_password_is_logged(world, make_database, caplog):
    caplog.set_level("DEBUG")
    database = make_database()
    world.bound_claim(database)
    await world.handle()
    database.password = "rotated-pass"
    world.write_credentials(database)
    world.write_database_status(database)
    await world.handle()
    assert caplog.text
    assert "p/w" not in caplog.text
    assert "p%2Fw" not in caplog.text
    assert "rotated-pass" not in caplog.text


async def test_time_to_ready_is_measured_once(world, make_database):
    world.bound_claim(make_database())
    await world.handle()
    await world.handle()
    count = world.registry.get_sample_value(
        "conductor_claim_time_to_ready_seconds_count", {"kind": "MySQLInstance"}
    )
    assert count == 1
