"""What the placements of a claim's connection objects amount to: pure, and worded for the claim's author."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from conductor_model.claims import Claim, ClaimCondition
from conductor_model.conditions import condition
from conductor_secrets_writer.config import Settings
from conductor_secrets_writer.decide import ReadyReason
from conductor_secrets_writer.publish import BeingCollected, NameConflict, Published, Refusal

_REFUSED_AGAIN = 1.0


@dataclass(frozen=True, slots=True)
class InPlace:
    """Every object is as it should be."""


@dataclass(frozen=True, slots=True)
class Collecting:
    """The garbage collector is still at work on an earlier claim's objects: look again soon, it is no news."""


@dataclass(frozen=True, slots=True)
class InTheWay:
    """Somebody must do something, and the message says what."""

    reason: ReadyReason
    message: str


Verdict = InPlace | Collecting | InTheWay


def verdict_of(published: Published, claim: Claim, now: datetime, settings: Settings) -> Verdict:
    """A garbage collector that does not come within ``collection_patience`` is news."""
    placements = published.placements
    refusals = [each for each in placements if isinstance(each, Refusal)]
    conflicts = [each for each in placements if isinstance(each, NameConflict)]
    collected = [each for each in placements if isinstance(each, BeingCollected)]
    if conflicts:
        names = ", ".join(_conflict(each) for each in conflicts)
        return InTheWay(
            ReadyReason.NAME_CONFLICT,
            f"Not made by this claim, and left untouched: {names}. "
            "Rename or delete it, or choose another name in spec.connection.",
        )
    if refusals:
        return InTheWay(
            ReadyReason.WRITE_REFUSED,
            "The API server refuses " + "; ".join(f"{each.name}: {each.message}" for each in refusals),
        )
    if not collected:
        return InPlace()
    created = claim.metadata.creation_timestamp
    if created is None or (now - created).total_seconds() < settings.collection_patience:
        return Collecting()
    names = ", ".join(str(each.name) for each in collected)
    return InTheWay(
        ReadyReason.NAME_CONFLICT,
        f"Left by an earlier claim of this name, or being deleted: {names}. "
        "The cluster's garbage collector should remove it; delete it by hand if it does not.",
    )


def again(claim: Claim, reason: ReadyReason, now: datetime, settings: Settings) -> float:
    """Seconds until what is in the way is looked for again.

    A refused write is tried after as long again as it has been refused: an API server that has just started refuses
    everybody until it has read its roles.
    """
    if reason is not ReadyReason.WRITE_REFUSED:
        return settings.conflict_poll
    told = condition(claim.status.conditions, ClaimCondition.READY)
    if told is None or told.reason != reason or told.last_transition_time is None:
        return _REFUSED_AGAIN
    return min(settings.conflict_poll, max(_REFUSED_AGAIN, (now - told.last_transition_time).total_seconds()))


def _conflict(conflict: NameConflict) -> str:
    return f"{conflict.name} (of {conflict.owner})" if conflict.owner else str(conflict.name)
