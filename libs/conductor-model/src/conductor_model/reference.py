"""Writes the reference of all fields that the models describe: ``python -m conductor_model.reference FILE``.

The same schemas that the API server has, as tables for people.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from conductor_model.crds import schema_of
from conductor_model.kind import Kind
from conductor_model.kinds import OWN_KINDS

Json = dict[str, Any]

_HEADER = """\
<!-- Generated from the models in libs/conductor-model: edit those and run `make crds`. -->

# API reference

Every field of Conductor's kinds, as the API server knows them. What they mean together is told in
[resource-model.md](resource-model.md). `*` marks what must be there. A field in `status` is written by Conductor.
"""
_SERVED_BY_THE_API = frozenset({"apiVersion", "kind", "metadata"})
_SHOWN_VALUES = 12


def reference(kinds: Iterable[Kind] = OWN_KINDS) -> str:
    """The whole page."""
    return "\n".join([_HEADER, *(_section(kind) for kind in kinds)])


def _section(kind: Kind) -> str:
    schema = schema_of(kind.model)
    gvk = kind.type.gvk
    names = ", ".join(f"`{name}`" for name in (kind.type.plural, *kind.short_names))
    rows = [
        row
        for name, each in schema["properties"].items()
        if name not in _SERVED_BY_THE_API
        for row in _rows(name, each, name in schema.get("required", ()))
    ]
    return "\n".join(
        [
            f"## {gvk.kind}\n",
            f"`{gvk.api_version}`, {names}. {schema.get('description', '')}\n",
            "| field | type | default | what it says |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _rows(path: str, schema: Json, required: bool) -> Iterator[str]:
    """The field's own row, and those of the fields inside it."""
    default = f"`{schema['default']}`" if schema.get("default") not in (None, {}) else ""
    said = _cell(schema.get("description", ""))
    rules = [rule["message"] for rule in schema.get("x-kubernetes-validations", [])]
    said += "".join(f" *{_cell(rule)}*" for rule in rules)
    yield f"| `{path}`{' *' if required else ''} | {_type(schema)} | {default} | {said.strip()} |"
    inside, suffix = schema, ""
    while inside.get("type") == "array" or isinstance(inside.get("additionalProperties"), dict):
        suffix += "[]" if inside.get("type") == "array" else ".<name>"
        inside = inside["items"] if inside.get("type") == "array" else inside["additionalProperties"]
    for name, each in inside.get("properties", {}).items():
        yield from _rows(f"{path}{suffix}.{name}", each, name in inside.get("required", ()))


def _type(schema: Json) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        return "number or text"
    if "enum" in schema:
        values = [f"`{value}`" for value in schema["enum"][:_SHOWN_VALUES]]
        return ", ".join([*values, "…"] if len(schema["enum"]) > _SHOWN_VALUES else values)
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_type(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map of {_type(schema['additionalProperties'])}"
    if schema.get("format") == "date-time":
        return "time"
    return str(kind)


def _cell(text: str) -> str:
    """Text that stays within its cell of a Markdown table, as a sentence."""
    text = text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("\n", " ")
    return text if not text or text.endswith(".") else f"{text}."


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the reference of the fields of Conductor's kinds.")
    parser.add_argument("file", type=Path)
    parser.parse_args().file.write_text(reference())


if __name__ == "__main__":
    main()
