"""Tells the demo's story: chapters, and what changes in objects, each once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from conductor_dev.api import Json

SILENCE = 15.0
"""Seconds after which a person wonders whether it hangs."""


class Teller:
    """Prints the story: chapters, and what changes in objects, once."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._began = clock()
        self._last = self._began
        self._told: set[tuple[str, ...]] = set()
        self._colour = out.isatty()

    def chapter(self, text: str) -> None:
        self.say("")
        self.say(f"\033[1m{text}\033[0m" if self._colour else text)

    def say(self, text: str) -> None:
        print(text, file=self._out, flush=True)
        self._last = self._clock()

    def still_waiting(self, what: str) -> None:
        """Says so when nothing was said for a while."""
        if self._clock() - self._last >= SILENCE:
            self.say(f"  {self._stamp()}  waiting: {what}")

    def way(self, found: Json) -> None:
        """What is new in an object's phase and conditions."""
        name = f"{found['kind']} {found['metadata']['name']}"
        status = found.get("status", {})
        for each in status.get("conditions", []):
            words = (each["type"], each["status"], each["reason"], each.get("message", ""))
            self._tell(found["metadata"]["uid"], name, each["lastTransitionTime"], words)

    def _tell(self, uid: str, name: str, since: str, words: tuple[str, str, str, str]) -> None:
        if (uid, *words) in self._told:
            return
        self._told.add((uid, *words))
        kind, status, reason, message = words
        self.say(f"  {self._stamp()}  {since[11:19]}  {name:<45} {kind + '=' + status:<16} {reason}")
        if message:
            self.say(f"{'':23}{message}")

    def _stamp(self) -> str:
        return f"+{self._clock() - self._began:5.1f} s"
