from __future__ import annotations

import json

from conductor_model.kinds import PROVIDER_CONFIG
from conductor_model.refs import ObjectKey
from conductor_scheduler.framework import Change
from conductor_scheduler.loop import KINDS
from conductor_scheduler.view import View, affected


def as_json(found, **metadata):
    body = found.model_dump(mode="json", by_alias=True, exclude_none=True)
    return json.dumps({**body, "metadata": {**body["metadata"], **metadata}}).encode()


def listening():
    changes = []
    return View(on_change=changes.append), changes


def test_an_older_version_is_ignored_also_when_it_is_of_an_earlier_object_of_that_name(make_claim):
    now, before = make_claim(), make_claim()
    view, changes = listening()
    assert view.observe(now.key, as_json(now, resourceVersion="20"))
    assert not view.observe(now.key, as_json(before, resourceVersion="19"))
    assert view.claims[now.key].uid == now.uid
    assert len(changes) == 1


def test_a_claim_that_replaces_another_concerns_what_the_former_was_bound_to(make_claim, make_rds, ref_to):
    former, successor = make_claim(), make_claim()
    held = make_rds(refs=(ref_to(former),))
    view, changes = listening()
    for each in (former, held, successor):
        view.put(each.key, each)
    assert changes[-1].replaced
    assert held.key in set(affected(changes[-1], view))


def test_a_resource_that_is_gone_concerns_the_claims_that_it_carried(make_claim, make_rds, ref_to):
    claim = make_claim()
    held = make_rds(refs=(ref_to(claim),))
    view, changes = listening()
    for each in (claim, held):
        view.put(each.key, each)
    view.forget(held.key)
    assert set(affected(changes[-1], view)) == {held.key, claim.key}


def test_what_is_assumed_tells_nobody_and_can_be_withdrawn(make_claim, make_rds, ref_to):
    claim = make_claim()
    free, taken = make_rds(uid="u"), make_rds(uid="u", refs=(ref_to(claim),))
    view, changes = listening()
    view.put(free.key, free)
    view.assume(taken)
    assert len(changes) == 1
    assert view.bound_to(claim.uid) == [taken]
    view.withdraw(free.key)
    assert view.bound_to(claim.uid) == []
    assert view.concretes[free.key] is free
    assert not view.is_assumed(free.key)


def test_two_assumptions_are_withdrawn_together(make_claim, make_rds, ref_to):
    one, two = ref_to(make_claim("one")), ref_to(make_claim("two"))
    free = make_rds(uid="u", maxClaims=2)
    view, _ = listening()
    view.put(free.key, free)
    view.assume(make_rds(uid="u", maxClaims=2, refs=(one,)))
    view.assume(make_rds(uid="u", maxClaims=2, refs=(one, two)))
    view.withdraw(free.key)
    assert view.concretes[free.key] is free


def test_nothing_is_kept_of_what_is_gone(make_claim, make_rds, make_class, ref_to):
    claim = make_claim()
    view, _ = listening()
    objects = (claim, make_rds(refs=(ref_to(claim),)), make_class())
    for each in objects:
        view.put(each.key, each)
    for each in objects:
        view.forget(each.key)
    assert view == View(on_change=view.on_change)
    assert view.catalog.empty


def test_an_unreadable_claim_keeps_what_it_says_of_itself(make_claim):
    claim = make_claim(status={"phase": "Pending"})
    body = json.loads(as_json(claim, resourceVersion="5")) | {"spec": {"requirements": 7}}
    view, _ = listening()
    view.observe(claim.key, json.dumps(body).encode())
    assert view.unreadable[claim.key].problem.startswith("spec.requirements")
    assert view.unreadable[claim.key].claim_status == claim.status


def test_whatever_the_scheduler_listens_to_has_a_place_in_its_view():
    # A ProviderConfig, which has none, must not reach it.
    assert PROVIDER_CONFIG.group_kind not in KINDS
    view, _ = listening()
    for kind in KINDS:
        metadata = {"name": "x", "namespace": "y", "resourceVersion": "1", "uid": kind.kind}
        body = {"apiVersion": f"{kind.group}/v1", "kind": kind.kind, "metadata": metadata}
        view.observe(ObjectKey(kind, "y", "x"), json.dumps(body).encode())
    assert {key.group_kind for key in view.held()} == set(KINDS)


def test_what_was_never_made_wakes_nobody_but_itself(make_claim, make_rds, view_of, ref_to):
    """Its claim is told of the refusal already: to look at it again would make the same resource again, for ever."""
    claim = make_claim()
    draft = make_rds(refs=(ref_to(claim),))
    draft = draft.model_copy(update={"metadata": draft.metadata.model_copy(update={"uid": ""})})
    assert list(affected(Change(draft.key, draft, None), view_of(claim))) == [draft.key]
