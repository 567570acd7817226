"""The envelope: a notification about an object as a CloudEvent 1.0 in NATS' binary mode.

Attributes travel as ``ce-`` headers, the content type as ``content-type``, trace context as ``traceparent`` and
``tracestate`` (CloudEvents NATS binding; W3C Trace Context). The extension attributes ``uid`` and
``resourceversion`` are the object's own; ``claimnamespace`` is the namespace of the claim that a resource is for, which
workers take turns by. The payload is the object's JSON as the publisher gave it.

``ce-id`` is a function of uid, resourceVersion and deletion, so that whoever sees a message twice can tell. It is
deliberately not the broker's ``Nats-Msg-Id``: within the deduplication window the broker would swallow a
re-publication that is meant, such as an object published again after a tombstone that was wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from conductor_bus.errors import MalformedMessage
from conductor_model.refs import ObjectKey

CHANGED = "io.conductor.object.changed"
DELETED = "io.conductor.object.deleted"

ID_HEADER = "ce-id"
UID_HEADER = "ce-uid"
RESOURCE_VERSION_HEADER = "ce-resourceversion"
CLAIM_NAMESPACE_HEADER = "ce-claimnamespace"
TYPE_HEADER = "ce-type"
TIME_HEADER = "ce-time"
TRACEPARENT_HEADER = "traceparent"
TRACESTATE_HEADER = "tracestate"

_VERBATIM = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
"""What the CloudEvents bindings leave as it is in a header; all else is percent-encoded."""


@dataclass(frozen=True, slots=True)
class ObjectMessage:
    """What the bus knows of one object: its state as of ``resource_version``, or that it was deleted."""

    key: ObjectKey
    uid: str
    resource_version: str
    """Empty where a tombstone's publisher did not know it."""
    deleted: bool
    data: bytes
    """The object's JSON; of a tombstone only apiVersion, kind, name, namespace and uid; empty if not asked for."""
    sequence: int
    """The message's place in the stream: what compare-and-publish compares."""
    time: datetime
    traceparent: str | None
    deliveries: int = 1
    tracestate: str | None = None
    claim_namespace: str | None = None
    """Of the claim that the object is for, where it is a resource for one."""

    @property
    def flow(self) -> str:
        """Whose work it is to handle this message."""
        return self.claim_namespace or self.key.namespace


@dataclass(frozen=True, slots=True)
class Event:
    """A notification before it is published."""

    key: ObjectKey
    uid: str
    resource_version: str
    deleted: bool
    source: str
    time: datetime
    claim_namespace: str | None = None

    @property
    def id(self) -> str:
        return event_id(self.uid, self.resource_version, deleted=self.deleted)


def event_id(uid: str, resource_version: str, *, deleted: bool) -> str:
    return f"{uid}/{resource_version}{'/deleted' if deleted else ''}"


def headers_of(event: Event) -> dict[str, str]:
    """The message headers of an event, without its trace context."""
    place = f"{event.key.namespace}/{event.key.name}" if event.key.namespace else event.key.name
    attributes = {
        "ce-specversion": "1.0",
        ID_HEADER: event.id,
        "ce-source": event.source,
        TYPE_HEADER: DELETED if event.deleted else CHANGED,
        "ce-subject": place,
        TIME_HEADER: event.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        UID_HEADER: event.uid,
        RESOURCE_VERSION_HEADER: event.resource_version,
        CLAIM_NAMESPACE_HEADER: event.claim_namespace or "",
        "content-type": "application/json",
    }
    # An attribute without a value is left out: CloudEvents knows no empty ones.
    return {name: quote(value, safe=_VERBATIM) for name, value in attributes.items() if value}


def tombstone_payload(key: ObjectKey, uid: str, api_version: str) -> bytes:
    """What is left to say of a deleted object."""
    metadata = {"name": key.name, "namespace": key.namespace, "uid": uid}
    if not key.namespace:
        del metadata["namespace"]
    body = {"apiVersion": api_version, "kind": key.group_kind.kind, "metadata": metadata}
    return json.dumps(body, separators=(",", ":")).encode()


def read_message(
    key: ObjectKey, headers: Mapping[str, str] | None, data: bytes, *, sequence: int, deliveries: int = 1
) -> ObjectMessage:
    """An object's message from the broker.

    Raises:
        MalformedMessage: an attribute is missing or is not what CloudEvents says.
    """
    attributes = headers or {}
    kind = _attribute(attributes, TYPE_HEADER, key)
    if kind not in (CHANGED, DELETED):
        raise MalformedMessage(f"{key}: message of unknown type")
    try:
        time = datetime.fromisoformat(_attribute(attributes, TIME_HEADER, key))
    except ValueError as error:
        raise MalformedMessage(f"{key}: {TIME_HEADER} is not a time") from error
    # Who finds an object gone does not always know its last version.
    resource_version = (
        unquote(attributes.get(RESOURCE_VERSION_HEADER, ""))
        if kind == DELETED
        else _attribute(attributes, RESOURCE_VERSION_HEADER, key)
    )
    return ObjectMessage(
        key=key,
        uid=_attribute(attributes, UID_HEADER, key),
        resource_version=resource_version,
        deleted=kind == DELETED,
        data=data,
        sequence=sequence,
        time=time,
        traceparent=attributes.get(TRACEPARENT_HEADER),
        deliveries=deliveries,
        tracestate=attributes.get(TRACESTATE_HEADER),
        claim_namespace=claim_namespace(attributes),
    )


def claim_namespace(headers: Mapping[str, str] | None) -> str | None:
    """The namespace of the claim that a message's object is for, if the message says so."""
    value = (headers or {}).get(CLAIM_NAMESPACE_HEADER)
    return unquote(value) if value else None


def _attribute(headers: Mapping[str, str], name: str, key: ObjectKey) -> str:
    value = headers.get(name)
    if not value:
        raise MalformedMessage(f"{key}: message without {name}")
    return unquote(value)
