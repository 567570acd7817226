from __future__ import annotations

from conductor_scheduler.config import SchedulerConfig
from conductor_scheduler.decide import (
    DeleteConcrete,
    ReplaceRefs,
    Wait,
    decide,
    let_go,
    orphaned_refs,
    release,
)
from conductor_scheduler.template import name_for


def test_delete_removes_the_resource_with_its_last_claim(make_claim, make_rds, ref_to):
    claim = make_claim()
    concrete = make_rds(refs=(ref_to(claim),), rebindPolicy="Delete")
    assert release(concrete, frozenset({claim.uid})) == DeleteConcrete()


def test_delete_frees_the_place_while_others_stay(make_claim, make_rds, ref_to):
    gone, stays = make_claim("gone"), make_claim("stays")
    concrete = make_rds(refs=(ref_to(gone), ref_to(stays)), rebindPolicy="Delete", maxClaims=2)
    action = release(concrete, frozenset({gone.uid}))
    assert isinstance(action, ReplaceRefs)
    assert [ref.uid for ref in action.refs] == [stays.uid]
    assert not action.released


def test_retain_keeps_the_entry_and_marks_it(make_claim, make_rds, ref_to):
    claim = make_claim()
    concrete = make_rds(refs=(ref_to(claim),), rebindPolicy="Retain")
    assert release(concrete, frozenset({claim.uid})) == ReplaceRefs(
        concrete.spec.claim_refs, frozenset({claim.uid})
    )


def test_a_released_resource_is_not_bound_again_until_its_references_are_cleared(
    make_claim, make_rds, view_of, ref_to
):
    former, claim = make_claim("former"), make_claim("next")
    released = make_rds("rds", refs=(ref_to(former, releasedAt="2026-01-01T00:00:00Z"),), maxClaims=5)
    assert decide(claim, view_of(claim, released), SchedulerConfig()) == Wait(
        "NothingFits", "0/1 fit: rds: is Released: an administrator must clear its claimRefs first"
    )


def test_a_reference_is_orphaned_only_while_no_claim_has_its_uid(make_claim, make_rds, view_of, ref_to):
    claim, former = make_claim("db"), make_claim("db")
    held, stale = make_rds("held", refs=(ref_to(claim),)), make_rds("stale", refs=(ref_to(former),))
    view = view_of(claim, held, stale)
    assert orphaned_refs(held, view) == ()
    assert [ref.uid for ref in orphaned_refs(stale, view)] == [former.uid]


def test_a_place_that_is_only_reserved_is_never_released(make_claim, make_rds, view_of, ref_to):
    place = {key: value for key, value in ref_to(make_claim()).items() if key != "uid"}
    assert orphaned_refs(make_rds(refs=(place,)), view_of()) == ()


def test_a_surplus_resource_is_deleted_only_if_it_was_made_for_the_claim(make_claim, make_rds, ref_to):
    claim = make_claim()
    made = make_rds(name_for(claim), refs=(ref_to(claim),), rebindPolicy="Delete")
    static = make_rds("static", refs=(ref_to(claim),), rebindPolicy="Delete")
    assert let_go(made, claim) == DeleteConcrete()
    assert let_go(static, claim) == ReplaceRefs((), frozenset())
