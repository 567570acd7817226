"""Priority, then age; and a shared resource's room is kept for whom it was too little for a long time."""

from __future__ import annotations

import pytest

from conductor_model.refs import GroupKind, ObjectKey
from conductor_scheduler.config import SchedulerConfig
from conductor_scheduler.decide import Bind, Wait, decide, nominated
from conductor_scheduler.dirty import DirtyKeys
from conductor_scheduler.framework.precedence import precedence
from conductor_scheduler.policy import Policy

POLICY = Policy(SchedulerConfig())


def wants(storage):
    return {"requirements": {"capacity": {"storage": storage}}}


def aged(claim, created):
    """The claim as created at this time of day."""
    metadata = claim.metadata.model_dump(by_alias=True) | {"creationTimestamp": f"2026-01-01T{created}:00Z"}
    return type(claim).model_validate(claim.model_dump(by_alias=True) | {"metadata": metadata})


@pytest.fixture
def shared(make_claim, make_rds, view_of, ref_to):
    """50Gi of which 40Gi are taken, a large claim that came first and a small one that came later; and the view."""
    holder = make_claim("holder", **wants("40Gi"))
    large = aged(make_claim("large", **wants("45Gi")), "10:00")
    small = aged(make_claim("small", **wants("5Gi")), "11:00")
    resource = make_rds("shared", maxClaims=10, refs=(ref_to(holder),))
    return large, small, resource, view_of(holder, large, small, resource)


def test_the_highest_priority_is_first_then_the_oldest_then_the_name(make_claim):
    claims = [
        aged(make_claim("b"), "10:00"),
        aged(make_claim("late-but-important", priority=5), "12:00"),
        aged(make_claim("a"), "10:00"),
        aged(make_claim("unimportant", priority=-1), "09:00"),
        aged(make_claim("oldest"), "09:00"),
    ]
    ordered = [claim.metadata.name for claim in sorted(claims, key=precedence)]
    assert ordered == ["late-but-important", "oldest", "a", "b", "unimportant"]


async def test_what_is_dirty_is_settled_by_rank_then_in_the_order_of_marking():
    names = ("c", "a", "b", "also-a")
    keys = {name: ObjectKey(GroupKind("g", "K"), "ns", name) for name in names}
    dirty = DirtyKeys(rank=lambda key: (key.name[-1],))
    for name in names:
        dirty.mark(keys[name])
        dirty.mark(keys[name])
    taken = [(await dirty.take()).name for _ in names]
    assert taken == ["a", "also-a", "b", "c"]
    for key in keys.values():
        dirty.done(key)
    assert dirty.idle


def test_without_a_nomination_the_small_claim_takes_the_room(shared):
    _, small, resource, view = shared
    assert decide(small, view, POLICY).concrete is resource


def test_room_that_is_kept_is_not_given_to_a_claim_that_comes_later(shared):
    large, small, resource, view = shared
    assert nominated(large, view, POLICY) == resource.key
    view.nominations[resource.key] = large.key
    waits = decide(small, view, POLICY)
    assert isinstance(waits, Wait)
    assert waits.message == "0/1 fit: shared: its room is kept for a claim that has waited longer"
    assert waits.refused_by == {"nomination"}


def test_the_claim_that_it_is_kept_for_gets_it_as_soon_as_there_is_enough(shared):
    large, small, resource, view = shared
    view.nominations[resource.key] = large.key
    assert isinstance(decide(large, view, POLICY), Wait)
    (holder,) = (claim for claim in view.claims.values() if claim.metadata.name == "holder")
    view.forget(holder.key)
    empty = resource.model_copy(update={"spec": resource.spec.model_copy(update={"claim_refs": ()})})
    view.put(empty.key, empty)
    assert isinstance(decide(small, view, POLICY), Wait)
    assert isinstance(decide(large, view, POLICY), Bind)


def test_a_claim_of_higher_priority_is_not_kept_out(shared, make_claim):
    large, _, resource, view = shared
    urgent = aged(make_claim("urgent", priority=1, **wants("5Gi")), "12:00")
    view.put(urgent.key, urgent)
    view.nominations[resource.key] = large.key
    assert isinstance(decide(urgent, view, POLICY), Bind)


def test_nothing_is_kept_where_the_claim_would_not_fit_an_empty_resource(
    shared, make_claim, make_rds, view_of
):
    huge = make_claim("huge", **wants("51Gi"))
    *_, view = shared
    assert nominated(huge, view, POLICY) is None


def test_a_resource_of_one_claim_is_never_kept(make_claim, make_rds, view_of, ref_to):
    holder, claim = make_claim("holder"), make_claim()
    assert nominated(claim, view_of(holder, claim, make_rds(refs=(ref_to(holder),))), POLICY) is None


def test_of_several_the_one_that_lacks_least_is_kept_and_none_that_is_kept_for_who_comes_before(
    shared, make_claim, make_rds, ref_to
):
    large, _, resource, view = shared
    holder = make_claim("another-holder", **wants("10Gi"))
    closer = make_rds("z-closer", maxClaims=10, refs=(ref_to(holder),))
    for each in (holder, closer):
        view.put(each.key, each)
    assert nominated(large, view, POLICY) == closer.key
    first = aged(make_claim("first", **wants("50Gi")), "09:00")
    view.put(first.key, first)
    view.nominations[closer.key] = first.key
    assert nominated(large, view, POLICY) == resource.key
