"""What is taken of quotas and of classes' limits, and what one more claim would take too much. Pure.

A claim takes from its namespace's quotas from the decision to give it a resource until it is gone; one that waits takes
nothing. A resource takes from its class's limits from the decision to make it until it is gone from the API.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from conductor_model.concrete import ClaimRef, Concrete
from conductor_model.quantity import Quantity
from conductor_model.quota import ClaimQuota, QuotaAmounts
from conductor_model.refs import GroupKind
from conductor_model.resourceclass import ClassLimits, ResourceClass
from conductor_scheduler.framework import Sum, World
from conductor_scheduler.scales import Scales
from conductor_scheduler.template import claim_key

_NOTHING = Quantity(0)


@dataclass(frozen=True, slots=True)
class Taking:
    """What one claim takes with one resource."""

    kind: GroupKind
    class_names: frozenset[str]
    capacity: Mapping[str, Quantity]
    cost: Quantity | None

    def counts_for(self, quota: ClaimQuota) -> bool:
        scope = quota.spec.scope
        return scope.covers_kind(self.kind) and scope.covers_class(self.class_names)


def takings(world: World, namespace: str, scales: Scales) -> Iterator[Taking]:
    """What the claims of a namespace take, those included for which a binding is being written."""
    bound = world.bound_in(namespace)
    for uid, ref in bound.items():
        resource = world.bound_to(uid)[0]
        claim = world.claim_of(ref)
        if claim is not None:
            capacity = world.as_read(claim).spec.requirements.capacity
        elif not resource.being_deleted:
            # Not known to be gone: until its place is given up it takes all that it may have asked for.
            capacity = resource.spec.capabilities.capacity
        else:
            continue
        yield from _taken(ref, resource, capacity, world, scales)
    for uid, draft in world.reserved.items():
        for ref in draft.bound_refs:
            claim = world.claim_of(ref)
            if ref.namespace == namespace and uid not in bound and claim is not None:
                yield from _taken(ref, draft, world.as_read(claim).spec.requirements.capacity, world, scales)


def _taken(
    ref: ClaimRef, resource: Concrete, capacity: Mapping[str, Quantity], world: World, scales: Scales
) -> Iterator[Taking]:
    key = claim_key(ref)
    if key is not None:
        cost = price(resource.spec.capabilities.cost, scales)
        yield Taking(key.group_kind, world.class_names(resource), capacity, cost)


def price(cost: str | None, scales: Scales) -> Quantity | None:
    """A cost as it is summed; None where it is not stated, or has no place on the scale."""
    rank: Decimal | None = scales.cost_rank(cost) if cost is not None else None
    return Quantity.parse(max(rank, Decimal(0))) if rank is not None else None


def taken_of(quota: ClaimQuota, world: World, scales: Scales) -> QuotaAmounts:
    """The sums of what a quota limits. Summed up once, as long as nothing changes that it counts."""
    namespace = quota.metadata.namespace
    sums = world.sums_in(namespace)
    known = sums.get(quota.key)
    if known is None or known.scales is not scales:
        known = sums[quota.key] = Sum(scales, used(quota, takings(world, namespace, scales)))
    return known.amounts


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


def beyond(quota: ClaimQuota, has: QuotaAmounts, capacity: Mapping[str, Quantity]) -> list[str]:
    """What one more claim that asks for this would take too much, in numbers: of claims and of capacity."""
    hard, told = quota.spec.hard, list[str]()
    if hard.claims is not None and (has.claims or 0) + 1 > hard.claims:
        told.append(f"claims: {has.claims} used + 1 asked > {hard.claims} hard")
    for name, most in sorted(hard.capacity.items()):
        wanted, taken = capacity.get(name), has.capacity.get(name, _NOTHING)
        if wanted is None:
            told.append(f"capacity.{name}: is limited, so the claim must ask for it")
        elif taken + wanted > most:
            told.append(f"capacity.{name}: {taken} used + {wanted} asked > {most} hard")
    return told


def beyond_cost(quota: ClaimQuota, has: QuotaAmounts, cost: Quantity | None) -> list[str]:
    """The same of cost: what one more resource of this cost would take too much."""
    most, taken = quota.spec.hard.cost, has.cost or _NOTHING
    if most is None:
        return []
    if cost is None:
        return ["cost: is limited, so the resource must state it, as a number or a tier of the scale"]
    return [f"cost: {taken} used + {cost} asked > {most} hard"] if taken + cost > most else []


def made(source: ResourceClass, world: World) -> ClassLimits:
    """What exists of a class, of what its limits are about."""
    limits = source.limits or ClassLimits()
    resources = world.made_from(source)
    capacity = dict.fromkeys(limits.capacity, _NOTHING)
    for each in resources:
        for name in capacity:
            capacity[name] += each.spec.capabilities.capacity.get(name, _NOTHING)
    return ClassLimits(instances=len(resources) if limits.instances is not None else None, capacity=capacity)


def over_limit(source: ResourceClass, draft: Concrete, world: World) -> str | None:
    """Why the class may not make one more resource, this one; None when it may."""
    limits = source.limits
    if limits is None:
        return None
    has = made(source, world)
    if limits.instances is not None and (has.instances or 0) + 1 > limits.instances:
        return f"limit of {limits.instances} instances is reached: there are {has.instances}"
    for name, most in sorted(limits.capacity.items()):
        adds = draft.spec.capabilities.capacity.get(name, _NOTHING)
        if has.capacity[name] + adds > most:
            return f"limit of capacity.{name} {most} is reached: {has.capacity[name]} exists, {adds} more is needed"
    return None
