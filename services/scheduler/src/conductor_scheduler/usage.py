"""What the scheduler says on quotas and classes: what is used. Pure.

A status is written when it no longer says what is so, and then rests for a while (``EVERY``): a burst of bindings costs a
write per second and quota, not a write per binding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conductor_model.claims import Claim
from conductor_model.concrete import Concrete
from conductor_model.limitrange import ClaimLimitRange
from conductor_model.meta import KubeObject
from conductor_model.quota import ClaimQuota, QuotaStatus
from conductor_model.refs import ObjectKey
from conductor_model.resourceclass import ClassStatus, ResourceClass
from conductor_scheduler.accounts import made, taken_of
from conductor_scheduler.framework import Change
from conductor_scheduler.scales import Scales
from conductor_scheduler.view import View

EVERY = 1.0
"""Seconds between two writes of one status."""

Accounted = ClaimQuota | ResourceClass


def status(found: Accounted, view: View, scales: Scales) -> dict[str, Any]:
    """The status as it should be, in the API's words; None for a field that must be absent."""
    if isinstance(found, ClaimQuota):
        desired: QuotaStatus | ClassStatus = QuotaStatus(
            hard=found.spec.hard,
            used=taken_of(found, view, scales),
            observed_generation=found.metadata.generation,
        )
    elif found.limits is not None:
        desired = ClassStatus(used=made(found, view), observed_generation=found.metadata.generation)
    elif found.status.used is not None:
        return {"used": None, "observedGeneration": found.metadata.generation}
    else:
        return {}
    # Never empty, nor any part of it: server-side apply makes null of a map whose last entry goes (tried on 1.36).
    return desired.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def accounted(change: Change, view: View) -> Iterator[ObjectKey]:
    """The quotas and classes whose sums may differ after a change."""
    for side in (change.before, change.after):
        match side:
            case Claim() if _asks(change.before) != _asks(change.after):
                yield from _quotas(side.metadata.namespace, view)
            case ClaimLimitRange():
                yield from _quotas(side.metadata.namespace, view)
            case Concrete() if _gives(change.before) != _gives(change.after):
                for ref in side.bound_refs:
                    yield from _quotas(ref.namespace, view)
                if (source := view.class_of(side)) is not None:
                    yield source.key
            case ResourceClass():
                yield from (key for key, quota in view.quotas.items() if quota.spec.scope.classes)
            case _:
                pass


def _quotas(namespace: str, view: View) -> Iterator[ObjectKey]:
    return (quota.key for quota in view.quotas_in(namespace))


def _asks(claim: KubeObject | None) -> object:
    """What of a claim its namespace's quotas count."""
    return (claim.uid, claim.spec.requirements) if isinstance(claim, Claim) else None


def _gives(concrete: KubeObject | None) -> object:
    """What of a resource quotas and its class count."""
    if not isinstance(concrete, Concrete):
        return None
    spec = concrete.spec
    return concrete.uid, concrete.being_deleted, spec.claim_refs, spec.capabilities, spec.resource_class
