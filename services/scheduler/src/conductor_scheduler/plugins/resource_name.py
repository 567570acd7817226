"""An explicit ``resourceName``: that resource and no other, and no class."""

from __future__ import annotations

from conductor_scheduler.framework import Candidate, CandidateCheck, Refusal, Request, Setup


class ResourceName:
    name = "resource-name"

    def __init__(self, setup: Setup) -> None:
        pass

    def filter(self, request: Request) -> CandidateCheck | None:
        wanted = request.claim.spec.resource_name
        if wanted is None:
            return None
        refusal = Refusal("OtherName", f"is not the resource {wanted} that is asked for")

        def check(candidate: Candidate) -> Refusal | None:
            return None if candidate.concrete is not None and candidate.key.name == wanted else refusal

        return check
