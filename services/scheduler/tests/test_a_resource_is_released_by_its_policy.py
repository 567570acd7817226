from __future__ import annotations

from conductor_scheduler.config import SchedulerConfig
from conductor_scheduler.decide import Wait, decide
from conductor_scheduler.policy import Policy
from conductor_scheduler.release import Rewrite, finalizers, let_go, orphaned_refs, release, unfinished
from conductor_scheduler.template import name_for

IN_USE = "scheduler.conductor.io/in-use"
RELEASED = "2026-01-01T00:00:00Z"


def test_delete_marks_the_last_claims_entry_and_then_deletes(make_claim, make_rds, ref_to):
    claim = make_claim()
    concrete = make_rds(refs=(ref_to(claim),), rebindPolicy="Delete")
    assert release(concrete, frozenset({claim.uid})) == Rewrite(
        concrete.spec.claim_refs, frozenset({claim.uid}), delete=True
    )


def test_delete_frees_the_place_while_others_stay(make_claim, make_rds, ref_to):
    gone, stays = make_claim("gone"), make_claim("stays")
    concrete = make_rds(refs=(ref_to(gone), ref_to(stays)), rebindPolicy="Delete", maxClaims=2)
    action = release(concrete, frozenset({gone.uid}))
    assert [ref.uid for ref in action.refs] == [stays.uid]
    assert not action.released and not action.delete


def test_retain_keeps_the_entry_and_marks_it(make_claim, make_rds, ref_to):
    claim = make_claim()
    concrete = make_rds(refs=(ref_to(claim),), rebindPolicy="Retain")
    assert release(concrete, frozenset({claim.uid})) == Rewrite(
        concrete.spec.claim_refs, frozenset({claim.uid})
    )


def test_what_an_earlier_leader_released_for_deletion_is_deleted(make_claim, make_rds, ref_to):
    refs = (ref_to(make_claim(), releasedAt=RELEASED),)
    left = make_rds(refs=refs, rebindPolicy="Delete")
    assert unfinished(left) == Rewrite(left.spec.claim_refs, delete=True)
    assert unfinished(make_rds(refs=refs, rebindPolicy="Delete", deleted=True)) is None
    assert unfinished(make_rds(refs=refs, rebindPolicy="Retain")) is None


def test_a_shared_resource_is_not_deleted_while_anybody_is_bound(make_claim, make_rds, ref_to):
    refs = (ref_to(make_claim("a"), releasedAt=RELEASED), ref_to(make_claim("b")))
    shared = make_rds(refs=refs, rebindPolicy="Delete", maxClaims=2, finalizers=(IN_USE,))
    assert unfinished(shared) is None


def test_a_bound_resource_has_the_finalizer_and_any_other_has_not(make_claim, make_rds, ref_to):
    bound, released = ref_to(make_claim()), ref_to(make_claim("old"), releasedAt=RELEASED)
    others = ("provisioner.conductor.io/external-resource",)
    unprotected = make_rds(refs=(bound,), finalizers=others)
    assert finalizers(unprotected, unprotected.spec.claim_refs) == (*others, IN_USE)
    held = make_rds(refs=(released,), finalizers=(*others, IN_USE))
    assert finalizers(held, held.spec.claim_refs) == others
    assert unfinished(unprotected) == Rewrite(unprotected.spec.claim_refs)
    assert unfinished(held) == Rewrite(held.spec.claim_refs)


def test_what_is_being_deleted_takes_no_finalizer_and_gives_up_its_own(make_claim, make_rds, ref_to):
    claim = make_claim()
    unprotected = make_rds(refs=(ref_to(claim),), deleted=True)
    assert unfinished(unprotected) is None
    held = make_rds(refs=(ref_to(claim),), deleted=True, finalizers=(IN_USE,))
    assert unfinished(held) is None
    released = tuple(
        ref.model_copy(update={"released_at": held.metadata.deletion_timestamp})
        for ref in release(held, frozenset({claim.uid})).refs
    )
    assert finalizers(held, released) == ()


def test_a_confirmed_entry_is_cleared_with_its_annotation(make_claim, make_rds, ref_to):
    one, two = make_claim("one"), make_claim("two")
    refs = (ref_to(one, releasedAt=RELEASED), ref_to(two, releasedAt=RELEASED))
    confirmed = make_rds(refs=refs, annotations={"conductor.io/available-again": one.uid})
    assert unfinished(confirmed) == Rewrite(confirmed.spec.claim_refs[1:], drop_confirmation=True)
    both = make_rds(refs=refs, annotations={"conductor.io/available-again": f"{one.uid}, {two.uid}"})
    assert unfinished(both) == Rewrite((), drop_confirmation=True)


def test_a_confirmation_for_another_claim_clears_nothing(make_claim, make_rds, ref_to):
    refs = (ref_to(make_claim(), releasedAt=RELEASED),)
    for said in ("true", "", make_claim("other").uid):
        assert unfinished(make_rds(refs=refs, annotations={"conductor.io/available-again": said})) is None


def test_a_confirmation_while_the_claim_is_bound_counts_for_nothing(make_claim, make_rds, ref_to):
    claim = make_claim()
    early = make_rds(
        refs=(ref_to(claim),), annotations={"conductor.io/available-again": claim.uid}, finalizers=(IN_USE,)
    )
    assert unfinished(early) is None
    assert release(early, frozenset({claim.uid})).drop_confirmation


def test_a_released_resource_is_not_bound_again_until_its_references_are_cleared(
    make_claim, make_rds, view_of, ref_to
):
    former, claim = make_claim("former"), make_claim("next")
    released = make_rds("rds", refs=(ref_to(former, releasedAt="2026-01-01T00:00:00Z"),), maxClaims=5)
    assert decide(claim, view_of(claim, released), Policy(SchedulerConfig())) == Wait(
        "NothingFits", "0/1 fit: rds: is Released: its administrator has not confirmed yet that it is clean"
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
    assert let_go(made, claim) == Rewrite(made.spec.claim_refs, frozenset({claim.uid}), delete=True)
    assert let_go(static, claim) == Rewrite(())
