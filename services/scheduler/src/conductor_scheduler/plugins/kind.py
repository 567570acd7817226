"""Kind and engine: the candidate's engine must implement the claim's kind, whatever version either is served in.

Which classes serve a kind is said by their ``supportedResources`` and decides before any plugin is asked.
"""

from __future__ import annotations

from conductor_scheduler.framework import Aspect, Offer, OfferCheck, Refusal, Request, Setup


class Kind:
    name = "kind"
    looks_at = (Aspect.IMPLEMENTS,)

    def __init__(self, setup: Setup) -> None:
        pass

    def filter_offer(self, request: Request) -> OfferCheck | None:
        wanted = request.claim.key.group_kind
        refusal = Refusal("OtherKind", f"does not implement {wanted.kind}")

        def check(offer: Offer) -> Refusal | None:
            return None if wanted in offer.implements else refusal

        return check
