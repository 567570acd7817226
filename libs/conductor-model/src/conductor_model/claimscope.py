"""Which claims of a namespace a quota or a limit range is about."""

from __future__ import annotations

from pydantic import Field

from conductor_model.admission import ObjectName
from conductor_model.meta import Model
from conductor_model.refs import GroupKind
from conductor_model.resourceclass import SupportedResource, names_kind


class KindScope(Model):
    """Claims of some kinds. Empty: claims of every kind."""

    kinds: tuple[SupportedResource, ...] = Field(
        (),
        max_length=32,
        description="Claim kinds as Kind.version.group or Kind.group in any letter case. Absent: all.",
    )

    def covers_kind(self, claim_kind: GroupKind) -> bool:
        return not self.kinds or any(names_kind(entry, claim_kind) for entry in self.kinds)


class ClaimScope(KindScope):
    """Claims of some kinds that get their resource from some classes. Empty: every claim."""

    classes: tuple[ObjectName, ...] = Field(
        (),
        max_length=32,
        description="Classes by name or by profile: claims whose resource is of one of them, whatever the claim "
        "itself says. Absent: all, and resources of no class.",
    )

    def covers_class(self, names: frozenset[str]) -> bool:
        """Whether a resource that goes by these class names is meant."""
        return not self.classes or not names.isdisjoint(self.classes)
