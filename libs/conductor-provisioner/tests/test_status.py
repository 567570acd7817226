"""The phase and the conditions of a resource, from its object and what was observed."""

from __future__ import annotations

from typing import Any

import pytest

from conductor_model.concrete import Credentials, Endpoint
from conductor_model.quantity import Quantity
from conductor_provisioner import NOT_THERE, Observation
from conductor_provisioner.outcome import IN_SYNC, Reason, Synced, out_of_sync
from conductor_provisioner.status import (
    MAX_MESSAGE,
    Seen,
    phase_of,
    status_of,
    status_without_look,
    troubles,
)

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
ONCE_READY = {"provisionedAt": "2026-11-20T00:00:00Z"}


def observed(*, ready: bool = True, **facts: Any) -> Observation[Any]:
    return Observation(
        exists=True,
        ready=ready,
        endpoint=Endpoint(host="x.example", port=3306) if ready else None,
        engine_version="8.0.35",
        capacity={"storage": Quantity.parse("50Gi")},
        **facts,
    )


def seen(observation: Observation[Any], credentials: Credentials | None = CREDENTIALS) -> Seen:
    return Seen("conductor-1", "ambient", observation, credentials)


@pytest.mark.parametrize(
    ("refs", "there", "synced", "phase"),
    [
        ([], NOT_THERE, IN_SYNC, "Pending"),
        ([BOUND], NOT_THERE, IN_SYNC, "Pending"),
        ([], Observation(exists=False, busy=True), IN_SYNC, "Creating"),
        ([], NOT_THERE, out_of_sync(Reason.INVALID_SPEC, "x"), "Failed"),
        ([], NOT_THERE, out_of_sync(Reason.CREDENTIALS_MISSING, "x"), "Pending"),
        ([BOUND], observed(ready=False, busy=True), IN_SYNC, "Creating"),
        ([], observed(), IN_SYNC, "Available"),
        ([RESERVED], observed(), IN_SYNC, "Available"),
        ([RESERVED, BOUND], observed(), IN_SYNC, "Bound"),
        ([RELEASED], observed(), IN_SYNC, "Released"),
        ([RELEASED, BOUND], observed(), IN_SYNC, "Bound"),
        ([BOUND], observed(busy=True), IN_SYNC, "Bound"),
        ([BOUND], observed(ready=False, failed=True), IN_SYNC, "Failed"),
        ([BOUND], observed(), out_of_sync(Reason.INVALID_SPEC, "x"), "Bound"),
    ],
)
def test_the_phase_is_the_clouds_while_that_decides_and_else_the_bindings(
    build: Any, refs: Any, there: Observation[Any], synced: Synced, phase: str
) -> None:
    assert phase_of(build(claimRefs=refs), seen(there), synced) == phase


def test_what_was_ready_once_is_not_called_being_created_when_it_is_down(build: Any) -> None:
    box = build(claimRefs=[BOUND], status=ONCE_READY)

    assert phase_of(box, seen(observed(ready=False)), IN_SYNC) == "Bound"


@pytest.mark.parametrize(
    ("before", "there", "credentials", "ready", "reason"),
    [
        ({}, NOT_THERE, None, "False", "NotCreated"),
        ({}, Observation(exists=False, busy=True), None, "False", "Creating"),
        (ONCE_READY, NOT_THERE, CREDENTIALS, "False", "Missing"),
        ({}, observed(ready=False, busy=True), CREDENTIALS, "False", "Creating"),
        ({}, observed(), CREDENTIALS, "True", "Available"),
        ({}, observed(busy=True), CREDENTIALS, "True", "Available"),
        ({}, observed(), None, "False", "NoCredentials"),
        (ONCE_READY, observed(ready=False), CREDENTIALS, "False", "Unavailable"),
        ({}, observed(failed=True), CREDENTIALS, "False", "Failed"),
    ],
)
def test_ready_means_that_an_application_can_connect(
    build: Any, world: Any, before: Any, there: Observation[Any], credentials: Any, ready: str, reason: str
) -> None:
    status = status_of(build(status=before), seen(there, credentials), IN_SYNC, world.time)

    (condition,) = [each for each in status.conditions if each.type == "Ready"]
    assert (condition.status, condition.reason) == (ready, reason)


def test_when_it_was_first_ready_is_kept(build: Any, world: Any) -> None:
    creating = status_of(build(), seen(observed(ready=False)), IN_SYNC, world.time)
    ready = status_of(build(), seen(observed()), IN_SYNC, world.time)
    box = build().model_copy(update={"status": ready})

    later = status_of(box, seen(observed(ready=False)), IN_SYNC, world.time.replace(year=2030))

    assert creating.provisioned_at is None
    assert ready.provisioned_at == later.provisioned_at == world.time


def test_what_a_driver_must_know_again_is_kept_in_its_own_fields(build: Any, world: Any) -> None:
    told = status_of(build(), seen(observed(details={"state": "warming up"})), IN_SYNC, world.time)
    box = build().model_copy(update={"status": told})

    assert told.state == "warming up"
    assert status_of(box, seen(observed()), IN_SYNC, world.time).state == "warming up"
    assert status_of(box, seen(observed(details={"state": None})), IN_SYNC, world.time).state is None


def test_the_same_observation_gives_the_same_status(build: Any, world: Any) -> None:
    box = build()
    first = status_of(box, seen(observed()), IN_SYNC, world.time)
    again = box.model_copy(update={"status": first})

    assert status_of(again, seen(observed()), IN_SYNC, world.time.replace(year=2030)) == first


def test_what_was_known_stays_known_when_nothing_could_be_looked_at(build: Any, world: Any) -> None:
    known = status_of(build(), seen(observed()), IN_SYNC, world.time)
    box = build().model_copy(update={"status": known})

    told = status_without_look(box, out_of_sync(Reason.ERROR, "no answer"), world.time)

    assert told.endpoint == known.endpoint
    assert told.phase == "Available"
    assert [(each.type, each.status) for each in told.conditions] == [("Ready", "True"), ("Synced", "False")]


def test_an_endpoint_that_the_cloud_leaves_out_for_a_while_is_not_forgotten(build: Any, world: Any) -> None:
    known = status_of(build(), seen(observed()), IN_SYNC, world.time)
    box = build().model_copy(update={"status": known})

    assert status_of(box, seen(observed(ready=False)), IN_SYNC, world.time).endpoint == known.endpoint


def test_a_message_is_cut_at_a_bearable_length(build: Any, world: Any) -> None:
    told = status_without_look(build(), out_of_sync(Reason.ERROR, "x" * 5000), world.time)

    assert max(len(each.message) for each in told.conditions) == MAX_MESSAGE


def test_trouble_is_what_has_turned_bad_and_not_what_still_is(build: Any, world: Any) -> None:
    good = status_of(build(), seen(observed()), IN_SYNC, world.time)
    box = build().model_copy(update={"status": good})
    bad = status_without_look(box, out_of_sync(Reason.NOT_OWNED, "theirs"), world.time)

    assert troubles(good, bad) == (("NotOwned", "theirs"),)
    assert troubles(bad, bad) == ()
    assert troubles(bad, good) == ()


def test_what_happens_on_the_way_is_no_trouble(build: Any, world: Any) -> None:
    box = build()
    creating = status_of(box, seen(observed(ready=False)), IN_SYNC, world.time)

    assert troubles(box.status, creating) == ()
