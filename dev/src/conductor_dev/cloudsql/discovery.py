"""What Google publishes about the API: its methods, and the shapes of their requests and responses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import googleapiclient

from conductor_dev.cloudsql.shapes import Problem, Shapes
from conductor_dev.errors import DevError

Json = dict[str, Any]

_DOCUMENT = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents" / "sqladmin.v1.json"


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the API."""

    id: str
    """Such as ``instances.insert``."""
    http_method: str
    path: re.Pattern[str]
    query: Mapping[str, Json]
    """The schema of each query parameter."""
    request: str | None
    response: str | None
    """Names of schemas."""


@dataclass(frozen=True, slots=True)
class Route:
    """The method that a request is for, with what its path says."""

    method: Method
    path: Mapping[str, str]


class Discovery:
    """Google's discovery document of sqladmin v1."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.revision: str = document["revision"]
        self.shapes = Shapes(document["schemas"])
        everywhere = document["parameters"]
        self.methods = tuple(_methods(document["resources"], everywhere))

    @classmethod
    @cache
    def load(cls) -> Discovery:
        """From the installed client library. DevError if it has none."""
        try:
            return cls(json.loads(_DOCUMENT.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise DevError(f"google-api-python-client has no {_DOCUMENT.name}") from error

    def method(self, id: str) -> Method:
        """Raises KeyError."""
        return {method.id: method for method in self.methods}[id]

    def route(self, http_method: str, path: str) -> Route | None:
        for method in self.methods:
            if method.http_method == http_method and (match := method.path.fullmatch(path)):
                return Route(method, match.groupdict())
        return None

    def problems_of_query(self, method: Method, query: Mapping[str, str]) -> list[Problem]:
        found: list[Problem] = []
        for name, value in query.items():
            if name not in method.query:
                found.append(Problem(name, "Cannot bind query parameter: the field could not be found"))
            else:
                found += self.shapes.problems_of_text(name, value, method.query[name])
        return found


def _methods(resources: Json, everywhere: Mapping[str, Json], prefix: str = "") -> Iterator[Method]:
    """Of resources, and of the resources within them."""
    for resource, content in resources.items():
        for name, described in content.get("methods", {}).items():
            yield _method(f"{prefix}{resource}", name, described, everywhere)
        yield from _methods(content.get("resources", {}), everywhere, f"{prefix}{resource}.")


def _method(resource: str, name: str, described: Json, everywhere: Mapping[str, Json]) -> Method:
    parameters = described.get("parameters", {})
    path = re.escape("/" + described["flatPath"]).replace(r"\{", "{").replace(r"\}", "}")
    return Method(
        id=f"{resource}.{name}",
        http_method=described["httpMethod"],
        path=re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/:]+)", path)),
        query={
            **everywhere,
            **{key: schema for key, schema in parameters.items() if schema["location"] == "query"},
        },
        request=described.get("request", {}).get("$ref"),
        response=described.get("response", {}).get("$ref"),
    )
