"""Capacity: at least what is asked for of each name, of what other claims have left."""

from __future__ import annotations

from conductor_scheduler.framework import Aspect, Offer, OfferCheck, Refusal, Request, Setup


class CapacityFilter:
    name = "capacity"
    looks_at = (Aspect.CAPACITY,)

    def __init__(self, setup: Setup) -> None:
        pass

    def filter_offer(self, request: Request) -> OfferCheck | None:
        capacity = request.claim.spec.requirements.capacity
        wanted = [(name, asked, asked.nanos) for name, asked in sorted(capacity.items())]
        if not wanted:
            return None

        def check(offer: Offer) -> Refusal | None:
            for name, asked, nanos in wanted:
                offered = offer.capacity.get(name)
                if offered is None:
                    return Refusal("CapacityUnknown", f"capacity.{name} is not offered, {asked} is asked for")
                if offered.nanos < nanos:
                    return Refusal("TooSmall", f"capacity.{name} {offered} < {asked}")
            return None

        return check
