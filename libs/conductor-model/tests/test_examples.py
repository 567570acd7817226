"""The examples are the design document's manifests: they read, they apply, and they keep what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from conductor_dev.api import KubeApi
from conductor_model.cloudsql import MYSQL, CloudSQLInstance
from conductor_model.databases import DatabaseClaim
from conductor_model.kinds import BY_GROUP_KIND
from conductor_model.meta import KubeObject
from conductor_model.quantity import Quantity
from conductor_model.rds import RDSInstance
from conductor_model.refs import GroupVersionKind
from conductor_model.resourceclass import ResourceClass
from conductor_model.version import EngineVersion

EXAMPLES = Path(__file__).parents[3] / "examples"
NAMES = [
    "mysql-claim-static.yaml",
    "mysql-claim-dynamic.yaml",
    "rds-instance.yaml",
    "cloudsql-instance.yaml",
    "bucket-claim.yaml",
    "resource-class-s3.yaml",
    "s3-bucket.yaml",
    "sql-database.yaml",
    "provider-config-sql.yaml",
    "resource-class-sql-shared.yaml",
    "postgresql-claim.yaml",
    "resource-class-rds-performance.yaml",
]


def example(name: str) -> dict[str, Any]:
    loaded = yaml.safe_load((EXAMPLES / name).read_text())
    assert isinstance(loaded, dict)
    return loaded


def read(name: str) -> KubeObject:
    written = example(name)
    kind = BY_GROUP_KIND[GroupVersionKind.parse(written["apiVersion"], written["kind"]).group_kind]
    return kind.model.model_validate(written)


def test_every_example_says_in_its_first_line_what_it_shows() -> None:
    unexplained = [p.name for p in EXAMPLES.glob("*.yaml") if not p.read_text().startswith("# ")]
    assert unexplained == []
    assert {path.name for path in EXAMPLES.glob("*.yaml")} >= {*NAMES, "00-namespace.yaml"}


def test_one_apply_of_the_folder_makes_the_namespace_before_what_lives_in_it() -> None:
    # kubectl takes a folder's files in the order of their names.
    assert [example(path.name)["kind"] for path in sorted(EXAMPLES.glob("*.yaml"))].index("Namespace") == 0


@pytest.mark.integration
@pytest.mark.parametrize("name", NAMES)
def test_example_applies_under_strict_validation_and_keeps_what_it_says(
    api: KubeApi, namespace: str, name: str
) -> None:
    written = example(name)
    written["metadata"]["namespace"] = namespace
    (stored,) = api.apply([written])
    for field in written.keys() - {"metadata"}:
        assert holds(stored[field], written[field]), field


def holds(stored: object, written: object) -> bool:
    """Whether all that was written is there, defaults beside it allowed."""
    if isinstance(stored, dict) and isinstance(written, dict):
        return all(key in stored and holds(stored[key], value) for key, value in written.items())
    return stored == written


@pytest.mark.integration
def test_namespace_of_the_examples_is_valid(api: KubeApi) -> None:
    api.apply(EXAMPLES / "00-namespace.yaml", dry_run=True)


def test_static_claim_reads_as_the_document_prints_it() -> None:
    claim = read("mysql-claim-static.yaml")
    assert isinstance(claim, DatabaseClaim)
    assert claim.spec.resource_name == "rds-instance-445"
    assert claim.spec.version is not None
    assert claim.spec.version.admits(EngineVersion.parse(5.9))
    assert claim.spec.requirements.capacity == {"storage": Quantity.parse("25Gi")}
    assert claim.spec.resource_selector is not None
    assert claim.spec.resource_selector.unmet({}) == "environment In [dev]"


def test_rds_instance_reads_as_the_document_prints_it() -> None:
    concrete = read("rds-instance.yaml")
    assert isinstance(concrete, RDSInstance)
    assert concrete.offered_version == EngineVersion.parse("5.9")
    assert concrete.spec.instance_type == "db.m4.xlarge"
    assert concrete.spec.security_groups == ("sg-2323-4445", "sg-2323-4445")


def test_cloudsql_instance_reads_as_the_document_prints_it() -> None:
    concrete = read("cloudsql-instance.yaml")
    assert isinstance(concrete, CloudSQLInstance)
    assert concrete.offered_version == EngineVersion.parse("5.7")
    assert concrete.implements == {MYSQL}
    assert concrete.master_username == "masteruser"


@pytest.mark.parametrize("claim_name", ["mysql-claim-static.yaml", "mysql-claim-dynamic.yaml"])
def test_class_serves_the_claims_whatever_the_case_of_its_letters(claim_name: str) -> None:
    offered = read("resource-class-rds-performance.yaml")
    assert isinstance(offered, ResourceClass)
    assert offered.supports(read(claim_name).gvk.group_kind)


def test_class_s_template_is_a_concrete_resource() -> None:
    offered = read("resource-class-rds-performance.yaml")
    assert isinstance(offered, ResourceClass)
    made = {
        "apiVersion": offered.template.api_version,
        "kind": offered.template.kind,
        "metadata": {"name": "made"},
    }
    concrete = RDSInstance.model_validate({**made, "spec": offered.template.spec})
    assert concrete.offered_version == EngineVersion.parse("5.9")


def test_dynamic_claim_fits_the_class_and_names_neither_resource_nor_class() -> None:
    claim, offered = read("mysql-claim-dynamic.yaml"), read("resource-class-rds-performance.yaml")
    assert isinstance(claim, DatabaseClaim)
    assert isinstance(offered, ResourceClass)
    assert claim.spec.resource_name is None
    assert claim.spec.resource_class is None
    assert claim.spec.requirements.capacity["storage"] <= offered.capabilities.capacity["storage"]
