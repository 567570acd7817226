"""Whether something grows: a line fitted to samples, without those of the warm-up. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

WARM_UP = 1 / 3
"""Of the time: caches fill, pools of memory and connections reach their size."""
FEWEST = 5
SHARE = 0.1

Sample = tuple[float, float]
"""Seconds since the beginning, and what was measured then."""


@dataclass(frozen=True)
class Growth:
    """What the fitted line rises by over the samples that count, and what it may."""

    typical: float
    grown: float
    allowed: float
    per_hour: float

    @property
    def flat(self) -> bool:
        """Shrinking is as good as staying."""
        return self.grown <= self.allowed


def growth(samples: Sequence[Sample], *, allowed: float) -> Growth:
    """``allowed``: what is noise, whatever the size; a tenth of what is usual is noise, too.

    Raises ValueError for fewer than `FEWEST` samples after the warm-up.
    """
    since = samples[0][0] + WARM_UP * (samples[-1][0] - samples[0][0]) if samples else 0.0
    counted = [each for each in samples if each[0] >= since]
    if len(counted) < FEWEST:
        raise ValueError(
            f"{len(counted)} samples after the warm-up: {FEWEST} are the fewest that say something"
        )
    times, values = zip(*counted, strict=True)
    slope = statistics.linear_regression(times, values).slope
    typical = statistics.median(values)
    return Growth(
        typical=typical,
        grown=slope * (times[-1] - times[0]),
        allowed=max(allowed, SHARE * typical),
        per_hour=3600 * slope,
    )
