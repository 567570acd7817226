"""The version constraint, over normalised engine versions."""

from __future__ import annotations

from conductor_scheduler.framework import Offer, OfferCheck, Refusal, Request, Setup


class EngineVersionFilter:
    name = "version"

    def __init__(self, setup: Setup) -> None:
        pass

    def filter_offer(self, request: Request) -> OfferCheck | None:
        constraint = request.claim.wanted_version
        if constraint is None:
            return None

        def check(offer: Offer) -> Refusal | None:
            if offer.version is None:
                return Refusal("VersionUnknown", f"version is not known, {constraint} is asked for")
            if constraint.admits(offer.version):
                return None
            return Refusal("OtherVersion", f"version {offer.version} is not {constraint}")

        return check
