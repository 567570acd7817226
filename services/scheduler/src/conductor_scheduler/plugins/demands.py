"""What the claim's kind demands beyond the common requirements, against the candidate's features of those names."""

from __future__ import annotations

from conductor_scheduler.framework import Aspect, Offer, OfferCheck, Refusal, Request, Setup


class Demands:
    name = "demands"
    looks_at = (Aspect.FEATURES,)

    def __init__(self, setup: Setup) -> None:
        pass

    def filter_offer(self, request: Request) -> OfferCheck | None:
        demands = sorted(request.claim.demands.items())
        if not demands:
            return None

        def check(offer: Offer) -> Refusal | None:
            for name, wanted in demands:
                offered = offer.features.get(name)
                if not offered:
                    return Refusal("FeatureUnknown", f"{name} is not stated, {wanted} is asked for")
                if wanted not in offered:
                    only = ", ".join(sorted(offered))
                    return Refusal("OtherFeature", f"{name} {wanted} is not offered, only {only}")
            return None

        return check
