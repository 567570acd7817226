"""Performance: at least the tier that is asked for, by the administrator's scale or as numbers, and at least the quantities.

Quantities are further keys of ``requirements`` and ``capabilities``; which ones is the argument ``quantities``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conductor_model.quantity import Quantity
from conductor_scheduler.framework import Aspect, Offer, OfferCheck, Refusal, Request, Setup

QUANTITIES = ("iops", "throughput", "connections")


class Performance:
    name = "performance"
    looks_at = (Aspect.PERFORMANCE, Aspect.FURTHER)

    def __init__(self, setup: Setup) -> None:
        self._scales = setup.scales
        names = setup.args.get("quantities", QUANTITIES)
        if isinstance(names, str) or not all(isinstance(name, str) and name for name in names):
            raise ValueError("quantities must be a list of names such as iops")
        self.requirement_keys = frozenset[str](names)

    def filter_offer(self, request: Request) -> OfferCheck | None:
        requirements = request.claim.spec.requirements
        wanted, further = requirements.performance, requirements.further
        asked = {name: further[name] for name in sorted(self.requirement_keys & further.keys())}
        if wanted is None and not asked:
            return None

        def check(offer: Offer) -> Refusal | None:
            against = None if wanted is None else self._tier(wanted, offer.capabilities.performance)
            return against or _quantities(asked, offer.capabilities.further)

        return check

    def _tier(self, wanted: str, offered: str | None) -> Refusal | None:
        if offered == wanted:
            return None
        if offered is None:
            return Refusal("PerformanceUnknown", f"performance is not stated, at least {wanted} is asked for")
        least, has = self._scales.performance_rank(wanted), self._scales.performance_rank(offered)
        if least is None or has is None:
            return Refusal("PerformanceUnknown", f"performance {offered} cannot be compared with {wanted}")
        return None if has >= least else Refusal("TooSlow", f"performance {offered} < {wanted}")


def _quantities(asked: Mapping[str, Any], offered: Mapping[str, Any]) -> Refusal | None:
    for name, amount in asked.items():
        least, has = _quantity(amount), _quantity(offered.get(name))
        if least is None:
            return Refusal("PerformanceUnknown", f"{name} {amount} is asked for, which is no quantity")
        if has is None:
            return Refusal("PerformanceUnknown", f"{name} is not stated, at least {least} is asked for")
        if has < least:
            return Refusal("TooSlow", f"{name} {has} < {least}")
    return None


def _quantity(value: object) -> Quantity | None:
    try:
        return Quantity.parse(value)  # type: ignore[arg-type] # whatever the claim's author wrote
    except ValueError:
        return None
