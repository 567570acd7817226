"""Spread: of shared resources the one with the most free places, of classes the one of which the least was made.

Off unless a profile gives it a weight.
"""

from __future__ import annotations

from conductor_scheduler.framework import Candidate, CandidateRating, Request, Setup


class Spread:
    name = "spread"

    def __init__(self, setup: Setup) -> None:
        pass

    def score(self, request: Request) -> CandidateRating:
        def rate(candidate: Candidate) -> float:
            if candidate.source is not None:
                return 100 / (1 + len(request.world.made_from(candidate.source)))
            if candidate.concrete is None:
                return 0.0
            spec = candidate.concrete.spec
            return 100 * (1 - len(spec.claim_refs) / spec.max_claims)

        return rate
