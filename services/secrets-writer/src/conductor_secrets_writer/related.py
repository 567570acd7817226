"""Which claims a message of the bus is about.

A claim's message is about that claim; a concrete resource's is about every claim in its ``spec.claimRefs``. Only those
references are read, so that a resource whose spec makes no sense elsewhere still reaches its claims.
"""

from __future__ import annotations

from pydantic import Field, ValidationError

from conductor_bus import ObjectMessage
from conductor_model.concrete import ClaimRef
from conductor_model.kinds import CLAIM_MODELS, CONCRETE_MODELS
from conductor_model.meta import Model
from conductor_model.refs import GroupKind, GroupVersionKind, ObjectKey

HANDLED_KINDS: tuple[GroupKind, ...] = (*CLAIM_MODELS, *CONCRETE_MODELS)
"""The kinds whose messages this service wants."""


class _References(Model):
    claim_refs: tuple[ClaimRef, ...] = ()


class _Referring(Model):
    spec: _References = Field(default_factory=_References)


def related(message: ObjectMessage) -> tuple[ObjectKey, ...]:
    """The keys of the claims to handle because of this message."""
    if message.key.group_kind in CLAIM_MODELS:
        return (message.key,)
    if message.deleted:
        # A tombstone has no references. The scheduler reports the loss in the claim's status, which is a message.
        return ()
    try:
        references = _Referring.model_validate_json(message.data).spec.claim_refs
    except ValidationError:
        return ()
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
