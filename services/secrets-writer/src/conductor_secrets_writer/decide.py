"""What is to be done for a claim: a pure function of the claim, its concrete resource, and the time.

The binding is believed only where it was committed: in the concrete resource's ``spec.claimRefs``, with this claim's
uid. The claim's status alone could be a leftover or a forgery.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from conductor_model.claims import Binding, BoundResource, Claim, ClaimCondition
from conductor_model.concrete import Concrete, ConcreteCondition, Credentials, Endpoint
from conductor_model.conditions import Condition, condition, is_true
from conductor_secrets_writer.config import Settings

_MESSAGE_LIMIT = 300
"""Characters quoted from a concrete resource: a condition is read by people."""


class ReadyReason(StrEnum):
    """Why a claim is Ready, or is not."""

    AVAILABLE = "Available"
    NOT_BOUND = "NotBound"
    WAITING_FOR_RESOURCE = "WaitingForResource"
    RESOURCE_UNAVAILABLE = "ResourceUnavailable"
    CREDENTIALS_MISSING = "CredentialsMissing"
    NAME_CONFLICT = "NameConflict"
    WRITE_REFUSED = "WriteRefused"


@dataclass(frozen=True, slots=True)
class Ready:
    """What the claim's ``Ready`` condition and ``binding`` shall say."""

    holds: bool
    reason: ReadyReason
    message: str
    binding: Binding | None

    def condition(self, claim: Claim) -> Condition:
        return Condition(
            type=ClaimCondition.READY,
            status="True" if self.holds else "False",
            reason=self.reason,
            message=self.message,
            observed_generation=claim.metadata.generation,
        )


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing to do until something changes."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to write now; look again after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class AskTheApi:
    """The bus contradicts a claim that is Ready. A bus may lag: decide again on what the API server says."""


@dataclass(frozen=True, slots=True)
class Report:
    """Only the claim's status is to be written."""

    ready: Ready


@dataclass(frozen=True, slots=True)
class Publish:
    """The resource can be connected to: its objects are to be as they should."""

    concrete: Concrete
    endpoint: Endpoint | None
    """None only for claims that have no Service."""
    credentials: Credentials | None
    """None only for claims that are connected to without any."""


Decision = Nothing | Wait | AskTheApi | Report | Publish


def decide(
    claim: Claim, concrete: Concrete | None, *, proven: bool, now: datetime, settings: Settings
) -> Decision:
    """``concrete`` is the bound resource as last seen; ``proven`` says that the API server itself was asked."""
    bound = claim.status.bound_resource
    ready = is_true(claim.status.conditions, ClaimCondition.READY)
    if claim.being_deleted:
        return Nothing()
    if bound is None:
        return Report(_not_bound("The claim is not bound to a resource.")) if ready else Nothing()
    if concrete is None or not confirms(concrete, claim, bound):
        if not ready:
            return Wait(settings.unconfirmed)
        if not proven:
            return AskTheApi()
        return Report(_not_bound(f"{_name(bound)} does not exist, or is not bound to this claim."))
    endpoint, credentials = concrete.status.endpoint, concrete.status.credentials
    connectable = is_true(concrete.status.conditions, ConcreteCondition.READY)
    addressed = endpoint is not None or claim.service_name is None
    known = credentials is not None or not claim.connection_format.has_secrets
    if connectable and addressed and known:
        return Publish(concrete, endpoint, credentials)
    if claim.status.binding is not None:
        return Report(_unavailable(claim, concrete, bound))
    remaining = settings.grace - _seconds_bound(claim, now)
    if remaining > 0:
        return Wait(min(remaining, settings.grace))
    return Report(_waiting(concrete, bound))


def confirms(concrete: Concrete, claim: Claim, bound: BoundResource) -> bool:
    """Whether this is the very resource that the claim names, and it holds this very claim, unreleased."""
    reference = concrete.ref_of(claim.key)
    return (
        concrete.uid == bound.uid and reference is not None and reference.bound and reference.uid == claim.uid
    )


def available(claim: Claim) -> Ready:
    """The claim's objects are in place."""
    secret, config_map = f'Secret "{claim.secret_name}"', f'ConfigMap "{claim.config_map_name}"'
    if claim.service_name is None:
        objects = f"{secret} and {config_map}"
    else:
        objects = f'{secret}, {config_map} and Service "{claim.service_name}"'
    return Ready(True, ReadyReason.AVAILABLE, f"{objects} are in place.", Binding(name=claim.secret_name))


def not_published(claim: Claim, reason: ReadyReason, message: str) -> Ready:
    """The resource could be connected to, but an object is missing. A Secret that was published stays announced."""
    return Ready(False, reason, message, claim.status.binding)


def _not_bound(message: str) -> Ready:
    return Ready(False, ReadyReason.NOT_BOUND, message, None)


def _waiting(concrete: Concrete, bound: BoundResource) -> Ready:
    return Ready(False, ReadyReason.WAITING_FOR_RESOURCE, _state_of(concrete, bound), None)


def _unavailable(claim: Claim, concrete: Concrete, bound: BoundResource) -> Ready:
    return not_published(claim, ReadyReason.RESOURCE_UNAVAILABLE, _state_of(concrete, bound))


def _state_of(concrete: Concrete, bound: BoundResource) -> str:
    """The resource's phase and what it says itself: a failed reconciliation first, for it explains the rest."""
    synced = condition(concrete.status.conditions, ConcreteCondition.SYNCED)
    ready = condition(concrete.status.conditions, ConcreteCondition.READY)
    telling = synced if synced is not None and synced.status == "False" else ready
    text = f"{_name(bound)} is {concrete.status.phase or 'not yet seen by its provisioner'}"
    if telling is not None:
        text += f": {telling.reason}"
        text += f": {telling.message}" if telling.message else ""
    return text if len(text) <= _MESSAGE_LIMIT else text[: _MESSAGE_LIMIT - 1] + "…"


def _name(bound: BoundResource) -> str:
    return f"{bound.kind} {bound.namespace}/{bound.name}"


def _seconds_bound(claim: Claim, now: datetime) -> float:
    """Since when the claim waits for its resource. Conditions count whole seconds, so this is up to one too many."""
    bound = condition(claim.status.conditions, ClaimCondition.BOUND)
    since = bound.last_transition_time if bound is not None else None
    return (now - since).total_seconds() if since is not None else 0.0
