"""Whether a JSON value has the shape that a discovery document gives it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_INTEGER = re.compile(r"-?[0-9]{1,19}")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_DURATION = re.compile(r"-?\d+(\.\d{1,9})?s")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where: ``settings.tier``."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path or 'body'}: {self.message}"


class Shapes:
    """The schemas of a discovery document."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._schemas = schemas

    def problems(self, value: object, schema: str, path: str = "") -> list[Problem]:
        """Every way in which the value is not what the named schema says. Fields left out are no problem."""
        return self._check(value, self._schemas[schema], path)

    def problems_of_text(self, name: str, text: str, schema: Mapping[str, Any]) -> list[Problem]:
        """Of a query parameter."""
        match schema.get("type"):
            case "boolean" if text not in {"true", "false"}:
                return [Problem(name, f"Invalid value ({text}), not a boolean")]
            case "integer" if not _INTEGER.fullmatch(text):
                return [Problem(name, f"Invalid value ({text}), not a number")]
            case _:
                return []

    def writable(self, value: object, schema: str) -> Any:
        """A request's body without what only the server says: Google ignores that."""
        return self._writable(value, self._schemas[schema])

    def _check(self, value: object, schema: Mapping[str, Any], path: str) -> list[Problem]:
        if "$ref" in schema:
            return self._check(value, self._schemas[schema["$ref"]], path)
        match schema.get("type"):
            case "object":
                return self._check_object(value, schema, path)
            case "array":
                if not isinstance(value, list):
                    return [Problem(path, "is not a list")]
                return [
                    problem
                    for index, item in enumerate(value)
                    for problem in self._check(item, schema["items"], f"{path}[{index}]")
                ]
            case "string":
                return _check_string(value, schema, path)
            case "boolean":
                return [] if isinstance(value, bool) else [Problem(path, "is not a boolean")]
            case "integer":
                whole = isinstance(value, int) and not isinstance(value, bool)
                return [] if whole else [Problem(path, "is not a whole number")]
            case "number":
                number = isinstance(value, int | float) and not isinstance(value, bool)
                return [] if number else [Problem(path, "is not a number")]
            case _:
                return []

    def _check_object(self, value: object, schema: Mapping[str, Any], path: str) -> list[Problem]:
        if not isinstance(value, dict):
            return [Problem(path, "is not an object")]
        properties, others = schema.get("properties", {}), schema.get("additionalProperties")
        found: list[Problem] = []
        for name, item in value.items():
            inner = f"{path}.{name}" if path else name
            if name in properties:
                found += self._check(item, properties[name], inner)
            elif others is not None:
                found += self._check(item, others, inner)
            else:
                found.append(Problem(path, f'Unknown name "{name}": Cannot find field.'))
        return found

    def _writable(self, value: object, schema: Mapping[str, Any]) -> Any:
        if "$ref" in schema:
            return self._writable(value, self._schemas[schema["$ref"]])
        if isinstance(value, list):
            return [self._writable(item, schema.get("items", {})) for item in value]
        if not isinstance(value, dict) or "properties" not in schema:
            return value
        properties = schema["properties"]
        return {
            name: self._writable(item, properties[name])
            for name, item in value.items()
            if not properties[name].get("readOnly", False)
        }


def _check_string(value: object, schema: Mapping[str, Any], path: str) -> list[Problem]:
    format = schema.get("format")
    if format in {"int64", "uint64"} and isinstance(value, int) and not isinstance(value, bool):
        return []  # JSON's own numbers are taken, too
    if not isinstance(value, str):
        return [Problem(path, "is not text")]
    if "enum" in schema and value not in schema["enum"]:
        return [Problem(path, f'Invalid value, "{value}" is none of its names')]
    wanted = {"int64": _INTEGER, "google-datetime": _RFC3339, "google-duration": _DURATION}.get(format or "")
    if wanted is not None and not wanted.fullmatch(value):
        return [Problem(path, f'Invalid value, "{value}" is no {format}')]
    return []
