"""Sharing: a place for one more claim. A resource has ``maxClaims`` places, and one may be kept for a claim by its name."""

from __future__ import annotations

from collections.abc import Sequence

from conductor_model.concrete import ClaimRef, Concrete, ConcreteCondition
from conductor_model.conditions import is_true
from conductor_model.refs import ObjectKey
from conductor_scheduler.framework import Candidate, CandidateCheck, Refusal, Request, Setup, World, granted


class Sharing:
    name = "sharing"
    unless_vacant = True

    def __init__(self, setup: Setup) -> None:
        pass

    def filter(self, request: Request) -> CandidateCheck | None:
        def check(candidate: Candidate) -> Refusal | None:
            if candidate.concrete is None:
                return None
            claim = request.claim
            return unavailable(candidate.concrete, claim.key, claim.uid) or _unsettled(
                candidate.concrete, request.world
            )

        return check


def why_full(concrete: Concrete) -> str | None:
    """The reason for which no further claim can be bound to it, whichever; None when one might: see ``unavailable``."""
    refs = concrete.spec.claim_refs
    if concrete.being_deleted:
        return "BeingDeleted"
    if any(ref.released_at is not None for ref in refs):
        return "Released"
    if len(refs) >= concrete.spec.max_claims and all(ref.uid is not None for ref in refs):
        return "InUse"
    return None


def is_full(concrete: Concrete) -> bool:
    """Whether no further claim can be bound to it."""
    return why_full(concrete) is not None


def is_vacant(concrete: Concrete, world: World) -> bool:
    """Whether any claim may be bound to it now: it is ready, and has a place that is kept for nobody."""
    refs = concrete.spec.claim_refs
    return (
        is_true(concrete.status.conditions, ConcreteCondition.READY)
        and not is_full(concrete)
        and len(refs) < concrete.spec.max_claims
        and all(ref.uid is not None and granted(ref, world) is not None for ref in refs)
    )


def unavailable(concrete: Concrete, claim: ObjectKey, uid: str) -> Refusal | None:
    """Why an existing resource cannot take one more claim, the one of this key and uid, now, whatever it offers."""
    if concrete.being_deleted:
        return Refusal("BeingDeleted", "is being deleted")
    if any(ref.released_at is not None for ref in concrete.spec.claim_refs):
        return Refusal("Released", "is Released: its administrator has not confirmed yet that it is clean")
    mine = concrete.ref_of(claim)
    others = [ref for ref in concrete.spec.claim_refs if ref is not mine]
    if mine is not None and mine.uid not in {None, uid}:
        return Refusal("InUse", "is bound to an earlier claim of this name")
    if len(others) >= concrete.spec.max_claims:
        return Refusal("InUse", _taken_by(others, claim.namespace))
    if not is_true(concrete.status.conditions, ConcreteCondition.READY):
        return Refusal("NotReady", f"is not ready ({concrete.status.phase or 'Pending'})")
    return None


def _unsettled(concrete: Concrete, world: World) -> Refusal | None:
    """What a claim that is not known takes of a shared resource is not known either."""
    if all(granted(ref, world) is not None for ref in concrete.bound_refs):
        return None
    return Refusal("NotSettled", "is bound to a claim of which nothing is known yet")


def _taken_by(holders: Sequence[ClaimRef], namespace: str) -> str:
    """Who has it. Claims of other namespaces are not named: their names are not for everybody."""
    first, more = holders[0], f" and {len(holders) - 1} more" if len(holders) > 1 else ""
    state = "bound to" if first.bound else "reserved for"
    holder = first.name if first.namespace == namespace else "a claim of another namespace"
    return f"is {state} {holder}{more}"
