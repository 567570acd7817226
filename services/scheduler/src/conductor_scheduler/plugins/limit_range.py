"""Limit ranges: what a claim of this namespace may ask for, whatever is offered."""

from __future__ import annotations

from conductor_scheduler.framework import Refusal, Request, Setup
from conductor_scheduler.ranges import violations


class LimitRange:
    name = "limit-range"

    def __init__(self, setup: Setup) -> None:
        self._scales = setup.scales

    def pre_filter(self, request: Request) -> Refusal | None:
        """The claim comes as it is read: with the defaults, which are bound by other ranges, too."""
        ranges = request.world.limit_ranges_in(request.claim.metadata.namespace)
        broken = violations(request.claim, ranges, self._scales)
        return Refusal("LimitRangeViolated", "; ".join(broken)) if broken else None
