"""``driver.Calls`` that simply makes the calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


def _never(step: str) -> None:
    """Nothing happens between two steps."""


@dataclass
class DirectCalls:
    """No limits. ``step`` is called with the action before each call and after it: raise there to stop the process."""

    step: Callable[[str], None] = _never
    made: list[tuple[str, str]] = field(default_factory=list)
    """Action and target of every call."""

    async def awaiting(self, action: str, target: str, call: Callable[[], Awaitable[T]]) -> T:
        self.step(action)
        self.made.append((action, target))
        answer = await call()
        self.step(f"after {action}")
        return answer

    async def blocking(self, action: str, target: str, call: Callable[[], T]) -> T:
        return await self.awaiting(action, target, lambda: asyncio.to_thread(call))
