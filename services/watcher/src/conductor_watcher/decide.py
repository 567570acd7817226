"""Which messages follow from what the API holds and what the stream holds, and in which trace they belong. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import Field, ValidationError

from conductor_bus import Published
from conductor_model.annotations import TRACEPARENT
from conductor_model.conditions import Condition, condition
from conductor_model.kind import Role
from conductor_model.kinds import BY_GROUP_KIND
from conductor_model.meta import Model, ObjectMeta
from conductor_model.namespaces import NAMESPACE
from conductor_model.refs import GroupKind, ObjectKey
from conductor_telemetry import claim_root_context, claim_trace_id, traceparent_of


@dataclass(frozen=True, slots=True)
class Present:
    """The object is there, and this is how it looks."""

    key: ObjectKey
    uid: str
    resource_version: str
    raw: bytes
    claim_namespace: str | None = None
    """Of a resource for a claim: whose work it is."""

    @property
    def flow(self) -> str:
        return self.claim_namespace or self.key.namespace


@dataclass(frozen=True, slots=True)
class Absent:
    """The object with this uid is gone; ``resource_version`` is empty when nobody saw it go."""

    key: ObjectKey
    uid: str
    resource_version: str = ""

    @property
    def flow(self) -> str:
        return self.key.namespace


News = Present | Absent


def claim_namespace(key: ObjectKey, raw: bytes) -> str | None:
    """The namespace of the claim that a resource is for; None for what is no resource, and for one that is nobody's."""
    kind = BY_GROUP_KIND.get(key.group_kind)
    if kind is None or kind.role is not Role.CONCRETE:
        return None
    refs = json.loads(raw).get("spec", {}).get("claimRefs")
    return str(refs[0]["namespace"]) if refs else None


def public_form(key: ObjectKey, raw: bytes) -> bytes:
    """What of an object goes on the bus: all of Conductor's own kinds, and of a namespace no more than its labels."""
    if key.group_kind != NAMESPACE.group_kind:
        return raw
    found = json.loads(raw)
    metadata = {name: found["metadata"][name] for name in _SHOWN_OF_NAMESPACES if name in found["metadata"]}
    return json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}).encode()


_SHOWN_OF_NAMESPACES = ("name", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "labels")


def is_news(news: News, published: Published | None) -> bool:
    """Whether the stream does not say so already.

    It is news, too, that an object is gone of which the stream has heard nothing: a deposed watcher may be about to
    publish it as it was, and finds the tombstone instead.
    """
    if published is None:
        return True
    if isinstance(news, Absent):
        return not published.deleted and published.uid == news.uid
    same = (published.uid, published.resource_version) == (news.uid, news.resource_version)
    return published.deleted or not same


def buried(
    kind: GroupKind,
    namespace: str | None,
    listed: Collection[ObjectKey],
    stream: Mapping[ObjectKey, Published],
) -> list[Absent]:
    """What the stream still shows of a kind, and a complete list of it (in one namespace, or in all) does not."""
    return [
        Absent(key, held.uid)
        for key, held in sorted(stream.items())
        if key.group_kind == kind
        and namespace in {None, key.namespace or key.name}
        and not held.deleted
        and key not in listed
    ]


def foreign(
    stream: Mapping[ObjectKey, Published], known: Mapping[ObjectKey, Published], busy: Collection[ObjectKey]
) -> ObjectKey | None:
    """An object whose last message, in ``stream``, is newer than the last one ``known``: another watcher's late write.

    What is ``busy`` is being published right now, and may be our own.
    """
    for key, held in sorted(stream.items()):
        ours = known.get(key)
        if key not in busy and (ours is None or ours.sequence < held.sequence):
            return key
    return None


def overtaken(news: News, present: Published) -> bool:
    """Whether what another watcher has published is as new as what this one has, or newer."""
    if isinstance(news, Absent) and present.uid == news.uid:
        return present.deleted
    return _number(present.resource_version) >= _number(news.resource_version)


def _number(resource_version: str) -> int:
    """Resource versions of one cluster can be compared (Kubernetes 1.35 and later promise it)."""
    return int(resource_version) if resource_version.isdigit() else 0


SETTLED = timedelta(minutes=1)
"""An object that has been Ready for so long begins a new episode with its next change."""


@dataclass(frozen=True, slots=True)
class OnTheWay:
    """The change belongs to a claim's way to Ready: below this span of the claim's trace."""

    traceparent: str
    root_of: str | None = None
    """The claim's uid, when this is the first that is heard of it: its root span is to be recorded."""
    caller: str | None = None
    """A traceparent that the claim's author gave: the root span links to it."""


@dataclass(frozen=True, slots=True)
class Episode:
    """The change begins a trace of its own, linked to the claim's, if there is one."""

    linked: str | None


def trace_of(news: News, now: datetime) -> OnTheWay | Episode:
    """Where in which trace a change belongs."""
    if isinstance(news, Absent):
        return Episode(None)
    try:
        glance = _Glance.model_validate_json(news.raw)
        claim_uid = _claim_uid(news, glance)
        root = traceparent_of(claim_root_context(claim_uid)) if claim_uid else None
    except (ValidationError, ValueError):
        return Episode(None)
    if claim_uid is None or root is None:
        return Episode(None)
    if glance.metadata.deletion_timestamp is not None or _settled(glance, now):
        return Episode(root)
    given = glance.metadata.annotations.get(TRACEPARENT)
    if claim_uid == news.uid:
        first = not glance.status.conditions
        return OnTheWay(root, claim_uid if first else None, given)
    of_this_claim = given is not None and given.split("-")[1:2] == [f"{claim_trace_id(claim_uid):032x}"]
    return OnTheWay(given if given is not None and of_this_claim else root)


def _claim_uid(news: Present, glance: _Glance) -> str | None:
    kind = BY_GROUP_KIND.get(news.key.group_kind)
    if kind is None:
        return None
    if kind.role is Role.CLAIM:
        return news.uid
    return next((ref.uid for ref in glance.spec.claim_refs if ref.uid and ref.released_at is None), None)


def _settled(glance: _Glance, now: datetime) -> bool:
    ready = condition(glance.status.conditions, "Ready")
    return (
        ready is not None
        and ready.status == "True"
        and ready.last_transition_time is not None
        and now - ready.last_transition_time > SETTLED
    )


class _Ref(Model):
    uid: str | None = None
    released_at: datetime | None = None


class _Spec(Model):
    claim_refs: tuple[_Ref, ...] = ()


class _Status(Model):
    conditions: tuple[Condition, ...] = ()


class _Glance(Model):
    """As much of any object as its trace depends on."""

    metadata: ObjectMeta
    spec: _Spec = Field(default_factory=_Spec)
    status: _Status = Field(default_factory=_Status)
