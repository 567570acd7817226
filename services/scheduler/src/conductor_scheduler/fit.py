"""Why a candidate does not suit a claim. Each filter is one pure function: None when it has nothing against it.

A candidate is a concrete resource that exists, or a class that could make one. Both are reduced to an ``Offer`` first,
so that the filters are the same for both. The words of a reason are read by the claim's author, so they name the
claim's field and both values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from conductor_model.claims import Claim
from conductor_model.concrete import Capabilities, ClaimRef, Concrete, ConcreteCondition
from conductor_model.conditions import is_true
from conductor_model.quantity import Quantity
from conductor_model.refs import GroupKind, ObjectKey
from conductor_model.version import EngineVersion
from conductor_scheduler.config import SchedulerConfig


@dataclass(frozen=True, slots=True)
class Offer:
    """What a candidate offers."""

    key: ObjectKey
    implements: frozenset[GroupKind]
    version: EngineVersion | None
    capabilities: Capabilities
    capacity: Mapping[str, Quantity]
    """What is left of its capacity for one more claim."""
    labels: Mapping[str, str]
    class_names: frozenset[str]
    """The names by which a claim's ``resourceClass`` may mean it."""
    features: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """What it has of what kinds of claims demand beyond the common requirements."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A claim with the administrator's scales to read it by."""

    claim: Claim
    config: SchedulerConfig

    @property
    def explicit(self) -> bool:
        """The claim names its resource: labels, which serve to choose, are then not consulted."""
        return self.claim.spec.resource_name is not None


Filter = Callable[[Wish, Offer], str | None]


def kind(wish: Wish, offer: Offer) -> str | None:
    wanted = wish.claim.key.group_kind
    if wanted in offer.implements:
        return None
    return f"does not implement {wanted.kind}"


def version(wish: Wish, offer: Offer) -> str | None:
    constraint = wish.claim.wanted_version
    if constraint is None:
        return None
    if offer.version is None:
        return f"version is not known, {constraint} is asked for"
    return None if constraint.admits(offer.version) else f"version {offer.version} is not {constraint}"


def capacity(wish: Wish, offer: Offer) -> str | None:
    for name, wanted in sorted(wish.claim.spec.requirements.capacity.items()):
        offered = offer.capacity.get(name)
        if offered is None:
            return f"capacity.{name} is not offered, {wanted} is asked for"
        if offered < wanted:
            return f"capacity.{name} {offered} < {wanted}"
    return None


def region(wish: Wish, offer: Offer) -> str | None:
    wanted, offered = wish.claim.spec.requirements.region, offer.capabilities.region
    if wanted is None:
        return None
    if offered is None:
        return f"region is not stated, {wanted} is asked for"
    return None if wish.config.region_contains(wanted, offered) else f"region {offered} is not in {wanted}"


def cost(wish: Wish, offer: Offer) -> str | None:
    wanted, offered = wish.claim.spec.requirements.cost, offer.capabilities.cost
    if wanted is None or wanted == offered:
        return None
    if offered is None:
        return f"cost is not stated, at most {wanted} is asked for"
    most, has = wish.config.cost_rank(wanted), wish.config.cost_rank(offered)
    if most is None or has is None:
        return f"cost {offered} cannot be compared with {wanted}"
    return None if has <= most else f"cost {offered} > {wanted}"


def performance(wish: Wish, offer: Offer) -> str | None:
    wanted, offered = wish.claim.spec.requirements.performance, offer.capabilities.performance
    if wanted is None or wanted == offered:
        return None
    if offered is None:
        return f"performance is not stated, at least {wanted} is asked for"
    least, has = wish.config.performance_rank(wanted), wish.config.performance_rank(offered)
    if least is None or has is None:
        return f"performance {offered} cannot be compared with {wanted}"
    return None if has >= least else f"performance {offered} < {wanted}"


def resource_class(wish: Wish, offer: Offer) -> str | None:
    wanted = wish.claim.spec.resource_class
    if wanted is None or wanted in offer.class_names:
        return None
    return f"is not of class {wanted}"


def selector(wish: Wish, offer: Offer) -> str | None:
    wanted = wish.claim.spec.resource_selector
    if wanted is None or wish.explicit:
        return None
    unmet = wanted.unmet(offer.labels)
    return None if unmet is None else f"selector {unmet} is not met"


def demands(wish: Wish, offer: Offer) -> str | None:
    for name, wanted in sorted(wish.claim.demands.items()):
        offered = offer.features.get(name)
        if not offered:
            return f"{name} is not stated, {wanted} is asked for"
        if wanted not in offered:
            return f"{name} {wanted} is not offered, only {', '.join(sorted(offered))}"
    return None


FILTERS: tuple[Filter, ...] = (
    kind,
    resource_class,
    selector,
    version,
    demands,
    region,
    capacity,
    cost,
    performance,
)
"""In the order in which their reasons are given: what can never change first."""


def unsuited(wish: Wish, offer: Offer) -> str | None:
    """The first reason against the candidate; None when it suits."""
    for apply in FILTERS:
        reason = apply(wish, offer)
        if reason is not None:
            return reason
    return None


def is_full(concrete: Concrete) -> bool:
    """Whether no further claim can be bound to it, whichever: ``unavailable`` says why."""
    refs = concrete.spec.claim_refs
    return (
        concrete.being_deleted
        or (len(refs) >= concrete.spec.max_claims and all(ref.uid is not None for ref in refs))
        or any(ref.released_at is not None for ref in refs)
    )


def unavailable(concrete: Concrete, claim: ObjectKey, uid: str) -> str | None:
    """Why an existing resource cannot take one more claim, the one of this key and uid, now, whatever it offers."""
    if concrete.being_deleted:
        return "is being deleted"
    if any(ref.released_at is not None for ref in concrete.spec.claim_refs):
        return "is Released: its administrator has not confirmed yet that it is clean"
    mine = concrete.ref_of(claim)
    others = [ref for ref in concrete.spec.claim_refs if ref is not mine]
    if mine is not None and mine.uid not in {None, uid}:
        return "is bound to an earlier claim of this name"
    if len(others) >= concrete.spec.max_claims:
        return _taken_by(others, claim.namespace)
    if not is_true(concrete.status.conditions, ConcreteCondition.READY):
        return f"is not ready ({concrete.status.phase or 'Pending'})"
    return None


def _taken_by(holders: Sequence[ClaimRef], namespace: str) -> str:
    """Who has it. Claims of other namespaces are not named: their names are not for everybody."""
    first, more = holders[0], f" and {len(holders) - 1} more" if len(holders) > 1 else ""
    state = "bound to" if first.bound else "reserved for"
    holder = first.name if first.namespace == namespace else "a claim of another namespace"
    return f"is {state} {holder}{more}"
