"""A namespace's takings and their sums, kept so that a decision costs what has changed, not what there is.

Nothing here is a fact of its own: everything follows from the view, which marks what has changed; ``accounts`` reads that
again and brings the sums up to date.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from conductor_model.quantity import Quantity
from conductor_model.quota import ClaimQuota, QuotaAmounts
from conductor_model.refs import GroupKind, ObjectKey
from conductor_scheduler.scales import Scales


@dataclass(frozen=True, slots=True)
class Taking:
    """What one claim takes with one resource."""

    namespace: str
    kind: GroupKind
    class_names: frozenset[str]
    capacity: Mapping[str, Quantity]
    cost: Quantity | None

    def counts_for(self, quota: ClaimQuota) -> bool:
        scope = quota.spec.scope
        return scope.covers_kind(self.kind) and scope.covers_class(self.class_names)


@dataclass(slots=True)
class Sums:
    """What is taken of a quota."""

    quota: ClaimQuota
    claims: int = 0
    cost: int = 0
    """In units of 10^-9, as quantities have it."""
    capacity: dict[str, int] = field(default_factory=dict)
    """The same, by name."""

    def add(self, taking: Taking, times: int = 1) -> None:
        """Count it, or with -1 no longer."""
        if not taking.counts_for(self.quota):
            return
        self.claims += times
        if taking.cost is not None:
            self.cost += times * taking.cost.nanos
        for name in self.quota.spec.hard.capacity:
            amount = taking.capacity.get(name)
            if amount is not None:
                self.capacity[name] = self.capacity.get(name, 0) + times * amount.nanos

    @property
    def amounts(self) -> QuotaAmounts:
        """Of what the quota limits, written as its limits are."""
        hard = self.quota.spec.hard
        return QuotaAmounts(
            claims=self.claims if hard.claims is not None else None,
            cost=Quantity(self.cost, hard.cost.format) if hard.cost is not None else None,
            capacity={
                name: Quantity(self.capacity.get(name, 0), most.format)
                for name, most in hard.capacity.items()
            },
        )


@dataclass(slots=True)
class Ledger:
    """Takings by the claims' uids, and the sums of them by quota."""

    scales: Scales | None = None
    """By which the costs were read."""
    stale: set[str] = field(default_factory=set)
    """The uids of the claims that may take something else now."""
    takings: dict[str, Taking] = field(default_factory=dict)
    sums: dict[ObjectKey, Sums] = field(default_factory=dict)
