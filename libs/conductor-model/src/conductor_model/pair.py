"""A claim kind and the concrete kind that satisfies it, declared by what is particular to the two.

For a provisioner of one's own, whose concrete resources satisfy one kind of claim, and whose connection is what their status
says. Whoever needs more (versions, features, secrets, several claim kinds) writes the two models, as ``bucket`` and
``s3bucket`` do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from pydantic import Field, create_model

from conductor_model.claims import Claim
from conductor_model.concrete import Concrete, ConcreteSpec, ConcreteStatus
from conductor_model.connection import Connectable, ConnectionFormat, ConnectionKey
from conductor_model.kind import Column, Kind, claim_kind, concrete_kind, v1alpha1
from conductor_model.refs import GroupKind, ResourceType


@dataclass(frozen=True, slots=True)
class Names:
    """Of a kind, version v1alpha1."""

    group: str
    kind: str
    plural: str
    short: str
    description: str
    """A sentence, for ``kubectl explain``."""

    @property
    def type(self) -> ResourceType:
        return v1alpha1(self.group, self.kind, self.plural)


class Pair(NamedTuple):
    """What an entry point of the group ``conductor.kinds`` names."""

    claim: Kind
    concrete: Kind

    @property
    def model(self) -> type[Concrete]:
        """Of the concrete kind: what ``conductor_provisioner.provisioner.main`` takes a driver for."""
        model: Any = self.concrete.model
        found: type[Concrete] = model
        return found


def pair_of_kinds(
    provider: str,
    *,
    claim: Names,
    concrete: Names,
    spec: type[ConcreteSpec],
    status: type[ConcreteStatus],
    connection: Mapping[str, str],
) -> Pair:
    """``connection``: the fields of ``status`` that an application is told once they have a value, each with a sentence.

    They are no secrets.
    """
    missing = connection.keys() - status.model_fields.keys()
    if missing:
        raise ValueError(f"{status.__name__} has no field {', '.join(sorted(missing))}")
    keys = tuple(ConnectionKey(key, description) for key, description in connection.items())
    columns = tuple(Column(key.capitalize(), f".status.{key}") for key in connection)
    return Pair(
        claim_kind(claim.type, _claim(claim, keys), claim.short),
        concrete_kind(
            concrete.type,
            _concrete(provider, concrete, claim.type.group_kind, spec, status, tuple(connection)),
            concrete.short,
            provider,
            *columns,
        ),
    )


def _claim(names: Names, keys: tuple[ConnectionKey, ...]) -> type[Claim]:
    def entries(source: Connectable) -> Mapping[str, str]:
        return {key.name: source.fact(key.name) for key in keys}

    model = create_model(names.kind, __base__=Claim, __doc__=names.description)
    model.connection_format = ConnectionFormat(names.kind.lower(), keys, entries)
    return model


def _concrete(
    provider: str,
    names: Names,
    implemented: GroupKind,
    spec: type[ConcreteSpec],
    status: type[ConcreteStatus],
    told: tuple[str, ...],
) -> type[Concrete]:
    class Told(Concrete):
        @property
        def implements(self) -> frozenset[GroupKind]:
            return frozenset({implemented})

        @property
        def connection_facts(self) -> Mapping[str, str]:
            found = ((key, getattr(self.status, key)) for key in told)
            return {key: str(value) for key, value in found if value is not None}

    fields: dict[str, Any] = {
        "kind": (Literal[names.kind], names.kind),
        "spec": (spec, ...),
        "status": (status, Field(default_factory=status)),
    }
    model = create_model(names.kind, __base__=Told, __doc__=names.description, **fields)
    model.provider = provider
    return model
