"""ClaimLimitRange: what a single claim of a namespace may ask for, and what it asks for where it says nothing.

The scheduler reads a claim as if it said so (docs/adr/0014); the claim itself stays as its author wrote it.
"""

from __future__ import annotations

from pydantic import Field

from conductor_model.admission import Rule, Word
from conductor_model.capacity import Capacity
from conductor_model.claims import Requirements
from conductor_model.claimscope import KindScope
from conductor_model.kind import AGE, Column, Kind, Role, v1alpha1
from conductor_model.meta import KubeObject, Model

CLAIM_LIMIT_RANGE = v1alpha1("core.conductor.io", "ClaimLimitRange", "claimlimitranges")


class Minimum(Model):
    """The least that a claim may ask for."""

    capacity: Capacity = Field(
        default_factory=dict,
        description="By name. A claim that does not mention a name asks for the default, else for this.",
    )
    performance: Word | None = Field(
        None,
        description="A performance tier. A claim that does not mention it asks for the default, else for this.",
    )


class Maximum(Model):
    """The most that a claim may ask for."""

    capacity: Capacity = Field(default_factory=dict, description="By name.")
    cost: Word | None = Field(
        None,
        description="The dearest cost that a claim may accept. One that does not mention cost accepts the default, "
        "else this.",
    )
    performance: Word | None = Field(None, description="The highest performance tier to ask for.")


def _ordered(lower: str, upper: str) -> Rule:
    """A rule that no capacity of ``lower`` is above the one of ``upper``; texts that are no quantity have their own."""
    pair = tuple(f"string(self.{side}.capacity[name])" for side in (lower, upper))
    return Rule(
        f"!has(self.{lower}) || !has(self.{lower}.capacity) || !has(self.{upper}) || !has(self.{upper}.capacity)"
        f" || self.{lower}.capacity.all(name, !(name in self.{upper}.capacity)"
        f" || !isQuantity({pair[0]}) || !isQuantity({pair[1]})"
        f" || !quantity({pair[0]}).isGreaterThan(quantity({pair[1]})))",
        f"a capacity in {lower} is greater than the one in {upper}",
    )


class LimitRangeSpec(Model):
    """Defaults and bounds, and the claims that they are about."""

    admission_rules = (
        Rule(
            "has(self.default) || has(self.min) || has(self.max)",
            "the range says nothing: set default, min or max",
        ),
        _ordered("min", "max"),
        _ordered("min", "default"),
        _ordered("default", "max"),
    )

    scope: KindScope = Field(
        default_factory=KindScope, description="The claims bound by it. Absent: all claims of the namespace."
    )
    default: Requirements | None = Field(None, description="What a claim asks for where it says nothing.")
    min: Minimum | None = Field(None, description="The least that a claim may ask for.")
    max: Maximum | None = Field(None, description="The most that a claim may ask for.")


class ClaimLimitRange(KubeObject):
    """What a single claim of a namespace may ask for, and what it asks for where it says nothing."""

    spec: LimitRangeSpec


KIND = Kind(
    CLAIM_LIMIT_RANGE,
    Role.LIMIT_RANGE,
    ClaimLimitRange,
    ("climits",),
    ("conductor",),
    (
        Column("Default-Storage", ".spec.default.capacity.storage"),
        Column("Min-Storage", ".spec.min.capacity.storage"),
        Column("Max-Storage", ".spec.max.capacity.storage"),
        Column("Max-Cost", ".spec.max.cost"),
        AGE,
    ),
)
