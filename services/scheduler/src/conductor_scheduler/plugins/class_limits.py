"""A class's limits: no more is made from it than may exist."""

from __future__ import annotations

from conductor_model.annotations import CLASS_LABEL
from conductor_model.claims import Claim
from conductor_model.concrete import Concrete
from conductor_model.meta import KubeObject
from conductor_scheduler.accounts import over_limit
from conductor_scheduler.framework import Candidate, CandidateCheck, Change, Refusal, Request, Setup, World

LIMIT_REACHED = "LimitReached"


class ClassLimits:
    name = "class-limits"

    def __init__(self, setup: Setup) -> None:
        pass

    def filter(self, request: Request) -> CandidateCheck | None:
        if all(source.limits is None for source in request.world.classes.values()):
            return None

        def check(candidate: Candidate) -> Refusal | None:
            if candidate.source is None or candidate.prototype is None:
                return None
            reached = over_limit(candidate.source, candidate.prototype, request.world)
            return Refusal(LIMIT_REACHED, reached) if reached else None

        return check

    def may_help(self, change: Change, claim: Claim, world: World) -> bool:
        """Less that exists of a class. Other limits need no hint: the class is another."""
        return _counts(change.before) != _counts(change.after) and _counts(change.before) is not None


def _counts(found: KubeObject | None) -> object:
    """What a resource that was made from a class is counted with."""
    if not isinstance(found, Concrete) or CLASS_LABEL not in found.metadata.labels:
        return None
    return found.metadata.namespace, found.spec.resource_class, found.spec.capabilities.capacity
