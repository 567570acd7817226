"""Which claims a message of the bus gives something to do for.

A claim's message is about that claim; a concrete resource's is about every claim in its ``spec.claimRefs``. Only those
references are read, so that a resource whose spec makes no sense elsewhere still reaches its claims.

A claim that is bound to nothing and not Ready needs nothing, nor does the news of a resource that nobody has looked at
yet: they are most of what is heard of a new claim.
"""

from __future__ import annotations

from pydantic import Field, ValidationError

from conductor_bus import ObjectMessage
from conductor_model.claims import BoundResource, ClaimCondition
from conductor_model.concrete import ClaimRef
from conductor_model.conditions import Condition, is_true
from conductor_model.kinds import CLAIM_MODELS, CONCRETE_MODELS
from conductor_model.meta import Model, ObjectMeta
from conductor_model.refs import GroupKind, GroupVersionKind, ObjectKey

HANDLED_KINDS: tuple[GroupKind, ...] = (*CLAIM_MODELS, *CONCRETE_MODELS)
"""The kinds whose messages this service wants."""


class _References(Model):
    claim_refs: tuple[ClaimRef, ...] = ()


class _Conditions(Model):
    conditions: tuple[Condition, ...] = ()


class _Referring(Model):
    spec: _References = Field(default_factory=_References)
    status: _Conditions = Field(default_factory=_Conditions)


class _Bound(_Conditions):
    bound_resource: BoundResource | None = None


class _Binding(Model):
    metadata: ObjectMeta
    status: _Bound = Field(default_factory=_Bound)


def _undemanding(message: ObjectMessage) -> bool:
    """Whether ``decide`` has nothing to do for the claim, whatever its resource is like, and never had."""
    if message.deleted:
        return False
    try:
        claim = _Binding.model_validate_json(message.data)
    except ValidationError:
        return False
    unbound = claim.status.bound_resource is None and claim.metadata.deletion_timestamp is None
    return unbound and not is_true(claim.status.conditions, ClaimCondition.READY)


def related(message: ObjectMessage) -> tuple[ObjectKey, ...]:
    """The keys of the claims to handle because of this message."""
    if message.key.group_kind in CLAIM_MODELS:
        return () if _undemanding(message) else (message.key,)
    if message.deleted:
        # A tombstone has no references. The scheduler reports the loss in the claim's status, which is a message.
        return ()
    try:
        resource = _Referring.model_validate_json(message.data)
    except ValidationError:
        return ()
    if not resource.status.conditions:
        return ()
    references = resource.spec.claim_refs
    keys = (_claim_key(reference) for reference in references if reference.bound)
    return tuple(key for key in keys if key is not None)


def _claim_key(reference: ClaimRef) -> ObjectKey | None:
    """The claim's key; a reference without apiVersion means the claim kind of that name."""
    if reference.api_version:
        group_kind = GroupVersionKind.parse(reference.api_version, reference.kind).group_kind
    else:
        group_kind = next((each for each in CLAIM_MODELS if each.kind == reference.kind), GroupKind("", ""))
    if group_kind not in CLAIM_MODELS:
        return None
    return ObjectKey(group_kind, reference.namespace, reference.name)
