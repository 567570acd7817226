from __future__ import annotations

from conductor_scheduler.decide import helped
from conductor_scheduler.view import Change


def names(claims):
    return [claim.metadata.name for claim in claims]


def test_a_resource_that_becomes_ready_helps_those_who_wait_longest_first(make_claim, make_rds, view_of):
    claims = [make_claim("b"), make_claim("a"), make_claim("c", resourceName="another")]
    before, after = make_rds(uid="u", ready=False), make_rds(uid="u")
    assert names(helped(Change(after.key, before, after), claims, view_of())) == ["a", "b"]


def test_a_resource_without_room_helps_nobody_but_tells_who_names_it(make_claim, make_rds, view_of, ref_to):
    holder = make_claim("holder")
    claims = [make_claim("any"), make_claim("by-name", resourceName="rds")]
    taken = (ref_to(holder),)
    before, after = make_rds(uid="u", refs=taken, ready=False), make_rds(uid="u", refs=taken)
    assert names(helped(Change(after.key, before, after), claims, view_of())) == ["by-name"]
    assert names(helped(Change(after.key, None, after), claims, view_of())) == ["by-name"]


def test_room_that_appears_helps(make_claim, make_rds, view_of, ref_to):
    claims = [make_claim("any")]
    taken, free = make_rds(uid="u", refs=(ref_to(make_claim("holder")),)), make_rds(uid="u")
    assert helped(Change(free.key, taken, free), claims, view_of())
    released = make_rds(uid="u", refs=(ref_to(make_claim("holder"), releasedAt="2026-01-01T00:00:00Z"),))
    assert helped(Change(free.key, released, free), claims, view_of())


def test_what_only_the_provisioner_cares_about_helps_nobody(make_claim, make_rds, view_of):
    before, after = make_rds(uid="u"), make_rds(uid="u", created="2026-01-01T00:00:01Z")
    assert not helped(Change(after.key, before, after), [make_claim()], view_of())


def test_a_class_helps_everybody(make_claim, make_class, view_of):
    made = make_class()
    assert helped(Change(made.key, None, made), [make_claim()], view_of())


def test_a_claim_helps_only_by_what_it_leaves_of_a_shared_resource(make_claim, make_rds, view_of, ref_to):
    large = make_claim("large", uid="u", requirements={"capacity": {"storage": "40Gi"}})
    small = make_claim("large", uid="u", requirements={"capacity": {"storage": "4Gi"}})
    shared, own = make_rds(refs=(ref_to(large),), maxClaims=2), make_rds(refs=(ref_to(large),))
    waiting = [make_claim("any")]
    assert helped(Change(large.key, large, small), waiting, view_of(small, shared))
    assert not helped(Change(large.key, large, small), waiting, view_of(small, own))
    assert not helped(Change(large.key, large, large), waiting, view_of(large, shared))
