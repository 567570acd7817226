"""The region: the one that is asked for, or one that lies inside it by the administrator's hierarchy."""

from __future__ import annotations

from conductor_scheduler.framework import Aspect, Offer, OfferCheck, Refusal, Request, Setup


class Region:
    name = "region"
    looks_at = (Aspect.REGION,)

    def __init__(self, setup: Setup) -> None:
        self._scales = setup.scales

    def filter_offer(self, request: Request) -> OfferCheck | None:
        wanted = request.claim.spec.requirements.region
        if wanted is None:
            return None
        inside = self._scales.regions_in(wanted)

        def check(offer: Offer) -> Refusal | None:
            offered = offer.capabilities.region
            if offered is None:
                return Refusal("RegionUnknown", f"region is not stated, {wanted} is asked for")
            if offered in inside:
                return None
            return Refusal("OtherRegion", f"region {offered} is not in {wanted}")

        return check
