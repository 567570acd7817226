"""What claims can choose from, kept so that a decision costs little: by kind, and by what the decisions look at.

Nothing here is a fact of its own: everything follows from the view, which marks what has changed; only that is read again.
"""

from __future__ import annotations

import json
from bisect import bisect_left, insort
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from conductor_model.claims import Claim
from conductor_model.concrete import Concrete
from conductor_model.quantity import Quantity
from conductor_model.refs import GroupKind, ObjectKey
from conductor_model.resourceclass import ResourceClass
from conductor_scheduler.framework import Candidate, Offer, World, granted
from conductor_scheduler.framework.candidate import Traits, admission, traits_of
from conductor_scheduler.framework.index import Index, in_order
from conductor_scheduler.plugins.sharing import is_vacant, why_full
from conductor_scheduler.template import TemplateError, prototype

_Full = tuple[str, Hashable]
_Shape = str
"""What a claim says in place of a class's template, as text."""
_SHAPES = 256
"""So many ways in which claims override one class's template are kept."""
_SERVINGS = 64
"""So many ways in which claims override the templates of all classes together."""


@dataclass(slots=True)
class Shelf:
    """The existing resources of one kind."""

    open: Index = field(default_factory=Index)
    """Those that have room."""
    shared: dict[ObjectKey, Candidate] = field(default_factory=dict)
    """Those that have places for several claims, full or not."""
    full: dict[_Full, list[Candidate]] = field(default_factory=dict)
    """Those that have room for nobody, by the reason and by whose claims they are for; in order."""


@dataclass(frozen=True, slots=True)
class _Held:
    candidate: Candidate
    traits: Traits
    full: _Full | None


class Catalog:
    """The candidates of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._stale: set[ObjectKey] = set()
        self._held: dict[ObjectKey, _Held] = {}
        self._shelves: dict[GroupKind, Shelf] = {}
        self._named: dict[str, dict[ObjectKey, None]] = {}
        self._from_class: dict[ObjectKey, tuple[ResourceClass, dict[str, Candidate]]] = {}
        self._classes_stale = True
        self._template_fields: list[frozenset[str]] = []
        """The different sets of fields that the classes' templates set: claims override what they leave open."""
        self._servings: dict[tuple[GroupKind, tuple[_Shape, ...]], Index] = {}
        self._changed: dict[ObjectKey, Candidate | None] = {}

    def mark_classes(self) -> None:
        """A class has changed."""
        self._classes_stale = True

    def mark(self, key: ObjectKey) -> None:
        """A resource has changed, or what its offer follows from."""
        self._stale.add(key)

    def shelf(self, claim_kind: GroupKind) -> Shelf:
        """The existing resources that implement the kind."""
        self._refresh()
        return self._shelves.get(claim_kind) or Shelf()

    def named(self, name: str) -> list[Candidate]:
        """The existing resources of this name, whatever they are, in order."""
        self._refresh()
        found = (self._held[key].candidate for key in self._named.get(name, ()))
        return sorted(found, key=lambda candidate: candidate.order)

    def from_classes(self, claim: Claim) -> Index:
        """What the classes that serve the claim's kind would make for it."""
        self._refresh()
        wanted = claim.key.group_kind
        said = [claim.overrides(fields) for fields in self._template_fields]
        shapes = tuple(json.dumps(each, sort_keys=True, default=str) if each else "" for each in said)
        found = self._servings.get((wanted, shapes))
        if found is None:
            if len(self._servings) >= _SERVINGS:
                del self._servings[next(iter(self._servings))]
            found = self._servings[wanted, shapes] = Index()
            overrides = dict(zip(self._template_fields, zip(said, shapes, strict=True), strict=True))
            for key, source in self._world.classes.items():
                candidate = self._of_class(key, source, wanted, *overrides[_fields(source)])
                if candidate is not None and not source.being_deleted:
                    found.add(candidate, traits_of(candidate.offer, vacant=candidate.vacant))
        return found

    def changes(self) -> list[tuple[Candidate | None, Candidate | None]]:
        """What existing candidates were and are, of those that changed since the last call."""
        self._refresh()
        changed, self._changed = self._changed, {}
        pairs = ((before, self._candidate(key)) for key, before in changed.items())
        return [(before, after) for before, after in pairs if not _alike(before, after)]

    def _candidate(self, key: ObjectKey) -> Candidate | None:
        held = self._held.get(key)
        return held.candidate if held is not None else None

    def _of_class(
        self, key: ObjectKey, source: ResourceClass, wanted: GroupKind, said: Mapping[str, Any], shape: _Shape
    ) -> Candidate | None:
        listed = bool(source.supported_resources)
        if listed and not source.supports(wanted):
            return None
        known = self._from_class.get(key)
        if known is None or known[0] is not source:
            known = self._from_class[key] = (source, {})
        candidate = known[1].get(shape)
        if candidate is None:
            if len(known[1]) >= _SHAPES:
                known[1].clear()
            candidate = known[1][shape] = _class_candidate(key, source, said)
        if not listed and candidate.offer.defect is None and wanted not in candidate.offer.implements:
            return None
        return candidate

    def _refresh(self) -> None:
        while self._stale:
            key = self._stale.pop()
            held = self._held.pop(key, None)
            self._changed.setdefault(key, held.candidate if held is not None else None)
            if held is not None:
                self._take_out(held)
            concrete = self._world.concretes.get(key)
            if concrete is not None:
                self._put_in(key, concrete)
        if self._classes_stale:
            self._classes_stale = False
            self._servings.clear()
            self._template_fields = sorted(
                {_fields(source) for source in self._world.classes.values()}, key=sorted
            )
            for key in [key for key in self._from_class if key not in self._world.classes]:
                del self._from_class[key]

    def _put_in(self, key: ObjectKey, concrete: Concrete) -> None:
        offer = _offer_of(concrete, self._world)
        candidate = Candidate(key, offer, concrete=concrete, vacant=is_vacant(concrete, self._world))
        reason = why_full(concrete)
        full = (reason, admission(offer)) if reason is not None else None
        held = self._held[key] = _Held(candidate, traits_of(offer, vacant=candidate.vacant), full)
        self._named.setdefault(key.name, {})[key] = None
        for kind in offer.implements:
            shelf = self._shelves.setdefault(kind, Shelf())
            if full is not None:
                insort(shelf.full.setdefault(full, []), candidate, key=in_order)
            else:
                shelf.open.add(candidate, held.traits)
            if concrete.spec.max_claims > 1:
                shelf.shared[key] = candidate

    def _take_out(self, held: _Held) -> None:
        key = held.candidate.key
        named = self._named[key.name]
        del named[key]
        if not named:
            del self._named[key.name]
        for kind in held.candidate.offer.implements:
            shelf = self._shelves[kind]
            if held.full is not None:
                group = shelf.full[held.full]
                del group[bisect_left(group, held.candidate.order, key=in_order)]
                if not group:
                    del shelf.full[held.full]
            else:
                shelf.open.remove(key)
            shelf.shared.pop(key, None)
            if not shelf.open and not shelf.full:
                del self._shelves[kind]

    @property
    def empty(self) -> bool:
        """Nothing is kept of anything."""
        self._refresh()
        return not (self._held or self._shelves or self._named or self._from_class)


def _fields(source: ResourceClass) -> frozenset[str]:
    return frozenset(source.template.spec)


def _alike(before: Candidate | None, after: Candidate | None) -> bool:
    """Whether the difference can matter to anybody: two versions of a resource that offer the same do not."""
    if before is None or after is None:
        return before is after
    mine, other = before.concrete, after.concrete
    return (
        before.vacant == after.vacant
        and traits_of(before.offer, vacant=True) == traits_of(after.offer, vacant=True)
        and mine is not None
        and other is not None
        and mine.uid == other.uid
        and mine.spec == other.spec
        and mine.being_deleted == other.being_deleted
        and (after.vacant or mine.status.phase == other.status.phase)
    )


def _class_candidate(key: ObjectKey, source: ResourceClass, overrides: Mapping[str, Any]) -> Candidate:
    made, defect = None, None
    try:
        made = prototype(source, overrides)
    except TemplateError as error:
        defect = str(error)
    allowed = (source.allowed_namespaces, made.spec.allowed_namespaces if made is not None else None)
    offer = Offer(
        exists=False,
        implements=made.implements if made is not None else frozenset(),
        version=made.offered_version if made is not None else None,
        capabilities=source.capabilities,
        capacity=source.capabilities.capacity,
        labels=source.template.metadata.labels,
        class_names=frozenset({source.metadata.name, source.offered_profile}),
        home=key.namespace,
        allowed=tuple(each for each in allowed if each is not None),
        features=made.features if made is not None else {},
        defect=defect,
    )
    return Candidate(key, offer, source=source, prototype=made)


def _offer_of(concrete: Concrete, world: World) -> Offer:
    version, defect = None, None
    try:
        version = concrete.offered_version
    except ValueError as error:
        defect = f"cannot be judged: {error}"
    allowed = concrete.spec.allowed_namespaces
    return Offer(
        exists=True,
        implements=concrete.implements,
        version=version,
        capabilities=concrete.spec.capabilities,
        capacity=remaining_capacity(concrete, world),
        labels=concrete.metadata.labels,
        class_names=world.class_names(concrete),
        home=concrete.metadata.namespace,
        allowed=() if allowed is None else (allowed,),
        features=concrete.features,
        defect=defect,
    )


def remaining_capacity(concrete: Concrete, world: World) -> dict[str, Quantity]:
    """What its bound claims leave of its capacity."""
    left = dict(concrete.spec.capabilities.capacity)
    for ref in concrete.bound_refs:
        for name, taken in (granted(ref, world) or {}).items():
            if name in left:
                left[name] = left[name] - taken
    return left
