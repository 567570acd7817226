"""Cost: at most what is asked for, by the administrator's scale or as numbers; and cheaper is better."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

from conductor_scheduler.framework import Aspect, Offer, OfferCheck, OfferRating, Refusal, Request, Setup


class Cost:
    name = "cost"
    looks_at = (Aspect.COST,)

    def __init__(self, setup: Setup) -> None:
        self._scales = setup.scales
        self._rating = lru_cache(maxsize=1024)(self._rate)

    def filter_offer(self, request: Request) -> OfferCheck | None:
        wanted = request.claim.spec.requirements.cost
        if wanted is None:
            return None
        most = self._scales.cost_rank(wanted)

        def check(offer: Offer) -> Refusal | None:
            offered = offer.capabilities.cost
            if offered == wanted:
                return None
            if offered is None:
                return Refusal("CostUnknown", f"cost is not stated, at most {wanted} is asked for")
            has = self._scales.cost_rank(offered)
            if most is None or has is None:
                return Refusal("CostUnknown", f"cost {offered} cannot be compared with {wanted}")
            return None if has <= most else Refusal("TooDear", f"cost {offered} > {wanted}")

        return check

    def score_offer(self, request: Request) -> OfferRating:
        """What costs nothing 100, less for each step or unit, and 0 for what is not known."""

        return lambda offer: self._rating(offer.capabilities.cost)

    def _rate(self, stated: str | None) -> float:
        rank = self._scales.cost_rank(stated) if stated is not None else None
        return 0.0 if rank is None else float(100 / (1 + max(rank, Decimal(0))))
