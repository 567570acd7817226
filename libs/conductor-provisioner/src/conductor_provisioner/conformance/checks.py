"""All checks, in the order in which they read best, and how hard the random ones try."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from inspect import getdoc
from typing import TypeAlias

from conductor_provisioner.conformance import crashes, life, trouble
from conductor_provisioner.conformance.subject import Subject

DEFAULT_KILLS = 25
DEFAULT_SEED = 1
KILLS_FOR_A_PAIR = 5
KILLS_IN_A_LIFE = 3


@dataclass(frozen=True, slots=True)
class Effort:
    """``kills``: how many random deaths. Two runs with the same effort try the same."""

    kills: int = DEFAULT_KILLS
    seed: int = DEFAULT_SEED
    thorough: bool = False
    """Whether every crash point is tried also where that takes long."""

    def kills_of(self, subject: Subject) -> int:
        lives = self.lives(subject)
        return self.kills if lives is None else min(self.kills, lives * KILLS_IN_A_LIFE)

    def pairs(self, subject: Subject) -> int:
        """How many pairs of deaths in a row: fewer, for each is a life of its own."""
        return max(1, self.kills_of(subject) // KILLS_FOR_A_PAIR)

    def lives(self, subject: Subject) -> int | None:
        """How many are tried of what could all be tried; None: all."""
        return None if self.thorough else subject.sample

    def chance(self, check: str) -> random.Random:
        """Of one check, whichever others run."""
        return random.Random(f"{self.seed}/{check}")  # noqa: S311 - repeatable is what it must be


Check: TypeAlias = Callable[[Subject, Effort], Awaitable[str]]
"""Raises AssertionError, or returns what a person may want to know, or nothing."""


def _plain(check: Callable[[Subject], Awaitable[str]]) -> Check:
    async def run(subject: Subject, effort: Effort) -> str:
        return await check(subject)

    run.__doc__ = check.__doc__
    return run


async def _lost_replies(subject: Subject, effort: Effort) -> str:
    return await crashes.lost_replies(subject, effort.lives(subject))


async def _crash_points(subject: Subject, effort: Effort) -> str:
    return await crashes.crash_points(subject, effort.lives(subject))


async def _repeated_crashes(subject: Subject, effort: Effort) -> str:
    return await crashes.repeated_crashes(subject, effort.chance("repeated crashes"), effort.pairs(subject))


async def _random_kills(subject: Subject, effort: Effort) -> str:
    return await crashes.random_kills(subject, effort.chance("random kills"), effort.kills_of(subject))


CHECKS: dict[str, Check] = {
    "life cycle": _plain(life.life_cycle),
    "credentials": _plain(life.credentials),
    "change": _plain(life.change),
    "rest": _plain(life.rest),
    "idempotency": _plain(life.idempotency),
    "slow creation": _plain(life.slow_creation),
    "drift": _plain(life.drift),
    "disappearance": _plain(life.disappearance),
    "deletion of what is gone": _plain(life.deletion_of_what_is_gone),
    "names of others": _plain(trouble.names_of_others),
    "adoption": _plain(trouble.adoption),
    "orphan sweep": _plain(trouble.orphan_sweep),
    "terminal errors": _plain(trouble.terminal_errors),
    "throttling": _plain(trouble.throttling),
    "outage": _plain(trouble.outage),
    "limited calls": _plain(trouble.limited_calls),
    "lost replies": _lost_replies,
    "crash points": _crash_points,
    "repeated crashes": _repeated_crashes,
    "random kills": _random_kills,
}


def promise_of(check: str) -> str:
    """What a check looks for, in a sentence."""
    paragraph, _, _ = (getdoc(_DESCRIBED.get(check, CHECKS[check])) or "").partition("\n\n")
    return " ".join(paragraph.split())


_DESCRIBED: dict[str, Callable[..., object]] = {
    "lost replies": crashes.lost_replies,
    "crash points": crashes.crash_points,
    "repeated crashes": crashes.repeated_crashes,
    "random kills": crashes.random_kills,
}
