"""The CRDs are what the models say, and the API server has nothing to complain about them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conductor_dev.api import CUSTOM_RESOURCE_DEFINITION, KubeApi
from conductor_model.crds import crd, files
from conductor_model.kind import Kind, Role
from conductor_model.kinds import CLAIM_QUOTA, MYSQL_INSTANCE, OWN_KINDS, RDS_INSTANCE, RESOURCE_CLASS
from conductor_model.refs import ResourceType

COMMITTED = Path(__file__).parents[3] / "deploy/helm/conductor-crds/templates"

each_kind = pytest.mark.parametrize("kind", OWN_KINDS, ids=lambda kind: kind.type.plural)


def nodes(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(child)


def test_committed_files_are_what_the_models_say() -> None:
    committed = {path.name: path.read_text() for path in COMMITTED.glob("*.yaml")}
    assert committed == files(), "run `make crds`"


def test_command_writes_the_same_files_again(tmp_path: Path) -> None:
    for folder in (tmp_path / "one", tmp_path / "two"):
        subprocess.run([sys.executable, "-m", "conductor_model.crds", str(folder)], check=True)
    one, two = (
        {path.name: path.read_text() for path in (tmp_path / name).iterdir()} for name in ("one", "two")
    )
    assert one == two == files()


def test_files_mean_the_same_to_helm() -> None:
    assert [name for name, text in files().items() if "{{" in text] == []


@each_kind
def test_schema_has_nothing_that_a_structural_schema_forbids(kind: Kind) -> None:
    forbidden = {
        "$ref",
        "$defs",
        "anyOf",
        "allOf",
        "oneOf",
        "patternProperties",
        "propertyNames",
        "prefixItems",
    }
    assert [node for node in nodes(crd(kind)) if forbidden & node.keys()] == []


@each_kind
def test_every_field_of_the_spec_says_what_it_is(kind: Kind) -> None:
    root = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    fields = root["properties"].get("spec", root)["properties"]
    assert [name for name, field in fields.items() if "description" not in field and name != "metadata"] == []


@each_kind
def test_helm_keeps_the_definition_and_claims_are_provisioned_services(kind: Kind) -> None:
    metadata = crd(kind)["metadata"]
    assert metadata["annotations"]["helm.sh/resource-policy"] == "keep"
    is_claim = kind.role is Role.CLAIM
    assert (metadata["labels"].get("servicebinding.io/provisioned-service") == "true") is is_claim


@pytest.mark.integration
@each_kind
def test_api_server_serves_the_kind_and_calls_its_schema_structural(api: KubeApi, kind: Kind) -> None:
    name = f"{kind.type.plural}.{kind.type.gvk.group}"
    conditions = api.get(CUSTOM_RESOURCE_DEFINITION, None, name)["status"]["conditions"]
    assert {each["type"]: each["status"] for each in conditions} == {
        "NamesAccepted": "True",
        "Established": "True",
    }


@pytest.mark.integration
@each_kind
def test_api_server_stores_the_schema_as_it_was_written(api: KubeApi, kind: Kind) -> None:
    written = crd(kind)
    stored = api.get(CUSTOM_RESOURCE_DEFINITION, None, written["metadata"]["name"])
    assert stored["spec"]["versions"][0]["schema"] == written["spec"]["versions"][0]["schema"]


def table(api: KubeApi, type: ResourceType, namespace: str) -> dict[str, object]:
    """What `kubectl get -o wide` shows of the only object: cells by column."""
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    shown = json.loads(api.request("GET", type.path(namespace), accept=accept))
    (row,) = shown["rows"]
    return dict(zip((column["name"] for column in shown["columnDefinitions"]), row["cells"], strict=True))


def applied(api: KubeApi, type: ResourceType, namespace: str, **fields: Any) -> None:
    status = fields.pop("status", None)
    identity = {"apiVersion": type.gvk.api_version, "kind": type.gvk.kind, "metadata": {"name": "example"}}
    api.apply([{**identity, **fields}], namespace=namespace)
    if status:
        api.merge_patch(type, namespace, "example", {"status": status}, subresource="status")


@pytest.mark.integration
def test_claims_are_shown_with_what_a_developer_waits_for(api: KubeApi, namespace: str) -> None:
    bound = {
        "apiVersion": "a/v1",
        "kind": "RDSInstance",
        "namespace": "n",
        "name": "rds-instance-445",
        "uid": "u",
    }
    applied(
        api,
        MYSQL_INSTANCE,
        namespace,
        spec={"version": ">= 5.6"},
        status={
            "phase": "Bound",
            "boundResource": bound,
            "binding": {"name": "example"},
            "conditions": [
                {"type": "Scheduled", "status": "True", "reason": "Fits", "message": "1/1 fit"},
                {"type": "Ready", "status": "True", "reason": "Connected"},
            ],
        },
    )
    cells = table(api, MYSQL_INSTANCE, namespace)
    assert cells.pop("Age")
    assert cells == {
        "Name": "example",
        "Version": ">= 5.6",
        "Phase": "Bound",
        "Ready": "True",
        "Resource": "rds-instance-445",
        "Secret": "example",
        "Reason": "1/1 fit",
    }


@pytest.mark.integration
def test_rds_instances_are_shown_with_what_an_administrator_looks_for(api: KubeApi, namespace: str) -> None:
    applied(
        api,
        RDS_INSTANCE,
        namespace,
        spec={
            "engine": "mysql",
            "version": 5.9,
            "instance-type": "db.m4.xlarge",
            "resourceClass": "performance",
            "claimRefs": [{"kind": "MySQLInstance", "namespace": "wordpress", "name": "wordpress-db"}],
        },
        status={
            "phase": "Bound",
            "engineVersion": "5.9.3",
            "externalName": "conductor-1",
            "endpoint": {"host": "db.example.org", "port": 3306},
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "Available"},
                {"type": "Synced", "status": "True", "reason": "Observed", "message": "up to date"},
            ],
        },
    )
    cells = table(api, RDS_INSTANCE, namespace)
    assert cells.pop("Age")
    assert cells == {
        "Name": "example",
        "Engine": "mysql",
        "Running": "5.9.3",
        "Type": "db.m4.xlarge",
        "Phase": "Bound",
        "Ready": "True",
        "Claim": "wordpress-db",
        "Class": "performance",
        "External-Name": "conductor-1",
        "Host": "db.example.org",
        "Synced": "up to date",
    }


@pytest.mark.integration
def test_classes_are_shown_with_what_they_offer(api: KubeApi, namespace: str) -> None:
    applied(
        api,
        RESOURCE_CLASS,
        namespace,
        profile="performance",
        capabilities={"capacity": {"storage": "50Gi"}, "region": "north-america", "cost": "free-tier"},
        limits={"instances": 5},
        template={"apiVersion": "database.aws.conductor.io/v1alpha1", "kind": "RDSInstance"},
        status={"used": {"instances": 2}},
    )
    cells = table(api, RESOURCE_CLASS, namespace)
    assert cells.pop("Age")
    assert cells == {
        "Name": "example",
        "Makes": "RDSInstance",
        "Profile": "performance",
        "Rebind": "Delete",
        "Storage": "50Gi",
        "Region": "north-america",
        "Cost": "free-tier",
        "Instances": 2,
        "Limit": 5,
    }


@pytest.mark.integration
def test_quotas_are_shown_with_what_is_taken_of_what(api: KubeApi, namespace: str) -> None:
    applied(
        api,
        CLAIM_QUOTA,
        namespace,
        spec={"hard": {"claims": 10, "cost": 12, "capacity": {"storage": "500Gi"}}},
        status={"used": {"claims": 3, "cost": "4", "capacity": {"storage": "75Gi"}}},
    )
    cells = table(api, CLAIM_QUOTA, namespace)
    assert cells.pop("Age")
    assert cells == {
        "Name": "example",
        "Claims": 3,
        "Max-Claims": 10,
        "Storage": "75Gi",
        "Max-Storage": "500Gi",
        "Cost": "4",
        "Max-Cost": "12",
    }


@pytest.mark.integration
def test_short_names_and_categories_are_served(api: KubeApi) -> None:
    for kind in OWN_KINDS:
        group_version = kind.type.gvk.api_version
        served = {
            each["name"]: each
            for each in json.loads(api.request("GET", f"/apis/{group_version}"))["resources"]
        }
        assert served[kind.type.plural]["shortNames"] == list(kind.short_names)
        assert served[kind.type.plural]["categories"] == list(kind.categories)
