"""What the API server lets in, what it refuses, and what it tells the person who wrote it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from conductor_dev.api import KubeApi
from conductor_dev.errors import ApiError
from conductor_model.databases import MySQLInstance
from conductor_model.kinds import MYSQL_INSTANCE, POSTGRESQL_INSTANCE, RDS_INSTANCE, RESOURCE_CLASS
from conductor_model.refs import ResourceType

pytestmark = pytest.mark.integration

Json = dict[str, Any]


def manifest(type: ResourceType, body: Mapping[str, Any], name: str = "example") -> Json:
    return {
        "apiVersion": type.gvk.api_version,
        "kind": type.gvk.kind,
        "metadata": {"name": name},
        **copy.deepcopy(dict(body)),
    }


def claim(name: str = "example", **spec: Any) -> Json:
    return manifest(MYSQL_INSTANCE, {"spec": spec}, name)


def rds(**spec: Any) -> Json:
    return manifest(RDS_INSTANCE, {"spec": {"engine": "mysql", "instance-type": "db.m4.xlarge", **spec}})


def resource_class(**fields: Any) -> Json:
    template = {
        "apiVersion": RDS_INSTANCE.gvk.api_version,
        "kind": "RDSInstance",
        "spec": {"engine": "mysql"},
    }
    return manifest(RESOURCE_CLASS, {"template": template, **fields})


def capacity(value: object, name: str = "storage") -> Json:
    return {"capacity": {name: value}}


def selecting(**requirement: object) -> Json:
    return {"matchExpressions": [{"key": "environment", **requirement}]}


def refusal(api: KubeApi, namespace: str, *objects: Json) -> str:
    """What the server says to the last of the objects, which are applied one after the other."""
    *accepted, refused = objects
    api.apply(accepted, namespace=namespace)
    with pytest.raises(ApiError) as caught:
        api.apply([refused], namespace=namespace)
    assert caught.value.status in {400, 422, 500}, caught.value
    return caught.value.message


@pytest.mark.parametrize(
    ("refused", "field", "told"),
    [
        pytest.param(
            resource_class(template={"apiVersion": MYSQL_INSTANCE.gvk.api_version, "kind": "MySQLInstance"}),
            "template",
            "a class makes concrete resources, such as RDSInstance",
            id="class of claims",
        ),
        pytest.param(rds(tags={"aws:team": "x"}), "spec.tags", "are Amazon's own", id="a tag of Amazon's"),
        pytest.param(claim(sise="25Gi"), ".spec.sise", "field not declared in schema", id="unknown field"),
        pytest.param(
            claim(requirements=capacity("-1Gi")),
            "spec.requirements.capacity[storage]",
            "must not be negative",
            id="negative capacity",
        ),
        pytest.param(
            claim(requirements=capacity(-25)),
            "spec.requirements.capacity[storage]",
            "must not be negative",
            id="negative capacity as a number",
        ),
        pytest.param(
            claim(requirements=capacity("25 gigabytes")),
            "spec.requirements.capacity[storage]",
            "must be a quantity: a number and a suffix of",
            id="unparsable quantity",
        ),
        pytest.param(
            claim(requirements=capacity("1e999")),
            "spec.requirements.capacity[storage]",
            "must be a quantity",
            id="quantity beyond reason",
        ),
        pytest.param(
            claim(requirements=capacity("25Gi", "st orage")),
            "spec.requirements.capacity",
            "names of capacities are up to 63 letters",
            id="name of a capacity",
        ),
        pytest.param(
            claim(version=">= banana"),
            "spec.version",
            'must be a version constraint: write ">= 5.6", "5.7"',
            id="version constraint",
        ),
        pytest.param(claim(version=5.7), "spec.version", "expected string", id="constraint as number"),
        pytest.param(
            claim("a" * 253),
            "MySQLInstance",
            "the Service beside the claim takes the claim's name",
            id="253-character name",
        ),
        pytest.param(
            claim("1st"),
            "MySQLInstance",
            "the Service beside the claim takes the claim's name",
            id="name that is no Service's name",
        ),
        pytest.param(
            manifest(POSTGRESQL_INSTANCE, {"spec": {}}, "b.c"),
            "PostgreSQLInstance",
            "or set spec.connection.serviceName",
            id="postgresql name",
        ),
        pytest.param(
            claim(connection={"serviceName": "My_Service"}),
            "spec.connection.serviceName",
            "should match",
            id="service name",
        ),
        pytest.param(
            claim(masterUsername="root; drop"), "spec.masterUsername", "should match", id="master username"
        ),
        pytest.param(
            claim(resourceSelector=selecting(operator="Near", values=["dev"])),
            "spec.resourceSelector.matchExpressions[0].operator",
            'supported values: "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"',
            id="unknown selector operator",
        ),
        pytest.param(
            claim(resourceSelector=selecting(operator="In")),
            "spec.resourceSelector.matchExpressions[0]",
            "operators In and NotIn need at least one value",
            id="In without values",
        ),
        pytest.param(
            claim(resourceSelector=selecting(operator="Exists", values=["dev"])),
            "spec.resourceSelector.matchExpressions[0]",
            "operators Exists and DoesNotExist take no values",
            id="Exists with values",
        ),
        pytest.param(
            claim(resourceSelector=selecting(operator="Gt", values=["heavy"])),
            "spec.resourceSelector.matchExpressions[0]",
            "operators Gt and Lt need exactly one value, an integer",
            id="Gt of a word",
        ),
        pytest.param(
            rds(engine="oracle"), "spec.engine", 'supported values: "mysql", "postgres"', id="engine"
        ),
        pytest.param(
            manifest(RDS_INSTANCE, {"spec": {"instance-type": "db.m4.xlarge"}}),
            "spec.engine",
            "Required value",
            id="no engine",
        ),
        pytest.param(rds(rebindPolicy="Recycle"), "spec.rebindPolicy", '"Retain", "Delete"', id="policy"),
        pytest.param(rds(maxClaims=0), "spec.maxClaims", "greater than or equal to 1", id="maxClaims"),
        pytest.param(rds(version="banana"), "spec.version", "should match", id="version"),
        pytest.param(rds(version=True), "spec.version", "Invalid value", id="version as truth"),
        pytest.param(rds(version={"major": 5}), "spec.version", "Too many", id="version as object"),
        pytest.param(rds(version=[5, 7]), "spec.version", "Too many", id="version as list"),
        pytest.param(
            rds(capabilities=capacity("-50Gi")),
            "spec.capabilities.capacity[storage]",
            "must not be negative",
            id="negative capability",
        ),
        pytest.param(
            rds(skipFinalSnapshot=True, finalSnapshotIdentifier="last"),
            "spec",
            "finalSnapshotIdentifier and skipFinalSnapshot: true exclude each other",
            id="final snapshot both ways",
        ),
        pytest.param(
            rds(storageType="gp2", iops=3000),
            "spec",
            "iops needs storageType gp3, io1 or io2",
            id="iops with gp2",
        ),
        pytest.param(
            rds(storageType="io1"), "spec", "storageType io1 and io2 need iops", id="io1 without iops"
        ),
        pytest.param(
            rds(kmsKeyId="alias/mine"), "spec", "kmsKeyId needs storageEncrypted: true", id="kms key"
        ),
        pytest.param(
            rds(backupRetentionPeriod=36),
            "spec.backupRetentionPeriod",
            "less than or equal to 35",
            id="backup retention",
        ),
        pytest.param(
            rds(claimRefs=[{"kind": "MySQLInstance", "namespace": "a", "name": "b"}] * 2),
            "spec.claimRefs",
            "duplicate entries for key",
            id="one claim twice",
        ),
        pytest.param(
            resource_class(capabilities=capacity("lots")),
            "capabilities.capacity[storage]",
            "must be a quantity",
            id="capacity of a class",
        ),
        pytest.param(
            resource_class(template={"kind": "RDSInstance"}),
            "template.apiVersion",
            "Required value",
            id="template without apiVersion",
        ),
        pytest.param(
            manifest(RESOURCE_CLASS, {"profile": "performance"}),
            "template",
            "Required value",
            id="no template",
        ),
        pytest.param(
            resource_class(supportedResources=["everything there is"]),
            "supportedResources[0]",
            "should match",
            id="supported resource",
        ),
        pytest.param(
            resource_class(rebindPolicy="Keep"), "rebindPolicy", '"Retain", "Delete"', id="class policy"
        ),
    ],
)
def test_nonsense_is_refused_with_the_field_and_what_to_do(
    api: KubeApi, namespace: str, refused: Json, field: str, told: str
) -> None:
    message = refusal(api, namespace, refused)
    assert field in message
    assert told in message


@pytest.mark.parametrize(
    ("accepted", "refused", "told"),
    [
        pytest.param(
            claim(resourceName="one"),
            claim(resourceName="two"),
            "resourceName cannot be changed",
            id="resourceName",
        ),
        pytest.param(
            claim(resourceName="one"),
            claim(),
            "resourceName cannot be changed once it is set",
            id="resourceName gone",
        ),
        pytest.param(
            claim(resourceClass="one"),
            claim(resourceClass="two"),
            "resourceClass cannot be changed",
            id="resourceClass",
        ),
        pytest.param(
            claim(masterUsername="one"),
            claim(masterUsername="two"),
            "masterUsername cannot be changed",
            id="claim's masterUsername",
        ),
        pytest.param(
            claim(resourceName="one"),
            manifest(MYSQL_INSTANCE, {}),
            "resourceName cannot be changed once it is set",
            id="whole spec gone",
        ),
        pytest.param(rds(), rds(engine="postgres"), "engine cannot be changed", id="engine"),
        pytest.param(
            rds(),
            rds(masterUsername="later"),
            "masterUsername cannot be changed",
            id="masterUsername set late",
        ),
        pytest.param(
            rds(masterUsername="one"),
            rds(masterUsername="two"),
            "masterUsername cannot be changed",
            id="masterUsername",
        ),
        pytest.param(
            rds(), rds(storageEncrypted=True), "storageEncrypted cannot be changed", id="storageEncrypted"
        ),
        pytest.param(
            rds(storageEncrypted=True, kmsKeyId="alias/one"),
            rds(storageEncrypted=True, kmsKeyId="alias/two"),
            "kmsKeyId cannot be changed",
            id="kmsKeyId",
        ),
        pytest.param(
            rds(allocatedStorage=100),
            rds(allocatedStorage=50),
            "allocatedStorage cannot shrink",
            id="allocatedStorage",
        ),
    ],
)
def test_field_that_cannot_change_is_refused(
    api: KubeApi, namespace: str, accepted: Json, refused: Json, told: str
) -> None:
    assert told in refusal(api, namespace, accepted, refused)


@pytest.mark.parametrize("later", [capacity("500Gi"), capacity("1Gi"), {"region": "europe"}, None])
def test_what_a_bound_claim_asks_for_cannot_be_changed(
    api: KubeApi, namespace: str, later: Json | None
) -> None:
    """Otherwise it could outgrow the resource that it shares, or shrink away from under its quota."""
    api.apply([claim(requirements=capacity("25Gi"))], namespace=namespace)
    change = {"spec": {"requirements": later}}
    if later is not None:
        api.apply([claim(requirements={**capacity("30Gi"), "region": "us"})], namespace=namespace)
    bound = {
        "apiVersion": RDS_INSTANCE.gvk.api_version,
        "kind": "RDSInstance",
        "namespace": "conductor-system",
        "name": "rds",
        "uid": "1",
    }
    status = {"status": {"boundResource": bound}}
    api.merge_patch(MYSQL_INSTANCE, namespace, "example", status, subresource="status")
    with pytest.raises(ApiError, match="requirements cannot be changed while the claim has a resource"):
        api.merge_patch(MYSQL_INSTANCE, namespace, "example", change)
    api.merge_patch(MYSQL_INSTANCE, namespace, "example", {"metadata": {"labels": {"still": "allowed"}}})


@pytest.mark.parametrize(
    "objects",
    [
        pytest.param([claim()], id="empty claim"),
        pytest.param(
            [claim("1st.example", connection={"serviceName": "first"})], id="name with a serviceName"
        ),
        pytest.param([claim("a" * 63)], id="63-character name"),
        pytest.param([claim(requirements=capacity(25))], id="capacity as a number"),
        pytest.param([claim(requirements=capacity("0"))], id="no capacity"),
        pytest.param([claim(requirements=capacity("1.5e3"))], id="capacity with an exponent"),
        pytest.param([claim(), claim(resourceName="one", resourceClass="a")], id="resourceName set later"),
        pytest.param([claim(version="5.6"), claim(version="5.7")], id="other version"),
        pytest.param([rds(version=5.9)], id="version as a number"),
        pytest.param([rds(version="8.0.35-rds.20231101")], id="version of one build"),
        pytest.param([rds(version=16)], id="version as an integer"),
        pytest.param([rds(securityGroups=["sg-1", "sg-1"])], id="the same security group twice"),
        pytest.param([rds(storageType="gp3", iops=3000)], id="gp3 with iops"),
        pytest.param([rds(allocatedStorage=50), rds(allocatedStorage=100)], id="growing"),
        pytest.param([rds(finalSnapshotIdentifier="last")], id="final snapshot"),
        pytest.param(
            [resource_class(supportedResources=["MYSQLINSTANCE.storage.conductor.io"])], id="any case"
        ),
    ],
)
def test_what_makes_sense_is_accepted(api: KubeApi, namespace: str, objects: list[Json]) -> None:
    for each in objects:
        api.apply([each], namespace=namespace)


def test_defaults_are_filled_in_and_status_is_left_to_its_writers(api: KubeApi, namespace: str) -> None:
    stored_claim, stored_rds = api.apply([manifest(MYSQL_INSTANCE, {}), rds()], namespace=namespace)
    assert stored_claim["spec"] == {}
    assert "status" not in stored_claim
    assert stored_rds["spec"]["rebindPolicy"] == "Retain"
    assert stored_rds["spec"]["maxClaims"] == 1
    assert stored_rds["spec"]["skipFinalSnapshot"] is False
    assert "status" not in stored_rds


def test_template_is_kept_whole_whatever_its_kind(api: KubeApi, namespace: str) -> None:
    template = {
        "apiVersion": "database.example.org/v1",
        "kind": "Anything",
        "metadata": {"labels": {"environment": "dev"}, "annotations": {"note": "x"}},
        "spec": {
            "engine": "mysql",
            "version": 5.9,
            "instance-type": "db.m4.xlarge",
            "nested": {"list": [1, "a"]},
        },
    }
    (stored,) = api.apply([resource_class(template=template)], namespace=namespace)
    assert stored["template"] == template


def test_status_is_written_through_its_subresource_only(api: KubeApi, namespace: str) -> None:
    conditions = [{"type": "Ready", "status": "True", "reason": "Created"}]
    (created,) = api.apply([claim()], namespace=namespace)
    patch = {"status": {"phase": "Bound", "conditions": conditions}}
    ignored = api.merge_patch(MYSQL_INSTANCE, namespace, "example", patch)
    assert "status" not in ignored
    written = api.merge_patch(MYSQL_INSTANCE, namespace, "example", patch, subresource="status")
    assert written["status"] == patch["status"]
    assert written["metadata"]["generation"] == created["metadata"]["generation"]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({"phase": "Happy"}, 'supported values: "Pending", "Bound", "Lost"'),
        ({"conditions": [{"type": "Ready", "status": "Maybe", "reason": "X"}]}, '"True", "False", "Unknown"'),
        (
            {"conditions": [{"type": "Ready", "status": "True"}]},
            "status.conditions[0].reason: Required value",
        ),
        ({"conditions": [{"type": "Ready", "status": "True", "reason": "X"}] * 2}, "Duplicate value"),
    ],
)
def test_status_that_makes_no_sense_is_refused(api: KubeApi, namespace: str, status: Json, told: str) -> None:
    api.apply([claim()], namespace=namespace)
    with pytest.raises(ApiError) as caught:
        api.merge_patch(MYSQL_INSTANCE, namespace, "example", {"status": status}, subresource="status")
    assert told in caught.value.message


def test_conditions_of_several_writers_are_merged_by_type(api: KubeApi, namespace: str) -> None:
    api.apply([claim()], namespace=namespace)
    for writer, type in (("scheduler", "Bound"), ("secrets-writer", "Ready")):
        status = {"conditions": [{"type": type, "status": "True", "reason": "Done"}]}
        api.request(
            "PATCH",
            MYSQL_INSTANCE.path(namespace, "example", "status"),
            query={"fieldManager": writer},
            body={**manifest(MYSQL_INSTANCE, {}), "status": status},
            content_type="application/apply-patch+yaml",
        )
    stored = api.get(MYSQL_INSTANCE, namespace, "example")
    assert [each["type"] for each in stored["status"]["conditions"]] == ["Bound", "Ready"]


QUANTITIES = [
    "25Gi",
    "25gi",
    "1E",
    "1e3",
    "1e+3",
    "1e-9",
    "1e100",
    "5e",
    ".5",
    "5.",
    ".",
    "+1Ki",
    "",
    " 1",
    "1 ",
    "0x10",
    "1_000",
]
CONSTRAINTS = [
    "5.7",
    "5.",
    "=5.7",
    "==5.7",
    "== 5.7.*",
    ">= 5.*",
    "~=8",
    "~=8.0",
    "5.7,",
    "5.7,<8",
    " 5.7 ",
    "",
    "v5.7",
]


def admitted(api: KubeApi, namespace: str, object: Json) -> bool:
    try:
        api.apply([object], namespace=namespace, dry_run=True)
    except ApiError:
        return False
    return True


def readable(object: Json) -> bool:
    try:
        MySQLInstance.model_validate(object)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("text", QUANTITIES)
def test_server_admits_the_quantities_that_the_models_read(api: KubeApi, namespace: str, text: str) -> None:
    written = claim(requirements=capacity(text))
    assert admitted(api, namespace, written) == readable(written)


@pytest.mark.parametrize("text", CONSTRAINTS)
def test_server_admits_the_constraints_that_the_models_read(api: KubeApi, namespace: str, text: str) -> None:
    written = claim(version=text)
    assert admitted(api, namespace, written) == readable(written)
