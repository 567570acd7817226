"""One version: what a service says of itself is what is installed, and the image that its chart names by default."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "conductor" / "Chart.yaml"


@pytest.mark.parametrize(
    "service",
    ["watcher", "scheduler", "aws-provisioner", "gcp-provisioner", "sql-provisioner", "secrets-writer"],
)
def test_a_service_says_the_version_that_is_installed_and_deployed(service: str):
    said = import_module(f"conductor_{service.replace('-', '_')}").VERSION
    assert said == version(f"conductor-{service}") == yaml.safe_load(CHART.read_text())["appVersion"]
