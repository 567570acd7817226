"""What is taken of quotas and of classes' limits, and what one more would take too much."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conductor_model.annotations import CLASS_LABEL
from conductor_model.quantity import Quantity
from conductor_scheduler.accounts import beyond, beyond_cost, made, over_limit, price, taken_of
from conductor_scheduler.config import SchedulerConfig
from conductor_scheduler.scales import Scales
from conductor_scheduler.template import draft
from conductor_scheduler.view import View

SCALES = SchedulerConfig().scales
GI = Quantity.parse("1Gi").nanos


def storage(amount: str) -> dict[str, Any]:
    return {"capacity": {"storage": amount}}


def afresh(view):
    """A view of the same things, which has summed up nothing yet."""
    made = View()
    for held in (view.classes, view.limit_ranges, view.claims, view.concretes):
        for key, each in held.items():
            made.put(key, each)
    for uid, reserved in view.reserved.items():
        made.reserve(uid, reserved)
    return made


def has(view, quota):
    amounts = taken_of(quota, view, SCALES)
    assert amounts == taken_of(quota, afresh(view), SCALES), "kept, and out of date"
    return amounts.model_dump(mode="json", exclude_none=True, exclude_defaults=True)


def test_bound_claims_count_and_waiting_ones_do_not(make_claim, make_rds, make_quota, view_of, ref_to):
    bound, waiting = (
        make_claim("a", requirements=storage("20Gi")),
        make_claim("b", requirements=storage("20Gi")),
    )
    quota = make_quota(claims=5, cost=9, **storage("100Gi"))
    view = view_of(bound, waiting, quota, make_rds(refs=(ref_to(bound),), capabilities={"cost": "medium"}))
    assert has(view, quota) == {"claims": 1, "cost": "2", "capacity": {"storage": "20Gi"}}


def test_only_what_the_quota_limits_is_summed(make_claim, make_rds, make_quota, view_of, ref_to):
    bound = make_claim(requirements=storage("20Gi"))
    quota = make_quota(claims=5)
    assert has(view_of(bound, make_rds(refs=(ref_to(bound),))), quota) == {"claims": 1}


def test_claims_of_other_namespaces_do_not_count(make_claim, make_rds, make_quota, view_of, ref_to):
    bound = make_claim()
    quota = make_quota(namespace="team-b", claims=5)
    assert has(view_of(bound, quota, make_rds(refs=(ref_to(bound),))), quota) == {"claims": 0}


def test_a_scope_counts_claims_of_its_kinds_and_classes(
    make_claim, make_rds, make_class, make_quota, view_of, ref_to
):
    mysql, postgresql, plain = make_claim("a"), make_claim("b", kind="PostgreSQLInstance"), make_claim("c")
    view = view_of(
        *(mysql, postgresql, plain, make_class("rds-fast", profile="fast")),
        make_rds("x", refs=(ref_to(mysql),), resourceClass="rds-fast"),
        make_rds("y", refs=(ref_to(postgresql),), resourceClass="rds-fast"),
        make_rds("z", refs=(ref_to(plain),)),
    )
    kind = "mysqlinstance.storage.conductor.io"
    assert has(view, make_quota("a", claims=9, scope={"kinds": [kind]})) == {"claims": 2}
    assert has(view, make_quota("b", claims=9, scope={"classes": ["fast"]})) == {"claims": 2}
    assert has(view, make_quota(claims=9, scope={"classes": ["rds-fast"], "kinds": [kind]})) == {"claims": 1}


def test_a_default_is_what_a_claim_takes(make_claim, make_rds, make_quota, make_range, view_of, ref_to):
    bound = make_claim()
    quota = make_quota(**storage("100Gi"))
    view = view_of(bound, make_range(default=storage("7Gi")), make_rds(refs=(ref_to(bound),)))
    assert has(view, quota) == {"capacity": {"storage": "7Gi"}}


def test_a_claim_counts_while_its_resource_is_being_made(make_claim, make_class, make_quota, view_of):
    claim, source = make_claim(requirements=storage("20Gi")), make_class(capabilities={"cost": "3.5"})
    quota = make_quota(claims=5, cost=9, **storage("100Gi"))
    view = view_of(claim, source, quota)
    made_one = draft(claim, source).concrete
    view.reserve(claim.uid, made_one)
    once = {"claims": 1, "cost": "3500m", "capacity": {"storage": "20Gi"}}
    assert has(view, quota) == once
    view.put(made_one.key, made_one)
    assert has(view, quota) == once


def test_a_claim_that_is_gone_frees_the_quota_though_its_resource_is_still_being_deleted(
    make_claim, make_rds, make_quota, view_of, ref_to
):
    gone, quota = make_claim(), make_quota(claims=5)
    assert has(view_of(make_rds(refs=(ref_to(gone),), deleted=True)), quota) == {"claims": 0}


def test_a_claim_of_which_nothing_is_known_takes_all_that_its_resource_has(
    make_claim, make_rds, make_quota, view_of, ref_to
):
    """A missing message is no proof that it is gone."""
    unknown, quota = make_claim(), make_quota(claims=5, **storage("100Gi"))
    view = view_of(make_rds(storage="50Gi", refs=(ref_to(unknown),)))
    assert has(view, quota) == {"claims": 1, "capacity": {"storage": "50Gi"}}


def test_a_released_place_does_not_count(make_claim, make_rds, make_quota, view_of, ref_to):
    former, quota = make_claim(), make_quota(claims=5)
    view = view_of(make_rds(refs=(ref_to(former, releasedAt="2026-01-01T00:00:00Z"),)))
    assert has(view, quota) == {"claims": 0}


@pytest.mark.parametrize(
    ("hard", "asked", "said"),
    [
        ({"claims": 2}, {}, ["claims: 2 used + 1 asked > 2 hard"]),
        ({"claims": 3}, {}, []),
        (storage("64Gi"), {"storage": "25Gi"}, ["capacity.storage: 40Gi used + 25Gi asked > 64Gi hard"]),
        (storage("65Gi"), {"storage": "25Gi"}, []),
        (storage("1Ti"), {}, ["capacity.storage: is limited, so the claim must ask for it"]),
        (
            {"claims": 0, **storage("1Gi")},
            {"storage": "1Gi"},
            ["claims: 2 used + 1 asked > 0 hard", "capacity.storage: 40Gi used + 1Gi asked > 1Gi hard"],
        ),
    ],
)
def test_too_many_claims_and_too_much_capacity_are_told_in_numbers(
    make_quota, taken_by_two, hard, asked, said
):
    quota = make_quota("team", **hard)
    capacity = {name: Quantity.parse(amount) for name, amount in asked.items()}
    assert beyond(quota, taken_of(quota, taken_by_two, SCALES), capacity) == said


@pytest.mark.parametrize(
    ("most", "cost", "said"),
    [
        (4, "high", ["cost: 2 used + 3 asked > 4 hard"]),
        (5, "high", []),
        (5, "3.5", ["cost: 2 used + 3500m asked > 5 hard"]),
        (1, "free-tier", ["cost: 2 used + 0 asked > 1 hard"]),
        (5, None, ["cost: is limited, so the resource must state it, as a number or a tier of the scale"]),
        (5, "dear", ["cost: is limited, so the resource must state it, as a number or a tier of the scale"]),
    ],
)
def test_too_high_a_cost_is_told_in_numbers(make_quota, taken_by_two, most, cost, said):
    quota = make_quota("team", cost=most)
    assert beyond_cost(quota, taken_of(quota, taken_by_two, SCALES), price(cost, SCALES)) == said


@pytest.fixture
def taken_by_two(make_claim, make_rds, view_of, ref_to):
    """A world in which two claims of 20Gi have resources that cost one each."""
    claims = [make_claim(name, requirements=storage("20Gi")) for name in "ab"]
    resources = [
        make_rds(each.metadata.name, refs=(ref_to(each),), capabilities={"cost": "low"}) for each in claims
    ]
    return view_of(*claims, *resources)


def test_a_cost_below_nothing_counts_as_nothing():
    assert price("-5", SCALES) == Quantity(0)


def test_other_scales_give_other_sums(make_quota, taken_by_two):
    quota = make_quota(cost=9)
    assert str(taken_of(quota, taken_by_two, SCALES).cost) == "2"
    assert str(taken_of(quota, taken_by_two, Scales(cost=("nothing", "little", "low"))).cost) == "4"


def test_what_was_made_from_a_class_counts_until_it_is_gone(
    make_claim, make_rds, make_class, view_of, ref_to
):
    former, source = make_claim("former"), make_class("fast", limits={"instances": 4, **storage("1Ti")})
    mine = {"resourceClass": "fast", "labels": {CLASS_LABEL: "fast"}}
    view = view_of(
        source,
        make_rds("released", refs=(ref_to(former, releasedAt="2026-01-01T00:00:00Z"),), **mine),
        make_rds("leaving", deleted=True, **mine),
        make_rds("by-hand", resourceClass="fast"),
        make_rds("of-another", resourceClass="slow", labels={CLASS_LABEL: "slow"}),
    )
    assert made(source, view).instances == 2
    assert made(source, view).capacity == {"storage": Quantity.parse("100Gi")}


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"instances": 1}, "limit of 1 instances is reached: there are 1"),
        ({"instances": 2}, None),
        (storage("90Gi"), "limit of capacity.storage 90Gi is reached: 50Gi exists, 50Gi more is needed"),
        (storage("100Gi"), None),
        (None, None),
    ],
)
def test_a_class_makes_no_more_than_its_limits(make_claim, make_class, view_of, limits, said):
    first, second, source = make_claim("a"), make_claim("b"), make_class(storage="50Gi", limits=limits)
    view = view_of(first, second, source)
    view.reserve(first.uid, draft(first, source).concrete)
    assert over_limit(source, draft(second, source).concrete, view) == said


STEPS = [
    "bind",
    "bind dear",
    "release",
    "leave",
    "make",
    "give up",
    "forget",
    "know",
    "ask more",
    "default",
    "no default",
]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 3), st.booleans()), max_size=30))
def test_sums_follow_whatever_happens(
    make_claim, make_rds, make_class, make_quota, make_range, view_of, ref_to, history
):
    """Sums that are kept up to date are those that a fresh view comes to."""
    sized = storage("2Gi")
    claims = [make_claim(f"c{i}", uid=f"c{i}", requirements=sized if i % 2 else {}) for i in range(4)]
    quotas = [
        make_quota("all", claims=99, cost=99, **storage("1Ti")),
        make_quota("fast", claims=99, scope={"classes": ["fast"]}),
    ]
    source, limits = make_class("rds", profile="fast"), make_range(default=storage("5Gi"))
    view = view_of(source)
    for step, index, look in history:
        claim = claims[index]
        refs = (ref_to(claim),)
        name = {"name": f"r{index}", "uid": f"r{index}", "resourceClass": "rds"}
        match step:
            case "bind":
                resource = make_rds(refs=refs, **name)
                view.put(resource.key, resource)
            case "bind dear":
                resource = make_rds(refs=refs, capabilities={"cost": "high"}, **name)
                view.put(resource.key, resource)
            case "release":
                resource = make_rds(**name)
                view.put(resource.key, resource)
            case "leave":
                resource = make_rds(refs=refs, deleted=True, **name)
                view.put(resource.key, resource)
            case "make":
                view.reserve(claim.uid, draft(claim, source).concrete)
            case "give up":
                view.end_reservation(claim.uid)
            case "forget":
                view.forget(claim.key)
            case "know":
                view.put(claim.key, claim)
            case "ask more":
                more = make_claim(f"c{index}", uid=f"c{index}", requirements=storage("7Gi"))
                view.put(more.key, more)
            case "default":
                view.put(limits.key, limits)
            case "no default":
                view.forget(limits.key)
        if look:
            for quota in quotas:
                has(view, quota)
    for quota in quotas:
        has(view, quota)
