"""What an organisation may forbid by the chart's values: refused by a real API server, with what would be allowed."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from conductor_dev.api import NAMESPACE, Json, KubeApi, objects_in
from conductor_dev.binaries import Finder
from conductor_dev.charts import CONDUCTOR, Chart, render
from conductor_dev.controlplane import ControlPlane
from conductor_dev.errors import ApiError
from conductor_dev.waiting import wait_until
from conductor_model.kinds import (
    CLAIM_LIMIT_RANGE,
    MYSQL_INSTANCE,
    RDS_INSTANCE,
    RESOURCE_CLASS,
)
from conductor_model.refs import ResourceType
from conductor_model.s3bucket import S3_BUCKET
from conductor_model.sqldatabase import SQL_DATABASE

pytestmark = pytest.mark.integration

LABEL = {"test.conductor.io/admission": "held"}
HELD = {"enabled": True, "namespaceSelector": {"matchLabels": LABEL}}
VALUES = {
    "allowedRegions": {
        **HELD,
        "regions": ["eu-west-1", "eu-central-1"],
        "locations": ["eu-west-1", "eu-west3"],
    },
    "largestSize": {**HELD, "capacity": {"storage": "100Gi", "connections": 500}},
    "deletionProtection": HELD,
}
OPTIONAL = {
    f"conductor-{name}"
    for name in ("allowed-regions", "allowed-locations", "largest-size", "deletion-protection")
}
PARTS = {"ConfigMap", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}


def rendered_with(values: dict[str, Any], folder: Path) -> list[Json]:
    file = folder / "values.yaml"
    file.write_text(yaml.safe_dump({"admission": values}))
    objects = objects_in(render(Chart(CONDUCTOR.name, file), helm=Finder.here().helm()))
    component = "app.kubernetes.io/name"
    return [
        each for each in objects if each["metadata"].get("labels", {}).get(component) == "conductor-admission"
    ]


def body(type: ResourceType, name: str = "example", /, **content: Any) -> Json:
    head = {"apiVersion": type.gvk.api_version, "kind": type.gvk.kind}
    return {**head, "metadata": {"name": name}, **copy.deepcopy(content)}


def claim(name: str = "example", /, **requirements: Any) -> Json:
    return body(MYSQL_INSTANCE, name, spec={"requirements": requirements})


def rds(**spec: Any) -> Json:
    return body(RDS_INSTANCE, spec={"engine": "mysql", "instance-type": "db.m4.xlarge", **spec})


def bucket(**spec: Any) -> Json:
    return body(S3_BUCKET, spec=spec)


def sql_database(**spec: Any) -> Json:
    return body(SQL_DATABASE, spec={"engine": "postgres", **spec})


API_VERSIONS = {"S3Bucket": S3_BUCKET.gvk.api_version, "SQLDatabase": SQL_DATABASE.gvk.api_version}


def resource_class(kind: str = "RDSInstance", **spec: Any) -> Json:
    version = API_VERSIONS.get(kind, "database.aws.conductor.io/v1alpha1")
    template = {"apiVersion": version, "kind": kind, "spec": spec}
    return body(RESOURCE_CLASS, template=template)


def refusal(request: Callable[[], object]) -> str:
    """What the server said; empty when it did as it was asked."""
    try:
        request()
    except ApiError as error:
        assert error.status in {403, 422}
        return error.message
    return ""


@pytest.fixture(scope="module")
def policies(cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    """In force in namespaces with the label, and known to be so."""
    objects = rendered_with(VALUES, tmp_path_factory.mktemp("values"))
    cluster.api.apply(objects)
    probe = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "admission-probe", "labels": LABEL},
    }
    cluster.api.apply(probe)

    def in_force() -> bool:
        told = [
            ("is not allowed here", claim(region="mars")),
            ("is more than the", claim(region="eu-west-1", capacity={"storage": "1Ti"})),
            ("must be true here", rds()),
            ("is not allowed here", bucket(region="us-east-1")),
        ]
        tried = (
            (
                part,
                refusal(lambda each=each: cluster.api.apply(each, namespace="admission-probe", dry_run=True)),
            )  # type: ignore[misc]
            for part, each in told
        )
        return all(part in said for part, said in tried)

    wait_until("the policies are in force", in_force, timeout=60)
    yield cluster.api
    own = [each for each in objects if each["metadata"]["name"] != "conductor-limit-ranges"]
    cluster.api.delete_manifests([*reversed(own), probe])


def hold(api: KubeApi, namespace: str) -> None:
    """Puts the policies into force in a namespace."""
    api.merge_patch(NAMESPACE, None, namespace, {"metadata": {"labels": LABEL}})
    probe = claim("probe", region="mars")
    wait_until(
        "the policies are in force in the namespace",
        lambda: refusal(lambda: api.apply(probe, namespace=namespace, dry_run=True)),
    )


@pytest.fixture
def held(policies: KubeApi, namespace: str) -> Callable[[Json], str]:
    """Applies in a namespace that the policies are about; what the server said against it."""
    hold(policies, namespace)
    return lambda manifest: refusal(lambda: policies.apply(manifest, namespace=namespace))


def test_nothing_of_it_is_in_force_unless_it_is_asked_for(rendered: list[Json]):
    policies = [each["metadata"]["name"] for each in rendered if each["kind"] == "ValidatingAdmissionPolicy"]
    assert policies == [each for each in policies if each not in OPTIONAL]


def test_the_api_server_finds_no_fault_with_the_expressions(policies: KubeApi):
    for name in (
        "allowed-regions",
        "allowed-locations",
        "largest-size",
        "deletion-protection",
        "limit-ranges",
    ):
        path = f"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/conductor-{name}"

        def checked(path: str = path) -> Json | None:
            status: Json = json.loads(policies.request("GET", path)).get("status", {})
            return status if status.get("observedGeneration") else None

        status = wait_until(f"{name} is type-checked", checked, timeout=60)
        assert not status.get("typeChecking", {}).get("expressionWarnings"), name


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        pytest.param(
            claim(region="us-east-1"),
            "us-east-1 is not allowed here; allowed are eu-west-1, eu-central-1",
            id="region",
        ),
        pytest.param(claim(), "spec.requirements.region: none is not allowed here", id="no region"),
        pytest.param(
            claim(region="eu-west-1", capacity={"storage": "101Gi"}),
            "spec.requirements.capacity: storage 101Gi is more than the 100Gi allowed here",
            id="size",
        ),
        pytest.param(
            claim(region="eu-west-1", capacity={"storage": "1Gi", "connections": 501}),
            "connections 501 is more than the 500 allowed here",
            id="size as a number",
        ),
        pytest.param(rds(), "spec.deletionProtection: must be true here", id="unprotected"),
        pytest.param(
            rds(deletionProtection=False), "spec.deletionProtection: must be true", id="protection off"
        ),
        pytest.param(
            resource_class(engine="mysql"),
            "template.spec.deletionProtection: must be true here",
            id="unprotected class",
        ),
        pytest.param(
            bucket(region="eu-west-1", forceDestroy=True),
            "spec.forceDestroy: must not be true here",
            id="a bucket that goes with its objects",
        ),
        pytest.param(
            resource_class("S3Bucket", region="eu-west-1", forceDestroy=True),
            "template.spec.forceDestroy: must not be true here",
            id="a class of such buckets",
        ),
        pytest.param(
            sql_database(), "spec.onDelete: must be Keep or LockUser here", id="a database that is dropped"
        ),
        pytest.param(
            resource_class("SQLDatabase", engine="postgres", onDelete="Drop"),
            "template.spec.onDelete: must be Keep or LockUser here",
            id="a class of databases that are dropped",
        ),
        pytest.param(
            bucket(region="us-east-1"),
            "spec.region: us-east-1 is not allowed here; allowed are eu-west-1, eu-west3",
            id="a bucket elsewhere",
        ),
        pytest.param(
            bucket(), "spec.region: none is not allowed here", id="a bucket wherever its account is"
        ),
        pytest.param(
            resource_class("S3Bucket", region="us-east-1"),
            "template.spec.region: us-east-1 is not allowed here",
            id="a class of buckets elsewhere",
        ),
    ],
)
def test_what_is_forbidden_is_refused_with_what_would_be_allowed(
    held: Callable[[Json], str], manifest: Json, told: str
):
    assert told in held(manifest)


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(claim(region="eu-central-1", capacity={"storage": "100Gi", "iops": 9000}), id="claim"),
        pytest.param(rds(deletionProtection=True), id="protected"),
        pytest.param(resource_class(engine="mysql", deletionProtection=True), id="protected class"),
        pytest.param(resource_class("FilesystemVolume"), id="class of something else"),
        pytest.param(bucket(region="eu-west-1"), id="bucket"),
        pytest.param(resource_class("S3Bucket", region="eu-west-1"), id="class of buckets"),
        pytest.param(sql_database(onDelete="LockUser"), id="database that is kept"),
    ],
)
def test_what_is_allowed_is_let_in(held: Callable[[Json], str], manifest: Json):
    assert held(manifest) == ""


def test_other_namespaces_are_left_alone(policies: KubeApi, namespace: str):
    policies.apply([claim(region="mars", capacity={"storage": "1Ti"}), rds()], namespace=namespace)


def test_what_exists_already_can_be_bound_and_deleted_but_not_made_worse(policies: KubeApi, namespace: str):
    elsewhere = bucket(region="us-east-1", forceDestroy=True)
    policies.apply([claim(region="mars", capacity={"storage": "1Ti"}), rds(), elsewhere], namespace=namespace)
    hold(policies, namespace)
    refs = [{"kind": "MySQLInstance", "namespace": namespace, "name": "example"}]
    policies.merge_patch(RDS_INSTANCE, namespace, "example", {"spec": {"claimRefs": refs}})
    policies.merge_patch(MYSQL_INSTANCE, namespace, "example", {"metadata": {"labels": {"a": "b"}}})
    larger = {"spec": {"requirements": {"capacity": {"storage": "2Ti"}}}}
    assert "2Ti" in refusal(lambda: policies.merge_patch(MYSQL_INSTANCE, namespace, "example", larger))
    policies.merge_patch(S3_BUCKET, namespace, "example", {"metadata": {"labels": {"a": "b"}}})
    policies.merge_patch(S3_BUCKET, namespace, "example", {"spec": {"forceDestroy": False}})
    worse = {"spec": {"forceDestroy": True}}
    assert "forceDestroy" in refusal(lambda: policies.merge_patch(S3_BUCKET, namespace, "example", worse))
    policies.delete(S3_BUCKET, namespace, "example")
    policies.delete(RDS_INSTANCE, namespace, "example")
    policies.delete(MYSQL_INSTANCE, namespace, "example")


def test_a_claim_outside_its_namespace_s_limit_range_is_refused_at_once(policies: KubeApi, namespace: str):
    limits = {
        "scope": {"kinds": ["MySqlInstance.v1beta1.storage.conductor.io"]},
        "min": {"capacity": {"storage": "1Gi"}},
        "max": {"capacity": {"storage": "10Gi"}},
    }
    policies.apply(body(CLAIM_LIMIT_RANGE, "team", spec=limits), namespace=namespace)

    def asked(storage: str, kind: str = "MySQLInstance") -> str:
        wanted = {**claim(capacity={"storage": storage}), "kind": kind}
        return refusal(lambda: policies.apply(wanted, namespace=namespace, dry_run=True))

    told = "storage 11Gi is more than the maximum 10Gi of team"
    wait_until("the range is known", lambda: told in asked("11Gi"), timeout=60)
    assert "storage 512Mi is less than the minimum 1Gi of team" in asked("512Mi")
    assert asked("10240Mi") == ""
    assert asked("11Gi", "PostgreSQLInstance") == ""


def test_the_documented_values_are_the_charts(tmp_path: Path):
    document = Path(__file__).parents[2] / "docs/limits-and-quotas.md"
    (values,) = re.findall(
        r"^```yaml\n# values.yaml\n(.*?)^```", document.read_text(), flags=re.MULTILINE | re.DOTALL
    )
    objects = rendered_with(yaml.safe_load(values)["admission"], tmp_path)
    assert {each["metadata"]["name"] for each in objects if each["kind"] == "ConfigMap"} == {
        "conductor-allowed-regions",
        "conductor-largest-size",
    }
