"""Names of objects: what identifies an object in the API, on the bus and in a cloud.

Everything inside Conductor passes these types; a bare ``"namespace/name"`` appears only where it is printed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True, order=True)
class GroupKind:
    """A kind in an API group, whatever version it is served in."""

    group: str
    kind: str

    def __str__(self) -> str:
        return f"{self.kind}.{self.group}" if self.group else self.kind


@dataclass(frozen=True, slots=True, order=True)
class GroupVersionKind:
    """A kind as a manifest names it by ``apiVersion`` and ``kind``."""

    group: str
    version: str
    kind: str

    @classmethod
    @lru_cache(maxsize=1024)
    def parse(cls, api_version: str, kind: str) -> GroupVersionKind:
        """From a manifest's two fields; the core group's ``apiVersion`` has no slash."""
        group, _, version = api_version.rpartition("/")
        return cls(group, version, kind)

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_kind(self) -> GroupKind:
        return GroupKind(self.group, self.kind)

    def __str__(self) -> str:
        return f"{self.kind}.{self.version}.{self.group}" if self.group else f"{self.kind}.{self.version}"


@dataclass(frozen=True, slots=True, order=True)
class ResourceType:
    """A kind with what a URL of the Kubernetes API needs: the plural, and whether it lives in namespaces."""

    gvk: GroupVersionKind
    plural: str
    namespaced: bool = True

    @property
    def group_kind(self) -> GroupKind:
        return self.gvk.group_kind

    def path(
        self, namespace: str | None = None, name: str | None = None, subresource: str | None = None
    ) -> str:
        """The API path of the collection, or of one object or its subresource when a name is given."""
        prefix = (
            f"/apis/{self.gvk.group}/{self.gvk.version}" if self.gvk.group else f"/api/{self.gvk.version}"
        )
        parts = [prefix]
        if self.namespaced and namespace is not None:
            parts.append(f"namespaces/{namespace}")
        parts.append(self.plural)
        if name is not None:
            parts.append(name)
        if subresource is not None:
            parts.append(subresource)
        return "/".join(parts)


@dataclass(frozen=True, slots=True, order=True)
class ObjectKey:
    """One object's place in the API. Objects that follow one another at the same place differ by uid."""

    group_kind: GroupKind
    namespace: str
    name: str

    def __str__(self) -> str:
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.group_kind} {place}"
