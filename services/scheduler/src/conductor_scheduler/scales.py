"""The administrator's words for regions, cost and performance, put in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation


@dataclass(frozen=True, slots=True)
class Scales:
    """The region hierarchy, and the ordered scales. Without words of its own a scale compares numbers only."""

    regions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Super-region -> the regions (or super-regions) inside it."""
    cost: tuple[str, ...] = ()
    """Cheapest first."""
    performance: tuple[str, ...] = ()
    """Slowest first."""

    def region_contains(self, wanted: str, offered: str) -> bool:
        """Whether ``offered`` is ``wanted``, or lies inside it however deep."""
        return offered == wanted or offered in self.regions_in(wanted)

    def regions_in(self, region: str) -> frozenset[str]:
        """The region itself and all that lies inside it."""
        inside: set[str] = set()
        left = [region]
        while left:
            each = left.pop()
            if each not in inside:
                inside.add(each)
                left.extend(self.regions.get(each, ()))
        return frozenset(inside)

    def cost_rank(self, cost: str) -> Decimal | None:
        return _rank(self.cost, cost)

    def performance_rank(self, performance: str) -> Decimal | None:
        return _rank(self.performance, performance)


def _rank(scale: tuple[str, ...], word: str) -> Decimal | None:
    """A word's place on the scale, or the number that it is; None when it is neither."""
    if word in scale:
        return Decimal(scale.index(word))
    try:
        number = Decimal(word)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
