"""The version constraint, over normalised engine versions."""

from __future__ import annotations

from conductor_scheduler.framework import Aspect, Offer, OfferCheck, Refusal, Request, Setup


class EngineVersionFilter:
    name = "version"
    looks_at = (Aspect.VERSION,)

    def __init__(self, setup: Setup) -> None:
        pass

    def filter_offer(self, request: Request) -> OfferCheck | None:
        constraint = request.claim.wanted_version
        if constraint is None:
            return None
        known: dict[tuple[tuple[int, ...], str], Refusal | None] = {}

        def check(offer: Offer) -> Refusal | None:
            version = offer.version
            if version is None:
                return Refusal("VersionUnknown", f"version is not known, {constraint} is asked for")
            key = version.release, version.build
            if key not in known:
                admitted = constraint.admits(version)
                refusal = Refusal("OtherVersion", f"version {version} is not {constraint}")
                known[key] = None if admitted else refusal
            return known[key]

        return check
