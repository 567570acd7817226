"""Limit ranges: what a claim of this namespace may ask for, whatever is offered."""

from __future__ import annotations

from conductor_model.claims import Claim
from conductor_model.kinds import CLAIM_LIMIT_RANGE
from conductor_model.limitrange import ClaimLimitRange
from conductor_model.meta import KubeObject
from conductor_scheduler.framework import Change, Refusal, Request, Setup, World
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

    def may_help(self, change: Change, claim: Claim, world: World) -> bool:
        """Another limit range. A claim that says something else is looked at anyway."""
        return (
            change.key.group_kind == CLAIM_LIMIT_RANGE.group_kind
            and change.key.namespace == claim.metadata.namespace
            and _says(change.before) != _says(change.after)
        )


def _says(found: KubeObject | None) -> object:
    return found.spec if isinstance(found, ClaimLimitRange) else None
