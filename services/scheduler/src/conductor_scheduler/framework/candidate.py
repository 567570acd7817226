"""What a claim chooses from: existing concrete resources, and classes that could make one, reduced to what they offer."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from conductor_model.concrete import Capabilities, Concrete
from conductor_model.namespaces import AllowedNamespaces
from conductor_model.quantity import Quantity
from conductor_model.refs import GroupKind, ObjectKey
from conductor_model.resourceclass import ResourceClass
from conductor_model.version import EngineVersion


@dataclass(frozen=True, slots=True)
class Offer:
    """What is offered. Many candidates offer the same, and are then judged once, together."""

    exists: bool
    """A resource that is there already; False: one that a class would make."""
    implements: frozenset[GroupKind]
    version: EngineVersion | None
    capabilities: Capabilities
    capacity: Mapping[str, Quantity]
    """What is left of its capacity for one more claim."""
    labels: Mapping[str, str]
    class_names: frozenset[str]
    """The names by which a claim's ``resourceClass`` may mean it."""
    home: str
    """The namespace that it is in."""
    allowed: tuple[AllowedNamespaces, ...] = ()
    """The namespaces whose claims it is for: all of these must admit the claim's."""
    features: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """What it has of what kinds of claims demand beyond the common requirements."""
    defect: str | None = None
    """Why it cannot be judged, whoever asks."""


class Aspect(IntEnum):
    """What can be looked at of a candidate. Candidates that are equal in what a plugin looks at are judged once by it."""

    VACANT = 0
    """Of the candidate and not of its offer; no plugin looks at it, for it decides which plugins are asked."""
    EXISTS = 1
    IMPLEMENTS = 2
    VERSION = 3
    REGION = 4
    COST = 5
    PERFORMANCE = 6
    FURTHER = 7
    """The further keys of the capabilities."""
    CAPACITY = 8
    LABELS = 9
    CLASS_NAMES = 10
    ADMISSION = 11
    """``home`` and ``allowed``: whose claims it is for."""
    FEATURES = 12
    DEFECT = 13


EVERYTHING = tuple(aspect for aspect in Aspect if aspect is not Aspect.VACANT)

Traits = tuple[Hashable, ...]
"""A candidate's values, in the order of ``Aspect``: equal for what cannot be told apart only."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate: a concrete resource or a class, never both."""

    key: ObjectKey
    offer: Offer
    concrete: Concrete | None = None
    source: ResourceClass | None = None
    prototype: Concrete | None = None
    """What the class would make, but for its name and its claim."""
    vacant: bool = True
    """Ready, and with a place that is kept for nobody; of a class: always."""

    order: tuple[str, str, str] = field(init=False)
    """By kind, namespace and name: how candidates are listed, and how ties break."""

    def __post_init__(self) -> None:
        key = self.key
        object.__setattr__(self, "order", (key.group_kind.kind, key.namespace, key.name))


def traits_of(offer: Offer, *, vacant: bool) -> Traits:
    """What is equal for equal offers only: amounts that are written differently are not equal, for details repeat them."""
    said, version = offer.capabilities, offer.version
    return (
        vacant,
        offer.exists,
        offer.implements,
        (version.release, version.build) if version is not None else None,
        said.region,
        said.cost,
        said.performance,
        json.dumps(said.further, sort_keys=True) if said.further else None,
        tuple(sorted((name, amount.nanos, amount.format) for name, amount in offer.capacity.items())),
        tuple(sorted(offer.labels.items())),
        offer.class_names,
        admission(offer),
        tuple(sorted((name, tuple(sorted(values))) for name, values in offer.features.items())),
        offer.defect,
    )


def admission(offer: Offer) -> Hashable:
    """Whose claims it is for."""
    return (offer.home, *(each.model_dump_json() for each in offer.allowed)) if offer.allowed else ()
