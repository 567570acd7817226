"""How the stand-in misbehaves when it is told to: throttling, outages, refusals, and answers that are lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from conductor_dev.cloudsql.refusals import Refusal, too_fast


class Trouble(StrEnum):
    """What becomes of a call."""

    REFUSE = "refuse"
    """It is answered with an error and has no effect."""
    DROP = "drop"
    """The connection ends before it has an effect."""
    LOSE = "lose"
    """It has its effect, and the connection ends without an answer."""


@dataclass
class Fault:
    """Trouble for the next calls of the methods that a pattern such as ``instances.*`` names."""

    trouble: Trouble
    method: str = "*"
    times: int | None = 1
    """None: until it is cleared."""
    code: int = 503
    reason: str = "backendError"
    message: str = "The service is currently unavailable."
    retry_after: float | None = None

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Fault:
        """Raises TypeError or ValueError."""
        return cls(**{**written, "trouble": Trouble(written["trouble"])})

    @property
    def refusal(self) -> Refusal:
        return Refusal(self.code, self.reason, self.message, retry_after=self.retry_after)


def throttling(method: str = "*", *, times: int | None = 1, retry_after: float | None = None) -> Fault:
    refusal = too_fast(retry_after)
    return Fault(
        Trouble.REFUSE, method, times, refusal.code, refusal.reason, refusal.message, refusal.retry_after
    )


@dataclass
class Faults:
    """The faults that are switched on, and the pace that the project's quota allows."""

    faults: list[Fault] = field(default_factory=list)
    requests_per_second: float | None = None
    monotonic: Callable[[], float] = time.monotonic
    _allowance: float = 0.0
    _counted: float | None = None

    def of(self, method: str) -> Fault | None:
        """What this call of the method meets. Raises Refusal when calls come too fast."""
        self._keep_the_pace()
        for fault in self.faults:
            if fnmatchcase(method, fault.method):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self.faults.remove(fault)
                return fault
        return None

    def _keep_the_pace(self) -> None:
        rate, now = self.requests_per_second, self.monotonic()
        if rate is None:
            self._counted = None
            return
        burst = max(1.0, rate)
        earned = (now - self._counted) * rate if self._counted is not None else burst
        self._allowance, self._counted = min(burst, self._allowance + earned), now
        if self._allowance < 1:
            raise too_fast(None)
        self._allowance -= 1
