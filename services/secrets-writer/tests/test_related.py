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


def message(
    kind: GroupKind, namespace: str, name: str, spec: Any = None, *, deleted: bool = False
) -> ObjectMessage:
    return ObjectMessage(
        key=ObjectKey(kind, namespace, name),
        uid="u",
        resource_version="1",
        deleted=deleted,
        data=json.dumps({"spec": spec}).encode(),
        sequence=1,
        time=datetime(2026, 11, 21, tzinfo=UTC),
        traceparent=None,
        deliveries=1,
    )


def about_rds(*refs: dict[str, Any], **rest: Any) -> ObjectMessage:
    return message(RDS_INSTANCE.group_kind, "conductor-system", "rds-1", {"claimRefs": list(refs), **rest})


def ref(**change: Any) -> dict[str, Any]:
    return {
        "apiVersion": "storage.conductor.io/v1alpha1",
        "kind": "MySQLInstance",
        "namespace": "shop",
        "name": "orders",
        "uid": "claim-1",
        **change,
    }


def test_a_claims_message_is_about_the_claim():
    assert related(message(MYSQL_INSTANCE.group_kind, "shop", "orders")) == (ORDERS,)


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
