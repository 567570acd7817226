"""The control plane with the rights and the namespace that the manifests give."""

from __future__ import annotations

from pathlib import Path

import pytest

from conductor_dev.api import Json, objects_in
from conductor_dev.controlplane import ControlPlane

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "deploy" / "manifests"
RIGHTS = {
    *("Namespace", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"),
    *("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"),
}


@pytest.fixture(scope="session")
def rendered() -> list[Json]:
    """Every object of the chart, as committed for users without Helm."""
    return objects_in(MANIFESTS / "conductor.yaml")


@pytest.fixture(scope="session")
def cluster(control_plane: ControlPlane, rendered: list[Json]) -> ControlPlane:
    control_plane.api.apply([each for each in rendered if each["kind"] in RIGHTS])
    return control_plane
