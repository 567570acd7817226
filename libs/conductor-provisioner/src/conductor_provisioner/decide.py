"""What to do about an external resource: pure functions from what is wanted and what is there to the next step.

Promises: what another owns is never acted upon; a policy that is not given is never made use of; while something is
under way, nothing more is begun; what vanished is made again only where nothing but its being there matters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

from conductor_model.annotations import EXTERNAL_NAME, POLL_INTERVAL
from conductor_model.concrete import Concrete, ConcreteSpec, ManagementPolicy, RebindPolicy
from conductor_provisioner.driver import CredentialsFrom, Drift, Observation, Ownership, Resource
from conductor_provisioner.outcome import IN_SYNC, Reason, Synced, out_of_sync
from conductor_provisioner.pacing import Look, next_look, own_poll_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What of a driver decisions depend on."""

    credentials_from: CredentialsFrom
    recreates: bool


class Step(Enum):
    """What is done next."""

    NOTHING = auto()
    CREATE = auto()
    UPDATE = auto()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, what to say about it, and when to look again if nothing is done."""

    step: Step = Step.NOTHING
    synced: Synced = IN_SYNC
    look: Look | float = Look.LATER
    repairs: tuple[Drift, ...] = ()
    """What somebody else has changed, and is changed back."""


class Ending(Enum):
    """How a deletion goes on."""

    WAIT = auto()
    AWAIT_CREATE = auto()
    """Nothing is there, but something may be about to appear."""
    DELETE = auto()
    GONE = auto()
    NOT_OURS = auto()


def observes_only(spec: ConcreteSpec) -> bool:
    """Whether nothing may be done to the external resource."""
    return not any(
        spec.allows(each)
        for each in (ManagementPolicy.CREATE, ManagementPolicy.UPDATE, ManagementPolicy.DELETE)
    )


def orphans(spec: ConcreteSpec) -> bool:
    """Whether the external resource outlives its object."""
    return spec.rebind_policy is RebindPolicy.RETAIN or not spec.allows(ManagementPolicy.DELETE)


def given_name(concrete: Concrete) -> str | None:
    """The external name that the administrator's annotation says."""
    return concrete.metadata.annotations.get(EXTERNAL_NAME) or None


def name_of(concrete: Concrete, default: str) -> str | Synced:
    """The external name: the recorded one, or the annotation's, or the default. What is recorded cannot change."""
    given, recorded = given_name(concrete), concrete.status.external_name
    if recorded is not None and given not in (None, recorded):
        return out_of_sync(
            Reason.IMMUTABLE_FIELD,
            f"annotation {EXTERNAL_NAME} says {given}, but this object stands for {recorded}: set it back, or make "
            "another object",
        )
    return recorded or given or default


def was_there(concrete: Concrete) -> bool:
    """Whether the external resource is known to have been ready, or near it, once."""
    return concrete.status.endpoint is not None or concrete.status.provisioned_at is not None


def may_be_ours(concrete: Concrete, resource: Resource[Any, Any], observed: Observation[Any]) -> bool:
    """Whether what was found is this object's, or nobody's and given to it by the administrator."""
    if observed.ownership is Ownership.NOBODYS:
        return given_name(concrete) == resource.external_name
    return observed.ownership is Ownership.OURS


def decide(
    concrete: Concrete, resource: Resource[Any, Any], traits: Traits, observed: Observation[Any]
) -> Plan:
    """The plan for an object that is to exist. ``concrete.status`` is as it was before this look."""
    if not observed.exists:
        return _decide_absent(concrete, resource.external_name, traits, observed)
    if not may_be_ours(concrete, resource, observed):
        return Plan(synced=_not_owned(resource, observed))
    fixed = [each for each in observed.drift if not each.repairable]
    look = next_look(observed)
    if fixed:
        return Plan(synced=out_of_sync(Reason.IMMUTABLE_FIELD, "; ".join(map(_immutable, fixed))), look=look)
    spec = concrete.spec
    if observed.busy:
        return Plan(synced=_in_sync(concrete), look=look)
    if spec.allows(ManagementPolicy.UPDATE):
        if _to_update(resource, traits, observed):
            unasked = concrete.status.observed_generation == concrete.metadata.generation
            return Plan(Step.UPDATE, _in_sync(concrete), look, observed.drift if unasked else ())
    elif observed.drift:
        message = f"{_told(observed.drift)}: spec.managementPolicies does not hold Update, so it is left so"
        return Plan(synced=out_of_sync(Reason.DRIFTED, message), look=look)
    return Plan(synced=_in_sync(concrete), look=look)


def decide_deletion(
    resource: Resource[Any, Any], observed: Observation[Any], *, create_under_way: bool
) -> Ending:
    """How the deletion of an object goes on whose policy is to take the external resource along.

    ``create_under_way``: a create may still have its effect, see ``create_awaited``. Leftovers stay as long: what appears
    may be known as ours by nothing else.
    """
    if not observed.exists:
        if observed.busy:
            return Ending.WAIT
        if create_under_way:
            return Ending.AWAIT_CREATE
        return Ending.DELETE if observed.leftovers else Ending.GONE
    if observed.ownership is not Ownership.OURS:
        if not observed.leftovers:
            return Ending.NOT_OURS
        if not observed.busy:
            return Ending.AWAIT_CREATE if create_under_way else Ending.DELETE
    return Ending.WAIT if observed.busy else Ending.DELETE


def create_awaited(
    concrete: Concrete, external_name: str, traits: Traits, settle: float, now: datetime
) -> Synced | None:
    """Whether a create, if one was tried, may still make an external resource that was just not found.

    A killed process's request is under way on its own, and so is a drained one's thread. None is sent once the resource
    was seen ready, unless it is one that is made again; nor on the word of a version that the deletion has overtaken.
    So ``settle`` seconds after that, all have ended.
    """
    last = concrete.metadata.deletion_timestamp
    if last is None:
        return None
    ready = concrete.status.provisioned_at
    if was_there(concrete) and not traits.recreates:
        last = min(last, ready) if ready is not None else last - timedelta(seconds=settle)
    until = last + timedelta(seconds=settle)
    if now >= until:
        return None
    return out_of_sync(
        Reason.WAITING_FOR_CALLS,
        f"{external_name} is not there, but a create begun before the deletion may still make it: this object stays "
        f"until {until:%Y-%m-%dT%H:%M:%SZ} to take it along",
    )


def not_ours_any_more(resource: Resource[Any, Any]) -> Synced:
    """Said of what is left behind when its object is deleted."""
    return out_of_sync(
        Reason.NOT_OWNED,
        f"{resource.external_name} lacks this object's ownership tags, so it is not deleted",
    )


def repaired(drift: Iterable[Drift]) -> str:
    """What was changed back, for people."""
    return f"Changed back what was not as the spec says: {_told(drift)}"


def _decide_absent(
    concrete: Concrete, external_name: str, traits: Traits, observed: Observation[Any]
) -> Plan:
    if observed.busy:
        return Plan(synced=_in_sync(concrete), look=next_look(observed))
    if was_there(concrete) and not traits.recreates:
        message = (
            f"{external_name} was there and is gone. Conductor does not replace it by an empty one: restore it under "
            "this name with its tags, or delete this object"
        )
        return Plan(synced=out_of_sync(Reason.EXTERNAL_RESOURCE_MISSING, message))
    if concrete.being_deleted:
        # Held back for its claims. A create sent now could outlive the time for which one is waited for.
        return Plan(synced=_in_sync(concrete))
    if not concrete.spec.allows(ManagementPolicy.CREATE):
        message = f"{external_name} is not there, and spec.managementPolicies does not hold Create"
        return Plan(synced=out_of_sync(Reason.EXTERNAL_RESOURCE_MISSING, message))
    return Plan(Step.CREATE, _in_sync(concrete), Look.SOON)


def _not_owned(resource: Resource[Any, Any], observed: Observation[Any]) -> Synced:
    name = resource.external_name
    if observed.ownership is Ownership.ANOTHERS:
        text = (
            f"{name} belongs to another object or another cluster by its tags, so Conductor does not touch it"
        )
        return out_of_sync(Reason.NOT_OWNED, f"{text}: remove or rename it, or delete this object")
    text = f"{name} exists without this object's ownership tags, so Conductor does not touch it"
    return out_of_sync(
        Reason.NOT_OWNED,
        f"{text}: remove or rename it, or adopt it by the annotation {EXTERNAL_NAME}: {name}",
    )


def _to_update(resource: Resource[Any, Any], traits: Traits, observed: Observation[Any]) -> bool:
    unapplied = traits.credentials_from is not CredentialsFrom.NOBODY and not observed.credentials_applied
    unanswered = resource.rotation is not None and observed.rotated != resource.rotation
    adopted = observed.ownership is Ownership.NOBODYS
    return bool(observed.drift) or unapplied or unanswered or adopted


def _in_sync(concrete: Concrete) -> Synced:
    """Success, and a word on an annotation that cannot be obeyed."""
    own = own_poll_interval(concrete)
    if isinstance(own, ValueError):
        return replace(IN_SYNC, message=f"annotation {POLL_INTERVAL} is ignored: {own}")
    return IN_SYNC


def _immutable(drift: Drift) -> str:
    why = drift.why or "it cannot be changed in place"
    return (
        f"spec.{drift.field} asks for {drift.wanted}, but it is {drift.found}: {why}. "
        "Set it back, or make another resource"
    )


def _told(drift: Iterable[Drift]) -> str:
    return "; ".join(f"{each.field} is {each.found} instead of {each.wanted}" for each in drift)
