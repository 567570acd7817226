"""An RDSInstance's life on the real API server, the real broker and moto's RDS."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from conductor_dev.api import SECRET
from conductor_kube.builtin import EVENTS
from conductor_model.annotations import PROVISIONER_FINALIZER
from conductor_provisioner import Transient

pytestmark = pytest.mark.integration


class LostAnswers:
    """The driver, but that the answer to every create is lost on its way."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)

    async def create(self, resource: Any) -> Any:
        await self._driver.create(resource)
        raise Transient("CreateDBInstance", resource.external_name, "ReadTimeoutError", "no answer came")


async def test_an_instance_is_made_waited_for_and_told_of(real: Any, condition_of: Any) -> None:
    real.moto.set_rds_delay(60)
    await real.start_replica()
    found = await real.apply(masterUsername="masteruser", version="8.0.35", tags={"team": "billing"})
    name = real.external_name(found)

    creating = await real.until("Creating", lambda now: now.get("status", {}).get("phase") == "Creating")
    assert condition_of(creating, "Ready")[:2] == ("False", "Creating")
    assert creating["status"]["externalName"] == name
    real.moto.set_rds_delay(0)
    ready = await real.until_ready()

    instance = (await real.instances())[name]
    secret = await real.secret()
    assert ready["status"]["phase"] == "Available"
    assert ready["status"]["endpoint"] == {
        "host": instance["Endpoint"]["Address"],
        "port": instance["Endpoint"]["Port"],
    }
    assert ready["status"]["credentials"] == {
        "secretName": "orders-credentials",
        "revision": secret["metadata"]["resourceVersion"],
    }
    assert ready["status"]["engineVersion"] == "8.0.35"
    assert ready["status"]["capacity"] == {"storage": "50Gi"}
    tags = {tag["Key"]: tag["Value"] for tag in instance["TagList"]}
    assert tags["conductor.io/concrete-uid"] == found["metadata"]["uid"]
    assert tags["team"] == "billing"


async def test_a_dynamic_resource_costs_secret_and_two_status_writes_and_then_rests(real: Any) -> None:
    real.moto.set_rds_delay(60)
    await real.start_replica()
    await real.apply()
    await real.until("Creating", lambda now: now.get("status", {}).get("phase") == "Creating")
    real.moto.set_rds_delay(0)
    ready = await real.until_ready()
    described = real.moto.calls("DescribeDBInstances").succeeded

    async def looked_at_again() -> bool:
        return bool(real.moto.calls("DescribeDBInstances").succeeded >= described + 3)

    await real.eventually("the settled instance was looked at thrice", looked_at_again)

    now = await real.find()
    assert now["metadata"]["resourceVersion"] == ready["metadata"]["resourceVersion"]
    assert len({message.resource_version for message in real.told}) <= 3, "the object, and two status writes"


async def test_a_static_resource_gets_the_finalizer(real: Any) -> None:
    await real.start_replica()
    await real.apply(finalizer=False)

    ready = await real.until_ready()

    assert ready["metadata"]["finalizers"] == [PROVISIONER_FINALIZER]


async def test_delete_leaves_nothing_but_the_final_snapshot(real: Any) -> None:
    await real.start_replica()
    found = await real.apply(rebindPolicy="Delete")
    await real.until_ready()
    real.moto.set_rds_delay(0.5)

    await real.delete()
    await real.until_gone()

    name = real.external_name(found)
    assert name not in await real.instances()
    assert await real.secret() is None
    snapshots = await asyncio.to_thread(real.moto.rds().describe_db_snapshots, DBInstanceIdentifier=name)
    assert [each["DBSnapshotIdentifier"] for each in snapshots["DBSnapshots"]] == [f"{name}-final"]


async def test_retain_keeps_the_instance_and_its_password(real: Any) -> None:
    await real.start_replica()
    found = await real.apply(rebindPolicy="Retain")
    await real.until_ready()

    await real.delete()
    await real.until_gone()

    assert real.external_name(found) in await real.instances()
    assert await real.secret() is not None


async def test_somebody_elses_instance_under_our_name_is_not_touched(real: Any, condition_of: Any) -> None:
    deleted = real.moto.calls("DeleteDBInstance")
    found = await real.apply(rebindPolicy="Delete", multizone=True)
    name = real.external_name(found)
    await asyncio.to_thread(
        real.moto.rds().create_db_instance,
        DBInstanceIdentifier=name,
        Engine="mysql",
        DBInstanceClass="db.t3.small",
        MasterUsername="theirs",
        MasterUserPassword="their-password",
        AllocatedStorage=20,
    )
    await real.start_replica()

    told = await real.until_synced("NotOwned")
    assert told["status"]["phase"] == "Failed"
    assert condition_of(told, "Ready")[0] == "False"
    await real.delete()
    await real.until_gone()

    instance = (await real.instances())[name]
    assert (instance["DBInstanceClass"], instance["MultiAZ"]) == ("db.t3.small", False)
    assert real.moto.calls("DeleteDBInstance") == deleted


async def test_a_lost_answer_to_a_create_leads_to_one_instance(real: Any) -> None:
    before = real.moto.calls("CreateDBInstance")
    await real.start_replica(LostAnswers(real.driver))
    await real.apply()

    await real.until_ready()

    after = real.moto.calls("CreateDBInstance")
    assert (after.succeeded - before.succeeded, after.refused - before.refused) == (1, 0)
    assert len(await real.instances()) == 1


async def test_a_killed_replica_is_succeeded_and_one_instance_exists(real: Any) -> None:
    before = real.moto.calls("CreateDBInstance").succeeded
    reached = asyncio.Event()

    class Stuck(LostAnswers):
        async def create(self, resource: Any) -> Any:
            await self._driver.create(resource)
            reached.set()
            await asyncio.Event().wait()

    replica = await real.start_replica(Stuck(real.driver))
    await real.apply()
    await asyncio.wait_for(reached.wait(), 30)
    replica.cancel()
    await asyncio.wait({replica})
    await real.start_replica()

    await real.until_ready()

    assert real.moto.calls("CreateDBInstance").succeeded - before == 1


async def test_a_create_that_outlives_its_replica_and_its_object_is_taken_along(real: Any) -> None:
    """Held up between the process and AWS, it is let through when the object would be gone already."""
    sent = asyncio.get_running_loop().create_future()

    class HeldUp(LostAnswers):
        async def create(self, resource: Any) -> Any:
            sent.set_result(resource)
            await asyncio.Event().wait()

    real.settle_deleted = 3600
    replica = await real.start_replica(HeldUp(real.driver))
    await real.apply(rebindPolicy="Delete", skipFinalSnapshot=True)
    held_up = await asyncio.wait_for(sent, 30)
    replica.cancel()
    await asyncio.wait({replica})
    await real.delete()
    replica = await real.start_replica()
    deleted = real.moto.calls("DeleteDBInstance").succeeded

    await real.until_synced("WaitingForCalls")
    await real.driver.create(held_up)

    async def taken_along() -> bool:
        return bool(real.moto.calls("DeleteDBInstance").succeeded == deleted + 1)

    await real.eventually("the late instance is deleted", taken_along)
    replica.cancel()
    await asyncio.wait({replica})
    real.settle_deleted = 0
    await real.start_replica()
    await real.until_gone()

    assert await real.instances() == {}
    assert await real.secret() is None


async def test_two_replicas_with_the_same_message_create_one(real: Any) -> None:
    before = real.moto.calls("CreateDBInstance").succeeded
    await asyncio.gather(real.start_replica(), real.start_replica())
    await real.apply()

    await real.until_ready()

    assert real.moto.calls("CreateDBInstance").succeeded - before == 1


async def test_the_password_is_in_the_cluster_before_the_create(real: Any) -> None:
    there: list[Any] = []

    class Asking(LostAnswers):
        async def create(self, resource: Any) -> Any:
            there.append((await real.find(), await real.password() == resource.credentials["password"]))
            return await self._driver.create(resource)

    await real.start_replica(Asking(real.driver))
    await real.apply(finalizer=False)
    await real.until_ready()

    ((found, same),) = there
    assert found["metadata"]["finalizers"] == [PROVISIONER_FINALIZER]
    assert same


async def test_somebody_elses_secret_is_neither_used_nor_deleted(real: Any) -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "orders-credentials"},
        "stringData": {"username": "theirs", "password": "their-password"},
    }
    await asyncio.to_thread(real.api.create, SECRET, real.namespace, theirs)
    await real.start_replica()
    await real.apply(rebindPolicy="Delete")

    await real.until_synced("CredentialsConflict")
    assert await real.instances() == {}
    await real.delete()
    await real.until_gone()

    assert await real.password() == "their-password"


async def test_a_rotated_secret_reaches_the_instance(real: Any) -> None:
    await real.start_replica()
    await real.apply()
    await real.until_ready()
    before = real.moto.calls("ModifyDBInstance").succeeded

    rotated = await asyncio.to_thread(
        real.api.merge_patch,
        SECRET,
        real.namespace,
        "orders-credentials",
        {"stringData": {"password": "rotated-password"}},
    )

    revision = rotated["metadata"]["resourceVersion"]
    await real.until(
        "the revision is the new one", lambda now: now["status"]["credentials"]["revision"] == revision
    )
    assert real.moto.calls("ModifyDBInstance").succeeded - before == 1


async def test_a_changed_spec_is_applied_once_and_told(real: Any) -> None:
    await real.start_replica()
    found = await real.apply()
    await real.until_ready()
    before = real.moto.calls("ModifyDBInstance").succeeded
    real.moto.set_rds_delay(60)

    await real.patch({"spec": {"allocatedStorage": 80, "multizone": True}})
    await real.until("modifying", lambda now: now["status"].get("instanceStatus") == "modifying")
    real.moto.set_rds_delay(0)
    await real.until("80Gi", lambda now: now["status"]["capacity"] == {"storage": "80Gi"})

    assert (await real.instances())[real.external_name(found)]["MultiAZ"] is True
    assert real.moto.calls("ModifyDBInstance").succeeded - before == 1


async def test_what_somebody_changes_in_the_cloud_is_changed_back_and_told(real: Any) -> None:
    await real.start_replica()
    name = real.external_name(await real.apply())
    await real.until_ready()
    change = {"MultiAZ": True, "ApplyImmediately": True}
    await asyncio.to_thread(real.moto.rds().modify_db_instance, DBInstanceIdentifier=name, **change)

    async def told() -> bool:
        events = await asyncio.to_thread(real.api.list, EVENTS, real.namespace)
        return any(each["reason"] == "DriftRepaired" and "multizone" in each["note"] for each in events)

    async def changed_back() -> bool:
        return (await real.instances())[name]["MultiAZ"] is False

    await real.eventually("the instance is in one zone again", changed_back)
    await real.eventually("an event says so", told)


async def test_a_message_that_comes_after_the_deletion_makes_nothing(real: Any) -> None:
    replica = await real.start_replica()
    await real.apply(rebindPolicy="Delete")
    await real.until_ready()
    await real.delete()
    await real.until_gone()
    replica.cancel()
    await asyncio.wait({replica})
    created = real.moto.calls("CreateDBInstance").succeeded

    for message in list(real.told):
        await real.handle(message)

    assert await real.instances() == {}
    assert await real.secret() is None
    assert real.moto.calls("CreateDBInstance").succeeded == created


async def test_a_stale_message_makes_nothing_for_a_new_object_of_that_name(real: Any) -> None:
    replica = await real.start_replica()
    first = await real.apply()
    await real.until_ready()
    stale = list(real.told)
    await real.delete()
    await real.until_gone()
    replica.cancel()
    await asyncio.wait({replica})
    await real.apply()
    created = real.moto.calls("CreateDBInstance").succeeded

    for message in stale:
        await real.handle(message)

    assert set(await real.instances()) == {real.external_name(first)}
    assert real.moto.calls("CreateDBInstance").succeeded == created


async def test_trouble_is_an_event_once(real: Any) -> None:
    await real.start_replica()
    found = await real.apply()
    await real.until_ready()
    name = real.external_name(found)
    await asyncio.to_thread(
        real.moto.rds().delete_db_instance, DBInstanceIdentifier=name, SkipFinalSnapshot=True
    )

    await real.until_synced("ExternalResourceMissing")

    async def warnings() -> list[Any]:
        events = await asyncio.to_thread(real.api.list, EVENTS, real.namespace)
        return sorted(each["reason"] for each in events if each["type"] == "Warning")

    async def both() -> bool:
        return len(await warnings()) >= 2

    await real.eventually("both events", both)
    assert await warnings() == ["ExternalResourceMissing", "Missing"]
    assert await real.instances() == {}, "an empty database is no replacement"


async def test_the_password_is_nowhere_but_in_its_secret(real: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("conductor_dev").setLevel(logging.INFO)
    await real.start_replica()
    await real.apply()
    await real.until_ready()
    password = await real.password()

    events = await asyncio.to_thread(real.api.list, EVENTS, real.namespace)

    assert password not in caplog.text
    assert password not in str(await real.find())
    assert password not in str(events)
    assert all(password.encode() not in message.data for message in real.told)


async def test_a_namespace_without_rights_is_told_and_holds_no_deletion_up(
    real: Any, condition_of: Any
) -> None:
    await real.take_rights_on_secrets()
    await real.apply(rebindPolicy="Delete")
    await real.start_replica()

    told = await real.until_synced("Forbidden")
    assert f"secrets {real.namespace}" in condition_of(told, "Synced")[2]
    assert condition_of(told, "Ready")[0] == "False"
    await real.delete()
    await real.until_gone()

    assert await real.instances() == {}
