"""Tells a person what a long step is doing: at its start, while it lasts, and how long it took.

On a terminal one line is kept up to date; elsewhere (CI, a log) a line is added every 15 seconds.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TextIO

EVERY_ON_TERMINAL = 1.0
EVERY_ELSEWHERE = 15.0


def spoken(seconds: float) -> str:
    """43 s, 4 min 43 s."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


class Progress:
    def __init__(
        self,
        out: TextIO | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        every: float | None = None,
    ) -> None:
        self._out = out if out is not None else sys.stderr
        self._terminal = self._out.isatty()
        self._clock = clock
        self._every = every or (EVERY_ON_TERMINAL if self._terminal else EVERY_ELSEWHERE)

    def say(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    @contextlib.contextmanager
    def step(self, what: str, *, last_time: float | None = None) -> Iterator[None]:
        """Shows `what` with the time passed so far until the block ends, and what it took `last_time`."""
        began = self._clock()
        before = f", took {spoken(last_time)} last time" if last_time is not None else ""
        done = threading.Event()

        def line() -> str:
            return f"{what}: {spoken(self._clock() - began)} so far{before}"

        def tick() -> None:
            while not done.wait(self._every):
                self._out.write(f"\r\033[K{line()}" if self._terminal else f"{line()}\n")
                self._out.flush()

        self.say(f"{what}{before}")
        ticker = threading.Thread(target=tick, daemon=True)
        ticker.start()
        outcome = "failed after"
        try:
            yield
            outcome = "done in"
        finally:
            done.set()
            ticker.join()
            clear = "\r\033[K" if self._terminal else ""
            self.say(f"{clear}{what}: {outcome} {spoken(self._clock() - began)}")
