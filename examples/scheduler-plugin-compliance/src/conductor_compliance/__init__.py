"""A claim that must be held to rules says so, and gets only what is certified for them.

    requirements: {compliance: [hipaa]}         # of a claim
    capabilities: {compliance: [hipaa, pci]}    # of a class or a resource

Candidates with few certificates that are not asked for score higher: the costly ones are kept for those who need them.
"""

from __future__ import annotations

from conductor_scheduler.framework import Offer, OfferCheck, OfferRating, Refusal, Request, Setup

KEY = "compliance"


class Compliance:
    name = "compliance"
    requirement_keys = frozenset({KEY})

    def __init__(self, setup: Setup) -> None:
        aliases = setup.args.get("aliases", {})
        if not isinstance(aliases, dict):
            raise ValueError("aliases must map one name of a rule to another")
        self._aliases = aliases

    def filter_offer(self, request: Request) -> OfferCheck | None:
        wanted = self._rules(request.claim.spec.requirements.further.get(KEY))
        if not wanted:
            return None

        def check(offer: Offer) -> Refusal | None:
            missing = wanted - self._rules(offer.capabilities.further.get(KEY))
            if not missing:
                return None
            return Refusal("NotCompliant", f"compliance: not certified for {', '.join(sorted(missing))}")

        return check

    def score_offer(self, request: Request) -> OfferRating:
        wanted = self._rules(request.claim.spec.requirements.further.get(KEY))

        def rate(offer: Offer) -> float:
            return 100 / (1 + len(self._rules(offer.capabilities.further.get(KEY)) - wanted))

        return rate

    def _rules(self, value: object) -> frozenset[str]:
        names = value if isinstance(value, list) else [] if value is None else [value]
        return frozenset(self._aliases.get(str(name), str(name)) for name in names)
