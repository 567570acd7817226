"""One running Conductor for all integration tests: real parts, services as processes with their own identities."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conductor_dev.environment import Environment
from conductor_telemetry.testing import SpanCollector

sys.path.insert(0, str(Path(__file__).parent))
from google_cloud import gcp_provisioner, google
from shared_server import server
from stage import Stage

__all__ = ["conductor", "gcp_provisioner", "google", "server", "spans", "stage"]


@pytest.fixture(scope="session")
def spans() -> Iterator[SpanCollector]:
    """Every span that the services send."""
    with SpanCollector() as collector:
        yield collector


@pytest.fixture(scope="session")
def conductor(tmp_path_factory: pytest.TempPathFactory, spans: SpanCollector) -> Iterator[Environment]:
    environ = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": spans.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    folder = tmp_path_factory.mktemp("conductor")
    with Environment.start(folder, rds_delay=0, environ=environ) as environment:
        environment.start_services()
        yield environment


@pytest.fixture
def stage(conductor: Environment) -> Iterator[Stage]:
    """A namespace and names of the test's own on the running Conductor; nothing is left of them afterwards."""
    stage = Stage.open(conductor)
    yield stage
    stage.close()
