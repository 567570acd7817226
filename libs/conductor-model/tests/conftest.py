"""The real API server with the generated CRDs installed."""

from __future__ import annotations

import pytest

from conductor_dev.api import KubeApi
from conductor_dev.controlplane import ControlPlane
from conductor_model.crds import files


@pytest.fixture(scope="session")
def api(control_plane: ControlPlane) -> KubeApi:
    """An administrator's view of an API server that serves Conductor's kinds."""
    for text in files().values():
        control_plane.api.apply(text)
    for text in files().values():
        control_plane.api.wait_served(text)
    return control_plane.api
