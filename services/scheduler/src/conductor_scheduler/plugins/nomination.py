"""Nomination: room on a shared resource that is freed bit by bit is kept for the claim that has long waited for all of it.

Without it, small claims that come later would take each bit, and a large one would wait for ever (docs/adr/0011).
"""

from __future__ import annotations

from dataclasses import replace

from conductor_model.claims import Claim
from conductor_model.concrete import ConcreteCondition
from conductor_model.conditions import is_true
from conductor_scheduler.framework import Candidate, CandidateCheck, Refusal, Request, Setup, World
from conductor_scheduler.framework.precedence import precedence

NAME = "nomination"


class Nomination:
    name = NAME

    def __init__(self, setup: Setup) -> None:
        pass

    def filter(self, request: Request) -> CandidateCheck | None:
        world, claim = request.world, request.claim
        if not world.nominations:
            return None

        def check(candidate: Candidate) -> Refusal | None:
            nominee = _nominee(candidate, world)
            if nominee is None or candidate.concrete is None or nominee.uid == claim.uid:
                return None
            if precedence(claim) < precedence(nominee) or candidate.concrete.ref_of(claim.key) is not None:
                return None
            return Refusal("KeptForAnother", "its room is kept for a claim that has waited longer")

        return check


def _nominee(candidate: Candidate, world: World) -> Claim | None:
    key = world.nominations.get(candidate.key)
    return world.claims.get(key) if key is not None else None


def if_it_were_empty(candidate: Candidate) -> Candidate | None:
    """A shared resource as it would be if nobody had it; None for one that will not be free for everybody."""
    concrete = candidate.concrete
    if (
        concrete is None
        or concrete.spec.max_claims == 1
        or concrete.being_deleted
        or not is_true(concrete.status.conditions, ConcreteCondition.READY)
        or any(not ref.bound for ref in concrete.spec.claim_refs)
    ):
        return None
    offer = replace(candidate.offer, capacity=concrete.spec.capabilities.capacity)
    return replace(candidate, offer=offer, vacant=True)
