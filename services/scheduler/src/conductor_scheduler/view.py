"""The scheduler's view of the world: every claim, concrete resource, class, quota and limit range, as last heard of.

It is fed by the bus, and by the answers to the scheduler's own requests, so it is never older than what the scheduler
itself has done. A version that is older than the one held is ignored: resource versions of one kind can be compared,
also between objects that followed one another under a name (Kubernetes 1.35 and later promise it).

Every change is told to ``on_change``, wherever it came from: nobody else has to remember whom to wake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from conductor_model.annotations import CLASS_LABEL
from conductor_model.claims import Claim, ClaimStatus
from conductor_model.concrete import ClaimRef, Concrete
from conductor_model.kinds import BY_GROUP_KIND, CLAIM_LIMIT_RANGE, CLAIM_QUOTA, RESOURCE_CLASS
from conductor_model.limitrange import ClaimLimitRange
from conductor_model.meta import KubeObject
from conductor_model.namespaces import NAMESPACE, Namespace
from conductor_model.quota import ClaimQuota
from conductor_model.refs import ObjectKey
from conductor_model.resourceclass import ResourceClass
from conductor_scheduler.catalog import Catalog
from conductor_scheduler.framework import Change
from conductor_scheduler.ledger import Ledger
from conductor_scheduler.ranges import as_read
from conductor_scheduler.template import claim_key

_LIMITS = {CLAIM_QUOTA.group_kind, CLAIM_LIMIT_RANGE.group_kind}
C = TypeVar("C", bound=Claim)
Outer = TypeVar("Outer")
Inner = TypeVar("Inner")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object that the API server accepted and the models refuse."""

    object: KubeObject
    problem: str
    claim_status: ClaimStatus = field(default_factory=ClaimStatus)
    """What a claim says of itself already, so that it is not written again."""


def _nobody(_: Change) -> None:
    """Whom to tell when nobody asked."""


@dataclass(slots=True)
class View:
    """The present state, by key. Objects are immutable; the view replaces them."""

    on_change: Callable[[Change], None] = _nobody
    on_freed: Callable[[Change], None] = _nobody
    """Told what was reserved and not made: nothing has changed but for those who wait for its place."""
    claims: dict[ObjectKey, Claim] = field(default_factory=dict)
    concretes: dict[ObjectKey, Concrete] = field(default_factory=dict)
    classes: dict[ObjectKey, ResourceClass] = field(default_factory=dict)
    quotas: dict[ObjectKey, ClaimQuota] = field(default_factory=dict)
    limit_ranges: dict[ObjectKey, ClaimLimitRange] = field(default_factory=dict)
    namespaces: dict[ObjectKey, Namespace] = field(default_factory=dict)
    unreadable: dict[ObjectKey, Unreadable] = field(default_factory=dict)
    reserved: dict[str, Concrete] = field(default_factory=dict)
    """Claim's uid -> the resource that is being made for it: quotas and limits count it already."""
    nominations: dict[ObjectKey, ObjectKey] = field(default_factory=dict)
    """Shared resource -> the claim that its room is kept for."""
    _claim_by_uid: dict[str, ObjectKey] = field(default_factory=dict)
    _bound_to: dict[str, dict[ObjectKey, None]] = field(default_factory=dict)
    _quotas_in: dict[str, dict[ObjectKey, ClaimQuota]] = field(default_factory=dict)
    _ranges_in: dict[str, dict[ObjectKey, ClaimLimitRange]] = field(default_factory=dict)
    _bound_in: dict[str, dict[str, None]] = field(default_factory=dict)
    _made_from: dict[tuple[str, str], dict[ObjectKey, None]] = field(default_factory=dict)
    _ledgers: dict[str, Ledger] = field(default_factory=dict, compare=False)
    _before_assuming: dict[ObjectKey, Concrete] = field(default_factory=dict)
    catalog: Catalog = field(init=False, compare=False)
    """What claims can choose from."""

    def __post_init__(self) -> None:
        self.catalog = Catalog(self)

    def observe(self, key: ObjectKey, data: bytes) -> bool:
        """Take an object's JSON into the view. False when the view already has that version or a newer one.

        Raises ValidationError for what is no object at all.
        """
        found: KubeObject | Unreadable
        try:
            found = _parse(key, data)
        except ValidationError as error:
            found = _unreadable(data, error)
        meta = (found.object if isinstance(found, Unreadable) else found).metadata
        held = self.get(key)
        if held is not None and _version(held.metadata.resource_version) >= _version(meta.resource_version):
            return False
        self.put(key, found)
        return True

    def get(self, key: ObjectKey) -> KubeObject | None:
        unreadable = self.unreadable.get(key)
        return (
            self.claims.get(key)
            or self.concretes.get(key)
            or self.classes.get(key)
            or self.quotas.get(key)
            or self.limit_ranges.get(key)
            or self.namespaces.get(key)
            or (unreadable.object if unreadable else None)
        )

    def held(self) -> list[ObjectKey]:
        """Everything that is held."""
        limits = (self.quotas, self.limit_ranges)
        held = (self.claims, self.concretes, self.classes, *limits, self.namespaces, self.unreadable)
        return [key for each in held for key in each]

    def labels_of(self, namespace: str) -> Mapping[str, str] | None:
        """The labels of a namespace; None when nothing is known of it."""
        found = self.namespaces.get(ObjectKey(NAMESPACE.group_kind, "", namespace))
        return None if found is None else found.metadata.labels

    def put(self, key: ObjectKey, found: KubeObject | Unreadable) -> None:
        before = self.get(key)
        self._drop(key)
        self._add(key, found)
        if _profile(before) != _profile(found):
            self._mark_of_class(key)
        self.on_change(Change(key, before, found.object if isinstance(found, Unreadable) else found))

    def forget(self, key: ObjectKey) -> None:
        before = self.get(key)
        if before is not None:
            self._drop(key)
            if _profile(before) is not None:
                self._mark_of_class(key)
            self.on_change(Change(key, before, None))

    def assume(self, assumed: Concrete) -> None:
        """Hold what is being written until the API server has answered; ``put``, ``forget`` and ``withdraw`` end it."""
        key = assumed.key
        original = self._before_assuming.get(key) or self.concretes[key]
        self._drop(key)
        self._add(key, assumed)
        self._before_assuming[key] = original

    def is_assumed(self, key: ObjectKey) -> bool:
        """Whether the view holds something of this object that the API server has not confirmed."""
        return key in self._before_assuming

    def withdraw(self, key: ObjectKey) -> None:
        """What was assumed did not come true: back to what the API server said last."""
        original = self._before_assuming.get(key)
        if original is not None:
            self.put(key, original)

    def reserve(self, uid: str, draft: Concrete) -> None:
        """Count what is being made for the claim until ``end_reservation``; what came of it is in the view by then."""
        self.reserved[uid] = draft
        self._restate_claims_of(draft)

    def end_reservation(self, uid: str) -> None:
        draft = self.reserved.pop(uid, None)
        if draft is None:
            return
        self._restate_claims_of(draft)
        if draft.key not in self.concretes:
            self.on_freed(Change(draft.key, draft, None))

    def claim_of(self, ref: ClaimRef) -> Claim | None:
        """The claim that a reference means: the one with its uid, whatever bears the name now."""
        key = self._claim_by_uid.get(ref.uid or "")
        return self.claims.get(key) if key is not None else None

    def bound_to(self, uid: str) -> list[Concrete]:
        """The resources whose ``claimRefs`` carry the claim's uid; more than one only after a mishap."""
        return [self.concretes[key] for key in sorted(self._bound_to.get(uid, ()))]

    def quotas_in(self, namespace: str) -> list[ClaimQuota]:
        """By name."""
        return [quota for _, quota in sorted(self._quotas_in.get(namespace, {}).items())]

    def limit_ranges_in(self, namespace: str) -> list[ClaimLimitRange]:
        """By name."""
        return [each for _, each in sorted(self._ranges_in.get(namespace, {}).items())]

    def unread_limits(self, namespace: str) -> list[str]:
        """The quotas and limit ranges that cannot be read, each with the reason."""
        return [
            f"{key.group_kind.kind} {key.name} cannot be read: {found.problem}"
            for key, found in sorted(self.unreadable.items())
            if key.namespace == namespace and key.group_kind in _LIMITS
        ]

    def as_read(self, claim: C) -> C:
        """The claim as if it said what the limit ranges of its namespace say for it."""
        ranges = self._ranges_in.get(claim.metadata.namespace)
        return as_read(claim, self.limit_ranges_in(claim.metadata.namespace)) if ranges else claim

    def ledger(self, namespace: str) -> Ledger:
        """What the namespace's claims take, as summed up before, and which of them to look at again."""
        ledger = self._ledgers.get(namespace)
        if ledger is None:
            refs = ((uid, ref) for uid, draft in self.reserved.items() for ref in draft.bound_refs)
            made = (uid for uid, ref in refs if ref.namespace == namespace)
            ledger = self._ledgers[namespace] = Ledger(stale={*self._bound_in.get(namespace, ()), *made})
        return ledger

    def class_names(self, concrete: Concrete) -> frozenset[str]:
        """The names by which the resource's class is meant: its own and its profile."""
        name, source = concrete.spec.resource_class, self.class_of(concrete)
        if name is None:
            return frozenset()
        return frozenset({name} if source is None else {name, source.offered_profile})

    def class_of(self, concrete: Concrete) -> ResourceClass | None:
        """The class that it says it is of, if that is known."""
        name, namespace = concrete.spec.resource_class, concrete.metadata.namespace
        return self.classes.get(ObjectKey(RESOURCE_CLASS.group_kind, namespace, name)) if name else None

    def made_from(self, source: ResourceClass) -> list[Concrete]:
        """What exists of a class, released and being deleted included, and what is being made from it."""
        place = (source.metadata.namespace, source.metadata.name)
        made = {key: self.concretes[key] for key in self._made_from.get(place, ())}
        for draft in self.reserved.values():
            if _class_of(draft) == place:
                made.setdefault(draft.key, draft)
        return list(made.values())

    def _add(self, key: ObjectKey, found: KubeObject | Unreadable) -> None:
        match found:
            case Claim():
                self.claims[key] = found
                self._claim_by_uid[found.uid] = key
                self._mark_bound_to(found.uid)
                self._restate(key.namespace, found.uid)
            case Concrete():
                self.concretes[key] = found
                self.catalog.mark(key)
                self._restate_claims_of(found)
                for ref in found.bound_refs:
                    self._bound_to.setdefault(ref.uid or "", {})[key] = None
                    self._bound_in.setdefault(ref.namespace, {})[ref.uid or ""] = None
                if (place := _class_of(found)) is not None:
                    self._made_from.setdefault(place, {})[key] = None
            case ResourceClass():
                self.classes[key] = found
                self.catalog.mark_classes()
            case ClaimQuota():
                self.quotas[key] = found
                self._quotas_in.setdefault(key.namespace, {})[key] = found
            case ClaimLimitRange():
                self.limit_ranges[key] = found
                self._ranges_in.setdefault(key.namespace, {})[key] = found
                self._mark_bound_in(key.namespace)
            case Namespace():
                self.namespaces[key] = found
            case Unreadable():
                self.unreadable[key] = found
            case _:
                raise TypeError(f"{key} is not a kind that the scheduler knows")

    def _drop(self, key: ObjectKey) -> None:
        self.unreadable.pop(key, None)
        self.namespaces.pop(key, None)
        if self.classes.pop(key, None) is not None:
            self.catalog.mark_classes()
        if self.quotas.pop(key, None) is not None:
            _without(self._quotas_in, key.namespace, key)
        if self.limit_ranges.pop(key, None) is not None:
            _without(self._ranges_in, key.namespace, key)
            self._mark_bound_in(key.namespace)
        self._before_assuming.pop(key, None)
        claim = self.claims.pop(key, None)
        if claim is not None:
            self._claim_by_uid.pop(claim.uid, None)
            self._mark_bound_to(claim.uid)
            self._restate(key.namespace, claim.uid)
        concrete = self.concretes.pop(key, None)
        if concrete is None:
            return
        self.catalog.mark(key)
        self._restate_claims_of(concrete)
        for ref in concrete.bound_refs:
            _without(self._bound_to, ref.uid or "", key)
            if ref.uid not in self._bound_to:
                _without(self._bound_in, ref.namespace, ref.uid or "")
        if (place := _class_of(concrete)) is not None:
            _without(self._made_from, place, key)

    def _mark_bound_to(self, uid: str) -> None:
        """What a claim takes of the resources that it is bound to may be another now."""
        for key in self._bound_to.get(uid, ()):
            self.catalog.mark(key)

    def _restate_claims_of(self, concrete: Concrete) -> None:
        for ref in concrete.bound_refs:
            self._restate(ref.namespace, ref.uid or "")

    def _restate(self, namespace: str, uid: str) -> None:
        """The claim may take something else now."""
        ledger = self._ledgers.get(namespace)
        if ledger is not None:
            ledger.stale.add(uid)

    def _mark_bound_in(self, namespace: str) -> None:
        """What the namespace's claims take may be another now, where they leave it to their limit ranges."""
        self._ledgers.pop(namespace, None)
        for uid in self._bound_in.get(namespace, ()):
            self._mark_bound_to(uid)

    def _mark_of_class(self, source: ObjectKey) -> None:
        """The profile of the resources of this class may be another now."""
        for key, concrete in self.concretes.items():
            if (key.namespace, concrete.spec.resource_class) == (source.namespace, source.name):
                self.catalog.mark(key)
                self._restate_claims_of(concrete)


def _without(index: dict[Outer, dict[Inner, Any]], outer: Outer, inner: Inner) -> None:
    """Take an entry out of an index, and its place with the last one."""
    entries = index.get(outer)
    if entries is not None:
        entries.pop(inner, None)
        if not entries:
            del index[outer]


def affected(change: Change, view: View) -> Iterable[ObjectKey]:
    """The objects about which the change alone may ask for another decision, the changed one included.

    Claims that wait for anything that fits are not named: see ``decide.may_help``.
    """
    yield change.key
    if change.after is None and change.before is not None and not change.before.uid:
        return  # It was never made. The claim that it was for is the one being told so.
    sides = [side for side in (change.before, change.after) if side is not None]
    for side in sides:
        if isinstance(side, Concrete):
            for ref in side.spec.claim_refs:
                claim = claim_key(ref)
                if claim is not None:
                    yield claim
        elif side is change.after or change.replaced:
            yield from (concrete.key for concrete in view.bound_to(side.uid))


def _class_of(concrete: Concrete) -> tuple[str, str] | None:
    """Namespace and name of the class that the scheduler made it from; None for what an administrator made."""
    name = concrete.spec.resource_class
    made = name is not None and CLASS_LABEL in concrete.metadata.labels
    return (concrete.metadata.namespace, name) if made and name is not None else None


def _profile(found: object) -> str | None:
    return found.offered_profile if isinstance(found, ResourceClass) else None


class _StatusOnly(KubeObject):
    """A claim whose spec is not looked at."""

    status: ClaimStatus = ClaimStatus()


def _parse(key: ObjectKey, data: bytes) -> KubeObject:
    kind = BY_GROUP_KIND.get(key.group_kind)
    if kind is None:
        raise TypeError(f"{key} is not a kind that the scheduler knows")
    return kind.model.model_validate_json(data)


def _unreadable(data: bytes, error: ValidationError) -> Unreadable:
    first = error.errors(include_input=False, include_url=False)[0]
    problem = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    try:
        status = _StatusOnly.model_validate_json(data).status
    except ValidationError:
        status = ClaimStatus()
    return Unreadable(KubeObject.model_validate_json(data), problem, status)


def _version(resource_version: str) -> int:
    return int(resource_version) if resource_version.isdigit() else 0
