"""What a claim chooses from: existing concrete resources, and classes that could make one, reduced to what they offer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
