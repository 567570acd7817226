"""``allowedNamespaces``: whose claims a class or a resource is for.

What is not for a claim's namespace is not named to it; what it names itself is to it as if it did not exist.
"""

from __future__ import annotations

from conductor_model.claims import Claim
from conductor_model.namespaces import Namespace
from conductor_scheduler.framework import Aspect, Change, Offer, OfferCheck, Refusal, Request, Setup, World


class Namespaces:
    name = "namespaces"
    looks_at = (Aspect.ADMISSION,)

    def __init__(self, setup: Setup) -> None:
        pass

    def bar_offer(self, request: Request) -> OfferCheck:
        claimant = request.claim.metadata.namespace
        labels = request.world.labels_of(claimant)

        def check(offer: Offer) -> Refusal | None:
            for allowed in offer.allowed:
                detail = allowed.refusal(offer.home, claimant, labels)
                if detail is not None:
                    return Refusal("NotAllowed", detail)
            return None

        return check

    def may_help(self, change: Change, claim: Claim, world: World) -> bool:
        """Other labels of the claim's namespace."""
        if not isinstance(change.after or change.before, Namespace):
            return False
        before = change.before.metadata.labels if change.before is not None else None
        after = change.after.metadata.labels if change.after is not None else None
        return change.key.name == claim.metadata.namespace and before != after
