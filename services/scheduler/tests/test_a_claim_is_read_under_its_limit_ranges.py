"""Defaults, minimum and maximum of a namespace's limit ranges."""

from __future__ import annotations

from typing import Any

import pytest

from conductor_model.quantity import Quantity
from conductor_scheduler.config import SchedulerConfig
from conductor_scheduler.ranges import as_read, violations

SCALES = SchedulerConfig().scales


def storage(amount: str) -> dict[str, Any]:
    return {"capacity": {"storage": amount}}


def test_a_claim_that_says_nothing_asks_for_the_default(make_claim, make_range):
    read = as_read(make_claim(), [make_range(default={**storage("10Gi"), "region": "europe", "cost": "low"})])
    said = read.spec.requirements
    assert (said.capacity, said.region, said.cost) == ({"storage": Quantity.parse("10Gi")}, "europe", "low")


def test_what_a_claim_says_goes_before_the_default(make_claim, make_range):
    claim = make_claim(requirements={**storage("20Gi"), "cost": "high"})
    read = as_read(claim, [make_range(default={"capacity": {"storage": "10Gi", "iops": 100}, "cost": "low"})])
    assert read.spec.requirements.capacity == {"storage": Quantity.parse("20Gi"), "iops": Quantity.parse(100)}
    assert read.spec.requirements.cost == "high"


def test_without_a_default_a_claim_asks_for_the_minimum(make_claim, make_range):
    limits = make_range(min={**storage("5Gi"), "performance": "medium"}, max=storage("50Gi"))
    said = as_read(make_claim(), [limits]).spec.requirements
    assert (said.capacity, said.performance) == ({"storage": Quantity.parse("5Gi")}, "medium")


def test_without_a_default_a_claim_accepts_no_cost_above_the_maximum(make_claim, make_range):
    assert as_read(make_claim(), [make_range(max={"cost": "low"})]).spec.requirements.cost == "low"


def test_a_claim_that_says_nothing_does_not_ask_for_the_maximum(make_claim, make_range):
    claim = make_claim()
    assert as_read(claim, [make_range(max={**storage("50Gi"), "performance": "high"})]) is claim


def test_of_several_ranges_the_first_by_name_is_heard(make_claim, make_range, view_of):
    view = view_of(make_range("b", default=storage("2Gi")), make_range("a", default=storage("1Gi")))
    read = as_read(make_claim(), view.limit_ranges_in("team-a"))
    assert read.spec.requirements.capacity == {"storage": Quantity.parse("1Gi")}


def test_a_default_goes_before_another_range_s_minimum(make_claim, make_range):
    ranges = [make_range("a", min=storage("5Gi")), make_range("b", default=storage("7Gi"))]
    assert as_read(make_claim(), ranges).spec.requirements.capacity == {"storage": Quantity.parse("7Gi")}


def test_a_range_is_about_the_kinds_of_its_scope_only(make_claim, make_range):
    scope = {"kinds": ["PostgreSQLInstance.storage.conductor.io"]}
    limits = make_range(scope=scope, default=storage("10Gi"), max=storage("10Gi"))
    claim = make_claim(requirements=storage("20Gi"))
    assert as_read(claim, [limits]) is claim
    assert violations(claim, [limits], SCALES) == []
    assert violations(
        make_claim(kind="PostgreSQLInstance", requirements=storage("20Gi")), [limits], SCALES
    ) == ["requirements.capacity.storage 20Gi is more than the maximum 10Gi of range"]


@pytest.mark.parametrize(
    ("said", "limits", "broken"),
    [
        (storage("4Gi"), {"min": storage("5Gi")}, "capacity.storage 4Gi is less than the minimum 5Gi"),
        (storage("6Gi"), {"max": storage("5Gi")}, "capacity.storage 6Gi is more than the maximum 5Gi"),
        (storage("1024Mi"), {"max": storage("1Gi"), "min": storage("1Gi")}, None),
        ({"cost": "high"}, {"max": {"cost": "medium"}}, "cost high is more than the maximum medium"),
        ({"cost": "2.5"}, {"max": {"cost": "2"}}, "cost 2.5 is more than the maximum 2"),
        ({"cost": "low"}, {"max": {"cost": "medium"}}, None),
        ({"cost": "cheap"}, {"max": {"cost": "medium"}}, "cost cheap is more than the maximum medium"),
        (
            {"performance": "high"},
            {"max": {"performance": "low"}},
            "performance high is more than the maximum low",
        ),
        (
            {"performance": "low"},
            {"min": {"performance": "high"}},
            "performance low is less than the minimum high",
        ),
    ],
)
def test_a_claim_outside_the_bounds_is_told_the_field_and_the_bound(
    make_claim, make_range, said, limits, broken
):
    found = violations(make_claim(requirements=said), [make_range(**limits)], SCALES)
    assert found == ([f"requirements.{broken} of range"] if broken else [])


def test_a_default_of_one_range_that_another_forbids_is_told(make_claim, make_range):
    ranges = [make_range("a", default=storage("10Gi")), make_range("b", max=storage("5Gi"))]
    assert violations(as_read(make_claim(), ranges), ranges, SCALES) == [
        "requirements.capacity.storage 10Gi is more than the maximum 5Gi of b"
    ]
