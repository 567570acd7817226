"""What a claim asks for under the limit ranges of its namespace, and which of their bounds it breaks. Pure.

Where the claim says nothing it asks for the default, else for the minimum (of a cost: accepts the maximum); of several
ranges the first by name that has a word for it is heard. Bounds hold for what the claim says and for defaults alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from conductor_model.claims import Claim, Requirements
from conductor_model.limitrange import ClaimLimitRange, Maximum, Minimum
from conductor_model.refs import GroupKind
from conductor_scheduler.scales import Scales

ClaimT = TypeVar("ClaimT", bound=Claim)


def covering(ranges: Iterable[ClaimLimitRange], claim_kind: GroupKind) -> list[ClaimLimitRange]:
    """Those that are about claims of the kind."""
    return [each for each in ranges if each.spec.scope.covers_kind(claim_kind)]


def as_read(claim: ClaimT, ranges: Sequence[ClaimLimitRange]) -> ClaimT:
    """The claim as if it said what the ranges say for it; the claim itself where they have nothing to add."""
    requirements = claim.spec.requirements
    for source in _in_the_order_of_hearing(covering(ranges, claim.key.group_kind)):
        requirements = _filled(requirements, source)
    if requirements is claim.spec.requirements:
        return claim
    spec = claim.spec.model_copy(update={"requirements": requirements})
    return claim.model_copy(update={"spec": spec})


def _in_the_order_of_hearing(ranges: Sequence[ClaimLimitRange]) -> Iterator[Requirements | Minimum | Maximum]:
    yield from (each.spec.default for each in ranges if each.spec.default is not None)
    yield from (each.spec.min for each in ranges if each.spec.min is not None)
    # What a claim may accept at most is what it accepts. What it may ask for at most is not what it asks for.
    yield from (Maximum(cost=each.spec.max.cost) for each in ranges if each.spec.max is not None)


def _filled(said: Requirements, source: Requirements | Minimum | Maximum) -> Requirements:
    """What was said, and where nothing was, what the source says."""
    added: dict[str, Any] = {
        name: value
        for name in type(source).model_fields
        if name != "capacity" and (value := getattr(source, name)) is not None and getattr(said, name) is None
    }
    if isinstance(source, Requirements):
        added |= {name: value for name, value in source.further.items() if name not in said.further}
    if source.capacity.keys() - said.capacity.keys():
        added["capacity"] = {**source.capacity, **said.capacity}
    return said.model_copy(update=added) if added else said


def violations(claim: Claim, ranges: Iterable[ClaimLimitRange], scales: Scales) -> list[str]:
    """The bounds that a claim breaks, ``as_read``: the field, what it says, the bound and whose it is."""
    return [
        f"requirements.{broken} of {each.metadata.name}"
        for each in covering(ranges, claim.key.group_kind)
        for broken in _broken(claim.spec.requirements, each, scales)
    ]


def _broken(said: Requirements, limits: ClaimLimitRange, scales: Scales) -> Iterator[str]:
    least, most = limits.spec.min or Minimum(), limits.spec.max or Maximum()
    for name, amount in sorted(said.capacity.items()):
        if name in least.capacity and amount < least.capacity[name]:
            yield f"capacity.{name} {amount} is less than the minimum {least.capacity[name]}"
        if name in most.capacity and amount > most.capacity[name]:
            yield f"capacity.{name} {amount} is more than the maximum {most.capacity[name]}"
    if _is_above(said.cost, most.cost, scales.cost_rank):
        yield f"cost {said.cost} is more than the maximum {most.cost}"
    if _is_above(said.performance, most.performance, scales.performance_rank):
        yield f"performance {said.performance} is more than the maximum {most.performance}"
    if _is_above(least.performance, said.performance, scales.performance_rank):
        yield f"performance {said.performance} is less than the minimum {least.performance}"


def _is_above(one: str | None, other: str | None, rank: Callable[[str], Decimal | None]) -> bool:
    """Whether ``one`` is above ``other``, or cannot be shown not to be; False where one of them is not said."""
    if one is None or other is None or one == other:
        return False
    left, right = rank(one), rank(other)
    return left is None or right is None or left > right
