"""What the scheduler says on quotas and classes, and which of them a change concerns."""

from __future__ import annotations

from typing import Any

import pytest

from conductor_model.annotations import CLASS_LABEL
from conductor_model.resourceclass import ClassLimits, ClassStatus
from conductor_scheduler.config import SchedulerConfig
from conductor_scheduler.framework import Change
from conductor_scheduler.usage import accounted, status

SCALES = SchedulerConfig().scales


def storage(amount: str) -> dict[str, Any]:
    return {"capacity": {"storage": amount}}


def test_a_quota_shows_what_is_used_of_what(make_claim, make_rds, make_quota, view_of, ref_to):
    bound, quota = make_claim(requirements=storage("20Gi")), make_quota(claims=3, cost=9, **storage("1Ti"))
    view = view_of(bound, quota, make_rds(refs=(ref_to(bound),), capabilities={"cost": "low"}))
    assert status(quota, view, SCALES) == {
        "hard": {"claims": 3, "cost": "9", "capacity": {"storage": "1Ti"}},
        "used": {"claims": 1, "cost": "1", "capacity": {"storage": "20Gi"}},
        "observedGeneration": 1,
    }


def test_a_class_with_limits_shows_what_exists_of_it(make_class, make_rds, view_of):
    source = make_class("fast", limits={"instances": 3})
    view = view_of(source, make_rds(resourceClass="fast", labels={CLASS_LABEL: "fast"}))
    assert status(source, view, SCALES) == {"used": {"instances": 1}, "observedGeneration": 0}


def test_a_class_without_limits_shows_nothing(make_class, view_of):
    source = make_class()
    assert status(source, view_of(source), SCALES) == {}
    formerly = source.model_copy(update={"status": ClassStatus(used=ClassLimits(instances=1))})
    assert status(formerly, view_of(formerly), SCALES) == {"used": None, "observedGeneration": 0}


def concerned(change, view):
    return {key.name for key in accounted(change, view)}


def test_a_claim_concerns_the_quotas_of_its_namespace(make_claim, make_quota, view_of):
    view = view_of(make_quota("mine"), make_quota("theirs", namespace="team-b"))
    claim = make_claim(uid="u")
    larger = make_claim(uid="u", requirements=storage("1Ti"))
    said = make_claim(uid="u", status={"phase": "Pending"})
    assert concerned(Change(claim.key, None, claim), view) == {"mine"}
    assert concerned(Change(claim.key, claim, larger), view) == {"mine"}
    assert concerned(Change(claim.key, claim, None), view) == {"mine"}
    assert concerned(Change(claim.key, claim, said), view) == set()


def test_a_resource_concerns_the_quotas_of_its_claims_and_its_class(
    make_claim, make_rds, make_class, make_quota, view_of, ref_to
):
    view = view_of(make_quota("mine"), make_quota("theirs", namespace="team-b"), make_class("fast"))
    free = make_rds(uid="u", resourceClass="fast")
    bound = make_rds(uid="u", resourceClass="fast", refs=(ref_to(make_claim()),))
    ready = make_rds(
        uid="u", resourceClass="fast", refs=bound.model_dump(by_alias=True)["spec"]["claimRefs"], ready=False
    )
    assert concerned(Change(free.key, free, bound), view) == {"mine", "fast"}
    assert concerned(Change(free.key, bound, None), view) == {"mine", "fast"}
    assert concerned(Change(free.key, bound, ready), view) == set()


@pytest.mark.parametrize("gone", [False, True])
def test_a_limit_range_concerns_the_quotas_of_its_namespace(make_range, make_quota, view_of, gone):
    view, limits = view_of(make_quota("mine"), make_quota("theirs", namespace="team-b")), make_range()
    change = Change(limits.key, limits, None) if gone else Change(limits.key, None, limits)
    assert concerned(change, view) == {"mine"}


def test_a_class_concerns_the_quotas_that_are_about_classes(make_class, make_quota, view_of):
    view = view_of(make_quota("all"), make_quota("some", scope={"classes": ["fast"]}))
    source = make_class()
    assert concerned(Change(source.key, None, source), view) == {"some"}
