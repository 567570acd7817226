from __future__ import annotations

import random

import pytest

from conductor_scheduler.config import SchedulerConfig
from conductor_scheduler.decide import Bind, Keep, Provision, Vanished, Wait, decide
from conductor_scheduler.policy import Policy
from conductor_scheduler.template import name_for

POLICY = Policy(
    SchedulerConfig(regions={"north-america": ("us-east-1", "canada"), "canada": ("ca-central-1",)})
)


def test_the_named_resource_is_bound_and_no_other(make_claim, make_rds, view_of):
    claim = make_claim(resourceName="rds-instance-445")
    named, other = make_rds("rds-instance-445"), make_rds("aaa")
    decision = decide(claim, view_of(claim, named, other), POLICY)
    assert isinstance(decision, Bind)
    assert decision.concrete is named


def test_a_named_resource_that_does_not_exist_is_waited_for_even_when_a_class_fits(
    make_claim, make_class, view_of
):
    claim = make_claim(resourceName="later")
    decision = decide(claim, view_of(claim, make_class()), POLICY)
    assert decision == Wait(
        "ResourceNotFound",
        "there is no resource later for claims of namespace team-a: it does not exist yet, or is not for them; "
        "waiting for it",
    )


def test_a_named_resource_is_bound_whatever_its_labels(make_claim, make_rds, view_of):
    """The design document prints a claim with a name and a selector that the named resource does not meet."""
    claim = make_claim(resourceName="rds", resourceSelector={"matchLabels": {"environment": "dev"}})
    assert isinstance(decide(claim, view_of(claim, make_rds("rds")), POLICY), Bind)


def test_a_named_resource_must_still_offer_what_is_required(make_claim, make_rds, view_of):
    claim = make_claim(resourceName="rds", requirements={"capacity": {"storage": "60Gi"}})
    decision = decide(claim, view_of(claim, make_rds("rds", storage="50Gi")), POLICY)
    assert decision == Wait("ResourceDoesNotFit", "0/1 fit: rds: capacity.storage 50Gi < 60Gi")


def test_an_existing_free_resource_comes_before_a_new_one(make_claim, make_rds, make_class, view_of):
    claim = make_claim()
    decision = decide(claim, view_of(claim, make_rds(), make_class()), POLICY)
    assert isinstance(decision, Bind)


def test_the_smallest_adequate_resource_is_chosen_then_the_cheapest_then_the_first_by_name(
    make_claim, make_rds, view_of
):
    claim = make_claim(requirements={"capacity": {"storage": "25Gi"}})
    small = make_rds("z-small", storage="20Gi")
    large = make_rds("a-large", storage="100Gi", capabilities={"cost": "free-tier"})
    dear = make_rds("b-fits", storage="30Gi", capabilities={"cost": "high"})
    cheap = make_rds("y-fits", storage="30Gi", capabilities={"cost": "low"})
    twin = make_rds("x-fits", storage="30Gi", capabilities={"cost": "low"})
    candidates = [small, large, dear, cheap]
    decision = decide(claim, view_of(claim, *candidates), POLICY)
    assert isinstance(decision, Bind)
    assert decision.concrete is cheap
    decision = decide(claim, view_of(claim, *candidates, twin), POLICY)
    assert isinstance(decision, Bind)
    assert decision.concrete is twin


def test_the_order_in_which_objects_become_known_changes_nothing(make_claim, make_rds, make_class, view_of):
    claim = make_claim(requirements={"capacity": {"storage": "25Gi"}})
    objects = [claim, make_class(), *(make_rds(f"rds-{n}", storage=f"{20 + n % 7}Gi") for n in range(30))]
    first = decide(claim, view_of(*objects), POLICY)
    for seed in range(20):
        random.Random(seed).shuffle(objects)
        assert decide(claim, view_of(*objects), POLICY) == first


def test_a_new_resource_is_made_when_none_is_free(make_claim, make_rds, make_class, view_of, ref_to):
    holder, claim = make_claim("first"), make_claim("second", masterUsername="boss")
    taken = make_rds(refs=(ref_to(holder),))
    decision = decide(claim, view_of(holder, claim, taken, make_class()), POLICY)
    assert isinstance(decision, Provision)
    spec = decision.draft.body["spec"]
    assert decision.draft.key.name == name_for(claim)
    assert decision.draft.key.namespace == "conductor-system"
    assert spec["masterUsername"] == "boss"
    assert spec["version"] == 5.9
    assert spec["rebindPolicy"] == "Delete"
    assert spec["resourceClass"] == "rds-performance"
    assert spec["capabilities"] == {"capacity": {"storage": "50Gi"}}
    assert spec["claimRefs"] == [ref_to(claim, capacity={})]
    assert decision.draft.body["metadata"]["finalizers"] == [
        "provisioner.conductor.io/external-resource",
        "scheduler.conductor.io/in-use",
    ]


def test_a_template_without_a_version_takes_the_one_that_the_claim_names(make_claim, make_class, view_of):
    open_template = {"engine": "mysql", "instance-type": "db.t3.micro"}
    for constraint, expected in (("8.0.35", "8.0.35"), (">= 8.0", None)):
        claim = make_claim(version=constraint)
        decision = decide(claim, view_of(claim, make_class(template=open_template)), POLICY)
        if expected is None:
            assert isinstance(decision, Wait)
            assert "version is not known" in decision.message
        else:
            assert isinstance(decision, Provision)
            assert decision.draft.body["spec"]["version"] == expected


def test_the_same_claim_always_makes_the_same_name_and_a_new_claim_another(make_claim):
    claim = make_claim("x" * 60)
    assert name_for(claim) == name_for(claim)
    assert name_for(claim) != name_for(make_claim("x" * 60))
    assert len(name_for(claim)) <= 63


@pytest.mark.parametrize(
    ("spec", "rds", "reason"),
    [
        ({"version": ">= 8"}, {}, "version 5.7 is not >= 8"),
        ({"version": ">= 5.6"}, {"version": None}, "version is not known, >= 5.6 is asked for"),
        (
            {"requirements": {"capacity": {"storage": "51Gi"}}},
            {},
            "capacity.storage 50Gi < 51Gi",
        ),
        (
            {"requirements": {"capacity": {"iops": "100"}}},
            {},
            "capacity.iops is not offered, 100 is asked for",
        ),
        (
            {"requirements": {"region": "north-america"}},
            {"capabilities": {"region": "eu-west-1"}},
            "region eu-west-1 is not in north-america",
        ),
        (
            {"requirements": {"region": "north-america"}},
            {},
            "region is not stated, north-america is asked for",
        ),
        ({"requirements": {"cost": "low"}}, {"capabilities": {"cost": "high"}}, "cost high > low"),
        ({"requirements": {"cost": "10"}}, {"capabilities": {"cost": "12.5"}}, "cost 12.5 > 10"),
        (
            {"requirements": {"cost": "low"}},
            {"capabilities": {"cost": "gold"}},
            "cost gold cannot be compared with low",
        ),
        (
            {"requirements": {"performance": "high"}},
            {"capabilities": {"performance": "low"}},
            "performance low < high",
        ),
        ({"resourceClass": "performance"}, {"resourceClass": "cheap"}, "is not of class performance"),
        (
            {
                "resourceSelector": {
                    "matchExpressions": [{"key": "environment", "operator": "In", "values": ["dev"]}]
                }
            },
            {"labels": {"environment": "prod"}},
            "selector environment In [dev] is not met",
        ),
        ({}, {"ready": False}, "is not ready (Creating)"),
        ({}, {"deleted": True}, "is being deleted"),
    ],
)
def test_a_candidate_that_does_not_suit_says_why(make_claim, make_rds, view_of, spec, rds, reason):
    claim = make_claim(**spec)
    assert decide(claim, view_of(claim, make_rds("rds", **rds)), POLICY) == Wait(
        "NothingFits", f"0/1 fit: rds: {reason}"
    )


@pytest.mark.parametrize(
    ("spec", "capabilities"),
    [
        ({"requirements": {"region": "north-america"}}, {"region": "ca-central-1"}),
        ({"requirements": {"region": "eu"}}, {"region": "eu"}),
        ({"requirements": {"cost": "medium"}}, {"cost": "free-tier"}),
        ({"requirements": {"performance": "low"}}, {"performance": "high"}),
        ({"requirements": {"capacity": {"storage": "50Gi"}}}, {}),
        ({"version": "5.7"}, {}),
    ],
)
def test_a_candidate_that_offers_as_much_or_more_suits(make_claim, make_rds, view_of, spec, capabilities):
    claim = make_claim(**spec)
    assert isinstance(decide(claim, view_of(claim, make_rds(capabilities=capabilities)), POLICY), Bind)


def test_resources_of_another_engine_are_no_candidates(make_claim, make_rds, view_of):
    claim = make_claim(kind="PostgreSQLInstance")
    decision = decide(claim, view_of(claim, make_rds()), POLICY)
    assert decision == Wait(
        "NothingOffered", "0/0 fit: no resource or class for PostgreSQLInstance is offered"
    )


@pytest.mark.parametrize(
    "entry", ["MySqlInstance.v1beta1.storage.conductor.io", "mysqlinstance.storage.conductor.io"]
)
def test_supported_resources_match_in_any_letter_case_and_version(make_claim, make_class, view_of, entry):
    claim = make_claim()
    assert isinstance(
        decide(claim, view_of(claim, make_class(supportedResources=[entry])), POLICY), Provision
    )


def test_a_class_that_supports_other_kinds_is_no_candidate(make_claim, make_class, view_of):
    claim = make_claim()
    source = make_class(supportedResources=["PostgreSQLInstance.v1alpha1.storage.conductor.io"])
    assert isinstance(decide(claim, view_of(claim, source), POLICY), Wait)


def test_a_class_goes_by_its_name_and_by_its_profile(make_claim, make_class, view_of):
    source = make_class("rds-fast", profile="performance")
    for wanted in ("rds-fast", "performance"):
        claim = make_claim(resourceClass=wanted)
        assert isinstance(decide(claim, view_of(claim, source), POLICY), Provision)
    claim = make_claim(resourceClass="other")
    assert decide(claim, view_of(claim, source), POLICY) == Wait(
        "NothingFits", "0/1 fit: rds-fast: is not of class other"
    )


def test_a_class_whose_template_is_of_an_unknown_kind_is_named_with_the_kind(make_claim, make_class, view_of):
    claim = make_claim()
    decision = decide(claim, view_of(claim, make_class(template_kind="Banana")), POLICY)
    assert decision == Wait(
        "NothingFits",
        "0/1 fit: rds-performance: its template's kind Banana.database.aws.conductor.io is not known",
    )


def test_a_class_whose_template_is_not_valid_is_named_with_the_field(make_claim, make_class, view_of):
    claim = make_claim()
    decision = decide(claim, view_of(claim, make_class(template={"engine": "mysql"})), POLICY)
    assert isinstance(decision, Wait)
    assert "instance-type: Field required" in decision.message


def test_the_message_is_bounded_and_counts_what_it_leaves_out(make_claim, make_rds, view_of):
    claim = make_claim(requirements={"capacity": {"storage": "1Ti"}})
    decision = decide(claim, view_of(claim, *(make_rds(f"rds-{n:03}") for n in range(500))), POLICY)
    assert isinstance(decision, Wait)
    assert decision.message == "0/500 fit: 500 TooSmall; rds-000: capacity.storage 50Gi < 1Ti"
    assert len(decision.message) < 1100


def test_a_resource_shared_by_claims_offers_what_they_leave(make_claim, make_rds, view_of, ref_to):
    first = make_claim("first", requirements={"capacity": {"storage": "30Gi"}})
    shared = make_rds("shared", maxClaims=3, refs=(ref_to(first),))
    fits = make_claim("fits", requirements={"capacity": {"storage": "20Gi"}})
    too_large = make_claim("too-large", requirements={"capacity": {"storage": "21Gi"}})
    view = view_of(first, shared, fits, too_large)
    assert isinstance(decide(fits, view, POLICY), Bind)
    assert decide(too_large, view, POLICY) == Wait(
        "NothingFits", "0/1 fit: shared: capacity.storage 20Gi < 21Gi"
    )


def test_a_place_that_is_kept_for_a_claim_is_given_to_it_alone(make_claim, make_rds, view_of, ref_to):
    mine, other = make_claim("mine"), make_claim("other")
    place = {key: value for key, value in ref_to(mine).items() if key != "uid"}
    view = view_of(mine, other, make_rds("rds", refs=(place,)))
    assert isinstance(decide(mine, view, POLICY), Bind)
    assert decide(other, view, POLICY) == Wait("NothingFits", "0/1 fit: rds: is reserved for mine")


def test_claims_of_other_namespaces_are_not_named(make_claim, make_rds, view_of, ref_to):
    claim = make_claim()
    elsewhere = {**ref_to(make_claim("secret-project")), "namespace": "team-b"}
    assert decide(claim, view_of(claim, make_rds("rds", refs=(elsewhere,))), POLICY) == Wait(
        "NothingFits", "0/1 fit: rds: is bound to a claim of another namespace"
    )


def test_a_bound_claim_is_left_as_it_is_whatever_else_appears(make_claim, make_rds, view_of, ref_to):
    claim = make_claim(requirements={"capacity": {"storage": "25Gi"}})
    mine = make_rds("mine", storage="50Gi", refs=(ref_to(claim),))
    assert decide(claim, view_of(claim, mine, make_rds("better", storage="25Gi")), POLICY) == Keep(mine, ())


def test_a_claim_made_anew_under_the_same_name_does_not_inherit_the_binding(
    make_claim, make_rds, view_of, ref_to
):
    former, anew = make_claim("db"), make_claim("db")
    taken = make_rds("rds", refs=(ref_to(former),))
    assert decide(anew, view_of(anew, taken), POLICY) == Wait(
        "NothingFits", "0/1 fit: rds: is bound to an earlier claim of this name"
    )


def test_of_two_resources_that_carry_one_claim_the_one_on_its_status_is_kept(
    make_claim, make_rds, view_of, ref_to
):
    claim = make_claim()
    older = make_rds("older", refs=(ref_to(claim),), created="2026-01-01T00:00:00Z")
    newer = make_rds("newer", refs=(ref_to(claim),), created="2026-01-02T00:00:00Z")
    assert decide(claim, view_of(claim, older, newer), POLICY) == Keep(older, (newer,))
    shown = {
        "boundResource": {
            "apiVersion": newer.api_version,
            "kind": newer.kind,
            "namespace": "conductor-system",
            "name": "newer",
            "uid": newer.uid,
        }
    }
    claim = make_claim(uid=claim.uid, status=shown)
    assert decide(claim, view_of(claim, older, newer), POLICY) == Keep(newer, (older,))


def test_a_claim_whose_resource_is_not_seen_is_verified_not_rescheduled(make_claim, make_rds, view_of):
    bound = {
        "apiVersion": "database.aws.conductor.io/v1alpha1",
        "kind": "RDSInstance",
        "namespace": "conductor-system",
        "name": "gone",
        "uid": "u",
    }
    claim = make_claim(status={"boundResource": bound})
    decision = decide(claim, view_of(claim, make_rds("free")), POLICY)
    assert isinstance(decision, Vanished)
    assert decision.bound.name == "gone"
