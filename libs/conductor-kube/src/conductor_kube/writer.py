"""Writes one service's part of a status: nothing when nothing changed, and never into another object of the same name.

The API server ignores ``metadata.uid`` in a patch of a custom resource's status (tried on 1.36), so the uid cannot be the
guard there. The resourceVersion is: it belongs to one version of one object.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conductor_kube.client import KubeClient
from conductor_kube.errors import Conflict
from conductor_model.refs import ObjectKey, ResourceType

_ATTEMPTS = 5
_LIST_KEYS = {"conditions": "type"}
"""Lists that are maps to the API server: their entries are owned one by one."""


class StatusWriter:
    """Server-side apply of ``status`` as one field manager."""

    def __init__(self, client: KubeClient, *, field_manager: str) -> None:
        self._client = client
        self._field_manager = field_manager

    async def apply_status(
        self,
        type: ResourceType,
        key: ObjectKey,
        uid: str,
        status: Mapping[str, Any],
        observed: Mapping[str, Any] | None,
        *,
        resource_version: str | None = None,
    ) -> bytes | None:
        """Make ``status`` what this field manager says of the object; None when the object says so already.

        ``status`` is all that the service owns: fields that it leaves out and wrote before are removed. None as a
        value means that the field must be absent, and is what makes its removal alone a reason to write.
        ``observed`` is the status as last seen, ``resource_version`` the version that it was seen in: with it the
        common case is one request; without it, or when the object changed meanwhile, the object is read first.

        Raises NotFound when the object is gone, and Conflict when another of its name (another uid) is there.
        """
        if observed is not None and says(observed, status):
            return None
        conflict: Conflict | None = None
        for _ in range(_ATTEMPTS):
            if resource_version is None:
                current = await self._read(type, key)
                if current.uid != uid:
                    raise Conflict(
                        f"the object with uid {uid} is gone, {current.uid} has its name now",
                        what=f"APPLY {type.plural}/status {key.namespace}/{key.name}",
                    )
                if says(current.status, status):
                    return None
                resource_version = current.resource_version
            try:
                return await self.apply_to(type, key, status, resource_version)
            except Conflict as error:
                conflict, resource_version = error, None
        assert conflict is not None  # noqa: S101 - the loop ends only here or by an answer
        raise conflict

    async def apply_to(
        self, type: ResourceType, key: ObjectKey, status: Mapping[str, Any], resource_version: str
    ) -> bytes:
        """One attempt, for whoever must decide anew when the object has changed since this version: then raises Conflict."""
        return await self._client.apply(
            type,
            key.namespace or None,
            key.name,
            {"metadata": {"resourceVersion": resource_version}, "status": _without_absent(status)},
            field_manager=self._field_manager,
            subresource="status",
        )

    async def _read(self, type: ResourceType, key: ObjectKey) -> _Current:
        answer = json.loads(await self._client.get(type, key.namespace or None, key.name))
        metadata = answer["metadata"]
        return _Current(metadata["uid"], metadata["resourceVersion"], answer.get("status") or {})


@dataclass(frozen=True, slots=True)
class _Current:
    uid: str
    resource_version: str
    status: Mapping[str, Any]


def says(observed: Mapping[str, Any], desired: Mapping[str, Any]) -> bool:
    """Whether ``observed`` holds all of ``desired``; what else it holds belongs to others. Pure."""
    return all(_field_says(name, observed.get(name), value) for name, value in desired.items())


def _field_says(name: str, observed: object, desired: object) -> bool:
    if isinstance(desired, Mapping):
        return isinstance(observed, Mapping) and says(observed, desired)
    if name in _LIST_KEYS and isinstance(desired, Sequence):
        return isinstance(observed, Sequence) and _entries_say(observed, desired, _LIST_KEYS[name])
    if isinstance(desired, tuple):
        desired = list(desired)
    return observed == desired


def _entries_say(
    observed: Sequence[Mapping[str, Any]], desired: Sequence[Mapping[str, Any]], key: str
) -> bool:
    by_key = {entry.get(key): entry for entry in observed}
    return all(entry.get(key) in by_key and says(by_key[entry[key]], entry) for entry in desired)


def _without_absent(status: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_absent(value) if isinstance(value, Mapping) else value
        for name, value in status.items()
        if value is not None
    }
