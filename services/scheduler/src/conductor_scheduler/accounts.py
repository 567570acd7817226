"""What is taken of quotas and of classes' limits, and what one more claim would take too much. Pure.

A claim takes from its namespace's quotas from the decision to give it a resource until it is gone; one that waits takes
nothing. A resource takes from its class's limits from the decision to make it until it is gone from the API.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from conductor_model.claims import Claim
from conductor_model.concrete import ClaimRef, Concrete
from conductor_model.quantity import Quantity
from conductor_model.quota import ClaimQuota, QuotaAmounts
from conductor_model.refs import GroupKind
from conductor_model.resourceclass import ClassLimits, ResourceClass
from conductor_scheduler.ranges import Scales, as_read
from conductor_scheduler.view import View, claim_key

_NOTHING = Quantity(0)


@dataclass(frozen=True, slots=True)
class Taking:
    """What one claim takes with one resource."""

    kind: GroupKind
    class_names: frozenset[str]
    capacity: Mapping[str, Quantity]
    cost: Quantity | None
    """None when the resource does not state it, or states it in a word that has no place on the scale."""

    def counts_for(self, quota: ClaimQuota) -> bool:
        scope = quota.spec.scope
        return scope.covers_kind(self.kind) and scope.covers_class(self.class_names)


def taking(claim: Claim, cost: str | None, class_names: frozenset[str], scales: Scales) -> Taking:
    """What a claim, read under its limit ranges, takes with a resource of this cost and class."""
    return Taking(claim.key.group_kind, class_names, claim.spec.requirements.capacity, _number(cost, scales))


def takings(view: View, namespace: str, scales: Scales) -> Iterator[Taking]:
    """What the claims of a namespace take, those included for which a binding is being written."""
    ranges = view.limit_ranges_in(namespace)
    bound = view.bound_in(namespace)
    for uid, ref in bound.items():
        resource = view.bound_to(uid)[0]
        claim = view.claim_of(ref)
        if claim is not None:
            capacity = as_read(claim, ranges).spec.requirements.capacity
        elif not resource.being_deleted:
            # Not known to be gone: until its place is given up it takes all that it may have asked for.
            capacity = resource.spec.capabilities.capacity
        else:
            continue
        yield from _taken(ref, resource, capacity, view, scales)
    for uid, draft in view.reserved.items():
        for ref in draft.bound_refs:
            claim = view.claim_of(ref)
            if ref.namespace == namespace and uid not in bound and claim is not None:
                yield from _taken(ref, draft, as_read(claim, ranges).spec.requirements.capacity, view, scales)


def _taken(
    ref: ClaimRef, resource: Concrete, capacity: Mapping[str, Quantity], view: View, scales: Scales
) -> Iterator[Taking]:
    key = claim_key(ref)
    if key is not None:
        cost = _number(resource.spec.capabilities.cost, scales)
        yield Taking(key.group_kind, view.class_names(resource), capacity, cost)


def _number(cost: str | None, scales: Scales) -> Quantity | None:
    rank: Decimal | None = scales.cost_rank(cost) if cost is not None else None
    return Quantity.parse(max(rank, Decimal(0))) if rank is not None else None


def used(quota: ClaimQuota, taken: Iterable[Taking]) -> QuotaAmounts:
    """The sums of what the quota limits, over what counts for it."""
    hard = quota.spec.hard
    claims, cost = 0, _NOTHING
    capacity = dict.fromkeys(hard.capacity, _NOTHING)
    for each in taken:
        if not each.counts_for(quota):
            continue
        claims += 1
        cost += each.cost or _NOTHING
        for name in capacity:
            capacity[name] += each.capacity.get(name, _NOTHING)
    return QuotaAmounts(
        claims=claims if hard.claims is not None else None,
        capacity=capacity,
        cost=cost if hard.cost is not None else None,
    )


def shortage(quota: ClaimQuota, has: QuotaAmounts, asked: Taking) -> str | None:
    """Why a quota that counts this claim does not admit it: what is used, asked for and allowed. None when it does."""
    hard = quota.spec.hard
    short = list[str]()
    if hard.claims is not None and (has.claims or 0) + 1 > hard.claims:
        short.append(f"claims: {has.claims} used + 1 asked > {hard.claims} hard")
    for name, most in sorted(hard.capacity.items()):
        wanted, taken = asked.capacity.get(name), has.capacity.get(name, _NOTHING)
        if wanted is None:
            short.append(f"capacity.{name}: is limited, so the claim must ask for it")
        elif taken + wanted > most:
            short.append(f"capacity.{name}: {taken} used + {wanted} asked > {most} hard")
    if hard.cost is not None:
        taken = has.cost or _NOTHING
        if asked.cost is None:
            short.append(
                "cost: is limited, so the resource must state it, as a number or a tier of the scale"
            )
        elif taken + asked.cost > hard.cost:
            short.append(f"cost: {taken} used + {asked.cost} asked > {hard.cost} hard")
    return f"quota {quota.metadata.name}: {', '.join(short)}" if short else None


def made(source: ResourceClass, view: View) -> ClassLimits:
    """What exists of a class, of what its limits are about."""
    limits = source.limits or ClassLimits()
    resources = view.made_from(source)
    capacity = dict.fromkeys(limits.capacity, _NOTHING)
    for each in resources:
        for name in capacity:
            capacity[name] += each.spec.capabilities.capacity.get(name, _NOTHING)
    return ClassLimits(instances=len(resources) if limits.instances is not None else None, capacity=capacity)


def over_limit(source: ResourceClass, draft: Concrete, view: View) -> str | None:
    """Why the class may not make one more resource, this one; None when it may."""
    limits = source.limits
    if limits is None:
        return None
    has = made(source, view)
    if limits.instances is not None and (has.instances or 0) + 1 > limits.instances:
        return f"limit of {limits.instances} instances is reached: there are {has.instances}"
    for name, most in sorted(limits.capacity.items()):
        adds = draft.spec.capabilities.capacity.get(name, _NOTHING)
        if has.capacity[name] + adds > most:
            return f"limit of capacity.{name} {most} is reached: {has.capacity[name]} exists, {adds} more is needed"
    return None
