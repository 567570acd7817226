"""One life of a provisioner's process, cut into the steps that can be seen from outside, at any of which it may end.

A step is one call to the cloud or one request to the Kubernetes API. What a process knows dies with it; what its steps
did stays. A process that died does nothing more: whatever its code tries while the exception passes through it has no
effect, as after SIGKILL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from conductor_provisioner.errors import Transient

T = TypeVar("T")
Effect = Callable[[], Awaitable[object]]

MOST_STEPS = 200
"""In one look at one object; who makes more waits instead of returning."""


class ProcessDied(BaseException):
    """No Exception, so that nobody handles it."""


class Waits(AssertionError):
    """The driver does not return while its cloud is busy."""


class End(Enum):
    """How a step ends that does not end well."""

    DIES_BEFORE = "the process dies before"
    DIES_WITHIN = "the process dies while the call is under way; it has its effect later"
    DIES_AFTER = "the process dies after"
    REPLY_LOST = "the call has its effect and its answer is lost"


@dataclass(frozen=True, slots=True)
class Cut:
    """An ending for the nth step of a process, counted from 1."""

    step: int
    end: End
    arrives_after: int = 1
    """Of a call under way: after how many looks of the processes that follow it has its effect."""

    def __str__(self) -> str:
        after = f" ({self.arrives_after} looks)" if self.end is End.DIES_WITHIN else ""
        return f"step {self.step}: {self.end.value}{after}"


@dataclass(slots=True)
class Step:
    """What was done: ``cloud`` or ``api``, and the words of whoever did it."""

    where: str
    what: str
    method: str
    """The driver's method that it belongs to; empty for the reconciler's own."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(slots=True)
class Process:
    cut: Cut | None = None
    dead: bool = False
    unreachable: bool = False
    """Whether calls to the cloud fail without leaving the process."""
    method: str = ""
    steps: list[Step] = field(default_factory=list)
    left_behind: list[Effect] = field(default_factory=list)
    """Calls that were under way when it died."""
    _before_look: int = 0

    def begins_look(self) -> None:
        self._before_look = len(self.steps)

    async def cloud(self, what: str, effect: Callable[[], Awaitable[T]]) -> T:
        return await self._step(Step("cloud", what, self.method), effect)

    async def api(self, what: str, effect: Callable[[], Awaitable[T]]) -> T:
        return await self._step(Step("api", what, self.method), effect)

    async def _step(self, step: Step, effect: Callable[[], Awaitable[T]]) -> T:
        if self.dead:
            raise ProcessDied
        if len(self.steps) - self._before_look >= MOST_STEPS:
            raise Waits(f"{MOST_STEPS} steps in one look, the last: {step}")
        self.steps.append(step)
        end = self.cut.end if self.cut is not None and self.cut.step == len(self.steps) else None
        if end is End.DIES_BEFORE:
            raise self.die()
        if end is End.DIES_WITHIN and step.where == "cloud":
            self.left_behind.append(effect)
            raise self.die()
        if self.unreachable and step.where == "cloud":
            raise Transient(step.what, "the cloud", "Unreachable", "no call leaves the process")
        try:
            result = await effect()
        finally:
            if end in (End.DIES_AFTER, End.DIES_WITHIN):
                raise self.die()
        if end is End.REPLY_LOST and step.where == "cloud":
            raise Transient(step.what, "the cloud", "ConnectionReset", "the answer was lost")
        return result

    def die(self) -> ProcessDied:
        self.dead = True
        return ProcessDied(f"after {len(self.steps)} steps")


class Calls:
    """``driver.Calls`` of a process that may die."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def awaiting(self, action: str, target: str, call: Callable[[], Awaitable[T]]) -> T:
        return await self._process.cloud(f"{action} {target}", call)

    async def blocking(self, action: str, target: str, call: Callable[[], T]) -> T:
        return await self._process.cloud(f"{action} {target}", lambda: asyncio.to_thread(call))
