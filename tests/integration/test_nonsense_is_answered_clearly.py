"""Bad manifests: refused at admission with the field, or reported in a condition; no service minds."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from stage import SERVICES, SYSTEM, Stage, condition

from conductor_dev.errors import ApiError
from conductor_model.kinds import MYSQL_INSTANCE, RDS_INSTANCE, RESOURCE_CLASS

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("name", "spec", "told"),
    [
        ("db", {"colour": "blue"}, "spec.colour"),
        ("db", {"requirements": {"capacity": {"storage": "-5Gi"}}}, "must not be negative"),
        ("db", {"requirements": {"capacity": {"storage": "many"}}}, "must be a quantity"),
        ("db", {"version": ">= banana"}, "spec.version"),
        ("x" * 253, {}, "at most 63 lower case"),
    ],
)
def test_a_claim_that_makes_no_sense_is_refused_with_the_field(
    stage: Stage, name: str, spec: dict[str, object], told: str
) -> None:
    with pytest.raises(ApiError, match=told):
        stage.claim(name, **spec)


@pytest.fixture
def deep_recursion() -> Iterator[None]:
    """Who writes what is nested that deep, and lists it when cleaning up, needs a deep stack."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(50_000)
    yield
    sys.setrecursionlimit(limit)


@pytest.mark.parametrize("levels", [300, 5000])
def test_a_claim_that_is_nested_beyond_reading_is_told_so_and_holds_up_nobody(
    deep_recursion: None, stage: Stage, levels: int
) -> None:
    deep: object = "x"
    for _ in range(levels):
        deep = [deep]
    pids = [stage.service(name).pid for name in SERVICES]
    stage.claim("deep", requirements={"team": deep})
    told = stage.wait_claim("deep", lambda found: condition(found, "Scheduled")["status"] == "False")
    assert condition(told, "Scheduled")["message"] == "no enabled plugin understands requirements.team"
    stage.claim("fine", resourceClass=stage.offer_class())
    stage.wait_ready("fine")
    assert [stage.service(name).pid for name in SERVICES] == pids
    assert all(stage.service(name).alive for name in SERVICES)


def test_a_class_whose_template_names_an_unknown_kind_is_named_on_the_claim(stage: Stage) -> None:
    name = stage.offer_class()
    stage.env.api.merge_patch(RESOURCE_CLASS, SYSTEM, name, {"template": {"kind": "Banana"}})
    stage.claim("db", resourceClass=name)
    waiting = stage.wait_claim(
        "db",
        lambda found: (
            "Banana.database.aws.conductor.io is not known" in condition(found, "Scheduled")["message"]
        ),
    )
    assert condition(waiting, "Scheduled")["reason"] == "NothingFits"


def test_a_class_whose_template_is_not_valid_is_named_with_the_field(stage: Stage) -> None:
    name = stage.offer_class(engine="cobol")
    stage.claim("db", resourceClass=name)
    stage.wait_claim("db", lambda found: "engine" in condition(found, "Scheduled")["message"])


def test_a_template_that_the_api_server_refuses_is_told_on_the_claim(stage: Stage) -> None:
    name = stage.offer_class(iops=3000)
    stage.claim("db", resourceClass=name)
    refused = stage.wait_claim(
        "db", lambda found: condition(found, "Scheduled")["reason"] == "ProvisioningRefused"
    )
    assert "iops needs storageType" in condition(refused, "Scheduled")["message"]


def test_a_resource_without_a_size_says_so_in_its_condition(stage: Stage) -> None:
    name = stage.offer_rds(capabilities={}, ready=False)
    found = stage.wait_resource(name, lambda found: condition(found, "Synced")["status"] == "False")
    assert condition(found, "Synced")["reason"] == "InvalidSpec"
    assert "allocatedStorage" in condition(found, "Synced")["message"]


def test_nothing_spins_over_nonsense_and_other_claims_go_on(stage: Stage) -> None:
    broken = stage.offer_rds(capabilities={}, ready=False)
    fine = stage.offer_class("fine")
    stage.claim("hopeless", resourceClass=stage.offer_class("broken", iops=3000))
    stage.wait_resource(broken, lambda found: condition(found, "Synced")["status"] == "False")
    stage.wait_claim(
        "hopeless", lambda found: condition(found, "Scheduled")["reason"] == "ProvisioningRefused"
    )
    before = _versions(stage, broken)
    pids = [stage.service(name).pid for name in SERVICES]
    stage.claim("fine", resourceClass=fine)
    stage.wait_ready("fine")
    assert _versions(stage, broken) == before
    assert [stage.service(name).pid for name in SERVICES] == pids
    assert all(stage.service(name).alive for name in SERVICES)


def _versions(stage: Stage, resource: str) -> tuple[str, str]:
    api = stage.env.api
    return (
        api.get(RDS_INSTANCE, SYSTEM, resource)["metadata"]["resourceVersion"],
        api.get(MYSQL_INSTANCE, stage.namespace, "hopeless")["metadata"]["resourceVersion"],
    )
