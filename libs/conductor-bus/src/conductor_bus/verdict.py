"""Decides what becomes of a message after its handler raised. Pure: randomness comes in as an argument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from conductor_bus.config import WorkPolicy
from conductor_bus.errors import MalformedMessage


@dataclass(frozen=True, slots=True)
class Failures:
    """How often in a row one object's handler has raised in this process."""

    attempts: int = 0
    unexpected: int = 0
    """Those with unexpected exceptions on the message of ``sequence``."""
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Again:
    """Deliver it again after so many seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Set it aside as a dead letter."""


Verdict: TypeAlias = Again | GiveUp


def is_retryable(error: BaseException) -> bool:
    return getattr(error, "retryable", False) is True


def after_failure(failures: Failures, error: BaseException, sequence: int) -> Failures:
    """The count with this failure. A newer message starts afresh as to being poison, but not as to its backoff:
    a handler that writes a status on each failure brings about new messages by itself."""
    earlier = failures.unexpected if failures.sequence == sequence else 0
    return Failures(failures.attempts + 1, earlier + (0 if is_retryable(error) else 1), sequence)


def judge(
    error: BaseException, failures: Failures, deliveries: int, policy: WorkPolicy, chance: float
) -> Verdict:
    """What to do. ``failures`` includes this one; ``deliveries`` counts those in all replicas; ``chance`` in [0, 1)."""
    if isinstance(error, MalformedMessage) or failures.unexpected >= policy.dead_letter_after:
        return GiveUp()
    asked = getattr(error, "retry_after", None)
    if is_retryable(error) and isinstance(asked, int | float):
        # Spread over a tenth more, so that not all that were refused together come back together.
        return Again(max(0.0, float(asked)) * (1 + chance / 10))
    return Again(backoff(max(failures.attempts, deliveries), policy, chance))


def backoff(attempt: int, policy: WorkPolicy, chance: float) -> float:
    """Exponential in the attempt, counted from 1, capped; between half and all of it."""
    exponent = min(max(attempt, 1) - 1, 32)
    return float(min(policy.backoff_cap, policy.backoff_base * 2**exponent) * (0.5 + chance / 2))
