"""SIGTERM ends each service cleanly, also while everything that it stands on is away."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conductor_dev.services import SERVICES, Service
from conductor_dev.waiting import wait_until

KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{{name: away, cluster: {{server: "https://127.0.0.1:{port}"}}}}]
users: [{{name: nobody, user: {{token: none}}}}]
contexts: [{{name: away, context: {{cluster: away, user: nobody}}}}]
current-context: away
"""


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections for as long as the test runs: bound, and not listened to."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_service_stops_while_broker_and_api_server_are_away(
    service: Service, tmp_path: Path, closed_port: int
) -> None:
    (tmp_path / "kubeconfig").write_text(KUBECONFIG.format(port=closed_port))
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", service.module],
            cwd=tmp_path,
            stderr=output,
            env={
                "PATH": os.environ["PATH"],
                "KUBECONFIG": str(tmp_path / "kubeconfig"),
                "NATS_URL": f"nats://127.0.0.1:{closed_port}",
                "AWS_REGION": "us-east-1",
                "CONDUCTOR_HTTP_ADDRESS": "127.0.0.1:0",
                "CONDUCTOR_HTTP_ADDRESS_FILE": str(tmp_path / "address"),
            },
        )
    try:
        wait_until("it is up", lambda: (tmp_path / "address").exists() or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text()
