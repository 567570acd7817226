"""The control plane with the rights and the namespace that the manifests give."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from conductor_dev.api import Json, objects_in
from conductor_dev.controlplane import ControlPlane

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "deploy" / "manifests"
sys.path.insert(0, str(Path(__file__).parent))
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


@pytest.fixture(scope="session")
def kinds_of_rights() -> set[str]:
    """The kinds of objects by which a service may do something."""
    return RIGHTS
