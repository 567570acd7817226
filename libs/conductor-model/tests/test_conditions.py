"""A condition's lastTransitionTime tells when its status changed, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from conductor_model.conditions import Condition, ConditionStatus, condition, is_true, with_condition

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)


def ready(status: ConditionStatus, reason: str = "Because", message: str = "") -> Condition:
    return Condition(type="Ready", status=status, reason=reason, message=message)


BOUND = Condition(type="Bound", status="True", reason="Bound", last_transition_time=NOW)


def test_new_condition_is_appended_with_the_present_time() -> None:
    after = with_condition((BOUND,), ready("True"), LATER)
    assert [each.type for each in after] == ["Bound", "Ready"]
    assert after[1].last_transition_time == LATER


def test_transition_time_stays_while_the_status_stays() -> None:
    before = with_condition((), ready("False", "Creating"), NOW)
    (after,) = with_condition(before, ready("False", "Modifying", "5 minutes to go"), LATER)
    assert after.last_transition_time == NOW
    assert (after.reason, after.message) == ("Modifying", "5 minutes to go")


def test_transition_time_changes_with_the_status() -> None:
    before = with_condition((), ready("False"), NOW)
    (after,) = with_condition(before, ready("True"), LATER)
    assert after.last_transition_time == LATER


def test_condition_without_a_time_gets_one() -> None:
    (after,) = with_condition((ready("True"),), ready("True"), LATER)
    assert after.last_transition_time == LATER


def test_times_are_whole_seconds_as_kubernetes_writes_them() -> None:
    (after,) = with_condition((), ready("True"), NOW.replace(microsecond=123456))
    assert after.model_dump(mode="json", by_alias=True)["lastTransitionTime"] == "2026-11-21T12:00:00Z"


@given(st.permutations(["Scheduled", "Bound", "Ready"]), st.sampled_from(["Scheduled", "Bound", "Ready"]))
def test_other_conditions_and_the_order_stay_as_they_are(types: list[str], replaced: str) -> None:
    before = tuple(
        Condition(type=each, status="False", reason="Waiting", last_transition_time=NOW) for each in types
    )
    after = with_condition(before, Condition(type=replaced, status="True", reason="Done"), LATER)
    assert [each.type for each in after] == types
    assert [each for each in after if each.type != replaced] == [
        each for each in before if each.type != replaced
    ]


def test_condition_is_true_only_when_its_status_is_true() -> None:
    assert is_true((BOUND,), "Bound")
    assert not is_true((ready("Unknown"),), "Ready")
    assert not is_true((), "Ready")
    assert condition((BOUND,), "Bound") == BOUND
    assert condition((BOUND,), "Ready") is None


@pytest.mark.parametrize("reason", ["", "not camel case", "1st"])
def test_reason_is_one_word(reason: str) -> None:
    with pytest.raises(ValidationError, match="reason"):
        ready("True", reason)
