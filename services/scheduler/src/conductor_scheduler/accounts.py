"""What is taken of quotas and of classes' limits, and what one more claim would take too much. Pure.

A claim takes from its namespace's quotas from the decision to give it a resource until it is gone; one that waits takes
nothing. A resource takes from its class's limits from the decision to make it until it is gone from the API.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from conductor_model.annotations import CLASS_LABEL
from conductor_model.concrete import Concrete
from conductor_model.quantity import Quantity
from conductor_model.quota import ClaimQuota, QuotaAmounts
from conductor_model.resourceclass import ClassLimits, ResourceClass
from conductor_scheduler.framework import World, granted
from conductor_scheduler.ledger import Ledger, Sums, Taking
from conductor_scheduler.scales import Scales
from conductor_scheduler.template import claim_key

_NOTHING = Quantity(0)


def taken_of(quota: ClaimQuota, world: World, scales: Scales) -> QuotaAmounts:
    """The sums of what a quota limits, over what counts for it."""
    ledger = world.ledger(quota.metadata.namespace)
    if ledger.scales is not scales:
        ledger.stale.update(ledger.takings)
        ledger.scales = scales
    for uid in ledger.stale:
        _take_in(uid, ledger, world, scales)
    ledger.stale.clear()
    sums = ledger.sums.get(quota.key)
    if sums is None or sums.quota is not quota:
        sums = ledger.sums[quota.key] = Sums(quota)
        for taking in ledger.takings.values():
            sums.add(taking)
    return sums.amounts


def _take_in(uid: str, ledger: Ledger, world: World, scales: Scales) -> None:
    """What a claim takes now, in the place of what it took."""
    before, after = ledger.takings.pop(uid, None), taking_of(uid, world, scales)
    if after is not None:
        ledger.takings[uid] = after
    for sums in ledger.sums.values():
        if before is not None:
            sums.add(before, -1)
        if after is not None:
            sums.add(after)


def taking_of(uid: str, world: World, scales: Scales) -> Taking | None:
    """What a claim takes that is bound, or for which a binding is being written; None for one that takes nothing."""
    bound = world.bound_to(uid)
    resource = bound[0] if bound else world.reserved.get(uid)
    ref = next((each for each in resource.bound_refs if each.uid == uid), None) if resource else None
    key = claim_key(ref) if ref is not None else None
    if resource is None or ref is None or key is None:
        return None
    if world.claim_of(ref) is None and (not bound or resource.being_deleted):
        return None
    offered, capacity = resource.spec.capabilities, granted(ref, world)
    if capacity is None:
        # Not known to be gone: until its place is given up it takes all that it may have asked for.
        capacity = offered.capacity
    return Taking(
        ref.namespace, key.group_kind, world.class_names(resource), capacity, price(offered.cost, scales)
    )


def price(cost: str | None, scales: Scales) -> Quantity | None:
    """A cost as it is summed; None where it is not stated, or has no place on the scale."""
    rank: Decimal | None = scales.cost_rank(cost) if cost is not None else None
    return Quantity.parse(max(rank, Decimal(0))) if rank is not None else None


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


def overdrawn_by(uid: str, world: World, scales: Scales) -> list[str]:
    """The quotas of which more is taken than may be, to which the claim adds by what it has, in numbers."""
    taking = taking_of(uid, world, scales)
    if taking is None:
        return []
    told = list[str]()
    for quota in world.quotas_in(taking.namespace):
        if not taking.counts_for(quota):
            continue
        hard, has, short = quota.spec.hard, taken_of(quota, world, scales), list[str]()
        if hard.claims is not None and (has.claims or 0) > hard.claims:
            short.append(f"claims: {has.claims} used > {hard.claims} hard")
        for name, most in sorted(hard.capacity.items()):
            if taking.capacity.get(name, _NOTHING) > _NOTHING and has.capacity[name] > most:
                short.append(f"capacity.{name}: {has.capacity[name]} used > {most} hard")
        if (
            hard.cost is not None
            and (taking.cost or _NOTHING) > _NOTHING
            and (has.cost or _NOTHING) > hard.cost
        ):
            short.append(f"cost: {has.cost} used > {hard.cost} hard")
        if short:
            told.append(f"quota {quota.metadata.name}: {', '.join(short)}")
    return told


def made(source: ResourceClass, world: World) -> ClassLimits:
    """What exists of a class, of what its limits are about."""
    limits = source.limits or ClassLimits()
    resources = world.made_from(source)
    capacity = dict.fromkeys(limits.capacity, _NOTHING)
    for each in resources:
        for name in capacity:
            capacity[name] += each.spec.capabilities.capacity.get(name, _NOTHING)
    return ClassLimits(instances=len(resources) if limits.instances is not None else None, capacity=capacity)


def overdrawn_class(concrete: Concrete, world: World) -> list[str]:
    """The limits of its class of which more exists than may, to which a resource adds that was made from it."""
    source = world.class_of(concrete)
    if source is None or source.limits is None or CLASS_LABEL not in concrete.metadata.labels:
        return []
    limits, has, told = source.limits, made(source, world), list[str]()
    if limits.instances is not None and (has.instances or 0) > limits.instances:
        told.append(f"instances: {has.instances} exist > {limits.instances} may")
    for name, most in sorted(limits.capacity.items()):
        adds = concrete.spec.capabilities.capacity.get(name, _NOTHING)
        if adds > _NOTHING and has.capacity[name] > most:
            told.append(f"capacity.{name}: {has.capacity[name]} exists > {most} may")
    return [f"class {source.metadata.name}: {', '.join(told)}"] if told else []


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
