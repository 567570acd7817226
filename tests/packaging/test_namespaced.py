"""Several Conductors in one cluster: each has its rights in its own namespaces, and nothing of one is the other's."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
import test_rights as table
import yaml

from conductor_dev.api import NAMESPACE, Json, objects_in
from conductor_dev.binaries import Finder
from conductor_dev.charts import CONDUCTOR, Chart, render
from conductor_dev.controlplane import ControlPlane

pytestmark = pytest.mark.integration

TAG = uuid.uuid4().hex[:6]
OWN, TEAM = f"conductor-a-{TAG}", f"team-a-{TAG}"
OTHERS_OWN, OTHERS_TEAM = f"conductor-b-{TAG}", f"team-b-{TAG}"
IN_NO_NAMESPACE = (table.TOKEN_REVIEWS, table.ACCESS_REVIEWS, table.NAMESPACES)


def conductor(folder: Path, own: str, team: str) -> list[Json]:
    values = folder / f"{own}.yaml"
    values.write_text(
        yaml.safe_dump(
            {
                "watchNamespaces": [team],
                "admission": {
                    "allowedRegions": {"enabled": True, "regions": ["europe"], "locations": ["eu-west-1"]},
                    "largestSize": {"enabled": True, "capacity": {"storage": "1Ti"}},
                    "deletionProtection": {
                        "enabled": True,
                        "namespaceSelector": {"matchLabels": {"tier": "prod"}},
                    },
                },
            }
        )
    )
    return objects_in(render(Chart(CONDUCTOR.name, values), helm=Finder.here().helm(), namespace=own))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Json], list[Json]]:
    folder = tmp_path_factory.mktemp("values")
    return conductor(folder, OWN, TEAM), conductor(folder, OTHERS_OWN, OTHERS_TEAM)


@pytest.fixture(scope="module")
def shared(
    control_plane: ControlPlane, both: tuple[list[Json], list[Json]], kinds_of_rights: set[str]
) -> ControlPlane:
    for name in (OWN, TEAM, OTHERS_OWN, OTHERS_TEAM):
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        control_plane.api.create(NAMESPACE, None, body)
    control_plane.api.apply([each for objects in both for each in objects if each["kind"] in kinds_of_rights])
    return control_plane


def where(objects: list[Json]) -> set[tuple[Any, ...]]:
    return {
        (each["apiVersion"], each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"])
        for each in objects
    }


def test_two_installations_have_no_object_in_common(both: tuple[list[Json], list[Json]]):
    assert where(both[0]).isdisjoint(where(both[1]))


@pytest.mark.parametrize("service", table.EVERYWHERE)
def test_a_service_has_its_rights_in_the_namespaces_that_it_sees(shared: ControlPlane, service: str):
    """In no namespace they are those of `test_rights`, but for what is in none."""
    inside = {
        (what, verb) for what, verb in table.pairs(table.EVERYWHERE[service]) if what not in IN_NO_NAMESPACE
    }
    granted = {
        each for each in table.granted(shared.api, service, TEAM, own=OWN) if each[0] not in IN_NO_NAMESPACE
    }
    assert granted == inside


@pytest.mark.parametrize("service", table.EVERYWHERE)
@pytest.mark.parametrize(
    "place",
    [OTHERS_OWN, OTHERS_TEAM, "default", "kube-system"],
    ids=["others-own", "others-team", None, None],
)
def test_a_service_has_no_rights_elsewhere(shared: ControlPlane, service: str, place: str):
    reviews = {(what, verb) for what, verb in table.pairs(table.EVERYWHERE[service]) if "reviews" in what}
    assert set(table.granted(shared.api, service, place, own=OWN)) == reviews


def test_namespaces_are_watched_by_name_only(shared: ControlPlane):
    for verb in ("list", "watch"):
        for name, seen in ((OWN, True), (TEAM, True), (OTHERS_TEAM, False), ("", False)):
            allowed = table.allowed(shared.api, "watcher", verb, table.NAMESPACES, "", name, own=OWN)
            assert allowed is seen, (verb, name)


@pytest.mark.parametrize("service", ["aws-provisioner", "gcp-provisioner", "sql-provisioner"])
def test_a_provisioner_reads_the_identity_of_its_own_installation(shared: ControlPlane, service: str):
    assert table.allowed(shared.api, service, "get", table.NAMESPACES, OWN, OWN, own=OWN)
    assert not table.allowed(
        shared.api, service, "get", table.NAMESPACES, "kube-system", "kube-system", own=OWN
    )


def test_admission_rules_are_about_the_namespaces_that_are_seen(both: tuple[list[Json], list[Json]]):
    bindings = [
        each
        for each in both[0]
        if each["kind"] == "ValidatingAdmissionPolicyBinding"
        and each["metadata"]["labels"]["app.kubernetes.io/name"] == "conductor-admission"
    ]
    policies = {each["metadata"]["name"] for each in both[0] if each["kind"] == "ValidatingAdmissionPolicy"}
    assert len(bindings) == 5
    for binding in bindings:
        assert binding["spec"]["policyName"] in policies
        (seen,) = binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
        assert seen == {"key": "kubernetes.io/metadata.name", "operator": "In", "values": [OWN, TEAM]}
    (protection,) = [each for each in bindings if "deletion" in each["metadata"]["name"]]
    assert protection["spec"]["matchResources"]["namespaceSelector"]["matchLabels"] == {"tier": "prod"}


def test_every_service_is_told_which_namespaces_it_sees(both: tuple[list[Json], list[Json]]):
    for each in both[0]:
        if each["kind"] == "Deployment":
            (container,) = each["spec"]["template"]["spec"]["containers"]
            told = {variable["name"]: variable.get("value") for variable in container["env"]}
            assert told["CONDUCTOR_WATCH_NAMESPACES"] == f"{OWN},{TEAM}"
