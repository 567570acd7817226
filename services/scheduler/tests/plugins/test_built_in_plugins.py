"""Each built-in plugin alone: what it asks, what it refuses and by which words, how it rates."""

from __future__ import annotations

import pytest

from conductor_model.concrete import Capabilities
from conductor_model.databases import MySQLInstance
from conductor_model.quantity import Quantity
from conductor_model.refs import GroupKind
from conductor_model.version import EngineVersion
from conductor_scheduler.framework import Offer, Request, Setup
from conductor_scheduler.plugins import BUILT_IN
from conductor_scheduler.scales import Scales

MYSQL = GroupKind("storage.conductor.io", "MySQLInstance")
SCALES = Scales({"eu": ("eu-west-1", "eu-central-1")}, ("free-tier", "low", "high"), ("low", "high"))


def offer(*, capabilities=None, **fields):
    said = Capabilities.model_validate(capabilities or {})
    plain = {
        "exists": True,
        "implements": frozenset({MYSQL}),
        "version": EngineVersion.parse("5.7"),
        "capabilities": said,
        "capacity": said.capacity,
        "labels": {},
        "class_names": frozenset(),
        "home": "conductor-system",
    }
    return Offer(**{**plain, **fields})


@pytest.fixture
def judged(make_claim, view_of):
    """A plugin's refusal of an offer, as (reason, detail); None when it has nothing against it or is not asked."""

    def judge(plugin, offered, *, args=None, **spec):
        check = BUILT_IN[plugin](Setup(args or {}, SCALES)).filter_offer(
            Request(make_claim(**spec), view_of())
        )
        refusal = check(offered) if check is not None else None
        return None if refusal is None else (refusal.reason, refusal.detail)

    return judge


@pytest.fixture
def rated(make_claim, view_of):
    def rate(plugin, offered, **spec):
        made = BUILT_IN[plugin](Setup(scales=SCALES))
        return made.score_offer(Request(make_claim(**spec), view_of()))(offered)

    return rate


def test_kind(judged):
    assert judged("kind", offer()) is None
    assert judged("kind", offer(), kind="PostgreSQLInstance") == (
        "OtherKind",
        "does not implement PostgreSQLInstance",
    )


@pytest.mark.parametrize(
    ("constraint", "version", "expected"),
    [
        (None, None, None),
        (">= 5.6", "5.7", None),
        ("5.7", "MYSQL_5_7", None),
        (">= 8", "5.7", ("OtherVersion", "version 5.7 is not >= 8")),
        (">= 8", None, ("VersionUnknown", "version is not known, >= 8 is asked for")),
    ],
)
def test_version(judged, constraint, version, expected):
    parsed = EngineVersion.parse(version) if version else None
    assert judged("version", offer(version=parsed), version=constraint) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, None),
        ({"storage": "50Gi"}, None),
        ({"storage": "51Gi"}, ("TooSmall", "capacity.storage 50Gi < 51Gi")),
        (
            {"storage": "50Gi", "iops": "1"},
            ("CapacityUnknown", "capacity.iops is not offered, 1 is asked for"),
        ),
    ],
)
def test_capacity(judged, asked, expected):
    offered = offer(capacity={"storage": Quantity.parse("50Gi")})
    assert judged("capacity", offered, requirements={"capacity": asked}) == expected


@pytest.mark.parametrize(
    ("asked", "offered", "expected"),
    [
        (None, None, None),
        ("eu", "eu-west-1", None),
        ("eu", "eu", None),
        ("eu-west-1", "eu", ("OtherRegion", "region eu is not in eu-west-1")),
        ("eu", None, ("RegionUnknown", "region is not stated, eu is asked for")),
    ],
)
def test_region(judged, asked, offered, expected):
    assert (
        judged("region", offer(capabilities={"region": offered}), requirements={"region": asked}) == expected
    )


@pytest.mark.parametrize(
    ("asked", "offered", "expected"),
    [
        ("low", "free-tier", None),
        ("10", "9.5", None),
        ("low", "high", ("TooDear", "cost high > low")),
        ("10", "10.01", ("TooDear", "cost 10.01 > 10")),
        ("low", "gold", ("CostUnknown", "cost gold cannot be compared with low")),
        ("gold", "gold", None),
        ("low", None, ("CostUnknown", "cost is not stated, at most low is asked for")),
    ],
)
def test_cost(judged, asked, offered, expected):
    assert judged("cost", offer(capabilities={"cost": offered}), requirements={"cost": asked}) == expected


@pytest.mark.parametrize(
    ("asked", "offered", "expected"),
    [
        ({"performance": "low"}, {"performance": "high"}, None),
        ({"performance": "high"}, {"performance": "low"}, ("TooSlow", "performance low < high")),
        ({"iops": 3000}, {"iops": "3k"}, None),
        ({"iops": "3001"}, {"iops": "3k"}, ("TooSlow", "iops 3k < 3001")),
        ({"iops": 1}, {}, ("PerformanceUnknown", "iops is not stated, at least 1 is asked for")),
        ({"iops": [1]}, {"iops": 1}, ("PerformanceUnknown", "iops [1] is asked for, which is no quantity")),
        (
            {"performance": "low", "iops": 2},
            {"performance": "low", "iops": 1},
            ("TooSlow", "iops 1 < 2"),
        ),
    ],
)
def test_performance(judged, asked, offered, expected):
    assert judged("performance", offer(capabilities=offered), requirements=asked) == expected


def test_performance_reads_the_quantities_that_it_is_told_to(judged):
    asked, offered = {"vcpus": 4}, offer(capabilities={"vcpus": 2})
    assert judged("performance", offered, requirements=asked) is None
    refused = judged("performance", offered, args={"quantities": ["vcpus"]}, requirements=asked)
    assert refused == ("TooSlow", "vcpus 2 < 4")


def test_class_or_profile(judged):
    offered = offer(class_names=frozenset({"rds-fast", "performance"}))
    assert judged("class", offered, resourceClass="performance") is None
    assert judged("class", offered, resourceClass="cheap") == ("OtherClass", "is not of class cheap")


@pytest.mark.parametrize(
    ("requirement", "meets"),
    [
        ({"operator": "In", "values": ["dev", "test"]}, "dev"),
        ({"operator": "NotIn", "values": ["prod"]}, "dev"),
        ({"operator": "Exists"}, "dev"),
        ({"operator": "DoesNotExist"}, None),
        ({"operator": "Gt", "values": ["3"]}, "4"),
        ({"operator": "Lt", "values": ["3"]}, "2"),
    ],
)
def test_selector_knows_all_six_operators(judged, requirement, meets):
    unmet = {"NotIn": "prod", "DoesNotExist": "x", "Gt": "3", "Lt": "3"}.get(requirement["operator"])
    selector = {"matchExpressions": [{"key": "k", **requirement}]}
    good = offer(labels={"k": meets} if meets is not None else {})
    bad = offer(labels={"k": unmet} if unmet is not None else {})
    assert judged("selector", good, resourceSelector=selector) is None
    reason, _ = judged("selector", bad, resourceSelector=selector)
    assert reason == "SelectorNotMet"


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({"order": frozenset({"Fifo", "Any"})}, None),
        ({"order": frozenset({"Any"})}, ("OtherFeature", "order Fifo is not offered, only Any")),
        ({}, ("FeatureUnknown", "order is not stated, Fifo is asked for")),
    ],
)
def test_demands_of_a_kind(make_claim, view_of, features, expected):
    class Picky(MySQLInstance):
        @property
        def demands(self):
            return {"order": "Fifo"}

    claim = Picky.model_validate(make_claim().model_dump(by_alias=True))
    check = BUILT_IN["demands"](Setup()).filter_offer(Request(claim, view_of()))
    refusal = check(offer(features=features))
    assert (None if refusal is None else (refusal.reason, refusal.detail)) == expected


def test_existing_comes_before_new(rated):
    assert (rated("existing-first", offer()), rated("existing-first", offer(exists=False))) == (100, 0)


def test_best_fit_is_the_share_that_is_used(rated):
    asked = {"requirements": {"capacity": {"storage": "25Gi", "iops": "100"}}}
    exact = offer(capacity={"storage": Quantity.parse("25Gi"), "iops": Quantity.parse("100")})
    half = offer(capacity={"storage": Quantity.parse("50Gi"), "iops": Quantity.parse("200")})
    assert rated("best-fit", exact, **asked) == 100
    assert rated("best-fit", half, **asked) == 50


def test_best_fit_of_a_claim_that_asks_for_nothing_is_the_smallest(rated):
    sizes = [offer(capacity={"storage": Quantity.parse(size)}) for size in ("1Gi", "2Gi", "1Ti", "100Ti")]
    ratings = [rated("best-fit", each) for each in sizes]
    assert ratings == sorted(ratings, reverse=True)
    assert len(set(ratings)) == len(ratings)
    assert all(0 <= rating <= 100 for rating in ratings)


def test_cheaper_is_better_and_unknown_is_worst(rated):
    costs = ["free-tier", "low", "high", None]
    ratings = [rated("cost", offer(capabilities={"cost": cost})) for cost in costs]
    assert ratings == sorted(ratings, reverse=True)
    assert (ratings[0], ratings[-1]) == (100, 0)


def test_spread_prefers_the_emptier_resource_and_the_class_of_which_less_was_made(
    make_claim, make_rds, make_class, view_of, ref_to
):
    holder, claim = make_claim("holder"), make_claim()
    emptier = make_rds("emptier", maxClaims=4, refs=(ref_to(holder),))
    fuller = make_rds("fuller", maxClaims=2, refs=(ref_to(make_claim("b")),))
    used, unused = make_class("used"), make_class("unused")
    label = {"conductor.io/resource-class": "used"}
    made = make_rds("made", labels=label, resourceClass="used", refs=(ref_to(make_claim("c")),))
    view = view_of(holder, claim, emptier, fuller, used, unused, made)
    rate = BUILT_IN["spread"](Setup()).score(Request(claim, view))
    rates = {each.key.name: rate(each) for each in view.catalog.from_classes(claim)}
    assert rates == {"used": 50, "unused": 100}
    named = {name: rate(view.catalog.named(name)[0]) for name in ("emptier", "fuller")}
    assert named == {"emptier": 75, "fuller": 50}
