"""``resourceClass``: the candidate's class, by its name or by its profile."""

from __future__ import annotations

from conductor_scheduler.framework import Aspect, Offer, OfferCheck, Refusal, Request, Setup


class ClassOrProfile:
    name = "class"
    looks_at = (Aspect.CLASS_NAMES,)

    def __init__(self, setup: Setup) -> None:
        pass

    def filter_offer(self, request: Request) -> OfferCheck | None:
        wanted = request.claim.spec.resource_class
        if wanted is None:
            return None
        refusal = Refusal("OtherClass", f"is not of class {wanted}")

        def check(offer: Offer) -> Refusal | None:
            return None if wanted in offer.class_names else refusal

        return check
