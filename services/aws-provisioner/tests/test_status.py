"""The phase and the conditions of a resource, from its object and its DB instance."""

from __future__ import annotations

from typing import Any

import pytest

from conductor_aws_provisioner.external import Configuration, Observed
from conductor_aws_provisioner.outcome import IN_SYNC, Reason, Synced, out_of_sync
from conductor_aws_provisioner.status import MAX_MESSAGE, phase_of, status_of, status_without_look, troubles
from conductor_model.concrete import Credentials, Endpoint

CREDENTIALS = Credentials(secret_name="orders-credentials", revision="7")
BOUND = {
    "apiVersion": "storage.conductor.io/v1alpha1",
    "kind": "MySQLInstance",
    "namespace": "team-a",
    "name": "db",
    "uid": "claim-uid",
}
RESERVED = {key: value for key, value in BOUND.items() if key != "uid"} | {"name": "later"}
RELEASED = BOUND | {"name": "earlier", "releasedAt": "2026-11-21T00:00:00Z"}


def observed(status: str = "available", *, endpoint: bool = True) -> Observed:
    return Observed(
        identifier="conductor-1",
        arn="arn:aws:rds:eu-west-1:1:db:conductor-1",
        status=status,
        engine="mysql",
        master_username="conductor",
        tags={},
        endpoint=Endpoint(host="x.rds.example", port=3306) if endpoint else None,
        storage_encrypted=False,
        subnet_group=None,
        current=Configuration(allocated_storage=50, engine_version="8.0.35"),
    )


@pytest.mark.parametrize(
    ("refs", "there", "synced", "phase"),
    [
        ([], None, IN_SYNC, "Pending"),
        ([BOUND], None, IN_SYNC, "Pending"),
        ([], None, out_of_sync(Reason.INVALID_SPEC, "x"), "Failed"),
        ([], None, out_of_sync(Reason.CREDENTIALS_MISSING, "x"), "Pending"),
        ([BOUND], observed("creating"), IN_SYNC, "Creating"),
        ([], observed(), IN_SYNC, "Available"),
        ([RESERVED], observed(), IN_SYNC, "Available"),
        ([RESERVED, BOUND], observed(), IN_SYNC, "Bound"),
        ([RELEASED], observed(), IN_SYNC, "Released"),
        ([RELEASED, BOUND], observed(), IN_SYNC, "Bound"),
        ([BOUND], observed("modifying"), IN_SYNC, "Bound"),
        ([BOUND], observed("rebooting"), IN_SYNC, "Bound"),
        ([BOUND], observed("incompatible-network"), IN_SYNC, "Failed"),
        ([BOUND], observed(), out_of_sync(Reason.INVALID_SPEC, "x"), "Bound"),
    ],
)
def test_the_phase_is_the_clouds_while_that_decides_and_else_the_bindings(
    build: Any, refs: Any, there: Observed | None, synced: Synced, phase: str
) -> None:
    assert phase_of(build(claimRefs=refs), there, synced) == phase


@pytest.mark.parametrize(
    ("there", "credentials", "ready", "reason"),
    [
        (None, None, "False", "NotCreated"),
        (observed("creating", endpoint=False), CREDENTIALS, "False", "Creating"),
        (observed("backing-up", endpoint=True), CREDENTIALS, "True", "Available"),
        (observed("available"), None, "False", "Creating"),
        (observed("available", endpoint=False), CREDENTIALS, "False", "Unavailable"),
        (observed("modifying"), CREDENTIALS, "True", "Available"),
        (observed("rebooting"), CREDENTIALS, "False", "Unavailable"),
        (observed("a-new-word-of-amazon"), CREDENTIALS, "False", "Unavailable"),
        (observed("failed"), CREDENTIALS, "False", "Failed"),
    ],
)
def test_ready_means_that_an_application_can_connect(
    build: Any, world: Any, there: Observed | None, credentials: Any, ready: str, reason: str
) -> None:
    status = status_of(build(), there, credentials, IN_SYNC, world.time)

    (condition,) = [each for each in status.conditions if each.type == "Ready"]
    assert (condition.status, condition.reason) == (ready, reason)


def test_the_same_observation_gives_the_same_status(build: Any, world: Any) -> None:
    instance = build()
    first = status_of(instance, observed(), CREDENTIALS, IN_SYNC, world.time)
    again = instance.model_copy(update={"status": first})

    assert status_of(again, observed(), CREDENTIALS, IN_SYNC, world.time.replace(year=2030)) == first


def test_what_was_known_stays_known_when_nothing_could_be_looked_at(build: Any, world: Any) -> None:
    known = status_of(build(), observed(), CREDENTIALS, IN_SYNC, world.time)
    instance = build().model_copy(update={"status": known})

    told = status_without_look(instance, out_of_sync(Reason.ERROR, "no answer"), world.time)

    assert told.endpoint == known.endpoint
    assert told.phase == "Available"
    assert [(each.type, each.status) for each in told.conditions] == [("Ready", "True"), ("Synced", "False")]


def test_an_endpoint_that_rds_leaves_out_for_a_while_is_not_forgotten(build: Any, world: Any) -> None:
    known = status_of(build(), observed(), CREDENTIALS, IN_SYNC, world.time)
    instance = build().model_copy(update={"status": known})

    told = status_of(instance, observed("stopped", endpoint=False), CREDENTIALS, IN_SYNC, world.time)

    assert told.endpoint == known.endpoint


def test_a_message_is_cut_at_a_bearable_length(build: Any, world: Any) -> None:
    told = status_without_look(build(), out_of_sync(Reason.ERROR, "x" * 5000), world.time)

    assert max(len(each.message) for each in told.conditions) == MAX_MESSAGE


def test_trouble_is_what_has_turned_bad_and_not_what_still_is(build: Any, world: Any) -> None:
    good = status_of(build(), observed(), CREDENTIALS, IN_SYNC, world.time)
    instance = build().model_copy(update={"status": good})
    bad = status_without_look(instance, out_of_sync(Reason.NOT_OWNED, "theirs"), world.time)

    assert troubles(good, bad) == (("NotOwned", "theirs"),)
    assert troubles(bad, bad) == ()
    assert troubles(bad, good) == ()


def test_what_happens_on_the_way_is_no_trouble(build: Any, world: Any) -> None:
    instance = build()
    creating = status_of(instance, observed("creating"), CREDENTIALS, IN_SYNC, world.time)

    assert troubles(instance.status, creating) == ()
