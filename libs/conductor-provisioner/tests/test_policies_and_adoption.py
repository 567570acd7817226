"""What managementPolicies allow, what is adopted, what drifts, and what is rotated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from conductor_bus import Done, RequeueAfter
from conductor_model.annotations import EXTERNAL_NAME, IN_USE_FINALIZER, PROVISIONER_FINALIZER
from conductor_provisioner import CredentialsFrom, NameRetired, Owner
from conductor_provisioner.managed import Opened
from conductor_provisioner.names import external_name

CLUSTER_ID = "5a3e6a0e-0000-4000-8000-000000000001"


def theirs(world: Any, name: str, **facts: Any) -> None:
    """A box of that name that nobody's tags are on, ready to be used."""
    world.cloud.things[name] = world.thing(
        name=name,
        size=facts.pop("size", 50),
        fast=False,
        shape="square",
        tags=facts.pop("tags", {"team": "billing"}),
        username="conductor",
    )
    world.cloud.passwords[name] = "theirs"
    world.cloud.progress()


async def test_only_observe_imports_without_a_write_anywhere_but_in_the_status(
    world: Any, build: Any
) -> None:
    theirs(world, "legacy")
    world.put_secret("mine", username="conductor", password="theirs")
    before = dict(world.cloud.things)
    world.cluster.put(
        build(
            managementPolicies=["Observe"],
            annotations={EXTERNAL_NAME: "legacy"},
            credentialsSecretRef={"name": "mine"},
            size=80,
            finalizer=False,
        )
    )

    assert await world.told() == RequeueAfter(600)

    assert set(world.cloud.made) == {"observe"}
    assert world.cloud.things == before
    assert world.object.metadata.finalizers == ()
    assert set(world.secrets) == {"mine"}
    assert world.object.status.external_name == "legacy"
    assert world.condition("Ready")[0] == "True"
    status, reason, message = world.condition("Synced")
    assert (status, reason) == ("False", "Drifted")
    assert "size is 50 instead of 80" in message


async def test_an_import_that_is_deleted_is_observed_on_while_claims_are_bound(
    world: Any, build: Any
) -> None:
    theirs(world, "legacy")
    world.put_secret("mine", username="conductor", password="theirs")
    imported = build(
        managementPolicies=["Observe"],
        annotations={EXTERNAL_NAME: "legacy"},
        credentialsSecretRef={"name": "mine"},
        claimRefs=[
            {
                "apiVersion": "storage.conductor.io/v1alpha1",
                "kind": "MySQLInstance",
                "namespace": "team-a",
                "name": "db",
                "uid": "claim-uid",
            }
        ],
        finalizer=False,
    )
    world.cluster.put(imported, finalizers=(IN_USE_FINALIZER,))
    world.delete()

    await world.told()

    assert world.condition("Ready")[0] == "True"
    assert world.condition("DeletionHeld")[:2] == ("True", "InUse")
    assert world.object.metadata.finalizers == (IN_USE_FINALIZER,)


async def test_an_import_without_a_secret_says_that_nobody_can_connect(world: Any, build: Any) -> None:
    theirs(world, "legacy")
    world.cluster.put(build(managementPolicies=["Observe"], annotations={EXTERNAL_NAME: "legacy"}))

    await world.told()

    assert world.condition("Ready")[:2] == ("False", "NoCredentials")
    assert world.secrets == {}


async def test_an_import_of_what_is_not_there_makes_nothing(world: Any, build: Any) -> None:
    world.cluster.put(build(managementPolicies=["Observe"], annotations={EXTERNAL_NAME: "legacy"}))

    await world.told()

    assert world.cloud.creates == []
    assert world.condition("Synced")[:2] == ("False", "ExternalResourceMissing")


@pytest.mark.parametrize("policies", [["Observe", "Create", "Update"], ["Observe"]])
async def test_without_delete_the_resource_outlives_its_object(
    world: Any, build: Any, policies: list[str]
) -> None:
    world.cluster.put(build(rebindPolicy="Delete"))
    await world.comes_to_rest()
    world.edit(managementPolicies=policies)
    await world.comes_to_rest()
    world.delete()

    assert await world.told() == Done()

    assert world.gone
    assert len(world.cloud.things) == 1
    assert world.secrets, "whoever keeps it needs its password"


async def test_without_create_nothing_is_made(world: Any, build: Any) -> None:
    world.cluster.put(build(managementPolicies=["Observe", "Update", "Delete"]))

    await world.comes_to_rest()

    assert world.cloud.creates == []
    assert "managementPolicies does not hold Create" in world.condition("Synced")[2]


async def test_without_update_drift_is_told_and_left(world: Any, build: Any) -> None:
    world.cluster.put(build(managementPolicies=["Observe", "Create", "Delete"]))
    await world.comes_to_rest()
    (name,) = world.cloud.things
    world.cloud.things[name] = replace(world.cloud.things[name], fast=True)

    await world.woken()

    status, reason, message = world.condition("Synced")
    assert (status, reason) == ("False", "Drifted")
    assert "fast is True instead of False" in message
    assert ("Drifted", message) in world.cluster.warnings
    assert "update" not in world.cloud.made
    assert world.condition("Ready")[0] == "True"


async def test_drift_is_repaired_told_once_and_counted(world: Any, build: Any) -> None:
    world.cluster.put(build())
    await world.comes_to_rest()
    (name,) = world.cloud.things
    world.cloud.things[name] = replace(world.cloud.things[name], fast=True)

    await world.woken()

    assert "fast is True instead of False" in world.condition("Synced")[2]
    assert [reason for reason, _ in world.cluster.warnings] == ["DriftRepaired"]
    labels = {"kind": "Box", "field": "fast"}
    assert world.registry.get_sample_value("conductor_drift_repaired_total", labels) == 1
    await world.comes_to_rest()
    assert world.cloud.things[name].fast is False
    assert world.condition("Synced") == ("True", "ReconcileSuccess", "")


async def test_a_change_of_the_spec_is_no_drift(world: Any, build: Any) -> None:
    world.cluster.put(build())
    await world.comes_to_rest()
    world.edit(fast=True)

    await world.comes_to_rest()

    assert world.cloud.made.count("update") == 1
    assert world.cluster.warnings == []


async def test_what_cannot_be_changed_is_named_with_what_to_do(world: Any, build: Any) -> None:
    world.cluster.put(build())
    await world.comes_to_rest()
    world.edit(shape="round", size=80)

    await world.comes_to_rest()

    status, reason, message = world.condition("Synced")
    assert (status, reason) == ("False", "ImmutableField")
    assert "spec.shape asks for round, but it is square: a box keeps its shape. Set it back" in message
    assert "update" not in world.cloud.made


async def test_a_look_is_taken_at_once_when_one_is_requested(world: Any, build: Any) -> None:
    world.cluster.put(build())
    await world.comes_to_rest()
    looks = world.cloud.made.count("observe")
    world.annotate(reconcile_requested_at="2026-11-21T10:00:00Z")

    await world.told()

    assert world.cloud.made.count("observe") == looks + 1


async def test_what_is_nobodys_is_adopted_by_name(world: Any, build: Any) -> None:
    theirs(world, "legacy", size=80)
    world.cluster.put(build(annotations={EXTERNAL_NAME: "legacy"}, rebindPolicy="Delete"))

    await world.comes_to_rest()

    (thing,) = world.cloud.things.values()
    assert world.cloud.creates == []
    assert thing.tags["conductor.io/concrete-uid"] == world.object.uid
    assert thing.tags["team"] == "billing"
    assert thing.size == 50
    assert world.object.status.external_name == "legacy"
    assert world.cloud.passwords["legacy"] == world.secrets["orders-credentials"].data["password"]
    assert world.condition("Ready")[0] == "True"
    world.delete()
    await world.comes_to_rest()
    assert world.cloud.things == {}


async def test_what_is_nobodys_is_not_adopted_without_being_named(world: Any, build: Any) -> None:
    box = world.cluster.put(build())
    name = external_name(Owner(CLUSTER_ID, box.uid, box.metadata.namespace, box.metadata.name))
    theirs(world, name)

    await world.comes_to_rest()

    assert world.condition("Synced")[:2] == ("False", "NotOwned")
    assert world.cloud.passwords == {name: "theirs"}
    assert set(world.cloud.made) == {"observe"}


@pytest.mark.parametrize("policies", [["*"], ["Observe"]])
async def test_what_is_anothers_is_never_adopted(world: Any, build: Any, policies: list[str]) -> None:
    tags = {"conductor.io/cluster-id": "another", "conductor.io/concrete-uid": "x"}
    theirs(world, "legacy", tags=tags)
    world.cluster.put(build(annotations={EXTERNAL_NAME: "legacy"}, managementPolicies=policies))

    await world.comes_to_rest()

    assert world.condition("Synced")[:2] == ("False", "NotOwned")
    assert world.condition("Ready")[0] == "False"
    assert world.cloud.things["legacy"].tags == tags
    assert set(world.cloud.made) == {"observe"}


async def test_a_name_that_is_given_is_recorded_before_anything_is_made_under_it(
    world: Any, build: Any
) -> None:
    world.cluster.put(build(annotations={EXTERNAL_NAME: "chosen"}))

    await world.told()
    assert world.object.status.external_name == "chosen"
    assert world.cloud.creates == []
    await world.comes_to_rest()

    assert world.cloud.creates == ["chosen"]


async def test_a_name_cannot_be_changed_any_more(world: Any, build: Any) -> None:
    world.cluster.put(build(annotations={EXTERNAL_NAME: "chosen"}))
    await world.comes_to_rest()
    world.annotate(external_name="another")

    await world.comes_to_rest()

    status, reason, message = world.condition("Synced")
    assert (status, reason) == ("False", "ImmutableField")
    assert "stands for chosen: set it back" in message
    assert world.cloud.creates == ["chosen"]


async def test_the_successor_of_a_retired_name_is_recorded_before_it_is_used(world: Any, build: Any) -> None:
    world.cluster.put(build(rebindPolicy="Delete"))
    world.cloud.fails_next["create"] = NameRetired(
        "create", "x", "409", "was deleted lately", successor="second-name"
    )

    await world.told()
    assert world.object.status.external_name == "second-name"
    assert world.cloud.creates == []
    world.restart()
    await world.comes_to_rest()

    assert world.cloud.creates == ["second-name"]
    world.delete()
    await world.comes_to_rest()
    assert world.cloud.things == {}


async def test_a_default_account_is_recorded_before_anything_is_made_there(world: Any, build: Any) -> None:
    driver = world.driver

    class Default:
        async def of(self, concrete: Any) -> Opened:
            return Opened(driver, "team-account", to_record=True)

    world.drivers = Default()
    world.restart()
    world.cluster.put(build())

    await world.told()
    assert world.object.status.account == "team-account"
    assert world.cloud.creates == []
    await world.comes_to_rest()

    assert len(world.cloud.creates) == 1


@pytest.mark.parametrize("deleted", [False, True], ids=["goes on", "is deleted"])
async def test_what_was_begun_in_the_environment_s_account_stays_there_when_a_default_appears(
    world: Any, build: Any, process_died: type[BaseException], deleted: bool
) -> None:
    """The process dies between the create there and the status that would have told of it."""
    driver = world.driver

    class Chosen:
        default = False

        async def of(self, concrete: Any) -> Opened:
            recorded = concrete.status.account
            if recorded == "team-account" or (recorded is None and self.default):
                return Opened(elsewhere, "team-account", to_record=recorded is None)
            return Opened(driver)

    elsewhere = replace(driver, cloud=replace(world.cloud, things={}, creates=[], passwords={}))
    world.drivers = Chosen()
    world.restart()
    world.cluster.put(build(rebindPolicy="Delete"))
    write_status = world.cluster.write_status

    async def dies(*arguments: Any) -> None:
        raise process_died

    world.cluster.write_status = dies
    with pytest.raises(process_died):
        await world.told()
    assert len(world.cloud.things) == 1

    world.cluster.write_status = write_status
    Chosen.default = True
    world.restart()
    if deleted:
        world.delete()
    await world.comes_to_rest()

    assert elsewhere.cloud.things == {}
    if deleted:
        assert world.gone
        assert world.cloud.things == {}
    else:
        assert world.object.status.account == "ambient"
        assert len(world.cloud.things) == 1


async def test_issued_credentials_are_stored_and_issued_anew_only_when_they_are_lost(
    world: Any, build: Any
) -> None:
    world.driver.credentials_from = CredentialsFrom.CLOUD
    world.cluster.put(build(rebindPolicy="Delete"))
    await world.comes_to_rest()
    (password,) = world.cloud.passwords.values()
    assert world.secrets["orders-credentials"].data["password"] == password == "issued-1"
    assert world.condition("Ready")[0] == "True"

    world.cluster.secrets.clear()
    await world.comes_to_rest()
    (password,) = world.cloud.passwords.values()
    assert world.secrets["orders-credentials"].data["password"] == password == "issued-2"

    world.delete()
    await world.comes_to_rest()
    assert world.gone
    assert world.secrets == {}


@pytest.mark.parametrize("source", [CredentialsFrom.CLOUD, CredentialsFrom.CONDUCTOR])
async def test_a_rotation_is_answered_once_for_each_request(
    world: Any, build: Any, source: CredentialsFrom
) -> None:
    world.driver.credentials_from = source
    world.cluster.put(build())
    await world.comes_to_rest()
    passwords = list(world.cloud.passwords.values())

    for request in ("first", "second"):
        world.annotate(rotate_requested_at=request)
        await world.comes_to_rest()
        world.restart()
        await world.comes_to_rest()
        passwords += world.cloud.passwords.values()

    stored = world.secrets["orders-credentials"]
    assert len(set(passwords)) == 3
    assert stored.data["password"] == passwords[-1]
    assert stored.rotated == "second"
    assert world.object.status.credentials.revision == stored.revision


@pytest.mark.parametrize("source", [CredentialsFrom.CLOUD, CredentialsFrom.CONDUCTOR])
async def test_a_rotation_survives_a_death_at_any_step(
    new_world: Any, build: Any, process_died: type[BaseException], source: CredentialsFrom
) -> None:
    async def rotate(world: Any, dies_after: int | None) -> int:
        world.driver.credentials_from = source
        world.cluster.put(build())
        await world.comes_to_rest()
        world.annotate(rotate_requested_at="now")
        begun = world.fate.steps
        world.fate.dies_at = None if dies_after is None else begun + dies_after
        try:
            await world.comes_to_rest()
        except process_died:
            world.restart()
            await world.comes_to_rest()
        (password,) = world.cloud.passwords.values()
        stored = world.secrets["orders-credentials"]
        assert stored.rotated == "now"
        assert stored.data["password"] == password
        assert world.object.status.credentials.revision == stored.revision
        return int(world.fate.steps - begun)

    for step in range(1, await rotate(new_world(), None) + 1):
        await rotate(new_world(), step)


async def test_what_is_made_again_when_it_vanishes_says_so_of_itself(world: Any, build: Any) -> None:
    world.driver.recreates = True
    world.cluster.put(build())
    await world.comes_to_rest()
    world.cloud.things.clear()

    await world.comes_to_rest()

    assert len(world.cloud.creates) == 2
    assert world.condition("Ready")[0] == "True"


async def test_a_finalizer_stands_before_anything_that_is_not_just_observed(world: Any, build: Any) -> None:
    world.cluster.put(build(managementPolicies=["Observe"], finalizer=False))
    await world.comes_to_rest()
    world.edit(managementPolicies=["*"])

    await world.comes_to_rest()

    assert world.object.metadata.finalizers == (PROVISIONER_FINALIZER,)
    assert world.condition("Ready")[0] == "True"
