"""What a concrete resource's status says: pure functions from the object and what was observed.

The provisioner is the only writer of a concrete resource's status (docs/adr/0001), and so it also says whether the
resource is bound: that follows from ``spec.claimRefs``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from conductor_model.concrete import (
    Concrete,
    ConcreteCondition,
    ConcretePhase,
    ConcreteStatus,
    Credentials,
)
from conductor_model.conditions import Condition, condition, with_condition
from conductor_provisioner.decide import was_there
from conductor_provisioner.driver import CredentialsFrom, Observation
from conductor_provisioner.outcome import Reason, Synced

MAX_MESSAGE = 1024
"""Of a condition. What a cloud says is longer only when it is of no use."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The external resource as it was found, ours or adopted; and the credentials that it is known to have."""

    external_name: str
    account: str
    observed: Observation[Any]
    credentials: Credentials | None
    credentials_from: CredentialsFrom = CredentialsFrom.CONDUCTOR

    @property
    def connectable(self) -> bool:
        known = self.credentials is not None or self.credentials_from is CredentialsFrom.NOBODY
        return self.observed.exists and self.observed.ready and not self.observed.failed and known


def phase_of(concrete: Concrete, seen: Seen | None, synced: Synced) -> ConcretePhase:
    """The resource's life in one word: the external state while that decides, else who holds it."""
    if concrete.being_deleted and not concrete.deletion_held:
        return ConcretePhase.DELETING
    if seen is None or not seen.observed.exists:
        if seen is not None and seen.observed.busy:
            return ConcretePhase.CREATING
        return ConcretePhase.FAILED if synced.hopeless else ConcretePhase.PENDING
    if seen.observed.failed:
        return ConcretePhase.FAILED
    if not seen.observed.ready and not was_there(concrete):
        return ConcretePhase.CREATING
    return _binding_phase(concrete)


def status_of(concrete: Concrete, seen: Seen, synced: Synced, now: datetime) -> ConcreteStatus:
    """The status after a look at the external resource."""
    status, observed = concrete.status, seen.observed
    ready = _ready(concrete, seen)
    update: dict[str, Any] = {
        **observed.details,
        "phase": phase_of(concrete, seen, synced),
        "conditions": _conditions(concrete, (ready, _synced(synced)), now),
        "credentials": seen.credentials,
        "observed_generation": concrete.metadata.generation,
    }
    if observed.exists:
        update |= {
            "external_name": seen.external_name,
            "account": seen.account,
            "endpoint": observed.endpoint or status.endpoint,
            "engine_version": observed.engine_version,
            "capacity": dict(observed.capacity),
        }
    if seen.connectable and status.provisioned_at is None:
        update["provisioned_at"] = now.replace(microsecond=0)
    return type(status).model_validate({**dict(status), **update})


def status_without_look(concrete: Concrete, synced: Synced, now: datetime) -> ConcreteStatus:
    """The status when the external resource was not looked at: what was known of it stays as it was."""
    news: tuple[Condition, ...] = (_synced(synced),)
    if condition(concrete.status.conditions, ConcreteCondition.READY) is None:
        news = (_not_ready("NotCreated", "There is no external resource yet"), *news)
    update: dict[str, Any] = {
        "conditions": _conditions(concrete, news, now),
        "observed_generation": concrete.metadata.generation,
    }
    if concrete.being_deleted and not concrete.deletion_held:
        update["phase"] = ConcretePhase.DELETING
    elif concrete.status.phase in {ConcretePhase.AVAILABLE, ConcretePhase.BOUND, ConcretePhase.RELEASED}:
        update["phase"] = _binding_phase(concrete)
    elif concrete.status.phase in {None, ConcretePhase.PENDING}:
        update["phase"] = phase_of(concrete, None, synced)
    return concrete.status.model_copy(update=update)


def troubles(before: ConcreteStatus, after: ConcreteStatus) -> tuple[tuple[str, str], ...]:
    """Reason and message of every condition that has turned bad, or is bad for a new reason."""
    return tuple(
        (each.reason, each.message)
        for each in after.conditions
        if each.status == "False" and each.reason not in _NO_TROUBLE and _turned(before, each)
    )


_NO_TROUBLE = frozenset(
    {"Creating", "NotCreated", "Deleting", "NotInUse", Reason.PAUSED, Reason.WAITING_FOR_CALLS}
)
"""Reasons of conditions that are false in the ordinary course of things."""


def _turned(before: ConcreteStatus, after: Condition) -> bool:
    old = condition(before.conditions, after.type)
    return old is None or (old.status, old.reason) != (after.status, after.reason)


def _binding_phase(concrete: Concrete) -> ConcretePhase:
    if concrete.bound_refs:
        return ConcretePhase.BOUND
    if any(ref.released_at is not None for ref in concrete.spec.claim_refs):
        return ConcretePhase.RELEASED
    return ConcretePhase.AVAILABLE


def _ready(concrete: Concrete, seen: Seen) -> Condition:
    name, observed = seen.external_name, seen.observed
    if concrete.being_deleted and not concrete.deletion_held:
        return _not_ready("Deleting", observed.message or f"{name} is being deleted")
    if not observed.exists:
        if was_there(concrete):
            return _not_ready("Missing", f"{name} is gone")
        if observed.busy:
            return _not_ready("Creating", observed.message or f"{name} is being created")
        return _not_ready("NotCreated", observed.message or "There is no external resource yet")
    if observed.failed:
        return _not_ready("Failed", observed.message or f"{name} has failed")
    if not observed.ready and was_there(concrete):
        return _not_ready("Unavailable", observed.message or f"{name} is not available")
    if not observed.ready:
        return _not_ready("Creating", observed.message or f"{name} is being created")
    if not seen.connectable:
        return _not_ready("NoCredentials", f"There are no credentials that {name} is known to have")
    return Condition(type=ConcreteCondition.READY, status="True", reason="Available")


def _deletion_held(concrete: Concrete) -> tuple[Condition, ...]:
    """That the resource was deleted and stays, for as long as the scheduler sees claims bound to it."""
    if concrete.deletion_held:
        holders = [f"{ref.kind} {ref.namespace}/{ref.name}" for ref in concrete.bound_refs]
        more = f" and {len(holders) - 3} more" if len(holders) > 3 else ""
        message = f"It was deleted, and stays until these claims are gone: {', '.join(holders[:3])}{more}"
        return (
            Condition(type=ConcreteCondition.DELETION_HELD, status="True", reason="InUse", message=message),
        )
    if condition(concrete.status.conditions, ConcreteCondition.DELETION_HELD) is not None:
        return (Condition(type=ConcreteCondition.DELETION_HELD, status="False", reason="NotInUse"),)
    return ()


def _not_ready(reason: str, message: str) -> Condition:
    return Condition(type=ConcreteCondition.READY, status="False", reason=reason, message=_cut(message))


def _synced(synced: Synced) -> Condition:
    return Condition(
        type=ConcreteCondition.SYNCED,
        status="True" if synced.ok else "False",
        reason=synced.reason,
        message=_cut(synced.message),
    )


def _cut(message: str) -> str:
    return message if len(message) <= MAX_MESSAGE else f"{message[: MAX_MESSAGE - 1]}…"


def _conditions(concrete: Concrete, new: tuple[Condition, ...], now: datetime) -> tuple[Condition, ...]:
    conditions = concrete.status.conditions
    for each in (*new, *_deletion_held(concrete)):
        dated = each.model_copy(update={"observed_generation": concrete.metadata.generation})
        conditions = with_condition(conditions, dated, now)
    return conditions
