"""What the scheduler says on a claim: phase, ``Scheduled``, ``Bound``, ``boundResource``. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from conductor_model.claims import BoundResource, Claim, ClaimCondition, ClaimPhase, ClaimStatus
from conductor_model.concrete import Concrete
from conductor_model.conditions import Condition, condition, with_condition
from conductor_scheduler.decide import Bind, Provision, summary

_GRANTED_LENGTH = 512
OWNED_CONDITIONS = frozenset({ClaimCondition.SCHEDULED.value, ClaimCondition.BOUND.value})


def bound(claim: Claim, concrete: Concrete, scheduled: tuple[str, str] | None, now: datetime) -> ClaimStatus:
    """The status of a claim bound to ``concrete``; ``scheduled`` is the reason and message of a fresh decision."""
    kept = condition(claim.status.conditions, ClaimCondition.SCHEDULED)
    if scheduled is None:
        scheduled = (
            (kept.reason, kept.message)
            if kept is not None and kept.status == "True"
            else ("AlreadyBound", f"{concrete.metadata.name} carries this claim's reference")
        )
    return _status(
        claim,
        ClaimPhase.BOUND,
        _condition(claim, ClaimCondition.SCHEDULED, "True", *scheduled),
        _condition(claim, ClaimCondition.BOUND, "True", *_bound_to(claim, concrete)),
        now,
        resource=BoundResource(
            api_version=concrete.api_version,
            kind=concrete.kind,
            namespace=concrete.metadata.namespace,
            name=concrete.metadata.name,
            uid=concrete.uid,
        ),
        resource_class=concrete.spec.resource_class,
    )


def _bound_to(claim: Claim, concrete: Concrete) -> tuple[str, str]:
    """Reason and message of ``Bound=True``."""
    if not concrete.being_deleted:
        return "Bound", f"bound to {_place(concrete)}{_not_granted(claim, concrete)}"
    if concrete.deletion_held:
        return (
            "DeletionHeld",
            f"bound to {_place(concrete)}, which was deleted and stays until this claim is gone",
        )
    return "BeingDeleted", f"bound to {_place(concrete)}, which is being deleted"


def _not_granted(claim: Claim, concrete: Concrete) -> str:
    """What a claim asks for that was changed while it was being bound: it has what it asked for before."""
    ref = next((each for each in concrete.bound_refs if each.uid == claim.uid), None)
    if ref is None or ref.capacity is None:
        return ""
    told = [
        f"capacity.{name} {ref.capacity.get(name, 0)}, not {asked}"
        for name, asked in sorted(claim.spec.requirements.capacity.items())
        if ref.capacity.get(name) != asked
    ]
    return f"; it was granted what it asked for then: {', '.join(told)}"[:_GRANTED_LENGTH] if told else ""


def pending(claim: Claim, reason: str, message: str, now: datetime) -> ClaimStatus:
    """The status of a claim that waits."""
    return _status(
        claim,
        ClaimPhase.PENDING,
        _condition(claim, ClaimCondition.SCHEDULED, "False", reason, message),
        _condition(claim, ClaimCondition.BOUND, "False", "NotScheduled", "waiting for a resource that fits"),
        now,
    )


def lost(claim: Claim, reason: str, message: str, now: datetime) -> ClaimStatus:
    """The status of a claim whose resource is gone: what was bound stays written down."""
    kept = condition(claim.status.conditions, ClaimCondition.SCHEDULED)
    return _status(
        claim,
        ClaimPhase.LOST,
        _condition(claim, ClaimCondition.SCHEDULED, "True", kept.reason, kept.message)
        if kept is not None and kept.status == "True"
        else _condition(claim, ClaimCondition.SCHEDULED, "True", "AlreadyBound", "was bound"),
        _condition(claim, ClaimCondition.BOUND, "False", reason, message),
        now,
        resource=claim.status.bound_resource,
        resource_class=claim.status.resource_class,
    )


def chosen(decision: Bind | Provision) -> tuple[str, str]:
    """Reason and message of ``Scheduled=True``."""
    tally = decision.tally
    counts, against = f"{tally.fit}/{tally.total} fit", summary(tally).partition(": ")[2]
    why = f" ({against})" if against else ""
    if isinstance(decision, Bind):
        return "ResourceChosen", f"{counts}, chose {decision.concrete.metadata.name}{why}"
    made = f"{decision.draft.key.name} from class {decision.source.metadata.name}"
    return "Provisioning", f"{counts}, provisioning {made}{why}"


def as_applied(status: ClaimStatus) -> dict[str, Any]:
    """The fields that the scheduler owns; None for one that must be absent."""
    owned = status.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"binding"})
    return {"boundResource": None, "resourceClass": None, **owned}


def _status(
    claim: Claim,
    phase: ClaimPhase,
    scheduled: Condition,
    bound_condition: Condition,
    now: datetime,
    *,
    resource: BoundResource | None = None,
    resource_class: str | None = None,
) -> ClaimStatus:
    ours = tuple(each for each in claim.status.conditions if each.type in OWNED_CONDITIONS)
    conditions = with_condition(with_condition(ours, scheduled, now), bound_condition, now)
    return ClaimStatus(
        phase=phase,
        conditions=conditions,
        bound_resource=resource,
        resource_class=resource_class,
        observed_generation=claim.metadata.generation,
    )


def _condition(claim: Claim, kind: ClaimCondition, status: str, reason: str, message: str) -> Condition:
    return Condition.model_validate(
        {
            "type": kind.value,
            "status": status,
            "reason": reason,
            "message": message,
            "observedGeneration": claim.metadata.generation,
        }
    )


def _place(concrete: Concrete) -> str:
    return f"{concrete.kind} {concrete.metadata.namespace}/{concrete.metadata.name}"
