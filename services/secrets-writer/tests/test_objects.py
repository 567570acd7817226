"""The connection objects as they should be, and what is corrected on existing ones."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from conductor_model.concrete import Endpoint
from conductor_model.connection import Connectable
from conductor_model.databases import DatabaseClaim
from conductor_model.meta import ObjectMeta
from conductor_secrets_writer.drift import drift_patch
from conductor_secrets_writer.objects import (
    ConnectionObject,
    ObjectName,
    connection_objects,
    inventory_of,
    remembering,
)
from conductor_secrets_writer.ownership import Ownership, ownership

PASSWORD = "s3cret"


def objects_of(
    claim: DatabaseClaim, host: str = "db.example.com", password: str = PASSWORD
) -> list[ConnectionObject]:
    credentials = {"username": b"root", "password": password.encode()}
    connection = claim.connection_format.connection(
        Connectable("aws", Endpoint(host=host, port=3306), {}, credentials)
    )
    return list(connection_objects(claim, connection))


def stored(desired: ConnectionObject, **metadata: Any) -> dict[str, Any]:
    """As the API server would return it."""
    body = copy.deepcopy(dict(desired.body))
    body["metadata"] |= {"resourceVersion": "41", "uid": "object-1", **metadata}
    return body


def test_objects_are_created_secret_first(make_claim):
    assert [each.name.kind for each in objects_of(make_claim())] == ["Secret", "ConfigMap", "Service"]


def test_every_object_is_owned_by_the_claim(make_claim):
    for each in objects_of(make_claim(), host="10.1.2.3"):
        assert each.body["metadata"]["ownerReferences"] == [
            {
                "apiVersion": "storage.conductor.io/v1alpha1",
                "kind": "MySQLInstance",
                "name": "orders",
                "uid": "claim-1",
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ]


def test_names_are_the_claims_unless_it_chooses_others(make_claim):
    spec = {"connection": {"secretName": "s", "configMapName": "c", "serviceName": "v"}}
    assert [each.name.name for each in objects_of(make_claim())] == ["orders"] * 3
    assert [each.name.name for each in objects_of(make_claim(spec=spec))] == ["s", "c", "v"]


def test_a_host_name_becomes_an_external_name(make_claim):
    spec = objects_of(make_claim())[2].body["spec"]
    assert (spec["type"], spec["externalName"]) == ("ExternalName", "db.example.com")


@pytest.mark.parametrize(("host", "family"), [("10.1.2.3", "IPv4"), ("2001:db8::1", "IPv6")])
def test_an_address_becomes_a_headless_service_with_an_endpoint_slice(make_claim, host, family):
    service, endpoints = objects_of(make_claim(), host=host)[2:]
    assert service.body["spec"]["clusterIP"] == "None"
    assert "selector" not in service.body["spec"]
    assert endpoints.body["addressType"] == family
    assert endpoints.body["endpoints"][0]["addresses"] == [host]
    assert endpoints.body["metadata"]["labels"]["kubernetes.io/service-name"] == service.name.name


def test_the_secret_records_the_other_objects(make_claim):
    secret = objects_of(make_claim(), host="10.1.2.3")[0]
    assert inventory_of(secret.body["metadata"]["annotations"]) == {
        ObjectName("ConfigMap", "orders"),
        ObjectName("Service", "orders"),
        ObjectName("EndpointSlice", "orders-ipv4"),
    }


def test_what_is_remembered_never_includes_the_secret_itself(make_claim):
    secret = objects_of(make_claim())[0]
    widened = remembering(secret, frozenset({secret.name, ObjectName("Service", "former")}))
    names = inventory_of(widened.body["metadata"]["annotations"])
    assert secret.name not in names
    assert ObjectName("Service", "former") in names


def test_an_inventory_that_somebody_garbled_is_read_as_far_as_possible():
    garbled = {"conductor.io/connection-objects": "nonsense,Pod/x,Service/,Service/kept"}
    assert inventory_of(garbled) == {ObjectName("Service", "kept")}


def test_an_object_that_is_right_is_not_written(make_claim):
    for each in objects_of(make_claim(), host="10.1.2.3"):
        assert drift_patch(each, stored(each)) is None


def test_others_labels_annotations_and_owners_are_left_alone(make_claim):
    secret = objects_of(make_claim())[0]
    existing = stored(secret)
    existing["metadata"]["labels"]["team"] = "shop"
    existing["metadata"]["annotations"]["note"] = "mine"
    existing["metadata"]["ownerReferences"].append({"kind": "Other", "name": "x", "uid": "y"})
    assert drift_patch(secret, existing) is None


def test_a_new_password_is_patched_with_the_version_that_was_read(make_claim):
    old, new = objects_of(make_claim())[0], objects_of(make_claim(), password="n3w")[0]
    patch = drift_patch(new, stored(old))
    assert patch is not None
    assert patch["data"].keys() == {"password", "uri"}
    assert patch["metadata"] == {"resourceVersion": "41"}


def test_keys_that_do_not_belong_in_the_data_are_removed(make_claim):
    config_map = objects_of(make_claim())[1]
    existing = stored(config_map)
    existing["data"]["certificates"] = "of yesterday"
    assert drift_patch(config_map, existing) == {
        "data": {"certificates": None},
        "metadata": {"resourceVersion": "41"},
    }


def test_a_service_that_was_headless_loses_its_cluster_ip_for_a_name(make_claim):
    headless, named = objects_of(make_claim(), host="10.1.2.3")[2], objects_of(make_claim())[2]
    existing = stored(headless)
    existing["spec"]["ipFamilies"] = ["IPv4"]
    patch = drift_patch(named, existing)
    assert patch is not None
    assert patch["spec"] == {
        "type": "ExternalName",
        "externalName": "db.example.com",
        "clusterIP": None,
        "ipFamilies": None,
    }


def test_a_service_that_was_a_name_loses_it_for_an_address(make_claim):
    named, headless = objects_of(make_claim())[2], objects_of(make_claim(), host="10.1.2.3")[2]
    patch = drift_patch(headless, stored(named))
    assert patch is not None
    assert patch["spec"] == {"type": "ClusterIP", "clusterIP": "None", "externalName": None}


def metadata(claim: DatabaseClaim, **change: Any) -> ObjectMeta:
    return ObjectMeta.model_validate(objects_of(claim)[0].body["metadata"] | change)


def test_an_object_that_was_made_for_this_claim_is_ours(make_claim):
    assert ownership(metadata(make_claim()), make_claim()) is Ownership.OURS


def test_an_object_of_an_earlier_claim_of_the_name_is_told_apart(make_claim):
    earlier = make_claim(metadata={"uid": "claim-0"})
    assert ownership(metadata(earlier), make_claim()) is Ownership.EARLIER_CLAIM


def test_another_claims_object_is_foreign(make_claim):
    other = make_claim(
        metadata={"uid": "claim-9", "name": "other"}, spec={"connection": {"secretName": "orders"}}
    )
    assert ownership(metadata(other), make_claim()) is Ownership.FOREIGN


@pytest.mark.parametrize("change", [{"labels": {}}, {"ownerReferences": []}], ids=["no label", "no owner"])
def test_neither_label_nor_owner_alone_makes_an_object_ours(make_claim, change):
    assert ownership(metadata(make_claim(), **change), make_claim()) is Ownership.FOREIGN
