"""The reconciler from an object's first message to its last, against a cluster and a cloud in memory."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from conductor_bus import Done, MalformedMessage, RequeueAfter, Wake, Work
from conductor_kube import Forbidden
from conductor_model.annotations import IN_USE_FINALIZER, PROVISIONER_FINALIZER
from conductor_provisioner.errors import NotLetIn, Refused, Terminal, Throttled, Transient

SETTLE_DELETED = timedelta(seconds=60)
LONGEST_CALL = timedelta(seconds=30)
CLAIM = {
    "apiVersion": "storage.conductor.io/v1alpha1",
    "kind": "MySQLInstance",
    "namespace": "team-a",
    "name": "db",
    "uid": "claim-uid",
}


async def test_a_dynamic_resource_costs_two_status_writes(world: Any, build: Any) -> None:
    world.cluster.put(build(claimRefs=[CLAIM]))

    assert await world.told() == RequeueAfter(10)
    assert world.object.status.phase == "Creating"
    world.cloud.progress()
    await world.woken()

    assert world.object.status.phase == "Bound"
    assert world.condition("Ready")[:2] == ("True", "Available")
    assert world.object.status.endpoint is not None
    assert world.cluster.status_writes == 2


async def test_a_cloud_that_answers_at_once_costs_one_status_write(world: Any, build: Any) -> None:
    world.cloud.answers_at_once = True
    world.cluster.put(build(claimRefs=[CLAIM]))

    assert await world.told() == RequeueAfter(600)

    assert world.object.status.phase == "Bound"
    assert world.cluster.status_writes == 1


async def test_the_message_of_our_own_write_costs_no_call(world: Any, build: Any) -> None:
    world.cluster.put(build())
    await world.told()
    calls = list(world.cloud.made)

    assert await world.told() == RequeueAfter(10)

    assert world.cloud.made == calls


async def test_another_replica_that_sees_our_write_comes_to_the_same(world: Any, build: Any) -> None:
    world.cluster.put(build())
    await world.told()
    world.restart()

    await world.told()

    assert world.cloud.creates == [world.object.status.external_name]
    assert world.cluster.status_writes == 1


async def test_credentials_are_in_the_cluster_before_the_create(world: Any, build: Any) -> None:
    world.cluster.put(build())
    world.cloud.fails_next["create"] = Transient("create", "x", "ServiceUnavailable", "later")

    with pytest.raises(Transient):
        await world.told()

    assert world.secrets["orders-credentials"].made_for == world.object.uid
    await world.told()
    assert list(world.cloud.passwords.values()) == [world.secrets["orders-credentials"].data["password"]]


async def test_a_static_resource_gets_the_finalizer_before_anything_is_made(world: Any, build: Any) -> None:
    world.cluster.put(build(finalizer=False))
    world.cloud.fails_next["observe"] = Transient("observe", "x", "ServiceUnavailable", "later")

    with pytest.raises(Transient):
        await world.told()

    assert PROVISIONER_FINALIZER in world.object.metadata.finalizers


async def test_a_create_whose_answer_was_lost_is_found_again_and_its_password_made_sure(
    world: Any, build: Any
) -> None:
    world.cluster.put(build())
    world.cloud.loses_next.add("create")
    with pytest.raises(Transient):
        await world.told()
    world.rotate("rotated-meanwhile")

    await world.comes_to_rest()

    assert len(world.cloud.creates) == 1
    assert list(world.cloud.passwords.values()) == ["rotated-meanwhile"]
    assert world.condition("Ready")[0] == "True"


async def test_two_handlings_of_the_same_message_create_one(world: Any, build: Any) -> None:
    world.cluster.put(build())
    message = world.message()

    await world.told(message)
    world.restart()
    await world.told(message)

    assert len(world.cloud.creates) == 1


async def test_a_message_of_an_object_that_is_gone_makes_nothing(world: Any, build: Any) -> None:
    world.cluster.put(build())
    stale = world.message()
    world.cluster.objects.clear()

    assert await world.told(stale) == Done()

    assert world.cloud.made == []
    assert world.secrets == {}


async def test_a_message_of_an_earlier_object_of_that_name_makes_nothing(world: Any, build: Any) -> None:
    earlier = build()
    world.cluster.put(
        earlier.model_copy(update={"metadata": earlier.metadata.model_copy(update={"uid": "x"})})
    )

    await world.told(world.message(earlier))

    assert world.cloud.made == []
    assert world.secrets == {}


async def test_neither_a_tombstone_nor_silence_deletes_anything(world: Any, build: Any) -> None:
    world.cluster.put(build(rebindPolicy="Delete"))
    await world.comes_to_rest()
    calls = list(world.cloud.made)
    tombstone = replace(world.message(), deleted=True)

    await world.told(tombstone)
    await world.reconciler.handle(Work(tombstone.key, None, Wake(tombstone.key, 1, 1, None)))

    assert world.cloud.made == calls


async def test_a_deletion_seen_in_a_message_is_not_believed_when_the_object_is_another(
    world: Any, build: Any
) -> None:
    world.cluster.put(build(rebindPolicy="Delete"))
    await world.comes_to_rest()
    alive = world.object
    world.delete()
    deletion = world.message()
    world.cluster.put(alive)

    await world.told(deletion)

    assert "delete" not in world.cloud.made


async def test_what_a_slow_look_has_outdated_is_confirmed_again_before_a_create(
    world: Any, build: Any
) -> None:
    """The finalizer's write confirms the object; the look that follows takes longer than that is good for."""
    world.cluster.put(build(finalizer=False))
    observe = world.driver.observe

    async def slowly(resource: Any) -> Any:
        world.time += LONGEST_CALL
        return await observe(resource)

    world.driver.observe = slowly
    confirmed: list[float] = []
    confirm = world.cluster.confirm

    async def noting(box: Any) -> None:
        confirmed.append(world.seconds())
        await confirm(box)

    world.cluster.confirm = noting
    await world.told()

    assert "create" in world.cloud.made
    assert confirmed == [LONGEST_CALL.total_seconds()]


async def test_an_account_that_lets_nobody_in_is_looked_at_again_soon_and_told_once(
    world: Any, build: Any
) -> None:
    world.cluster.put(build())
    await world.comes_to_rest()
    versions = set()
    for _ in range(3):
        world.cloud.fails_next["observe"] = NotLetIn("observe", "box", "28P01", "wrong password")
        assert await world.woken() == RequeueAfter(30)
        versions.add(world.object.metadata.resource_version)
    assert world.condition("Synced")[:2] == ("False", "RefusedByCloud")
    assert len(versions) == 1
    await world.woken()
    assert world.condition("Synced")[0] == "True"


async def test_a_deletion_waits_longer_where_calls_take_longer(world: Any, build: Any) -> None:
    world.driver.call_seconds = 300.0
    world.cluster.put(build(rebindPolicy="Delete"))
    await world.told()
    world.cloud.things.clear()
    world.delete()
    await world.told()

    world.time += SETTLE_DELETED
    await world.woken()
    assert not world.gone

    world.time += timedelta(seconds=300)
    await world.woken()
    assert world.gone


async def test_delete_takes_instance_then_secret_then_finalizer(world: Any, build: Any) -> None:
    world.cluster.put(build(rebindPolicy="Delete"))
    await world.comes_to_rest()
    world.time += SETTLE_DELETED
    world.delete()

    assert await world.told() == RequeueAfter(10)
    assert world.object.status.phase == "Deleting"
    assert world.secrets
    world.cloud.progress()
    assert await world.woken() == Done()

    assert world.cloud.things == {}
    assert world.secrets == {}
    assert world.gone


async def test_retain_lets_the_object_go_and_keeps_instance_and_secret(world: Any, build: Any) -> None:
    world.cluster.put(build())
    await world.comes_to_rest()
    world.delete()

    assert await world.told() == Done()

    assert world.gone
    assert len(world.cloud.things) == 1
    assert list(world.secrets) == ["orders-credentials"]


async def test_what_was_retained_is_nobodys_and_can_be_given_to_another_object(
    world: Any, build: Any
) -> None:
    world.cluster.put(build())
    await world.comes_to_rest()
    name = world.object.status.external_name
    world.delete()
    await world.comes_to_rest()
    assert world.cloud.things[name].tags == {}

    heir = build(
        annotations={"conductor.io/external-name": name}, credentialsSecretRef={"name": "orders-credentials"}
    )
    world.cluster.put(heir, uid="another-uid")
    await world.comes_to_rest()

    assert world.condition("Ready")[0] == "True"
    assert world.object.status.external_name == name
    assert world.cloud.creates == [name]
    assert world.cloud.things[name].tags["conductor.io/concrete-uid"] == "another-uid"


@pytest.mark.parametrize("policy", ["Delete", "Retain"])
async def test_what_is_left_of_a_resource_that_vanished_goes_with_its_object(
    world: Any, build: Any, policy: str
) -> None:
    world.cluster.put(build(rebindPolicy=policy))
    await world.comes_to_rest()
    name = world.object.status.external_name
    del world.cloud.things[name]
    world.cloud.leftovers.add(name)
    world.delete()
    await world.comes_to_rest()
    assert world.gone
    assert world.cloud.leftovers == set()


async def test_what_a_creation_has_left_stays_while_it_may_go_on_and_goes_afterwards(
    world: Any, build: Any, process_died: type[BaseException]
) -> None:
    world.cluster.put(build(rebindPolicy="Delete"))
    world.cloud.dies_in_create = True
    with pytest.raises(process_died):
        await world.told()
    world.restart()
    ((_, box, _),) = world.cloud.under_way
    name = box.name
    world.cloud.leftovers.add(name)
    world.delete()

    assert await world.woken() == RequeueAfter(10)
    assert world.condition("Synced")[1] == "WaitingForCalls"
    assert world.cloud.leftovers == {name}

    world.time += SETTLE_DELETED
    await world.comes_to_rest()
    assert world.gone
    assert (world.cloud.things, world.cloud.leftovers) == ({}, set())


async def test_a_cloud_that_refuses_to_take_tags_off_keeps_no_object(world: Any, build: Any) -> None:
    world.cluster.put(build())
    await world.comes_to_rest()
    world.cloud.fails_next["release"] = Refused("RemoveTags", "box", "AccessDenied", "no")
    world.delete()

    assert await world.told() == Done()

    assert world.gone
    assert [reason for reason, _ in world.cluster.warnings] == ["NotReleased"]


async def test_tags_that_could_not_be_taken_off_just_now_are_taken_off_later(world: Any, build: Any) -> None:
    world.cluster.put(build())
    await world.comes_to_rest()
    world.cloud.fails_next["release"] = Transient("RemoveTags", "box", "Busy", "later")
    world.delete()

    with pytest.raises(Transient):
        await world.told()

    assert not world.gone
    await world.comes_to_rest()
    assert world.gone
    assert [thing.tags for thing in world.cloud.things.values()] == [{}]


async def test_a_pause_holds_everything_but_deletion(world: Any, build: Any) -> None:
    world.cluster.put(build(rebindPolicy="Delete"))
    await world.comes_to_rest()
    calls = list(world.cloud.made)
    world.annotate(paused="true")

    assert await world.told() == Done()
    assert world.cloud.made == calls
    assert world.condition("Synced")[:2] == ("False", "ReconcilePaused")
    assert world.cluster.warnings == []
    world.delete()
    await world.comes_to_rest()

    assert world.gone
    assert world.cloud.things == {}


async def test_a_paused_resource_still_says_who_holds_it(world: Any, build: Any) -> None:
    world.cluster.put(build(claimRefs=[CLAIM]))
    await world.comes_to_rest()
    world.annotate(paused="true")
    world.edit(claimRefs=[{**CLAIM, "releasedAt": "2026-11-21T00:00:00Z"}])

    await world.told()

    assert world.object.status.phase == "Released"


async def test_an_instance_of_somebody_else_is_not_touched_and_told(world: Any, build: Any) -> None:
    world.cluster.put(build(rebindPolicy="Delete"))
    await world.comes_to_rest()
    (name,) = world.cloud.things
    world.cloud.things[name] = replace(world.cloud.things[name], tags={"team": "billing"})
    world.cloud.calls.made.clear()

    assert await world.woken() == RequeueAfter(600)
    assert world.condition("Synced")[:2] == ("False", "NotOwned")
    assert world.condition("Ready")[0] == "False"
    assert [reason for reason, _ in world.cluster.warnings] == ["Missing", "NotOwned"]
    world.delete()
    await world.comes_to_rest()

    assert world.gone
    assert name in world.cloud.things
    assert set(world.cloud.made) == {"observe"}


async def test_a_vanished_instance_is_told_and_not_made_anew(world: Any, build: Any) -> None:
    world.cluster.put(build())
    await world.comes_to_rest()
    world.cloud.things.clear()

    assert await world.woken() == RequeueAfter(600)

    assert world.condition("Synced")[:2] == ("False", "ExternalResourceMissing")
    assert world.condition("Ready")[:2] == ("False", "Missing")
    assert world.object.status.phase == "Failed"
    assert len(world.cloud.creates) == 1


async def test_a_rotated_password_reaches_the_instance_and_then_the_status(world: Any, build: Any) -> None:
    world.cluster.put(build())
    await world.comes_to_rest()
    before = world.object.status.credentials.revision
    world.rotate("rotated")

    await world.comes_to_rest()

    assert list(world.cloud.passwords.values()) == ["rotated"]
    assert world.object.status.credentials.revision != before
    assert world.object.status.credentials.revision == world.secrets["orders-credentials"].revision


async def test_a_secret_deleted_by_hand_is_made_anew_with_another_password(world: Any, build: Any) -> None:
    world.cluster.put(build())
    await world.comes_to_rest()
    (before,) = world.cloud.passwords.values()
    world.cluster.secrets.clear()

    await world.comes_to_rest()

    (after,) = world.cloud.passwords.values()
    assert after != before
    assert world.secrets["orders-credentials"].data["password"] == after


async def test_a_secret_of_somebody_else_is_neither_used_nor_deleted(world: Any, build: Any) -> None:
    theirs = world.put_secret("orders-credentials", username="root", password="theirs")
    world.cluster.put(build(rebindPolicy="Delete"))

    assert await world.told() == RequeueAfter(600)
    assert world.condition("Synced")[:2] == ("False", "CredentialsConflict")
    assert world.cloud.creates == []
    world.delete()
    await world.comes_to_rest()

    assert world.gone
    assert world.secrets == {"orders-credentials": theirs}


async def test_credentials_that_an_administrator_names_are_used_and_kept(world: Any, build: Any) -> None:
    world.cluster.put(build(rebindPolicy="Delete", credentialsSecretRef={"name": "mine"}))
    assert await world.told() == RequeueAfter(10)
    assert world.condition("Synced")[:2] == ("False", "CredentialsMissing")
    assert world.object.status.phase == "Pending"

    mine = world.put_secret("mine", username="root", password="theirs")
    await world.comes_to_rest()
    assert list(world.cloud.passwords.values()) == ["theirs"]
    world.delete()
    await world.comes_to_rest()

    assert world.gone
    assert world.secrets == {"mine": mine}


async def test_a_username_that_contradicts_the_secret_is_told(world: Any, build: Any) -> None:
    world.put_secret("mine", username="root", password="theirs")
    world.cluster.put(build(masterUsername="admin", credentialsSecretRef={"name": "mine"}))

    await world.told()

    status, reason, message = world.condition("Synced")
    assert (status, reason) == ("False", "InvalidSpec")
    assert "admin" in message
    assert "theirs" not in message


async def test_an_update_is_applied_once(world: Any, build: Any) -> None:
    world.cluster.put(build())
    await world.comes_to_rest()
    world.edit(fast=True, size=100, tags={"team": "billing"})

    await world.told()
    world.restart()
    await world.told()
    await world.comes_to_rest()

    (instance,) = world.cloud.things.values()
    assert instance.fast is True
    assert instance.tags["team"] == "billing"
    assert world.object.status.capacity["storage"].value == 100 * 2**30
    assert world.cloud.made.count("update") == 1


async def test_an_old_spec_is_not_brought_back_by_an_old_message(world: Any, build: Any) -> None:
    world.cluster.put(build())
    await world.comes_to_rest()
    old = world.message()
    world.edit(fast=True)
    await world.comes_to_rest()
    calls = world.cloud.made.count("update")

    await world.woken(old)

    assert world.cloud.made.count("update") == calls


async def test_a_deletion_that_others_hold_up_is_none_of_ours(world: Any, build: Any) -> None:
    world.cluster.put(build(rebindPolicy="Delete"))
    await world.comes_to_rest()
    world.cluster.put(world.object, finalizers=("somebody.example/else",))
    world.delete()
    world.cloud.calls.made.clear()

    assert await world.told() == Done()

    assert world.cloud.made == []


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
async def test_a_bound_resource_that_is_deleted_goes_on_until_the_scheduler_lets_it_go(
    world: Any, build: Any, policy: str
) -> None:
    world.cluster.put(build(claimRefs=[CLAIM], rebindPolicy=policy))
    await world.comes_to_rest()
    world.cluster.put(world.object, finalizers=(PROVISIONER_FINALIZER, IN_USE_FINALIZER))
    world.delete()

    await world.told()

    assert "delete" not in world.cloud.made
    assert world.object.status.phase == "Bound"
    assert world.condition("Ready")[0] == "True"
    status, reason, message = world.condition("DeletionHeld")
    assert (status, reason) == ("True", "InUse")
    assert f"{CLAIM['kind']} {CLAIM['namespace']}/{CLAIM['name']}" in message

    world.cluster.put(world.object, finalizers=(PROVISIONER_FINALIZER,))
    await world.comes_to_rest()
    assert world.gone
    assert len(world.cloud.things) == (1 if policy == "Retain" else 0)


async def test_a_held_resource_still_follows_its_spec(world: Any, build: Any) -> None:
    world.cluster.put(build(claimRefs=[CLAIM]))
    await world.comes_to_rest()
    world.cluster.put(world.object, finalizers=(PROVISIONER_FINALIZER, IN_USE_FINALIZER))
    world.delete()
    world.edit(fast=True)

    await world.comes_to_rest()

    (instance,) = world.cloud.things.values()
    assert instance.fast


async def test_what_was_never_begun_is_not_begun_while_a_deletion_is_held(world: Any, build: Any) -> None:
    world.cluster.put(build(claimRefs=[CLAIM]), finalizers=(IN_USE_FINALIZER,))
    world.delete()

    assert await world.told() == Done()

    assert world.cloud.made == []
    assert world.object.metadata.finalizers == (IN_USE_FINALIZER,)


async def test_nothing_is_made_while_a_deletion_is_held(world: Any, build: Any) -> None:
    world.cluster.put(build(claimRefs=[CLAIM], rebindPolicy="Delete"))
    world.cluster.put(world.object, finalizers=(PROVISIONER_FINALIZER, IN_USE_FINALIZER))
    world.delete()

    await world.told()

    assert world.cloud.creates == []


async def test_a_look_that_is_overdue_is_taken_at_the_next_message(world: Any, build: Any) -> None:
    world.cluster.put(build())
    await world.told()
    world.cloud.progress()
    world.time += timedelta(seconds=11)

    await world.told()

    assert world.condition("Ready")[0] == "True"


async def test_what_the_cloud_refuses_for_good_is_told_and_left_alone(world: Any, build: Any) -> None:
    world.cluster.put(build())
    world.cloud.fails_next["create"] = Terminal("create", "x", "InvalidParameterValue", "no such class")

    assert await world.told() == RequeueAfter(600)

    status, reason, message = world.condition("Synced")
    assert (status, reason) == ("False", "InvalidSpec")
    assert "no such class" in message
    assert world.object.status.phase == "Failed"
    assert ("InvalidSpec", message) in world.cluster.warnings


async def test_what_the_account_does_not_allow_is_told(world: Any, build: Any) -> None:
    world.cluster.put(build())
    world.cloud.fails_next["create"] = Refused("create", "x", "InstanceQuotaExceeded", "40 are enough")

    assert await world.told() == RequeueAfter(600)

    assert world.condition("Synced")[:2] == ("False", "RefusedByCloud")


async def test_throttling_is_passed_on_with_its_delay_and_writes_nothing(world: Any, build: Any) -> None:
    world.cluster.put(build())
    world.cloud.fails_next["create"] = Throttled("create", "x", "Throttling", "slow down", retry_after=7)

    with pytest.raises(Throttled) as raised:
        await world.told()

    assert raised.value.retryable
    assert raised.value.retry_after == 7
    assert world.cluster.status_writes == 0


async def test_a_failure_that_passes_is_told_only_when_it_has_come_back(world: Any, build: Any) -> None:
    world.cluster.put(build())
    for deliveries in (1, 2, 3):
        world.cloud.fails_next["observe"] = Transient("observe", "x", "InternalFailure", "oops")
        with pytest.raises(Transient):
            await world.told(replace(world.message(), deliveries=deliveries))
        assert world.cluster.status_writes == (1 if deliveries == 3 else 0)

    assert world.condition("Synced")[:2] == ("False", "ReconcileError")
    await world.comes_to_rest()
    assert world.condition("Synced")[:2] == ("True", "ReconcileSuccess")


async def test_a_spec_that_cannot_be_read_is_told_and_can_be_deleted(world: Any, build: Any) -> None:
    world.cluster.put(build(rebindPolicy="Delete"))
    await world.comes_to_rest()
    endpoint = world.object.status.endpoint

    def nonsense() -> Any:
        data = world.object.model_dump_json(by_alias=True, exclude_none=True)
        return replace(world.message(), data=data.replace('"shape":"square"', '"shape":{}').encode())

    world.cluster.put(world.object)
    assert await world.told(nonsense()) == Done()
    status, reason, message = world.condition("Synced")
    assert (status, reason) == ("False", "InvalidSpec")
    assert "spec.shape" in message
    assert world.object.status.endpoint == endpoint
    world.time += SETTLE_DELETED
    world.delete()
    await world.told(nonsense())
    world.cloud.progress()
    await world.woken(nonsense())

    assert world.gone
    assert world.cloud.things == {}


async def test_a_message_that_is_no_object_at_all_is_poison(world: Any, build: Any) -> None:
    world.cluster.put(build())

    with pytest.raises(MalformedMessage):
        await world.told(replace(world.message(), data=b"[]"))


async def test_deletion_protection_holds_a_deletion_up_until_it_is_taken_off(world: Any, build: Any) -> None:
    world.cluster.put(build(rebindPolicy="Delete", locked=True))
    await world.comes_to_rest()
    world.delete()

    assert await world.told() == RequeueAfter(600)
    assert world.condition("Synced")[:2] == ("False", "DeletionProtected")
    assert len(world.cloud.things) == 1
    world.edit(locked=False)
    await world.comes_to_rest()

    assert world.gone
    assert world.cloud.things == {}


async def test_a_deletion_that_our_status_write_landed_on_is_not_taken_for_an_echo(
    world: Any, build: Any
) -> None:
    world.cloud.answers_at_once = True
    world.cluster.put(build(rebindPolicy="Retain"))
    await world.told()
    world.edit(claimRefs=[CLAIM])
    bound = world.message()
    world.delete()

    await world.told(bound)
    await world.told()

    assert world.gone


async def test_rights_that_are_missing_are_told_and_looked_for_again_soon_after(
    world: Any, build: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """An API server that has just started refuses what it will allow in a moment."""
    caplog.set_level(logging.INFO)
    world.cluster.put(build())
    world.cluster.forbidden = frozenset({"secrets"})

    assert await world.told() == RequeueAfter(1)

    status, reason, message = world.condition("Synced")
    assert (status, reason) == ("False", "Forbidden")
    assert "GET secrets in memory" in message
    assert "values.concreteNamespaces" in message
    assert world.condition("Ready")[:2] == ("False", "NotCreated")
    assert [reason for reason, _ in world.cluster.warnings] == ["Forbidden"]
    assert "GET secrets in memory" in caplog.text
    assert world.cloud.made == []

    world.cluster.forbidden = frozenset()
    await world.comes_to_rest()
    assert world.condition("Ready")[0] == "True"


async def test_rights_are_looked_for_after_as_long_again_as_they_have_been_missing(
    world: Any, build: Any
) -> None:
    world.cluster.put(build())
    world.cluster.forbidden = frozenset({"secrets"})
    await world.told()
    again = []
    for seconds in (1, 3, 60):
        world.time += timedelta(seconds=seconds)
        again.append(await world.told())
    assert again == [RequeueAfter(1), RequeueAfter(4), RequeueAfter(30)]


async def test_an_object_whose_secrets_were_never_ours_to_read_can_be_deleted(world: Any, build: Any) -> None:
    world.cluster.put(build(rebindPolicy="Delete"))
    world.cluster.forbidden = frozenset({"secrets"})
    await world.told()
    world.delete()

    await world.comes_to_rest()

    assert world.gone


async def test_a_secret_of_ours_is_not_left_behind_because_rights_were_taken(world: Any, build: Any) -> None:
    world.cluster.put(build(rebindPolicy="Delete"))
    await world.comes_to_rest()
    world.cluster.forbidden = frozenset({"secrets"})
    world.delete()

    await world.comes_to_rest()
    assert world.condition("Synced")[:2] == ("False", "Forbidden")
    world.cluster.forbidden = frozenset()
    await world.comes_to_rest()

    assert world.gone
    assert world.secrets == {}


async def test_where_not_even_the_status_may_be_written_the_object_is_tried_again(
    world: Any, build: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world.cluster.put(build())
    world.cluster.forbidden = frozenset({"secrets", "status"})

    with pytest.raises(Forbidden):
        await world.told()

    assert "GET status in memory" in caplog.text
