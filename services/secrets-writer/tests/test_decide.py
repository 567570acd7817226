"""When a claim's objects are published, and what its Ready condition says until then."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from conductor_model.claims import Claim
from conductor_model.connection import ConnectionFormat, ConnectionKey
from conductor_secrets_writer.config import Settings
from conductor_secrets_writer.decide import (
    AskTheApi,
    Nothing,
    Publish,
    ReadyReason,
    Report,
    Wait,
    decide,
)

SETTINGS = Settings()
CREATING: dict[str, Any] = {
    "phase": "Creating",
    "conditions": [
        {"type": "Ready", "status": "False", "reason": "Creating", "message": "the cloud is at work"}
    ],
    "endpoint": None,
}


def test_a_confirmed_claim_with_a_ready_resource_is_published(make_claim, make_concrete, long_bound):
    decision = decide(make_claim(), make_concrete(), proven=False, now=long_bound, settings=SETTINGS)
    assert isinstance(decision, Publish)
    assert decision.endpoint.host == "rds-1.example.com"


def test_a_claim_that_is_being_deleted_gets_nothing(make_claim, make_concrete, long_bound):
    claim = make_claim(metadata={"deletionTimestamp": "2026-11-21T12:00:01Z"})
    assert decide(claim, make_concrete(), proven=False, now=long_bound, settings=SETTINGS) == Nothing()


def test_an_unbound_claim_gets_nothing(make_claim, long_bound):
    claim = make_claim(status={"boundResource": None})
    assert decide(claim, None, proven=False, now=long_bound, settings=SETTINGS) == Nothing()


def test_a_ready_claim_that_lost_its_binding_is_not_ready(make_claim, long_bound):
    claim = make_claim(status={"boundResource": None}, ready="True")
    decision = decide(claim, None, proven=False, now=long_bound, settings=SETTINGS)
    assert isinstance(decision, Report)
    assert (decision.ready.holds, decision.ready.reason) == (False, ReadyReason.NOT_BOUND)
    assert decision.ready.binding is None


@pytest.mark.parametrize(
    "ref",
    [
        {"uid": "another-claim"},
        {"uid": None},
        {"name": "other"},
        {"kind": "PostgreSQLInstance"},
        {"namespace": "elsewhere"},
        {"releasedAt": "2026-11-21T12:00:00Z"},
    ],
    ids=["other uid", "reserved", "other name", "other kind", "other namespace", "released"],
)
def test_a_binding_that_the_resource_does_not_confirm_yields_nothing(
    make_claim, make_concrete, long_bound, ref
):
    decision = decide(make_claim(), make_concrete(ref=ref), proven=False, now=long_bound, settings=SETTINGS)
    assert decision == Wait(SETTINGS.unconfirmed)


def test_a_resource_of_another_uid_under_the_name_yields_nothing(make_claim, make_concrete, long_bound):
    successor = make_concrete(metadata={"uid": "concrete-2"})
    decision = decide(make_claim(), successor, proven=False, now=long_bound, settings=SETTINGS)
    assert decision == Wait(SETTINGS.unconfirmed)


def test_a_missing_message_is_no_proof_against_a_ready_claim(make_claim, long_bound):
    claim = make_claim(ready="True")
    assert decide(claim, None, proven=False, now=long_bound, settings=SETTINGS) == AskTheApi()


def test_the_api_servers_word_is_proof_against_a_ready_claim(make_claim, long_bound):
    decision = decide(make_claim(ready="True"), None, proven=True, now=long_bound, settings=SETTINGS)
    assert isinstance(decision, Report)
    assert decision.ready.reason is ReadyReason.NOT_BOUND


def test_a_fast_resource_costs_no_waiting_condition(make_claim, make_concrete, long_bound):
    half_a_second_later = long_bound - timedelta(hours=1) + timedelta(seconds=0.5)
    decision = decide(
        make_claim(), make_concrete(status=CREATING), proven=False, now=half_a_second_later, settings=SETTINGS
    )
    assert decision == Wait(1.5)


def test_a_clock_behind_the_schedulers_waits_no_longer_than_the_grace(make_claim, make_concrete, long_bound):
    before = long_bound - timedelta(hours=2)
    decision = decide(
        make_claim(), make_concrete(status=CREATING), proven=False, now=before, settings=SETTINGS
    )
    assert decision == Wait(SETTINGS.grace)


def test_a_slow_resource_is_told_with_what_it_says_itself(make_claim, make_concrete, long_bound):
    decision = decide(
        make_claim(), make_concrete(status=CREATING), proven=False, now=long_bound, settings=SETTINGS
    )
    assert isinstance(decision, Report)
    assert decision.ready.reason is ReadyReason.WAITING_FOR_RESOURCE
    assert decision.ready.message == (
        "RDSInstance conductor-system/rds-1 is Creating: Creating: the cloud is at work"
    )


def test_a_failed_reconciliation_explains_a_resource_that_is_not_ready(make_claim, make_concrete, long_bound):
    status = {
        "phase": "Failed",
        "conditions": [
            {"type": "Ready", "status": "False", "reason": "Unavailable", "message": "not there"},
            {"type": "Synced", "status": "False", "reason": "InvalidSpec", "message": "engine: unknown"},
        ],
    }
    decision = decide(
        make_claim(), make_concrete(status=status), proven=False, now=long_bound, settings=SETTINGS
    )
    assert isinstance(decision, Report)
    assert decision.ready.message.endswith("is Failed: InvalidSpec: engine: unknown")


def test_a_long_story_is_cut(make_claim, make_concrete, long_bound):
    status = {"conditions": [{"type": "Ready", "status": "False", "reason": "X", "message": "very " * 500}]}
    decision = decide(
        make_claim(), make_concrete(status=status), proven=False, now=long_bound, settings=SETTINGS
    )
    assert isinstance(decision, Report)
    assert len(decision.ready.message) == 300


class Directory(Claim):
    """A claim whose connection holds no secret, and has no endpoint."""

    connection_format = ConnectionFormat("directory", (ConnectionKey("path", "Where it is."),), lambda _: {})


def test_what_is_connected_to_without_credentials_is_published_without(make_claim, make_concrete, long_bound):
    concrete = make_concrete()
    concrete = concrete.model_copy(
        update={"status": concrete.status.model_copy(update={"credentials": None})}
    )
    claim = Directory.model_validate(make_claim().model_dump(mode="json", by_alias=True))

    decision = decide(claim, concrete, proven=False, now=long_bound, settings=SETTINGS)

    assert isinstance(decision, Publish)
    assert decision.credentials is None


@pytest.mark.parametrize("absent", ["endpoint", "credentials"])
def test_nothing_is_published_without_endpoint_and_credentials(make_claim, make_concrete, long_bound, absent):
    decision = decide(
        make_claim(), make_concrete(status={absent: None}), proven=False, now=long_bound, settings=SETTINGS
    )
    assert isinstance(decision, Report)


def test_a_resource_that_fails_later_is_told_at_once_and_its_secret_stays_announced(
    make_claim, make_concrete, long_bound
):
    just_bound = long_bound - timedelta(hours=1)
    claim = make_claim(status={"binding": {"name": "orders"}}, ready="True")
    decision = decide(claim, make_concrete(status=CREATING), proven=False, now=just_bound, settings=SETTINGS)
    assert isinstance(decision, Report)
    assert decision.ready.reason is ReadyReason.RESOURCE_UNAVAILABLE
    assert decision.ready.binding is not None
    assert decision.ready.binding.name == "orders"
