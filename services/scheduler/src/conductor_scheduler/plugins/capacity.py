"""Capacity: at least what is asked for of each name, of what other claims have left."""

from __future__ import annotations

from conductor_scheduler.framework import Offer, OfferCheck, Refusal, Request, Setup


class CapacityFilter:
    name = "capacity"

    def __init__(self, setup: Setup) -> None:
        pass

    def filter_offer(self, request: Request) -> OfferCheck | None:
        wanted = sorted(request.claim.spec.requirements.capacity.items())
        if not wanted:
            return None

        known: dict[tuple[str, int], Refusal] = {}

        def check(offer: Offer) -> Refusal | None:
            for name, asked in wanted:
                offered = offer.capacity.get(name)
                if offered is None:
                    return Refusal("CapacityUnknown", f"capacity.{name} is not offered, {asked} is asked for")
                if offered.nanos < asked.nanos:
                    key = name, offered.nanos
                    if key not in known:
                        known[key] = Refusal("TooSmall", f"capacity.{name} {offered} < {asked}")
                    return known[key]
            return None

        return check
