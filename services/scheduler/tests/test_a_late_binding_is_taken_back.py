"""A leader that was stopped in the middle of a write, deposed, and goes on: what it gave then is not kept beyond a limit.

Only a binding that its claim was never told of is taken back. Nobody can use it, because connections follow the claim.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from conductor_scheduler.config import SchedulerConfig
from conductor_scheduler.decide import Bind, Keep, TakeBack, Wait, committed, decide
from conductor_scheduler.policy import Policy
from conductor_scheduler.release import let_go, rewritten
from conductor_scheduler.template import draft

POLICY = Policy(SchedulerConfig())
NOW = datetime(2026, 11, 21, tzinfo=UTC)
WAITS = {
    "conditions": [{"type": "Scheduled", "status": "False", "reason": "QuotaExceeded", "message": "0/1 fit"}]
}
GI = {"requirements": {"capacity": {"storage": "10Gi"}}}


def told_of(resource):
    where = {"apiVersion": resource.api_version, "kind": resource.kind}
    place = {"namespace": resource.metadata.namespace, "name": resource.metadata.name, "uid": resource.uid}
    return {"phase": "Bound", "boundResource": {**where, **place}}


@pytest.fixture
def late_and_told(make_claim, make_rds, view_of):
    """Of two claims that have a resource one was told of it, and one was not."""

    def build(*limits, cost=None):
        late, first = make_claim("late", status=WAITS, **GI), make_claim("first", **GI)
        one, other = (make_rds(name, capabilities={"cost": cost}) for name in ("one", "other"))
        first = make_claim("first", uid=first.uid, status=told_of(other), **GI)
        return late, first, view_of(late, first, committed(late, one), committed(first, other), *limits)

    return build


@pytest.mark.parametrize(
    ("hard", "told"),
    [
        ({"claims": 1}, "claims: 2 used > 1 hard"),
        ({"capacity": {"storage": "15Gi"}}, "capacity.storage: 20Gi used > 15Gi hard"),
        ({"cost": 3}, "cost: 4 used > 3 hard"),
    ],
)
def test_the_binding_that_nobody_was_told_of_is_taken_back(late_and_told, make_quota, hard, told):
    late, first, view = late_and_told(make_quota(**hard), cost="2")
    decision = decide(late, view, POLICY)
    assert isinstance(decision, TakeBack)
    assert (decision.reason, decision.message) == (
        "QuotaExceeded",
        f"one was bound too late: quota quota: {told}",
    )
    assert isinstance(decide(first, view, POLICY), Keep)


def test_within_the_quota_a_late_binding_stands(late_and_told, make_quota):
    late, _, view = late_and_told(make_quota(claims=2, capacity={"storage": "20Gi"}))
    assert isinstance(decide(late, view, POLICY), Keep)


def test_a_quota_that_is_not_about_the_claim_takes_nothing_back(late_and_told, make_quota):
    scope = {"kinds": ["PostgreSQLInstance.storage.conductor.io"]}
    late, _, view = late_and_told(
        make_quota(claims=0, scope=scope), make_quota("else", namespace="else", claims=0)
    )
    assert isinstance(decide(late, view, POLICY), Keep)


@pytest.mark.parametrize(
    "status",
    [
        {"binding": {"name": "db"}},
        {"conditions": [{"type": "Bound", "status": "True", "reason": "Bound", "message": ""}]},
    ],
    ids=["it has a connection", "it says Bound"],
)
def test_what_a_claim_was_ever_told_of_is_not_taken_back(make_claim, make_rds, make_quota, view_of, status):
    """Also where a part of its status was lost."""
    claim = make_claim(status=status, **GI)
    view = view_of(claim, committed(claim, make_rds()), make_quota(claims=0))
    assert isinstance(decide(claim, view, POLICY), Keep)


def test_a_status_that_is_empty_proves_nothing_of_an_old_claim(make_claim, make_rds, make_quota, view_of):
    """Somebody erased it, or restored the claim without it: its database stays."""
    bare = make_claim(**GI)
    claim = bare.model_copy(update={"metadata": bare.metadata.model_copy(update={"creation_timestamp": NOW})})
    view = view_of(claim, committed(claim, make_rds()), make_quota(claims=0))
    assert isinstance(decide(claim, view, POLICY, now=NOW + timedelta(seconds=9)), TakeBack)
    assert isinstance(decide(claim, view, POLICY, now=NOW + timedelta(hours=1)), Keep)
    assert isinstance(decide(claim, view, POLICY), Keep)


def test_of_two_that_nobody_was_told_of_one_stands(make_claim, make_rds, make_quota, view_of):
    """Both leaders died before they told. Decisions are serial: what one lets go the other may keep."""
    claims = [make_claim(name, status=WAITS, **GI) for name in "ab"]
    bound = [committed(claim, make_rds(claim.metadata.name)) for claim in claims]
    view = view_of(*claims, *bound, make_quota(claims=1))
    assert isinstance(decide(claims[0], view, POLICY), TakeBack)
    view.assume(rewritten(bound[0], let_go(bound[0], claims[0]), NOW))
    assert isinstance(decide(claims[1], view, POLICY), Keep)
    assert isinstance(decide(claims[0], view, POLICY), Wait)


def test_a_resource_made_too_late_is_taken_back_where_its_class_makes_no_more(
    make_claim, make_class, view_of
):
    late, first = make_claim("late", status=WAITS, **GI), make_claim("first", **GI)
    source = make_class(limits={"instances": 1})
    made = draft(late, source).concrete
    other = draft(first, source).concrete
    view = view_of(late, first, source, made, other)
    decision = decide(late, view, POLICY)
    assert isinstance(decision, TakeBack)
    assert decision.reason == "LimitReached"
    assert decision.message.endswith("too late: class rds-performance: instances: 2 exist > 1 may")


def test_what_stays_when_it_is_let_go_is_not_let_go_for_its_class(make_claim, make_class, view_of):
    """It would exist all the same: nothing is won."""
    claim, source = make_claim(status=WAITS, **GI), make_class(limits={"instances": 0}, rebindPolicy="Retain")
    view = view_of(claim, source, draft(claim, source).concrete)
    assert isinstance(decide(claim, view, POLICY), Keep)


def test_after_it_was_taken_back_the_claim_waits_for_the_quota_as_any_other(
    late_and_told, make_quota, make_rds
):
    late, _, view = late_and_told(quota := make_quota(claims=1))
    (bound,) = view.bound_to(late.uid)
    freed = rewritten(bound, let_go(bound, late), NOW)
    view.put(freed.key, freed)
    decision = decide(late, view, POLICY)
    assert isinstance(decision, Wait)
    assert decision.reason == "QuotaExceeded"
    view.forget(quota.key)
    assert isinstance(decide(late, view, POLICY), Bind)
