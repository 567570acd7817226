"""What a plugin may see of the world: the present state, and what is being written as if it were true already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from conductor_model.claims import Claim
from conductor_model.concrete import ClaimRef, Concrete
from conductor_model.limitrange import ClaimLimitRange
from conductor_model.meta import KubeObject
from conductor_model.quantity import Quantity
from conductor_model.quota import ClaimQuota
from conductor_model.refs import ObjectKey
from conductor_model.resourceclass import ResourceClass
from conductor_scheduler.ledger import Ledger

C = TypeVar("C", bound=Claim)


@dataclass(frozen=True, slots=True)
class Change:
    """What an object was and what it is; None where it is not there. An unreadable object shows its metadata only."""

    key: ObjectKey
    before: KubeObject | None
    after: KubeObject | None

    @property
    def replaced(self) -> bool:
        """The object that was there is gone, whether or not another one has its name now."""
        return self.before is not None and (self.after is None or self.after.uid != self.before.uid)


def granted(ref: ClaimRef, world: World) -> Mapping[str, Quantity] | None:
    """What of its resource's capacity is a bound claim's; None when that is not known.

    What was granted when it was bound, whatever the claim, or its limit ranges, say by now. An entry that does not say,
    written by hand or before such entries did, grants what the claim asks for.
    """
    if ref.capacity is not None:
        return ref.capacity
    claim = world.claim_of(ref)
    return world.as_read(claim).spec.requirements.capacity if claim is not None else None


class World(Protocol):
    """Read only. Decisions are serial: what an earlier one assumed is in here."""

    @property
    def claims(self) -> Mapping[ObjectKey, Claim]: ...

    @property
    def concretes(self) -> Mapping[ObjectKey, Concrete]: ...

    @property
    def classes(self) -> Mapping[ObjectKey, ResourceClass]: ...

    @property
    def nominations(self) -> Mapping[ObjectKey, ObjectKey]:
        """Shared resource -> the claim that its room is kept for."""
        ...

    def claim_of(self, ref: ClaimRef) -> Claim | None:
        """The claim that a reference means: the one with its uid, whatever bears the name now."""
        ...

    def bound_to(self, uid: str) -> Sequence[Concrete]:
        """The resources whose ``claimRefs`` carry the claim's uid."""
        ...

    def as_read(self, claim: C) -> C:
        """The claim as if it said what the limit ranges of its namespace say for it."""
        ...

    def quotas_in(self, namespace: str) -> Sequence[ClaimQuota]:
        """A namespace's quotas, by name."""
        ...

    def limit_ranges_in(self, namespace: str) -> Sequence[ClaimLimitRange]:
        """A namespace's limit ranges, by name."""
        ...

    def unread_limits(self, namespace: str) -> Sequence[str]:
        """The quotas and limit ranges that cannot be read, each with the reason."""
        ...

    def ledger(self, namespace: str) -> Ledger:
        """What the namespace's claims take, as summed up before: see ``accounts``."""
        ...

    @property
    def reserved(self) -> Mapping[str, Concrete]:
        """Claim's uid -> the resource that is being made for it."""
        ...

    def made_from(self, source: ResourceClass) -> Sequence[Concrete]:
        """What exists of a class, and what is being made from it."""
        ...

    def class_of(self, concrete: Concrete) -> ResourceClass | None:
        """The class that it says it is of, if that is known."""
        ...

    def class_names(self, concrete: Concrete) -> frozenset[str]:
        """The names by which the resource's class is meant: its own and its profile."""
        ...

    def labels_of(self, namespace: str) -> Mapping[str, str] | None:
        """The labels of a namespace; None when it is not known."""
        ...
