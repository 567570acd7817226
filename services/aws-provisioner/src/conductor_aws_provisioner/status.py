"""What an RDSInstance's status says: pure functions from the object and what was observed.

The provisioner is the only writer of a concrete resource's status (docs/adr/0001), and so it also says whether the
resource is bound: that follows from ``spec.claimRefs``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from conductor_aws_provisioner import db_states
from conductor_aws_provisioner.external import Observed
from conductor_aws_provisioner.outcome import TERMINAL, Reason, Synced
from conductor_model.concrete import ConcreteCondition, ConcretePhase, Credentials
from conductor_model.conditions import Condition, condition, with_condition
from conductor_model.quantity import Quantity
from conductor_model.rds import RDSInstance, RDSInstanceStatus

MAX_MESSAGE = 1024
"""Of a condition. What AWS says is longer only when it is of no use."""


def phase_of(instance: RDSInstance, observed: Observed | None, synced: Synced) -> ConcretePhase:
    """The resource's life in one word: the external state while that decides, else who holds it."""
    if instance.being_deleted and not instance.deletion_held:
        return ConcretePhase.DELETING
    if observed is None:
        hopeless = not synced.ok and synced.reason in TERMINAL
        return ConcretePhase.FAILED if hopeless else ConcretePhase.PENDING
    if observed.status in db_states.FAILED:
        return ConcretePhase.FAILED
    if observed.status == db_states.CREATING:
        return ConcretePhase.CREATING
    return _binding_phase(instance)


def status_of(
    instance: RDSInstance,
    observed: Observed | None,
    credentials: Credentials | None,
    synced: Synced,
    now: datetime,
) -> RDSInstanceStatus:
    """The status after a look at the external resource. ``observed`` is only ever ours, or None."""
    ready = _ready(instance, observed, credentials)
    common = {
        "phase": phase_of(instance, observed, synced),
        "conditions": _conditions(instance, (ready, _synced(synced)), now),
        "credentials": credentials,
        "observed_generation": instance.metadata.generation,
    }
    if observed is None:
        return instance.status.model_copy(update={**common, "instance_status": None})
    storage = observed.current.allocated_storage
    return instance.status.model_copy(
        update={
            **common,
            "external_name": observed.identifier,
            "arn": observed.arn,
            "endpoint": observed.endpoint or instance.status.endpoint,
            "engine_version": observed.current.engine_version,
            "capacity": {"storage": Quantity.parse(f"{storage}Gi")} if storage else {},
            "instance_status": observed.status,
        }
    )


def status_without_look(instance: RDSInstance, synced: Synced, now: datetime) -> RDSInstanceStatus:
    """The status when the external resource was not looked at: what was known of it stays as it was."""
    news: tuple[Condition, ...] = (_synced(synced),)
    if condition(instance.status.conditions, ConcreteCondition.READY) is None:
        news = (_ready(instance, None, None), *news)
    update: dict[str, Any] = {
        "conditions": _conditions(instance, news, now),
        "observed_generation": instance.metadata.generation,
    }
    if instance.being_deleted and not instance.deletion_held:
        update["phase"] = ConcretePhase.DELETING
    elif instance.status.phase in {ConcretePhase.AVAILABLE, ConcretePhase.BOUND, ConcretePhase.RELEASED}:
        update["phase"] = _binding_phase(instance)
    elif instance.status.phase in {None, ConcretePhase.PENDING}:
        update["phase"] = phase_of(instance, None, synced)
    return instance.status.model_copy(update=update)


def _binding_phase(instance: RDSInstance) -> ConcretePhase:
    if instance.bound_refs:
        return ConcretePhase.BOUND
    if any(ref.released_at is not None for ref in instance.spec.claim_refs):
        return ConcretePhase.RELEASED
    return ConcretePhase.AVAILABLE


def _ready(instance: RDSInstance, observed: Observed | None, credentials: Credentials | None) -> Condition:
    if instance.being_deleted and not instance.deletion_held:
        return _not_ready("Deleting", "The DB instance is being deleted")
    if observed is None:
        if instance.status.endpoint is not None:
            return _not_ready("Missing", "The DB instance is gone")
        return _not_ready("NotCreated", "There is no DB instance yet")
    if observed.status in db_states.FAILED:
        return _not_ready(
            "Failed",
            f"DB instance {observed.identifier} is {observed.status}: see its events in the RDS console",
        )
    if observed.status == db_states.CREATING:
        return _not_ready("Creating", f"DB instance {observed.identifier} is being created")
    if credentials is None:
        return _not_ready("Creating", f"The password of DB instance {observed.identifier} is not set yet")
    if observed.status in db_states.SERVING and observed.endpoint is not None:
        return Condition(type=ConcreteCondition.READY, status="True", reason="Available")
    return _not_ready("Unavailable", f"DB instance {observed.identifier} is {observed.status}")


def _deletion_held(instance: RDSInstance) -> tuple[Condition, ...]:
    """That the resource was deleted and stays, for as long as the scheduler sees claims bound to it."""
    if instance.deletion_held:
        holders = [f"{ref.kind} {ref.namespace}/{ref.name}" for ref in instance.bound_refs]
        more = f" and {len(holders) - 3} more" if len(holders) > 3 else ""
        message = f"It was deleted, and stays until these claims are gone: {', '.join(holders[:3])}{more}"
        return (
            Condition(type=ConcreteCondition.DELETION_HELD, status="True", reason="InUse", message=message),
        )
    if condition(instance.status.conditions, ConcreteCondition.DELETION_HELD) is not None:
        return (Condition(type=ConcreteCondition.DELETION_HELD, status="False", reason="NotInUse"),)
    return ()


def _not_ready(reason: str, message: str) -> Condition:
    return Condition(type=ConcreteCondition.READY, status="False", reason=reason, message=message)


def _synced(synced: Synced) -> Condition:
    message = synced.message
    if len(message) > MAX_MESSAGE:
        message = f"{message[: MAX_MESSAGE - 1]}…"
    return Condition(
        type=ConcreteCondition.SYNCED,
        status="True" if synced.ok else "False",
        reason=synced.reason,
        message=message,
    )


def _conditions(instance: RDSInstance, new: tuple[Condition, ...], now: datetime) -> tuple[Condition, ...]:
    conditions = instance.status.conditions
    for each in (*new, *_deletion_held(instance)):
        dated = each.model_copy(update={"observed_generation": instance.metadata.generation})
        conditions = with_condition(conditions, dated, now)
    return conditions


def troubles(before: RDSInstanceStatus, after: RDSInstanceStatus) -> tuple[tuple[str, str], ...]:
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


def _turned(before: RDSInstanceStatus, after: Condition) -> bool:
    old = condition(before.conditions, after.type)
    return old is None or (old.status, old.reason) != (after.status, after.reason)
