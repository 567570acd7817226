"""From nothing to a database of one's own, and back, on real servers and with an administrator of few rights."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from conductor_provisioner.driver import Ownership, Releases
from conductor_provisioner.errors import Terminal
from conductor_sql_provisioner import marks
from conductor_sql_provisioner.marks import Mark
from conductor_sql_provisioner.state import DropDatabase

if TYPE_CHECKING:
    from .conftest import Stage

pytestmark = pytest.mark.integration


async def test_a_new_database_can_be_written_to_and_read_with_the_credentials_issued(stage: Stage) -> None:
    resource = await stage.settle(stage.resource())
    with stage.opened(resource) as connection:
        stage.engine.read(connection, "CREATE TABLE t (a INT)")
        stage.engine.read(connection, "INSERT INTO t VALUES (7)")
        assert stage.engine.read(connection, "SELECT a FROM t") == [(7,)]
    observed = await stage.driver.observe(resource)
    assert observed.endpoint == stage.engine.address.endpoint
    assert observed.engine_version is not None
    assert observed.details["used_storage"].nanos > 0 or stage.engine.kind == "mysql"


async def test_looking_again_changes_nothing(stage: Stage) -> None:
    resource = await stage.settle(stage.resource(connectionLimit=3))
    stage.calls.made.clear()
    before = await stage.driver.observe(resource)
    assert await stage.driver.observe(resource) == before
    assert set(stage.calls.actions) == {"Look", "LogIn"}
    assert (before.ready, before.drift, before.credentials_applied) == (True, (), True)


async def test_databases_on_one_server_cannot_be_opened_by_each_others_users(stage: Stage) -> None:
    # Names of which one is a pattern that fits the other, for a server that knows such patterns.
    suffix = secrets.token_hex(4)
    first = await stage.settle(stage.resource(databaseName=f"a_b_{suffix}", masterUsername="masteruser"))
    second = await stage.settle(stage.resource(databaseName=f"axb_{suffix}", masterUsername="masteruser"))
    assert first.credentials is not None and second.credentials is not None
    assert stage.lets_in(first) and stage.lets_in(second)
    assert not stage.lets_in(first, second.credentials)
    assert not stage.lets_in(second, first.credentials)


async def test_the_name_asked_for_is_what_users_names_begin_with(stage: Stage) -> None:
    resource = await stage.settle(stage.resource(masterUsername="wordpress"))
    assert resource.credentials is not None
    assert resource.credentials["username"].startswith("wordpress_")
    assert len(resource.credentials["username"]) <= 32


@pytest.mark.parametrize("by", ["drop", "keep", "lock"])
async def test_what_is_left_after_deletion_is_what_the_policy_says(stage: Stage, by: str) -> None:
    policy = {"drop": "Drop", "keep": "Keep", "lock": "LockUser"}[by]
    resource = await stage.settle(stage.resource(onDelete=policy))
    assert resource.credentials is not None
    user = resource.credentials["username"]
    await stage.remove(resource)
    assert (resource.external_name in stage.engine.databases()) == (by != "drop")
    assert (user in stage.engine.users()) == (by != "drop")
    assert stage.lets_in(resource) == (by == "keep")


async def test_a_connection_in_use_ends_when_its_user_is_locked(stage: Stage) -> None:
    resource = await stage.settle(stage.resource(onDelete="LockUser"))
    connection = stage.opened(resource)
    await stage.remove(resource)
    with pytest.raises(stage.engine.errors):
        stage.engine.read(connection, "SELECT 1")


async def test_a_database_is_dropped_though_an_application_is_connected(stage: Stage) -> None:
    resource = await stage.settle(stage.resource())
    connection = stage.opened(resource)
    await stage.remove(resource)
    assert resource.external_name not in stage.engine.databases()
    connection.close()


async def test_deleting_what_is_gone_is_no_error(stage: Stage) -> None:
    resource = await stage.settle(stage.resource())
    await stage.remove(resource)
    assert not (await stage.driver.observe(resource)).exists
    await stage.driver.delete(resource, await stage.driver.observe(resource))


async def test_a_database_of_somebody_else_is_left_alone(stage: Stage) -> None:
    name = f"theirs_{secrets.token_hex(4)}"
    stage.engine.make(name)
    resource = stage.resource(databaseName=name)
    observed = await stage.driver.observe(resource)
    assert (observed.exists, observed.ownership) == (True, Ownership.NOBODYS)


async def test_a_database_of_another_object_is_left_alone(stage: Stage) -> None:
    name = f"taken_{secrets.token_hex(4)}"
    first = await stage.settle(stage.resource(databaseName=name))
    second = stage.resource(databaseName=name)
    assert (await stage.driver.observe(second)).ownership is Ownership.ANOTHERS
    before = stage.engine.users()
    await stage.driver.update(second, await stage.driver.observe(second))
    assert stage.engine.users() == before
    assert stage.lets_in(first)


async def test_a_kept_database_can_be_adopted_with_its_data_and_the_old_users_stay(stage: Stage) -> None:
    first = await stage.settle(stage.resource(onDelete="Keep"))
    with stage.opened(first) as connection:
        stage.engine.read(connection, "CREATE TABLE kept (a INT)")
        stage.engine.read(connection, "INSERT INTO kept VALUES (1)")
    await stage.remove(first)
    second = stage.resource(external_name=first.external_name)
    assert (await stage.driver.observe(second)).ownership is Ownership.NOBODYS
    second = await stage.settle(second)  # as the reconciler does on the administrator's annotation
    with stage.opened(second) as connection:
        stage.engine.read(connection, "INSERT INTO kept VALUES (2)")
        assert stage.engine.read(connection, "SELECT a FROM kept ORDER BY a") == [(1,), (2,)]
    assert stage.lets_in(first)


async def test_a_database_that_somebody_dropped_is_not_made_again_but_its_users_can_be_removed(
    stage: Stage,
) -> None:
    resource = await stage.settle(stage.resource())
    assert resource.credentials is not None
    stage.engine.drop(resource.external_name)
    observed = await stage.driver.observe(resource)
    assert observed.failed and "dropped by somebody else" in observed.message
    await stage.driver.update(resource, observed)
    assert resource.external_name not in stage.engine.databases()
    await stage.remove(resource)
    assert resource.credentials["username"] not in stage.engine.users()


async def test_what_others_changed_is_named_and_changed_back(stage: Stage) -> None:
    resource = await stage.settle(stage.resource(connectionLimit=5))
    changed = replace(resource, spec=resource.spec.model_copy(update={"connection_limit": 7}))
    (drift,) = (await stage.driver.observe(changed)).drift
    assert (drift.field, drift.wanted, drift.found) == ("connectionLimit", "7", "5")
    await stage.settle(changed)
    assert (await stage.driver.observe(changed)).drift == ()


async def test_a_password_that_somebody_changed_is_set_again_and_not_replaced(stage: Stage) -> None:
    resource = await stage.settle(stage.resource())
    assert resource.credentials is not None
    stage.engine.set_password(resource.credentials["username"], "changed-behind-our-back")
    observed = await stage.driver.observe(resource)
    assert not observed.credentials_applied and not observed.ready
    again = await stage.settle(resource)
    assert again.credentials == resource.credentials
    assert stage.lets_in(resource)


async def test_the_connection_limit_holds(stage: Stage) -> None:
    resource = await stage.settle(stage.resource(connectionLimit=1))
    with stage.opened(resource):
        assert not stage.lets_in(resource)
        # Full is not locked out: nothing is repaired because of it.
        assert (await stage.driver.observe(resource)).credentials_applied


async def test_a_version_that_the_server_does_not_have_is_told_and_cannot_be_repaired(stage: Stage) -> None:
    observed = await stage.driver.observe(await _made(stage, version="5.0"))
    (drift,) = observed.drift
    assert (drift.field, drift.wanted, drift.repairable) == ("version", "5.0", False)


async def _made(stage: Stage, **spec: object) -> object:
    resource = stage.resource(**spec)
    observed = await stage.driver.create(resource)
    assert observed.credentials is not None
    return replace(resource, credentials=observed.credentials)


async def test_the_character_set_is_the_one_asked_for(stage: Stage) -> None:
    wanted = "LATIN1" if stage.engine.kind == "postgres" else "latin1"
    resource = await stage.settle(stage.resource(characterSet=wanted))
    assert (await stage.driver.observe(resource)).drift == ()
    other = replace(resource, spec=resource.spec.model_copy(update={"character_set": "utf8"}))
    (drift,) = (await stage.driver.observe(other)).drift
    assert drift.field == "characterSet" and not drift.repairable


async def test_a_character_set_that_there_is_none_of_is_for_a_person_to_change(stage: Stage) -> None:
    resource = stage.resource(characterSet="klingon")
    with pytest.raises(Terminal, match="klingon"):
        await stage.driver.create(resource)
    await stage.remove(resource)


@pytest.mark.parametrize("name", ["mysql", "postgres", "conductor_registry", "x" * 64, "", " a", "a\0b"])
async def test_names_that_no_database_of_ours_can_have_are_refused_before_any_call(
    stage: Stage, name: str
) -> None:
    resource = replace(stage.resource(), external_name=name)
    with pytest.raises(Terminal):
        await stage.driver.create(resource)
    assert stage.calls.made == []


async def test_a_database_that_outlives_its_object_is_nobodys_and_works_on(stage: Stage) -> None:
    resource = await stage.settle(stage.resource())
    assert isinstance(stage.driver, Releases)
    for _ in range(2):
        await stage.driver.release(resource, await stage.driver.observe(resource))

    assert stage.lets_in(resource)
    assert [each async for each in stage.driver.tagged("cluster-1") if each.uid == resource.owner.uid] == []
    another = stage.resource(external_name=resource.external_name)
    assert (await stage.driver.observe(another)).ownership is Ownership.NOBODYS


async def test_a_database_that_is_gone_holds_up_nobody_who_lets_it_go(stage: Stage) -> None:
    resource = await stage.settle(stage.resource())
    stage.engine.drop(resource.external_name)
    await stage.driver.release(resource, await stage.driver.observe(resource))
    await stage.remove(resource)


async def test_a_second_database_of_one_object_is_seen_by_the_sweep(stage: Stage) -> None:
    resource = await stage.settle(stage.resource())
    double = f"{resource.external_name}_2"
    stage.engine.make(double)
    try:
        stage.engine.mark(double, str(Mark.of(resource.owner, marks.Stage.MADE)))
        found = [each async for each in stage.driver.tagged("cluster-1") if each.uid == resource.owner.uid]
        assert sorted(each.external_name for each in found) == [resource.external_name, double]
    finally:
        names = stage.driver._names(replace(resource, external_name=double))
        await stage.driver._server.carry_out(DropDatabase(), names)
    await stage.remove(resource)
