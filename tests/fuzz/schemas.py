"""The schemas by which manifests are generated: those of the CustomResourceDefinitions that are installed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from conductor_dev.api import Json, objects_in
from conductor_model.kind import Kind
from conductor_model.kinds import OWN_KINDS

ROOT = Path(__file__).parents[2]
CRDS = ROOT / "deploy" / "helm" / "conductor-crds" / "templates"
EXAMPLES = ROOT / "examples"


@dataclass(frozen=True)
class Schema:
    """A kind, and the openAPIV3Schema of its objects."""

    kind: Kind
    root: Json

    @property
    def fields(self) -> frozenset[str]:
        """The name of every property that the schema knows, at whatever depth."""
        return frozenset(_names(self.root))


def schemas() -> tuple[Schema, ...]:
    """Those of Conductor's own kinds, in a fixed order."""
    found = {}
    for file in sorted(CRDS.glob("*.yaml")):
        spec = yaml.safe_load(file.read_text())["spec"]
        found[spec["group"], spec["names"]["kind"]] = spec["versions"][0]["schema"]["openAPIV3Schema"]
    return tuple(Schema(kind, found[kind.group_kind.group, kind.group_kind.kind]) for kind in OWN_KINDS)


def examples() -> tuple[Json, ...]:
    """The valid manifests of Conductor's kinds that users are shown, in a fixed order."""
    known = {kind.group_kind.kind for kind in OWN_KINDS}
    return tuple(
        each for file in sorted(EXAMPLES.glob("*.yaml")) for each in objects_in(file) if each["kind"] in known
    )


def _names(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(_names, node)) if node else set()
    if not isinstance(node, dict):
        return set()
    own = set(node["properties"]) if isinstance(node.get("properties"), dict) else set()
    return own.union(*map(_names, node.values())) if node else own
