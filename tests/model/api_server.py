"""A model of the API server: what a write does to an object, and what it is refused for.

In it are versions and generations, the status subresource, preconditions, finalizers and deletion timestamps, owners and
the garbage collector, server-side apply of statuses, and the history that a watch tells. Not in it: admission by schema and
CEL rules, namespaces, and rights.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from conductor_kube import AlreadyExists, Conflict, Invalid, NotFound
from conductor_model.refs import ObjectKey, ResourceType

Json = dict[str, Any]
Place = tuple[ResourceType, str, str]


@dataclass(frozen=True, slots=True)
class Event:
    """An object as it became; ``raw`` is None when it is gone."""

    key: ObjectKey
    uid: str
    resource_version: str
    raw: bytes | None


@dataclass(slots=True)
class _Owned:
    """What a field manager has applied to a status."""

    fields: set[str] = field(default_factory=set)
    conditions: set[str] = field(default_factory=set)


class ApiServer:
    def __init__(self, now: Callable[[], datetime]) -> None:
        self.objects: dict[Place, Json] = {}
        self.events: list[Event] = []
        self.writes = 0
        """Those that changed something."""
        self._now = now
        self._version = 0
        self._uids = 0
        self._owned: dict[tuple[str, str], _Owned] = {}

    def all_of(self, *types: ResourceType) -> list[Json]:
        return [found for (type, _, _), found in self.objects.items() if type in types]

    def get(self, type: ResourceType, namespace: str, name: str) -> bytes:
        return json.dumps(self._found(type, namespace, name, "GET")).encode()

    def create(self, type: ResourceType, namespace: str, body: Mapping[str, Any]) -> bytes:
        name = body["metadata"]["name"]
        if (type, namespace, name) in self.objects:
            raise AlreadyExists("is there already", what=f"POST {type.plural} {name}", status=409)
        self._uids += 1
        made: Json = json.loads(json.dumps(body))
        made.pop("status", None)
        made["apiVersion"], made["kind"] = type.gvk.api_version, type.gvk.kind
        made["metadata"] |= {
            "namespace": namespace,
            "uid": f"{self._uids:08x}-0000-4000-8000-{self._uids:012x}",
            "creationTimestamp": self._time(),
            "generation": 1,
        }
        return self._store((type, namespace, name), made)

    def merge_patch(
        self, type: ResourceType, namespace: str, name: str, patch: Mapping[str, Any], subresource: str | None
    ) -> bytes:
        found = self._found(type, namespace, name, "PATCH")
        self._check(found, patch.get("metadata", {}), f"PATCH {type.plural} {name}")
        merged = _merged(found, patch)
        return self._update((type, namespace, name), found, merged, subresource)

    def apply_status(
        self, type: ResourceType, namespace: str, name: str, body: Mapping[str, Any], manager: str
    ) -> bytes:
        found = self._found(type, namespace, name, "APPLY")
        metadata = {key: value for key, value in body.get("metadata", {}).items() if key == "resourceVersion"}
        self._check(found, metadata, f"APPLY {type.plural}/status {name}")
        status = dict(found.get("status", {}))
        wanted = {key: value for key, value in body["status"].items() if value is not None}
        conditions = {each["type"]: each for each in wanted.pop("conditions", [])}
        owned = self._owned.setdefault((found["metadata"]["uid"], manager), _Owned())
        others = {
            key
            for (uid, by), each in self._owned.items()
            if uid == found["metadata"]["uid"] and by != manager
            for key in each.fields
        }
        for gone in owned.fields - wanted.keys() - others:
            status.pop(gone, None)
        kept = [
            each
            for each in status.get("conditions", [])
            if each["type"] not in owned.conditions - conditions.keys()
        ]
        for kind, each in conditions.items():
            places = [number for number, old in enumerate(kept) if old["type"] == kind]
            if places:
                kept[places[0]] = each
            else:
                kept.append(each)
        status |= wanted
        if kept:
            status["conditions"] = kept
        owned.fields, owned.conditions = set(wanted), set(conditions)
        return self._update((type, namespace, name), found, {**found, "status": status}, "status")

    def delete(
        self,
        type: ResourceType,
        namespace: str,
        name: str,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> None:
        """What has finalizers stays, marked."""
        found = self._found(type, namespace, name, "DELETE")
        given = {"uid": uid, "resourceVersion": resource_version}
        self._check(found, {k: v for k, v in given.items() if v is not None}, f"DELETE {type.plural} {name}")
        if not found["metadata"].get("finalizers"):
            self._remove((type, namespace, name))
        elif "deletionTimestamp" not in found["metadata"]:
            metadata = {**found["metadata"], "deletionTimestamp": self._time()}
            self._store((type, namespace, name), {**found, "metadata": metadata})

    def collect(self) -> None:
        """The garbage collector: what has owners, and none of them is there any more, goes."""
        uids = {found["metadata"]["uid"] for found in self.objects.values()}
        for place, found in list(self.objects.items()):
            owners = [each["uid"] for each in found["metadata"].get("ownerReferences", [])]
            if owners and uids.isdisjoint(owners):
                self._remove(place)

    def _found(self, type: ResourceType, namespace: str, name: str, verb: str) -> Json:
        found = self.objects.get((type, namespace, name))
        if found is None:
            raise NotFound("is not there", what=f"{verb} {type.plural} {name}", status=404)
        return found

    @staticmethod
    def _check(found: Json, given: Mapping[str, Any], what: str) -> None:
        for name in ("uid", "resourceVersion"):
            if name in given and given[name] != found["metadata"][name]:
                raise Conflict(f"{name} is another", what=what, status=409)

    def _update(self, place: Place, old: Json, new: Json, subresource: str | None) -> bytes:
        if subresource == "status":
            new = {**old, **({"status": new["status"]} if "status" in new else {})}
        else:
            said = {name: value for name, value in new["metadata"].items() if name in _WRITABLE}
            kept = {name: value for name, value in old["metadata"].items() if name not in _WRITABLE}
            new = {**new, "metadata": {**kept, **said}}
            if "status" in old:
                new["status"] = old["status"]
            if "deletionTimestamp" in kept and set(said.get("finalizers", ())) - set(
                old["metadata"].get("finalizers", ())
            ):
                raise Invalid(
                    "no new finalizers while it is being deleted", what=f"PATCH {place[2]}", status=422
                )
            if _wish(new) != _wish(old):
                new["metadata"] = {**new["metadata"], "generation": old["metadata"]["generation"] + 1}
        if new == old:
            return json.dumps(old).encode()
        return self._store(place, new)

    def _store(self, place: Place, new: Json) -> bytes:
        self._version += 1
        self.writes += 1
        new["metadata"] = {**new["metadata"], "resourceVersion": str(self._version)}
        raw = json.dumps(new).encode()
        if "deletionTimestamp" in new["metadata"] and not new["metadata"].get("finalizers"):
            self.objects[place] = new
            self._remove(place)
        else:
            self.objects[place] = new
            self._tell(place, new, raw)
        return raw

    def _remove(self, place: Place) -> None:
        self._version += 1
        self.writes += 1
        self._tell(place, self.objects.pop(place), None)

    def _tell(self, place: Place, found: Json, raw: bytes | None) -> None:
        type, namespace, name = place
        key = ObjectKey(type.group_kind, namespace, name)
        self.events.append(Event(key, found["metadata"]["uid"], str(self._version), raw))

    def _time(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%SZ")


_WRITABLE = {"labels", "annotations", "finalizers", "ownerReferences"}


def _wish(found: Json) -> Json:
    return {name: value for name, value in found.items() if name not in {"metadata", "status"}}


def _merged(old: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(old) if isinstance(old, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged
