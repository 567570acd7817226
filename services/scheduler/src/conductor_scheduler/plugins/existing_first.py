"""What exists comes before what would have to be made."""

from __future__ import annotations

from conductor_scheduler.framework import Aspect, Offer, OfferRating, Request, Setup


class ExistingFirst:
    name = "existing-first"
    looks_at = (Aspect.EXISTS,)

    def __init__(self, setup: Setup) -> None:
        pass

    def score_offer(self, request: Request) -> OfferRating:
        def rate(offer: Offer) -> float:
            return 100.0 if offer.exists else 0.0

        return rate
