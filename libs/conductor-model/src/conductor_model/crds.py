"""Writes the CustomResourceDefinitions that the models describe: ``python -m conductor_model.crds OUTDIR``.

Of Conductor's own kinds, or, with ``--kinds my_provisioner.kinds:KINDS``, of those that another package adds. One file
for each kind, the same bytes for the same models. The schemas are structural: references are written out, unions with
null become optional fields, and nothing else that a structural schema forbids is there.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import yaml

from conductor_model.kind import Column, Kind, Role
from conductor_model.kinds import OWN_KINDS
from conductor_model.meta import KubeObject

Json = dict[str, Any]

HEADER = "# Generated from the models in libs/conductor-model: edit those and run `make crds`.\n"
HEADER_OF_OTHERS = "# Generated from the models by `python -m conductor_model.crds`: edit those.\n"

_LINE_LENGTH = 110
_WRAP = re.compile(r"(?<!\n)\n(?!\n)")
_SERVED_BY_THE_API: Json = {
    "apiVersion": {"type": "string", "description": "Group and version of the API."},
    "kind": {"type": "string", "description": "Kind of the object."},
    "metadata": {"type": "object"},
}
_REWRITTEN = frozenset(
    {"$defs", "title", "default", "description", "properties", "items", "additionalProperties"}
)


def crd(kind: Kind) -> Json:
    """The CustomResourceDefinition of a kind."""
    gvk = kind.type.gvk
    labels = {"app.kubernetes.io/part-of": "conductor"}
    if kind.role is Role.CLAIM:
        labels["servicebinding.io/provisioned-service"] = "true"
    version: Json = {
        "name": gvk.version,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [_printer_column(column) for column in kind.columns],
        "schema": {"openAPIV3Schema": schema_of(kind.model)},
    }
    if "status" in kind.model.model_fields:
        version["subresources"] = {"status": {}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.type.plural}.{gvk.group}",
            "annotations": {"helm.sh/resource-policy": "keep"},
            "labels": labels,
        },
        "spec": {
            "group": gvk.group,
            "names": {
                "kind": gvk.kind,
                "listKind": f"{gvk.kind}List",
                "plural": kind.type.plural,
                "singular": gvk.kind.lower(),
                "shortNames": list(kind.short_names),
                "categories": list(kind.categories),
            },
            "scope": "Namespaced" if kind.type.namespaced else "Cluster",
            "versions": [version],
        },
    }


def schema_of(model: type[KubeObject]) -> Json:
    """The structural OpenAPI v3 schema of a kind's model."""
    generated = model.model_json_schema(by_alias=True, mode="validation")
    schema = _structural(generated, generated.get("$defs", {}))
    properties = schema["properties"]
    schema["required"] = [name for name in schema["required"] if name not in _SERVED_BY_THE_API]
    properties.update(_SERVED_BY_THE_API)
    if "spec" in properties and "spec" not in schema["required"]:
        # Rules on how the spec may change are skipped where there is no spec: let there always be one.
        properties["spec"]["default"] = {}
    if "status" in properties:
        # A default would make the server write a part of the status that belongs to another writer.
        properties["status"] = _without_defaults(properties["status"])
    return {key: value for key, value in schema.items() if value != []}


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the CustomResourceDefinitions of Conductor's kinds.")
    parser.add_argument("outdir", type=Path, help="the folder for one file per kind")
    parser.add_argument("--kinds", metavar="MODULE:NAME", help="a tuple of kinds, instead of Conductor's own")
    arguments = parser.parse_args()
    outdir: Path = arguments.outdir
    outdir.mkdir(parents=True, exist_ok=True)
    given = arguments.kinds is not None
    found = files(resolve_name(arguments.kinds), HEADER_OF_OTHERS) if given else files()
    for name, text in found.items():
        (outdir / name).write_text(text)


def files(kinds: Iterable[Kind] = OWN_KINDS, header: str = HEADER) -> dict[str, str]:
    """The text of every file, by its name."""
    return {
        f"{kind.type.gvk.group}_{kind.type.plural}.yaml": header
        + yaml.safe_dump(crd(kind), sort_keys=True, width=_LINE_LENGTH, allow_unicode=True)
        for kind in kinds
    }


def _printer_column(column: Column) -> Json:
    priority = {"priority": column.priority} if column.priority else {}
    return {"name": column.name, "type": column.type, "jsonPath": column.json_path, **priority}


def _structural(node: Json, definitions: Mapping[str, Json]) -> Json:
    node = _resolved(node, definitions)
    schema = {key: value for key, value in node.items() if key not in _REWRITTEN}
    if "description" in node:
        schema["description"] = _WRAP.sub(" ", node["description"]).replace("``", "")
    if node.get("default") not in (None, "", [], {}):
        schema["default"] = node["default"]
    if node.get("type") == "integer":
        schema["format"] = "int64"
    if "properties" in node:
        schema["properties"] = {
            name: _structural(each, definitions) for name, each in node["properties"].items()
        }
        schema["required"] = sorted(node.get("required", []))
    if "items" in node:
        schema["items"] = _structural(node["items"], definitions)
    match node.get("additionalProperties"):
        case True:
            schema["x-kubernetes-preserve-unknown-fields"] = True
        case dict() as values:
            schema["additionalProperties"] = _structural(values, definitions)
    return {key: value for key, value in schema.items() if value != []}


def _resolved(node: Json, definitions: Mapping[str, Json]) -> Json:
    """The node with its references written out and its unions with null reduced to what is not null."""
    while True:
        match node:
            case {"$ref": str(reference), **rest}:
                node = {**definitions[reference.removeprefix("#/$defs/")], **rest}
            case {"anyOf": list(options), **rest}:
                (only,) = (option for option in options if option != {"type": "null"})
                node = {**only, **rest}
            case _:
                return node


def _without_defaults(schema: Json) -> Json:
    kept = {key: value for key, value in schema.items() if key != "default"}
    if "properties" in kept:
        kept["properties"] = {name: _without_defaults(each) for name, each in kept["properties"].items()}
    if "items" in kept:
        kept["items"] = _without_defaults(kept["items"])
    return kept


if __name__ == "__main__":
    main()
