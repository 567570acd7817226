"""What is not for a claim's namespace is not bound to it, and nothing is told of it."""

from __future__ import annotations

import json

import pytest

from conductor_model.namespaces import Namespace
from conductor_scheduler.config import SchedulerConfig
from conductor_scheduler.decide import Bind, Provision, Wait, decide, helped
from conductor_scheduler.explain import explain
from conductor_scheduler.framework import Change
from conductor_scheduler.policy import Policy
from conductor_scheduler.status import chosen
from conductor_scheduler.view import Unreadable

PRODUCTION = {"from": "Selector", "selector": {"matchLabels": {"tier": "production"}}}
NOT_FOR_US = "is not for claims of namespace team-a"

POLICY = Policy(SchedulerConfig())


def namespace(name="team-a", **labels):
    metadata = {"name": name, "uid": f"ns-{name}", "labels": labels}
    return Namespace.model_validate({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})


def decided(claim, view):
    return decide(claim, view, POLICY)


@pytest.mark.parametrize("allowed", [{"from": "Same"}, PRODUCTION])
def test_neither_resource_nor_class_that_is_for_others_is_chosen_or_named(
    make_claim, make_rds, make_class, view_of, allowed
):
    claim = make_claim()
    view = view_of(
        claim,
        namespace(),
        make_rds("secret-rds", allowedNamespaces=allowed),
        make_class("secret-class", allowedNamespaces=allowed),
        make_rds("small", storage="1Gi", capabilities={"region": "eu"}),
    )
    claim = make_claim(requirements={"capacity": {"storage": "5Gi"}})
    assert decided(claim, view) == Wait(
        "NothingFits", f"0/3 fit: small: capacity.storage 1Gi < 5Gi; 2 not named here: {NOT_FOR_US}"
    )


def test_to_whom_names_it_what_is_forbidden_or_cannot_be_read_is_as_what_is_not_there(
    make_claim, make_rds, view_of, ref_to
):
    claim = make_claim(version="8.0", resourceName="rds")
    holder, barred = make_claim("holder"), {"allowedNamespaces": {"from": "Same"}, "ready": False}
    unreadable = view_of(claim)
    rds = make_rds("rds")
    unreadable.put(rds.key, Unreadable(rds, "spec.engine: oracle is secret"))
    views = [
        view_of(claim),
        view_of(claim, holder, make_rds("rds", **barred)),
        view_of(claim, holder, make_rds("rds", refs=(ref_to(holder),), **barred)),
        unreadable,
    ]
    told = {decided(claim, view) for view in views}
    assert {each.reason for each in told} == {"ResourceNotFound"}
    assert len(told) == 1
    assert len({json.dumps(explain(claim, view, POLICY)) for view in views}) == 1


def test_of_two_of_a_name_only_the_one_that_is_for_the_namespace_is_counted(make_claim, make_rds, view_of):
    claim = make_claim(resourceName="rds")
    ours = make_rds("rds")
    elsewhere = ours.model_copy(
        update={
            "metadata": ours.metadata.model_copy(update={"namespace": "their-systems", "uid": "another"}),
            "spec": make_rds(allowedNamespaces={"from": "Same"}).spec,
        }
    )
    view = view_of(claim, ours, elsewhere)
    bind = decided(claim, view)
    assert (bind.concrete, bind.tally.total, bind.tally.barred) == (ours, 1, ())
    assert "their-systems" not in json.dumps(explain(claim, view, POLICY))


def test_a_place_that_is_reserved_for_it_is_no_way_in(make_claim, make_rds, view_of, ref_to):
    claim = make_claim()
    place = {key: value for key, value in ref_to(claim).items() if key != "uid"}
    barred = make_rds(refs=(place,), allowedNamespaces={"from": "Same"})
    assert isinstance(decided(claim, view_of(claim, barred)), Wait)


def test_labels_of_its_namespace_let_it_in(make_claim, make_rds, make_class, view_of):
    claim = make_claim()
    production = namespace(tier="production")
    rds, source = make_rds(allowedNamespaces=PRODUCTION), make_class(allowedNamespaces=PRODUCTION)
    assert isinstance(decided(claim, view_of(claim, production, rds)), Bind)
    assert isinstance(decided(claim, view_of(claim, production, source)), Provision)


def test_a_namespace_of_which_nothing_is_known_is_told_so(make_claim, make_rds, view_of):
    claim = make_claim()
    waits = decided(claim, view_of(claim, make_rds(allowedNamespaces=PRODUCTION)))
    assert isinstance(waits, Wait)
    assert "those of team-a are not known" in waits.message


def test_a_resource_is_for_those_that_its_class_was_for(make_claim, make_class, view_of):
    claim = make_claim()
    made = decided(
        claim, view_of(claim, namespace(tier="production"), make_class(allowedNamespaces=PRODUCTION))
    )
    assert isinstance(made, Provision)
    allowed = made.draft.concrete.spec.allowed_namespaces
    assert allowed is not None
    assert allowed.refusal("conductor-system", "team-b", {}) is not None


def test_a_template_may_say_it_where_the_class_does_not(make_claim, make_class, view_of):
    claim = make_claim()
    template = {"engine": "mysql", "instance-type": "db.t3.small", "allowedNamespaces": {"from": "Same"}}
    assert isinstance(decided(claim, view_of(claim, make_class(template=template))), Wait)
    opened = make_class(template=template, allowedNamespaces={"from": "All"})
    assert isinstance(decided(claim, view_of(claim, opened)), Provision)


def test_a_claim_that_is_bound_stays_bound_whatever_its_namespace_becomes(
    make_claim, make_rds, view_of, ref_to
):
    claim = make_claim()
    held = make_rds(refs=(ref_to(claim),), allowedNamespaces=PRODUCTION)
    assert type(decided(claim, view_of(claim, namespace(), held))).__name__ == "Keep"


def test_what_is_chosen_instead_is_told_without_the_names_of_what_is_for_others(
    make_claim, make_rds, view_of
):
    claim = make_claim()
    bind = decided(
        claim, view_of(claim, make_rds("ours"), make_rds("theirs", allowedNamespaces={"from": "Same"}))
    )
    assert isinstance(bind, Bind)
    assert chosen(bind) == ("ResourceChosen", f"1/2 fit, chose ours (1 not named here: {NOT_FOR_US})")


def test_other_labels_wake_the_waiting_claims_of_that_namespace_only(make_claim, view_of):
    claims = [make_claim("b"), make_claim("a")]
    view = view_of(*claims)
    waiting = {claim.key: frozenset({"namespaces"}) for claim in claims}
    before, after = namespace(), namespace(tier="production")
    woken = helped(Change(after.key, before, after), waiting, view, POLICY)
    assert [claim.metadata.name for claim in woken] == ["a", "b"]
    assert helped(Change(after.key, None, after), waiting, view, POLICY)
    assert not helped(Change(after.key, after, after), waiting, view, POLICY)
    other = namespace("team-b", tier="production")
    assert not helped(Change(other.key, None, other), waiting, view, POLICY)
    of_others = {claim.key: frozenset({"capacity"}) for claim in claims}
    assert not helped(Change(after.key, before, after), of_others, view, POLICY)
