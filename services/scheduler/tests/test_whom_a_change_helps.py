from __future__ import annotations

from types import SimpleNamespace

import pytest

from conductor_scheduler.config import SchedulerConfig
from conductor_scheduler.decide import helped
from conductor_scheduler.framework.profile import Enabled
from conductor_scheduler.policy import Policy

POLICY = Policy(SchedulerConfig())


def helped_by(view, change, *claims):
    """The names of the waiting claims that are to be looked at again after the view takes in ``change``."""
    for claim in claims:
        view.put(claim.key, claim)
    view.catalog.changes()
    changes = []
    view.on_change = changes.append
    change()
    (made,) = changes
    waiting = {claim.key: frozenset() for claim in claims}
    return [claim.metadata.name for claim in helped(made, waiting, view, POLICY)]


def test_a_resource_that_becomes_ready_helps_those_who_wait_longest_first(make_claim, make_rds, view_of):
    claims = [make_claim("b"), make_claim("a"), make_claim("c", resourceName="another")]
    ready = make_rds(uid="u")
    view = view_of(make_rds(uid="u", ready=False))
    assert helped_by(view, lambda: view.put(ready.key, ready), *claims) == ["a", "b"]


def test_a_resource_helps_only_those_whom_it_fits(make_claim, make_rds, view_of):
    small = make_claim("small", requirements={"capacity": {"storage": "50Gi"}})
    large = make_claim("large", requirements={"capacity": {"storage": "51Gi"}})
    appeared, view = make_rds(storage="50Gi"), view_of()
    assert helped_by(view, lambda: view.put(appeared.key, appeared), small, large) == ["small"]


def test_a_resource_that_is_refused_for_another_reason_than_before_is_told_of(make_claim, make_rds, view_of):
    claim = make_claim(requirements={"capacity": {"storage": "1Ti"}})
    larger = make_rds(uid="u", storage="60Gi")
    view = view_of(make_rds(uid="u", storage="50Gi"))
    assert helped_by(view, lambda: view.put(larger.key, larger), claim) == ["db"]


def test_a_resource_without_room_helps_nobody_but_tells_who_names_it(make_claim, make_rds, view_of, ref_to):
    taken = (ref_to(make_claim("holder")),)
    claims = [make_claim("any"), make_claim("by-name", resourceName="rds")]
    full = make_rds(uid="u", refs=taken)
    view = view_of(make_rds(uid="u", refs=taken, ready=False))
    assert helped_by(view, lambda: view.put(full.key, full), *claims) == ["by-name"]
    view = view_of()
    assert helped_by(view, lambda: view.put(full.key, full), *claims) == ["by-name"]


def test_room_that_appears_helps(make_claim, make_rds, view_of, ref_to):
    claim, free = make_claim("any"), make_rds(uid="u")
    for ref in (
        ref_to(make_claim("holder")),
        ref_to(make_claim("holder"), releasedAt="2026-01-01T00:00:00Z"),
    ):
        view = view_of(make_rds(uid="u", refs=(ref,)))
        assert helped_by(view, lambda view=view: view.put(free.key, free), claim) == ["any"]


def test_what_only_the_provisioner_cares_about_helps_nobody(make_claim, make_rds, view_of):
    claim = make_claim(requirements={"capacity": {"storage": "1Ti"}})
    after = make_rds(uid="u", created="2026-01-01T00:00:01Z")
    view = view_of(make_rds(uid="u"))
    assert helped_by(view, lambda: view.put(after.key, after), claim) == []


def test_a_class_helps_everybody_who_names_no_resource(make_claim, make_class, view_of):
    made, view = make_class(), view_of()
    claims = [make_claim("any"), make_claim("by-name", resourceName="rds")]
    assert helped_by(view, lambda: view.put(made.key, made), *claims) == ["any"]


def test_a_claim_helps_by_what_it_leaves_of_a_shared_resource(make_claim, make_rds, view_of, ref_to):
    large = make_claim("holder", uid="u", requirements={"capacity": {"storage": "40Gi"}})
    small = make_claim("holder", uid="u", requirements={"capacity": {"storage": "4Gi"}})
    waiting = make_claim("any", requirements={"capacity": {"storage": "20Gi"}})
    shared, own = make_rds(refs=(ref_to(large),), maxClaims=2), make_rds(refs=(ref_to(large),))
    view = view_of(large, shared)
    assert helped_by(view, lambda: view.put(small.key, small), waiting) == ["any"]
    view = view_of(large, own)
    assert helped_by(view, lambda: view.put(small.key, small), waiting) == []
    view = view_of(large, shared)
    assert helped_by(view, lambda: view.put(large.key, large), waiting) == []


@pytest.mark.parametrize(("method", "asked"), [("filter", "1Gi"), ("may_help", "5Gi")])
def test_a_plugin_that_fails_keeps_no_change_from_being_taken_in(
    method, asked, make_claim, make_rds, view_of, monkeypatch
):
    """The claim is decided again, and its own decision meets the failure."""

    def broken(*_):
        raise LookupError("a third party's mistake")

    profile = POLICY.profile_for(make_claim())
    plugin = SimpleNamespace(name="theirs", **{method: broken})
    if method == "filter":
        monkeypatch.setattr(profile, "filters", [*profile.filters, Enabled("theirs", plugin, 1)])
    else:
        monkeypatch.setattr(profile, "hints", {**profile.hints, "theirs": plugin})
    claim = make_claim(requirements={"capacity": {"storage": asked}})
    appeared, view = make_rds(uid="u", storage="1Gi"), view_of(claim)
    view.catalog.changes()
    found = []
    waiting = {claim.key: frozenset({"theirs"})}
    view.on_change = lambda change: found.extend(helped(change, waiting, view, POLICY))
    view.put(appeared.key, appeared)
    assert found == [claim]
    assert view.concretes[appeared.key] is appeared
