"""Where the benchmark takes place: real parts, and a provisioner whose cloud answers at once, or another one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from benchmarks.claims import NAMESPACE, RESOURCE_CLASS_MANIFEST, SYSTEM
from benchmarks.machine import CHECKOUT
from conductor_dev.api import NAMESPACE as NAMESPACES
from conductor_dev.environment import Environment
from conductor_dev.progress import Progress
from conductor_dev.services import Service
from conductor_model.kinds import RESOURCE_CLASS

NOOP = Service("noop-provisioner", "benchmarks.noop_provisioner", "conductor-aws-provisioner")
"""Has the place, and with it the rights, of the aws-provisioner."""
_QUIET = {"CONDUCTOR_LOG_LEVEL": "warning"}


class Cloud(StrEnum):
    """What stands behind the provisioner."""

    NOOP = "noop"
    """Nothing: `noop_provisioner`."""
    MOTO = "moto"
    """The AWS stand-in, asked by the real aws-provisioner; instances are available at once."""


@dataclass(frozen=True)
class Stage:
    environment: Environment
    cloud: Cloud
    create_seconds: float

    @classmethod
    @contextmanager
    def set(cls, folder: Path, cloud: Cloud, create_seconds: float, progress: Progress) -> Iterator[Stage]:
        """Everything runs and is ready; etcd waits for the disk, as it does elsewhere."""
        with Environment.start(
            folder, rds_delay=create_seconds, fsync=True, progress=progress
        ) as environment:
            stage = cls(environment, cloud, create_seconds)
            stage.start_services()
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
            environment.api.create(NAMESPACES, None, namespace)
            environment.api.create(RESOURCE_CLASS, SYSTEM, RESOURCE_CLASS_MANIFEST)
            yield stage

    @property
    def kubeconfig(self) -> str:
        return str(self.environment.control_plane.kubeconfig)

    def start_services(self) -> None:
        """One replica of each service that a claim needs."""
        start = self.environment.start_service
        started = [start(name, extra_env=_QUIET) for name in ("watcher", "scheduler", "secrets-writer")]
        if self.cloud is Cloud.MOTO:
            started.append(start("aws-provisioner", extra_env=_QUIET))
        else:
            started.append(start(NOOP, extra_env=noop_settings(create=self.create_seconds)))
        for service in started:
            service.wait_ready()

    @contextmanager
    def without_services(self) -> Iterator[None]:
        """They are told to end, and started anew afterwards."""
        for service in self.environment.services:
            service.terminate()
        yield
        for service in self.environment.services:
            service.start()
        for service in self.environment.services:
            service.wait_ready()


def noop_settings(*, call: float = 0, create: float = 0) -> dict[str, str]:
    """Of a provisioner whose every call takes ``call`` seconds, and whose resources are ready after ``create``."""
    return {
        **_QUIET,
        "BENCHMARK_CALL_SECONDS": str(call),
        "BENCHMARK_CREATE_SECONDS": str(create),
        # This cloud asks nobody for patience.
        "CONDUCTOR_AWS_RATE": "10000",
        "CONDUCTOR_AWS_BURST": "10000",
        "CONDUCTOR_AWS_POLL_PENDING": "1",
        "CONDUCTOR_AWS_SETTLE_DELETED": "1",
        "PYTHONPATH": str(CHECKOUT),
    }
