"""Objects as the API server sends them: identified, stripped of managedFields, and otherwise left as bytes. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from conductor_kube.errors import Unavailable, error_from_status
from conductor_kube.nesting import shallow
from conductor_model.refs import ObjectKey, ResourceType

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class RawObject:
    """One object: who it is, and its JSON without managedFields, shallow enough to be parsed by a model."""

    key: ObjectKey
    uid: str
    resource_version: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list. All pages of one list show the state at the same ``resource_version``."""

    items: tuple[RawObject, ...]
    resource_version: str
    next_token: str | None


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A watch has nothing newer to tell up to this version."""

    resource_version: str


@dataclass(frozen=True, slots=True)
class Upserted:
    """A watch tells of an object that was added or modified."""

    object: RawObject


@dataclass(frozen=True, slots=True)
class Removed:
    """A watch tells of an object that was deleted; ``object`` is its last state."""

    object: RawObject


WatchEvent = Upserted | Removed | Bookmark


def encode(value: object) -> bytes:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def raw_object(type: ResourceType, item: dict[str, Any]) -> RawObject:
    """From parsed JSON, which is consumed. Items of a built-in kind's list come without apiVersion and kind."""
    metadata: dict[str, Any] = item["metadata"]
    metadata.pop("managedFields", None)
    whole = {"apiVersion": type.gvk.api_version, "kind": type.gvk.kind, **item}
    return RawObject(
        key=ObjectKey(type.group_kind, metadata.get("namespace", ""), metadata["name"]),
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        raw=shallow(encode(whole)),
    )


def parse_page(type: ResourceType, data: bytes, *, what: str) -> Page:
    """One answer to a list. Raises Unavailable for what no API server answers, such as a proxy's own page."""

    def page(answer: dict[str, Any]) -> Page:
        metadata = answer["metadata"]
        return Page(
            items=tuple(raw_object(type, item) for item in answer.get("items") or ()),
            resource_version=metadata["resourceVersion"],
            next_token=metadata.get("continue") or None,
        )

    return _read(data, page, what)


def parse_watch_line(type: ResourceType, line: bytes, *, what: str) -> WatchEvent:
    """One line of a watch. Raises the KubeError that an ERROR event stands for, ``Gone`` above all."""

    def happened(event: dict[str, Any]) -> WatchEvent:
        item: dict[str, Any] = event["object"]
        match event["type"]:
            case "BOOKMARK":
                return Bookmark(item["metadata"]["resourceVersion"])
            case "DELETED":
                return Removed(raw_object(type, item))
            case "ERROR":
                raise error_from_status(item, what=what)
            case _:
                return Upserted(raw_object(type, item))

    return _read(line, happened, what)


def _read(data: bytes, understand: Callable[[dict[str, Any]], Answer], what: str) -> Answer:
    with _as_unavailable(what):
        try:
            return understand(json.loads(data))
        except RecursionError:
            return understand(json.loads(shallow(data)))


@contextmanager
def _as_unavailable(what: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unavailable("the answer is not one of the Kubernetes API", what=what) from error
