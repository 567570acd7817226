"""What becomes of a concrete resource as its claims go: released, held back, deleted, made available again. Pure.

A resource is protected by a finalizer while claims are bound to it, so that deleting it takes nothing away from anybody.
The finalizer changes in the same write as the references that it follows from.

Deleting takes two writes: first the references are marked as released and the finalizer goes, then the object is
deleted. Whoever dies in between leaves a Released resource of policy Delete, which nobody is bound to, and which
``unfinished`` finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from conductor_model.annotations import AVAILABLE_AGAIN, IN_USE_FINALIZER
from conductor_model.claims import Claim
from conductor_model.concrete import ClaimRef, Concrete, RebindPolicy
from conductor_scheduler.template import claim_key, name_for
from conductor_scheduler.view import View


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The references as they are to stand from now on, and what follows."""

    refs: tuple[ClaimRef, ...]
    released: frozenset[str] = frozenset()
    """uids of the claims whose entries are to be marked as released."""
    drop_confirmation: bool = False
    """Whether the annotation that confirmed a clean resource has served, or came too early to be true."""
    delete: bool = False
    """Whether the resource is to be deleted afterwards."""


def rewritten(concrete: Concrete, action: Rewrite, now: datetime) -> Concrete:
    """The resource as it is once the references are written, and before it is deleted."""
    refs = tuple(
        ref.model_copy(update={"released_at": now}) if ref.bound and ref.uid in action.released else ref
        for ref in action.refs
    )
    said = concrete.metadata.annotations
    if action.drop_confirmation:
        said = {name: value for name, value in said.items() if name != AVAILABLE_AGAIN}
    update = {"finalizers": finalizers(concrete, refs), "annotations": said}
    return concrete.model_copy(
        update={
            "metadata": concrete.metadata.model_copy(update=update),
            "spec": concrete.spec.model_copy(update={"claim_refs": refs}),
        }
    )


def orphaned_refs(concrete: Concrete, view: View) -> tuple[ClaimRef, ...]:
    """Bound references whose claim the view does not have. The API server must be asked before anything follows.

    None while a binding is being written: what is not committed needs no release, and its resource must not suffer.
    """
    if view.is_assumed(concrete.key):
        return ()
    return tuple(
        ref for ref in concrete.bound_refs if view.claim_of(ref) is None and claim_key(ref) is not None
    )


def release(concrete: Concrete, gone: frozenset[str]) -> Rewrite:
    """What becomes of a resource when the claims with these uids are known to be gone.

    Delete removes the resource with its last claim, and frees the place of any other. Retain keeps the entries,
    marked, so that the resource is not bound again before an administrator has seen to it. A confirmation that was
    given while the claim still used the resource confirms nothing.
    """
    rest = tuple(ref for ref in concrete.spec.claim_refs if ref.uid not in gone)
    premature = not gone.isdisjoint(_confirmed(concrete))
    deletes = concrete.spec.rebind_policy is RebindPolicy.DELETE
    if deletes and any(ref.bound for ref in rest):
        return Rewrite(rest, drop_confirmation=premature)
    return Rewrite(concrete.spec.claim_refs, gone, drop_confirmation=premature, delete=deletes)


def let_go(surplus: Concrete, claim: Claim) -> Rewrite:
    """What becomes of a second resource that carries a claim's reference. The claim never used it."""
    made_for_it = surplus.metadata.name == name_for(claim)
    if (
        made_for_it
        and surplus.spec.rebind_policy is RebindPolicy.DELETE
        and len(surplus.spec.claim_refs) == 1
    ):
        return Rewrite(surplus.spec.claim_refs, frozenset({claim.uid}), delete=True)
    return Rewrite(tuple(ref for ref in surplus.spec.claim_refs if ref.uid != claim.uid))


def unfinished(concrete: Concrete) -> Rewrite | None:
    """What a resource still needs by its own words alone; None when all is as it should be."""
    refs = concrete.spec.claim_refs
    released = any(ref.released_at is not None for ref in refs)
    if concrete.spec.rebind_policy is RebindPolicy.DELETE and released and not concrete.bound_refs:
        if not concrete.being_deleted:
            return Rewrite(refs, delete=True)
    elif not concrete.being_deleted:
        confirmed = _confirmed(concrete)
        rest = tuple(ref for ref in refs if ref.released_at is None or ref.uid not in confirmed)
        if rest != refs:
            return Rewrite(rest, drop_confirmation=True)
    return Rewrite(refs) if finalizers(concrete, refs) != concrete.metadata.finalizers else None


def finalizers(concrete: Concrete, refs: tuple[ClaimRef, ...]) -> tuple[str, ...]:
    """The resource's finalizers when these are its references. One that is being deleted takes no new ones."""
    others = tuple(each for each in concrete.metadata.finalizers if each != IN_USE_FINALIZER)
    held = len(others) < len(concrete.metadata.finalizers)
    if not any(ref.bound for ref in refs):
        return others
    return concrete.metadata.finalizers if held or concrete.being_deleted else (*others, IN_USE_FINALIZER)


def _confirmed(concrete: Concrete) -> frozenset[str]:
    """The former claims after which the administrator says to have cleaned up."""
    written = concrete.metadata.annotations.get(AVAILABLE_AGAIN, "")
    return frozenset(uid.strip() for uid in written.split(",") if uid.strip())
