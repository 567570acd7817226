"""Claims: what a developer asks for, in their own namespace.

A claim names what it needs, not how it is made. ``Claim`` is what all kinds share. A kind of its own is one module with
a subclass of it (``databases``, ``bucket``): further fields of the spec, how it is matched, how one connects to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import ConfigDict, Field

from conductor_model.admission import (
    DNS_1035_LABEL,
    ApiVersion,
    KindName,
    ObjectName,
    Rule,
    ServiceName,
    Uid,
    Word,
    immutable_once_set,
)
from conductor_model.capacity import Capacity
from conductor_model.conditions import Conditions
from conductor_model.connection import ConnectionFormat
from conductor_model.meta import KubeObject, Model
from conductor_model.selector import LabelSelector
from conductor_model.version import VersionConstraint


class Requirements(Model):
    """What a candidate must offer. The scheduler's filters read it; keys that are absent demand nothing."""

    model_config = ConfigDict(extra="allow")

    capacity: Capacity = Field(
        default_factory=dict,
        description="Named quantities, each at least this much: storage: 25Gi.",
    )
    region: Word | None = Field(
        None, description="A region, or a super-region that contains the candidate's region."
    )
    cost: Word | None = Field(None, description="The dearest acceptable cost tier.")
    performance: Word | None = Field(None, description="The lowest acceptable performance tier.")

    @property
    def further(self) -> Mapping[str, Any]:
        """The keys beyond these, as they were written; scheduler plugins may understand them."""
        return self.model_extra or {}


class ConnectionNames(Model):
    """What the connection objects beside the claim are called. Each defaults to the claim's name."""

    secret_name: ObjectName | None = Field(
        None, description="Name of the Secret with the credentials and the endpoint."
    )
    config_map_name: ObjectName | None = Field(
        None, description="Name of the ConfigMap: the same without secrets."
    )


class EndpointConnectionNames(ConnectionNames):
    """The same, where there is a host to connect to."""

    service_name: ServiceName | None = Field(
        None, description="Name of the Service that resolves to the endpoint."
    )


class ClaimSpec(Model):
    """The wish that every claim can have: requirements, and how to choose among what is offered."""

    admission_rules: ClassVar[tuple[Rule, ...]] = (
        immutable_once_set("resourceClass"),
        immutable_once_set("resourceName"),
    )

    requirements: Requirements = Field(
        default_factory=Requirements, description="What a candidate must offer."
    )
    resource_class: ObjectName | None = Field(
        None, description="A ResourceClass by its name or by its profile; absent: any class that fits."
    )
    resource_name: ObjectName | None = Field(
        None,
        description="Bind to this concrete resource and no other; resourceSelector is then not consulted.",
    )
    resource_selector: LabelSelector | None = Field(
        None, description="Labels that a concrete resource, or a class's template, must carry."
    )
    priority: int | None = Field(
        None,
        ge=-1_000_000_000,
        le=1_000_000_000,
        description="Of claims that wait for the same resource the one with the highest is first, then the oldest. "
        "Absent: 0.",
    )
    connection: ConnectionNames = Field(
        default_factory=ConnectionNames, description="What the connection objects are called."
    )


class EndpointClaimSpec(ClaimSpec):
    """The wish for what is reached by host and port."""

    connection: EndpointConnectionNames = Field(
        default_factory=EndpointConnectionNames, description="What the connection objects are called."
    )


class BoundResource(Model):
    """The concrete resource that a claim is bound to."""

    api_version: ApiVersion
    kind: KindName
    namespace: ObjectName
    name: ObjectName
    uid: Uid


class Binding(Model):
    """The servicebinding.io duck type: where an application finds the connection Secret."""

    name: ObjectName = Field(description="Name of the connection Secret in the claim's namespace.")


class ClaimPhase(StrEnum):
    """A claim's binding in one word."""

    PENDING = "Pending"
    BOUND = "Bound"
    LOST = "Lost"


class ClaimCondition(StrEnum):
    """The conditions of a claim, in the order in which they become true."""

    SCHEDULED = "Scheduled"
    BOUND = "Bound"
    READY = "Ready"


class ClaimStatus(Model):
    """Where a claim stands. ``Ready`` and ``binding`` are the secrets-writer's, the rest the scheduler's."""

    phase: ClaimPhase | None = None
    conditions: Conditions = ()
    bound_resource: BoundResource | None = None
    resource_class: ObjectName | None = Field(
        None, description="The class that the bound resource was provisioned from."
    )
    binding: Binding | None = None
    observed_generation: int | None = None


class Claim(KubeObject):
    """Any claim. What a kind adds to it, it adds by overriding; nothing else asks which kind it is."""

    admission_rules: ClassVar[tuple[Rule, ...]] = (
        # What it takes of a shared resource, and of quotas, was checked once: when it was bound.
        Rule(
            "!has(oldSelf.status) || !has(oldSelf.status.boundResource)"
            " || (has(self.spec.requirements) == has(oldSelf.spec.requirements)"
            " && (!has(self.spec.requirements) || self.spec.requirements == oldSelf.spec.requirements))",
            "requirements cannot be changed while the claim has a resource: make another claim, and move over",
        ),
    )

    spec: ClaimSpec = Field(default_factory=ClaimSpec)
    status: ClaimStatus = Field(default_factory=ClaimStatus)

    connection_format: ClassVar[ConnectionFormat]
    """What its connection objects hold."""

    @property
    def priority(self) -> int:
        return self.spec.priority or 0

    @property
    def secret_name(self) -> str:
        return self.spec.connection.secret_name or self.metadata.name

    @property
    def config_map_name(self) -> str:
        return self.spec.connection.config_map_name or self.metadata.name

    @property
    def service_name(self) -> str | None:
        """None: there is no host that a Service could stand for."""
        return None

    @property
    def wanted_version(self) -> VersionConstraint | None:
        """The versions of the engine that will do."""
        return None

    @property
    def demands(self) -> Mapping[str, str]:
        """What a candidate must have beyond the common requirements: each value among the candidate's ``features``
        of that name. The names and values are the kind's own, and are shown to people.
        """
        return {}

    def overrides(self, said: Set[str]) -> Mapping[str, Any]:
        """What stands in place of a class's template when one is made for this claim; its spec says the fields ``said``."""
        return {}


class EndpointClaim(Claim):
    """A claim for what is reached by host and port: a Service stands beside it."""

    admission_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.spec) && has(self.spec.connection) && has(self.spec.connection.serviceName))"
            f" || self.metadata.name.matches(r'{DNS_1035_LABEL}')",
            "the Service beside the claim takes the claim's name: choose a metadata.name of at most 63 lower case "
            "letters, digits and '-' that starts with a letter, or set spec.connection.serviceName",
        ),
    )

    spec: EndpointClaimSpec = Field(default_factory=EndpointClaimSpec)

    @property
    def service_name(self) -> str:
        return self.spec.connection.service_name or self.metadata.name
