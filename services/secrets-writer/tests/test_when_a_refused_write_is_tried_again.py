"""An API server that has just started refuses what it will allow in a moment; missing rights take a person."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from conductor_model.claims import Claim, ClaimStatus
from conductor_model.conditions import Condition
from conductor_model.kinds import CLAIM_MODELS, MYSQL_INSTANCE
from conductor_secrets_writer.config import Settings
from conductor_secrets_writer.decide import ReadyReason
from conductor_secrets_writer.verdict import again

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = Settings(conflict_poll=60)


def claim_that_says(reason: str, *, since: float) -> Claim:
    told = Condition(
        type="Ready",
        status="False",
        reason=reason,
        message="",
        last_transition_time=NOW - timedelta(seconds=since),
    )
    kind = MYSQL_INSTANCE.gvk
    empty = CLAIM_MODELS[MYSQL_INSTANCE.group_kind].model_validate(
        {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"name": "db", "namespace": "team", "uid": "1"},
        }
    )
    return empty.model_copy(update={"status": ClaimStatus(conditions=(told,))})


@pytest.mark.parametrize(("since", "seconds"), [(0.2, 1), (4, 4), (3600, 60)])
def test_a_refused_write_is_tried_after_as_long_again_as_it_has_been_refused(
    since: float, seconds: float
) -> None:
    claim = claim_that_says("WriteRefused", since=since)
    assert again(claim, ReadyReason.WRITE_REFUSED, NOW, SETTINGS) == seconds


def test_the_first_refusal_is_tried_again_soon_however_long_the_claim_has_waited() -> None:
    claim = claim_that_says("WaitingForResource", since=3600)
    assert again(claim, ReadyReason.WRITE_REFUSED, NOW, SETTINGS) == 1


def test_a_name_that_somebody_else_has_is_looked_at_now_and_then() -> None:
    claim = claim_that_says("NameConflict", since=0)
    assert again(claim, ReadyReason.NAME_CONFLICT, NOW, SETTINGS) == 60
