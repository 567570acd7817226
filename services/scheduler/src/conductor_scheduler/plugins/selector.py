"""``resourceSelector``: labels of the resource, or of the class's template.

Not consulted when the claim names its resource (docs/adr/0004).
"""

from __future__ import annotations

from conductor_scheduler.framework import Aspect, Offer, OfferCheck, Refusal, Request, Setup


class Selector:
    name = "selector"
    looks_at = (Aspect.LABELS,)

    def __init__(self, setup: Setup) -> None:
        pass

    def filter_offer(self, request: Request) -> OfferCheck | None:
        wanted = request.claim.spec.resource_selector
        if wanted is None or request.explicit:
            return None

        def check(offer: Offer) -> Refusal | None:
            unmet = wanted.unmet(offer.labels)
            return None if unmet is None else Refusal("SelectorNotMet", f"selector {unmet} is not met")

        return check
