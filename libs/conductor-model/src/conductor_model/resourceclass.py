"""ResourceClass: an administrator's offer to make concrete resources on demand.

Its fields stand at the top level, as a StorageClass's do.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from conductor_model.admission import ApiVersion, KindName, Labels, ObjectName
from conductor_model.concrete import Capabilities, RebindPolicy
from conductor_model.meta import KubeObject, Model
from conductor_model.refs import GroupKind, GroupVersionKind

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

    api_version: ApiVersion = Field(description="apiVersion of the concrete resource.")
    kind: KindName = Field(description="Kind of the concrete resource, such as RDSInstance.")
    metadata: TemplateMeta = Field(
        default_factory=TemplateMeta, description="Labels and annotations to carry."
    )
    spec: dict[str, Any] = Field(default_factory=dict, description="The concrete resource's spec.")

    @property
    def gvk(self) -> GroupVersionKind:
        return GroupVersionKind.parse(self.api_version, self.kind)


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
    template: Template = Field(description="The concrete resource to make.")

    @property
    def offered_profile(self) -> str:
        return self.profile or self.metadata.name

    def goes_by(self, name: str) -> bool:
        """Whether a claim's ``resourceClass`` means this class: by its name or by its profile."""
        return name in {self.metadata.name, self.offered_profile}

    def supports(self, claim_kind: GroupKind) -> bool:
        """Whether ``supportedResources`` names the claim kind, in any version and any letter case."""
        wanted = (claim_kind.kind.lower(), claim_kind.group.lower())
        return any(_kind_and_group(entry) == wanted for entry in self.supported_resources)


def _kind_and_group(entry: str) -> tuple[str, str]:
    """From ``Kind.version.group``; every version of a kind is the same kind."""
    kind, _, rest = entry.lower().partition(".")
    version, _, group = rest.partition(".")
    is_version = len(version) > 1 and version[0] == "v" and version[1].isdigit()
    return kind, group if is_version else rest
