"""Quotas: a namespace's claims take no more together than they may.

What the claim takes whatever it gets is judged first; what depends on the resource, for its cost or its class, with each
offer.
"""

from __future__ import annotations

from collections.abc import Iterable

from conductor_model.claims import Claim
from conductor_model.concrete import Concrete
from conductor_model.kinds import CLAIM_QUOTA
from conductor_model.meta import KubeObject
from conductor_model.quota import ClaimQuota, QuotaAmounts
from conductor_scheduler.accounts import beyond, beyond_cost, price, taken_of
from conductor_scheduler.framework import Aspect, Change, Offer, OfferCheck, Refusal, Request, Setup, World

EXCEEDED = "QuotaExceeded"


class Quota:
    name = "quota"
    looks_at = (Aspect.CLASS_NAMES, Aspect.COST)

    def __init__(self, setup: Setup) -> None:
        self._scales = setup.scales

    def pre_filter(self, request: Request) -> Refusal | None:
        unread = request.world.unread_limits(request.claim.metadata.namespace)
        if unread:
            return Refusal("LimitsUnreadable", "; ".join(unread))
        return self._against_any(request.claim, request.world)

    def _against_any(self, claim: Claim, world: World) -> Refusal | None:
        """Why the claim may have no resource, whichever."""
        capacity = claim.spec.requirements.capacity
        return _refusal(
            _told(quota, beyond(quota, taken_of(quota, world, self._scales), capacity))
            for quota in _covering(claim, world)
            if not quota.spec.scope.classes
        )

    def filter_offer(self, request: Request) -> OfferCheck | None:
        claim, world = request.claim, request.world
        sums = [
            (quota, taken_of(quota, world, self._scales))
            for quota in _covering(claim, world)
            if quota.spec.scope.classes or quota.spec.hard.cost is not None
        ]
        if not sums:
            return None
        capacity = claim.spec.requirements.capacity

        def beyond_with(offer: Offer, quota: ClaimQuota, has: QuotaAmounts) -> list[str]:
            scoped = beyond(quota, has, capacity) if quota.spec.scope.classes else []
            return scoped + beyond_cost(quota, has, price(offer.capabilities.cost, self._scales))

        def check(offer: Offer) -> Refusal | None:
            return _refusal(
                _told(quota, beyond_with(offer, quota, has))
                for quota, has in sums
                if quota.spec.scope.covers_class(offer.class_names)
            )

        return check

    def may_help(self, change: Change, claim: Claim, world: World) -> bool:
        """Another quota; or less is taken, and that is enough.

        Where it is not enough the claim keeps the numbers that it was refused with: otherwise each place that becomes
        free would be written on every claim that waits for one.
        """
        namespace = claim.metadata.namespace
        if change.key.group_kind == CLAIM_QUOTA.group_kind:
            return change.key.namespace == namespace and _limits(change.before) != _limits(change.after)
        return _takes_less(change, namespace) and self._against_any(world.as_read(claim), world) is None


def _covering(claim: Claim, world: World) -> list[ClaimQuota]:
    if world.bound_to(claim.uid):
        return []  # It asks for no more than it has.
    quotas = world.quotas_in(claim.metadata.namespace)
    return [each for each in quotas if each.spec.scope.covers_kind(claim.key.group_kind)]


def _told(quota: ClaimQuota, short: list[str]) -> str:
    return f"quota {quota.metadata.name}: {', '.join(short)}" if short else ""


def _refusal(told: Iterable[str]) -> Refusal | None:
    detail = "; ".join(each for each in told if each)
    return Refusal(EXCEEDED, detail) if detail else None


def _limits(found: KubeObject | None) -> object:
    """All that a quota says but for its status; of one that cannot be read, that it is another."""
    return getattr(found, "spec", found)


def _takes_less(change: Change, namespace: str) -> bool:
    """Whether claims of the namespace may take less now: a claim asks for something else, or a resource lost one."""
    before, after = change.before, change.after
    if isinstance(before, Claim):
        return before.metadata.namespace == namespace and _asks(before) != _asks(after)
    if not isinstance(before, Concrete):
        return False
    takers = _takers(before, namespace)
    return bool(takers) and (bool(takers - _takers(after, namespace)) or _price(before) != _price(after))


def _asks(claim: KubeObject | None) -> object:
    return (claim.uid, claim.spec.requirements) if isinstance(claim, Claim) else None


def _takers(concrete: KubeObject | None, namespace: str) -> set[str | None]:
    if not isinstance(concrete, Concrete):
        return set()
    return {ref.uid for ref in concrete.bound_refs if ref.namespace == namespace}


def _price(concrete: KubeObject | None) -> object:
    """What else of a resource decides what its claims are counted with: what is being deleted costs the gone nothing."""
    if not isinstance(concrete, Concrete):
        return None
    return concrete.being_deleted, concrete.spec.resource_class, concrete.spec.capabilities.cost
