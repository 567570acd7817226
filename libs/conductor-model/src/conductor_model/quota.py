"""ClaimQuota: how much the claims of a namespace may take together.

It counts claims that have a resource, or are being given one; a claim that waits takes nothing. Capacity is counted as
claims ask for it, as a ResourceQuota counts the storage of PersistentVolumeClaims; cost as the resources state it.
"""

from __future__ import annotations

from pydantic import Field

from conductor_model.admission import Rule
from conductor_model.capacity import Amount, Capacity
from conductor_model.claimscope import ClaimScope
from conductor_model.kind import AGE, Column, Kind, Role, v1alpha1
from conductor_model.meta import KubeObject, Model

CLAIM_QUOTA = v1alpha1("core.conductor.io", "ClaimQuota", "claimquotas")


class QuotaAmounts(Model):
    """What is limited, or taken."""

    claims: int | None = Field(None, ge=0, description="How many claims have a resource.")
    capacity: Capacity = Field(
        default_factory=dict,
        description="Sum of what these claims ask for, by name: storage: 500Gi. A claim that does not ask for a "
        "name that is limited here is not given a resource.",
    )
    cost: Amount | None = Field(
        None,
        description="Sum of the costs of these claims' resources: numbers as they are, tiers by their place on the "
        "scheduler's scale, the cheapest being 0. A resource that states no cost is not given to a claim.",
    )


class QuotaSpec(Model):
    """Limits, and the claims that they are about."""

    admission_rules = (
        Rule(
            "has(self.hard.claims) || has(self.hard.cost)"
            " || (has(self.hard.capacity) && size(self.hard.capacity) > 0)",
            "hard limits nothing: set claims, capacity or cost",
        ),
    )

    scope: ClaimScope = Field(
        default_factory=ClaimScope, description="The claims that count. Absent: all claims of the namespace."
    )
    hard: QuotaAmounts = Field(
        description="The most that may be taken. Lowering it below what is taken takes nothing away."
    )


class QuotaStatus(Model):
    """What the scheduler enforces, and what is taken of it. Written by the scheduler, at most once a second."""

    hard: QuotaAmounts | None = None
    used: QuotaAmounts | None = None
    observed_generation: int | None = None


class ClaimQuota(KubeObject):
    """How much the claims of a namespace may take together: count, capacity and cost."""

    spec: QuotaSpec
    status: QuotaStatus = Field(default_factory=QuotaStatus)


KIND = Kind(
    CLAIM_QUOTA,
    Role.QUOTA,
    ClaimQuota,
    ("cquota",),
    ("conductor",),
    (
        Column("Claims", ".status.used.claims", "integer"),
        Column("Max-Claims", ".spec.hard.claims", "integer"),
        Column("Storage", ".status.used.capacity.storage"),
        Column("Max-Storage", ".spec.hard.capacity.storage"),
        Column("Cost", ".status.used.cost"),
        Column("Max-Cost", ".spec.hard.cost"),
        AGE,
    ),
)
