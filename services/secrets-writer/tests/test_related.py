"""Which claims a message of the bus brings to work."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from conductor_bus import ObjectMessage
from conductor_model.kinds import MYSQL_INSTANCE, RDS_INSTANCE
from conductor_model.refs import GroupKind, ObjectKey
from conductor_secrets_writer.related import related

ORDERS = ObjectKey(MYSQL_INSTANCE.group_kind, "shop", "orders")


SEEN = {"conditions": [{"type": "Ready", "status": "False", "reason": "Creating"}]}
"""A status of which a provisioner has written something."""


def message(
    kind: GroupKind,
    namespace: str,
    name: str,
    spec: Any = None,
    *,
    status: Any = None,
    metadata: Any = None,
    deleted: bool = False,
) -> ObjectMessage:
    whole = {"metadata": {"name": name, "namespace": namespace, "uid": "u", **(metadata or {})}, "spec": spec}
    if status is not None:
        whole["status"] = status
    return ObjectMessage(
        key=ObjectKey(kind, namespace, name),
        uid="u",
        resource_version="1",
        deleted=deleted,
        data=json.dumps(whole).encode(),
        sequence=1,
        time=datetime(2026, 11, 21, tzinfo=UTC),
        traceparent=None,
        deliveries=1,
    )


def about_rds(*refs: dict[str, Any], **rest: Any) -> ObjectMessage:
    spec = {"claimRefs": list(refs), **rest}
    return message(RDS_INSTANCE.group_kind, "conductor-system", "rds-1", spec, status=SEEN)


def about_the_claim(status: Any, **metadata: Any) -> ObjectMessage:
    return message(MYSQL_INSTANCE.group_kind, "shop", "orders", status=status, metadata=metadata)


def ref(**change: Any) -> dict[str, Any]:
    return {
        "apiVersion": "storage.conductor.io/v1alpha1",
        "kind": "MySQLInstance",
        "namespace": "shop",
        "name": "orders",
        "uid": "claim-1",
        **change,
    }


BOUND = {
    "boundResource": {
        "apiVersion": RDS_INSTANCE.gvk.api_version,
        "kind": "RDSInstance",
        "namespace": "conductor-system",
        "name": "rds-1",
        "uid": "rds-uid",
    }
}


def test_a_bound_claims_message_is_about_the_claim():
    assert related(about_the_claim(BOUND)) == (ORDERS,)


def test_a_claim_that_waits_to_be_bound_needs_nothing():
    waiting = {"conditions": [{"type": "Scheduled", "status": "False", "reason": "NoneFits"}]}
    assert related(about_the_claim(None)) == ()
    assert related(about_the_claim(waiting)) == ()


def test_a_claim_that_is_ready_and_bound_to_nothing_is_told_so():
    ready = {"conditions": [{"type": "Ready", "status": "True", "reason": "Available"}]}
    assert related(about_the_claim(ready)) == (ORDERS,)


def test_a_claim_that_is_deleted_is_forgotten_with_its_timer():
    assert related(about_the_claim(None, deletionTimestamp="2026-11-21T12:00:00Z")) == (ORDERS,)


def test_a_claim_that_cannot_be_read_is_left_to_the_handler():
    assert related(about_the_claim({"conditions": 7})) == (ORDERS,)


def test_a_resource_that_no_provisioner_has_looked_at_is_no_news():
    spec = {"claimRefs": [ref()]}
    assert related(message(RDS_INSTANCE.group_kind, "conductor-system", "rds-1", spec)) == ()


def test_a_resources_message_is_about_all_claims_that_are_bound_to_it():
    other = ObjectKey(MYSQL_INSTANCE.group_kind, "blog", "posts")
    assert related(about_rds(ref(), ref(namespace="blog", name="posts", uid="claim-2"))) == (ORDERS, other)


def test_reserved_and_released_places_are_nobodys_news():
    assert related(about_rds(ref(uid=None), ref(releasedAt="2026-11-21T12:00:00Z"))) == ()


def test_a_reference_without_api_version_is_found_by_its_kind():
    nameless = ref()
    del nameless["apiVersion"]
    assert related(about_rds(nameless)) == (ORDERS,)


def test_kinds_that_are_no_claims_are_passed_over():
    assert related(about_rds(ref(apiVersion="v1", kind="Pod"), ref(kind="Pod"))) == ()


def test_nonsense_elsewhere_in_the_resource_does_not_matter():
    assert related(about_rds(ref(), engine=[], version={})) == (ORDERS,)


def test_a_tombstone_and_unreadable_references_bring_nobody():
    assert related(message(RDS_INSTANCE.group_kind, "conductor-system", "rds-1", deleted=True)) == ()
    assert related(message(RDS_INSTANCE.group_kind, "conductor-system", "rds-1", {"claimRefs": 7})) == ()
