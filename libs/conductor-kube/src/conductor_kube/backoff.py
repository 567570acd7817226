"""How long to wait before trying again: exponential, with jitter, so that many clients do not return together."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Delays that double from ``first`` to ``limit`` seconds, each shortened by up to half by ``spread`` in [0, 1)."""

    first: float = 0.2
    limit: float = 10.0
    spread: Callable[[], float] = random.random
    _next: float = field(default=0.0, init=False)

    def reset(self) -> None:
        """It worked: the next trouble is a new one."""
        self._next = 0.0

    def next(self) -> float:
        delay = min(self._next or self.first, self.limit)
        self._next = min(delay * 2, self.limit)
        return delay * (1 - self.spread() / 2)
