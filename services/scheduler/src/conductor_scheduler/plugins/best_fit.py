"""Best fit: the least capacity beyond what is asked for. Of a claim that asks for none, the smallest."""

from __future__ import annotations

from collections.abc import Mapping
from math import log2

from conductor_model.quantity import Quantity
from conductor_scheduler.framework import Aspect, Offer, OfferRating, Request, Setup


class BestFit:
    name = "best-fit"
    looks_at = (Aspect.CAPACITY,)

    def __init__(self, setup: Setup) -> None:
        pass

    def score_offer(self, request: Request) -> OfferRating:
        """The mean share of the offered that is asked for; 100 is an exact fit."""
        asked = request.claim.spec.requirements.capacity
        wanted = [(name, amount.nanos) for name, amount in asked.items() if amount.nanos > 0]

        def rate(offer: Offer) -> float:
            if not wanted:
                return 100 / (1 + log2(1 + _sum(offer.capacity)))
            shares = 0.0
            for name, nanos in wanted:
                offered = offer.capacity.get(name)
                if offered is not None and offered.nanos > 0:
                    shares += nanos / offered.nanos if nanos < offered.nanos else 1.0
            return 100 * shares / len(wanted)

        return rate


def _sum(capacity: Mapping[str, Quantity]) -> float:
    return sum(max(0, amount.nanos) for amount in capacity.values()) / 1e9
