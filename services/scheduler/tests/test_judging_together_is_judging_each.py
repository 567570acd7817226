"""Trees, shared verdicts and what is kept between decisions make decisions cheap, and never other ones."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor_model.databases import MySQLInstance
from conductor_model.namespaces import Namespace
from conductor_model.quota import ClaimQuota
from conductor_model.rds import RDSInstance
from conductor_model.resourceclass import ResourceClass
from conductor_scheduler.config import PluginConfig, PluginSet, ProfileConfig, SchedulerConfig
from conductor_scheduler.framework import Aspect, Offer, Refusal, Request, Setup
from conductor_scheduler.framework.evaluation import Judge
from conductor_scheduler.framework.profile import Profile
from conductor_scheduler.plugins import BUILT_IN, DEFAULT_WEIGHTS
from conductor_scheduler.policy import Policy
from conductor_scheduler.view import View

SPREAD = ProfileConfig(name="spread", plugins=PluginSet(enabled=(PluginConfig(name="spread", weight=500),)))
CONFIG = SchedulerConfig(regions={"europe": ("eu-1", "eu-2")}, profiles=(SPREAD,))


class OddNames:
    """A third party's plugin, which does not say what it looks at."""

    name = "odd-names"

    def filter_offer(self, request: Request) -> Any:
        def check(offer: Offer) -> Refusal | None:
            wrong = offer.labels.get("tier") == "gold" and offer.capabilities.region == "eu-1"
            return Refusal("Odd", f"{offer.capacity}") if wrong else None

        return check

    def score_offer(self, request: Request) -> Any:
        return lambda offer: 10.0 * len(offer.labels) + len(offer.capacity)


def profiles() -> list[Profile]:
    plugins = [
        (make(Setup(scales=CONFIG.scales)), DEFAULT_WEIGHTS.get(name, 1.0)) for name, make in BUILT_IN.items()
    ]
    claim = MySQLInstance.model_validate(claim_manifest({}))
    return [
        Policy(SchedulerConfig(regions=CONFIG.regions)).profile_for(claim),
        Policy(CONFIG).profile_for(claim),
        Profile("odd", [*plugins, (OddNames(), 3.0)]),
    ]


def claim_manifest(spec: dict[str, Any], name: str = "asks", namespace: str = "team-a") -> dict[str, Any]:
    return {
        "apiVersion": "storage.conductor.io/v1alpha1",
        "kind": "MySQLInstance",
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}", "generation": 1},
        "spec": spec,
    }


def words(random: Random, *, often: float) -> dict[str, Any]:
    """Requirements or capabilities."""
    amounts = ["1Gi", "1024Mi", "2Gi", "2147483648", "3G"]
    found = {
        "capacity": {
            name: random.choice(amounts) for name in ("storage", "memory") if random.random() < often
        },
        "region": random.choice(["eu-1", "eu-2", "us-1"]),
        "cost": random.choice(["low", "high", "3", "odd"]),
        "performance": random.choice(["low", "high"]),
        "iops": random.choice([100, 200]),
    }
    return {name: value for name, value in found.items() if random.random() < often}


def labels(random: Random) -> dict[str, str]:
    return {name: random.choice(["gold", "tin"]) for name in ("tier", "team") if random.random() < 0.5}


def allowed(random: Random) -> dict[str, Any]:
    for_whom = [{"from": "Same"}, {"from": "Selector", "selector": {"matchLabels": {"a": "b"}}}]
    return {"allowedNamespaces": random.choice(for_whom)} if random.random() < 0.2 else {}


def asks(random: Random) -> dict[str, Any]:
    more = {
        "version": random.choice([">= 5.7", "8.0"]),
        "resourceSelector": {"matchLabels": {"tier": "gold"}},
        "resourceClass": "class-1",
        "masterUsername": "boss",
    }
    requirements = words(random, often=0.3)
    if "region" in requirements:
        requirements["region"] = random.choice(["europe", "us-1"])
    chosen = {name: value for name, value in more.items() if random.random() < 0.15}
    return {"requirements": requirements, **chosen}


def a_resource(random: Random) -> RDSInstance:
    number, places = random.randint(1, 12), random.choice([1, 1, 3])
    claims = [claim_manifest({}, f"holder-{number}-{n}", "team-b") for n in range(random.randint(0, places))]
    refs = [
        {"apiVersion": each["apiVersion"], "kind": each["kind"]}
        | {field: each["metadata"][field] for field in ("namespace", "name", "uid")}
        for each in claims
        if random.random() < 0.5
    ]
    spec = {
        "engine": random.choice(["mysql", "mysql", "mysql", "postgres"]),
        "instance-type": "db.t3.micro",
        "capabilities": words(random, often=0.8),
        "claimRefs": refs,
        "maxClaims": places,
        **allowed(random),
        **random.choice([{}, {"resourceClass": "class-1"}]),
        **random.choice([{}, {"version": "5.7"}, {"version": "5.7.0"}, {"version": "8.0"}]),
    }
    ready = {
        "type": "Ready",
        "status": random.choice(["True", "True", "False"]),
        "reason": "x",
        "message": "",
    }
    return RDSInstance.model_validate(
        {
            "apiVersion": "database.aws.conductor.io/v1alpha1",
            "kind": "RDSInstance",
            "metadata": {"name": f"rds-{number}", "namespace": "conductor-system", "uid": f"r-{number}"}
            | {"labels": labels(random)},
            "spec": spec,
            "status": {"conditions": [ready]},
        }
    )


def a_class(random: Random) -> ResourceClass:
    number = random.randint(1, 4)
    engine = random.choice(["mysql", "mysql", "postgres", "nonsense"])
    return ResourceClass.model_validate(
        {
            "apiVersion": "core.conductor.io/v1alpha1",
            "kind": "ResourceClass",
            "metadata": {"name": f"class-{number}", "namespace": "conductor-system", "uid": f"c-{number}"},
            "capabilities": words(random, often=0.8),
            "template": {
                "apiVersion": "database.aws.conductor.io/v1alpha1",
                "kind": "RDSInstance",
                "metadata": {"labels": labels(random)},
                "spec": {"engine": engine, "instance-type": "db.t3.micro"}
                | random.choice([{}, {"version": "5.7"}]),
            },
            **random.choice([{}, {"supportedResources": ["MySQLInstance.v1alpha1.storage.conductor.io"]}]),
            **random.choice([{}, {"profile": "fast"}]),
            **random.choice([{}, {}, {"limits": {"instances": 1}}]),
            **allowed(random),
        }
    )


def a_namespace(random: Random) -> Namespace:
    metadata = {"name": "team-a", "uid": "n", "labels": random.choice([{}, {"a": "b"}])}
    return Namespace.model_validate({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})


def a_holder(random: Random) -> MySQLInstance:
    name = f"holder-{random.randint(1, 12)}-{random.randint(0, 2)}"
    return MySQLInstance.model_validate(claim_manifest(asks(random), name, "team-b"))


def a_quota(random: Random) -> ClaimQuota:
    scope = random.choice([{}, {"classes": ["class-1"]}])
    metadata = {"name": "quota", "namespace": "team-a", "uid": "q"}
    spec = {"hard": {"claims": 1, "cost": random.choice(["1", "5"])}, "scope": scope}
    return ClaimQuota.model_validate(
        {"apiVersion": "core.conductor.io/v1alpha1", "kind": "ClaimQuota", "metadata": metadata, "spec": spec}
    )


def afresh(view: View) -> View:
    """A view that has heard of what there is now only."""
    found = View()
    for key in view.held():
        found.put(key, view.get(key))
    return found


def offers(view: View, claim: MySQLInstance) -> Iterator[tuple[Any, ...]]:
    """All that the claim may choose from, in order."""
    shelf, made = view.catalog.shelf(claim.key.group_kind), view.catalog.from_classes(claim)
    for candidate in sorted([*shelf.open, *made], key=lambda each: each.order):
        yield candidate.order, candidate.vacant, candidate.offer


MADE = (a_resource,) * 8 + (a_class,) * 3 + (a_namespace, a_holder, a_quota)
PROFILES = profiles()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_whatever_changes_the_outcome_is_that_of_judging_each_candidate(seed):
    random = Random(seed)
    profile, view = random.choice(PROFILES), View()
    claims = [
        MySQLInstance.model_validate(claim_manifest(asks(random), f"asks-{number}")) for number in range(4)
    ]
    for _ in range(10):
        for _ in range(random.choice([1, 12])):
            found = random.choice(MADE)(random)
            if random.random() < 0.1:
                view.forget(found.key)
            else:
                view.put(found.key, found)
        for claim in claims:
            judge = Judge(profile, Request(claim, view))
            shelf, made = view.catalog.shelf(claim.key.group_kind), view.catalog.from_classes(claim)
            together, each = judge.evaluate(shelf.open, made), judge.evaluate_each([*shelf.open, *made])
            assert together.tally() == each.tally()
            assert list(together.ranked()) == list(each.ranked())
            assert [*offers(view, claim)] == [*offers(afresh(view), claim)]


@pytest.mark.parametrize("count", [1, 500])
def test_what_a_plugin_says_that_it_looks_at_is_judged_once_for_each_value(
    count, make_claim, make_rds, view_of
):
    asked: list[str | None] = []

    class InEurope:
        name = "in-europe"
        looks_at = (Aspect.REGION,)

        def filter_offer(self, request: Request) -> Any:
            def check(offer: Offer) -> Refusal | None:
                asked.append(offer.capabilities.region)
                return None if offer.capabilities.region == "eu-1" else Refusal("Elsewhere", "not in Europe")

            return check

    regions = ("eu-1", "us-1")
    view = view_of(
        *(
            make_rds(
                f"{region}-{n}", storage=f"{n + 1}Gi", labels={"n": f"{n}"}, capabilities={"region": region}
            )
            for region in regions
            for n in range(count)
        )
    )
    profile = Profile("only", [(BUILT_IN["kind"](Setup()), 1.0), (InEurope(), 1.0)])
    claim = make_claim()
    evaluation = Judge(profile, Request(claim, view)).evaluate(view.catalog.shelf(claim.key.group_kind).open)
    assert sorted(map(str, asked)) == ["eu-1", "us-1"]
    assert evaluation.tally().reasons == (("Elsewhere", count),)
