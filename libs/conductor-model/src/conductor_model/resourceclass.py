"""ResourceClass: an administrator's offer to make concrete resources on demand.

Its fields stand at the top level, as a StorageClass's do.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, StringConstraints

from conductor_model.admission import ApiVersion, KindName, Labels, ObjectName, Rule
from conductor_model.capacity import Capacity
from conductor_model.concrete import Capabilities, RebindPolicy
from conductor_model.kind import AGE, Column, Kind, Role, v1alpha1
from conductor_model.meta import KubeObject, Model
from conductor_model.namespaces import AllowedNamespaces
from conductor_model.refs import GroupKind, GroupVersionKind

RESOURCE_CLASS = v1alpha1("core.conductor.io", "ResourceClass", "resourceclasses")

Annotation = Annotated[str, StringConstraints(max_length=4096)]
SupportedResource = Annotated[
    str,
    StringConstraints(
        max_length=317, pattern=r"^[A-Za-z][A-Za-z0-9]*(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)+$"
    ),
]


class TemplateMeta(Model):
    """Metadata for the resources made from a class."""

    labels: Labels = Field(default_factory=dict)
    annotations: dict[str, Annotation] = Field(default_factory=dict, max_length=64)


class Template(Model):
    """The concrete resource to make. A claim may override masterUsername, and version if it fits."""

    admission_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!self.apiVersion.startsWith('storage.conductor.io/') && !self.apiVersion.startsWith('core.conductor.io/')",
            "kinds of storage.conductor.io are claims: a class makes concrete resources, such as RDSInstance of "
            "database.aws.conductor.io/v1alpha1",
        ),
    )

    api_version: ApiVersion = Field(description="apiVersion of the concrete resource.")
    kind: KindName = Field(description="Kind of the concrete resource, such as RDSInstance.")
    metadata: TemplateMeta = Field(
        default_factory=TemplateMeta, description="Labels and annotations to carry."
    )
    spec: dict[str, Any] = Field(default_factory=dict, description="The concrete resource's spec.")

    @property
    def gvk(self) -> GroupVersionKind:
        return GroupVersionKind.parse(self.api_version, self.kind)


class ClassLimits(Model):
    """The most that may exist of what was made from a class, whatever became of the claims."""

    instances: int | None = Field(None, ge=0, description="How many resources.")
    capacity: Capacity = Field(
        default_factory=dict, description="Sum of the capacities of these resources, by name: storage: 1Ti."
    )


class ClassStatus(Model):
    """What exists of a class that has limits. Written by the scheduler, at most once a second."""

    used: ClassLimits | None = None
    observed_generation: int | None = None


class ResourceClass(KubeObject):
    """A template for concrete resources, what they offer, and which claims they serve."""

    capabilities: Capabilities = Field(
        default_factory=Capabilities, description="What a resource made from this class offers to claims."
    )
    supported_resources: tuple[SupportedResource, ...] = Field(
        (),
        max_length=32,
        description="The claim kinds served, as Kind.version.group in any letter case. "
        "Absent: what the template's engine implements.",
    )
    rebind_policy: RebindPolicy = Field(
        RebindPolicy.DELETE, description="Inherited by the resources made from this class."
    )
    profile: ObjectName | None = Field(
        None,
        description="The profile it offers; several classes may offer the same. Absent: the class's name.",
    )
    limits: ClassLimits | None = Field(
        None,
        description="The most that may be provisioned from this class. Resources count until they are gone, also "
        "when they are released or being deleted. Lowering a limit takes nothing away.",
    )
    allowed_namespaces: AllowedNamespaces | None = Field(
        None,
        description="The namespaces whose claims it serves; inherited by the resources made from it. "
        "Absent: as the template says, else all.",
    )
    template: Template = Field(description="The concrete resource to make.")
    status: ClassStatus = Field(default_factory=ClassStatus)

    @property
    def offered_profile(self) -> str:
        return self.profile or self.metadata.name

    def goes_by(self, name: str) -> bool:
        """Whether a claim's ``resourceClass`` means this class: by its name or by its profile."""
        return name in {self.metadata.name, self.offered_profile}

    def supports(self, claim_kind: GroupKind) -> bool:
        """Whether ``supportedResources`` names the claim kind, in any version and any letter case."""
        return any(names_kind(entry, claim_kind) for entry in self.supported_resources)


KIND = Kind(
    RESOURCE_CLASS,
    Role.CLASS,
    ResourceClass,
    ("rclass",),
    ("conductor",),
    (
        Column("Makes", ".template.kind"),
        Column("Profile", ".profile"),
        Column("Rebind", ".rebindPolicy"),
        Column("Storage", ".capabilities.capacity.storage"),
        Column("Region", ".capabilities.region"),
        Column("Cost", ".capabilities.cost"),
        Column("Instances", ".status.used.instances", "integer"),
        Column("Limit", ".limits.instances", "integer"),
        AGE,
    ),
)


def names_kind(entry: str, claim_kind: GroupKind) -> bool:
    """Whether ``Kind.version.group`` or ``Kind.group`` means the kind: in any letter case, and in any version."""
    kind, _, rest = entry.lower().partition(".")
    version, _, group = rest.partition(".")
    is_version = len(version) > 1 and version[0] == "v" and version[1].isdigit()
    return (kind, group if is_version else rest) == (claim_kind.kind.lower(), claim_kind.group.lower())
