"""Limit ranges, quotas and classes' limits in decisions: what they refuse, what they say, and what ends it."""

from __future__ import annotations

from typing import Any

import pytest

from conductor_model.annotations import CLASS_LABEL
from conductor_model.kinds import CLAIM_QUOTA
from conductor_model.meta import KubeObject
from conductor_model.refs import ObjectKey
from conductor_scheduler.config import SchedulerConfig
from conductor_scheduler.decide import Bind, Provision, Wait, committed, decide, helped, nominated
from conductor_scheduler.explain import explain
from conductor_scheduler.policy import Policy
from conductor_scheduler.view import Unreadable

POLICY = Policy(SchedulerConfig())


def storage(amount: str) -> dict[str, Any]:
    return {"capacity": {"storage": amount}}


def asking(amount: str) -> dict[str, Any]:
    return {"requirements": storage(amount)}


def test_a_claim_outside_its_limit_range_waits_whatever_is_offered(make_claim, make_range, make_rds, view_of):
    claim = make_claim(**asking("40Gi"))
    view = view_of(claim, make_range("team", max=storage("20Gi")), make_rds())
    decision = decide(claim, view, POLICY)
    assert (decision.reason, decision.message) == (
        "LimitRangeViolated",
        "requirements.capacity.storage 40Gi is more than the maximum 20Gi of team",
    )


def test_candidates_are_judged_by_what_a_default_asks_for(make_claim, make_range, make_rds, view_of):
    claim = make_claim()
    view = view_of(
        claim, make_range(default=storage("60Gi")), make_rds("small"), make_rds("large", storage="60Gi")
    )
    assert decide(claim, view, POLICY).concrete.metadata.name == "large"


def test_a_default_takes_its_part_of_a_shared_resource(make_claim, make_range, make_rds, view_of, ref_to):
    first, second = make_claim("a"), make_claim("b")
    shared = make_rds(storage="50Gi", maxClaims=2, refs=(ref_to(first),))
    limits = make_range(default=storage("30Gi"))
    view = view_of(first, second, shared)
    assert isinstance(decide(second, view, POLICY), Bind)
    view.put(limits.key, limits)
    assert "capacity.storage 20Gi < 30Gi" in decide(second, view, POLICY).message


def test_of_two_claims_that_together_exceed_a_quota_one_is_bound(make_claim, make_quota, make_rds, view_of):
    claims = [make_claim(name, **asking("30Gi")) for name in "ab"]
    quota = make_quota("team", **storage("50Gi"))
    view = view_of(*claims, quota, make_rds("x"), make_rds("y"))
    first = decide(claims[0], view, POLICY)
    view.assume(committed(claims[0], first.concrete))
    second = decide(claims[1], view, POLICY)
    assert (second.reason, second.message) == (
        "QuotaExceeded",
        "quota team: capacity.storage: 30Gi used + 30Gi asked > 50Gi hard",
    )


def test_a_resource_that_is_being_made_counts(make_claim, make_quota, make_class, view_of):
    first, second = make_claim("a"), make_claim("b")
    view = view_of(first, second, make_quota(claims=1), make_class())
    made = decide(first, view, POLICY)
    assert isinstance(made, Provision)
    view.reserve(first.uid, made.draft.concrete)
    assert decide(second, view, POLICY).reason == "QuotaExceeded"
    view.end_reservation(first.uid)
    assert isinstance(decide(second, view, POLICY), Provision)


def test_what_a_quota_on_a_class_forbids_is_passed_over(
    make_claim, make_quota, make_rds, make_class, view_of, ref_to
):
    holder, claim = make_claim("holder"), make_claim()
    view = view_of(
        *(holder, claim, make_class("fast"), make_class("slow")),
        make_quota("few", scope={"classes": ["fast"]}, claims=1),
        make_rds("taken", refs=(ref_to(holder),), resourceClass="fast"),
        make_rds("a-fast-one", resourceClass="fast"),
        make_rds("slow-one", resourceClass="slow"),
    )
    assert decide(claim, view, POLICY).concrete.metadata.name == "slow-one"


def test_a_claim_that_only_a_quota_s_class_would_suit_says_so(make_claim, make_quota, make_rds, view_of):
    claim = make_claim()
    quota = make_quota("none", scope={"classes": ["fast"]}, claims=0)
    view = view_of(claim, quota, make_rds("a", resourceClass="fast"), make_rds("b", ready=False))
    decision = decide(claim, view, POLICY)
    assert decision.reason == "QuotaExceeded"
    assert "a: quota none: claims: 0 used + 1 asked > 0 hard" in decision.message


def test_a_quota_on_cost_leaves_over_what_is_cheap_enough(make_claim, make_quota, make_rds, view_of):
    claim = make_claim()
    dear = make_rds("a-dear-one", capabilities={"cost": "high"})
    cheap = make_rds("cheap", storage="500Gi", capabilities={"cost": "low"})
    unstated = make_rds("an-unstated-one")
    view = view_of(claim, make_quota(cost=2), dear, cheap, unstated)
    assert decide(claim, view, POLICY).concrete.metadata.name == "cheap"
    view.forget(cheap.key)
    told = decide(claim, view, POLICY).message
    assert "a-dear-one: quota quota: cost: 0 used + 3 asked > 2 hard" in told


def test_all_quotas_of_a_namespace_hold_and_those_of_others_do_not(make_claim, make_quota, make_rds, view_of):
    claim = make_claim()
    view = view_of(
        claim, make_quota("other", namespace="team-b", claims=0), make_quota("wide", claims=9), make_rds()
    )
    assert isinstance(decide(claim, view, POLICY), Bind)
    narrow = make_quota("narrow", claims=0)
    view.put(narrow.key, narrow)
    assert decide(claim, view, POLICY).message == "quota narrow: claims: 0 used + 1 asked > 0 hard"


def test_a_bound_claim_stays_bound_when_a_limit_is_lowered(
    make_claim, make_quota, make_range, make_rds, view_of, ref_to
):
    told = {"conditions": [{"type": "Bound", "status": "True", "reason": "Bound", "message": ""}]}
    claim = make_claim(status=told, **asking("30Gi"))
    view = view_of(
        claim, make_quota(claims=0), make_range(max=storage("1Gi")), make_rds(refs=(ref_to(claim),))
    )
    assert type(decide(claim, view, POLICY)).__name__ == "Keep"


def test_a_bound_claim_is_not_told_that_its_own_resource_exceeds_the_quota(
    make_claim, make_quota, make_rds, view_of, ref_to
):
    claim = make_claim()
    quota = make_quota(claims=1, scope={"classes": ["fast"]})
    view = view_of(claim, quota, make_rds(refs=(ref_to(claim),), resourceClass="fast"))
    (row,) = explain(claim, view, POLICY)["candidates"]
    assert "quota" not in str(row)


def test_a_quota_that_cannot_be_read_holds_the_claims_of_its_namespace_back(make_claim, make_rds, view_of):
    claim, key = make_claim(), ObjectKey(CLAIM_QUOTA.group_kind, "team-a", "team")
    head = {"apiVersion": "core.conductor.io/v1alpha1", "kind": "ClaimQuota"}
    unread = KubeObject.model_validate(
        {**head, "metadata": {"name": "team", "namespace": "team-a", "uid": "u"}}
    )
    view = view_of(claim, make_rds())
    view.put(key, Unreadable(unread, "spec.hard: is strange"))
    decision = decide(claim, view, POLICY)
    assert (decision.reason, decision.message) == (
        "LimitsUnreadable",
        "ClaimQuota team cannot be read: spec.hard: is strange",
    )
    view.forget(key)
    assert isinstance(decide(claim, view, POLICY), Bind)


def test_a_class_at_its_limit_is_passed_over_and_says_so(make_claim, make_class, view_of):
    claims = [make_claim(name) for name in "abc"]
    best, other = (
        make_class("best", storage="10Gi", limits={"instances": 1}),
        make_class("other", storage="20Gi"),
    )
    view = view_of(*claims, best, other)
    chosen = []
    for claim in claims[:2]:
        made = decide(claim, view, POLICY)
        chosen.append(made.source.metadata.name)
        view.reserve(claim.uid, made.draft.concrete)
    assert chosen == ["best", "other"]
    view.forget(other.key)
    decision = decide(claims[2], view, POLICY)
    assert decision.message == "0/1 fit: best: limit of 1 instances is reached: there are 1"


def test_for_a_claim_that_its_quota_holds_back_no_room_is_kept(
    make_claim, make_quota, make_rds, view_of, ref_to
):
    holder, claim = make_claim("holder", **asking("30Gi")), make_claim(**asking("40Gi"))
    view = view_of(holder, claim, make_rds(maxClaims=3, refs=(ref_to(holder),)))
    assert nominated(claim, view, POLICY) is not None
    quota = make_quota(claims=1)
    view.put(quota.key, quota)
    assert nominated(claim, view, POLICY) is None


class Waiting:
    """Claims that wait for what limits refuse, and whom of them a change wakes."""

    def __init__(self, view, *claims):
        self.view = view
        for claim in claims:
            view.put(claim.key, claim)
        self.refused = {}
        for claim in claims:
            decision = decide(claim, view, POLICY)
            assert isinstance(decision, Wait), decision
            self.refused[claim.key] = decision.refused_by
        view.catalog.changes()

    def woken_by(self, change):
        told = []
        self.view.on_change = self.view.on_freed = told.append
        change()
        found = [helped(each, self.refused, self.view, POLICY) for each in told]
        return {claim.metadata.name for each in found for claim in each}


@pytest.fixture
def full(make_claim, make_quota, make_rds, view_of, ref_to):
    """A namespace whose quota has 30Gi of its 50Gi left, and a free resource."""
    holder = make_claim("holder", **asking("20Gi"))
    bound = make_rds("bound", uid="bound", refs=(ref_to(holder),))
    return view_of(holder, make_quota("team", **storage("50Gi")), bound, make_rds("free")), holder, bound


def test_what_a_claim_frees_wakes_those_for_whom_it_is_enough(make_claim, full):
    view, _, bound = full
    waiting = Waiting(view, make_claim("enough", **asking("40Gi")), make_claim("too-much", **asking("60Gi")))
    assert waiting.woken_by(lambda: view.forget(bound.key)) == {"enough"}


def test_a_claim_of_which_nothing_is_known_any_more_wakes_nobody_yet(make_claim, full):
    view, holder, _ = full
    waiting = Waiting(view, make_claim("a", **asking("40Gi")))
    assert waiting.woken_by(lambda: view.forget(holder.key)) == set()


def test_a_bound_claim_that_asks_for_less_wakes_others(make_claim, full):
    view, holder, _ = full
    less = make_claim("holder", uid=holder.uid, **asking("5Gi"))
    waiting = Waiting(view, make_claim("a", **asking("40Gi")))
    assert waiting.woken_by(lambda: view.put(less.key, less)) == {"a"}


def test_a_quota_that_is_changed_or_gone_wakes_the_claims_of_its_namespace(make_claim, make_quota, full):
    view, _, _ = full
    waiting = Waiting(view, make_claim("a", **asking("40Gi")))
    raised, gone = make_quota("team", **storage("55Gi")), make_quota("team")
    assert waiting.woken_by(lambda: view.put(raised.key, raised)) == {"a"}
    assert waiting.woken_by(lambda: view.forget(gone.key)) == {"a"}


def test_what_the_scheduler_says_on_a_quota_wakes_nobody(make_claim, full):
    view, _, _ = full
    (quota,) = view.quotas.values()
    said = quota.model_copy(update={"status": quota.status.model_copy(update={"observed_generation": 7})})
    waiting = Waiting(view, make_claim("a", **asking("40Gi")))
    assert waiting.woken_by(lambda: view.put(said.key, said)) == set()


def test_a_resource_that_could_not_be_made_wakes_those_whom_its_place_was_refused(
    make_claim, make_quota, make_class, view_of
):
    first, second = make_claim("first"), make_claim("second")
    view = view_of(first, make_quota(claims=1), make_class())
    view.reserve(first.uid, decide(first, view, POLICY).draft.concrete)
    waiting = Waiting(view, second)
    assert waiting.woken_by(lambda: view.end_reservation(first.uid)) == {"second"}


def test_a_limit_range_that_is_changed_wakes_the_claims_that_it_refused(make_claim, make_range, view_of):
    view = view_of(
        make_range("team", max=storage("1Gi")), make_range("theirs", namespace="team-b", max=storage("1Gi"))
    )
    waiting = Waiting(view, make_claim("a", **asking("40Gi")))
    wider = make_range("team", max=storage("50Gi"))
    assert waiting.woken_by(lambda: view.put(wider.key, wider)) == {"a"}
    theirs = make_range("theirs", namespace="team-b", max=storage("9Gi"))
    assert waiting.woken_by(lambda: view.put(theirs.key, theirs)) == set()


def test_another_default_wakes_the_claims_that_it_is_read_into(make_claim, make_range, make_rds, view_of):
    view = view_of(make_range("team", default=storage("60Gi")), make_rds())
    waiting = Waiting(view, make_claim("silent"))
    smaller = make_range("team", default=storage("50Gi"))
    assert waiting.woken_by(lambda: view.put(smaller.key, smaller)) == {"silent"}


def test_a_resource_of_a_class_at_its_limit_wakes_when_it_is_gone_and_not_before(
    make_claim, make_class, make_rds, view_of
):
    mine = {"resourceClass": "rds", "labels": {CLASS_LABEL: "rds"}, "uid": "u"}
    existing, leaving = make_rds("one", ready=False, **mine), make_rds("one", deleted=True, **mine)
    view = view_of(make_class("rds", limits={"instances": 1}), existing)
    waiting = Waiting(view, make_claim("a"))
    assert waiting.woken_by(lambda: view.put(leaving.key, leaving)) == set()
    assert waiting.woken_by(lambda: view.forget(leaving.key)) == {"a"}
