"""What must change for an existing object to say what is desired: a merge patch (RFC 7386), or nothing.

Only what Conductor wrote is compared: labels, annotations, owners and defaulted fields of others stay. ``data`` is
wholly Conductor's: keys that do not belong there are removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conductor_secrets_writer.objects import ConnectionObject

_WHOLLY_OURS = "data"
_SETTLED_BY_OWNERSHIP = "ownerReferences"
"""Ours is in there, or the object would not be ours; a patch of the list would drop the others."""


def drift_patch(desired: ConnectionObject, existing: Mapping[str, Any]) -> dict[str, Any] | None:
    """What corrects ``existing``, bound to the version that it was computed from; None if nothing is to be done."""
    patch = _difference(desired.body, existing)
    for extra in existing.get(_WHOLLY_OURS, {}).keys() - desired.body.get(_WHOLLY_OURS, {}).keys():
        patch.setdefault(_WHOLLY_OURS, {})[extra] = None
    for path in desired.absent:
        _clear(path, existing, patch)
    if not patch:
        return None
    patch.setdefault("metadata", {})["resourceVersion"] = existing["metadata"]["resourceVersion"]
    return patch


def _difference(desired: Mapping[str, Any], existing: Mapping[str, Any]) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    for key, wanted in desired.items():
        if key == _SETTLED_BY_OWNERSHIP:
            continue
        found = existing.get(key)
        if isinstance(wanted, Mapping):
            inner = _difference(wanted, found if isinstance(found, Mapping) else {})
            if inner:
                patch[key] = inner
        elif wanted != found:
            patch[key] = wanted
    return patch


def _clear(path: tuple[str, ...], existing: Mapping[str, Any], patch: dict[str, Any]) -> None:
    *parents, leaf = path
    for parent in parents:
        existing = existing.get(parent, {})
    if leaf not in existing:
        return
    for parent in parents:
        patch = patch.setdefault(parent, {})
    patch[leaf] = None
