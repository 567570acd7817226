"""What a claim has of its resource, and takes of its quotas, was fixed when it was bound."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from conductor_model.claims import ClaimCondition
from conductor_model.conditions import condition
from conductor_model.quantity import Quantity
from conductor_scheduler.accounts import taken_of
from conductor_scheduler.catalog import remaining_capacity
from conductor_scheduler.config import SchedulerConfig
from conductor_scheduler.decide import Bind, Provision, Wait, committed, decide
from conductor_scheduler.policy import Policy
from conductor_scheduler.status import bound

POLICY = Policy(SchedulerConfig())
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def asks(storage):
    return {"requirements": {"capacity": {"storage": storage}}}


def storage_left(view, concrete):
    return str(remaining_capacity(concrete, view)["storage"])


def storage_taken(view, quota):
    return str(taken_of(quota, view, POLICY.scales).capacity["storage"])


@pytest.fixture
def enlarged(make_claim, make_rds, make_quota, view_of):
    """A claim that asked for 10Gi, was bound, and asks for 40Gi before its status says so."""
    claim, shared = make_claim(**asks("10Gi")), make_rds(storage="50Gi", maxClaims=3)
    quota = make_quota(capacity={"storage": "50Gi"})
    view = view_of(claim, shared, quota)
    resource = committed(claim, shared)
    view.put(resource.key, resource)
    view.put(claim.key, make_claim(uid=claim.uid, **asks("40Gi")))
    return view, resource, quota


def test_a_claim_that_grows_after_its_binding_takes_what_it_was_granted(enlarged):
    view, resource, quota = enlarged
    assert storage_left(view, resource) == "40Gi"
    assert storage_taken(view, quota) == "10Gi"


def test_a_claim_that_grew_keeps_nobody_from_what_it_was_not_granted(enlarged, make_claim):
    view, *_ = enlarged
    next_one = make_claim("next", **asks("40Gi"))
    view.put(next_one.key, next_one)
    assert isinstance(decide(next_one, view, POLICY), Bind)


def test_a_claim_that_shrank_gives_nothing_back(make_claim, make_rds, view_of):
    claim, shared = make_claim(**asks("40Gi")), make_rds(storage="50Gi", maxClaims=3)
    resource = committed(claim, shared)
    next_one = make_claim("next", **asks("20Gi"))
    view = view_of(make_claim(uid=claim.uid, **asks("1Gi")), resource, next_one)
    assert isinstance(decide(next_one, view, POLICY), Wait)


def test_the_claim_is_told_that_it_has_what_it_asked_for_then(enlarged):
    view, resource, _ = enlarged
    (claim,) = view.claims.values()
    said = condition(bound(claim, resource, None, NOW).conditions, ClaimCondition.BOUND)
    assert said is not None
    assert said.message.endswith("it was granted what it asked for then: capacity.storage 10Gi, not 40Gi")


def test_a_claim_that_has_what_it_asks_for_is_told_nothing_of_it(make_claim, make_rds):
    claim = make_claim(**asks("10Gi"))
    resource = committed(claim, make_rds())
    said = condition(bound(claim, resource, None, NOW).conditions, ClaimCondition.BOUND)
    assert said is not None
    assert said.message == "bound to RDSInstance conductor-system/rds"


def test_a_default_that_rises_later_leaves_what_is_bound_as_it_was(
    make_claim, make_rds, make_range, make_quota, view_of
):
    claim, shared = make_claim(), make_rds(storage="50Gi", maxClaims=3)
    quota = make_quota(capacity={"storage": "50Gi"})
    view = view_of(claim, shared, quota, make_range(default=asks("10Gi")["requirements"]))
    resource = committed(view.as_read(claim), shared)
    view.put(resource.key, resource)
    raised = make_range(default=asks("50Gi")["requirements"])
    view.put(raised.key, raised)
    assert storage_left(view, resource) == "40Gi"
    assert storage_taken(view, quota) == "10Gi"


def test_a_resource_that_is_made_records_what_its_claim_was_granted(
    make_claim, make_class, make_range, view_of
):
    claim = make_claim()
    view = view_of(claim, make_class(), make_range(default=asks("10Gi")["requirements"]))
    decision = decide(claim, view, POLICY)
    assert isinstance(decision, Provision)
    (ref,) = decision.draft.concrete.spec.claim_refs
    assert ref.capacity == {"storage": Quantity.parse("10Gi")}
    assert decision.draft.body["spec"]["claimRefs"][0]["capacity"] == {"storage": "10Gi"}


def test_a_claim_of_which_nothing_is_known_takes_what_it_was_granted(
    make_claim, make_rds, make_quota, view_of
):
    unknown, quota = make_claim(**asks("10Gi")), make_quota(capacity={"storage": "50Gi"})
    resource = committed(unknown, make_rds(storage="50Gi", maxClaims=3))
    next_one = make_claim("next", **asks("40Gi"))
    view = view_of(resource, quota, next_one)
    assert storage_taken(view, quota) == "10Gi"
    assert isinstance(decide(next_one, view, POLICY), Bind), "no need to know more of it"


def test_an_entry_that_says_nothing_of_capacity_counts_as_its_claim_asks(
    make_claim, make_rds, make_quota, view_of, ref_to
):
    """By hand, or from before entries said so."""
    claim, quota = make_claim(**asks("10Gi")), make_quota(capacity={"storage": "50Gi"})
    resource = make_rds(storage="50Gi", refs=(ref_to(claim),), maxClaims=3)
    view = view_of(claim, resource, quota)
    assert storage_left(view, resource) == "40Gi"
    assert storage_taken(view, quota) == "10Gi"


def test_a_claim_that_asked_for_nothing_was_granted_nothing(make_claim, make_rds, view_of):
    claim = make_claim()
    resource = committed(claim, make_rds(storage="50Gi", maxClaims=2))
    view = view_of(make_claim(uid=claim.uid, **asks("40Gi")), resource)
    assert storage_left(view, resource) == "50Gi"
