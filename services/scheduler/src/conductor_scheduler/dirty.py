"""Which objects are to be looked at, each once, one work per object at a time, and later when it failed.

A key that failed rests until its pause is over, whatever marks it meanwhile: what cannot be written now must not be
tried again with every message. So does one that was told to rest: what changes all the time is not written all the time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from conductor_bus import Turns
from conductor_model.refs import ObjectKey

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0


class DirtyKeys:
    """Flows take turns; within one the lowest rank is first, then what was marked first.

    ``spread`` gives numbers from 0 to 1.
    """

    def __init__(
        self,
        spread: Callable[[], float] = random.random,
        rank: Callable[[ObjectKey], tuple[Any, ...]] = lambda _: (),
        flow: Callable[[ObjectKey], str] = lambda _: "",
    ) -> None:
        self._spread = spread
        self._rank = rank
        self._flow = flow
        self._turns: Turns[ObjectKey] = Turns()
        self._dirty: set[ObjectKey] = set()
        """What is in ``_turns``."""
        self._busy: set[ObjectKey] = set()
        self._marked_while_busy: set[ObjectKey] = set()
        self._resting: dict[ObjectKey, asyncio.TimerHandle] = {}
        self._failures: dict[ObjectKey, int] = {}
        self._ready = asyncio.Event()

    def mark(self, key: ObjectKey) -> None:
        if key in self._busy:
            self._marked_while_busy.add(key)
        elif key not in self._resting:
            self._push(key)

    async def take(self) -> ObjectKey:
        """The next key that is neither worked on nor resting; it is worked on until ``done`` or ``failed``."""
        while (key := self._turns.pop()) is None:
            self._ready.clear()
            await self._ready.wait()
        self._dirty.discard(key)
        self._busy.add(key)
        return key

    def _push(self, key: ObjectKey) -> None:
        if key in self._dirty:
            return
        self._dirty.add(key)
        self._turns.push(self._flow(key), key, self._rank(key))
        self._ready.set()

    @property
    def idle(self) -> bool:
        """Nothing is marked, worked on, or rests."""
        return not (self._dirty or self._busy or self._resting)

    def is_busy(self, key: ObjectKey) -> bool:
        return key in self._busy

    def done(self, key: ObjectKey) -> None:
        self._busy.discard(key)
        self._failures.pop(key, None)
        if key in self._marked_while_busy:
            self._marked_while_busy.discard(key)
            self.mark(key)

    def rest(self, key: ObjectKey, seconds: float) -> None:
        """It is done, and is looked at again after this time, whatever marks it meanwhile."""
        self._busy.discard(key)
        self._marked_while_busy.discard(key)
        self._failures.pop(key, None)
        self._resting[key] = asyncio.get_running_loop().call_later(seconds, self._rested, key)

    def failed(self, key: ObjectKey, *, at_once: bool = False, at_least: float = 0.0) -> float:
        """Look at it again after a pause, which grows and is returned in seconds.

        The first time without a pause, if ``at_once``; and never before ``at_least`` seconds.
        """
        self._busy.discard(key)
        self._marked_while_busy.discard(key)
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        if at_once and failures == 1:
            self.mark(key)
            return 0.0
        grown = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(failures, 10)) * (1 + self._spread()) / 2
        pause: float = max(at_least, grown)
        self._resting[key] = asyncio.get_running_loop().call_later(pause, self._rested, key)
        return pause

    def close(self) -> None:
        """Nothing rests any more: the timers end."""
        for timer in self._resting.values():
            timer.cancel()
        self._resting.clear()

    def _rested(self, key: ObjectKey) -> None:
        del self._resting[key]
        self.mark(key)
