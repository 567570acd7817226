"""Best fit: the least capacity beyond what is asked for. Of a claim that asks for none, the smallest."""

from __future__ import annotations

from collections.abc import Mapping
from math import log2

from conductor_model.quantity import Quantity
from conductor_scheduler.framework import Offer, OfferRating, Request, Setup


class BestFit:
    name = "best-fit"

    def __init__(self, setup: Setup) -> None:
        pass

    def score_offer(self, request: Request) -> OfferRating:
        """The mean share of the offered that is asked for; 100 is an exact fit."""
        wanted = {
            name: asked for name, asked in request.claim.spec.requirements.capacity.items() if asked.nanos > 0
        }

        def rate(offer: Offer) -> float:
            if not wanted:
                return 100 / (1 + log2(1 + _sum(offer.capacity)))
            shares = [
                min(1.0, asked.nanos / offered.nanos)
                for name, asked in wanted.items()
                if (offered := offer.capacity.get(name)) is not None and offered.nanos > 0
            ]
            return 100 * sum(shares) / len(wanted)

        return rate


def _sum(capacity: Mapping[str, Quantity]) -> float:
    return sum(max(0, amount.nanos) for amount in capacity.values()) / 1e9
